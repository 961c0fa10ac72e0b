/** Which address of a pool an instance goes for. */
import { describe, expect, test } from "vitest";
import type { AddressState, Holder } from "../../src/model/address.ts";
import { choose, type PoolTakeover } from "../../src/reconcile/pool.ts";
import { HERE, address, ME, mine, NOBODY, other, TARGET, ZONE } from "./fixtures.ts";

const numbered = (n: number, holder: Holder, more: Partial<AddressState> = {}) =>
  address(holder, {
    allocationId: `eipalloc-0000000${n}`,
    publicIp: `203.0.113.${n}`,
    ...more,
  });
const choice = (
  addresses: readonly AddressState[],
  lost: readonly string[] = [],
  unknownForMs = 0,
  poolTakeover: PoolTakeover = "no",
) => choose(TARGET, ZONE, addresses, poolTakeover, lost, () => unknownForMs);
const chosen = (...args: Parameters<typeof choice>) => {
  const found = choice(...args);
  return found.address === undefined
    ? found.why
    : `${found.decision.do} ${found.address.publicIp?.split(".").at(-1)}`;
};

describe("an instance goes for", () => {
  test.each<[string, AddressState[], string]>([
    ["the one that is here", [numbered(1, NOBODY), numbered(2, HERE)], "settled 2"],
    [
      "the one that is here, whatever else it holds",
      [numbered(1, mine("eni-2", "10.0.0.6")), numbered(2, HERE)],
      "settled 2",
    ],
    [
      "one that it holds elsewhere, before a free one",
      [numbered(1, NOBODY), numbered(2, mine("eni-2", "10.0.0.6"))],
      "take 2",
    ],
    ["a free one", [numbered(1, other("stopped")), numbered(2, NOBODY)], "associate 2"],
    [
      "one of an instance that is gone",
      [numbered(1, other("running", -60)), numbered(2, other("stopped"))],
      "take 2",
    ],
    [
      "its own zone's, before one for all",
      [numbered(1, NOBODY), numbered(2, NOBODY, { zone: ZONE }), numbered(3, NOBODY)],
      "associate 2",
    ],
    [
      "none of another zone",
      [numbered(1, NOBODY, { zone: "us-east-1b" })],
      "no address is free for us-east-1a: eipalloc-00000001 (203.0.113.1) is for us-east-1b",
    ],
    [
      "none of another border group",
      [numbered(1, NOBODY, { borderGroup: "us-east-1-bos-1" })],
      "no address is free for us-east-1a: eipalloc-00000001 (203.0.113.1) is for us-east-1-bos-1",
    ],
    [
      "none of a running instance, however old",
      [numbered(1, other("running", -9_999))],
      "no address is free for us-east-1a: eipalloc-00000001 (203.0.113.1) is held by i-00000000000000007 (running)",
    ],
    [
      "none of a NAT gateway",
      [numbered(1, { kind: "other", what: "eni-9, a NAT gateway" })],
      "no address is free for us-east-1a: eipalloc-00000001 (203.0.113.1) is held by eni-9, a NAT gateway",
    ],
    ["none where none carries the tag", [], "no address carries that tag"],
  ])("%s", (_, addresses, expected) => {
    expect(chosen(addresses)).toBe(expected);
  });

  test("its own zone's first, in whatever order EC2 shows them, and whoever it is", () => {
    const own = numbered(2, NOBODY, { zone: ZONE });
    const others = [numbered(1, NOBODY), numbered(3, NOBODY), numbered(4, NOBODY)];
    for (let n = 0; n < 20; n++) {
      const target = { ...TARGET, instanceId: `i-0000000${n}` };
      for (const addresses of [
        [own, ...others],
        [...others, own],
      ]) {
        expect(choose(target, ZONE, addresses, "no", [], () => 0).address).toBe(own);
      }
    }
  });

  test("none, and names six of those that it may not have", () => {
    const held = (count: number) =>
      Array.from({ length: count }, (_, n) => numbered(n, other("running", -60)));
    const namedOf = (why: string) => why.match(/eipalloc-/g)?.length;
    expect(namedOf(chosen(held(6)))).toBe(6);
    expect(chosen(held(6))).not.toContain("more");
    expect(namedOf(chosen(held(8)))).toBe(6);
    expect(chosen(held(8))).toMatch(/ and 2 more$/);
  });

  test("not one that somebody else was quicker with", () => {
    const one = numbered(1, NOBODY);
    expect(chosen([one, numbered(2, NOBODY)], [one.allocationId])).toBe("associate 2");
    expect(chosen([one], [one.allocationId])).toContain("was claimed by somebody else just now");
  });

  test("not one of an instance that EC2 may not know yet", () => {
    expect(chosen([numbered(1, other("unknown"))], [], 14_999)).toContain("no address is free");
    expect(chosen([numbered(1, other("unknown"))], [], 15_000)).toBe("take 1");
  });
});

describe("with the pool takeover oldest it goes for", () => {
  const A = "i-0000000000000001a";
  const B = "i-0000000000000001b";
  /** The instance itself is ME, ...5a. */
  const HIGHER = "i-0000000000000006a";
  const LOWER = "i-0000000000000004a";
  const NONE = "no address is free";

  test.each<[string, AddressState[], string]>([
    [
      "the one that is here, whoever is older",
      [numbered(1, other("running", -60)), numbered(2, HERE)],
      "settled 2",
    ],
    [
      "one that it holds elsewhere",
      [numbered(1, other("running", -60)), numbered(2, mine("eni-2", "10.0.0.6"))],
      "take 2",
    ],
    ["a free one first", [numbered(1, other("running", -60)), numbered(2, NOBODY)], "associate 2"],
    [
      "one of an instance that is gone first, however young that was",
      [numbered(1, other("running", -60)), numbered(2, other("stopped", 60, B))],
      "take 2",
    ],
    [
      "the oldest one's",
      [
        numbered(1, other("running", -60, A)),
        numbered(2, other("running", -90, B)),
        numbered(3, other("running", -30, HIGHER)),
      ],
      "take 2",
    ],
    [
      "a pending one's too",
      [numbered(1, other("running", -60, A)), numbered(2, other("pending", -90, B))],
      "take 2",
    ],
    [
      "of two launched in the same second the lower id's",
      [numbered(1, other("running", -60, B)), numbered(2, other("running", -60, A))],
      "take 2",
    ],
    [
      "a lower id's that was launched in the second of this one",
      [numbered(1, other("running", 0, HIGHER)), numbered(2, other("running", 0, LOWER))],
      "take 2",
    ],
    [
      "no higher id's that was launched in the second of this one",
      [numbered(1, other("running", 0, HIGHER))],
      NONE,
    ],
    [
      "none of a newer one",
      [numbered(1, other("running", 1)), numbered(2, other("pending", 9))],
      NONE,
    ],
    [
      "the oldest one's whose launch EC2 shows",
      [
        numbered(1, { kind: "instance", instanceId: A, state: "running" }),
        numbered(2, other("running", -60, B)),
      ],
      "take 2",
    ],
    [
      "none while EC2 does not show its own launch",
      [{ allocationId: "eipalloc-00000001", holder: other("running", -60) }],
      NONE,
    ],
    [
      "none of another zone or border group, however old",
      [
        numbered(1, other("running", -90, A), { zone: "us-east-1b" }),
        numbered(2, other("running", -80, B), { borderGroup: "us-east-1-bos-1" }),
        numbered(3, other("running", -60, LOWER)),
      ],
      "take 3",
    ],
    ["none of a NAT gateway", [numbered(1, { kind: "other", what: "eni-9, a NAT gateway" })], NONE],
  ])("%s", (_, addresses, expected) => {
    expect(chosen(addresses, [], 0, "oldest")).toContain(expected);
  });

  test("none that somebody else was quicker with", () => {
    const one = numbered(1, other("running", -90, A));
    const two = numbered(2, other("running", -60, B));
    expect(chosen([one, two], [one.allocationId], 0, "oldest")).toBe("take 2");
    expect(chosen([one], [one.allocationId], 0, "oldest")).toContain(NONE);
  });

  test("none of an instance that EC2 may not know yet", () => {
    const young = numbered(1, other("unknown", -90, A));
    expect(chosen([young], [], 0, "oldest")).toContain(NONE);
    expect(chosen([young, numbered(2, other("running", -60, B))], [], 0, "oldest")).toBe("take 2");
    expect(chosen([young], [], 15_000, "oldest")).toBe("take 1");
  });

  test("one that it is told from whom, and why", () => {
    const holder = other("running", -60, A);
    expect(choice([numbered(1, holder)], [], 0, "oldest")).toMatchObject({
      decision: {
        do: "take",
        from: holder,
        because: `${A} is the oldest instance that holds one, and was launched before this one`,
      },
    });
  });
});

test("instances reach for different addresses, and each for the same one again", () => {
  const addresses = Array.from({ length: 100 }, (_, n) =>
    address(NOBODY, { allocationId: `eipalloc-${String(n).padStart(8, "0")}` }),
  );
  const reach = (instanceId: string) =>
    choose({ ...TARGET, instanceId }, ZONE, addresses, "no", [], () => 0).address?.allocationId;
  const reached = Array.from({ length: 50 }, (_, n) => reach(`i-${String(n).padStart(8, "0")}`));
  expect(new Set(reached).size).toBeGreaterThan(30);
  expect(reach(ME)).toBe(reach(ME));
});

test("names six of those that are not to be had, and counts the others", () => {
  const found = choice(Array.from({ length: 9 }, (_, n) => numbered(n, other("running", -60))));
  expect(found.address).toBeUndefined();
  expect(String("why" in found && found.why)).toMatch(/eipalloc-00000005 .* and 3 more$/);
});
