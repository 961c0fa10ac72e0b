/** Which of two runs of one instance leaves its result, and which has to stop. */
import { describe, expect, test } from "vitest";
import type { LastResult } from "../../src/reconcile/drift.ts";
import { isReleased, wasReleasedSince, mayReplace } from "../../src/reconcile/precedence.ts";

const at = (asOf: number | undefined, outcome: string, more: Partial<LastResult> = {}) =>
  ({ outcome, exitStatus: 0, ...(asOf !== undefined && { asOf }), ...more }) as LastResult;
const notHolder = { idle: "not-holder" };
const NOW = 1_000;

describe("a result takes the place of another", () => {
  test.each<[string, LastResult, LastResult | undefined, number, boolean]>([
    ["where there is none", at(10, "settled"), undefined, 0, true],
    ["of a look before", at(20, "failed"), at(10, "settled"), 0, true],
    ["of the same look", at(20, "failed"), at(20, "settled"), 0, true],
    ["but not of a later look: a failure", at(10, "failed"), at(20, "settled"), 0, false],
    ["but not of a later look: a success", at(10, "settled"), at(20, "failed"), 0, false],
    [
      "although it was begun earlier, if it has looked later",
      at(30, "settled"),
      at(20, "failed"),
      5,
      true,
    ],
    ["of a version that has not said when", at(10, "failed"), at(undefined, "settled"), 0, true],
    ["of an earlier boot", at(10, "failed"), at(NOW + 1, "settled"), 0, true],
    ["but not of a look at this very moment", at(10, "failed"), at(NOW, "settled"), 0, false],
    ["of a release before it was started", at(30, "settled"), at(20, "released"), 25, true],
    ["but not of one since", at(30, "settled"), at(20, "released"), 15, false],
    [
      "nor of one that found nothing to release",
      at(30, "settled"),
      at(20, "idle", notHolder),
      15,
      false,
    ],
    [
      "of other reasons to do nothing",
      at(30, "settled"),
      at(20, "idle", { idle: "resting" }),
      15,
      true,
    ],
    ["of a release, by another release", at(30, "released"), at(20, "released"), 15, true],
    [
      "of a release, by one that found nothing left",
      at(30, "idle", notHolder),
      at(20, "released"),
      15,
      true,
    ],
    ["of a release on an earlier boot", at(30, "settled"), at(NOW + 1, "released"), 15, true],
  ])("%s", (_, next, standing, since, expected) => {
    expect(mayReplace(next, standing, since, NOW)).toBe(expected);
  });
});

describe("a run stops", () => {
  test.each<[string, LastResult | undefined, boolean]>([
    ["not without a result", undefined, false],
    ["not for a success", at(50, "settled"), false],
    ["for a release since it was started", at(50, "released"), true],
    ["not for one before", at(49, "released"), false],
    ["not for one on an earlier boot", at(NOW + 1, "released"), false],
    ["for one at this very moment", at(NOW, "released"), true],
    ["not for one that has not said when", at(undefined, "released"), false],
    ["for a release of what was not here", at(50, "idle", notHolder), true],
    ["not because it is not in service", at(50, "idle", { idle: "not-in-service" }), false],
  ])("%s", (_, last, expected) => {
    expect(wasReleasedSince(last, 50, NOW)).toBe(expected);
  });

  test("and a retry for every one since the boot", () => {
    expect(wasReleasedSince(at(1, "released"), 0, NOW)).toBe(true);
  });
});

test("to be about to give it up is to give it up", () => {
  expect(isReleased(at(1, "released", { underWay: true } as never))).toBe(true);
});
