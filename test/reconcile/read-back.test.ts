/** What is made of a write: whether EC2 shows it, what a refusal means, and what is remembered of both. */
import { describe, expect, test } from "vitest";
import type { AddressState } from "../../src/model/address.ts";
import { begin, next } from "../../src/reconcile/machine.ts";
import { type Goal, type Memory, NOTHING_DONE } from "../../src/reconcile/state.ts";
import { FRESH_MS, SLOWEST_LOOK_MS } from "../../src/reconcile/bounds.ts";
import {
  after,
  type Answer,
  FREE,
  GOAL,
  HELD_BY_NEWER,
  HELD_BY_OLDER,
  HERE_NOW,
  HOLD,
  play,
  POOL,
  READ_BACK_UNSURE,
  shows,
} from "./attempts.ts";
import {
  address,
  ALLOCATION,
  HERE,
  NOBODY,
  observation,
  other,
  PUBLIC_IP,
  TARGET,
} from "./fixtures.ts";

const there = { allocationId: "eipalloc-00000000000000003", publicIp: "203.0.113.9" };
/** Another address is at the target. */
const OCCUPIED = { ...GOAL, target: { ...TARGET, publicIp: there.publicIp } };
/** By DescribeInstances alone. */
const indirect = (...addresses: AddressState[]): Answer => ({
  shows: { ...observation(...addresses), direct: false },
});
function nameless(holder: AddressState["holder"]): AddressState {
  const { publicIp: _, ...rest } = address(holder);
  return rest;
}
const first = address(NOBODY);
const second = address(NOBODY, {
  allocationId: "eipalloc-00000000000000002",
  publicIp: "203.0.113.8",
});
const here = (one: AddressState): AddressState => ({ ...one, holder: HERE });

describe("a write that EC2 has accepted and does not show", () => {
  const NEVER: Answer[] = [FREE, "accepts", FREE, FREE, FREE, FREE, FREE, FREE];

  test("is a failure of a write, that may only be late", () => {
    const { failure, memory } = play(GOAL, NEVER);
    expect(failure).toMatchObject({
      kind: "not-yet",
      code: "NotShown",
      details: { isWrite: true },
    });
    expect(failure?.details.permanentStatus).toBeUndefined();
    expect(memory.isUnshown).toBe(true);
  });

  test("is not waited for as long the next time", () => {
    const { memory } = play(GOAL, NEVER);
    const again = play(GOAL, [FREE, "accepts", FREE, FREE, FREE], memory);
    expect(again.done).toEqual(["observe", "associate", ...READ_BACK_UNSURE]);
    const shown = play(GOAL, [FREE, "accepts", HERE_NOW, HERE_NOW], memory);
    expect(shown.memory.isUnshown).toBeUndefined();
  });

  test("is another matter than one that was not answered", () => {
    const { failure, memory } = play(GOAL, [FREE, "unreachable", FREE, FREE, FREE]);
    expect(failure).toMatchObject({ kind: "unreachable", details: { isWrite: true } });
    expect(memory.isUnshown).toBeUndefined();
  });
});

describe("EC2 shows a write", () => {
  test("by the address that it was about, among others", () => {
    const { done } = play(POOL, [
      shows(first),
      "accepts",
      shows(second, here(first)),
      shows(second, here(first)),
    ]);
    expect(done).toEqual(["observe", "associate", "observe anew", HOLD, "observe"]);
  });

  test("not by an answer without that address: then all are looked at", () => {
    const { done } = play(POOL, [
      shows(first),
      "accepts",
      shows(),
      shows(here(first)),
      shows(here(first)),
    ]);
    expect(done).toEqual(["observe", "associate", "observe anew", "observe", HOLD, "observe"]);
  });

  test("not by another state of the same holder", () => {
    const { done } = play(GOAL, [
      HELD_BY_OLDER,
      "unreachable",
      shows(address(other("stopping", -60))),
      shows(address(other("stopping", -60))),
      shows(address(other("stopped", -60))),
    ]);
    expect(done).toEqual(["observe", "take", ...READ_BACK_UNSURE]);
  });

  test("of somebody else's by whatever holds the address instead of nobody", () => {
    const left = shows(address({ kind: "interface", interfaceId: "eni-00000000000000008" }));
    const { done } = play(GOAL, [FREE, "held", left, left, "accepts", HERE_NOW, HERE_NOW]);
    expect(done.slice(0, 5)).toEqual(["observe", "associate", "observe anew", "observe", "take"]);
  });

  test("of somebody else's by what is no instance, too", () => {
    const gateway = shows(address({ kind: "other", what: "a NAT gateway" }));
    const { done, failure } = play(GOAL, [FREE, "held", gateway, gateway]);
    expect(done).toEqual(["observe", "associate", "observe anew", "observe"]);
    expect(failure).toMatchObject({ kind: "misconfigured" });
  });

  test("by this instance, wherever on it the address is", () => {
    const elsewhere = shows(address({ ...HERE, interfaceId: "eni-00000000000000009" }));
    const { done, memory } = play(GOAL, [FREE, "unreachable", elsewhere, "denied"]);
    expect(done).toEqual(["observe", "associate", "observe anew", "take"]);
    expect(memory).toMatchObject({ wroteThisBoot: true });
  });

  test("but not one that was refused: always takes what a newer instance has got meanwhile", () => {
    const always: Goal = { ...GOAL, takeover: "always" };
    const { done, end } = play(always, [
      FREE,
      "held",
      HELD_BY_NEWER,
      HELD_BY_NEWER,
      "accepts",
      HERE_NOW,
      HERE_NOW,
    ]);
    expect(done.slice(0, 5)).toEqual(["observe", "associate", "observe anew", "observe", "take"]);
    expect(end).toMatchObject({ end: "settled", change: "taken" });
  });

  test("although it was not answered, and then this boot has written", () => {
    const { memory } = play(GOAL, [FREE, "unreachable", HERE_NOW, "unreachable"]);
    expect(memory).toMatchObject({ written: "shown", wroteThisBoot: true, mayBeHere: true });
  });

  test("of a pool is looked for by the one address, before a pause and after it", () => {
    const observed = { type: "observed", askedAt: 0, date: 0, now: 0 } as const;
    const looks: unknown[] = [];
    let step = begin(POOL, NOTHING_DONE, 0);
    step = next(step.state, { ...observed, observation: observation(first) });
    step = next(step.state, { type: "accepted", now: 0 });
    looks.push(step.effect);
    step = next(step.state, { ...observed, observation: observation(first) });
    expect(step.effect).toEqual({ do: "sleep", ms: 250 });
    step = next(step.state, { type: "slept", now: 250 });
    looks.push(step.effect);
    const desired = { kind: "address", allocationId: ALLOCATION };
    expect(looks).toMatchObject([
      { do: "observe", desired, reconnect: true },
      { do: "observe", desired, reconnect: false },
    ]);
  });
});

describe("a claim that is refused", () => {
  test("where EC2 does not show every holder: the role may not see whose it is", () => {
    const free = indirect(address(NOBODY));
    const unseen = play(GOAL, [free, "held", free, free, free]).failure;
    expect(unseen).toMatchObject({ kind: "held" });
    expect(unseen?.details.remedy).toContain("ec2:DescribeAddresses");
    const seen = play(GOAL, [FREE, "held", FREE, FREE, FREE]).failure;
    expect(seen?.details.remedy).toBeUndefined();
    const lost = play(GOAL, [free, "unreachable", free, free, free]).failure;
    expect(lost).toMatchObject({ kind: "unreachable" });
    expect(lost?.details.remedy).toBeUndefined();
  });

  test("although the address is not free says nothing about what is at the target", () => {
    const { done, failure } = play(OCCUPIED, [
      HELD_BY_OLDER,
      "held",
      HELD_BY_OLDER,
      HELD_BY_OLDER,
      HELD_BY_OLDER,
    ]);
    expect(done).toEqual(["observe", "take", ...READ_BACK_UNSURE]);
    expect(failure?.kind).toBe("held");
  });

  test("is another matter than one that was not answered, whatever is at the target", () => {
    const { done, failure } = play(OCCUPIED, [FREE, "unreachable", FREE, FREE, FREE]);
    expect(done.at(-1)).toMatch(/^observe/);
    expect(done.filter((what) => what.startsWith("observe"))).toHaveLength(4);
    expect(failure?.kind).toBe("unreachable");
  });

  test("twice, the second time with AllowReassociation, is not sent a third time", () => {
    const refused: Answer[] = ["held", FREE, FREE, FREE];
    const { done, failure } = play(OCCUPIED, [
      FREE,
      ...refused,
      FREE,
      { identifies: there },
      ...refused,
    ]);
    const writes = done.filter((what) => what === "associate" || what === "take");
    expect(writes).toEqual(["associate", "take"]);
    expect(failure?.kind).toBe("held");
  });

  test("of a pool says nothing about another address of it, which may have been claimed since", () => {
    const goal = { ...POOL, target: OCCUPIED.target };
    const { done } = play(goal, [
      shows(first, second),
      ...(["held", ...Array<Answer>(3).fill(shows(first, second))] as Answer[]),
      shows(second),
      "accepts",
      shows(here(second)),
      shows(here(second)),
    ]);
    expect(done.filter((what) => what === "take")).toEqual([]);
    expect(done.filter((what) => what === "associate")).toHaveLength(2);
  });

  test("is lost, each of them, until none of the pool is left", () => {
    const { done, failure } = play(POOL, [shows(first, second), "held", "held"]);
    expect(done).toEqual(["observe", "associate", "associate"]);
    expect(failure?.kind).toBe("held");
  });

  test("of a pool may be so because of what is at the target: that is looked at first", () => {
    const goal = { ...POOL, target: OCCUPIED.target };
    const { done } = play(goal, [
      shows(first, second),
      "held",
      shows(address(other("running"))),
      shows(second),
      "accepts",
      shows(here(second)),
      shows(here(second)),
    ]);
    expect(done.slice(0, 5)).toEqual([
      "observe",
      "associate",
      "observe anew",
      "observe",
      "associate",
    ]);
  });
});

describe("a write that is throttled", () => {
  test("is sent again without a look only where it claims a free address", () => {
    const claimed = (...answers: Answer[]) => play(GOAL, answers).memory.throttledClaim;
    expect(claimed(FREE, "throttled")).toBeDefined();
    expect(claimed(FREE, "denied")).toBeUndefined();
    expect(claimed(HELD_BY_OLDER, "throttled")).toBeUndefined();
    expect(play(POOL, [shows(first), "throttled"]).memory.throttledClaim).toBeUndefined();
  });

  test("has as many contenders as there are free addresses in the pool, and else nobody knows", () => {
    const contenders = (goal: typeof GOAL, ...answers: Answer[]) =>
      play(goal, answers).failure?.details.contenders;
    const taken = address(other("running", -60), { allocationId: "eipalloc-00000000000000009" });
    expect(contenders(POOL, shows(first, taken, second), "throttled")).toBe(2);
    expect(contenders(POOL, shows(first), "denied")).toBeUndefined();
    expect(contenders(GOAL, HELD_BY_OLDER, "throttled")).toBeUndefined();
  });
});

describe("what a write displaces", () => {
  test("is told as soon as it is accepted, where it was known before", () => {
    const free = indirect(address(NOBODY));
    const told = play(OCCUPIED, [free, { identifies: there }, "accepts", "unreachable"]);
    expect(told.warnings).toEqual([expect.stringContaining(there.allocationId)]);
    const lost = play(OCCUPIED, [free, { identifies: there }, "unreachable", free, free, free]);
    expect(lost.warnings).toEqual([]);
  });

  test("has to be asked before, where EC2 does not show the public address", () => {
    const { done } = play(OCCUPIED, [
      shows(nameless(NOBODY)),
      { identifies: there },
      "accepts",
      HERE_NOW,
      HERE_NOW,
    ]);
    expect(done.slice(0, 3)).toEqual(["observe", "identify", "associate"]);
  });

  test("is nothing, where it is associated anew", () => {
    const goal = { ...OCCUPIED, force: true };
    const { done } = play(goal, [HERE_NOW, "accepts", HERE_NOW, HERE_NOW]);
    expect(done).toEqual(["observe", "associate", "observe anew", HOLD, "observe"]);
  });
});

describe("an address that is here", () => {
  test("and was taken for that is not associated anew besides", () => {
    const goal = { ...GOAL, force: true };
    const { done, end } = play(goal, [HELD_BY_OLDER, "accepts", HERE_NOW, HERE_NOW]);
    expect(done).toEqual(["observe", "take", "observe anew", HOLD, "observe"]);
    expect(end).toMatchObject({ change: "taken" });
  });

  test("is associated anew where EC2 is slow, too: on the third observation that shows the same", () => {
    const goal = { ...GOAL, force: true };
    const slow = after(FRESH_MS + 1, address(HERE));
    const { done, end } = play(goal, [slow, slow, slow, "accepts", HERE_NOW, HERE_NOW]);
    expect(done.slice(0, 4)).toEqual(["observe", "observe", "observe", "associate"]);
    expect(end).toMatchObject({ change: "renewed" });
    const soon = play(goal, [slow, HERE_NOW, "accepts", HERE_NOW, HERE_NOW]);
    expect(soon.done.slice(0, 3)).toEqual(["observe", "observe", "associate"]);
    // The machine was suspended meanwhile.
    const ago = after(SLOWEST_LOOK_MS + 1, address(HERE));
    const resumed = play(goal, [ago, HERE_NOW, "accepts", HERE_NOW, HERE_NOW]);
    expect(resumed.end).toMatchObject({ change: "renewed" });
  });

  test("by a write of this run is held, however long ago that was", () => {
    const memory: Memory = {
      ...NOTHING_DONE,
      write: { change: "associated" },
      lastWriteAt: -60_000,
    };
    const { done } = play(GOAL, [HERE_NOW, HERE_NOW], memory);
    expect(done).toEqual(["observe", HOLD, "observe"]);
  });

  test("is not denied by instance metadata where EC2 does not show its public address", () => {
    const { done, end } = play(GOAL, [shows(nameless(HERE))]);
    expect(done).toEqual(["observe"]);
    expect(end).toMatchObject({ end: "settled", change: "none" });
  });

  test("and then with somebody else has to be held anew, and may not be here any more", () => {
    const { memory } = play(GOAL, [FREE, "accepts", HERE_NOW, HELD_BY_NEWER]);
    expect(memory.shown).toBeUndefined();
    expect(memory.mayBeHere).toBe(false);
  });
});

describe("what is remembered of a decision", () => {
  test("is which address it was about, as far as EC2 has shown that", () => {
    const { memory } = play(GOAL, [HELD_BY_NEWER]);
    expect(memory.decidedOn).toEqual({ allocationId: ALLOCATION, publicIp: PUBLIC_IP });
    const unshown = play(GOAL, [shows(nameless(other("running", 60)))]);
    expect(unshown.memory.decidedOn).toEqual({ allocationId: ALLOCATION });
    // What was known before stays known.
    const later = play(GOAL, [shows(nameless(other("running", 60)))], memory);
    expect(later.memory.decidedOn).toEqual(memory.decidedOn);
  });

  test("that nothing of a pool is to be had, is that nothing of it is here", () => {
    const { memory } = play(POOL, [shows(first), "accepts", "unreachable"]);
    expect(memory.mayBeHere).toBe(true);
    const none = play(POOL, [shows(address(other("running", -60)))], memory);
    expect(none.memory).toMatchObject({ mayBeHere: false, holdersSeenAt: 0 });
    expect(none.memory.shown).toBeUndefined();
  });

  test("is where it was seen elsewhere in a read back, although no look is answered any more", () => {
    const { memory } = play(GOAL, [FREE, "accepts", HELD_BY_NEWER, "unreachable"]);
    expect(memory).toMatchObject({ mayBeHere: false, written: "perhaps" });
  });
});

describe("an instance with several Elastic IPs, where EC2 does not show which is where", () => {
  const unplaced = { kind: "instance", instanceId: TARGET.instanceId, state: "running" } as const;
  const withIp = (elasticIpHere: string) => address(unplaced, { elasticIpHere });
  const somewhere = shows(withIp(PUBLIC_IP));

  test("a dry run does not find out", () => {
    const { done, end } = play({ ...GOAL, dryRun: true }, [somewhere]);
    expect(done).toEqual(["observe"]);
    expect(end).toEqual({ end: "would", change: "associated" });
  });

  test("nor does one at whose target there is none: it is moved there", () => {
    const { done } = play(GOAL, [shows(address(unplaced)), "accepts", HERE_NOW, HERE_NOW]);
    expect(done.slice(0, 2)).toEqual(["observe", "take"]);
  });

  test("a probe that is not answered may have written; one that is refused has not", () => {
    const lost = play(GOAL, [somewhere, "unreachable"]);
    expect(lost.memory.lastWriteAt).toBe(0);
    expect(lost.failure).toMatchObject({ kind: "unreachable", details: { isWrite: true } });
    const denied = play(GOAL, [somewhere, "denied"]);
    expect(denied.memory.lastWriteAt).toBeUndefined();
    expect(denied.failure).toMatchObject({ kind: "denied", details: { isWrite: true } });
    const before = { ...NOTHING_DONE, lastWriteAt: -60_000 };
    expect(play(GOAL, [somewhere, "denied"], before).memory.lastWriteAt).toBe(-60_000);
  });

  test("an answer that is out of date is asked for again", () => {
    const { done, end } = play(GOAL, [
      somewhere,
      "accepts",
      shows(withIp(there.publicIp)),
      somewhere,
    ]);
    expect(done).toEqual(["observe", "probe", "observe", "sleep 250", "observe"]);
    expect(end).toMatchObject({ change: "none" });
  });

  test("and no other instance's address is what it is about", () => {
    const others = address(other("running"), { ...there });
    const { done } = play(GOAL, [somewhere, "accepts", shows(withIp(PUBLIC_IP), others)]);
    expect(done).toEqual(["observe", "probe", "observe"]);
  });

  test("one that another instance has got meanwhile was not associated by the probe", () => {
    const { done, failure, warnings } = play(GOAL, [somewhere, "accepts", HELD_BY_NEWER]);
    expect(done).toEqual(["observe", "probe", "observe"]);
    expect(failure).toMatchObject({ kind: "yielded" });
    expect(warnings).toEqual([]);
  });

  test("one that had been let go just before was associated by the probe, which displaced another", () => {
    const now = shows(withIp(there.publicIp));
    const { done, end, warnings, memory } = play(GOAL, [
      somewhere,
      "accepts",
      ...Array.from({ length: 6 }, () => now),
      now,
    ]);
    const pauses = done.filter((what) => what.startsWith("sleep "));
    expect(pauses).toEqual([250, 500, 1_000, 2_000, 4_000].map((ms) => `sleep ${ms}`).concat(HOLD));
    expect(end).toMatchObject({ end: "settled", change: "associated" });
    expect(warnings).toEqual([expect.stringContaining(PUBLIC_IP)]);
    expect(memory.displacement.gone).toEqual([PUBLIC_IP]);
  });
});
