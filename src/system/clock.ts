import { uptime } from "node:os";

/** Time and randomness, passed as a parameter to all code that needs them so that tests need not wait. */
export interface Clock {
  /** Milliseconds of the monotonic clock, which starts with the boot and stops while the machine is suspended. */
  now: () => number;
  /** Milliseconds during which the machine was suspended since this was first asked, to within a second or so. */
  suspended: () => number;
  /** Wall-clock time, for records. */
  date: () => Date;
  /** A number in [0, 1). */
  random: () => number;
  /** Resolves after `ms` milliseconds; rejects with the signal's reason as soon as it is aborted. */
  sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Milliseconds. If the unit's sandbox hides /proc/uptime, libuv returns the uptime in whole seconds. */
const UPTIME_STEP_MS = 1_000;

// Not performance.now(): node:perf_hooks would have to be loaded first.
const now = () => Number(process.hrtime.bigint()) / 1e6;

let suspended: (() => number) | undefined;

export const systemClock: Clock = {
  now,
  suspended: () => (suspended ??= suspensionOf(() => uptime() * 1_000, now))(),
  date: () => new Date(),
  random: () => Math.random(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const done = () => {
        signal.removeEventListener("abort", stop);
        resolve();
      };
      const timer = setTimeout(done, ms);
      const stop = () => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", stop, { once: true });
    }),
};

/**
 * How long a machine was suspended, in milliseconds: the difference between its uptime, which includes suspension, and the
 * monotonic clock, which does not. The wall clock is of no use, since it is set during boot.
 *
 * @param uptimeMs milliseconds since boot, suspension included; up to a second too low
 * @param clockMs milliseconds of the monotonic clock
 */
export function suspensionOf(uptimeMs: () => number, clockMs: () => number): () => number {
  const ahead = () => uptimeMs() - clockMs();
  const atStart = ahead();
  let counted = atStart;
  return () => {
    const lead = ahead();
    if (lead - counted > UPTIME_STEP_MS) counted = lead;
    return counted - atStart;
  };
}
