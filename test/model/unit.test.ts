/** What systemd says of a unit: whether its run is under way, and how one was ended that could not say so itself. */
import { describe, expect, test } from "vitest";
import { findingOfUnit } from "../../src/doctor/checks/units.ts";
import { howEnded, isUnderWay, type Unit } from "../../src/model/unit.ts";

const FAILED: Unit = {
  enablement: "enabled",
  activity: "failed",
  isQueued: false,
  result: "exit-code",
  exitStatus: 75,
  needsReload: false,
  variables: [],
  environmentFiles: [],
  dropIns: [],
};

describe("a service is under way", () => {
  test.each([
    ["while it is starting", { activity: "activating" }, true],
    ["while it is stopping", { activity: "deactivating" }, true],
    ["while it is waiting for another unit", { activity: "inactive", isQueued: true }, true],
    ["not after it has ended well", { activity: "active" }, false],
    ["not after it has failed", { activity: "failed" }, false],
    ["not before its first start", { activity: "inactive" }, false],
  ])("%s", (_, state, expected) => {
    expect(isUnderWay({ ...FAILED, ...state })).toBe(expected);
  });

  test("not if systemd cannot be asked", () => {
    expect(isUnderWay(undefined)).toBe(false);
  });
});

test.each([
  [{ result: "oom-kill", exitStatus: 9 }, "ended by the kernel, for lack of memory (oom-kill)"],
  [
    { result: "signal", exitStatus: 6 },
    "ended by signal 6 (SIGABRT, as by Node if it has too little memory)",
  ],
  [{ result: "core-dump", exitStatus: 31 }, "ended by signal 31 (SIGSYS, by the sandbox)"],
  [{ result: "signal", exitStatus: 1 }, "ended by signal 1"],
])("%j", (ends, words) => {
  const unit = { ...FAILED, ...ends };
  expect(howEnded(unit)?.words).toBe(words);
  const { mark, found, remedy = "" } = findingOfUnit(unit, undefined);
  expect(mark).toBe("warning");
  expect(found).toBe(`eip-heal.service is enabled; failed, its last run was ${words}`);
  expect(remedy.startsWith("is the memory of this instance used up")).toBe(/memory/.test(words));
  // It is at it again.
  expect(howEnded({ ...unit, activity: "activating" })).toBeUndefined();
});

test("a run that has ended by itself", () => {
  expect(howEnded(FAILED)).toBeUndefined();
  expect(findingOfUnit(FAILED, undefined).found).toContain("exit status 75 (exit-code)");
});
