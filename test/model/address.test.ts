/** Elastic IPs and who holds them: who may use one, and what each is called. */
import { describe, expect, test } from "vitest";
import {
  type AddressState,
  type DesiredAddress,
  describeState,
  type InstanceState,
  isAt,
  isFree,
  isNameOf,
  isUsableIn,
  missingMembers,
  nameAddress,
  nameDesired,
  nameHolder,
} from "../../src/model/address.ts";
import {
  address,
  ALLOCATION,
  HERE,
  mine,
  NOBODY,
  other,
  PUBLIC_IP,
  TARGET,
} from "../reconcile/fixtures.ts";

describe("an address is at the target", () => {
  test.each([
    ["on just that interface and private address", HERE, true],
    ["not on another interface", mine("eni-2", TARGET.privateIp), false],
    ["not on another private address", mine(TARGET.interfaceId, "10.0.0.6"), false],
    [
      "not where EC2 does not tell the place",
      { ...mine("", ""), interfaceId: undefined as never },
      false,
    ],
  ])("%s", (_, holder, expected) => {
    expect(isAt(TARGET, holder)).toBe(expected);
  });
});

test("an address has two names that are known without asking EC2", () => {
  const one = { allocationId: ALLOCATION, publicIp: PUBLIC_IP };
  expect(isNameOf({ kind: "address", allocationId: ALLOCATION }, one)).toBe(true);
  expect(isNameOf({ kind: "public-ip", publicIp: PUBLIC_IP }, one)).toBe(true);
  expect(isNameOf({ kind: "address", allocationId: "eipalloc-00000002" }, one)).toBe(false);
  expect(isNameOf({ kind: "public-ip", publicIp: "203.0.113.70" }, one)).toBe(false);
  expect(isNameOf({ kind: "public-ip", publicIp: PUBLIC_IP }, { allocationId: ALLOCATION })).toBe(
    false,
  );
  expect(isNameOf({ kind: "tagged", key: "Name", value: "mail" }, one)).toBe(false);
  expect(isNameOf({ kind: "pool", members: [ALLOCATION] }, one)).toBe(false);
  // A role that may not see public addresses: two that are unknown are not the same.
  const unseen = { allocationId: ALLOCATION };
  expect(isNameOf({ kind: "tagged", key: "Name", value: "mail" }, unseen)).toBe(false);
});

test("of a listed pool those are missing that EC2 shows under neither name", () => {
  const members = [ALLOCATION, PUBLIC_IP, "eipalloc-00000002", "198.51.100.1"];
  const shown = [address(NOBODY)];
  expect(missingMembers({ kind: "pool", members }, shown)).toEqual([
    "eipalloc-00000002",
    "198.51.100.1",
  ]);
  expect(missingMembers({ kind: "pool", key: "a", value: "b" }, [])).toEqual([]);
});

test("an address is free if nobody holds it", () => {
  expect(isFree(address(NOBODY))).toBe(true);
  expect(isFree(address(other("terminated")))).toBe(false);
  expect(isFree(address({ kind: "interface", interfaceId: "eni-1" }))).toBe(false);
});

describe("an instance in us-east-1a may use", () => {
  const ZONES: [string, Partial<AddressState>, boolean][] = [
    ["one of its region", { borderGroup: "us-east-1" }, true],
    ["one that is reserved for its zone", { borderGroup: "us-east-1", zone: "us-east-1a" }, true],
    ["none of another zone", { borderGroup: "us-east-1", zone: "us-east-1b" }, false],
    ["none of a Local Zone", { borderGroup: "us-east-1-bos-1" }, false],
    [
      "none of another region for its zone",
      { borderGroup: "us-west-2", zone: "us-east-1a" },
      false,
    ],
  ];

  test.each(ZONES)("%s", (_, more, expected) => {
    expect(isUsableIn(address(NOBODY, more), "us-east-1a")).toBe(expected);
  });

  test("one whose border group EC2 does not show", () => {
    const { borderGroup: _, ...unknown } = address(NOBODY);
    expect(isUsableIn(unknown, "us-east-1a")).toBe(true);
  });
});

describe("for people", () => {
  test.each([
    ["eipalloc-1", "203.0.113.7", "eipalloc-1 (203.0.113.7)"],
    ["eipalloc-1", undefined, "eipalloc-1"],
    [undefined, "203.0.113.7", "203.0.113.7"],
    [undefined, undefined, ""],
  ])("an address %s %s is %s", (allocationId, publicIp, name) => {
    expect(nameAddress(allocationId, publicIp)).toBe(name);
  });

  test.each<[string, DesiredAddress, string]>([
    ["an allocation id", { kind: "address", allocationId: "eipalloc-1" }, "eipalloc-1"],
    ["a public address", { kind: "public-ip", publicIp: "203.0.113.7" }, "203.0.113.7"],
    [
      "the tag of one address",
      { kind: "tagged", key: "Name", value: "mail" },
      "the address with the tag Name=mail",
    ],
    ["the tag of a pool", { kind: "pool", key: "eip-pool", value: "web" }, "the pool eip-pool=web"],
    [
      "a list of as many as can be named",
      { kind: "pool", members: ["eipalloc-1", "203.0.113.7", "eipalloc-3"] },
      "the pool of eipalloc-1, 203.0.113.7, eipalloc-3",
    ],
    [
      "a longer list",
      { kind: "pool", members: ["eipalloc-1", "eipalloc-2", "eipalloc-3", "x", "y"] },
      "the pool of eipalloc-1, eipalloc-2, eipalloc-3 and 2 more",
    ],
  ])("what is desired, by %s", (_, desired, name) => {
    expect(nameDesired(desired)).toBe(name);
  });

  test("a holder has its state beside it, where that is known", () => {
    expect(nameHolder(other("stopped"))).toBe("i-00000000000000007 (stopped)");
    expect(nameHolder({ kind: "instance", instanceId: "i-1" })).toBe("i-1");
    expect(nameHolder({ kind: "interface", interfaceId: "eni-1" })).toBe("eni-1 (available)");
  });

  test("what is no state of EC2's is said in words", () => {
    const states: InstanceState[] = ["unknown", "unrecognized", "unanswered"];
    const words = states.map((state) => describeState(other(state)) ?? "");
    expect(new Set(words).size).toBe(3);
    for (const [index, state] of states.entries()) {
      expect(words[index]).toMatch(/ /);
      expect(words[index]).not.toBe(state);
    }
    expect(describeState(other("shutting-down"))).toBe("shutting-down");
    expect(describeState({ kind: "instance", instanceId: "i-1" })).toBeUndefined();
  });
});
