/** One of several addresses: what the last result says of it, and whether what this run has seen of it still counts. Pure. */
import type { OfEntry } from "../model/outcome.ts";
import { SUSPECT_MS } from "./bounds.ts";
import type { LastResult } from "./drift.ts";
import { isSameCause } from "./repeated.ts";

/** What the last result says of this address, as a result of its own; undefined if it says nothing of it. */
export function lastOf(last: LastResult | undefined, name: string): LastResult | undefined {
  const found = last?.addresses?.find(({ wanted }) => wanted === name);
  if (last === undefined || found === undefined) return undefined;
  const { instanceId, unit, asOf, toldAt } = last;
  return {
    ...(instanceId !== undefined && { instanceId }),
    ...(unit !== undefined && { unit }),
    ...(asOf !== undefined && { asOf }),
    ...(toldAt !== undefined && { toldAt }),
    ...found,
  };
}

/**
 * The result to compare one of several addresses with in a recheck. Unless the last run found each of them here or had
 * reason to leave it alone, something has to be done about the whole.
 */
export function lastFound(last: LastResult | undefined, name: string): LastResult | undefined {
  return last?.outcome === "settled" || isResting(last) ? lastOf(last, name) : last;
}

/** Whether the last recheck left an address alone because it had been moved too often. */
export function isResting(last: LastResult | undefined): boolean {
  return last?.outcome === "idle" && last.idle === "resting";
}

/** Whether this one of several addresses has ended as it did in the last run, a failure by the same cause. */
export function hasEndedAsBefore(
  { name, outcome }: OfEntry,
  last: LastResult | undefined,
): boolean {
  const before = lastOf(last, name);
  if (outcome.end === "failed") return isSameCause(outcome.failure, before);
  const isReasonSame = outcome.end !== "idle" || before?.idle === outcome.why;
  return before?.outcome === outcome.end && isReasonSame;
}

/** Whether the run has failed because of one of the addresses, or left one alone, while it knows what became of each. */
export function isIncomplete(each: readonly OfEntry[]): boolean {
  return each.some(
    ({ outcome: one }) => one.end === "failed" || (one.end === "idle" && one.why === "resting"),
  );
}

/**
 * The addresses that EC2 has shown here so long ago that somebody may have moved them away since, so that "all are here", or
 * "2 of 3 are here", would rest on an old look: long before the last one if all are here, else long before now.
 *
 * @param now by the reconciler's clock, in milliseconds
 */
export function outdated(each: readonly OfEntry[], now: number): readonly OfEntry[] {
  const here = each.filter(({ outcome }) => outcome.end === "settled");
  if (here.length < each.length && !isIncomplete(each)) return [];
  const latest = isIncomplete(each)
    ? now
    : Math.max(...here.map(({ outcome: { seenAt = 0 } }) => seenAt));
  return here.filter(({ outcome: { seenAt = 0 } }) => latest - seenAt > SUSPECT_MS);
}
