/** What is known of the Elastic IP that an association displaces, and when it is told. */
import { describe, expect, test } from "vitest";
import {
  afterObservation,
  afterWrite,
  type Displaced,
  type Displacement,
  NOTHING_DISPLACED,
  questionAbout,
  ipToDisplace,
} from "../../src/reconcile/displacement.ts";
import { address, ALLOCATION, HERE, NOBODY, observation, PUBLIC_IP, TARGET } from "./fixtures.ts";

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
  });
});
