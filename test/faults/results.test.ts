/**
 * The result files are true or absent, whatever becomes of the disk and of the run, and two runs of one instance agree:
 * unit, recheck, somebody by hand, release.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import { unless } from "../support/skipping.ts";
import type { RunningRegion } from "../../sim/server.ts";
import { aWorld } from "../../sim/world.ts";
import { type AgentRun, runAgent } from "../support/agent.ts";
import { type Running, start } from "../support/process.ts";
import { inRegion } from "../support/region.ts";

vi.setConfig({ maxConcurrency: 4 });
const TIMEOUT_MS = 240_000;

interface Place {
  readonly region: RunningRegion;
  /** Of the settings and the result files. */
  readonly folder: string;
  readonly me: string;
  /** What the tag names, and another address. */
  readonly first: string;
  readonly second: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Runs the agent by its own, to its end. */
  readonly agent: (flags?: string[], more?: Readonly<Record<string, string>>) => Promise<AgentRun>;
  /** Starts it, so that it can be watched. */
  readonly begin: (flags?: string[], more?: Readonly<Record<string, string>>) => Running;
  /** From now on the tag names the second address. */
  readonly retag: () => void;
  readonly holder: (allocationId?: string) => string | undefined;
  readonly result: () => Record<string, unknown> | undefined;
  readonly env: () => string | undefined;
  readonly names: () => string[];
}

async function inPlace(
  holds: "first" | "second" | "nothing",
  work: (place: Place) => Promise<void>,
) {
  const world = aWorld();
  world.role("releaser", { Statement: [{ Effect: "Allow", Action: "ec2:*", Resource: "*" }] });
  const first = world.address();
  const second = world.address();
  const tags = { "allocation-id": first.allocationId };
  const instance = world.instance({ tags, role: "releaser", metadataTags: true });
  const me = instance.instanceId;
  if (holds !== "nothing") world.hold(holds === "first" ? first : second, instance);
  await inRegion(world, async (region, folder) => {
    const environment = {
      AWS_EC2_METADATA_SERVICE_ENDPOINT: region.imdsUrl(me),
      AWS_ENDPOINT_URL_EC2: region.ec2Url,
      EIP_HEAL_DEADLINE: "60s",
    };
    const read = (name: string) => {
      const path = join(folder, name);
      return lstatSync(path, { throwIfNoEntry: false })?.isFile()
        ? readFileSync(path, "utf8")
        : undefined;
    };
    await work({
      region,
      folder,
      me,
      first: first.allocationId,
      second: second.allocationId,
      environment,
      agent: (flags = [], more = {}) =>
        runAgent(region, me, {
          flags,
          runtime: folder,
          environment: { ...environment, ...more },
        }),
      begin: (flags = [], more = {}) =>
        start({ ...environment, ...more }, folder, [...flags, "--log-level", "debug"]),
      retag: () => region.region.tag(me, { "allocation-id": second.allocationId }),
      holder: (allocationId = first.allocationId) => region.holder(allocationId)?.instanceId,
      result: () => {
        const text = read("result.json");
        return text === undefined ? undefined : (JSON.parse(text) as Record<string, unknown>);
      },
      env: () => read("env"),
      names: () => readdirSync(folder).filter((name) => name !== "eip-heal.conf"),
    });
  });
}

/**
 * Whenever a run ends or is cut off, the two files together say nothing that is untrue:
 * - A unit that is started after ours reads env: it is absent, or names an address that this instance holds.
 * - Whoever reads result.json as well finds no contradiction: beside an env it is absent, or `settled` with that address.
 * - `released` means that this instance does not hold the address; of a run that was cut off it may be marked as under way.
 * - `settled` without an env is how an earlier run ended, and counts for nothing (readResult).
 */
function expectTrue(place: Place, after: string, isCutOff = false): void {
  const { me, first, second, holder, result } = place;
  const told = addressIn(place);
  const record = result();
  const all = `${after}\nenv ${told}, result.json ${JSON.stringify(record)}`;
  if (told !== undefined) {
    expect([first, second], all).toContain(told);
    expect(holder(told), all).toBe(me);
    const { outcome, allocationId } = record ?? { outcome: "settled", allocationId: told };
    expect({ outcome, allocationId }, all).toEqual({ outcome: "settled", allocationId: told });
  }
  if (record?.["outcome"] === "released" && !(isCutOff && record["underWay"] === true)) {
    expect(holder(), all).not.toBe(me);
  }
}

/** The address that other units are told; undefined if they are told none. */
function addressIn({ env }: Place): string | undefined {
  const told = env();
  if (told === undefined) return undefined;
  return /^EIP_HEAL_ALLOCATION_ID=(\S+)$/m.exec(told)?.[1] ?? `none in ${JSON.stringify(told)}`;
}

/** Leaves the files of a run that has ended with the address here. */
function leave({ folder, me }: Place, allocationId: string): void {
  const record = { version: 1, outcome: "settled", exitStatus: 0, instanceId: me, allocationId };
  writeFileSync(join(folder, "result.json"), JSON.stringify(record));
  writeFileSync(join(folder, "env"), `EIP_HEAL_ALLOCATION_ID=${allocationId}\n`);
}

/** EC2 refuses it in a way that repeating does not change. */
const REFUSES = {
  service: "ec2",
  effect: { do: "error", code: "InvalidParameterValue", status: 400 },
} as const;

/** Names under which something was written and not put in its place. */
const litterOf = ({ names }: Place) => names().filter((name) => /\d$/.test(name));

async function until(what: () => boolean): Promise<void> {
  while (!what()) await sleep(10);
}

const canMount = process.getuid?.() === 0 && spawnSync("unshare", ["--mount", "true"]).status === 0;
const refused = canMount ? undefined : "nothing may be mounted here; root may";

/** Runs the rest of the command line in a mount namespace of its own, after and before what a shell does. */
const mounted = (before: string, after = ""): string[] => [
  "/usr/bin/env",
  "unshare",
  "--mount",
  "sh",
  "-euc",
  `${before}\nset +e\n"$@"\nstatus=$?\nset -e\n${after}\nexit $status`,
  "sh",
];

/** The folder is on a file system of its own on which nothing is free, with what was there before. */
const FULL = mounted(
  `kept=$(mktemp -d); cp -a "$RUNTIME_DIRECTORY"/. "$kept"; mount -t tmpfs -o size=64k tmpfs "$RUNTIME_DIRECTORY"
cp -a "$kept"/. "$RUNTIME_DIRECTORY"; dd if=/dev/zero of="$RUNTIME_DIRECTORY/full" bs=4k 2>/dev/null && exit 99 || :`,
  `rm "$RUNTIME_DIRECTORY/full"; rm -rf "$kept"; cp -a "$RUNTIME_DIRECTORY" "$kept"; umount "$RUNTIME_DIRECTORY"
find "$RUNTIME_DIRECTORY" -mindepth 1 -delete; cp -a "$kept"/. "$RUNTIME_DIRECTORY"; rm -rf "$kept"`,
);
const READ_ONLY = mounted(
  'mount --bind "$RUNTIME_DIRECTORY" "$RUNTIME_DIRECTORY"; mount -o remount,ro,bind "$RUNTIME_DIRECTORY"',
);

describe("nothing can be written", unless(refused), () => {
  const through = (place: Place, how: readonly string[], flags: string[] = []) =>
    runAgent(place.region, place.me, {
      flags,
      through: how,
      runtime: place.folder,
      environment: { ...place.environment, PATH: process.env["PATH"] ?? "" },
    });

  test("a full disk and another address than before: what is not true any more makes room for what is", () =>
    inPlace("first", async (place) => {
      expect((await place.agent()).status).toBe(0);
      place.retag();
      const { status, log } = await through(place, FULL);
      expect(status, log.join("\n")).toBe(0);
      expect(place.env()).toContain(place.second);
      expect(place.holder(place.second)).toBe(place.me);
      expect(litterOf(place)).toEqual([]);
    }));

  test("a full disk and the same address as before: others go on being told it, and the run succeeds", () =>
    inPlace("first", async (place) => {
      await place.agent();
      const { status, log } = await through(place, FULL);
      expect(status, log.join("\n")).toBe(0);
      expect(log.at(-1)).toMatch(/^ENOSPC: .*could not be written$/);
      expect(place.env()).toContain(place.first);
      expect(place.names()).toEqual(["env"]);
    }));

  test("a full disk: rechecks leave no litter, and forget rather than remember what is not so", () =>
    inPlace("first", async (place) => {
      await place.agent();
      await place.agent(["recheck"]);
      const { status } = await through(place, FULL, ["recheck"]);
      expect(status).toBe(0);
      expect(place.names().toSorted()).toEqual(["env", "result.json"]);
    }));

  test("a read-only folder and another address than before: the run fails, since others are told the old one", () =>
    inPlace("first", async (place) => {
      await place.agent();
      place.retag();
      const { status, log } = await through(place, READ_ONLY);
      expect(status, log.join("\n")).toBe(75);
      expect(log.at(-1)).toMatch(
        /^FAILED \(75\): EROFS: .*other units would be told an address that is not here/,
      );
    }));

  test.each([
    ["full", FULL, "ENOSPC"],
    ["read-only", READ_ONLY, "EROFS"],
  ])("a %s folder: what cannot be recorded as released is not released", (_, how, code) =>
    inPlace("first", async (place) => {
      await place.agent();
      const before = [place.env(), place.result()];
      const { status, log } = await through(place, how, ["release"]);
      expect(status, log.join("\n")).toBe(75);
      expect(log.at(-1)).toMatch(new RegExp(`^FAILED \\(75\\): ${code}: .*nothing is released`));
      expect(place.holder()).toBe(place.me);
      expect([place.env(), place.result()]).toEqual(before);
    }),
  );
});

describe("something else in the place of a file", () => {
  const things: [string, (path: string, victim: string) => void][] = [
    ["a folder", (path) => mkdirSync(join(path, "full"), { recursive: true })],
    ["a FIFO", (path) => void execFileSync("mkfifo", [path])],
    ["a link", (path, victim) => symlinkSync(victim, path)],
    ["a dangling link", (path, victim) => symlinkSync(`${victim}.not`, path)],
    ["a foreign file", (path) => writeFileSync(path, "\0".repeat(2_000_000))],
  ];
  const names = ["result.json", "env", "recheck.json", "last-write"];
  const cases = names.flatMap((name) => things.map(([what, lay]) => [what, name, lay] as const));

  test.concurrent.each(cases)(
    "%s as %s: it is replaced and not followed",
    (_, name, lay) =>
      inPlace("nothing", async (place) => {
        const victim = join(place.folder, "eip-heal.conf");
        writeFileSync(victim, "# precious\n");
        lay(join(place.folder, name), victim);
        const { status, log } = await place.agent(name === "recheck.json" ? ["recheck"] : []);
        expect(status, log.join("\n")).toBe(0);
        expect(readFileSync(victim, "utf8")).toBe("# precious\n");
        expect(existsSync(`${victim}.not`)).toBe(false);
        expect(place.result()).toMatchObject({ outcome: "settled" });
        expect(place.env()).toContain(place.first);
        for (const one of place.names()) {
          expect(lstatSync(join(place.folder, one)).isFile(), one).toBe(true);
        }
        expect(litterOf(place)).toEqual([]);
      }),
    TIMEOUT_MS,
  );
});

test("a link to the very same text is replaced by a file, too", () =>
  inPlace("first", async (place) => {
    await place.agent();
    for (const name of ["env", "result.json"]) {
      const path = join(place.folder, name);
      renameSync(path, `${path}-elsewhere`);
      symlinkSync(`${path}-elsewhere`, path);
    }
    expect((await place.agent()).status).toBe(0);
    for (const name of ["env", "result.json"])
      expect(lstatSync(join(place.folder, name)).isFile(), name).toBe(true);
  }));

test("what killed runs have left behind is removed, and what a living one is writing is not", () =>
  inPlace("first", async (place) => {
    const dead = Number(execFileSync("sh", ["-c", "echo $$"], { encoding: "utf8" }));
    const left = ["env", "result.json", "recheck.json", "last-write"].map(
      (name) => `${name}.${dead}`,
    );
    for (const name of [...left, `env.${process.pid}`]) {
      writeFileSync(join(place.folder, name), "half");
    }
    expect((await place.agent()).status).toBe(0);
    expect(place.names().toSorted()).toEqual(["env", `env.${process.pid}`, "result.json"]);
  }));

describe("two runs of one instance", () => {
  test(
    "a recheck that fails in the end does not undo what a later look has found",
    () =>
      inPlace("first", async (place) => {
        place.region.faults.add({
          service: "ec2",
          action: "DescribeAddresses",
          count: 1,
          effect: { do: "silence" },
        });
        // It has to look, since there is no result yet, and is not answered.
        const recheck = place.begin(["recheck"], { EIP_HEAL_DEADLINE: "12s" });
        await until(() => place.region.calls.length > 0);
        place.region.faults.clear();
        expect((await place.agent()).status).toBe(0);
        const found = place.result();
        place.region.faults.add({ service: "ec2", effect: { do: "hang-up" } });
        expect((await recheck.ended).status).toBe(75);
        expect(place.result()).toEqual(found);
        expect(place.env()).toContain(place.first);
      }),
    TIMEOUT_MS,
  );

  test(
    "who has looked earlier and ends later does not tell others what is not so any more",
    () =>
      inPlace("first", async (place) => {
        const world = place.region.region;
        place.region.faults.add({
          service: "ec2",
          action: "DescribeAddresses",
          count: 1,
          effect: { do: "delay", afterMs: 4_000 } as never,
        });
        const slow = place.begin();
        await until(() => place.region.calls.some(({ action }) => action === "DescribeAddresses"));
        world.disassociate(place.first);
        place.region.faults.add({
          service: "ec2",
          action: "AssociateAddress",
          effect: { do: "error", code: "InvalidParameterValue", status: 400 } as never,
        });
        expect((await place.agent()).status).toBe(78);
        const { status, log } = await slow.ended;
        expect(status, log.join("\n")).not.toBe(0);
        expect(place.env()).toBeUndefined();
        expect(place.result()).toMatchObject({ outcome: "failed" });
      }),
    TIMEOUT_MS,
  );
});

describe("a release is obeyed", () => {
  test(
    "by a heal in its hold",
    () =>
      inPlace("nothing", async (place) => {
        const heal = place.begin();
        await until(() => place.holder() === place.me);
        const { status, log } = await place.agent(["release"]);
        expect(status, log.join("\n")).toBe(0);
        const healed = await heal.ended;
        expect(healed.status, healed.log.join("\n")).toBe(75);
        expect(healed.log.join("\n")).toContain("the address was given up on purpose");
        expect(place.holder()).toBeUndefined();
        expect(place.result()).toMatchObject({ outcome: "released" });
        expect(place.env()).toBeUndefined();
        expect((await place.agent(["recheck"])).status).toBe(0);
        expect(place.holder()).toBeUndefined();
      }),
    TIMEOUT_MS,
  );

  test(
    "by a heal whose association is under way: the release waits for it",
    () =>
      inPlace("nothing", async (place) => {
        place.region.faults.add({
          service: "ec2",
          action: "AssociateAddress",
          effect: { do: "delay", beforeMs: 1_200 },
        });
        const heal = place.begin();
        await until(() => heal.logged().includes("associating"));
        const { status, log } = await place.agent(["release"]);
        expect(status, log.join("\n")).toBe(0);
        expect(log.at(-1)).toContain(`released ${place.first}`);
        expect((await heal.ended).status).toBe(75);
        expect(place.holder()).toBeUndefined();
        expect(place.result()).toMatchObject({ outcome: "released" });
        expect(place.env()).toBeUndefined();
      }),
    TIMEOUT_MS,
  );

  test(
    "by a heal between its look and its association",
    () =>
      inPlace("nothing", async (place) => {
        place.region.faults.add({
          service: "ec2",
          action: "DescribeAddresses",
          count: 1,
          effect: { do: "delay", beforeMs: 3_000 },
        });
        const heal = place.begin();
        await until(() => place.region.calls.length > 0 || heal.logged().includes("looking at"));
        await sleep(200);
        expect((await place.agent(["release"])).status).toBe(0);
        expect((await heal.ended).status).toBe(75);
        expect(place.region.calls.some(({ action }) => action === "AssociateAddress")).toBe(false);
        expect(place.result()).toMatchObject({ outcome: "idle", idle: "not-holder" });
      }),
    TIMEOUT_MS,
  );

  test(
    "by a retry, and not by somebody who starts a heal afterwards",
    () =>
      inPlace("first", async (place) => {
        await place.agent();
        await place.agent(["release"]);
        const retry = await place.agent([], { TRIGGER_UNIT: "eip-heal-retry.timer" });
        expect(retry.status).toBe(75);
        expect(retry.log.at(-1)).toContain("the address was given up on purpose");
        expect(place.holder()).toBeUndefined();
        expect(place.result()).toMatchObject({ outcome: "released" });
        expect((await place.agent()).status).toBe(0);
        expect(place.holder()).toBe(place.me);
        expect(place.result()).toMatchObject({ outcome: "settled" });
      }),
    TIMEOUT_MS,
  );

  test(
    "by another release",
    () =>
      inPlace("first", async (place) => {
        await place.agent();
        const both = await Promise.all([place.agent(["release"]), place.agent(["release"])]);
        for (const { status, log } of both) expect(status, log.join("\n")).toBe(0);
        expect(place.holder()).toBeUndefined();
        expect(place.env()).toBeUndefined();
        expect(place.result()?.["outcome"]).toMatch(/^(?:released|idle)$/);
        const calls = place.region.calls.length;
        expect((await place.agent(["recheck"])).status).toBe(0);
        expect(place.region.calls.length).toBe(calls);
      }),
    TIMEOUT_MS,
  );
});

describe("by hand", unless(refused), () => {
  const byHand = ({ region, me, environment }: Place, before: string, out: string) =>
    runAgent(region, me, {
      through: mounted(`mount -t tmpfs tmpfs /run; ${before}`, `cp -a /run/. ${out}`),
      environment: { ...environment, RUNTIME_DIRECTORY: "", PATH: process.env["PATH"] ?? "" },
    });

  test.each<[string, string, string[]]>([
    ["the folder is never made", ":", []],
    [
      "it is written to where the link alone is gone",
      "mkdir -p /run/private/eip-heal",
      ["private"],
    ],
    [
      "and through the link",
      "mkdir -p /run/private/eip-heal; ln -s private/eip-heal /run/eip-heal",
      ["eip-heal", "private"],
    ],
  ])("%s", (_, before, names) =>
    inPlace("first", async (place) => {
      const out = mkdtempSync(join(tmpdir(), "eip-heal-run-"));
      try {
        const { status, log } = await byHand(place, before, out);
        expect(status, log.join("\n")).toBe(0);
        expect(log.length).toBe(1);
        expect(readdirSync(out).toSorted()).toEqual(names);
        if (names.includes("private")) {
          expect(readdirSync(join(out, "private/eip-heal")).toSorted()).toEqual([
            "env",
            "result.json",
          ]);
        }
      } finally {
        rmSync(out, { recursive: true });
      }
    }),
  );
});

/** Runs the sources with something that befalls one of their changes to the folder. */
async function withEachWrite(place: Place, what: string, flags: readonly string[] = []) {
  const hook = resolve(import.meta.dirname, "each-write.mjs");
  const main = resolve(import.meta.dirname, "../../src/main.ts");
  const args = ["--import", hook, main, "--config", "/dev/null", ...flags];
  const child = spawn(process.execPath, args, {
    env: { ...place.environment, RUNTIME_DIRECTORY: place.folder, EACH_WRITE: what },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  const status = await new Promise<number | null>((done) => child.once("close", done));
  return { status, log: log.split("\n").filter((line) => line !== "") };
}

test(
  "a disk that stays full and another address than before: nobody is told the old one, and the run fails",
  () =>
    inPlace("first", async (place) => {
      expect((await place.agent()).status).toBe(0);
      expect(place.env()).toContain(place.first);
      place.retag();
      const { status, log } = await withEachWrite(place, "full 1");
      expect(status, log.join("\n")).toBe(75);
      expect(log.at(-1)).toMatch(
        /^FAILED \(75\): ENOSPC: no space left on device.* or none; free space in \/run.*; run: eip-heal doctor$/,
      );
      expect(place.holder(place.second)).toBe(place.me);
      expect(place.names()).toEqual([]);
    }),
  TIMEOUT_MS,
);

interface Change {
  readonly name: string;
  readonly holds: "first" | "second";
  readonly flags: readonly string[];
  /** What happens after the last run that ended. */
  readonly before: (place: Place) => void;
  /** How it ends if it is left alone. */
  readonly status: number;
  /** What it then leaves. */
  readonly outcome: string;
  readonly env: "first" | "second" | undefined;
}

const CHANGES: readonly Change[] = [
  {
    name: "a heal that moves to another address",
    holds: "first",
    flags: [],
    before: ({ retag }) => retag(),
    status: 0,
    outcome: "settled",
    env: "second",
  },
  {
    name: "a heal that finds another address here",
    holds: "second",
    flags: [],
    before: ({ retag }) => retag(),
    status: 0,
    outcome: "settled",
    env: "second",
  },
  {
    name: "a heal that fails",
    holds: "first",
    flags: [],
    before: ({ region }) => region.faults.add(REFUSES),
    status: 78,
    outcome: "failed",
    env: undefined,
  },
  {
    name: "a release",
    holds: "first",
    flags: ["release"],
    before: () => {},
    status: 0,
    outcome: "released",
    env: undefined,
  },
  {
    name: "a release that EC2 refuses",
    holds: "first",
    flags: ["release"],
    before: ({ region }) => region.faults.add({ ...REFUSES, action: "DisassociateAddress" }),
    status: 78,
    outcome: "settled",
    env: "first",
  },
];

describe("a file that can be neither replaced nor removed", () => {
  test.each(["env", "result.json"])(
    "%s: nothing is released, and nothing is left half done",
    (name) =>
      inPlace("first", async (place) => {
        await place.agent();
        const { status, log } = await withEachWrite(place, `busy ${name}`, ["release"]);
        expect(status, log.join("\n")).toBe(75);
        expect(log.at(-1)).toMatch(/^FAILED \(75\): EBUSY: .*nothing is released/);
        expect(place.holder()).toBe(place.me);
        expectTrue(place, log.join("\n"));
        expect(litterOf(place)).toEqual([]);
      }),
  );

  test.each(["env", "result.json"])("%s: a heal that moves to another address fails", (name) =>
    inPlace("first", async (place) => {
      await place.agent();
      place.retag();
      const { status, log } = await withEachWrite(place, `busy ${name}`);
      expect(status, log.join("\n")).toBe(75);
      expect(log.at(-1)).toMatch(/^FAILED \(75\): EBUSY: .*the result files could not be written/);
      expect(addressIn(place)).toBe(name === "env" ? place.first : undefined);
      expect(litterOf(place)).toEqual([]);
    }),
  );
});

describe("each change to the files", () => {
  test.each(CHANGES)(
    "$name: killed at each of them, and in a folder that is full or read-only from each of them on",
    async ({ holds, flags, before, status: expected, outcome, env }) => {
      const play = (
        what: string,
        check: (place: Place, status: number | null, log: string, earlier: unknown) => unknown,
      ) =>
        inPlace(holds, async (place) => {
          if (holds === "first") expect((await place.agent()).status).toBe(0);
          // As a run has left it before somebody else has moved the second address here.
          else leave(place, place.first);
          before(place);
          const earlier = place.result();
          const { status, log } = await withEachWrite(place, what, flags);
          await check(place, status, `${what}\n${log.join("\n")}`, earlier);
        });

      let count = 0;
      await play("count", (place, status, log) => {
        expect(status, log).toBe(expected);
        expect(place.result(), log).toMatchObject({ outcome });
        expect(addressIn(place), log).toBe(env && place[env]);
        expectTrue(place, log);
        count = Number(/^changes: (\d+)$/m.exec(log)?.[1]);
      });
      expect(count).toBeGreaterThan(2);
      const turns = Array.from({ length: count }, (_, n) => [
        `kill ${n + 1}`,
        `full ${n + 1}`,
        `read-only ${n + 1}`,
      ]).flat();
      const next = async (): Promise<void> => {
        const what = turns.shift();
        if (what === undefined) return;
        await play(what, async (place, status, log, earlier) => {
          const isKilled = what.startsWith("kill");
          const isReadOnly = what.startsWith("read-only");
          expect(status === null, log).toBe(isKilled);
          const told = addressIn(place);
          if (isReadOnly && told !== undefined && place.holder(told) !== place.me) {
            // It cannot be taken away, so the run must not succeed.
            expect(status, log).toBe(75);
            expect(log).toContain("other units would be told an address that is not here");
            return;
          }
          expectTrue(place, log, isKilled || isReadOnly);
          const wanted = env && place[env];
          if (isKilled) {
            // Where only the files were left to be written, a recheck sees that they are not.
            if (holds === "second") {
              expect((await place.agent(["recheck"])).status, log).toBe(0);
              expect(addressIn(place), log).toBe(wanted);
              expect(place.result(), log).toMatchObject({ outcome, allocationId: wanted });
            }
            return;
          }
          if (status === 0) {
            expect(told, log).toBe(wanted);
            expect(place.result(), log).toMatchObject({ outcome });
          }
          if (!isReadOnly) {
            expect(litterOf(place), log).toEqual([]);
            if (flags.length === 0) {
              expect([undefined, wanted], log).toContain(told);
              expect(place.result(), log).not.toEqual(earlier);
            }
          }
          const isComplete = told === wanted && place.result()?.["outcome"] === outcome;
          if (!isComplete)
            expect(log).toMatch(/could not be (?:written|restored)|nothing is released/);
        });
        await next();
      };
      await Promise.all(Array.from({ length: 6 }, next));
    },
    2 * TIMEOUT_MS,
  );
});
