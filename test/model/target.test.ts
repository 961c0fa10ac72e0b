/** Where on the instance the address is to be, by the settings. */
import { describe, expect, test } from "vitest";
import { EXIT, Failure } from "../../src/model/failure.ts";
import type { Instance, NetworkInterface } from "../../src/model/instance.ts";
import { isNoSuchTarget, resolveTarget } from "../../src/model/target.ts";
import { statusOf } from "../../src/reconcile/retry.ts";

const networkInterface = (
  deviceIndex: number,
  privateIps: readonly string[],
  more: Partial<NetworkInterface> = {},
): NetworkInterface => ({
  interfaceId: `eni-0000000${deviceIndex}`,
  mac: `0a:00:00:00:00:0${deviceIndex}`,
  deviceIndex,
  cardIndex: 0,
  privateIps,
  publicIps: {},
  hasIpv6: false,
  ...more,
});
const SELF: Instance = {
  instanceId: "i-00000001",
  region: "us-east-1",
  zone: "us-east-1a",
  interfaces: [
    networkInterface(0, ["10.0.0.5", "10.0.0.6"], { publicIps: { "10.0.0.6": "203.0.113.7" } }),
    networkInterface(1, []),
    networkInterface(2, ["10.0.2.5"], { cardIndex: 1 }),
  ],
};

describe("the place", () => {
  test.each([
    ["the first one of all", 0, undefined, "eni-00000000 10.0.0.5"],
    ["a secondary address", 0, "10.0.0.6", "eni-00000000 10.0.0.6"],
    ["by id", "eni-00000002", undefined, "eni-00000002 10.0.2.5"],
    ["by MAC", "0a:00:00:00:00:02", undefined, "eni-00000002 10.0.2.5"],
  ])("%s", (_, wanted, privateIp, place) => {
    const target = resolveTarget(SELF, wanted, privateIp);
    expect(`${target.interfaceId} ${target.privateIp}`).toBe(place);
    expect(target.publicIp).toBe(privateIp === undefined ? undefined : "203.0.113.7");
  });

  test.each([
    ["no such interface", 7, undefined, "NoInterface", "eni-00000000 (index 0, 0a:00:00:00:00:00)"],
    ["no such index of card 0", 2, undefined, "NoInterface", "(index 2 of card 1, "],
    ["no such address", 0, "10.0.9.9", "NoSuchPrivateIp", "one of: 10.0.0.5, 10.0.0.6"],
    ["no address at all", 1, undefined, "NoPrivateIp", "an Elastic IP needs one"],
  ])("%s: waited for, and to be corrected in the end", (_, wanted, privateIp, code, says) => {
    const failure = failureOf(() => resolveTarget(SELF, wanted, privateIp));
    expect(failure).toMatchObject({ kind: "not-yet", code });
    expect(failure.message).toContain(says);
    expect(statusOf(failure)).toBe(EXIT.CONFIG);
    expect(isNoSuchTarget(failure)).toBe(true);
  });
});

function failureOf(work: () => unknown): Failure {
  try {
    work();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error("it has not failed");
}
