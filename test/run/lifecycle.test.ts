/** A lifecycle hook: kept from timing out while the heal lasts, and completed with what follows from its end. */
import { describe, expect, test } from "vitest";
import { EXIT, Failure, type Kind } from "../../src/model/failure.ts";
import type { End, Facts, Outcome } from "../../src/model/outcome.ts";
import { completeHook, underHook } from "../../src/run/lifecycle.ts";
import { ALONE, GROUP, inTime, inTurn, type Script, scripted, SELF, SIGTERM } from "./scripted.ts";

const HOOK = "web-launch";
const SETTLED: End = { end: "settled", change: "none" };
const YIELDED: End = {
  end: "failed",
  failure: new Failure("yielded", { why: "a newer instance holds it" }),
  status: EXIT.UNAVAILABLE,
};
const failing = (kind: Kind) => new Failure(kind, { why: "it did not work" });
/** Of a group that instance metadata shows. */
const TAGGED = { ...SELF, tag: { key: "aws:autoscaling:groupName", value: GROUP } };
/** The same before its first transition in the group. */
const NEW = { ...ALONE, tag: TAGGED.tag };
const tagged = (script: Script): Script => ({ instance: () => TAGGED, ...script });

interface Completing {
  readonly end?: End;
  readonly facts?: Facts;
  /** Time that is left to the run. */
  readonly deadlineMs?: number;
  readonly dryRun?: boolean;
  readonly stopAt?: number;
}

async function complete(script: Script, options: Completing = {}) {
  const { end = SETTLED, facts = {}, deadlineMs = 0, dryRun = false, stopAt } = options;
  const { time, ports, calls, asked } = scripted(script);
  const stop = new AbortController();
  if (stopAt !== undefined) void time.sleep(stopAt).then(() => stop.abort(SIGTERM));
  const hook = { name: HOOK, deadlineMs, dryRun };
  const work = completeHook(hook, end, facts, ports, stop.signal);
  let ms = 0;
  const ended = await inTime(
    time,
    work.finally(() => (ms = ports.clock.now())),
  );
  const completions = calls.filter((call) => call.includes(" complete "));
  return { ended, asked: asked(), completions, ms };
}

describe("at the end of a heal the hook is completed", () => {
  test.each<[string, End, string]>([
    ["with CONTINUE where the address is here", SETTLED, "CONTINUE"],
    ["with ABANDON where it will not come", YIELDED, "ABANDON"],
  ])("%s", async (_, end, result) => {
    const { ended, asked } = await complete(tagged({ complete: () => true }), { end });
    expect(ended).toEqual({ name: HOOK, group: GROUP, end: "completed", result });
    expect(asked).toEqual([
      "instance aws:autoscaling:groupName",
      `complete ${GROUP} ${HOOK} ${result}`,
      "close Auto Scaling",
    ]);
  });

  test("in the group that Auto Scaling tells, where instance metadata shows no tags", async () => {
    const { ended, asked } = await complete({
      member: () => ({ group: "other" }),
      complete: () => true,
    });
    expect(ended).toMatchObject({ group: "other", end: "completed" });
    expect(asked[1]).toBe("member");
  });

  test("but not where it was not for this run to complete it", async () => {
    const end: End = { end: "stopped", because: "stopped by SIGTERM" };
    const { ended, asked } = await complete({}, { end });
    expect(ended).toEqual({ name: HOOK, end: "left", because: "stopped by SIGTERM" });
    expect(asked).toEqual([]);
  });

  test("by what the run has found out of its lifecycle state", async () => {
    const end: End = { end: "idle", because: "not in service", why: "not-in-service" };
    const warm = { end, facts: { lifecycleState: "Warmed:Stopped" } };
    expect((await complete(tagged({ complete: () => true }), warm)).ended).toMatchObject({
      end: "completed",
      result: "CONTINUE",
    });
    expect((await complete({}, { end })).ended).toMatchObject({ end: "left" });
  });

  test("in a dry run only in words", async () => {
    const { ended, asked } = await complete({}, { dryRun: true });
    expect(ended).toEqual({ name: HOOK, end: "would", result: "CONTINUE" });
    expect(asked).toEqual([]);
  });
});

describe("an instance that does not wait under the hook", () => {
  test("is in no group", async () => {
    const { ended } = await complete({ member: () => undefined });
    expect(ended).toEqual({ name: HOOK, end: "not-waiting" });
  });

  test("has been in service before: there is nothing to be completed", async () => {
    const { ended, completions } = await complete(tagged({ complete: () => false }));
    expect(ended).toEqual({ name: HOOK, group: GROUP, end: "not-waiting" });
    expect(completions).toHaveLength(1);
  });

  test("may do so in a moment while no state is shown: Auto Scaling begins the wait after the boot", async () => {
    const script = { instance: () => NEW, complete: inTurn(false, false, true) };
    const { ended, completions } = await complete(script);
    expect(ended).toEqual({ name: HOOK, group: GROUP, end: "completed", result: "CONTINUE" });
    expect(completions).toHaveLength(3);
  });

  test("does so no more after half a minute", async () => {
    const { ended, ms } = await complete({ instance: () => NEW, complete: () => false });
    expect(ended).toEqual({ name: HOOK, end: "not-waiting" });
    expect(ms).toBe(29_000);
  });

  test("or after two minutes where the run has so much time left", async () => {
    const script: Script = { instance: () => NEW, complete: () => false };
    const { ended, ms } = await complete(script, { deadlineMs: 600_000 });
    expect(ended).toEqual({ name: HOOK, end: "not-waiting" });
    expect(ms).toBe(120_000);
  });
});

describe("an answer that is lost", () => {
  test("is asked for again", async () => {
    const script = tagged({ complete: inTurn<boolean | Failure>(failing("unreachable"), true) });
    expect((await complete(script)).ended).toEqual({
      name: HOOK,
      group: GROUP,
      end: "completed",
      result: "CONTINUE",
    });
  });

  test("may have been a yes, where there is nothing to be completed afterwards", async () => {
    const script = tagged({ complete: inTurn<boolean | Failure>(failing("unreachable"), false) });
    expect((await complete(script)).ended).toMatchObject({ end: "completed", unsure: true });
  });

  test("that was none, because it was throttled, was no yes", async () => {
    const script = tagged({ complete: inTurn<boolean | Failure>(failing("throttled"), false) });
    expect((await complete(script)).ended).toMatchObject({ end: "not-waiting" });
  });

  test.each<[Kind, number]>([
    ["unreachable", EXIT.TEMPFAIL],
    ["denied", EXIT.NOPERM],
  ])("%s to the end, half a minute later, is a failure with %d", async (kind, status) => {
    const { ended, ms } = await complete(tagged({ complete: () => failing(kind) }));
    expect(ended).toMatchObject({ name: HOOK, end: "failed", result: "CONTINUE", status });
    expect(ended).toMatchObject({ failure: { kind } });
    expect(ms).toBe(29_000);
  });
});

test("somebody who ends the run in between is named", async () => {
  const script = tagged({ complete: () => failing("unreachable") });
  const { ended, ms } = await complete(script, { stopAt: 1_000 });
  expect(ended).toMatchObject({ name: HOOK, end: "stopped", result: "CONTINUE" });
  expect(ended).toMatchObject({ because: expect.stringContaining("stopped by SIGTERM") as string });
  expect(ms).toBe(1_000);
});

test("a bug is none of the ends of a hook", async () => {
  await expect(complete({ instance: () => TAGGED })).rejects.toThrow("not in the script");
});

interface Healing {
  /** How long the heal takes. */
  readonly takes: number;
  readonly deadlineMs?: number;
  readonly dryRun?: boolean;
  readonly stopAt?: number;
}

async function healUnder(script: Script, { takes, deadlineMs = 600_000, ...more }: Healing) {
  const { time, ports, calls, log } = scripted(script);
  const stop = new AbortController();
  const { dryRun = false, stopAt } = more;
  if (stopAt !== undefined) void time.sleep(stopAt).then(() => stop.abort(SIGTERM));
  const outcome: Outcome = {
    ...SETTLED,
    facts: { lifecycleState: "InService" },
    tries: 1,
    ms: takes,
  };
  const heal = async (): Promise<Outcome> => {
    await time.sleep(takes);
    calls.push(`${ports.clock.now()} healed`);
    return stop.signal.aborted ? { ...outcome, end: "stopped", because: SIGTERM.message } : outcome;
  };
  const report = ({ end }: Outcome) => void calls.push(`${ports.clock.now()} told ${end}`);
  const hook = { name: HOOK, deadlineMs, dryRun };
  let ms = 0;
  const work = underHook(hook, ports, heal, report, stop.signal);
  const ended = await inTime(
    time,
    work.finally(() => (ms = ports.clock.now())),
  );
  const heartbeats = calls
    .filter((call) => call.includes(" heartbeat "))
    .map((call) => Number(call.split(" ", 1)[0]));
  return { ended, heartbeats, calls, log, ms };
}

describe("while a heal lasts", () => {
  const ALIVE = tagged({ heartbeat: () => true, complete: () => true });

  test("longer than eight seconds, the hook is kept from timing out every fifteen seconds", async () => {
    const { heartbeats, calls } = await healUnder(ALIVE, { takes: 60_000 });
    expect(heartbeats).toEqual([8_000, 23_000, 38_000, 53_000]);
    expect(calls).toContain(`8000 heartbeat ${GROUP} ${HOOK}`);
  });

  test("less, it is let alone", async () => {
    const { heartbeats } = await healUnder(ALIVE, { takes: 7_999 });
    expect(heartbeats).toEqual([]);
  });

  test("the end is told before the hook is completed, and is that of the run", async () => {
    const { ended, calls } = await healUnder(ALIVE, { takes: 1_000 });
    expect(calls.filter((call) => / (told|healed|complete) ?/.test(call))).toEqual([
      "1000 healed",
      "1000 told settled",
      `1000 complete ${GROUP} ${HOOK} CONTINUE`,
    ]);
    expect(ended).toMatchObject({ end: "settled", hook: { end: "completed" }, tries: 1 });
  });

  test.each<[Kind, number[]]>([
    // There is time for one that gets lost, and for its successor.
    ["unreachable", [8_000, 10_000, 25_000]],
    ["throttled", [8_000, 10_000, 25_000]],
    ["denied", [8_000, 23_000]],
  ])("one that is %s is followed by another: %j", async (kind, expected) => {
    const heartbeat = inTurn<boolean | Failure>(failing(kind), true);
    const { heartbeats, log } = await healUnder({ ...ALIVE, heartbeat }, { takes: 30_000 });
    expect(heartbeats).toEqual(expected);
    expect(log.filter((line) => line.startsWith("warn "))).toHaveLength(1);
  });

  test("the same trouble again is told to whoever debugs, and other trouble to everybody", async () => {
    const heartbeat = inTurn<boolean | Failure>(
      failing("denied"),
      failing("denied"),
      new Failure("denied", { why: "something else" }),
      failing("denied"),
    );
    const { log } = await healUnder({ ...ALIVE, heartbeat }, { takes: 60_000 });
    const told = log.filter((line) => /did not work|something else/.test(line));
    expect(told.map((line) => line.split(" ", 1)[0])).toEqual(["warn", "debug", "warn", "warn"]);
  });

  test("an instance that has been in service before needs none", async () => {
    const script = { ...ALIVE, heartbeat: () => false };
    const { heartbeats } = await healUnder(script, { takes: 60_000 });
    expect(heartbeats).toEqual([8_000]);
  });

  test("nor does one that is in no group", async () => {
    const { heartbeats, calls } = await healUnder({ member: () => undefined }, { takes: 60_000 });
    expect(heartbeats).toEqual([]);
    // Looked up once for the heartbeats and once at the end.
    expect(calls.filter((call) => call.endsWith(" member"))).toHaveLength(2);
  });

  test("one whose wait has not begun yet goes on asking", async () => {
    const script: Script = { instance: () => NEW, heartbeat: () => false, complete: () => true };
    const { heartbeats } = await healUnder(script, { takes: 30_000 });
    expect(heartbeats).toEqual([8_000, 23_000]);
  });

  test("a dry run sends none", async () => {
    const { ended, heartbeats } = await healUnder({}, { takes: 30_000, dryRun: true });
    expect(heartbeats).toEqual([]);
    expect(ended).toMatchObject({ hook: { end: "would", result: "CONTINUE" } });
  });

  test("nobody sends any after somebody has ended it", async () => {
    const { ended, heartbeats } = await healUnder(ALIVE, { takes: 60_000, stopAt: 30_000 });
    expect(heartbeats).toEqual([8_000, 23_000]);
    expect(ended).toMatchObject({ end: "stopped", hook: { end: "left" } });
  });
});

describe("the hook has for itself", () => {
  const script: Script = { instance: () => NEW, complete: () => false, heartbeat: () => false };

  test("what the heal has left of the time of the run", async () => {
    const { ms } = await healUnder(script, { takes: 20_000, deadlineMs: 100_000 });
    expect(ms).toBe(99_000);
  });

  test("and half a minute at least", async () => {
    const { ms } = await healUnder(script, { takes: 20_000, deadlineMs: 20_000 });
    expect(ms).toBe(49_000);
  });
});
