/** What a run need not tell once more, because the one before has told it. */
import { describe, expect, test } from "vitest";
import { EXIT, Failure } from "../../src/model/failure.ts";
import { HOUR_MS, type LastResult } from "../../src/reconcile/drift.ts";
import { isSameCause, loggedToConsole, wasWaitedOut } from "../../src/reconcile/repeated.ts";
import { resultRecord } from "../../src/report/report.ts";

const NOW = Date.UTC(2026, 10, 23, 12);
const DENIED = new Failure(
  "denied",
  { why: "not allowed: ec2:AssociateAddress", code: "UnauthorizedOperation" },
  "associating eipalloc-1 with i-1",
);
/** As the run before has recorded it. */
const BEFORE: LastResult = {
  outcome: "failed",
  exitStatus: 77,
  failure: "denied",
  step: "associating eipalloc-1 with i-1",
  code: "UnauthorizedOperation",
  message: "whatever it said; gave up after 9 tries, 120.0 s",
};

describe("a cause is known", () => {
  test.each<[string, LastResult | undefined, boolean]>([
    ["no run before", undefined, false],
    ["the same kind, step and code", BEFORE, true],
    ["another kind", { ...BEFORE, failure: "unreachable" }, false],
    ["another step", { ...BEFORE, step: "looking for eipalloc-1" }, false],
    ["another code", { ...BEFORE, code: "AuthFailure" }, false],
    ["a success before", { outcome: "settled", exitStatus: 0 }, false],
  ])("%s: %o %s", (_, last, expected) => {
    expect(isSameCause(DENIED, last)).toBe(expected);
  });

  /** What a later run reads after one that has ended with this failure. */
  const recorded = (failure: Failure): LastResult =>
    resultRecord(
      {
        end: "failed",
        failure,
        status: EXIT.CONFIG,
        isWaitedOut: true,
        facts: SELF,
        tries: 1,
        ms: 1,
      },
      new Date(NOW),
    ) as unknown as LastResult;
  const SELF = { instanceId: "i-1" };
  const setting = (why: string) => new Failure("misconfigured", { why });

  test("by its words, where it has no code", () => {
    const last = recorded(setting('EIP_HEAL_TAKEOVER is "x"'));
    expect(isSameCause(setting('EIP_HEAL_TAKEOVER is "x"'), last)).toBe(true);
    expect(isSameCause(setting('EIP_HEAL_TAKEOVER is "y"'), last)).toBe(false);
  });

  test("by all of its words: those of the message around it say nothing", () => {
    const last = recorded(setting('EIP_HEAL_TAKEOVER is "x"; EIP_HEAL_TAG is ""'));
    expect(last.message).toContain('EIP_HEAL_TAKEOVER is "x"');
    expect(isSameCause(setting('EIP_HEAL_TAKEOVER is "x"'), last)).toBe(false);
  });

  test("not after a version that has not recorded it", () => {
    const { cause: _, ...last } = recorded(setting("so"));
    expect(isSameCause(setting("so"), last)).toBe(false);
  });

  test.each([
    ["of two spaces and a line break", 'EIP_HEAL_TAKEOVER is "if  gone\nnow"'],
    ["too long for a message", "so it is ".repeat(400)],
  ])("by words %s", (_, why) => {
    expect(isSameCause(setting(why), recorded(setting(why)))).toBe(true);
  });

  test("with the same code and other words it has not been waited for", () => {
    const noTag = (why: string) => new Failure("not-yet", { why, code: "NoTag" });
    const last = recorded(noTag("i-1 has no tag a"));
    expect(wasWaitedOut(noTag("i-1 has no tag a"), last, "i-1")).toBe(true);
    expect(wasWaitedOut(noTag("i-1 has no tag b"), last, "i-1")).toBe(false);
    expect(wasWaitedOut(noTag("i-1 has no tag a"), last, "i-2")).toBe(false);
  });

  test("it has not been waited for by a run that does not say so, or by nobody", () => {
    const failure = new Failure("not-yet", { why: "no tag", code: "NoTag" });
    const { waitedOut: _, ...impatient } = recorded(failure);
    expect(wasWaitedOut(failure, impatient, "i-1")).toBe(false);
    expect(wasWaitedOut(failure, undefined, "i-1")).toBe(false);
    const { cause: _cause, ...silent } = recorded(failure);
    expect(wasWaitedOut(failure, silent, "i-1")).toBe(false);
  });

  test("nor by an instance that nobody knows", () => {
    const failure = new Failure("not-yet", { why: "no tag", code: "NoTag" });
    const { instanceId: _, ...unknown } = recorded(failure);
    expect(wasWaitedOut(failure, unknown, undefined)).toBe(false);
  });

  test("what has no code is not the same as what has one", () => {
    const last = { ...recorded(setting("so")), code: "NoTag" };
    expect(isSameCause(setting("so"), last)).toBe(false);
  });
});

describe("the console is told of a cause once an hour", () => {
  const told = (ago: number, last = BEFORE) =>
    loggedToConsole(DENIED, { ...last, toldAt: new Date(NOW - ago).toISOString() }, NOW);

  test("not again within it", () => {
    expect(told(0)).toBe(new Date(NOW).toISOString());
    expect(told(HOUR_MS - 1)).toBe(new Date(NOW - HOUR_MS + 1).toISOString());
  });

  test("again after it, for another cause, and when the clock was wrong or nothing is known", () => {
    expect(told(HOUR_MS)).toBeUndefined();
    expect(told(-1)).toBeUndefined();
    expect(told(0, { ...BEFORE, code: "AuthFailure" })).toBeUndefined();
    expect(loggedToConsole(DENIED, BEFORE, NOW)).toBeUndefined();
    expect(loggedToConsole(DENIED, undefined, NOW)).toBeUndefined();
  });
});
