/** A recheck: nobody is asked while all is well, drift is healed, and what somebody has to correct is left alone. */
import { describe, expect, test } from "vitest";
import { recheck } from "../../src/commands/recheck.ts";
import { EXIT, Failure, type Kind } from "../../src/model/failure.ts";
import type { Instance } from "../../src/model/instance.ts";
import { type LastResult, NO_RECHECKS, type RecheckState } from "../../src/reconcile/drift.ts";
import { NOT_SHARED, type SharedResult } from "../../src/run/ports.ts";
// Loaded before time begins to pass: a recheck loads it when it is needed.
import "../../src/run/lifecycle.ts";
import {
  address,
  ALLOCATION,
  HERE,
  LAUNCHED,
  ME,
  NOBODY,
  PUBLIC_IP,
  TARGET,
} from "../reconcile/fixtures.ts";
import {
  GROUP,
  inTime,
  inTurn,
  observed,
  type Script,
  scripted,
  SELF,
  SIGTERM,
} from "../run/scripted.ts";
import { settingsOf } from "../support/settings.ts";

const IS_HERE = observed(address(HERE));
const IS_FREE = observed(address(NOBODY));
const SETTLED: LastResult = {
  outcome: "settled",
  exitStatus: 0,
  instanceId: ME,
  interfaceId: TARGET.interfaceId,
  privateIp: TARGET.privateIp,
  publicIp: PUBLIC_IP,
};
/** Without a public address at the target. */
const DRIFTED: Instance = {
  ...SELF,
  interfaces: SELF.interfaces.map((one) => ({ ...one, publicIps: {} })),
};
const WARM: Instance = { ...SELF, lifecycleState: "Warmed:Running" };
/** Nobody holds the address, until it is associated. */
const drifted = (): Script => ({
  instance: () => DRIFTED,
  observe: inTurn(IS_FREE, IS_HERE),
  associate: () => {},
});
const MINUTE = 60_000;

interface Play {
  readonly last?: LastResult | undefined;
  readonly memory?: RecheckState;
  readonly settings?: Readonly<Record<string, string>>;
  readonly shared?: SharedResult;
  readonly stopAt?: number;
}

async function play(script: Script, options: Play = {}) {
  const { memory = NO_RECHECKS, shared = NOT_SHARED, stopAt } = options;
  const last = "last" in options ? options.last : SETTLED;
  const world = scripted(script);
  const { time, ports } = world;
  const stop = new AbortController();
  if (stopAt !== undefined) void time.sleep(stopAt).then(() => stop.abort(SIGTERM));
  const settings = settingsOf({ EIP_HEAL_ALLOCATION_ID: ALLOCATION, ...options.settings });
  const past = { last, memory, shared };
  const done = await inTime(time, recheck(settings, ports, past, time.now, stop.signal));
  const asked = world.asked();
  return { ...world, ...done, asked, hasAskedEc2: asked.includes("connect") };
}
const loud = (log: readonly string[]) => log.filter((line) => line.startsWith("warn "));

describe("while all is well", () => {
  test("nobody is asked but instance metadata, and nothing is said", async () => {
    const { outcome, asked, log } = await play({});
    expect({ outcome, asked, warnings: loud(log) }).toEqual({
      outcome: undefined,
      asked: ["instance"],
      warnings: [],
    });
  });

  test("metadata that agrees again has only been slow, and the moves of before stay counted", async () => {
    const { memory } = await play({}, { memory: { moves: [LAUNCHED - 1], disagreements: 1 } });
    expect(memory).toEqual({ moves: [LAUNCHED - 1], disagreements: 0 });
  });
});

describe("a spot instance that is about to be interrupted", () => {
  const interrupted = { ...drifted(), spotAction: () => "stop" };

  test("leaves drift alone, asks EC2 nothing, and says so once", async () => {
    const { outcome, asked } = await play(interrupted);
    expect(outcome).toMatchObject({
      end: "idle",
      because: "this spot instance is about to stop",
      why: "not-in-service",
    });
    expect(asked).toEqual(["instance", "spotAction"]);
    const last: LastResult = {
      outcome: "idle",
      exitStatus: 0,
      idle: "not-in-service",
      instanceId: ME,
    };
    const again = await play(interrupted, { last });
    expect([again.outcome, again.hasAskedEc2]).toEqual([undefined, false]);
  });
});

describe("what has drifted", () => {
  test("is healed, said once, and counted as a move", async () => {
    const { outcome, log, memory } = await play(drifted());
    expect(outcome).toMatchObject({ end: "settled", change: "associated" });
    expect(loud(log)).toHaveLength(1);
    expect(memory).toEqual({ moves: [LAUNCHED], disagreements: 0 });
  });

  test.each<[string, Partial<LastResult>]>([
    ["out of time", { outcome: "failed", exitStatus: 75 }],
    ["a missing permission", { outcome: "failed", exitStatus: 77 }],
    ["a newer instance that had it", { outcome: "yielded", exitStatus: 69 }],
    ["somebody who stopped it", { outcome: "stopped", exitStatus: 75 }],
    ["an instance that was not in service", { outcome: "idle", idle: "not-in-service" }],
    ["too many moves", { outcome: "idle", idle: "resting" }],
  ])("after %s it is healed, and that is no news", async (_, last) => {
    const script = { ...drifted(), instance: () => SELF };
    const { outcome, log } = await play(script, { last: { ...SETTLED, ...last } });
    expect(outcome).toMatchObject({ end: "settled", change: "associated" });
    expect(loud(log)).toEqual([]);
  });

  test("is healed on another instance whose image has this one's result in it", async () => {
    const last = { ...SETTLED, instanceId: "i-00000000000000007" };
    const { outcome, log } = await play({ ...drifted(), instance: () => SELF }, { last });
    expect(outcome).toMatchObject({ end: "settled", change: "associated" });
    expect(loud(log)).toHaveLength(1);
  });

  test("without an earlier result it is healed, too", async () => {
    const { outcome, log } = await play({ observe: () => IS_HERE }, { last: undefined });
    expect(outcome).toMatchObject({ end: "settled", change: "none" });
    expect(loud(log)).toEqual([]);
  });

  test("is waited for where the interface has gone: it may be back in a moment", async () => {
    const script: Script = {
      ...drifted(),
      instance: inTurn({ ...SELF, interfaces: [] }, { ...SELF, interfaces: [] }, SELF),
    };
    const { outcome, log } = await play(script);
    expect(outcome).toMatchObject({ end: "settled", tries: 2 });
    expect(loud(log).length).toBeGreaterThan(0);
  });
});

describe("what EC2 shows here and instance metadata does not", () => {
  const script: Script = { instance: () => DRIFTED, observe: () => IS_HERE };

  test("is counted, round after round", async () => {
    const first = await play(script);
    expect(first.outcome).toMatchObject({ end: "settled", change: "none" });
    expect(first.memory).toEqual({ moves: [], disagreements: 1 });
    const second = await play(script, { memory: first.memory });
    expect(second.memory).toEqual({ moves: [], disagreements: 2 });
  });

  test("is associated anew in the third one", async () => {
    const memory = { moves: [], disagreements: 2 };
    const third = await play({ ...script, associate: () => {} }, { memory });
    expect(third.outcome).toMatchObject({ end: "settled", change: "renewed" });
    expect(third.memory).toEqual({ moves: [LAUNCHED], disagreements: 0 });
  });
});

describe("left alone is", () => {
  test.each<[string, LastResult]>([
    ["an address that was given up on purpose", { ...SETTLED, outcome: "released" }],
    ["a machine that is not configured", { ...SETTLED, outcome: "idle", idle: "not-configured" }],
    ["a release of what was not here", { ...SETTLED, outcome: "idle", idle: "not-holder" }],
    ["a mistake in the settings", { ...SETTLED, outcome: "failed", exitStatus: 78 }],
    [
      "a unit that has failed, to its own timer",
      { ...SETTLED, outcome: "failed", exitStatus: 75, unit: "eip-heal.service" },
    ],
  ])("%s: EC2 is not asked, and nothing is said", async (_, last) => {
    const { outcome, hasAskedEc2, log, memory } = await play({ instance: () => DRIFTED }, { last });
    expect({ outcome, hasAskedEc2, warnings: loud(log) }).toEqual({
      outcome: undefined,
      hasAskedEc2: false,
      warnings: [],
    });
    expect(memory).toBe(NO_RECHECKS);
  });
});

describe("an instance that is not in service", () => {
  test("says so once, so that nobody believes any longer that the address is here", async () => {
    const { outcome, hasAskedEc2 } = await play({ instance: () => WARM });
    expect(outcome).toMatchObject({ end: "idle", why: "not-in-service", tries: 1 });
    expect(outcome?.facts).toEqual({ instanceId: ME, region: "us-east-1" });
    expect(hasAskedEc2).toBe(false);
  });

  test("and not again", async () => {
    const last = { outcome: "idle", exitStatus: 0, idle: "not-in-service", instanceId: ME };
    expect((await play({ instance: () => WARM }, { last })).outcome).toBeUndefined();
  });

  test("nor where the address was given up before", async () => {
    const last = { ...SETTLED, outcome: "released" };
    expect((await play({ instance: () => WARM }, { last })).outcome).toBeUndefined();
  });

  test("completes the lifecycle hook when it enters service: no boot's heal does", async () => {
    const last = { outcome: "idle", exitStatus: 0, idle: "not-in-service", instanceId: ME };
    const settings = { EIP_HEAL_LIFECYCLE_HOOK: "web-launch" };
    const script: Script = { ...drifted(), member: () => ({ group: GROUP }), complete: () => true };
    const { outcome } = await play(script, { last, settings });
    expect(outcome?.hook).toMatchObject({ end: "completed", group: GROUP, result: "CONTINUE" });
    // Else the hook is not a recheck's.
    expect((await play(drifted(), { settings })).outcome).not.toHaveProperty("hook");
  });
});

describe("too many moves", () => {
  const moved = (...minutesAgo: number[]): RecheckState => ({
    moves: minutesAgo.map((minutes) => LAUNCHED - minutes * MINUTE),
    disagreements: 0,
  });

  test("within an hour: it rests, and says that the address is not here", async () => {
    const { outcome, hasAskedEc2, memory } = await play(
      { instance: () => DRIFTED },
      { memory: moved(50, 40, 30, 20, 10) },
    );
    expect(outcome).toMatchObject({ end: "idle", why: "resting" });
    expect(hasAskedEc2).toBe(false);
    expect(memory).toEqual(moved(50, 40, 30, 20, 10));
  });

  test("of more than an hour ago do not count", async () => {
    const { outcome, memory } = await play(drifted(), { memory: moved(61, 50, 40, 30, 20) });
    expect(outcome).toMatchObject({ end: "settled" });
    expect(memory.moves).toEqual([...moved(50, 40, 30, 20).moves, LAUNCHED]);
  });

  test("within a single heal end it: each of them counts", async () => {
    const { outcome, memory, asked } = await play(
      {
        instance: () => DRIFTED,
        // Somebody moves it away after each of them.
        observe: inTurn(IS_FREE, IS_HERE, IS_FREE, IS_HERE, IS_FREE, IS_HERE, IS_FREE),
        associate: () => {},
      },
      { memory: moved(30, 20, 10) },
    );
    expect(asked.filter((call) => call.startsWith("associate"))).toHaveLength(2);
    expect(outcome).toMatchObject({ end: "idle", why: "resting" });
    expect(outcome).toMatchObject({
      because: expect.stringContaining("until 10:30 UTC") as string,
    });
    expect(memory.moves).toHaveLength(5);
    expect(memory.disagreements).toBe(0);
  });

  test("that were refused are none", async () => {
    const denied = () => new Failure("denied", { why: "not allowed" });
    const settings = { EIP_HEAL_DEADLINE: "5s" };
    const { memory } = await play({ ...drifted(), associate: denied }, { settings });
    expect(memory.moves).toEqual([]);
  });
});

describe("an address that is given up while it is being healed", () => {
  test("is no failure, and its result stays that of the release", async () => {
    const shared: SharedResult = { wasReleased: () => true, withdraw: () => {} };
    const { outcome, memory } = await play(drifted(), { shared });
    expect(outcome).toBeUndefined();
    expect(memory).toEqual({ moves: [], disagreements: 0 });
  });
});

describe("instance metadata that", () => {
  test.each<[Kind, number, true | undefined]>([
    // Who cannot tell leaves what was verified as it is.
    ["unreachable", EXIT.TEMPFAIL, true],
    ["throttled", EXIT.TEMPFAIL, true],
    ["not-yet", EXIT.TEMPFAIL, true],
    ["misconfigured", EXIT.CONFIG, undefined],
  ])("is %s ends it with %d; does the last result stay: %s", async (kind, status, stays) => {
    const { outcome, preserveResult, hasAskedEc2, memory } = await play({
      instance: () => new Failure(kind, { why: "it did not work" }),
    });
    expect(outcome).toMatchObject({ end: "failed", status });
    expect(preserveResult).toBe(stays);
    expect(hasAskedEc2).toBe(false);
    expect(memory).toBe(NO_RECHECKS);
  });

  test("is still being read when somebody ends it", async () => {
    const { outcome, preserveResult } = await play({ takes: () => MINUTE }, { stopAt: 1_000 });
    expect(outcome).toMatchObject({ end: "stopped", ms: 1_000 });
    expect(outcome).toMatchObject({
      because: "stopped by SIGTERM while reading instance metadata",
    });
    expect(preserveResult).toBe(true);
  });

  test("meets a bug is none of these", async () => {
    const instance = () => {
      throw new TypeError("undefined is not a function");
    };
    await expect(play({ instance })).rejects.toThrow("undefined is not a function");
  });
});

test("somebody who ends the heal of a drift is named, and that is not resting", async () => {
  const script: Script = { instance: () => DRIFTED, observe: () => IS_FREE, takes: () => 500 };
  const { outcome, preserveResult } = await play(script, { stopAt: 1_200 });
  expect(outcome).toMatchObject({ end: "stopped" });
  expect(preserveResult).toBeUndefined();
});
