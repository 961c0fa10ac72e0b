/**
 * How soon to try again, and when to stop. Pure: time and randomness are passed in.
 *
 * Delays grow exponentially up to a bound. After throttling they are "full jitter", uniform between nothing and the bound,
 * which drains a throttled fleet with the fewest requests (AWS Architecture Blog, "Exponential Backoff and Jitter"); else
 * they are of the bound's last fifth, so that a lasting fault costs EC2 few requests.
 */
import { AWS_CODE, EXIT, type ExitStatus, Failure, type Kind } from "../model/failure.ts";
import type { Written } from "./state.ts";

/** Milliseconds that a refusal or a missing piece may last before it counts as meant: IAM and tags propagate within seconds to a minute. */
export const PATIENCE_MS = 120_000;
/** The same for an allocation id that EC2 does not know: an address is there long before an instance that is to have it. */
const UNKNOWN_ADDRESS_MS = 30_000;

/** No two tries closer than this, in milliseconds, whatever the dice say. */
const FLOOR_MS = 100;

/** The last try is made this long before the deadline, so that it has time to end, in milliseconds. */
const LAST_TRY_MS = 1_000;

interface Backoff {
  readonly firstMs: number;
  /** By how much the bound grows from one failure to the next. */
  readonly growth: number;
  readonly capMs: number;
  /** The bound once it has lasted LONG_MS; as before, if there is none. */
  readonly longMs?: number;
  /** The part of the bound that the dice decide on. */
  readonly jitter: number;
}

/** What has lasted so long, in milliseconds, is looked at less often. */
const LONG_MS = 120_000;

const SOME = 0.2;
const FULL = 1;

/** How far apart tries are, by what has gone wrong. */
const BACKOFFS = {
  unreachable: { firstMs: 500, growth: 2, capMs: 10_000, longMs: 30_000, jitter: SOME },
  // A bucket that is empty for one is empty for a fleet, so the bound grows fast. Its cap is how long the last of a
  // fleet sleeps on while there is room again: less means more requests in vain, more a later end (`make fleet`).
  throttled: { firstMs: 8_000, growth: 4, capMs: 30_000, jitter: FULL },
  "not-yet": { firstMs: 1_000, growth: 2, capMs: 10_000, longMs: 30_000, jitter: SOME },
  // Writes too, which are at most twelve within the patience.
  denied: { firstMs: 3_000, growth: 2, capMs: 15_000, jitter: 0.1 },
  held: { firstMs: 5_000, growth: 1, capMs: 5_000, longMs: 15_000, jitter: 0 },
  /** It costs nobody anything. */
  local: { firstMs: 500, growth: 2, capMs: 2_000, jitter: SOME },
  // Each pause is as long as all of it has lasted, so that ten minutes of it are at most twelve writes however the dice fall.
  write: { firstMs: 750, growth: 2, capMs: 200_000, jitter: SOME },
} as const satisfies Record<string, Backoff>;

/** Milliseconds in which EC2 lets one association through when a fleet asks for many: five a second for an account and region. */
const ASSOCIATION_MS = 200;

/** What a run remembers of its failures: clocks and counters, no facts. */
export interface RetryState {
  /** By how tries are paced: failures in a row, and when the first and the last of them were, by the run's clock. */
  readonly streaks: { readonly [M in BackoffName]?: Streak };
  /** The cause that is being waited out, and since when (milliseconds of the run's clock). */
  readonly waitingFor?: { readonly cause: string; readonly since: number };
}

interface Streak {
  readonly inARow: number;
  readonly since: number;
  readonly at: number;
}

type BackoffName = keyof typeof BACKOFFS;

export const NO_RETRIES: RetryState = { streaks: {} };

export type RetryDecision =
  | {
      readonly again: true;
      readonly afterMs: number;
      readonly state: RetryState;
      /** For a cause that is waited out, when it is met first: for how long at most, in milliseconds. */
      readonly patienceMs?: number;
    }
  | {
      readonly again: false;
      readonly status: ExitStatus;
      /** It was waited out, by this run or an earlier one: a later run on this boot need not wait for it again. */
      readonly isWaitedOut?: true;
    };

/**
 * What follows from a failure.
 *
 * @param triedAt when the try that failed began, in milliseconds of the run's clock; `now` and `deadline` too
 * @param random a number in [0, 1)
 * @param isInVain an earlier run on this boot has waited for this in vain: then it is not waited for again
 */
export function nextRetry(
  failure: Failure,
  state: RetryState,
  triedAt: number,
  now: number,
  deadline: number,
  random: () => number,
  wasWaitedOut = false,
): RetryDecision {
  if (failure.kind === "misconfigured") return { again: false, status: EXIT.CONFIG };
  if (failure.kind === "yielded") return { again: false, status: EXIT.UNAVAILABLE };

  // Trouble on the way says nothing about the cause that is being waited out, so it does not restart its clock.
  const patient = failure.kind === "denied" || failure.details.permanentStatus !== undefined;
  const cause = JSON.stringify([failure.kind, failure.step, failure.code]);
  const waitingFor = !patient
    ? state.waitingFor
    : state.waitingFor?.cause === cause
      ? state.waitingFor
      : { cause, since: now };
  const patienceMs = wasWaitedOut ? 0 : patienceOf(failure);
  const patienceLeft =
    patient && waitingFor !== undefined ? waitingFor.since + patienceMs - now : Infinity;
  if (patienceLeft <= 0) return { again: false, status: statusOf(failure), isWaitedOut: true };

  const left = deadline - now - LAST_TRY_MS;
  if (left <= 0) return { again: false, status: statusOf(failure) };

  const backoff = backoffOf(failure, failure.kind);
  const streak = continued(state.streaks[backoff], now);
  // Tries are so far apart from start to start: one that has waited for an answer has waited already.
  const pause = delay(failure, backoff, streak, left, random) - (now - triedAt);
  return {
    again: true,
    // The last look is at the end of the patience, not some time after it.
    afterMs: Math.min(Math.max(FLOOR_MS, Math.min(pause, patienceLeft)), left),
    state: { streaks: { ...state.streaks, [backoff]: streak }, ...(waitingFor && { waitingFor }) },
    ...(patient && waitingFor !== state.waitingFor && { patienceMs: Math.min(patienceMs, left) }),
  };
}

function patienceOf({ code }: Failure): number {
  return code === AWS_CODE.unknownAllocation ? UNKNOWN_ADDRESS_MS : PATIENCE_MS;
}

/** Other failures in between do not end it: they are of the same run, which has not succeeded. */
function continued(streak: Streak | undefined, now: number): Streak {
  const { inARow, since } = streak ?? { inARow: 0, since: now };
  return { inARow: inARow + 1, since, at: now };
}

function backoffOf(
  failure: Failure,
  kind: Exclude<Kind, "misconfigured" | "yielded">,
): BackoffName {
  const { isLocal, isWrite, permanentStatus } = failure.details;
  if (isLocal === true) return "local";
  // Throttled, it was not carried out, and whether a fleet comes to an end depends on how soon it is sent again.
  if (isWrite !== true || kind === "throttled") return kind;
  return permanentStatus === undefined && kind !== "denied" ? "write" : "denied";
}

/** The exit status of a run that ends with this failure: the cause counts, even if the deadline came first. */
export function statusOf(failure: Failure): ExitStatus {
  switch (failure.kind) {
    case "misconfigured":
      return EXIT.CONFIG;
    case "yielded":
      return EXIT.UNAVAILABLE;
    case "denied":
      return EXIT.NOPERM;
    case "not-yet":
      return failure.details.permanentStatus ?? EXIT.TEMPFAIL;
    case "held":
    case "throttled":
    case "unreachable":
      return EXIT.TEMPFAIL;
  }
}

/**
 * The failure that a run ends with whose time is up in the middle of an attempt: the cause that was there before, not
 * that time ran out, unless a write since may have done away with it.
 *
 * @param last the failure of the attempt before
 * @param written what this attempt may have changed
 * @param step what was being done
 */
export function causeAtDeadline(
  last: Failure | undefined,
  written: Written,
  step: string,
): Failure {
  const isCause =
    written === "no" ||
    (written === "perhaps" && last !== undefined && statusOf(last) === EXIT.TEMPFAIL);
  const why = "the deadline came before this was done";
  return (isCause ? last : undefined) ?? new Failure("unreachable", { why }, step);
}

function delay(
  { details: { contenders } }: Failure,
  backoff: BackoffName,
  { inARow, since, at }: Streak,
  left: number,
  random: () => number,
): number {
  const { firstMs, growth, capMs, longMs, jitter }: Backoff = BACKOFFS[backoff];
  const isLong = longMs !== undefined && at - since >= LONG_MS;
  const grown = firstMs * growth ** Math.min(inARow - 1, 16);
  const bound =
    contenders === undefined
      ? isLong
        ? longMs
        : Math.min(capMs, grown)
      : // Known: spread over the time that they all take. But free addresses are no contenders yet, and one refusal
        // may be anybody's: that there is a crowd is believed step by step, in large ones.
        Math.min(growth * grown, Math.max(firstMs, contenders * ASSOCIATION_MS));
  // A throttled fleet must not make its last tries all together.
  const longest = jitter === FULL ? Math.min(bound, left) : bound;
  const least = Math.max(FLOOR_MS, longest * (1 - jitter));
  return least + random() * (longest - least);
}
