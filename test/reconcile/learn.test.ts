/** What a run keeps of a look at EC2, and what it asks in the next one because of that. */
import { describe, expect, test } from "vitest";
import { FACTS_MS, REPLACEMENT_MS } from "../../src/reconcile/bounds.ts";
import { choiceOf, isPremature } from "../../src/reconcile/choice.ts";
import { learn, unknownHolders } from "../../src/reconcile/learn.ts";
import { begin } from "../../src/reconcile/machine.ts";
import { questionOf } from "../../src/reconcile/question.ts";
import {
  type Goal,
  type Memory,
  NOTHING_DONE,
  type State,
  type TimedObservation,
} from "../../src/reconcile/state.ts";
import type { AddressState, Observation } from "../../src/model/address.ts";
import {
  A_GOAL,
  address,
  ALLOCATION,
  HERE,
  LAUNCHED,
  ME,
  NOBODY,
  observation,
  other,
  PUBLIC_IP,
  TARGET,
} from "./fixtures.ts";

const HOLDER = "i-00000000000000007";
const state = (memory: Partial<Memory> = {}, goal: Goal = A_GOAL): State =>
  begin(goal, { ...NOTHING_DONE, ...memory }, 0).state;
const seen = (shown: Observation, askedAt = 5): TimedObservation => ({
  ...shown,
  askedAt,
  date: LAUNCHED,
});
const learned = (shown: Observation, memory: Partial<Memory> = {}) =>
  learn(state(memory), seen(shown));
const another = { allocationId: "eipalloc-00000000000000009" };

describe("a look at EC2 is remembered", () => {
  test("by the other instance that it showed as the holder, until it shows another one", () => {
    const { memory } = learned(observation(address(other("running")))).state;
    expect(memory.lastHolder).toBe(HOLDER);
    for (const holder of [NOBODY, HERE, { kind: "interface", interfaceId: "eni-1" } as const]) {
      expect(learned(observation(address(holder)), memory).state.memory.lastHolder).toBe(HOLDER);
    }
    expect(learned(observation(address(HERE))).state.memory).not.toHaveProperty("lastHolder");
    expect(learned(observation()).state.memory).not.toHaveProperty("lastHolder");
  });

  test("by what it told of instances, and when it was asked", () => {
    const before = { "i-1": { state: "stopped", askedAt: 1 } } as const;
    const instances = { [HOLDER]: { state: "running", launchedAt: LAUNCHED } } as const;
    const { facts } = learned({ ...observation(), instances }, { facts: before }).state.memory;
    expect(facts).toEqual({ ...before, [HOLDER]: { ...instances[HOLDER], askedAt: 5 } });
  });

  test("by the group, since it was first known", () => {
    const shown = { ...observation(), group: "web" };
    expect(learned(shown).state.memory.group).toEqual({ name: "web", since: 5 });
    const known = { group: { name: "web", since: 1 } };
    expect(learned(shown, known).state.memory.group).toEqual(known.group);
    expect(learned(observation()).state.memory).not.toHaveProperty("group");
  });
});

describe("an address that EC2 has accepted at the target", () => {
  const unplaced = { kind: "instance", instanceId: ME, state: "running" } as const;
  const ours = address(unplaced, { elasticIpHere: PUBLIC_IP });
  const read = (...addresses: AddressState[]) =>
    learned(observation(...addresses), { accepted: ALLOCATION });

  test("is there as long as EC2 shows it on this instance and not where", () => {
    const { state: after, seen: understood } = read(ours);
    expect(after.memory.accepted).toBe(ALLOCATION);
    const { interfaceId, privateIp } = TARGET;
    expect(understood.addresses[0]?.holder).toEqual({ ...unplaced, interfaceId, privateIp });
  });

  test.each<[string, AddressState]>([
    [
      "EC2 says itself where it is",
      address({ ...unplaced, interfaceId: "eni-2" }, { elasticIpHere: PUBLIC_IP }),
    ],
    ["EC2 shows no Elastic IP at the target", address(unplaced)],
    ["EC2 shows nobody", address(NOBODY, { elasticIpHere: PUBLIC_IP })],
    ["it is another one", { ...ours, ...another }],
  ])("is where EC2 shows it, if %s", (_, shown) => {
    expect(read(shown).seen.addresses).toEqual([shown]);
  });

  test("is no longer, once EC2 shows it elsewhere among others", () => {
    const elsewhere = read(address(NOBODY, another), address(other("running")));
    expect(elsewhere.state.memory).not.toHaveProperty("accepted");
    const others = read(address(other("running"), another));
    expect(others.state.memory.accepted).toBe(ALLOCATION);
  });
});

describe("since when EC2 does not know a holder", () => {
  const look = (holder: AddressState["holder"], memory: Partial<Memory>, now: number) =>
    unknownHolders({ ...NOTHING_DONE, ...memory }, seen(observation(address(holder))), now);
  const since = { [`unknown ${HOLDER}`]: 1 };

  test.each([
    ["from the first look on", {}, 7, { [`unknown ${HOLDER}`]: 7 }],
    [
      "over looks that are close enough",
      { unknownSince: since, holdersSeenAt: 2 },
      2 + FACTS_MS,
      since,
    ],
    [
      "anew after a gap",
      { unknownSince: since, holdersSeenAt: 2 },
      3 + FACTS_MS,
      { [`unknown ${HOLDER}`]: 3 + FACTS_MS },
    ],
    ["over a run that has not looked yet", { unknownSince: since }, 3 + FACTS_MS, since],
  ])("%s", (_, memory, now, expected) => {
    expect(look(other("unknown"), memory, now)).toEqual(expected);
  });
});

describe("the next look", () => {
  const self = { state: "running", launchedAt: LAUNCHED, askedAt: 0 } as const;
  const older = { state: "pending", launchedAt: LAUNCHED - 60_000, askedAt: 0 } as const;
  const desired = A_GOAL.desired;
  const pool: Goal = { ...A_GOAL, desired: { kind: "pool", key: "eip-pool", value: "web" } };
  const always: Goal = { ...A_GOAL, takeover: "always", isServiceUnknown: true };
  const ask = (
    memory: Partial<Memory>,
    goal = A_GOAL,
    now = 0,
    phase: State["phase"]["at"] = "observing",
  ) => questionOf({ ...state(memory, goal), phase: { at: phase } as State["phase"] }, desired, now);

  test("asks for the last holder alongside, where it is about that one and needs its state", () => {
    const last = { lastHolder: HOLDER };
    expect(ask(last).alongside).toEqual([HOLDER]);
    expect(ask({}).alongside).toEqual([]);
    expect(ask(last, pool).alongside).toEqual([]);
    expect(ask(last, A_GOAL, 0, "holding").alongside).toEqual([]);
    expect(ask(last, { ...A_GOAL, takeover: "never" }).alongside).toEqual([]);
  });

  test("asks for no states to read back", () => {
    expect(ask({}, A_GOAL, 0, "reading back").needsStates).toBe(false);
    expect(ask({}, A_GOAL, 0, "holding").needsStates).toBe(true);
  });

  test("knows this instance, and an older one that is pending, for twenty seconds", () => {
    const facts = { [HOLDER]: older, [ME]: self };
    expect(Object.keys(ask({ facts }).known)).toEqual([HOLDER, ME]);
    const later = { [HOLDER]: { ...older, askedAt: 50_000 }, [ME]: { ...self, askedAt: 50_000 } };
    expect(Object.keys(ask({ facts: later }, A_GOAL, 50_000 + FACTS_MS).known)).toHaveLength(2);
  });

  test("asks for the group under always alone, until that or this instance is known", () => {
    expect(ask({}, always).needsGroup).toBe(true);
    expect(ask({}, { ...always, takeover: "never" })).not.toHaveProperty("needsGroup");
    expect(ask({ group: { name: "web", since: 0 } }, always)).not.toHaveProperty("needsGroup");
    expect(ask({ facts: { [ME]: self } }, always)).not.toHaveProperty("needsGroup");
  });
});

describe("a take is put off", () => {
  const group = { name: "web", since: 0 };
  const goal = { ...A_GOAL, isServiceUnknown: true };
  const { state: _, ...stateless } = other("running");
  const running = other("running");

  test.each<[string, Goal, Partial<Memory>, Parameters<typeof isPremature>[1], boolean]>([
    ["from a running instance", goal, { group }, running, true],
    ["from an instance whose state was not asked for", goal, { group }, stateless, true],
    ["not from a stopped one", goal, { group }, other("stopped"), false],
    ["not from an interface", goal, { group }, { kind: "interface", interfaceId: "eni-1" }, false],
    ["not outside a group", goal, {}, running, false],
    ["not by an instance in service", A_GOAL, { group }, running, false],
  ])("%s", (_, aGoal, memory, from, expected) => {
    expect(isPremature(state(memory, aGoal), from, 0)).toBe(expected);
  });
});

describe("where a zone is down", () => {
  const { launchedAt: _, ...down } = other("unanswered");
  const since = { [`unanswered ${HOLDER}`]: -60_000 };
  const choose = (age: number) =>
    choiceOf(state(), { ...seen(observation(address(down))), date: LAUNCHED + age }, since, 0);

  test.each([
    ["a replacement that was launched a moment ago takes its address", 0, "take"],
    ["one launched less than a quarter of an hour ago does", REPLACEMENT_MS - 1, "take"],
    ["an older one does not: it merely reboots", REPLACEMENT_MS, "wait"],
  ])("%s", (_, age, expected) => {
    expect(choose(age)).toMatchObject({ decision: { do: expected } });
  });
});
