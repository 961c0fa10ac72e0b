/** What a run need not tell once more, because the one before has told it. */
import { describe, expect, test } from "vitest";
import { Failure } from "../../src/model/failure.ts";
import { HOUR_MS, type LastResult } from "../../src/reconcile/drift.ts";
import { oneLine } from "../../src/model/text.ts";
import { isSameCause, loggedToConsole } from "../../src/reconcile/repeated.ts";

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

  test("by its words, where nothing was begun yet", () => {
    const failure = new Failure("misconfigured", { why: 'EIP_HEAL_TAKEOVER is "x"' });
    const last: LastResult = { outcome: "failed", exitStatus: 78, failure: "misconfigured" };
    const message = (text: string) => ({
      ...last,
      message: `${text}; gave up after 0 tries, 0.0 s`,
    });
    expect(isSameCause(failure, message(failure.message))).toBe(true);
    expect(isSameCause(failure, message('EIP_HEAL_TAKEOVER is "y"'))).toBe(false);
    expect(isSameCause(failure, last)).toBe(false);
  });

  test.each([
    ["of two spaces and a line break", 'EIP_HEAL_TAKEOVER is "if  gone\nnow"'],
    ["too long for a message", "so it is ".repeat(400)],
  ])("by words %s", (_, why) => {
    const failure = new Failure("misconfigured", { why });
    const told = `${oneLine(failure.message)}; gave up after 1 try, 0.1 s`;
    expect(
      isSameCause(failure, {
        outcome: "failed",
        failure: "misconfigured",
        exitStatus: 78,
        message: told,
      }),
    ).toBe(true);
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
