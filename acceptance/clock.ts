/** Time, so that tests need none of it. */
import { setTimeout as sleep } from "node:timers/promises";

export interface Clock {
  /** Milliseconds since some moment. */
  now(): number;
  /** @throws when the run has been interrupted */
  sleep(ms: number): Promise<void>;
}

export function realClock(interrupted: AbortSignal): Clock {
  return {
    now: () => performance.now(),
    sleep: (ms) => sleep(ms, undefined, { signal: interrupted }),
  };
}

/**
 * Looks again and again until it is so.
 *
 * @param look undefined: not yet
 * @param limitMs how long; it is looked at least once
 * @returns what it found and after how many milliseconds, or undefined when the time was up
 */
export async function until<T>(
  clock: Clock,
  limitMs: number,
  pauseMs: number,
  look: () => Promise<T | undefined>,
): Promise<{ found: T; ms: number } | undefined> {
  const begin = clock.now();
  for (;;) {
    const found = await look();
    const ms = clock.now() - begin;
    if (found !== undefined) return { found, ms };
    if (ms + pauseMs > limitMs) return undefined;
    await clock.sleep(pauseMs);
  }
}
