/** The timers of the rechecks on a machine, quickened, and a note of each round that they make. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Machine } from "./machine.ts";
import { eventually } from "../run.ts";

export const RECHECK = "eip-heal-recheck.service";
export const TIMER = "eip-heal-recheck.timer";
/** Starts one recheck after each success of the heal. */
export const CONFIRM = "eip-heal-confirm.timer";
/** Starts the heal again after each end without the address. */
export const RETRY = "eip-heal-retry.timer";
/** Adds up the CPU time of all rounds. */
export const SLICE = "recheck.slice";

/** A "begin" and an exit status for each round. On the disk: who looks at it from outside costs the machine nothing. */
const NOTES = "var/lib/rounds";
const note = (what: string) => `+/bin/sh -c 'echo ${what} >>/${NOTES}'`;

/**
 * What is not as the package has it. Its minute is a tenth of a second here, or ten periods would be ten minutes: the
 * same two events, with an empty value before them, because a timer adds up all times that it is given. The notes are
 * made outside of the sandbox ("+"), but in the slice: what they cost is in its CPU time.
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

/** The folders that this leaves on a machine. */
export const QUICKENED = Object.keys(DROP_INS).map((unit) => `/etc/systemd/system/${unit}.d`);

/** Shortens the period in a root, and lets each round be noted. */
export async function quickenRechecks(root: string): Promise<void> {
  for (const [unit, text] of Object.entries(DROP_INS)) await dropIn(root, unit, text);
  await writeFile(join(root, NOTES), "");
}

/** Lets the one recheck after a heal come at another time in a root. */
export async function confirmAfter(root: string, time: string): Promise<void> {
  await dropIn(root, CONFIRM, `[Timer]\nOnActiveSec=\nOnActiveSec=${time}\n`);
}

/** Lets the heal be tried again after another time in a root. */
export async function retryAfter(root: string, time: string): Promise<void> {
  await dropIn(root, RETRY, `[Timer]\nOnUnitInactiveSec=\nOnUnitInactiveSec=${time}\n`);
}

async function dropIn(root: string, unit: string, text: string): Promise<void> {
  const folder = join(root, `/etc/systemd/system/${unit}.d`);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "quick.conf"), text);
}

/** Whose notes can be read: on its disk from outside, or by asking it. */
type Noting = { readonly name: string } & (Pick<Machine, "root"> | Pick<Machine, "must">);

/** The rounds that a machine has made, over all its boots: how many have begun, and the exit status of each that has ended. */
export async function rounds(machine: Noting): Promise<{ begun: number; ended: string[] }> {
  const notes =
    "root" in machine
      ? await readFile(join(machine.root, NOTES), "utf8")
      : await machine.must(["cat", `/${NOTES}`]);
  // A line that is just being written has no end yet.
  const lines = notes.split("\n").slice(0, -1);
  const ended = lines.filter((line) => line !== "begin");
  return { begun: lines.length - ended.length, ended };
}

/**
 * Resolves when so many rounds have ended that began after now; their exit statuses, in order. One that is under way
 * does not count: it may have looked already.
 */
export async function nextRounds(machine: Noting, count: number): Promise<string[]> {
  const { begun } = await rounds(machine);
  return await eventually(
    `${machine.name} has rechecked ${count} times`,
    async () => {
      const { ended } = await rounds(machine);
      return ended.length >= begun + count && ended.slice(begun, begun + count);
    },
    { withinMs: 120_000 },
  );
}
