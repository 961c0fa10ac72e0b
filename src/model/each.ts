/** Several addresses in one run: what their runs come to together. Pure. */
import { EXIT, type ExitStatus } from "./failure.ts";
import type { OfEntry, Outcome } from "./outcome.ts";

/** Exit statuses, the one that counts most first. */
const FIRST: readonly ExitStatus[] = [
  EXIT.SOFTWARE,
  EXIT.USAGE,
  EXIT.CONFIG,
  EXIT.NOPERM,
  EXIT.TEMPFAIL,
  EXIT.UNAVAILABLE,
];

function statusOf(outcome: Outcome): ExitStatus {
  switch (outcome.end) {
    case "failed":
      return outcome.status;
    case "stopped":
      return EXIT.TEMPFAIL;
    default:
      return EXIT.OK;
  }
}

/** The first of those whose exit status counts most. @throws Error if there are none, which is a bug */
export function firstToCount<T>(all: readonly T[], statusOf: (one: T) => number): T {
  const rank = (one: T) => {
    const at = FIRST.findIndex((status) => status === statusOf(one));
    return at < 0 ? FIRST.length : at;
  };
  const [first, ...others] = all;
  if (first === undefined) throw new Error("a run without addresses");
  return others.reduce((before, one) => (rank(one) < rank(before) ? one : before), first);
}

/** The outcome that decides how the whole run has ended: a failure, else one that is no success, else a success. */
export function deciding(each: readonly OfEntry[]): OfEntry {
  const one = firstToCount(each, ({ outcome }) => statusOf(outcome));
  const isFailed = statusOf(one.outcome) !== EXIT.OK;
  return isFailed ? one : (each.find(({ outcome }) => !isSuccess(outcome)) ?? one);
}

function isSuccess({ end }: Outcome): boolean {
  return end === "settled" || end === "would";
}

/** The first success that changed something, if the whole run is a success; else what decides. */
function telling(each: readonly OfEntry[]): Outcome {
  const { outcome } = deciding(each);
  const changed = each.find(({ outcome: one }) => "change" in one && one.change !== "none");
  return changed && isSuccess(outcome) ? changed.outcome : outcome;
}

/**
 * The outcome of the whole run: success only if each is one, and a change if one of them is. The facts are those of the
 * first address, and it rests on what EC2 was asked first.
 */
export function together(each: readonly OfEntry[]): Outcome {
  const outcome = telling(each);
  const outcomes = each.map((one) => one.outcome);
  const asked = outcomes.flatMap(({ asOf }) => (asOf === undefined ? [] : [asOf]));
  const { instanceId, region, lifecycleState } = outcome.facts;
  return {
    ...outcome,
    facts: {
      ...(instanceId !== undefined && { instanceId }),
      ...(region !== undefined && { region }),
      ...(lifecycleState !== undefined && { lifecycleState }),
      ...each[0]?.outcome.facts,
    },
    tries: Math.max(...outcomes.map(({ tries }) => tries)),
    ms: Math.max(...outcomes.map(({ ms }) => ms)),
    asOf: asked.length === 0 ? undefined : Math.min(...asked),
    each,
  };
}
