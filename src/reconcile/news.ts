/**
 * What is news in a run that begins where the last one has ended without the address: what that one has told already
 * is none. Pure.
 */
import type { Failure } from "../model/failure.ts";
import { HOUR_MS, type LastResult } from "./drift.ts";

/** Has the last run on this boot ended with this cause? */
export function isKnown(failure: Failure, last: LastResult | undefined): boolean {
  if (last?.failure !== failure.kind) return false;
  // What comes before the first step, such as a bad setting, has nothing but its words.
  return failure.step === undefined
    ? last.message?.startsWith(failure.message) === true
    : last.step === failure.step && last.code === failure.code;
}

/**
 * When the console was told of this cause, if that is so short a time ago that it need not be told again.
 *
 * @param now milliseconds since the epoch
 */
export function toldConsole(
  failure: Failure,
  last: LastResult | undefined,
  now: number,
): string | undefined {
  if (!isKnown(failure, last)) return undefined;
  const age = now - Date.parse(last?.toldAt ?? "");
  // One that lies in the future is of a clock that was wrong.
  return age >= 0 && age < HOUR_MS ? last?.toldAt : undefined;
}
