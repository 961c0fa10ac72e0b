/** Programs started and measured one after the other, by meter.py: Node does not tell what its children have used. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** What one run of a program has cost, all its children included. */
export interface Reading {
  readonly status: number;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Milliseconds from start to end, and of processor time. */
  readonly wall: number;
  readonly user: number;
  readonly system: number;
  /** KiB that the largest of its processes had in memory at most. */
  readonly peak: number;
  /** Bytes read from and written to block devices. */
  readonly read: number;
  readonly written: number;
  /** The end of what it said on standard error. */
  readonly stderr: string;
}

export type Meter = ReturnType<typeof startMeter>;

export function startMeter() {
  const python = spawn("/usr/bin/python3", ["-S", "-E", join(import.meta.dirname, "meter.py")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface(python.stdout);
  return {
    /**
     * Runs a program.
     *
     * @param argv the first is a path
     * @param evict files that leave the page cache before
     */
    async run(
      argv: readonly string[],
      env: Readonly<Record<string, string>>,
      evict: readonly string[] = [],
    ): Promise<Reading> {
      const answer = once(lines, "line");
      python.stdin.write(`${JSON.stringify({ argv, env, evict })}\n`);
      return JSON.parse((await answer)[0] as string) as Reading;
    },
    close: () => python.stdin.end(),
  };
}

/** The middle one; the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  const [low, high] = [sorted[half - 1] ?? Number.NaN, sorted[half] ?? Number.NaN];
  return sorted.length % 2 === 1 ? high : (low + high) / 2;
}
