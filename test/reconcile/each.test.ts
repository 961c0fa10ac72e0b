/** What the runs of several addresses come to together. */
import { describe, expect, test } from "vitest";
import { EXIT, type ExitStatus, Failure, type Kind } from "../../src/model/failure.ts";
import type { OfEntry, Outcome } from "../../src/model/outcome.ts";
import { deciding, firstToCount, together } from "../../src/model/each.ts";
import { SUSPECT_MS } from "../../src/reconcile/bounds.ts";
import type { LastResult } from "../../src/reconcile/drift.ts";
import {
  hasEndedAsBefore,
  isResting,
  lastFound,
  lastOf,
  outdated,
} from "../../src/reconcile/each.ts";
import { resultRecord } from "../../src/report/report.ts";

const RUN = { facts: {}, tries: 1, ms: 100 };
const settled = (allocationId: string, asOf = 0): Outcome => ({
  ...RUN,
  end: "settled",
  change: "none",
  facts: { allocationId },
  asOf,
});
const failed = (kind: Kind, status: ExitStatus): Outcome => ({
  ...RUN,
  end: "failed",
  status,
  failure: new Failure(kind, { why: kind }),
});
const idle: Outcome = { ...RUN, end: "idle", because: "stopping", why: "not-in-service" };
const stopped: Outcome = { ...RUN, end: "stopped", because: "SIGTERM" };

function entries(...outcomes: Outcome[]): OfEntry[] {
  return outcomes.map((outcome, index) => ({ name: `eipalloc-${index}`, outcome }));
}

describe("several addresses", () => {
  test("the failure that counts most decides, the first of equals", () => {
    const order = [
      failed("misconfigured", EXIT.CONFIG),
      failed("denied", EXIT.NOPERM),
      failed("held", EXIT.TEMPFAIL),
      failed("yielded", EXIT.UNAVAILABLE),
      idle,
      settled("a"),
    ];
    for (let from = 0; from < order.length; from++) {
      const rest = order.slice(from);
      expect(deciding(entries(...rest)).outcome).toBe(rest[0]);
      expect(deciding(entries(...rest.toReversed())).outcome).toBe(rest[0]);
    }
    expect(deciding(entries(settled("a"), stopped, order[3]!)).outcome).toBe(stopped);
    expect(deciding(entries(order[2]!, stopped)).name).toBe("eipalloc-0");
  });

  test("facts are those of the first, and the whole is as old as its oldest part", () => {
    const all = together(entries(settled("a", 7), settled("b", 5)));
    expect(all).toMatchObject({ end: "settled", facts: { allocationId: "a" }, asOf: 5 });
    const some = together(entries(settled("a"), failed("held", EXIT.TEMPFAIL)));
    expect(some).toMatchObject({ end: "failed", facts: { allocationId: "a" } });
    expect(some.each).toHaveLength(2);
  });

  test("all of them settled, or about to be by a dry run, is a success; one that is idle is not", () => {
    const would: Outcome = { ...RUN, end: "would", change: "associated" };
    expect(deciding(entries(settled("a"), would, idle)).outcome).toBe(idle);
    expect(deciding(entries(would, settled("b"))).outcome).toBe(would);
    expect(deciding(entries(settled("a"), would)).name).toBe("eipalloc-0");
  });

  test("a status of no known meaning counts least, and an address more than none", () => {
    expect(firstToCount([99, EXIT.UNAVAILABLE], (status) => status)).toBe(EXIT.UNAVAILABLE);
    expect(firstToCount([EXIT.UNAVAILABLE, EXIT.SOFTWARE], (status) => status)).toBe(EXIT.SOFTWARE);
    expect(firstToCount([EXIT.USAGE, EXIT.SOFTWARE], (status) => status)).toBe(EXIT.SOFTWARE);
    expect(() => firstToCount([], () => 0)).toThrow("a run without addresses");
  });

  test("what one that has failed knew of the instance is known, and nothing that nobody knew", () => {
    const facts = { instanceId: "i-1", region: "us-east-1", lifecycleState: "InService" };
    const knowing: Outcome = { ...failed("denied", EXIT.NOPERM), facts, asOf: 3 };
    const unasked: Outcome = { ...stopped, facts: {} };
    const all = together(entries(unasked, knowing));
    expect(all).toMatchObject({ end: "failed", asOf: 3 });
    expect(all.facts).toEqual(facts);
    const none = together(entries(unasked, unasked));
    expect(Object.keys(none.facts)).toEqual([]);
    expect(none.asOf).toBeUndefined();
    // The first one's own facts come before.
    const first = { instanceId: "i-2", allocationId: "a" };
    expect(together(entries({ ...unasked, facts: first }, knowing)).facts).toEqual({
      ...facts,
      ...first,
    });
  });

  test("a success is a change if one of them is", () => {
    const taken: Outcome = {
      ...settled("b"),
      end: "settled",
      change: "taken",
      from: { kind: "interface", interfaceId: "eni-1" },
    };
    expect(together(entries(settled("a"), taken))).toMatchObject({
      end: "settled",
      change: "taken",
      from: taken.change === "taken" ? taken.from : undefined,
      facts: { allocationId: "a" },
    });
    expect(together(entries(settled("a"), settled("b")))).toMatchObject({ change: "none" });
    expect(together(entries(taken, failed("held", EXIT.TEMPFAIL)))).toMatchObject({
      end: "failed",
    });
  });

  test("one has ended as before if its own end is that of the last run, whatever the others did", () => {
    const denied = failed("denied", EXIT.NOPERM);
    const held = failed("held", EXIT.TEMPFAIL);
    const before = together(entries(denied, held, settled("c"), idle));
    const last = resultRecord(before, new Date(0)) as unknown as LastResult;
    const isKnown = (...now: Outcome[]) =>
      entries(...now).map((one) => hasEndedAsBefore(one, last));
    expect(isKnown(denied, held, settled("c"), idle)).toEqual([true, true, true, true]);
    expect(isKnown(denied, denied, held, stopped)).toEqual([true, false, false, false]);
    const resting: Outcome = { ...RUN, end: "idle", because: "moved", why: "resting" };
    expect(isKnown(settled("a"), settled("b"), idle, resting)).toEqual([
      false,
      false,
      false,
      false,
    ]);
    for (const outcome of [denied, settled("a"), idle]) {
      expect(hasEndedAsBefore({ name: "another", outcome }, last)).toBe(false);
    }
  });

  test("the last result of one is that of its name only", () => {
    const last = {
      outcome: "failed",
      exitStatus: 78,
      instanceId: "i-1",
      unit: "eip-heal.service",
      addresses: [{ wanted: "eipalloc-1@1", outcome: "settled", exitStatus: 0, publicIp: "x" }],
    };
    expect(lastOf(last, "eipalloc-1@1")).toMatchObject({
      outcome: "settled",
      instanceId: "i-1",
      publicIp: "x",
    });
    expect(lastOf(last, "eipalloc-1")).toBeUndefined();
    expect(lastOf(undefined, "eipalloc-1")).toBeUndefined();
    expect(lastOf({ outcome: "failed", exitStatus: 75 }, "eipalloc-1")).toBeUndefined();
  });

  test("when it was and who ran it are those of the whole run, as far as they are known", () => {
    const of = [{ wanted: "eipalloc-1", outcome: "failed", exitStatus: 75 }];
    const run = { unit: "eip-heal.service", asOf: 7, toldAt: "2026-11-26T12:00:00.000Z" };
    const last = { outcome: "failed", exitStatus: 75, addresses: of };
    expect(lastOf({ ...last, ...run }, "eipalloc-1")).toEqual({ ...of[0], ...run });
    expect(Object.keys(lastOf(last, "eipalloc-1") ?? {})).toEqual(Object.keys(of[0] ?? {}));
  });
});

describe("what a recheck compares one of several addresses with", () => {
  const of = [{ wanted: "eipalloc-1", outcome: "settled", exitStatus: 0, publicIp: "x" }];
  const last = (outcome: string, idle?: string) => ({
    outcome,
    exitStatus: 0,
    addresses: of,
    ...(idle !== undefined && { idle }),
  });

  test("is its own part of a result that found all here, or left one alone on purpose", () => {
    for (const one of [last("settled"), last("idle", "resting")]) {
      expect(lastFound(one, "eipalloc-1")).toMatchObject({ outcome: "settled", publicIp: "x" });
      expect(lastFound(one, "eipalloc-2")).toBeUndefined();
    }
  });

  test("is the whole result else: something has to be done about the whole", () => {
    for (const one of [last("failed"), last("failed", "resting"), last("idle", "not-holder")]) {
      expect(lastFound(one, "eipalloc-1")).toBe(one);
      expect(isResting(one)).toBe(false);
    }
    expect(lastFound(undefined, "eipalloc-1")).toBeUndefined();
    expect(isResting(undefined)).toBe(false);
  });
});

describe("how many are here, by looks of which some are old", () => {
  const at = (seenAt: number): Outcome => ({ ...settled("a"), seenAt });
  const names = (each: readonly OfEntry[], now: number) =>
    outdated(each, now).map(({ name }) => name);

  test("if all are, those are looked at again that are older than the last one by more than a late request needs", () => {
    const each = entries(at(0), at(1), at(SUSPECT_MS + 1));
    expect(names(each, 2 * SUSPECT_MS)).toEqual(["eipalloc-0"]);
    expect(names(entries(at(5), at(5)), 2 * SUSPECT_MS)).toEqual([]);
  });

  test("if one is not, those that are older than that now", () => {
    for (const one of [failed("held", EXIT.TEMPFAIL), { ...idle, why: "resting" } as Outcome]) {
      expect(names(entries(at(0), one, at(1)), SUSPECT_MS + 1)).toEqual(["eipalloc-0"]);
    }
  });

  test("none, if the run was stopped or has nothing to do", () => {
    expect(outdated(entries(at(0), at(SUSPECT_MS + 1), stopped), 9 * SUSPECT_MS)).toEqual([]);
    expect(outdated(entries(at(0), idle, at(SUSPECT_MS + 1)), 9 * SUSPECT_MS)).toEqual([]);
  });
});
