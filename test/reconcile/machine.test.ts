/**
 * The reconciler as a story: what comes of each effect, and which one follows. An answer takes no time unless `after`
 * says so.
 */
import { describe, expect, it } from "vitest";
import type { AddressState, ElasticIp, Observation } from "../../src/model/address.ts";
import { Failure, type Kind } from "../../src/model/failure.ts";
import { begin, FRESH_MS, HOLD_MS, next } from "../../src/reconcile/machine.ts";
import { type Event, type Goal, type Memory, NOTHING_DONE } from "../../src/reconcile/state.ts";
import {
  address,
  ALLOCATION,
  HERE,
  mine,
  NOBODY,
  observation,
  other,
  TARGET,
  ZONE,
} from "./fixtures.ts";

const GOAL: Goal = {
  target: TARGET,
  zone: ZONE,
  desired: { kind: "address", allocationId: ALLOCATION },
  takeover: "newest",
  poolTakeover: "no",
  mayDisplace: true,
  dryRun: false,
  force: false,
};
const POOL: Goal = { ...GOAL, desired: { kind: "pool", key: "eip-pool", value: "web" } };

/** What comes of an effect: what EC2 shows, that it accepts, or a failure of this kind. */
type Answer =
  | { readonly shows: Observation; readonly after?: number }
  | { readonly identifies: ElasticIp | undefined; readonly after?: number }
  | "accepts"
  | Kind;
const shows = (...addresses: AddressState[]): Answer => ({ shows: observation(...addresses) });
const after = (ms: number, ...addresses: AddressState[]): Answer => ({
  shows: observation(...addresses),
  after: ms,
});

const HERE_NOW = shows(address(HERE));
const FREE = shows(address(NOBODY));
const HELD_BY_OLDER = shows(address(other("running", -60)));
const HELD_BY_NEWER = shows(address(other("running", 60)));

/** Plays the answers in turn; sleeps end by themselves. Returns what was done, how it ended, and what is remembered. */
function play(goal: Goal, answers: readonly Answer[], memory: Memory = NOTHING_DONE) {
  let now = 0;
  let step = begin(goal, memory);
  const done: string[] = [];
  const warnings: string[] = [];
  const left = [...answers];
  for (;;) {
    const { state, effect } = step;
    warnings.push(...state.warnings);
    if (effect.do === "end" || effect.do === "fail") {
      expect(left, "answers that nobody asked for").toEqual([]);
      const end = effect.do === "end" ? effect.end : undefined;
      const failure = effect.do === "fail" ? effect.failure : undefined;
      return { done, end, failure, warnings, memory: state.memory };
    }
    if (effect.do === "sleep") {
      done.push(`sleep ${effect.ms}`);
      now += effect.ms;
      step = next(state, { type: "slept" });
      continue;
    }
    done.push(nameOf(effect));
    const answer = left.shift();
    if (answer === undefined) throw new Error(`no answer for ${done.join(", ")}`);
    const askedAt = now;
    if (typeof answer === "object") now += answer.after ?? 0;
    step = next(state, eventOf(answer, askedAt, now));
  }
}

function nameOf(effect: ReturnType<typeof begin>["effect"]): string {
  switch (effect.do) {
    case "observe":
      return `${effect.reconnect ? "observe anew" : "observe"}${effect.displaced ? " what was displaced" : ""}`;
    case "associate":
      return effect.reassociate ? "take" : effect.isMove ? "associate" : "probe";
    default:
      return effect.do;
  }
}

function eventOf(answer: Answer, askedAt: number, now: number): Event {
  if (answer === "accepts") return { type: "accepted" };
  if (typeof answer === "string") {
    return { type: "failed", failure: new Failure(answer, { why: "it did not work" }), now };
  }
  return "shows" in answer
    ? { type: "observed", observation: answer.shows, askedAt, now }
    : { type: "identified", elasticIp: answer.identifies, now };
}

const HOLD = `sleep ${HOLD_MS}`;

describe("one address", () => {
  it.each<[string, Goal, Answer[], string[], object]>([
    ["it is here", GOAL, [HERE_NOW], ["observe"], { end: "settled", change: "none" }],
    [
      "it is free: what EC2 shows afterwards counts, on another connection",
      GOAL,
      [FREE, "accepts", HERE_NOW],
      ["observe", "associate", "observe anew"],
      { end: "settled", change: "associated" },
    ],
    [
      "an older instance has it: taken, and held before that counts",
      GOAL,
      [HELD_BY_OLDER, "accepts", HERE_NOW, HERE_NOW],
      ["observe", "take", "observe anew", HOLD, "observe"],
      { end: "settled", change: "taken" },
    ],
    [
      "an observation that has become too old is no ground for a take",
      GOAL,
      [
        after(FRESH_MS + 1, address(other("running", -60))),
        HELD_BY_OLDER,
        "accepts",
        HERE_NOW,
        HERE_NOW,
      ],
      ["observe", "observe", "take", "observe anew", HOLD, "observe"],
      { end: "settled", change: "taken" },
    ],
    [
      "one that has just not become too old is",
      GOAL,
      [after(FRESH_MS, address(other("running", -60))), "accepts", HERE_NOW, HERE_NOW],
      ["observe", "take", "observe anew", HOLD, "observe"],
      { end: "settled", change: "taken" },
    ],
    [
      "a free address may be claimed on an old observation: EC2 refuses it if somebody was quicker",
      GOAL,
      [after(60_000, address(NOBODY)), "accepts", HERE_NOW],
      ["observe", "associate", "observe anew"],
      { end: "settled", change: "associated" },
    ],
    [
      "the answer is lost, and EC2 has done it",
      GOAL,
      [FREE, "unreachable", HERE_NOW],
      ["observe", "associate", "observe anew"],
      { end: "settled", change: "associated" },
    ],
    [
      "EC2 is behind: it is asked again",
      GOAL,
      [FREE, "accepts", FREE, FREE, HERE_NOW],
      ["observe", "associate", "observe anew", "sleep 250", "observe", "sleep 500", "observe"],
      { end: "settled", change: "associated" },
    ],
    [
      "on another interface of ours: moved, and held",
      GOAL,
      [shows(address(mine("eni-00000000000000002", "10.0.0.6"))), "accepts", HERE_NOW, HERE_NOW],
      ["observe", "take", "observe anew", HOLD, "observe"],
      { end: "settled", change: "taken" },
    ],
    [
      "another one took it during the hold, and let it go",
      GOAL,
      [HELD_BY_OLDER, "accepts", HERE_NOW, FREE, "accepts", HERE_NOW],
      ["observe", "take", "observe anew", HOLD, "observe", "associate", "observe anew"],
      { end: "settled", change: "associated" },
    ],
    [
      "to be associated anew: once, and held",
      { ...GOAL, force: true },
      [HERE_NOW, "accepts", HERE_NOW, HERE_NOW],
      ["observe", "associate", "observe anew", HOLD, "observe"],
      { end: "settled", change: "renewed" },
    ],
    [
      "to be associated anew, and EC2 is silent: the next recheck will see",
      { ...GOAL, force: true },
      [HERE_NOW, "unreachable", HERE_NOW],
      ["observe", "associate", "observe anew"],
      { end: "settled", change: "none" },
    ],
    [
      "a dry run writes nothing",
      { ...GOAL, dryRun: true },
      [HELD_BY_OLDER],
      ["observe"],
      { end: "would", change: "taken" },
    ],
  ])("%s", (_, goal, answers, done, end) => {
    const played = play(goal, answers);
    expect(played.failure).toBeUndefined();
    expect(played.end).toMatchObject(end);
    expect(played.done).toEqual(done);
  });

  it.each<[string, Answer[], string[], Kind, string | undefined]>([
    ["a newer instance has it", [HELD_BY_NEWER], ["observe"], "yielded", undefined],
    [
      "somebody was quicker, and is newer",
      [FREE, "held", HELD_BY_NEWER],
      ["observe", "associate", "observe anew"],
      "yielded",
      undefined,
    ],
    [
      "somebody was quicker, and EC2 does not show who",
      [FREE, "held", FREE, FREE],
      ["observe", "associate", "observe anew", "sleep 1000", "observe"],
      "held",
      undefined,
    ],
    [
      "no answer, and nothing has happened",
      [FREE, "unreachable", FREE, FREE],
      ["observe", "associate", "observe anew", "sleep 1000", "observe"],
      "unreachable",
      undefined,
    ],
    [
      "accepted, and never shown",
      [FREE, "accepts", FREE, FREE, FREE, FREE, FREE, FREE],
      "observe, associate, observe anew, sleep 250, observe, sleep 500, observe, sleep 1000, observe, sleep 2000, observe, sleep 4000, observe".split(
        ", ",
      ),
      "not-yet",
      "NotShown",
    ],
    ["not allowed to write", [FREE, "denied"], ["observe", "associate"], "denied", undefined],
    ["not allowed to look", ["denied"], ["observe"], "denied", undefined],
    [
      "taken away during the hold by a newer one",
      [HELD_BY_OLDER, "accepts", HERE_NOW, HELD_BY_NEWER],
      ["observe", "take", "observe anew", HOLD, "observe"],
      "yielded",
      undefined,
    ],
  ])("%s", (_, answers, done, kind, code) => {
    const { failure, ...played } = play(GOAL, answers);
    expect(played.end).toBeUndefined();
    expect(failure?.kind).toBe(kind);
    expect(failure?.code).toBe(code);
    expect(played.done).toEqual(done);
  });

  it("others who keep moving it end the attempt", () => {
    const answers: Answer[] = [HELD_BY_OLDER];
    // Each time another older instance has it, so that EC2 shows a change.
    for (let i = 0; i < 25; i++) {
      const holder = other("running", -60, `i-0000000000000010${i % 2}`);
      answers.push("accepts", shows(address(holder)));
    }
    const { failure, done } = play(GOAL, answers);
    expect(failure?.kind).toBe("held");
    expect(failure?.message).toContain(`others keep moving ${ALLOCATION}`);
    expect(done.filter((what) => what === "take")).toHaveLength(25);
  });

  it("always: what was taken and lost again is for the newest", () => {
    const always: Goal = { ...GOAL, takeover: "always" };
    const { failure, done } = play(always, [HELD_BY_NEWER, "accepts", HERE_NOW, HELD_BY_NEWER]);
    expect(done).toEqual(["observe", "take", "observe anew", HOLD, "observe"]);
    expect(failure?.kind).toBe("yielded");
  });

  it("a holder that EC2 does not know is looked at again before it counts as gone", () => {
    const unknown = shows(address(other("unknown")));
    const { done, end } = play(GOAL, [unknown, unknown, "accepts", HERE_NOW, HERE_NOW]);
    expect(done).toEqual([
      "observe",
      "sleep 3000",
      "observe",
      "take",
      "observe anew",
      HOLD,
      "observe",
    ]);
    expect(end).toMatchObject({ change: "taken", from: { state: "unknown" } });
  });
});

describe("what is remembered for the end of the run", () => {
  it.each<[string, Answer[], Partial<Memory>]>([
    ["nothing was written", [HELD_BY_NEWER], { written: "no", mayBeHere: false }],
    ["it was refused", [FREE, "denied"], { written: "no", mayBeHere: false }],
    [
      "no answer",
      [FREE, "unreachable", "unreachable"],
      { written: "perhaps", mayBeHere: true, write: { change: "associated" } },
    ],
    [
      "accepted, and no look is answered",
      [FREE, "accepts", "unreachable"],
      { written: "perhaps", mayBeHere: true, accepted: ALLOCATION },
    ],
    [
      "shown here, and the hold was not answered",
      [HELD_BY_OLDER, "accepts", HERE_NOW, "unreachable"],
      { written: "shown", mayBeHere: true, wasHere: true },
    ],
    [
      "another one has it by now",
      [FREE, "accepts", HELD_BY_NEWER],
      { written: "perhaps", mayBeHere: false },
    ],
  ])("%s", (_, answers, memory) => {
    expect(play(GOAL, answers).memory).toMatchObject(memory);
  });

  it("a take of an earlier attempt is held in the next", () => {
    const { memory } = play(GOAL, [HELD_BY_OLDER, "accepts", "unreachable"]);
    const { done, end } = play(GOAL, [HERE_NOW, HERE_NOW], memory);
    expect(done).toEqual(["observe", HOLD, "observe"]);
    expect(end).toMatchObject({ change: "taken" });
  });
});

describe("a pool", () => {
  const first = address(NOBODY);
  const second = address(NOBODY, {
    allocationId: "eipalloc-00000000000000002",
    publicIp: "203.0.113.8",
  });

  it("a lost claim moves on at once", () => {
    const held = (one: AddressState): AddressState => ({ ...one, holder: HERE });
    const { done, end } = play(POOL, [
      shows(first, second),
      "held",
      "accepts",
      shows(held(first), held(second)),
    ]);
    expect(done).toEqual(["observe", "associate", "associate", "observe anew"]);
    expect(end).toEqual({ end: "settled", change: "associated" });
  });

  it("throttled: as many contend as there are free addresses", () => {
    const { failure } = play(POOL, [shows(first, second), "throttled"]);
    expect(failure?.details.contenders).toBe(2);
  });

  it("none to be had", () => {
    const { failure } = play(POOL, [shows(address(other("running", -60)))]);
    expect(failure?.kind).toBe("held");
    expect(failure?.message).toContain("the pool eip-pool=web: no address is free for us-east-1a");
  });
});

describe("another Elastic IP at the target", () => {
  const there = { allocationId: "eipalloc-00000000000000003", publicIp: "203.0.113.9" };
  const occupied = { ...TARGET, publicIp: there.publicIp };
  const line = expect.stringContaining(
    `${there.allocationId} (203.0.113.9) is pushed off`,
  ) as string;

  it("is displaced, and named when EC2 shows what it was: no further request", () => {
    const { done, warnings, end } = play({ ...GOAL, target: occupied }, [
      FREE,
      "accepts",
      { shows: { ...observation(address(HERE)), displaced: there } },
    ]);
    expect(done).toEqual(["observe", "associate", "observe anew what was displaced"]);
    expect(warnings).toEqual([line]);
    expect(end).toMatchObject({ change: "associated" });
  });

  it("is asked for before where it may not be displaced, and stays", () => {
    const goal = { ...GOAL, target: occupied, mayDisplace: false };
    const { done, failure } = play(goal, [FREE, { identifies: there }]);
    expect(done).toEqual(["observe", "identify"]);
    expect(failure?.kind).toBe("misconfigured");
    expect(failure?.message).toContain("EIP_HEAL_DISPLACE is no");
  });

  it("is none: what EC2 has assigned by itself may go", () => {
    const goal = { ...GOAL, target: occupied, mayDisplace: false };
    const { done, warnings } = play(goal, [FREE, { identifies: undefined }, "accepts", HERE_NOW]);
    expect(done).toEqual(["observe", "identify", "associate", "observe anew"]);
    expect(warnings).toEqual([]);
  });

  it("asking takes time too: a take needs a fresh observation afterwards", () => {
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

  it("a dry run names what would be displaced", () => {
    const goal = { ...GOAL, target: occupied, dryRun: true };
    const { warnings, end } = play(goal, [FREE, { identifies: there }]);
    expect(warnings).toEqual([expect.stringContaining("would be pushed off")]);
    expect(end).toEqual({ end: "would", change: "associated" });
  });
});

describe("an instance with several Elastic IPs, where EC2 does not show which is where", () => {
  const somewhere = address(
    { kind: "instance", instanceId: TARGET.instanceId, state: "running" },
    { elasticIpHere: "203.0.113.7" },
  );
  const goal = { ...GOAL, target: { ...TARGET, publicIp: "203.0.113.7" } };

  it("it is at the target: associating it there changes nothing", () => {
    const { done, end } = play(goal, [shows(somewhere), "accepts", shows(somewhere)]);
    expect(done).toEqual(["observe", "probe", "observe"]);
    expect(end).toEqual({ end: "settled", change: "none" });
  });

  it("it is elsewhere: refused, then moved", () => {
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
});

it("an answer to something else is a bug", () => {
  const { state } = begin(GOAL, NOTHING_DONE);
  expect(() => next(state, { type: "accepted" })).toThrow("accepted while observing");
});
