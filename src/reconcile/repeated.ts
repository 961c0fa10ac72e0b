/** Whether a run fails with the cause that the run before it failed with, which then need not be logged again. Pure. */
import { causeOf, type Failure } from "../model/failure.ts";
import { HOUR_MS, type LastResult } from "./drift.ts";

/** Whether the last run failed with this cause. */
export function isSameCause(failure: Failure, last: LastResult | undefined): boolean {
  if (last?.failure !== failure.kind || last.step !== failure.step) return false;
  // A failure without a code, such as a bad setting or a network error, is only known by its words.
  return last.code === failure.code && (failure.code !== undefined || isSameText(failure, last));
}

function isSameText(failure: Failure, last: LastResult): boolean {
  return last.cause === causeOf(failure);
}

/** Whether the last run on this boot, on this instance, waited for this cause to go away until its patience ran out. */
export function wasWaitedOut(
  failure: Failure,
  last: LastResult | undefined,
  instanceId: string | undefined,
): boolean {
  return (
    last?.waitedOut === true &&
    instanceId !== undefined &&
    last.instanceId === instanceId &&
    isSameCause(failure, last) &&
    // The same code with other words is another cause: a setting was changed meanwhile.
    isSameText(failure, last)
  );
}

/**
 * When this cause was last logged to the console, if that is less than an hour ago; undefined if it should be logged now.
 *
 * @param now milliseconds since the epoch
 */
export function loggedToConsole(
  failure: Failure,
  last: LastResult | undefined,
  now: number,
): string | undefined {
  if (!isSameCause(failure, last)) return undefined;
  const age = now - Date.parse(last?.toldAt ?? "");
  // A time in the future comes from a wrong clock.
  return age >= 0 && age < HOUR_MS ? last?.toldAt : undefined;
}
