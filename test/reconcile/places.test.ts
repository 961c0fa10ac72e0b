/** Attempts at one address of several: of a pool, at a target that has another, on an instance with others. */
import { describe, expect, test } from "vitest";
import type { AddressState, ElasticIp } from "../../src/model/address.ts";
import { begin, next } from "../../src/reconcile/machine.ts";
import { type Goal, NOTHING_DONE } from "../../src/reconcile/state.ts";
import { FRESH_MS } from "../../src/reconcile/bounds.ts";
import {
  eventOf,
  FREE,
  GOAL,
  HELD_BY_OLDER,
  HERE_NOW,
  HOLD,
  play,
  POOL,
  READ_BACK_UNSURE,
  shows,
} from "./attempts.ts";
import { address, ALLOCATION, HERE, NOBODY, observation, other, TARGET } from "./fixtures.ts";

describe("a pool", () => {
  const first = address(NOBODY);
  const second = address(NOBODY, {
    allocationId: "eipalloc-00000000000000002",
    publicIp: "203.0.113.8",
  });

  test("a hold is of one address: another one that is here instead is held anew", () => {
    const here = (one: AddressState): AddressState => ({ ...one, holder: HERE });
    const { done, end } = play(POOL, [
      shows(first),
      "accepts",
      shows(here(first)),
      shows(here(second)),
      shows(here(second)),
    ]);
    expect(done.slice(3)).toEqual([HOLD, "observe", HOLD, "observe"]);
    expect(end).toMatchObject({ end: "settled" });
  });

  test("a lost claim moves on at once", () => {
    const held = (one: AddressState): AddressState => ({ ...one, holder: HERE });
    const { done, end } = play(POOL, [
      shows(first, second),
      "held",
      "accepts",
      shows(held(first), held(second)),
      shows(held(first), held(second)),
    ]);
    expect(done).toEqual(["observe", "associate", "associate", "observe anew", HOLD, "observe"]);
    expect(end).toEqual({ end: "settled", change: "associated" });
  });

  test("throttled: as many contend as there are free addresses", () => {
    const { failure } = play(POOL, [shows(first, second), "throttled"]);
    expect(failure?.details.contenders).toBe(2);
  });

  test("none to be had", () => {
    const { failure } = play(POOL, [shows(address(other("running", -60)))]);
    expect(failure?.kind).toBe("held");
    expect(failure?.message).toContain("no address is free for us-east-1a: ");
  });
});

describe("another Elastic IP at the target", () => {
  const there = { allocationId: "eipalloc-00000000000000003", publicIp: "203.0.113.9" };
  const occupied = { ...TARGET, publicIp: there.publicIp };
  const line = expect.stringContaining(
    `${there.allocationId} (203.0.113.9) was disassociated`,
  ) as string;

  test("is displaced, and named when EC2 shows what it was: no further request", () => {
    const { done, warnings, end } = play({ ...GOAL, target: occupied }, [
      FREE,
      "accepts",
      { shows: { ...observation(address(HERE)), displaced: there } },
      HERE_NOW,
    ]);
    expect(done).toEqual([
      "observe",
      "associate",
      "observe anew what was displaced",
      HOLD,
      "observe",
    ]);
    expect(warnings).toEqual([line]);
    expect(end).toMatchObject({ change: "associated" });
  });

  test("is asked for before where it may not be displaced, and stays", () => {
    const goal = { ...GOAL, target: occupied, mayDisplace: false };
    const { done, failure } = play(goal, [FREE, { identifies: there }]);
    expect(done).toEqual(["observe", "identify"]);
    expect(failure?.kind).toBe("misconfigured");
    expect(failure?.message).toContain("EIP_HEAL_DISPLACE is no");
  });

  describe("that is another one of this instance", () => {
    const byName = {
      name: "mail@1",
      address: { kind: "public-ip", publicIp: there.publicIp },
    } as const;
    const byId = {
      name: "second@1",
      address: { kind: "address", allocationId: there.allocationId },
    } as const;
    const goal = { ...GOAL, target: occupied, mayDisplace: false };
    const answers = (elasticIp: ElasticIp) =>
      [FREE, { identifies: elasticIp }, "accepts", HERE_NOW, HERE_NOW] as const;

    test.each<[string, Partial<Goal>, ElasticIp]>([
      ["by its allocation id", { others: [byId] }, there],
      ["by its public address", { others: [byName] }, there],
      ["as EC2 tells", {}, { ...there, isOwn: true }],
    ])("%s: it may be displaced, which nobody is warned of", (_, others, elasticIp) => {
      const { end, warnings } = play({ ...goal, ...others }, answers(elasticIp));
      expect(end).toMatchObject({ end: "settled", change: "associated" });
      expect(warnings).toEqual([]);
    });

    test("a dry run does not warn of it either", () => {
      const dry = { ...goal, others: [byId], dryRun: true };
      const { end, warnings } = play(dry, [FREE, { identifies: there }]);
      expect(end).toEqual({ end: "would", change: "associated" });
      expect(warnings).toEqual([]);
    });

    test("one of somebody else stays", () => {
      const others = [
        { ...byId, address: { kind: "address", allocationId: "eipalloc-0" } },
      ] as const;
      expect(play({ ...goal, others }, [FREE, { identifies: there }]).failure?.kind).toBe(
        "misconfigured",
      );
    });

    test.each<[string, Goal["others"], readonly string[]]>([
      ["with all whose allocation ids are known", [byId, byName], [ALLOCATION, there.allocationId]],
      ["and without, where no other is", [byName], []],
      ["or where there is no other", undefined, []],
    ])("EC2 is asked which it is %s", (_, others, own) => {
      const first = begin({ ...goal, ...(others && { others }) }, NOTHING_DONE, 0);
      const { effect } = next(first.state, eventOf(FREE, 0, 0));
      expect(effect).toMatchObject({ do: "identify", publicIp: there.publicIp, own });
    });
  });

  test("is none: what EC2 has assigned by itself may go", () => {
    const goal = { ...GOAL, target: occupied, mayDisplace: false };
    const { done, warnings } = play(goal, [
      FREE,
      { identifies: undefined },
      "accepts",
      HERE_NOW,
      HERE_NOW,
    ]);
    expect(done.slice(0, 4)).toEqual(["observe", "identify", "associate", "observe anew"]);
    expect(warnings).toEqual([]);
  });

  test("asking takes time too: a take needs a fresh observation afterwards", () => {
    const goal = { ...GOAL, target: occupied, mayDisplace: false };
    const { done } = play(goal, [
      HELD_BY_OLDER,
      { identifies: undefined, after: FRESH_MS + 1 },
      HELD_BY_OLDER,
      "accepts",
      HERE_NOW,
      HERE_NOW,
    ]);
    expect(done).toEqual([
      "observe",
      "identify",
      "observe",
      "take",
      "observe anew",
      HOLD,
      "observe",
    ]);
  });

  test("is in the way where EC2 refuses a place that is taken: taken on a fresh observation, and held", () => {
    const { done, end, warnings } = play({ ...GOAL, target: occupied }, [
      FREE,
      "held",
      FREE,
      FREE,
      FREE,
      FREE,
      { identifies: there },
      "accepts",
      HERE_NOW,
      HERE_NOW,
    ]);
    expect(done).toEqual([
      "observe",
      "associate",
      ...READ_BACK_UNSURE,
      "observe",
      "identify",
      "take",
      "observe anew",
      HOLD,
      "observe",
    ]);
    expect(end).toMatchObject({ change: "associated" });
    expect(warnings).toEqual([line]);
  });

  test("is not what EC2 has refused, if it is no Elastic IP: then somebody was quicker", () => {
    const { done, failure } = play({ ...GOAL, target: occupied }, [
      FREE,
      "held",
      FREE,
      FREE,
      FREE,
      FREE,
      { identifies: undefined },
    ]);
    expect(done).not.toContain("take");
    expect(failure?.kind).toBe("held");
  });

  test("a dry run names what would be displaced", () => {
    const goal = { ...GOAL, target: occupied, dryRun: true };
    const { warnings, end } = play(goal, [FREE, { identifies: there }]);
    expect(warnings).toEqual([expect.stringContaining("would be disassociated")]);
    expect(end).toEqual({ end: "would", change: "associated" });
  });
});

describe("an instance with several Elastic IPs, where EC2 does not show which is where", () => {
  const somewhere = address(
    { kind: "instance", instanceId: TARGET.instanceId, state: "running" },
    { elasticIpHere: "203.0.113.7" },
  );
  const goal = { ...GOAL, target: { ...TARGET, publicIp: "203.0.113.7" } };

  test("it is at the target: associating it there changes nothing", () => {
    const { done, end } = play(goal, [shows(somewhere), "accepts", shows(somewhere)]);
    expect(done).toEqual(["observe", "probe", "observe"]);
    expect(end).toEqual({ end: "settled", change: "none" });
  });

  test("it is elsewhere: refused, then moved", () => {
    const { done, end } = play(goal, [
      shows(somewhere),
      "held",
      "accepts",
      shows(somewhere),
      shows(somewhere),
    ]);
    expect(done).toEqual(["observe", "probe", "take", "observe anew", HOLD, "observe"]);
    expect(end).toMatchObject({ end: "settled", change: "taken" });
  });

  test("it is elsewhere, and is looked at again before the take: that is not found out twice", () => {
    const slow = { shows: observation(somewhere), after: FRESH_MS + 1 };
    const again = [shows(somewhere), "accepts", shows(somewhere), shows(somewhere)] as const;
    const { done } = play(goal, [slow, "held", ...again]);
    expect(done.slice(0, 4)).toEqual(["observe", "probe", "observe", "take"]);
  });
});
