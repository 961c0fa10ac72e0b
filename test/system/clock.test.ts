import { expect, test } from "vitest";
import { suspensionOf } from "../../src/system/clock.ts";

/** A machine at `bootMs` after its boot whose uptime is told in steps. */
function aMachine(bootMs: number, stepMs: number, sleptMs = 0) {
  let awake = bootMs;
  let slept = sleptMs;
  const uptime = () => Math.floor((awake + slept) / stepMs) * stepMs;
  const suspended = suspensionOf(uptime, () => awake);
  return {
    suspended,
    runs: (ms: number) => (awake += ms),
    sleeps: (ms: number) => (slept += ms),
  };
}

// With /proc/uptime, and without.
const STEPS = [10, 1_000];

test.each(STEPS)("a machine that is awake was never suspended (steps of %d ms)", (step) => {
  for (const before of [0, 86_400_123]) {
    for (let start = 0; start < 2_000; start += 37) {
      const { suspended, runs } = aMachine(5_000 + start, step, before);
      for (let n = 0; n < 100; n++) {
        runs(61);
        expect(suspended()).toBe(0);
      }
    }
  }
});

test.each(STEPS)("a suspension of two seconds and more is seen (steps of %d ms)", (step) => {
  for (const ms of [2_000, 10_000, 3_600_000]) {
    for (let start = 0; start < 1_000; start += 37) {
      const { suspended, runs, sleeps } = aMachine(5_000 + start, step);
      runs(250);
      sleeps(ms);
      expect(Math.abs(suspended() - ms)).toBeLessThanOrEqual(1_000);
      // It is not counted again, and the next one is.
      for (let n = 0; n < 50; n++) runs(61);
      expect(Math.abs(suspended() - ms)).toBeLessThanOrEqual(1_000);
      sleeps(ms);
      expect(Math.abs(suspended() - 2 * ms)).toBeLessThanOrEqual(1_000);
    }
  }
});

test("what the clock and the uptime do beside each other otherwise is none", () => {
  // A clock that runs faster than the uptime, as under libfaketime.
  let now = 0;
  const suspended = suspensionOf(
    () => 1_000,
    () => (now += 5_000),
  );
  for (let n = 0; n < 10; n++) expect(suspended()).toBe(0);
});
