/** An address that people name by its public IP or its tag, and a pool that they list. */
import { describe, expect, test } from "vitest";
import type { DesiredAddress } from "../../src/model/address.ts";
import { begin, next } from "../../src/reconcile/machine.ts";
import { whyNoneOf } from "../../src/reconcile/pool.ts";
import { type Goal, NOTHING_DONE } from "../../src/reconcile/state.ts";
import { eventOf, FREE, GOAL, HERE_NOW, HOLD, play, shows } from "./attempts.ts";
import { address, ALLOCATION, HERE, NOBODY, observation, other, PUBLIC_IP } from "./fixtures.ts";

const BY_IP: DesiredAddress = { kind: "public-ip", publicIp: PUBLIC_IP };
const BY_TAG: DesiredAddress = { kind: "tagged", key: "Name", value: "mail" };
const BY_ID: DesiredAddress = { kind: "address", allocationId: ALLOCATION };
const goal = (desired: DesiredAddress): Goal => ({ ...GOAL, desired });

/** The names by which the address is looked at, one look after the other. */
function looksAt(desired: DesiredAddress): unknown[] {
  const looks: unknown[] = [];
  let step = begin(goal(desired), NOTHING_DONE, 0);
  for (const answer of [FREE, "accepts", HERE_NOW, HERE_NOW] as const) {
    if (step.effect.do === "observe") looks.push(step.effect.desired);
    step = next(step.state, eventOf(answer, 0, 0));
    if (step.effect.do === "sleep") step = next(step.state, { type: "slept", now: 6_000 });
  }
  return looks;
}

describe.each([
  ["its public IP", BY_IP],
  ["its tag", BY_TAG],
])("an address that is named by %s", (_, desired) => {
  test("takes the same steps as by its allocation id, and goes by that once it is known", () => {
    expect(looksAt(desired)).toEqual([desired, BY_ID, BY_ID]);
    expect(play(goal(desired), [FREE, "accepts", HERE_NOW, HERE_NOW]).done).toEqual(
      play(GOAL, [FREE, "accepts", HERE_NOW, HERE_NOW]).done,
    );
  });

  test("has the rules of a fixed address: an older instance loses it, a newer one keeps it", () => {
    const older = shows(address(other("running", -60)));
    const { done, end } = play(goal(desired), [older, "accepts", HERE_NOW, HERE_NOW]);
    expect(done).toEqual(["observe", "take", "observe anew", HOLD, "observe"]);
    expect(end).toMatchObject({ end: "settled", change: "taken" });
    expect(play(goal(desired), [shows(address(other("running", 60)))]).failure?.kind).toBe(
      "yielded",
    );
  });
});

test("that another address carries the tag of the one that is here is told once in a run", () => {
  const alike = ["eipalloc-00000000000000002 (203.0.113.8)"];
  const look = { shows: { ...observation(address(HERE)), alike } };
  const first = play(goal(BY_TAG), [look]);
  expect(first.end).toMatchObject({ end: "settled", change: "none" });
  expect(first.warnings).toEqual([
    `${ALLOCATION} (${PUBLIC_IP}) is kept, because it is on this instance; but ${alike[0]} carries the tag Name=mail, too, and no other instance could tell which is meant: leave the tag on that one only`,
  ]);
  expect(play(goal(BY_TAG), [look], first.memory).warnings).toEqual([]);
  const two = { shows: { ...look.shows, alike: [...alike, "eipalloc-00000000000000003"] } };
  expect(play(goal(BY_TAG), [two]).warnings).toEqual([
    expect.stringContaining(`but ${alike[0]}, eipalloc-00000000000000003 carry the tag`),
  ]);
});

test("a throttled claim is sent again without a look if the name is known to be that of the address", () => {
  const { memory } = play(goal(BY_IP), [FREE, "throttled"]);
  expect(begin(goal(BY_IP), memory, 0).effect.do).toBe("associate");
  expect(begin(goal({ kind: "public-ip", publicIp: "203.0.113.8" }), memory, 0).effect.do).toBe(
    "observe",
  );
  // The tag may be on another address by now.
  expect(begin(goal(BY_TAG), memory, 0).effect.do).toBe("observe");
});

describe("a listed pool", () => {
  const members = [ALLOCATION, "eipalloc-00000000000000009"];
  const pool = { kind: "pool", members } as const;

  test("goes by the rules of pools: nothing is taken from a running instance", () => {
    const { failure } = play(goal(pool), [shows(address(other("running", -60)))]);
    expect(failure?.kind).toBe("held");
    expect(failure?.message).toContain(`${ALLOCATION} (${PUBLIC_IP}) is held by`);
    expect(failure?.message).toContain(
      "not in this region and account: eipalloc-00000000000000009",
    );
    expect(failure?.message).toContain(`(the pool of ${members.join(", ")})`);
  });

  test("says which of its addresses are not here", () => {
    const many = Array.from({ length: 8 }, (_, at) => `198.51.100.${at}`);
    expect(whyNoneOf({ kind: "pool", members: many }, [], "no address carries that tag")).toBe(
      `not in this region and account: ${many.slice(0, 6).join(", ")} and 2 more`,
    );
    const six = many.slice(0, 6);
    expect(whyNoneOf({ kind: "pool", members: six }, [], "no address carries that tag")).toBe(
      `not in this region and account: ${six.join(", ")}`,
    );
    expect(whyNoneOf({ kind: "pool", members: [PUBLIC_IP] }, [address(NOBODY)], "why")).toBe("why");
    expect(whyNoneOf({ kind: "pool", key: "a", value: "b" }, [], "why")).toBe("why");
  });
});
