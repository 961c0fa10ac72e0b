import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { trials } from "../support/properties.ts";
import { EXIT, type ExitStatus, Failure } from "../../src/model/failure.ts";
import { conclude } from "../../src/reconcile/hook.ts";
import { together } from "../../src/model/each.ts";
import type { End, HookEnd, Outcome } from "../../src/model/outcome.ts";
import { hookRecord, report, reportHook, resultRecord } from "../../src/report/report.ts";

const failed = (status: ExitStatus, isPlaced = false): End => ({
  end: "failed",
  failure: new Failure("held", { why: "it is held" }),
  status,
  isPlaced,
});
const idle = (why: "not-in-service" | "not-configured" | "not-holder"): End => ({
  end: "idle",
  because: "there is nothing to do",
  why,
});

describe("what follows from the ends of several addresses, in whatever order", () => {
  const here: End = { end: "settled", change: "none" };
  const stopped: End = { end: "stopped", because: "SIGTERM" };
  const maybe = failed(EXIT.TEMPFAIL, true);
  test.each<[string, readonly End[], string]>([
    ["all are here", [here, here], "CONTINUE"],
    ["one will not come", [here, failed(EXIT.NOPERM)], "ABANDON"],
    ["one may be here, one will not come", [maybe, failed(EXIT.UNAVAILABLE)], "leave"],
    ["one may be here, one ran out of time", [maybe, failed(EXIT.TEMPFAIL)], "leave"],
    ["one was stopped, one has failed", [stopped, failed(EXIT.TEMPFAIL)], "leave"],
  ])("%s", (_, ends, wanted) => {
    for (const order of [ends, ends.toReversed()]) {
      const each = order.map((end, index) => ({
        name: `eipalloc-${index}`,
        outcome: { ...end, facts: {}, tries: 1, ms: 1 },
      }));
      const conclusion = conclude(together(each), { lifecycleState: "InService" });
      expect(conclusion.do === "leave" ? "leave" : conclusion.result).toBe(wanted);
    }
  });
});

describe("what follows from the end of a heal", () => {
  test.each<[string, End, string | undefined, string]>([
    ["the address is here", { end: "settled", change: "none" }, "InService", "CONTINUE"],
    ["it has come", { end: "settled", change: "associated" }, undefined, "CONTINUE"],
    ["it would come", { end: "would", change: "associated" }, "InService", "CONTINUE"],
    ["none is wanted", idle("not-configured"), "InService", "CONTINUE"],
    ["yielded", failed(EXIT.UNAVAILABLE), "InService", "ABANDON"],
    ["out of time", failed(EXIT.TEMPFAIL), "InService", "ABANDON"],
    ["out of time, accepted here", failed(EXIT.TEMPFAIL, true), "InService", "leave"],
    ["accepted here, and lost again", failed(EXIT.UNAVAILABLE, true), "InService", "ABANDON"],
    ["accepted here, and not to be kept", failed(EXIT.NOPERM, true), "InService", "ABANDON"],
    ["denied", failed(EXIT.NOPERM), "InService", "ABANDON"],
    ["misconfigured", failed(EXIT.CONFIG), undefined, "ABANDON"],
    ["into the warm pool, stopped", idle("not-in-service"), "Warmed:Stopped", "CONTINUE"],
    ["into the warm pool, running", idle("not-in-service"), "Warmed:Running", "CONTINUE"],
    ["into the warm pool, hibernated", idle("not-in-service"), "Warmed:Hibernated", "CONTINUE"],
    ["out of the warm pool", idle("not-in-service"), "Warmed:Terminated", "leave"],
    ["on standby", idle("not-in-service"), "Standby", "leave"],
    ["detached", idle("not-in-service"), "Detached", "leave"],
    ["terminating", idle("not-in-service"), "Terminated", "leave"],
    ["a spot instance that is interrupted", idle("not-in-service"), "InService", "leave"],
    ["stopped", { end: "stopped", because: "stopped by SIGTERM" }, "InService", "leave"],
    ["given up", { end: "released", name: "eipalloc-1" }, "InService", "leave"],
  ])("%s", (_, end, lifecycleState, expected) => {
    const conclusion = conclude(end, lifecycleState === undefined ? {} : { lifecycleState });
    expect(conclusion.do === "complete" ? conclusion.result : conclusion.do).toBe(expected);
  });
});

test("who leaves it alone says why", () => {
  const stopped: End = { end: "stopped", because: "stopped by SIGTERM" };
  expect(conclude(stopped, {})).toEqual({ do: "leave", because: stopped.because });
  const because = (end: End) => {
    const conclusion = conclude(end, {});
    return conclusion.do === "leave" ? conclusion.because : undefined;
  };
  expect(because({ end: "released", name: "eipalloc-1" })).toMatch(/\w/);
  expect(because(failed(EXIT.TEMPFAIL, true))).toMatch(/\w/);
});

const status = fc.constantFrom(EXIT.UNAVAILABLE, EXIT.TEMPFAIL, EXIT.NOPERM, EXIT.CONFIG);
const failure = fc
  .constantFrom("denied" as const, "unreachable" as const, "misconfigured" as const)
  .map((kind) => new Failure(kind, { why: "it did not work" }));
const result = fc.constantFrom("CONTINUE" as const, "ABANDON" as const);
const name = fc.stringMatching(/^[a-z]{1,9}$/);
const hook: fc.Arbitrary<HookEnd> = fc.oneof(
  fc.record({ name, group: name, end: fc.constant("completed" as const), result }),
  fc.record({
    name,
    group: name,
    end: fc.constant("completed" as const),
    result,
    unsure: fc.constant(true as const),
  }),
  fc.record({ name, group: name, end: fc.constant("not-waiting" as const) }),
  fc.record({ name, end: fc.constant("left" as const), because: name }),
  fc.record({ name, end: fc.constant("stopped" as const), result, because: name }),
  fc.record({ name, end: fc.constant("would" as const), result }),
  fc.record({ name, end: fc.constant("failed" as const), result, failure, status }),
);
const end: fc.Arbitrary<End> = fc.oneof(
  fc.constant<End>({ end: "settled", change: "none" }),
  fc.constant(idle("not-configured")),
  status.map((status) => failed(status)),
);

test.each(trials(100))(
  "a hook never hides how the heal has ended, and its own failure is not hidden either (seed $seed)",
  (trial) => {
    fc.assert(
      fc.property(end, hook, (end, hook) => {
        const alone: Outcome = { ...end, facts: {}, tries: 1, ms: 1 };
        const under: Outcome = { ...alone, hook };
        const own = report(alone);
        expect(report(under)).toEqual({
          ...own,
          status: own.status === EXIT.OK ? reportHook(hook).status : own.status,
        });
        const at = new Date(0);
        const { lifecycleHook, exitStatus, ...rest } = resultRecord(under, at);
        expect(rest).toEqual({ ...resultRecord(alone, at), exitStatus: undefined });
        expect(exitStatus).toBe(report(under).status);
        expect(lifecycleHook).toEqual(hookRecord(hook));
      }),
      trial,
    );
  },
);

test.each(trials(100))("every line names the hook (seed $seed)", (trial) => {
  fc.assert(
    fc.property(hook, (hook) => {
      expect(reportHook(hook).line).toContain(`the lifecycle hook ${hook.name}`);
      expect(hookRecord(hook)).toMatchObject({ name: hook.name, outcome: hook.end });
    }),
    trial,
  );
});
