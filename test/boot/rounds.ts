/** The timer of the rechecks on a machine, quickened, and a note of each round that it makes. */
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Machine } from "./machine.ts";
import { eventually } from "./run.ts";

export const RECHECK = "eip-heal-recheck.service";
export const TIMER = "eip-heal-recheck.timer";
/** Adds up the CPU time of all rounds. */
export const SLICE = "recheck.slice";

/** A "begin" and an exit status for each round. On the disk, so that who looks at it from outside costs the machine nothing. */
const NOTES = "var/lib/rounds";
const note = (what: string) => `+/bin/sh -c 'echo ${what} >>/${NOTES}'`;

/**
 * What is not as the package has it. Its minute is a tenth of a second here, or ten periods would be ten minutes: the
 * same two events, with an empty value before them, because a timer adds up all times that it is given. The notes cost
 * about 2 ms of CPU time a round; they are made outside of the sandbox ("+").
 */
const DROP_INS: Readonly<Record<string, string>> = {
  [TIMER]: `[Timer]
OnBootSec=
OnBootSec=1s
OnUnitInactiveSec=100ms
RandomizedDelaySec=0
AccuracySec=1ms
`,
  [RECHECK]: `[Service]
Slice=${SLICE}
ExecStartPre=${note("begin")}
ExecStopPost=${note('"$EXIT_STATUS"')}
`,
};

/** Switches the timer on in an image that is being made. */
export async function enableRechecks(builder: {
  readonly root: string;
  must(argv: readonly string[]): Promise<string>;
}): Promise<void> {
  for (const [unit, text] of Object.entries(DROP_INS)) {
    const folder = join(builder.root, "etc/systemd/system", `${unit}.d`);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "quick.conf"), text);
  }
  await builder.must(["systemctl", "enable", "--quiet", TIMER]);
}

/** The rounds that a machine has made, over all its boots: how many have begun, and the exit status of each that has ended. */
export function rounds({ root }: Pick<Machine, "root">): { begun: number; ended: string[] } {
  const notes = readFileSync(join(root, NOTES), { encoding: "utf8", flag: "a+" });
  // A line that is just being written has no end yet.
  const lines = notes.split("\n").slice(0, -1);
  const ended = lines.filter((line) => line !== "begin");
  return { begun: lines.length - ended.length, ended };
}

/**
 * Resolves when so many rounds have ended that began after now; their exit statuses, in order. One that is under way
 * does not count: it may have looked already.
 */
export async function nextRounds(machine: Machine, count: number): Promise<string[]> {
  const { begun } = rounds(machine);
  return await eventually(`${machine.name} has rechecked ${count} times`, () => {
    const { ended } = rounds(machine);
    return ended.length >= begun + count && ended.slice(begun, begun + count);
  });
}
