/**
 * Several runs at the same time on one instance: the unit, a recheck, a run by hand, a release. Decides whose result is
 * recorded, and which run has to stop because the address was released. Pure.
 *
 * A result counts as newer if its run asked EC2 later, not if it ended later. All times are milliseconds since boot, a
 * clock that all processes share.
 */
import type { LastResult } from "./drift.ts";

/** The content of the result files in /run/eip-heal. */
export interface Result {
  /** Of result.json. */
  readonly record: Readonly<Record<string, unknown>>;
  /** Of the file `env`; undefined: there is to be none. */
  readonly variables: Readonly<Record<string, string>> | undefined;
}

/** What became of a result that was to be recorded; `isEnvTrue`: the file `env` agrees with that result. */
export type ResultWrite = { readonly isEnvTrue: boolean } & (
  | { readonly is: "written" }
  /** The recorded result is newer and stays. */
  | { readonly is: "superseded"; readonly by: LastResult }
  /** Writing failed; the old files were removed if possible. */
  | { readonly is: "not written"; readonly why: string }
);

/** Whether the address has been released on purpose, or is being released. */
export function isReleased({ outcome, idle }: Pick<LastResult, "outcome" | "idle">): boolean {
  return outcome === "released" || idle === "not-holder";
}

/**
 * Whether it was released while a run was in progress, which then has to stop.
 *
 * @param since when that run was started
 * @param now a later result is from an earlier boot whose /run was kept
 */
export function wasReleasedSince(
  last: LastResult | undefined,
  since: number,
  now: number,
): boolean {
  const asOf = last?.asOf;
  return (
    last !== undefined && asOf !== undefined && isReleased(last) && asOf >= since && asOf <= now
  );
}

/**
 * Whether a result may replace the recorded one.
 *
 * @param since when the run was started that ended with `next`
 * @param now as for wasReleasedSince
 */
export function mayReplace(
  next: LastResult,
  recorded: LastResult | undefined,
  since: number,
  now: number,
): boolean {
  const asOf = recorded?.asOf;
  if (asOf === undefined || asOf > now) return true;
  if (wasReleasedSince(recorded, since, now) && !isReleased(next)) return false;
  return (next.asOf ?? now) >= asOf;
}
