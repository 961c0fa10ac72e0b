import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { codeOf, EXIT, Failure, type FailureDetails, type Kind } from "../../src/model/failure.ts";
import { trials } from "../support/properties.ts";
import {
  causeAtDeadline,
  NO_RETRIES,
  nextRetry,
  PATIENCE_MS,
  statusOf,
  type RetryState,
} from "../../src/reconcile/retry.ts";
import type { Written } from "../../src/reconcile/state.ts";

const failure = (kind: Kind, permanentStatus?: 77 | 78, more: Partial<FailureDetails> = {}) =>
  new Failure(kind, { why: "x", code: codeOf("C"), permanentStatus, ...more });
const local = failure("unreachable", undefined, { isLocal: true });
const write = (kind: Kind) => failure(kind, undefined, { isWrite: true });
/** The dice at their highest. */
const HIGH = () => 1 - Number.EPSILON;

/** The delays of a run in which the same failure comes again and again, with the worst dice. */
function run(f: Failure, deadline = 600_000, random = HIGH) {
  const delays: number[] = [];
  let now = 0;
  let state: RetryState = NO_RETRIES;
  for (;;) {
    const decision = nextRetry(f, state, now, now, deadline, random);
    if (!decision.again) return { delays, endedAt: now, status: decision.status };
    delays.push(decision.afterMs);
    now += decision.afterMs;
    state = decision.state;
  }
}

describe("how far tries are apart at most, and once it has lasted two minutes", () => {
  test.each([
    ["unreachable", failure("unreachable"), 10_000, 30_000],
    ["throttled", failure("throttled"), 30_000, 30_000],
    ["not-yet", failure("not-yet"), 10_000, 30_000],
    ["denied", failure("denied"), 15_000, undefined],
    ["held", failure("held"), 5_000, 15_000],
    ["on this machine", local, 2_000, 2_000],
    ["a write", write("not-yet"), 96_000, 200_000],
    ["a write that is denied", write("denied"), 15_000, undefined],
    ["a write that is throttled", write("throttled"), 30_000, 30_000],
  ] as const)("%s: %d ms, %d ms", (_, f, cap, later) => {
    const { delays } = run(f, 1_800_000);
    let now = 0;
    const at = delays.map((ms) => [(now += ms) - ms, ms] as const);
    const longest = (some: readonly (readonly [number, number])[]) =>
      Math.max(...some.map(([, ms]) => ms));
    expect(longest(at.filter(([start]) => start < 120_000))).toBeCloseTo(
      Math.min(cap, later ?? cap),
      0,
    );
    const rest = at.filter(([start]) => start >= 120_000);
    if (later === undefined) expect(rest).toEqual([]);
    else expect(longest(rest)).toBeCloseTo(later, 0);
  });

  test("what costs nobody anything is looked at every two seconds, however long it lasts", () => {
    expect(run(local, 60_000).delays.length).toBeGreaterThan(29);
  });

  test.each(["not-yet", "unreachable", "held"] as const)(
    "ten minutes of %s are at most twelve writes, however the dice fall",
    (kind) => {
      for (const dice of [() => 0, () => 0.5, HIGH]) {
        expect(run(write(kind), 600_000, dice).delays.length + 1).toBeLessThanOrEqual(12);
      }
    },
  );

  test("a lasting fault is asked about fewer than forty times in ten minutes", () => {
    for (const kind of ["not-yet", "unreachable"] as const) {
      for (const dice of [() => 0, HIGH]) {
        expect(run(failure(kind), 600_000, dice).delays.length).toBeLessThan(41);
      }
    }
  });

  test("is measured from start to start: a try that waited for an answer has waited already", () => {
    const after = (spent: number) =>
      nextRetry(
        failure("unreachable"),
        { streaks: { unreachable: { inARow: 8, since: 0, at: 0 } } },
        0,
        spent,
        600_000,
        () => 1 - Number.EPSILON,
      );
    expect(after(6_000)).toMatchObject({ afterMs: expect.closeTo(4_000, 0) as number });
    expect(after(60_000)).toMatchObject({ afterMs: 100 });
  });

  test("after throttling is uniform between nothing and the bound, so that a fleet does not come back in step", () => {
    expect(run(failure("throttled"), 600_000, () => 0).delays.slice(0, 5)).toEqual([
      100, 100, 100, 100, 100,
    ]);
  });
});

describe("among contenders whose number is known", () => {
  const among = (contenders: number) => new Failure("throttled", { why: "x", contenders });
  const firstDelay = (contenders: number, left = 600_000) =>
    run(among(contenders), left).delays[0] ?? Number.NaN;

  test("waits up to the time that all of them take, five a second", () => {
    expect(firstDelay(100)).toBeCloseTo(20_000, 0);
    expect(firstDelay(150)).toBeCloseTo(30_000, 0);
  });

  test("believes in a large crowd step by step: in a large pool one refusal may have come of a small one", () => {
    const { delays } = run(among(1_000), 3_600_000);
    expect(delays.slice(0, 3)).toEqual([
      expect.closeTo(32_000, 0),
      expect.closeTo(128_000, 0),
      expect.closeTo(200_000, 0),
    ]);
  });

  test("but as among a few at least, and never to the deadline all together", () => {
    expect(firstDelay(1)).toBeCloseTo(8_000, 0);
    const state = { streaks: { throttled: { inARow: 5, since: 0, at: 0 } } };
    const half = nextRetry(among(10_000), state, 0, 0, 600_000, () => 0.5);
    expect(half).toMatchObject({ afterMs: expect.closeTo(299_550, 0) as number });
  });
});

describe("when a run ends, and how", () => {
  test.each([
    ["misconfigured", undefined, 0, EXIT.CONFIG],
    ["yielded", undefined, 0, EXIT.UNAVAILABLE],
    ["denied", undefined, PATIENCE_MS, EXIT.NOPERM],
    ["not-yet", EXIT.CONFIG, PATIENCE_MS, EXIT.CONFIG],
    ["not-yet", EXIT.NOPERM, PATIENCE_MS, EXIT.NOPERM],
    ["not-yet", undefined, 599_000, EXIT.TEMPFAIL],
    ["held", undefined, 599_000, EXIT.TEMPFAIL],
    ["throttled", undefined, 599_000, EXIT.TEMPFAIL],
    ["unreachable", undefined, 599_000, EXIT.TEMPFAIL],
  ] as const)(
    "%s meaning %s: not before %d ms, with %d",
    (kind, permanentStatus, earliest, status) => {
      const end = run(failure(kind, permanentStatus));
      expect(end.status).toBe(status);
      expect(end.endedAt).toBeGreaterThanOrEqual(earliest);
      expect(end.endedAt).toBeLessThanOrEqual(Math.max(earliest, 1) + 15_000);
    },
  );

  test("an allocation id that EC2 does not know is waited for half a minute", () => {
    const { endedAt, status } = run(
      failure("not-yet", 78, { code: "InvalidAllocationID.NotFound" }),
    );
    expect(status).toBe(78);
    expect(endedAt).toBeGreaterThanOrEqual(30_000);
    expect(endedAt).toBeLessThan(45_000);
  });

  test("what an earlier run on this boot has waited for in vain is not waited for again", () => {
    const again = (f: Failure) => nextRetry(f, NO_RETRIES, 0, 0, 600_000, HIGH, true);
    const status = EXIT.NOPERM;
    expect(again(failure("denied"))).toEqual({ again: false, status, isWaitedOut: true });
    // Trouble that is nobody's to correct is not a cause that was waited out.
    expect(again(failure("unreachable"))).toMatchObject({ again: true });
  });

  test("is over when it is over, and not a pause later", () => {
    for (const dice of [() => 0, HIGH]) {
      for (const f of [failure("denied"), write("denied"), failure("not-yet", 78)]) {
        expect(run(f, 600_000, dice).endedAt).toBe(PATIENCE_MS);
      }
    }
  });

  test("a deadline that comes before is no end of the patience", () => {
    const late = nextRetry(failure("denied"), NO_RETRIES, 0, 0, 500, HIGH);
    expect(late).toEqual({ again: false, status: EXIT.NOPERM });
  });

  test("other trouble in between does not make the pauses short again", () => {
    let state = NO_RETRIES;
    let now = 0;
    const delays: number[] = [];
    for (let i = 0; now < 590_000; i++) {
      const f = i % 2 ? failure("unreachable") : write("not-yet");
      const decision = nextRetry(f, state, now, now, 600_000, HIGH);
      if (!decision.again) break;
      if (f.details.isWrite) delays.push(decision.afterMs);
      now += decision.afterMs;
      state = decision.state;
    }
    expect(delays.length).toBeLessThanOrEqual(12);
  });

  test("nor are those of one trouble long because of another: what is throttled after a long wait begins anew", () => {
    let state = NO_RETRIES;
    for (let n = 0; n < 9; n++) {
      const decision = nextRetry(failure("held"), state, n, n, 600_000, HIGH);
      if (decision.again) ({ state } = decision);
    }
    const throttled = nextRetry(failure("throttled"), state, 10, 10, 600_000, HIGH);
    expect(throttled).toMatchObject({ afterMs: expect.closeTo(8_000, 0) as number });
  });

  test("says once for how long it is waited at most", () => {
    const first = nextRetry(failure("denied"), NO_RETRIES, 0, 0, 600_000, HIGH);
    if (!first.again) throw new Error("given up");
    expect(first.patienceMs).toBe(PATIENCE_MS);
    const second = nextRetry(failure("denied"), first.state, 0, 2_000, 600_000, HIGH);
    expect(second).not.toHaveProperty("patienceMs");
    const short = nextRetry(failure("denied"), NO_RETRIES, 0, 0, 61_000, HIGH);
    expect(short).toMatchObject({ patienceMs: 60_000 });
  });

  test("a deadline before the patience ends with the status of the patience: the cause counts", () => {
    expect(run(failure("denied"), 10_000).status).toBe(EXIT.NOPERM);
    expect(run(failure("not-yet", EXIT.CONFIG), 10_000).status).toBe(EXIT.CONFIG);
  });

  test("trouble on the way does not restart the patience with a cause", () => {
    let state: RetryState = NO_RETRIES;
    let now = 0;
    for (let i = 0; ; i++) {
      const decision = nextRetry(
        failure(i % 2 ? "unreachable" : "denied"),
        state,
        now,
        now,
        600_000,
        () => 0.5,
      );
      if (!decision.again) break;
      now += decision.afterMs;
      state = decision.state;
    }
    expect(now).toBeLessThan(PATIENCE_MS + 20_000);
  });

  test.each(trials(100))(
    "never goes past the deadline, and always leaves time for the last try (seed $seed)",
    (trial) => {
      const kinds = fc.constantFrom<Kind>("unreachable", "throttled", "not-yet", "denied", "held");
      fc.assert(
        fc.property(
          fc.array(kinds, { maxLength: 200 }),
          fc.integer({ min: 1_000, max: 3_600_000 }),
          fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
          (sequence, deadline, dice) => {
            let state: RetryState = NO_RETRIES;
            let now = 0;
            for (const kind of sequence) {
              const decision = nextRetry(
                failure(kind),
                state,
                now,
                now,
                deadline,
                () => dice.next().value as number,
              );
              if (!decision.again) return;
              expect(decision.afterMs).toBeGreaterThan(0);
              now += decision.afterMs;
              state = decision.state;
              expect(now).toBeLessThanOrEqual(deadline - 1_000);
            }
          },
        ),
        trial,
      );
    },
  );
});

test("every kind has an exit status", () => {
  expect(statusOf(failure("not-yet", 78))).toBe(78);
  expect(statusOf(failure("held"))).toBe(75);
});

describe("time is up in the middle of an attempt", () => {
  const before = failure("not-yet", 78);
  const lost = failure("unreachable");
  const cause = (last: Failure | undefined, written: Written) =>
    causeAtDeadline(last, written, "looking at eipalloc-1");

  test("the cause that was there before counts", () => {
    expect(cause(before, "no")).toBe(before);
  });

  test("unless a write since may have done away with it", () => {
    expect(cause(before, "perhaps").message).toBe(
      "the deadline came before this was done (looking at eipalloc-1)",
    );
    expect(statusOf(cause(before, "perhaps"))).toBe(75);
    // What comes to the same status tells more.
    expect(cause(lost, "perhaps")).toBe(lost);
  });

  test("what EC2 has shown is not explained by what was before", () => {
    expect(cause(lost, "shown")).not.toBe(lost);
  });

  test("where nothing was before, time itself is the cause", () => {
    expect(statusOf(cause(undefined, "no"))).toBe(75);
  });
});

describe("the patience with a cause", () => {
  const at = (now: number, f: Failure, state = NO_RETRIES) => {
    const decision = nextRetry(f, state, now, now, 600_000, HIGH);
    if (!decision.again) throw new Error("given up");
    return decision;
  };
  const inStep = (step: string) => new Failure("denied", { why: "x", code: codeOf("C") }, step);

  test.each<[string, Failure]>([
    ["in another step", inStep("associating")],
    ["with another code", new Failure("denied", { why: "x", code: codeOf("D") }, "looking")],
    ["of another kind", failure("not-yet", 78)],
  ])("begins anew with one %s", (_, another) => {
    const { state } = at(0, inStep("looking"));
    expect(at(100_000, another, state).state.waitingFor?.since).toBe(100_000);
    expect(at(100_000, inStep("looking"), state).state.waitingFor?.since).toBe(0);
  });

  test("that is over says nothing about other trouble", () => {
    const { state } = at(0, inStep("looking"));
    expect(at(300_000, failure("unreachable"), state).again).toBe(true);
  });
});

test("a write that may be refused for good is paced like a refusal", () => {
  const refused = failure("not-yet", 78, { isWrite: true });
  expect(run(refused).delays.slice(0, 3)).toEqual(run(failure("denied")).delays.slice(0, 3));
  expect(run(refused).delays.slice(0, 3)).not.toEqual(run(write("not-yet")).delays.slice(0, 3));
});

test.each<[Kind, 77 | 78 | undefined, number]>([
  ["misconfigured", undefined, 78],
  ["yielded", undefined, 69],
  ["denied", undefined, 77],
  ["not-yet", undefined, 75],
  ["not-yet", 78, 78],
  ["not-yet", 77, 77],
  ["held", undefined, 75],
  ["throttled", undefined, 75],
  ["unreachable", undefined, 75],
])("a run that ends %s (%s) ends with %d", (kind, permanentStatus, status) => {
  expect(statusOf(failure(kind, permanentStatus))).toBe(status);
});

test("a write that was not answered before anything had failed ends a run out of time", () => {
  const { kind, step } = causeAtDeadline(undefined, "perhaps", "associating");
  expect([kind, step]).toEqual(["unreachable", "associating"]);
});
