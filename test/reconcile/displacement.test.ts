/** What is known of the Elastic IP that an association displaces, and when it is told. */
import { describe, expect, test } from "vitest";
import {
  afterObservation,
  displacedLine,
  mayNotDisplace,
  wouldDisplaceLine,
  afterWrite,
  type Displaced,
  type Displacement,
  NOTHING_DISPLACED,
  questionAbout,
  ipToDisplace,
} from "../../src/reconcile/displacement.ts";
import type { AddressState } from "../../src/model/address.ts";
import { EXIT } from "../../src/model/failure.ts";
import { statusOf } from "../../src/reconcile/retry.ts";
import {
  address,
  ALLOCATION,
  HERE,
  mine,
  NOBODY,
  observation,
  other,
  PUBLIC_IP,
  TARGET,
} from "./fixtures.ts";

const OTHER = "203.0.113.9";
const elasticIp = { allocationId: "eipalloc-00000000000000003", publicIp: OTHER };
const UNKNOWN: Displaced = {
  publicIp: OTHER,
  by: { allocationId: ALLOCATION, publicIp: PUBLIC_IP },
};
const KNOWN: Displaced = { ...UNKNOWN, elasticIp };
const pending = (one: Displaced, gone: string[] = []): Displacement => ({ pending: one, gone });

describe("what stands at the target", () => {
  const occupied = { ...TARGET, publicIp: OTHER };

  test("a public address, unless test is the very one, or gone already", () => {
    expect(ipToDisplace(occupied, PUBLIC_IP, NOTHING_DISPLACED)).toBe(OTHER);
    expect(ipToDisplace(occupied, OTHER, NOTHING_DISPLACED)).toBeUndefined();
    expect(ipToDisplace(TARGET, PUBLIC_IP, NOTHING_DISPLACED)).toBeUndefined();
    expect(ipToDisplace(occupied, PUBLIC_IP, { gone: [OTHER] })).toBeUndefined();
  });
});

describe("after a write", () => {
  test.each<[string, Displaced | undefined, boolean, ReturnType<typeof afterWrite>]>([
    ["nothing stood there", undefined, true, { displacement: { gone: [] } }],
    [
      "accepted, and known what stood there: told",
      KNOWN,
      true,
      { displacement: { gone: [OTHER] }, certain: elasticIp },
    ],
    [
      "accepted, and not known: an observation tells",
      UNKNOWN,
      true,
      { displacement: pending(UNKNOWN, [OTHER]) },
    ],
    ["not answered", KNOWN, false, { displacement: pending(KNOWN) }],
  ])("%s", (_, displaced, isAccepted, expected) => {
    expect(afterWrite(NOTHING_DISPLACED, displaced, isAccepted)).toEqual(expected);
  });
});

describe("an observation", () => {
  const here = observation(address(HERE));
  const elsewhere = observation(address(NOBODY));

  test("that shows the address here makes an unanswered displacement certain", () => {
    expect(afterObservation(pending(KNOWN), here, TARGET)).toEqual({
      displacement: { gone: [OTHER] },
      certain: elasticIp,
    });
  });

  test("tells nothing where nothing may have been displaced", () => {
    const before = { gone: [OTHER] };
    expect(afterObservation(before, here, TARGET)).toEqual({ displacement: before });
  });

  test("shows the address here among others, and no other address and no other place will do", () => {
    const another = { allocationId: "eipalloc-00000000000000009" };
    const isCertain = (...addresses: AddressState[]) =>
      afterObservation(pending(KNOWN), observation(...addresses), TARGET).certain !== undefined;
    expect(
      isCertain(address(NOBODY, another), address(HERE), address(other("running"), another)),
    ).toBe(true);
    expect(isCertain(address(HERE, another))).toBe(false);
    expect(isCertain(address(mine("eni-00000000000000002", "10.0.0.6")))).toBe(false);
    expect(isCertain(address(other("running")))).toBe(false);
    expect(isCertain()).toBe(false);
  });

  test("that does not leaves it open", () => {
    expect(afterObservation(pending(KNOWN), elsewhere, TARGET)).toEqual({
      displacement: pending(KNOWN),
    });
  });

  test("says besides what stood there; what it does not call an Elastic IP was none", () => {
    const known = afterObservation(
      pending(UNKNOWN, [OTHER]),
      { ...here, displaced: elasticIp },
      TARGET,
    );
    expect(known.certain).toEqual(elasticIp);
    const none = afterObservation(pending(UNKNOWN, [OTHER]), here, TARGET);
    expect(none).toEqual({ displacement: { gone: [OTHER] } });
  });

  test("is asked that only about the address that displaced it, and only if it is not known", () => {
    const desired = { kind: "address", allocationId: ALLOCATION } as const;
    expect(questionAbout(pending(UNKNOWN), desired)).toEqual({ publicIp: OTHER, by: PUBLIC_IP });
    expect(questionAbout(pending(KNOWN), desired)).toBeUndefined();
    expect(questionAbout(NOTHING_DISPLACED, desired)).toBeUndefined();
    expect(
      questionAbout(pending(UNKNOWN), { ...desired, allocationId: "eipalloc-2" }),
    ).toBeUndefined();
    const pool = { kind: "pool", key: "eip-pool", value: "web" } as const;
    expect(questionAbout(pending(UNKNOWN), pool)).toBeUndefined();
    // Without a public address of its own it cannot be told from what stood there.
    const nameless = { ...UNKNOWN, by: { allocationId: ALLOCATION } };
    expect(questionAbout(pending(nameless), desired)).toBeUndefined();
  });
});

describe("people are told of an Elastic IP in the way", () => {
  test("by its id and its address", () => {
    for (const line of [displacedLine(elasticIp, TARGET), wouldDisplaceLine(elasticIp, TARGET)]) {
      expect(line).toContain(elasticIp.allocationId);
      expect(line).toContain(OTHER);
      expect(line).toContain(TARGET.interfaceId);
    }
  });

  test("which is a mistake that somebody has to correct, where it may not be displaced", () => {
    const failure = mayNotDisplace(TARGET, elasticIp);
    expect(statusOf(failure)).toBe(EXIT.CONFIG);
    for (const word of [elasticIp.allocationId, TARGET.interfaceId, "EIP_HEAL_DISPLACE"]) {
      expect(failure.message).toContain(word);
    }
  });
});
