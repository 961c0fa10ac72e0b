/** When a recheck has something to do. */
import { describe, expect, test } from "vitest";
import type { Instance } from "../../src/model/instance.ts";
import {
  assess,
  HOUR_MS,
  type LastResult,
  MAX_MOVES_PER_HOUR,
  NO_RECHECKS,
  recentMoves,
  whySkipped,
} from "../../src/reconcile/drift.ts";
import { ME, PUBLIC_IP, TARGET, ZONE } from "./fixtures.ts";

const SELF: Instance = { instanceId: ME, region: "us-east-1", zone: ZONE, interfaces: [] };
const NOW = Date.UTC(2026, 10, 23, 12);
const HERE_NOW = { ...TARGET, publicIp: PUBLIC_IP };
const SETTLED: LastResult = {
  outcome: "settled",
  exitStatus: 0,
  instanceId: ME,
  interfaceId: TARGET.interfaceId,
  privateIp: TARGET.privateIp,
  publicIp: PUBLIC_IP,
};
const find = (last: LastResult | undefined, target = HERE_NOW, state = NO_RECHECKS) =>
  assess(last, SELF, target, state, NOW);

describe("all is well only if everything is as it was verified", () => {
  test("the address that was verified is the one that instance metadata shows", () => {
    expect(find(SETTLED)).toEqual({ find: "well", because: "nothing has changed" });
  });

  test.each<[string, LastResult | undefined, typeof HERE_NOW, string]>([
    ["no result", undefined, HERE_NOW, "there is no result of an earlier run"],
    [
      "another instance's result",
      { ...SETTLED, instanceId: "i-1" },
      HERE_NOW,
      "the last result is of another instance",
    ],
    [
      "it failed",
      { ...SETTLED, outcome: "failed", exitStatus: 75 },
      HERE_NOW,
      "the last run ended with failed",
    ],
    [
      "it is meant for another interface now",
      { ...SETTLED, interfaceId: "eni-2" },
      HERE_NOW,
      `the address belongs on ${TARGET.interfaceId} 10.0.0.5 now`,
    ],
    [
      "it is meant for another private address now",
      { ...SETTLED, privateIp: "10.0.0.6" },
      HERE_NOW,
      `the address belongs on ${TARGET.interfaceId} 10.0.0.5 now`,
    ],
    [
      "another public address",
      SETTLED,
      { ...TARGET, publicIp: "203.0.113.8" },
      "203.0.113.7 was verified here, and instance metadata shows 203.0.113.8",
    ],
  ])("%s", (_, last, target, because) => {
    expect(find(last, target)).toEqual({ find: "drift", because, force: false });
  });

  test("no public address", () => {
    expect(assess(SETTLED, SELF, TARGET, NO_RECHECKS, NOW)).toMatchObject({
      find: "drift",
      because: "203.0.113.7 was verified here, and instance metadata shows no public IPv4 address",
    });
  });

  test("an address that the last run did not learn", () => {
    const { publicIp: _, ...unlearned } = SETTLED;
    expect(find(unlearned)).toMatchObject({ because: "the last run did not learn the address" });
  });
});

test("what instance metadata denies again and again is associated anew", () => {
  const force = (disagreements: number) =>
    assess(SETTLED, SELF, TARGET, { moves: [], disagreements }, NOW);
  expect(force(1)).toMatchObject({ force: false });
  expect(force(2)).toMatchObject({ force: true });
});

describe("moves", () => {
  const moved = (...agoMs: number[]) => ({
    moves: agoMs.map((ms) => NOW - ms),
    disagreements: 0,
  });
  const many = Array.from({ length: MAX_MOVES_PER_HOUR }, (_, n) => (n + 1) * 60_000);

  test("too many within an hour: it is left alone until the oldest of them is an hour old", () => {
    expect(assess(SETTLED, SELF, TARGET, moved(...many), NOW)).toEqual({
      find: "rest",
      because:
        "203.0.113.7 was verified here, and instance metadata shows no public IPv4 address; it was moved here 5 times within an hour, so it is left alone until 12:55 UTC",
    });
  });

  test("fewer are none too many", () => {
    const fewer = moved(...many.slice(1));
    expect(assess(SETTLED, SELF, TARGET, fewer, NOW)).toMatchObject({ find: "drift" });
  });

  test("those of an hour ago and those of a clock that was wrong do not count", () => {
    expect(recentMoves(moved(HOUR_MS, HOUR_MS - 1, 0, -1), NOW)).toEqual([NOW - HOUR_MS + 1, NOW]);
    const expired = moved(...many.map((ms) => ms + HOUR_MS));
    expect(assess(SETTLED, SELF, TARGET, expired, NOW)).toMatchObject({ find: "drift" });
  });
});

describe("a recheck leaves alone what no repetition changes", () => {
  const left = (more: Partial<LastResult>) => whySkipped({ ...SETTLED, ...more }, SELF);

  test.each<[string, Partial<LastResult>, boolean]>([
    ["success", {}, false],
    ["an address that was given up on purpose", { outcome: "released" }, true],
    ["a machine that is not configured", { outcome: "idle", idle: "not-configured" }, true],
    ["a release by somebody who did not hold it", { outcome: "idle", idle: "not-holder" }, true],
    ["an instance that is not in service", { outcome: "idle", idle: "not-in-service" }, false],
    ["out of time", { outcome: "failed", exitStatus: 75 }, false],
    ["no permission", { outcome: "failed", exitStatus: 77 }, false],
    ["a mistake in the settings", { outcome: "failed", exitStatus: 78 }, true],
    ["a bug", { outcome: "failed", exitStatus: 70 }, true],
    ["a newer instance that has it", { outcome: "yielded", exitStatus: 69 }, false],
    ["another instance's result", { outcome: "released", instanceId: "i-1" }, false],
  ])("%s: %o %s", (_, last, expected) => {
    expect(left(last) !== undefined).toBe(expected);
  });
});

describe("a recheck leaves to the unit's own retries what they go on with", () => {
  const FAILED: LastResult = {
    outcome: "failed",
    exitStatus: 75,
    instanceId: ME,
    unit: "eip-heal.service",
  };

  test.each<[string, Partial<LastResult>, boolean]>([
    ["a run of the unit that has failed", {}, true],
    ["whatever its status", { exitStatus: 78 }, true],
    ["that was stopped", { outcome: "stopped" }, true],
    ["that has yielded", { outcome: "yielded", exitStatus: 69 }, true],
    ["before it knew which instance this is", { instanceId: undefined as never }, true],
    ["on another instance", { instanceId: "i-1" }, false],
    ["a run of the unit that succeeded", { outcome: "settled", exitStatus: 0 }, false],
    ["that was not in service", { outcome: "idle", idle: "not-in-service", exitStatus: 0 }, false],
    ["a recheck that has failed", { unit: "eip-heal-recheck.service" }, false],
    ["that has yielded", { unit: "eip-heal-recheck.service", outcome: "yielded" }, false],
  ])("%s: %o %s", (_, more, expected) => {
    expect(whySkipped({ ...FAILED, ...more }, SELF) !== undefined).toBe(expected);
  });

  test("nor does anything stop one where there was no run before, or one by hand that knew no instance", () => {
    expect(whySkipped(undefined, SELF)).toBeUndefined();
    expect(whySkipped({ outcome: "released", exitStatus: 0 }, SELF)).toBeUndefined();
  });

  test("a run by hand that has failed leaves the unit as it was, so the recheck goes on", () => {
    const { unit: _, ...byHand } = FAILED;
    expect(whySkipped(byHand, SELF)).toBeUndefined();
  });
});
