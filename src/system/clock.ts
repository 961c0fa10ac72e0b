/** Time, passed to whoever needs it: no test waits for real, and nothing else asks the machine. */
export interface Clock {
  /** Milliseconds on a clock that only moves forward; its zero means nothing. */
  now: () => number;
  /** Wall-clock time, for records. */
  date: () => Date;
  /** A number in [0, 1). */
  random: () => number;
  /** Resolves after `ms` milliseconds; rejects with the signal's reason as soon as it is aborted. */
  sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

export const systemClock: Clock = {
  // Not performance.now(), which has to be loaded first.
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
