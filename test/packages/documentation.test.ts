import type { Holder, InstanceState } from "../../src/model/address.ts";
import { existsSync, globSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { COMMANDS, OPTIONS } from "../../src/commands/index.ts";
import { statusRecord } from "../../src/commands/status.ts";
import { doctorRecord } from "../../src/doctor/catalog.ts";
import { decide, TAKEOVERS } from "../../src/reconcile/ownership.ts";
import { parseEnvironmentFile } from "../../src/config/environment-file.ts";
import { EXIT, Failure, type Kind } from "../../src/model/failure.ts";
import type { Change, End, Facts, HookEnd, IdleReason, Outcome } from "../../src/model/outcome.ts";
import { statementsFor, documentOf, type PolicyInput } from "../../src/iam/policy.ts";
import {
  RESULT_VERSION,
  RESULT_VERSION_OF_SEVERAL,
  resultRecord,
} from "../../src/report/report.ts";
import { readSettings, RESULT_KEYS } from "../../src/config/read.ts";
import { SETTINGS } from "../../src/config/settings.ts";
import { VARIABLES } from "../../src/config/variables.ts";
import { OLD_ROLE } from "../../sim/iam.ts";
import { unless } from "../support/skipping.ts";
import { attempt, missing, read, ROOT } from "./tools.ts";

/** The flags that are not settings. */
const GENERAL = Object.keys(OPTIONS);
const NAMES: readonly string[] = COMMANDS.map(({ name }) => name);

describe("eip-heal.conf", () => {
  const conf = read("packaging/eip-heal.conf");
  /** Key → commented value. */
  const lines = new Map(
    [...conf.matchAll(/^#(EIP_HEAL_\w+)=(.*)$/gm)].map(([, key = "", value = ""]) => [key, value]),
  );

  test("sets nothing as shipped", () => {
    expect(parseEnvironmentFile(conf)).toEqual({ variables: {}, repeated: [], problems: [] });
  });

  test("shows values that are accepted", () => {
    expect(lines.size).toBeGreaterThan(10);
    for (const [key, value] of lines) {
      const file = { path: "/etc/eip-heal.conf", variables: { [key]: value } };
      expect(readSettings({ flags: {}, environment: {}, file }), key).toHaveProperty("settings");
    }
  });
});

describe("the man pages", unless(missing("mandoc")), () => {
  test.each(["eip-heal.8", "eip-heal.conf.5"])("%s has no lint", (page) => {
    // Which other pages this machine has is not the page's business.
    const { output } = attempt("mandoc", "-T", "lint", `packaging/${page}`);
    const lint = output
      .split("\n")
      .filter((line) => !/^$|referenced manual not found|outdated mandoc\.db/.test(line));
    expect(lint).toEqual([]);
  });
});

test("what is said of variables of others is said of those that are read", () => {
  const sources = globSync("src/**/*.ts", { cwd: ROOT, exclude: ["src/config/variables.ts"] });
  const code = sources.map(read).join("\n");
  const literals = [...code.matchAll(/["`]((?:AWS|NODE)_[A-Z0-9_]*[A-Z0-9])(?:_\$\{\w+\})?["`]/g)];
  // In lower case it reads these too, and names them so.
  const proxies = [...code.matchAll(/"((?:https?|no)_proxy)"/g)];
  const named = new Set([
    ...literals.map(([, name = ""]) => name),
    ...proxies.map(([, name = ""]) => name.toUpperCase()),
  ]);
  // The SDK's, which are taken away from it.
  for (const name of ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"]) named.delete(name);
  const told = VARIABLES.flatMap(({ keys }) => keys);
  expect([...named].filter((name) => !told.includes(name))).toEqual([]);
  // The code puts the name of the service behind AWS_ENDPOINT_URL.
  const whole = told.filter((name) => !name.startsWith("AWS_ENDPOINT_URL_"));
  expect(whole.filter((name) => !named.has(name))).toEqual([]);
});

describe("the man page", () => {
  const page = read("packaging/eip-heal.8");
  const section = (name: string) =>
    page.split(/^\.Sh /m).find((text) => text.startsWith(`${name}\n`)) ?? "";

  test("has the sections of a program's page", () => {
    expect([...page.matchAll(/^\.Sh (.+)$/gm)].map(([, name]) => name)).toEqual([
      "NAME",
      "SYNOPSIS",
      "DESCRIPTION",
      "COMMANDS",
      "OPTIONS",
      "ENVIRONMENT",
      "FILES",
      "JSON",
      "EXIT STATUS",
      "EXAMPLES",
      "DIAGNOSTICS",
      "SEE ALSO",
      "SECURITY CONSIDERATIONS",
    ]);
  });

  test("has every unit among its files", () => {
    const named = [...section("FILES").matchAll(/^\.It Pa \/usr\/lib\/systemd\/system\/(.+)$/gm)];
    expect(named.map(([, name = ""]) => name).toSorted()).toEqual(
      globSync("*.{service,timer}", { cwd: `${ROOT}systemd` }).toSorted(),
    );
  });

  test("has every field of the JSON that doctor, status and a run print", () => {
    const fields = (name: string) =>
      (section("JSON").split(`.Ss ${name}\n`)[1] ?? "")
        .split(/^\.Ss /m)[0]
        ?.match(/^(?:\.It )?\.?Va .*$/gm)
        ?.flatMap((line) => line.match(/\b[a-z]\w+\b/g) ?? []) ?? [];
    const view = { allocationId: "a", publicIp: "b", holder: { kind: "nobody" } } as const;
    const place = {
      instanceId: "i",
      interfaceId: "e",
      privateIp: "p",
      publicIp: "q",
      onlyInterface: true,
      primaryIp: true,
    };
    const self = { instanceId: "i", region: "r", zone: "z", interfaces: [] };
    const lastRun = { known: true, result: { outcome: "settled", exitStatus: 0 } } as const;
    const standing = {
      here: true,
      exitStatus: 0,
      message: "m",
      self,
      place,
      view,
      lastRun,
    } as const;
    const units = {
      retryInMs: 1,
      recheckInMs: 1,
      underWay: "heal",
      hasRecheckTimer: true,
    } as const;
    const status = statusRecord({ ...standing, ...units }, new Date(0));
    expect(fields("status")).toEqual(expect.arrayContaining(Object.keys(status)));

    const [check] = [
      { id: "role", mark: "failed", found: "f", cure: "c", commands: ["d"], blockedBy: ["ec2"] },
    ] as const;
    const checkup = doctorRecord([check], new Date(0));
    const [told = {}] = checkup["checks"] as object[];
    expect(fields("doctor")).toEqual(
      expect.arrayContaining([...Object.keys(checkup), ...Object.keys(told)]),
    );
  });
});

describe("the man page, on result.json", () => {
  const page = read("packaging/eip-heal.8");
  const result = page.slice(page.indexOf(".Ss The result"), page.indexOf(".Sh JSON"));
  /** Field → what is said about it, without the markup. */
  const fields = new Map(
    result
      .split(/^\.It /m)
      .slice(1)
      .flatMap((entry) => {
        const [head = "", ...text] = entry.split("\n");
        const said = text.join(" ").replaceAll(/\.(?:Cm|Li|Sx|Pq) |\s+/g, " ");
        return head.split(" , ").map((name) => [name, said] as const);
      }),
  );

  // The compiler holds these to the types.
  const CHANGES: Record<Change["change"], true> = {
    none: true,
    associated: true,
    renewed: true,
    taken: true,
  };
  const ENDS: Record<End["end"] | "yielded", true> = {
    settled: true,
    would: true,
    idle: true,
    released: true,
    failed: true,
    stopped: true,
    yielded: true,
  };
  const KINDS: Record<Kind, true> = {
    unreachable: true,
    throttled: true,
    "not-yet": true,
    denied: true,
    held: true,
    misconfigured: true,
    yielded: true,
  };
  const REASONS: Record<IdleReason, true> = {
    "not-in-service": true,
    "not-configured": true,
    "not-holder": true,
    resting: true,
  };

  test("has every field that there is, and the version", () => {
    const holder = { kind: "instance", instanceId: "i-1", state: "running" } as const;
    const facts = {
      instanceId: "i-2",
      region: "us-east-1",
      allocationId: "eipalloc-1",
      publicIp: "203.0.113.7",
      interfaceId: "eni-1",
      privateIp: "10.0.0.5",
      lifecycleState: "InService",
    } satisfies Required<Facts>;
    const hook: HookEnd = { name: "wait", group: "web", end: "completed", result: "CONTINUE" };
    const spent = { facts, tries: 1, ms: 1 };
    const failure = new Failure("denied", { why: "no", code: "UnauthorizedOperation" }, "looking");
    const by = { began: 1, unit: "eip-heal.service", toldAt: "2026-11-23T10:58:09.000Z" };
    const outcomes: Outcome[] = [
      { end: "settled", change: "taken", from: holder, hook, ...spent },
      { end: "idle", because: "so", why: "not-holder", ...spent },
      { end: "released", name: "eipalloc-1", isUnderWay: true, ...spent },
      {
        end: "settled",
        change: "none",
        each: [{ name: "eipalloc-1", outcome: { end: "settled", change: "none", ...spent } }],
        ...spent,
      },
      { end: "failed", failure, status: EXIT.NOPERM, isWaitedOut: true, ...spent },
    ];
    const written = outcomes.flatMap((outcome) =>
      Object.keys(resultRecord(outcome, new Date(0), by)),
    );
    expect([...fields.keys()].toSorted()).toEqual([...new Set(written)].toSorted());
    expect(fields.get("version")).toMatch(
      new RegExp(`^ *${RESULT_VERSION}, or ${RESULT_VERSION_OF_SEVERAL} with several`),
    );
  });

  test.each([
    ["outcome", ENDS],
    ["change", CHANGES],
    ["failure", KINDS],
    ["idle", REASONS],
  ])("has every value of %s", (field, values) => {
    const words = fields.get(field)?.split(/[\s,:]+/);
    expect(words).toEqual(expect.arrayContaining(Object.keys(values)));
  });
});

describe("the README", () => {
  const readme = read("README.md");

  test("is read within ten minutes, at 150 words a minute", () => {
    // Tables are looked at, not read.
    const prose = readme.replaceAll(/<!-- (\w+)(?: \(make docs\))? -->[^]*?<!-- \/\1 -->/g, "");
    expect(prose.split(/\s+/).length).toBeLessThan(1_500);
  });
});

test("the picture of the demo tells the story that the demo tells now", () => {
  const picture = read("docs/demo.svg");
  const chapters = [...read("demo/demo.ts").matchAll(/chapter\("(.+)"\)/g)];
  expect(chapters.length).toBeGreaterThan(3);
  for (const [, chapter = ""] of chapters) expect(picture).toContain(`>${chapter}</text>`);
  expect(picture).toContain(">The story was true.</text>");
});

describe("every page", () => {
  const pages = ["README.md", ...globSync("docs/*.md", { cwd: ROOT })].map(
    (path) => [path, read(path)] as const,
  );
  /** The anchor that a heading gets. */
  const anchor = (heading: string) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} -]/gu, "")
      .replaceAll(" ", "-");

  test.each(pages)("%s: links lead somewhere", (path, text) => {
    const targets = [
      ...text.matchAll(/\]\((?!https?:)([^)]*)\)/g),
      ...text.matchAll(/^\[[^\]]+\]: (?!https?:)(\S+)$/gm),
    ].map(([, target = ""]) => target);
    for (const target of targets) {
      const [file = "", fragment] = target.split("#");
      const aim = file === "" ? path : join(dirname(path), file);
      expect(existsSync(`${ROOT}${aim}`), target).toBe(true);
      if (fragment === undefined) continue;
      const headings = [...read(aim).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => heading);
      expect(headings.map(anchor), target).toContain(fragment);
    }
  });

  test.each(pages)("%s: commands, flags and settings are those that there are", (_, text) => {
    const commands = NAMES;
    const flags = [...GENERAL, ...SETTINGS.map(({ flag }) => flag)];
    for (const [, call = ""] of text.matchAll(/(?:^ {4}(?:\$ )?|`)eip-heal ([^`\n#>]+)/gm)) {
      const words = call.trim().split(/\s+/);
      const [first = ""] = words;
      if (!first.startsWith("-")) expect(commands, call).toContain(first);
      for (const word of words.filter((one) => one.startsWith("--"))) {
        expect(flags, call).toContain(word.replace(/^--|=.*/g, ""));
      }
    }
    const keys: string[] = [...SETTINGS.map(({ key }) => key), ...RESULT_KEYS];
    for (const [key] of text.matchAll(/EIP_HEAL_[A-Z_]*[A-Z]/g)) expect(keys).toContain(key);
  });
});

describe("the table of the ownership rule", () => {
  const here = {
    instanceId: "i-00000002",
    interfaceId: "eni-00000001",
    privateIp: "10.0.0.5",
    onlyInterface: true,
    primaryIp: true,
  };
  const instance = (instanceId: string, state: InstanceState, launchedAt: number): Holder => ({
    kind: "instance",
    instanceId,
    interfaceId: "eni-00000009",
    privateIp: "10.0.0.9",
    state,
    launchedAt,
  });
  const HOLDERS: Holder[] = [
    { kind: "nobody" },
    { ...here, kind: "instance", state: "running" },
    { ...here, kind: "instance", state: "running", privateIp: "10.0.0.6" },
    instance("i-00000001", "stopped", 2_000),
    { kind: "interface", interfaceId: "eni-00000001" },
    instance("i-00000001", "running", 1_000),
    instance("i-00000001", "running", 3_000),
    { kind: "other", what: "a NAT gateway" },
  ];
  /** What the code does, row by row, in the words of the documentation. */
  const expected = HOLDERS.map((holder) =>
    TAKEOVERS.map((takeover) => {
      const view = { allocationId: "eipalloc-1", selfLaunchedAt: 2_000, holder };
      const decision = decide(here, "us-east-1a", view, takeover, 0);
      const own =
        "from" in decision &&
        decision.from.kind === "instance" &&
        decision.from.instanceId === here.instanceId;
      return own && decision.do === "take" ? "move" : decision.do;
    }),
  );

  test("in docs/how-it-decides.md is what the code does", () => {
    const table = read("docs/how-it-decides.md")
      .split(/^## /m)[0]
      ?.split("\n")
      .filter((line) => line.startsWith("|"))
      .slice(2)
      .map((line) =>
        line
          .split("|")
          .slice(2, -1)
          .map((cell) => cell.trim().replaceAll("*", "")),
      );
    expect(table).toEqual(expected);
  });

  test("in the man page is too", () => {
    const page = read("packaging/eip-heal.8");
    const table = [...page.matchAll(/^\.It (\w.*) Ta (\w+) Ta (\w+) Ta (\w+) Ta (\w+)$/gm)].map(
      ([, , ...cells]) => cells,
    );
    // "take" is all that it says of a move.
    const words = expected.map((row) => row.map((word) => (word === "move" ? "take" : word)));
    const told = words.filter((row) => !["associate", "settled"].includes(row[0] ?? ""));
    expect(table).toEqual(told);
  });
});

describe("the IAM policies", () => {
  const policy = (name: string): unknown => JSON.parse(read(`packaging/${name}.json`));
  const EXAMPLE: PolicyInput = {
    partition: "aws",
    region: "us-east-1",
    account: "123456789012",
    addresses: { kind: "address", allocationId: "eipalloc-0123456789abcdef0" },
    severalInterfaces: false,
    vpc: "vpc-0123456789abcdef0",
    release: false,
  };

  test.each<[string, PolicyInput]>([
    ["iam-policy", EXAMPLE],
    ["iam-policy-interfaces", { ...EXAMPLE, severalInterfaces: true }],
    ["iam-policy-pool", { ...EXAMPLE, addresses: { kind: "pool", key: "eip-pool", value: "web" } }],
    ["iam-policy-launch-hook", { ...EXAMPLE, hook: { group: "web", lookUp: true } }],
  ])("%s is what eip-heal policy prints", (name, permit) => {
    expect(policy(name)).toEqual(JSON.parse(documentOf(statementsFor(permit))));
  });

  test("the minimal one is what the user-data script needed", () => {
    expect(policy("iam-policy-minimal")).toEqual({
      Version: "2012-10-17",
      Statement: [{ Sid: "AsTheScript", ...OLD_ROLE.Statement[0] }],
    });
  });
});
