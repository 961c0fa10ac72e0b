/**
 * What is news in a run that begins where the last one has ended without the address: what that one has told already
 * is none. Pure.
 */
import type { Failure } from "../model/failure.ts";
import { shortened } from "../model/text.ts";
import { HOUR_MS, type LastResult } from "./drift.ts";

/** Has the last run on this boot ended with this cause? */
export function isSameCause(failure: Failure, last: LastResult | undefined): boolean {
  if (last?.failure !== failure.kind || last.step !== failure.step) return false;
  // What has no code, such as a bad setting or trouble on the way, has nothing but its words.
  return failure.code === undefined
    ? last.code === undefined && last.message?.includes(shortened(failure.details.why)) === true
    : last.code === failure.code;
}

/** Has the last run on this boot waited for it until its patience was over, on this instance? */
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
    // A setting that was corrected meanwhile is another cause under the same code.
    last.message?.includes(shortened(failure.details.why)) === true
  );
}

/**
 * When the console was told of this cause, if that is so short a time ago that it need not be told again.
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
  // One that lies in the future is of a clock that was wrong.
  return age >= 0 && age < HOUR_MS ? last?.toldAt : undefined;
}
