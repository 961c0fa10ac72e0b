/**
 * Runs of one instance beside each other: the unit, a recheck, somebody by hand, a release. Which of them may leave its
 * result, and which has to stop because the address is given up. Pure.
 *
 * Results are ordered by what they rest on and not by when they end: who has asked EC2 later knows better. All times are
 * milliseconds on the clock that starts with the boot, which is the same for all processes.
 */
import type { LastResult } from "./drift.ts";

/** What has become of a result that was to be written. */
export type ResultWrite = { readonly isEnvTrue: boolean } & (
  | { readonly is: "written" }
  /** The one that is there counts. */
  | { readonly is: "superseded"; readonly by: LastResult }
  /** What could not be written was removed, if that could be done. */
  | { readonly is: "not written"; readonly why: string }
);

/** Has the address been given up on purpose, or is it being given up? */
export function isGivenUp({ outcome, idle }: Pick<LastResult, "outcome" | "idle">): boolean {
  return outcome === "released" || (outcome === "idle" && idle === "not-holder");
}

/**
 * Was that done while a run was under way, which then has to stop?
 *
 * @param since when the run was started
 * @param now what lies after it is of an earlier boot, in a /run that has outlived that
 */
export function isGivenUpSince(last: LastResult | undefined, since: number, now: number): boolean {
  const asOf = last?.asOf;
  return (
    last !== undefined && asOf !== undefined && isGivenUp(last) && asOf >= since && asOf <= now
  );
}

/**
 * May this result take the place of the one that is there?
 *
 * @param since, now as above, of the run that has come to it
 */
export function mayReplace(
  next: LastResult,
  standing: LastResult | undefined,
  since: number,
  now: number,
): boolean {
  const asOf = standing?.asOf;
  if (asOf === undefined || asOf > now) return true;
  if (isGivenUpSince(standing, since, now) && !isGivenUp(next)) return false;
  return (next.asOf ?? now) >= asOf;
}
