/** Time and randomness, passed as a parameter to all code that needs them so that tests need not wait. */
export interface Clock {
  /** Milliseconds of the monotonic clock, which starts with the boot. */
  now: () => number;
  /** Wall-clock time, for records. */
  date: () => Date;
  /** A number in [0, 1). */
  random: () => number;
  /** Resolves after `ms` milliseconds; rejects with the signal's reason as soon as it is aborted. */
  sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

export const systemClock: Clock = {
  // Not performance.now(): node:perf_hooks would have to be loaded first.
  now: () => Number(process.hrtime.bigint()) / 1e6,
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
