/** The result files are true or absent whenever a run is cut off, or the disk is, at each change to them. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { addressIn, inPlace, litterOf, type Place, TIMEOUT_MS } from "./folder.ts";

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
