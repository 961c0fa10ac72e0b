/** The reconciler as a story: what comes of each effect, and which one follows. */
import { describe, expect, test } from "vitest";
import { Failure, type Kind } from "../../src/model/failure.ts";
import { FRESH_MS, SLOWEST_LOOK_MS, SUSPECT_MS } from "../../src/reconcile/bounds.ts";
import { begin, next } from "../../src/reconcile/machine.ts";
import {
  type Goal,
  type KnownFacts,
  type Memory,
  NOTHING_DONE,
} from "../../src/reconcile/state.ts";
import {
  after,
  type Answer,
  eventOf,
  FREE,
  GOAL,
  HELD_BY_NEWER,
  HELD_BY_OLDER,
  HERE_NOW,
  HOLD,
  play,
  READ_BACK_UNSURE,
  shows,
} from "./attempts.ts";
import {
  address,
  ALLOCATION,
  HERE,
  LAUNCHED,
  ME,
  mine,
  NOBODY,
  observation,
  other,
  TARGET,
} from "./fixtures.ts";

describe("one address", () => {
  test.each<[string, Goal, Answer[], string[], object]>([
    ["it is here", GOAL, [HERE_NOW], ["observe"], { end: "settled", change: "none" }],
    [
      "it is free: what EC2 shows afterwards counts, on another connection and after the hold",
      GOAL,
      [FREE, "accepts", HERE_NOW, HERE_NOW],
      ["observe", "associate", "observe anew", HOLD, "observe"],
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
      [after(60_000, address(NOBODY)), "accepts", HERE_NOW, HERE_NOW],
      ["observe", "associate", "observe anew", HOLD, "observe"],
      { end: "settled", change: "associated" },
    ],
    [
      "the answer is lost, and EC2 has done it",
      GOAL,
      [FREE, "unreachable", HERE_NOW, HERE_NOW],
      ["observe", "associate", "observe anew", HOLD, "observe"],
      { end: "settled", change: "associated" },
    ],
    [
      "EC2 is behind: it is asked again",
      GOAL,
      [FREE, "accepts", FREE, FREE, HERE_NOW, HERE_NOW],
      "observe, associate, observe anew, sleep 250, observe, sleep 500, observe, sleep 6000, observe".split(
        ", ",
      ),
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
      "another one took it during the hold, and let it go: the hold begins anew",
      GOAL,
      [HELD_BY_OLDER, "accepts", HERE_NOW, FREE, "accepts", HERE_NOW, HERE_NOW],
      "observe, take, observe anew, sleep 6000, observe, associate, observe anew, sleep 6000, observe".split(
        ", ",
      ),
      { end: "settled", change: "associated" },
    ],
    [
      "it is here, and instance metadata does not show it: held first",
      { ...GOAL, target: TARGET },
      [HERE_NOW, HERE_NOW],
      ["observe", HOLD, "observe"],
      { end: "settled", change: "none" },
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
      [HERE_NOW, "unreachable", HERE_NOW, HERE_NOW],
      ["observe", "associate", "observe anew", HOLD, "observe"],
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

  test.each<[string, Answer[], string[], Kind, string | undefined]>([
    ["a newer instance has it", [HELD_BY_NEWER], ["observe"], "yielded", undefined],
    [
      "somebody was quicker, and is newer",
      [FREE, "held", HELD_BY_NEWER, HELD_BY_NEWER],
      ["observe", "associate", "observe anew", "observe"],
      "yielded",
      undefined,
    ],
    [
      "somebody was quicker, and EC2 does not show who",
      [FREE, "held", FREE, FREE, FREE],
      ["observe", "associate", ...READ_BACK_UNSURE],
      "held",
      undefined,
    ],
    [
      "no answer, and nothing has happened",
      [FREE, "unreachable", FREE, FREE, FREE],
      ["observe", "associate", ...READ_BACK_UNSURE],
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

  test("others who keep moving it end the attempt", () => {
    const answers: Answer[] = [HELD_BY_OLDER];
    // Each time another older instance has it, so that EC2 shows a change.
    for (let i = 0; i < 25; i++) {
      const holder = other("running", -60, `i-0000000000000010${i % 2}`);
      // Looked at once more, since reading back asks for no states.
      answers.push("accepts", shows(address(holder)), shows(address(holder)));
    }
    const { failure, done } = play(GOAL, answers);
    expect(failure?.kind).toBe("held");
    expect(failure?.message).toContain(`others keep moving ${ALLOCATION}`);
    expect(done.filter((what) => what === "take")).toHaveLength(25);
  });

  test("a server that has failed may have done it all the same: that is no refusal", () => {
    const { state } = next(begin(GOAL, NOTHING_DONE, 0).state, eventOf(FREE, 0, 0));
    const unavailable = new Failure("throttled", { why: "Unavailable", status: 503 });
    const after = next(state, { type: "failed", failure: unavailable, now: 0 });
    expect(after.effect).toMatchObject({ do: "observe", reconnect: true });
    expect(after.state.memory).toMatchObject({ written: "perhaps", mayBeHere: true });
    const throttled = new Failure("throttled", { why: "RequestLimitExceeded" });
    expect(next(state, { type: "failed", failure: throttled, now: 0 }).effect.do).toBe("fail");
  });

  test("a throttled claim of a free address is sent again without a look", () => {
    const { memory } = play(GOAL, [FREE, "throttled"]);
    const { done, memory: after } = play(GOAL, ["accepts", HERE_NOW, HERE_NOW], memory);
    expect(done).toEqual(["associate", "observe anew", HOLD, "observe"]);
    expect(after.throttledClaim).toBeUndefined();
    // Another address is desired by now, or it was a take: a look comes first.
    const other_: Goal = {
      ...GOAL,
      desired: { kind: "address", allocationId: "eipalloc-00000009" },
    };
    expect(begin(other_, memory, 0).effect.do).toBe("observe");
    expect(play(GOAL, [HELD_BY_OLDER, "throttled"]).memory.throttledClaim).toBeUndefined();
  });

  test("always: what was taken and lost again is for the newest", () => {
    const always: Goal = { ...GOAL, takeover: "always" };
    const { failure, done } = play(always, [HELD_BY_NEWER, "accepts", HERE_NOW, HELD_BY_NEWER]);
    expect(done).toEqual(["observe", "take", "observe anew", HOLD, "observe"]);
    expect(failure?.kind).toBe("yielded");
  });

  test("a holder that EC2 does not know is looked at again and again before it counts as gone", () => {
    const unknown = shows(address(other("unknown")));
    const { done, end } = play(GOAL, [
      unknown,
      unknown,
      unknown,
      unknown,
      "accepts",
      HERE_NOW,
      HERE_NOW,
    ]);
    expect(done.slice(0, 8)).toEqual([
      "observe",
      "sleep 5000",
      "observe",
      "sleep 5000",
      "observe",
      "sleep 5000",
      "observe",
      "take",
    ]);
    expect(end).toMatchObject({ change: "taken", from: { state: "unknown" } });
  });

  test("three observations in a row that are too old, and show the same, are enough", () => {
    const slow = after(FRESH_MS + 1, address(other("running", -60)));
    const elsewhere = after(FRESH_MS + 1, address(other("running", -60, "i-00000000000000008")));
    const enough = play(GOAL, [slow, slow, slow, "accepts", HERE_NOW, HERE_NOW]);
    expect(enough.done.slice(0, 4)).toEqual(["observe", "observe", "observe", "take"]);
    expect(enough.warnings).toEqual([expect.stringMatching(/^EC2 takes 1\.0 s to show who holds/)]);
    // What has changed in between begins anew.
    const changed = play(GOAL, [
      slow,
      slow,
      elsewhere,
      elsewhere,
      elsewhere,
      "accepts",
      HERE_NOW,
      HERE_NOW,
    ]);
    expect(changed.done.filter((what) => what === "observe")).toHaveLength(6);
  });

  test("one that is older than EC2 can be slow is none of them, and they begin anew", () => {
    const slow = after(FRESH_MS + 1, address(other("running", -60)));
    const slowest = after(SLOWEST_LOOK_MS, address(other("running", -60)));
    const suspended = after(SLOWEST_LOOK_MS + 1, address(other("running", -60)));
    const end = ["accepts", HERE_NOW, HERE_NOW] as const;
    const looks = (...shown: (typeof slow)[]) =>
      play(GOAL, [...shown, ...end]).done.indexOf("take");
    expect(looks(slow, slow, slowest)).toBe(3);
    expect(looks(slow, slow, suspended, slow, slow, slow)).toBe(6);
    expect(looks(suspended, HELD_BY_OLDER)).toBe(2);
  });
});

describe("what earlier runs of this boot have written", () => {
  const since = (ms: number): Memory => ({ ...NOTHING_DONE, lastWriteAt: -ms });

  test.each([
    ["less than the hold and the flight ago: what is found here is held", SUSPECT_MS - 1, true],
    ["longer ago", SUSPECT_MS, false],
  ])("%s", (_, ms, isHeld) => {
    const { done } = play(GOAL, isHeld ? [HERE_NOW, HERE_NOW] : [HERE_NOW], since(ms));
    expect(done).toEqual(isHeld ? ["observe", HOLD, "observe"] : ["observe"]);
  });

  test("always is newest once a write was accepted or has shown, not once one was lost", () => {
    const always: Goal = { ...GOAL, takeover: "always" };
    const taken = [HELD_BY_NEWER, "accepts", HERE_NOW, HERE_NOW] as const;
    const written = { ...since(3_600_000), wroteThisBoot: true };
    expect(play(always, [HELD_BY_NEWER], written).failure?.kind).toBe("yielded");
    expect(play(always, taken, since(3_600_000)).end).toMatchObject({ change: "taken" });
    const lost = ["unreachable", HELD_BY_NEWER, HELD_BY_NEWER, HELD_BY_NEWER] as const;
    const { memory } = play(always, [HELD_BY_NEWER, ...lost]);
    expect(play(always, taken, memory).end).toMatchObject({ change: "taken" });
    // One without an answer may have arrived, if somebody else has the address now.
    const third = shows(address(other("running", 120, "i-00000000000000008")));
    const moved = play(always, [HELD_BY_NEWER, "unreachable", third, third]);
    expect(moved.done).toEqual(["observe", "take", "observe anew", "observe"]);
    expect(moved.failure?.kind).toBe("yielded");
    // That of a run that was killed has arrived.
    const late = play(always, [HERE_NOW], since(60_000)).memory;
    expect(play(always, [HELD_BY_NEWER], late).failure?.kind).toBe("yielded");
    const accepted = play(always, [
      HELD_BY_NEWER,
      "accepts",
      ...Array.from({ length: 6 }, () => HELD_BY_NEWER),
    ]).memory;
    expect(play(always, [HELD_BY_NEWER], accepted).failure?.kind).toBe("yielded");
    // Who finds the address here has written nothing.
    const found = play(always, [HERE_NOW]).memory;
    expect(play(always, taken, found).end).toMatchObject({ change: "taken" });
    const refused = play(always, [HELD_BY_NEWER, "denied"]).memory;
    expect(play(always, taken, refused).end).toMatchObject({ change: "taken" });
  });

  test.each(["never", "if-gone"] as const)(
    "%s takes from no running instance for all that",
    (takeover) => {
      const written = { ...since(3_600_000), wroteThisBoot: true };
      expect(play({ ...GOAL, takeover }, [HELD_BY_OLDER], written).failure?.kind).toBe("held");
    },
  );

  test("a write that was refused is none", () => {
    const { memory } = play(GOAL, [FREE, "denied"]);
    expect(memory.lastWriteAt).toBeUndefined();
    expect(play(GOAL, [FREE, "denied"], since(60_000)).memory.lastWriteAt).toBe(-60_000);
  });
});

describe("what EC2 is asked of holders", () => {
  const question = (goal: Goal, memory: Partial<Memory> = {}, now = 0) => {
    const { effect } = begin(goal, { ...NOTHING_DONE, ...memory }, now);
    if (effect.do !== "observe") throw new Error("nothing is asked");
    return effect.question;
  };
  test("whoever always takes asks for its group, unless it asks for states, which tell that too", () => {
    const always: Goal = { ...GOAL, takeover: "always", isServiceUnknown: true };
    expect(question(always)).toMatchObject({ needsStates: false, needsGroup: true });
    const pool: Goal = { ...always, desired: { kind: "pool", key: "eip-pool", value: "web" } };
    expect(question(pool)).toMatchObject({ needsStates: true });
    expect(question(pool)).not.toHaveProperty("needsGroup");
    expect(question({ ...GOAL, takeover: "always" })).not.toHaveProperty("needsGroup");
  });

  const older = { state: "running", launchedAt: LAUNCHED - 60_000, askedAt: 0 } as const;
  const self = { state: "running", launchedAt: LAUNCHED, askedAt: 0 } as const;
  const holder = "i-00000000000000007";
  const known = (one: KnownFacts) => ({ facts: { [ME]: self, [holder]: one }, lastHolder: holder });

  test.each([
    ["never", false],
    ["if-gone", true],
    ["newest", true],
    ["always", false],
  ] as const)("%s needs states and launch times: %s", (takeover, needsStates) => {
    expect(question({ ...GOAL, takeover }).needsStates).toBe(needsStates);
  });

  test.each<[string, KnownFacts, number, boolean]>([
    ["an older instance that is running stays older", older, 20_000, true],
    ["for twenty seconds", older, 20_001, false],
    ["a newer one may be gone by now", { ...older, launchedAt: LAUNCHED + 1_000 }, 0, false],
    ["one that is terminated stays so", { ...older, state: "terminated" }, 0, true],
    ["one that is shutting down goes on doing so", { ...older, state: "shutting-down" }, 0, true],
    ["one that is stopped may be started again", { ...older, state: "stopped" }, 0, false],
    ["one that is not known may be known by now", { ...older, state: "unknown" }, 0, false],
  ])("%s", (_, facts, now, isKnown) => {
    const asked = question(GOAL, known(facts), now);
    expect(holder in asked.known).toBe(isKnown);
    // What is not known is asked together with the address.
    expect(asked.alongside).toEqual(isKnown ? [] : [holder]);
  });

  test("older is who was launched before this instance, whatever else is known of others", () => {
    const newer = { ...older, launchedAt: LAUNCHED + 1_000 };
    const newest = { ...older, launchedAt: LAUNCHED + 3_600_000 };
    const facts = { "i-00000000000000009": newest, [holder]: newer, [ME]: self };
    expect(question(GOAL, { facts, lastHolder: holder }).alongside).toEqual([holder]);
  });

  test("if-gone has to see that an instance still runs", () => {
    const asked = question({ ...GOAL, takeover: "if-gone" }, known(older));
    expect(asked.alongside).toEqual([holder]);
  });
});

describe("what is remembered for the end of the run", () => {
  test.each<[string, Answer[], Partial<Memory>]>([
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
      { written: "shown", mayBeHere: true },
    ],
    [
      "another one has it by now",
      [FREE, "accepts", HELD_BY_NEWER, HELD_BY_NEWER],
      { written: "perhaps", mayBeHere: false },
    ],
  ])("%s", (_, answers, memory) => {
    expect(play(GOAL, answers).memory).toMatchObject(memory);
  });

  test("a take of an earlier attempt is held in the next", () => {
    const { memory } = play(GOAL, [HELD_BY_OLDER, "accepts", "unreachable"]);
    const { done, end } = play(GOAL, [HERE_NOW, HERE_NOW], memory);
    expect(done).toEqual(["observe", HOLD, "observe"]);
    expect(end).toMatchObject({ change: "taken" });
  });
});

describe("a zone that is down", () => {
  const { launchedAt: _, ...unanswered } = other("unanswered");
  const down = shows(address(unanswered));

  test("its instances are replaced after a minute, once on a boot", () => {
    const since: Memory = {
      ...NOTHING_DONE,
      unknownSince: { [`unanswered ${unanswered.instanceId}`]: -60_000 },
    };
    const { done, end } = play(GOAL, [down, "accepts", HERE_NOW, HERE_NOW], since);
    expect(done).toEqual(["observe", "take", "observe anew", HOLD, "observe"]);
    expect(end).toMatchObject({ from: { state: "unanswered" } });
    const written = { ...since, lastWriteAt: -3_600_000 };
    const again = play(GOAL, [down], { ...written, wroteThisBoot: true });
    expect(again.failure?.kind).toBe("held");
    // One that was lost on the way has taken nothing.
    const lost = play(GOAL, [down, "accepts", HERE_NOW, HERE_NOW], written);
    expect(lost.done).toContain("take");
  });

  test("one that comes up again begins the minute anew", () => {
    const since = { [`unanswered ${unanswered.instanceId}`]: -59_000 };
    const { memory } = play(GOAL, [HELD_BY_NEWER], { ...NOTHING_DONE, unknownSince: since });
    expect(memory.unknownSince).toEqual({});
  });
});

describe("an instance of a group that does not show its lifecycle state", () => {
  const goal = { ...GOAL, isServiceUnknown: true };
  const inGroup = (since: number): Memory => ({ ...NOTHING_DONE, group: { name: "web", since } });

  test("takes nothing from a running instance for a minute", () => {
    const { failure, done } = play(goal, [HELD_BY_OLDER], inGroup(-59_999));
    expect(done).toEqual(["observe"]);
    expect(failure?.kind).toBe("held");
    expect(failure?.message).toContain("does not show yet whether this instance is in service");
    const later = play(goal, [HELD_BY_OLDER, "accepts", HERE_NOW, HERE_NOW], inGroup(-60_000));
    expect(later.done).toContain("take");
  });

  test("learns of its group from EC2 too", () => {
    const told: Answer = {
      shows: { ...observation(address(other("running", -60))), group: "web" },
    };
    const { failure, memory } = play(goal, [told]);
    expect(failure?.kind).toBe("held");
    expect(memory.group).toEqual({ name: "web", since: 0 });
  });

  test.each([
    ["what is nobody's", FREE, "associate"],
    ["what a stopped instance has", shows(address(other("stopped"))), "take"],
    [
      "what is elsewhere on itself",
      shows(address(mine("eni-00000000000000002", "10.0.0.6"))),
      "take",
    ],
  ])("has %s", (_, shown, write) => {
    expect(play(goal, [shown, "accepts", HERE_NOW, HERE_NOW], inGroup(0)).done).toContain(write);
  });
});

describe("an interface of this account that is attached to nothing", () => {
  const left = shows(address({ kind: "interface", interfaceId: "eni-00000000000000009" }));

  test.each(["if-gone", "newest", "always"] as const)("is taken from under %s", (takeover) => {
    const goal: Goal = { ...GOAL, takeover };
    const { done, end } = play(goal, [left, "accepts", HERE_NOW, HERE_NOW]);
    expect(done).toEqual(["observe", "take", "observe anew", HOLD, "observe"]);
    expect(end).toMatchObject({ from: { interfaceId: "eni-00000000000000009" } });
  });

  test("keeps it under never", () => {
    expect(play({ ...GOAL, takeover: "never" }, [left]).failure?.kind).toBe("held");
  });
});

test("an association is not made anew where instance metadata cannot show the address", () => {
  const carrier = shows({ ...address(HERE), isForeign: true });
  const goal: Goal = { ...GOAL, force: true, target: { ...GOAL.target, publicIp: "10.9.9.9" } };
  expect(play(goal, [carrier])).toMatchObject({ done: ["observe"], end: { change: "none" } });
});

test("an interface without an instance is waited for", () => {
  const orphan = shows(address({ kind: "other", what: "eni-1", isOrphan: true }));
  expect(play(GOAL, [orphan]).failure).toMatchObject({ kind: "not-yet", code: "Orphaned" });
  const gateway = shows(address({ kind: "other", what: "eni-1, managed by nat" }));
  expect(play(GOAL, [gateway]).failure?.kind).toBe("misconfigured");
});

test("an answer to something else is a bug", () => {
  const { state } = begin(GOAL, NOTHING_DONE, 0);
  expect(() => next(state, { type: "accepted", now: 0 })).toThrow("accepted while observing");
});
