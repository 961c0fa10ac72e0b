/** Where on the instance the address is to be, by the settings. */
import { describe, expect, test } from "vitest";
import { EXIT, Failure, OWN_CODE } from "../../src/model/failure.ts";
import type { Instance, NetworkInterface } from "../../src/model/instance.ts";
import {
  isAlsoPlaceOf,
  isNoSuchTarget,
  nameTarget,
  resolveTarget,
} from "../../src/model/target.ts";
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
    const target = resolveTarget(SELF, { interface: wanted, privateIp });
    expect(`${target.interfaceId} ${target.privateIp}`).toBe(place);
    expect(target.publicIp).toBe(privateIp === undefined ? undefined : "203.0.113.7");
  });

  test.each([
    ["no such interface", 7, undefined, "NoInterface", "0 (eni-00000000, 0a:00:00:00:00:00)"],
    ["no such index of card 0", 2, undefined, "NoInterface", "(index 2 of card 1, "],
    ["no such address", 0, "10.0.9.9", "NoSuchPrivateIp", "one of: 10.0.0.5, 10.0.0.6"],
    ["no address at all", 1, undefined, "NoPrivateIp", "an Elastic IP needs one"],
  ])("%s: waited for, and to be corrected in the end", (_, wanted, privateIp, code, says) => {
    const failure = failureOf(() => resolveTarget(SELF, { interface: wanted, privateIp }));
    // Instance metadata costs nobody anything, so it is looked at often.
    expect(failure).toMatchObject({ kind: "not-yet", code, details: { isLocal: true } });
    expect(failure.message).toContain(says);
    expect(statusOf(failure)).toBe(EXIT.CONFIG);
    expect(isNoSuchTarget(failure)).toBe(true);
  });
});

test("a place that was named after an @ is corrected there, not in a setting", () => {
  const after = (wanted: number | string) =>
    failureOf(() => resolveTarget(SELF, { interface: wanted, afterAt: true }));
  expect(after(7).message).toMatch(
    /^no network interface 7 on i-00000001; name one of these after the @: 0 \(eni-00000000, /,
  );
  expect(after(7).details).not.toHaveProperty("setting");
  expect(after(1).message).toContain("name another interface after the @, or assign one to it");
});

describe("a place of several, by its private address", () => {
  test("is on the interface that has it", () => {
    expect(resolveTarget(SELF, { interface: "10.0.0.6", privateIp: "10.0.0.6" })).toMatchObject({
      interfaceId: "eni-00000000",
      privateIp: "10.0.0.6",
      primaryIp: false,
    });
  });

  test("is waited for as long as nobody has it, and all that there are are named", () => {
    const failure = failureOf(() =>
      resolveTarget(SELF, { interface: "10.0.9.9", privateIp: "10.0.9.9" }),
    );
    expect(failure).toMatchObject({
      kind: "not-yet",
      code: OWN_CODE.noSuchPrivateIp,
      details: { isLocal: true },
    });
    expect(failure.message).toMatch(/^no private address 10\.0\.9\.9 on i-00000001; /);
    expect(failure.message).toContain("10.0.0.5, 10.0.0.6, 10.0.2.5");
    expect(statusOf(failure)).toBe(EXIT.CONFIG);
  });

  test.each<[string, number | string, string | undefined, boolean]>([
    ["another name of it", "eni-00000000", "10.0.0.6", true],
    ["its address", "10.0.0.6", "10.0.0.6", true],
    ["another address beside it", 0, undefined, false],
    ["another interface", "eni-00000002", undefined, false],
    ["one that is not there", 7, undefined, false],
  ])("is also that of %s: %s, %s: %s", (_, wanted, wantedIp, isSame) => {
    const place = resolveTarget(SELF, { interface: 0, privateIp: "10.0.0.6" });
    expect(isAlsoPlaceOf(place, SELF, { interface: wanted, privateIp: wantedIp })).toBe(isSame);
  });

  test("is another one on an interface in another VPC that has the same private address", () => {
    const interfaces = [networkInterface(0, ["10.0.0.5"]), networkInterface(1, ["10.0.0.5"])];
    const self = { ...SELF, interfaces };
    const place = resolveTarget(self, { interface: 0, privateIp: undefined });
    expect(isAlsoPlaceOf(place, self, { interface: 1, privateIp: undefined })).toBe(false);
  });
});

describe("EC2 is told", () => {
  const [first] = SELF.interfaces as [NetworkInterface];

  test("the instance alone where it has one interface, and the interface where it has several", () => {
    expect(resolveTarget(SELF, { interface: 0 }).onlyInterface).toBe(false);
    const alone = { ...SELF, interfaces: [first] };
    expect(resolveTarget(alone, { interface: 0 }).onlyInterface).toBe(true);
  });

  test("the private address where it is not the primary one", () => {
    expect(resolveTarget(SELF, { interface: 0 }).primaryIp).toBe(true);
    expect(resolveTarget(SELF, { interface: 0, privateIp: "10.0.0.5" }).primaryIp).toBe(true);
    expect(resolveTarget(SELF, { interface: 0, privateIp: "10.0.0.6" }).primaryIp).toBe(false);
  });
});

test.each([
  [
    "EIP_HEAL_INTERFACE",
    7,
    undefined,
    "0 (eni-00000000, 0a:00:00:00:00:00), 1 (eni-00000001, 0a:00:00:00:00:01), eni-00000002 (index 2 of card 1, 0a:00:00:00:00:02)",
  ],
  ["EIP_HEAL_PRIVATE_IP", 0, "10.0.9.9", "10.0.0.5, 10.0.0.6"],
])("whoever has to correct %s is told what there is", (key, wanted, privateIp, accepted) => {
  const { setting } = failureOf(() =>
    resolveTarget(SELF, { interface: wanted, privateIp }),
  ).details;
  expect(setting).toEqual({ key, accepted });
});

test("a place has the names of the instance, the interface and the private address", () => {
  const target = resolveTarget(SELF, { interface: 0, privateIp: "10.0.0.6" });
  expect(nameTarget(target)).toBe("i-00000001 eni-00000000 10.0.0.6");
  // Without a public address there is none, rather than one that is undefined.
  expect(resolveTarget(SELF, { interface: 0 })).not.toHaveProperty("publicIp");
});

test("a device index is one of card 0, and a text is never an index", () => {
  const second = networkInterface(0, ["10.0.1.5"], { cardIndex: 1, interfaceId: "eni-00000009" });
  const self = { ...SELF, interfaces: [second, ...SELF.interfaces] };
  expect(resolveTarget(self, { interface: 0 }).interfaceId).toBe("eni-00000000");
  expect(() => resolveTarget(SELF, { interface: "0" })).toThrow(Failure);
});

test("a failure of another kind is not that there is no such place", () => {
  expect(isNoSuchTarget(new Failure("not-yet", { why: "no tag", code: OWN_CODE.noTag }))).toBe(
    false,
  );
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
