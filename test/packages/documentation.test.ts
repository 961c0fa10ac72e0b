import { describe, expect, test } from "vitest";
import { COMMANDS, SWITCHES } from "../../src/command-line.ts";
import { statusRecord } from "../../src/commands/status.ts";
import { CHECKS, checkupRecord } from "../../src/core/checkup.ts";
import { parseEnvironmentFile } from "../../src/core/environment-file.ts";
import { EXIT } from "../../src/core/failure.ts";
import { readSettings, SETTINGS } from "../../src/core/settings.ts";
import { HOOK_ACTIONS } from "../region/iam.ts";
import { attempt, missing, read, run } from "./tools.ts";

/** The flags that are not settings. */
const GENERAL = Object.keys(SWITCHES);

describe("eip-heal.conf", () => {
  const conf = read("packaging/eip-heal.conf");
  /** Key → commented value. */
  const lines = new Map(
    [...conf.matchAll(/^#(EIP_HEAL_\w+)=(.*)$/gm)].map(([, key = "", value = ""]) => [key, value]),
  );

  test("sets nothing as shipped", () => {
    expect(parseEnvironmentFile(conf)).toEqual({ variables: {}, problems: [] });
  });

  test("has every setting, in the order of --help", () => {
    expect([...lines.keys()]).toEqual(SETTINGS.map(({ key }) => key));
  });

  test("shows the defaults, and examples that are accepted", () => {
    for (const { key, default: fallback } of SETTINGS) {
      const value = lines.get(key) ?? "";
      if (fallback !== undefined) expect(value, key).toBe(fallback);
      const file = { path: "/etc/eip-heal.conf", variables: { [key]: value } };
      expect(readSettings({ flags: {}, environment: {}, file }), key).toHaveProperty("settings");
    }
  });
});

test("README names every command", () => {
  const text = read("README.md");
  for (const [name] of COMMANDS) {
    if (name !== "heal") expect(text).toContain(`eip-heal ${name}`);
  }
});

describe("the man page", () => {
  const page = read("packaging/eip-heal.8");
  const section = (name: string) =>
    page.split(/^\.Sh /m).find((text) => text.startsWith(`${name}\n`)) ?? "";

  test.skipIf(missing("mandoc"))("has no lint", () => {
    // Which other pages this machine has is not the page's business.
    const { output } = attempt("mandoc", "-T", "lint", "packaging/eip-heal.8");
    const lint = output
      .split("\n")
      .filter((line) => !/^$|referenced manual not found|outdated mandoc\.db/.test(line));
    expect(lint).toEqual([]);
  });

  test("has the sections of a program's page", () => {
    expect([...page.matchAll(/^\.Sh (.+)$/gm)].map(([, name]) => name)).toEqual([
      "NAME",
      "SYNOPSIS",
      "DESCRIPTION",
      "COMMANDS",
      "OPTIONS",
      "SETTINGS",
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

  test("has every setting with its flag and its default", () => {
    const entries = section("SETTINGS")
      .split(/^\.It /m)
      .slice(1);
    expect(entries.map((entry) => /^Ev (\w+) , Fl -(\S+)/.exec(entry)?.slice(1))).toEqual(
      SETTINGS.map(({ key, flag }) => [key, flag]),
    );
    for (const [at, { key, default: fallback }] of SETTINGS.entries()) {
      if (fallback === undefined) continue;
      const text = (entries[at] ?? "").replaceAll(/^\.\w\w /gm, "").replaceAll(/\s+/g, " ");
      expect(text.replaceAll(" .", "."), key).toContain(`Default: ${fallback}.`);
    }
  });

  test("has every command and every other flag", () => {
    const commands = [...section("COMMANDS").matchAll(/^\.It Cm (\S+)/gm)].map(([, name]) => name);
    expect(commands).toEqual(COMMANDS.map(([name]) => name));
    expect(section("SYNOPSIS")).toContain(`.Op Cm ${commands.join(" | ")}\n`);
    const flags = [...section("OPTIONS").matchAll(/^\.It Fl -(\S+)/gm)].map(([, flag]) => flag);
    expect(flags).toEqual(GENERAL);
  });

  test("has every check of doctor, in its order and with its meaning", () => {
    const text = section("DIAGNOSTICS")
      .split(".Ss The checks of doctor\n")[1]
      ?.split(/^\.El$/m)[0];
    const told = [...(text ?? "").matchAll(/^\.It Li (\S+)\n(.+)\.$/gm)];
    expect(
      told.map(([, id, meaning = ""]) => [id, meaning[0]?.toLowerCase() + meaning.slice(1)]),
    ).toEqual(CHECKS.map(([id, meaning]) => [id, meaning[0]?.toLowerCase() + meaning.slice(1)]));
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
    const status = statusRecord({ ...standing, recheckInMs: 1 }, new Date(0));
    expect(fields("status")).toEqual(expect.arrayContaining(Object.keys(status)));

    const [check] = [
      { id: "role", mark: "failed", found: "f", cure: "c", commands: ["d"], blockedBy: ["ec2"] },
    ] as const;
    const checkup = checkupRecord([check], new Date(0));
    const [told = {}] = checkup["checks"] as object[];
    expect(fields("doctor")).toEqual(
      expect.arrayContaining([...Object.keys(checkup), ...Object.keys(told)]),
    );
  });

  test("has every exit status, by its name", () => {
    const statuses = [...section("EXIT STATUS").matchAll(/^\.It (\d+)(?: Pq (\w+))?/gm)];
    expect(statuses.map(([, status, name = "OK"]) => [name, Number(status)])).toEqual(
      Object.entries(EXIT),
    );
  });
});

describe.skipIf(missing("bash"))("bash completion", () => {
  /** What is offered after these words; the last one is being typed. */
  const offered = (...words: string[]) =>
    run(
      "bash",
      "-c",
      `. packaging/completion.bash
       COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
       _eip_heal "$1" "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD - 1]}"
       printf '%s\\n' "\${COMPREPLY[@]}"`,
      "bash",
      "eip-heal",
      ...words,
    )
      .split("\n")
      .filter((word) => word !== "");

  test("offers the command and every flag", () => {
    const flags = [...GENERAL, ...SETTINGS.map(({ flag }) => flag)].map((flag) => `--${flag}`);
    expect(offered("--")).toEqual(flags);
    expect(offered("")).toEqual([...COMMANDS.map(([name]) => name), ...flags]);
    expect(offered("heal", "--dry")).toEqual(["--dry-run"]);
  });

  test("offers every value of a setting that has a choice", () => {
    for (const { flag, placeholder } of SETTINGS) {
      if (!/^[a-z|-]+$/.test(placeholder)) continue;
      expect(offered(`--${flag}`, ""), flag).toEqual(placeholder.split("|"));
      // bash splits --flag=value at the =.
      expect(offered(`--${flag}`, "="), flag).toEqual(placeholder.split("|"));
    }
    expect(offered("--takeover", "=", "n")).toEqual(["never", "newest"]);
  });

  test("offers files for --config", () => {
    expect(offered("--config", "packaging/eip-heal.c")).toEqual(["packaging/eip-heal.conf"]);
  });
});

describe("the IAM policies", () => {
  const statements = (name: string) =>
    (
      JSON.parse(read(`packaging/${name}`)) as {
        Statement: { Action: string | string[]; Resource: string }[];
      }
    ).Statement;

  test("the minimal one is what the user-data script needed", () => {
    expect(statements("iam-policy-minimal.json").flatMap(({ Action }) => Action)).toEqual([
      "ec2:DescribeInstances",
      "ec2:AssociateAddress",
    ]);
  });

  test("the one for a launch hook has what the hook's calls need", () => {
    expect(statements("iam-policy-launch-hook.json").flatMap(({ Action }) => Action)).toEqual(
      HOOK_ACTIONS,
    );
  });

  test("the other has one statement for each type of resource: a condition on a key a resource lacks would refuse all", () => {
    const resources = statements("iam-policy.json").map(({ Resource }) =>
      Resource.replace(/^.*:|\/.*$/g, ""),
    );
    expect(resources).toEqual(["*", "elastic-ip", "instance", "network-interface"]);
  });
});
