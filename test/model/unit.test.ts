/** What systemd says of a unit. */
import { describe, expect, test } from "vitest";
import { isUnderWay, type Unit } from "../../src/model/unit.ts";

const unit = (activity: string, isQueued = false): Unit => ({
  enablement: "enabled",
  activity,
  isQueued,
  result: "success",
  needsReload: false,
  variables: [],
  environmentFiles: [],
  dropIns: [],
});

describe("a service is under way", () => {
  test.each([
    ["while it is starting", unit("activating"), true],
    ["while it is stopping", unit("deactivating"), true],
    ["while it is waiting for another unit", unit("inactive", true), true],
    ["not after it has ended well", unit("active"), false],
    ["not after it has failed", unit("failed"), false],
    ["not before its first start", unit("inactive"), false],
    ["not if systemd cannot be asked", undefined, false],
  ])("%s", (_, state, expected) => {
    expect(isUnderWay(state)).toBe(expected);
  });
});
