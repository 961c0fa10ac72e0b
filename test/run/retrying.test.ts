/** Trying again: how a run ends, what it says meanwhile, and who may end it. */
import { describe, expect, test } from "vitest";
import {
  EXIT,
  Failure,
  type FailureDetails,
  type Kind,
  OWN_CODE,
} from "../../src/model/failure.ts";
import type { LastResult } from "../../src/reconcile/drift.ts";
import type { Written } from "../../src/reconcile/state.ts";
import { deadlineSignal, endBy, retry, withStep } from "../../src/run/retrying.ts";
import { inTime, scripted, SIGTERM } from "./scripted.ts";

const failure = (kind: Kind, more: Partial<FailureDetails> = {}) =>
  new Failure(kind, { why: "no answer", ...more }, "looking");

interface Play {
  readonly deadlineMs?: number;
  /** When somebody stops it, in milliseconds. */
  readonly stopAt?: number;
  readonly last?: LastResult;
  readonly written?: Written;
  readonly wasWaitedOut?: boolean;
}

/** What each attempt comes to, and how long it takes; the last one again and again. */
type Attempt = {
  readonly comesTo: Failure | Error | "done";
  readonly takes?: number;
  /** It is not ended by the signal. */
  readonly goesOn?: true;
};

async function play(attempts: readonly Attempt[], options: Play = {}) {
  const { deadlineMs = 600_000, stopAt, last, written, wasWaitedOut = false } = options;
  const { time, ports, log } = scripted();
  const { clock } = ports;
  const stop = new AbortController();
  const limit = deadlineSignal(clock, deadlineMs, stop.signal);
  const { signal, defer } = limit;
  const context = {
    ports,
    signal,
    stop: stop.signal,
    deadline: deadlineMs,
    defer,
    last,
    step: "x",
  };
  const begunAt: number[] = [];
  if (stopAt !== undefined) void time.sleep(stopAt).then(() => stop.abort(SIGTERM));
  const attempt = async () => {
    context.step = "looking";
    const {
      comesTo,
      takes = 0,
      goesOn,
    } = attempts[Math.min(begunAt.length, attempts.length - 1)] as Attempt;
    begunAt.push(clock.now());
    if (takes > 0) await clock.sleep(takes, goesOn ? new AbortController().signal : signal);
    if (comesTo === "done") return comesTo;
    throw comesTo;
  };
  const ended = await inTime(
    time,
    retry(context, attempt, written && (() => written), () => wasWaitedOut).finally(limit.release),
  );
  return { ended, begunAt, log, step: context.step };
}

describe("a run goes on until", () => {
  test("it is done", async () => {
    const { ended, begunAt, log } = await play([{ comesTo: "done" }]);
    expect(ended).toEqual({ done: "done", tries: 1 });
    expect([begunAt, log]).toEqual([[0], []]);
  });

  test("it is done in the end", async () => {
    const silence = failure("unreachable");
    const { ended, begunAt } = await play([
      { comesTo: silence },
      { comesTo: silence },
      { comesTo: "done" },
    ]);
    expect(ended).toEqual({ done: "done", tries: 3 });
    // Half a second, then a second, less what the dice take off.
    expect(begunAt).toEqual([0, 450, 1_350]);
  });

  test("there is no hope", async () => {
    const wrong = failure("misconfigured");
    const { ended } = await play([{ comesTo: failure("unreachable") }, { comesTo: wrong }]);
    expect(ended).toEqual({ failure: wrong, status: EXIT.CONFIG, tries: 2 });
  });

  test("its patience is over, which is remembered for the next run", async () => {
    const denied = failure("denied");
    const { ended, begunAt } = await play([{ comesTo: denied }]);
    expect(ended).toMatchObject({ failure: denied, status: EXIT.NOPERM, isWaitedOut: true });
    expect(begunAt.at(-1)).toBe(120_000);
  });

  test("that was waited for in vain by an earlier run: at once", async () => {
    const { ended, begunAt } = await play([{ comesTo: failure("denied") }], { wasWaitedOut: true });
    expect(ended).toMatchObject({ status: EXIT.NOPERM, isWaitedOut: true, tries: 1 });
    expect(begunAt).toEqual([0]);
  });

  test("time is up, with a last try a second before", async () => {
    const held = failure("held");
    const { ended, begunAt } = await play([{ comesTo: held }], { deadlineMs: 12_000 });
    expect(ended).toEqual({ failure: held, status: EXIT.TEMPFAIL, tries: 4 });
    expect(begunAt).toEqual([0, 5_000, 10_000, 11_000]);
    expect(ended).not.toHaveProperty("isWaitedOut");
  });

  test("something happens that nobody foresaw: a bug, which is not tried again", async () => {
    const bug = new TypeError("undefined is not a function");
    await expect(play([{ comesTo: bug }])).rejects.toBe(bug);
  });
});

describe("time that is up in the middle of an attempt", () => {
  const denied = failure("denied");
  const late: Attempt[] = [{ comesTo: denied }, { comesTo: "done", takes: 60_000 }];

  test("leaves the cause that was there before as the cause", async () => {
    const { ended } = await play(late, { deadlineMs: 10_000 });
    expect(ended).toEqual({ failure: denied, status: EXIT.NOPERM, tries: 2 });
  });

  test("is the cause itself where nothing went wrong before", async () => {
    const { ended } = await play([{ comesTo: "done", takes: 60_000 }], { deadlineMs: 10_000 });
    expect(ended).toMatchObject({ failure: { kind: "unreachable", step: "looking" }, status: 75 });
  });

  test("is the cause where a write since may have done away with what was there", async () => {
    const { ended } = await play(late, { deadlineMs: 10_000, written: "perhaps" });
    expect(ended).toMatchObject({ failure: { kind: "unreachable" }, status: EXIT.TEMPFAIL });
  });

  test("is not the cause where AWS has answered after it, which a hold waits for", async () => {
    const after = (comesTo: Failure, stopAt?: number) =>
      play([{ comesTo, takes: 6_000, goesOn: true }], {
        deadlineMs: 3_000,
        ...(stopAt !== undefined && { stopAt }),
      });
    const yielded = failure("yielded");
    const answered = await after(yielded);
    expect(answered.ended).toEqual({ failure: yielded, status: EXIT.UNAVAILABLE, tries: 1 });
    for (const kind of ["unreachable", "throttled"] as const) {
      const { ended } = await after(failure(kind));
      expect(ended).toHaveProperty("failure.message", expect.stringMatching(/^the deadline/));
    }
    expect((await after(yielded, 2_000)).ended).toHaveProperty("stopped");
  });

  test("hides no failure that came with it: what is thrown then is the signal's", async () => {
    const bug: Attempt = { comesTo: new Error("aborted"), takes: 60_000 };
    const { ended } = await play([bug], { deadlineMs: 10_000 });
    expect(ended).toMatchObject({ status: EXIT.TEMPFAIL, tries: 1 });
  });
});

describe("somebody who ends it", () => {
  test("is named, with what was being done", async () => {
    const { ended } = await play([{ comesTo: "done", takes: 60_000 }], { stopAt: 2_000 });
    expect(ended).toEqual({ stopped: "stopped by SIGTERM while looking", tries: 1 });
  });

  test("in the pause after a failure is told that failure", async () => {
    const { ended, begunAt } = await play([{ comesTo: failure("held") }], { stopAt: 7_000 });
    expect(ended).toEqual({
      stopped: `stopped by SIGTERM while waiting after: ${failure("held").message}`,
      tries: 2,
    });
    expect(begunAt).toEqual([0, 5_000]);
  });
});

test("time that is up in the pause after a failure does not do away with it, whatever was written before", async () => {
  const { time, ports } = scripted();
  const stop = new AbortController();
  // The deadline by which the pauses are chosen lies further away than the signal.
  const limit = deadlineSignal(ports.clock, 2_000, stop.signal);
  const denied = failure("denied");
  const { signal, defer } = limit;
  const context = { ports, signal, stop: stop.signal, deadline: 600_000, defer, step: "looking" };
  const work = retry(
    context,
    () => Promise.reject(denied),
    () => "perhaps",
  );
  expect(await inTime(time, work)).toMatchObject({ failure: denied, status: EXIT.NOPERM });
});

describe("what is said while it goes on", () => {
  const said = (log: readonly string[]) => log.map((line) => line.split(" ", 1)[0]);

  test("what went wrong, how long it is waited for at most, and when the next try is", async () => {
    const { log } = await play([{ comesTo: failure("denied") }, { comesTo: "done" }]);
    expect(log).toEqual([
      expect.stringMatching(/^warn no answer.*; .*\b2 min; next try in 2\.9 s$/),
    ]);
  });

  test("nothing of patience where it is not over before the deadline", async () => {
    const { log } = await play([{ comesTo: failure("held") }, { comesTo: "done" }]);
    expect(log).toEqual([`warn ${failure("held").message}; next try in 5.0 s`]);
  });

  test("the same again is said once a minute, and in between to whoever debugs", async () => {
    const { log, begunAt } = await play([{ comesTo: failure("held") }], { deadlineMs: 130_000 });
    const loud = begunAt.filter((_, index) => said(log)[index] === "warn");
    expect(loud).toEqual([0, 60_000, 120_000]);
  });

  test("another cause is news at once", async () => {
    const { log } = await play([
      { comesTo: failure("held") },
      { comesTo: failure("held") },
      { comesTo: failure("held", { why: "another one" }) },
      { comesTo: failure("unreachable", { why: "another one" }) },
      { comesTo: "done" },
    ]);
    expect(said(log)).toEqual(["warn", "debug", "warn", "warn"]);
  });

  test("what the last run of the unit has ended with is none", async () => {
    const code = OWN_CODE.noTag;
    const last = { outcome: "failed", exitStatus: 78, failure: "not-yet", step: "looking", code };
    const { log } = await play([{ comesTo: failure("not-yet", { code }) }, { comesTo: "done" }], {
      last,
    });
    expect(said(log)).toEqual(["debug"]);
  });
});

describe("a step", () => {
  const context = () => ({ ...scripted(), step: "before" });

  test("is named for whoever interrupts it, and to whoever debugs", async () => {
    const { ports, log } = scripted();
    const naming = { ports, step: "before" };
    expect(await withStep(naming, "looking", () => Promise.resolve(7))).toBe(7);
    expect([naming.step, log]).toEqual(["looking", ["debug looking"]]);
  });

  test("is told in the failure that comes out of it", async () => {
    const naming = context();
    const plain = new Failure("held", { why: "it is held" });
    const work = withStep(naming, "looking", () => Promise.reject(plain));
    await expect(work).rejects.toMatchObject({ kind: "held", step: "looking" });
  });

  test("leaves a bug as it is", async () => {
    const bug = new TypeError("undefined is not a function");
    await expect(withStep(context(), "looking", () => Promise.reject(bug))).rejects.toBe(bug);
  });
});

describe("a failure at the end", () => {
  test("is one", () => {
    const denied = failure("denied");
    expect(endBy(denied)).toEqual({ end: "failed", failure: denied, status: EXIT.NOPERM });
    expect(endBy(denied, EXIT.TEMPFAIL)).toMatchObject({ status: EXIT.TEMPFAIL });
  });

  test("of a piece that may be missing is none: there is rightly nothing to do", () => {
    const missing = failure("not-yet", { permanentStatus: EXIT.OK });
    expect(endBy(missing)).toEqual({ end: "idle", because: "no answer", why: "not-configured" });
  });
});

describe("the signal of a deadline", () => {
  const begin = (stop = new AbortController()) => {
    const { time, ports } = scripted();
    return { stop, time, limit: deadlineSignal(ports.clock, 10_000, stop.signal) };
  };
  const reasonOf = ({ signal }: { signal: AbortSignal }) =>
    signal.aborted ? (signal.reason as Error).message : undefined;

  test("is aborted when the time has passed", async () => {
    const { time, limit } = begin();
    await time.run(time.now() + 9_999);
    expect(reasonOf(limit)).toBeUndefined();
    await time.run();
    expect(reasonOf(limit)).toBe("the deadline has passed");
  });

  test("is aborted by somebody, with whoever that is as the reason", () => {
    const { stop, limit } = begin();
    stop.abort(SIGTERM);
    expect(reasonOf(limit)).toBe(SIGTERM.message);
  });

  test("is aborted from the start if somebody was there before", () => {
    const stop = new AbortController();
    stop.abort(SIGTERM);
    expect(reasonOf(begin(stop).limit)).toBe(SIGTERM.message);
  });

  test("is put off while what has begun is finished, and not a moment longer", async () => {
    const { time, limit } = begin();
    limit.defer(true);
    await time.run();
    expect(reasonOf(limit)).toBeUndefined();
    limit.defer(false);
    expect(reasonOf(limit)).toBe("the deadline has passed");
  });

  test("that was put off and is due again in time comes when it is time", async () => {
    const { time, limit } = begin();
    limit.defer(true);
    limit.defer(false);
    expect(reasonOf(limit)).toBeUndefined();
    await time.run();
    expect(reasonOf(limit)).toBe("the deadline has passed");
  });

  test("means nothing to anybody once the run is over", async () => {
    const { stop, time, limit } = begin();
    limit.release();
    stop.abort(SIGTERM);
    await time.run();
    expect(reasonOf(limit)).toBeUndefined();
  });
});
