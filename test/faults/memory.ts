/** How much memory a process has had at most. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Running } from "../support/process.ts";

/** How often it is looked at, in milliseconds: the kernel keeps the most, but only as long as the process lives. */
const LOOK_MS = 10;

/** Watches a process until it ends. */
export function peakOf({ pid, ended }: Pick<Running, "pid" | "ended">) {
  let over = false;
  void ended.then(() => (over = true));
  const watched = (async () => {
    let kb = 0;
    for (; !over; await sleep(LOOK_MS)) {
      try {
        // Of a process that has ended and was not waited for there is no such line.
        const [, peak] =
          /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
        kb = Math.max(kb, Number(peak ?? 0));
      } catch {
        // It has ended.
      }
    }
    return kb / 1_000;
  })();
  return {
    /** Megabytes, once it has ended. */
    mb: watched,
    /** Waits that many milliseconds, and says whether it has ended. */
    async hasEnded(ms: number): Promise<boolean> {
      await sleep(ms);
      return over;
    },
  };
}
