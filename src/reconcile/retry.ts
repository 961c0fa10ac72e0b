/**
 * When to try again, and when to stop. Pure: time and randomness are passed in.
 *
 * Delays grow exponentially up to a limit. After throttling they have "full jitter", uniform between zero and the limit,
 * which gets a throttled fleet through with the fewest requests (AWS Architecture Blog, "Exponential Backoff and
 * Jitter"). Otherwise only the last fifth is random, so that a lasting fault costs EC2 few requests.
 */
import { AWS_CODE, EXIT, type ExitStatus, Failure, type Kind } from "../model/failure.ts";
import type { Written } from "./state.ts";

/**
 * Milliseconds that a refusal may last, or something may be missing, before that counts as intended: changes to IAM and tags
 * take seconds to a minute to propagate.
 */
export const PATIENCE_MS = 120_000;
/** The same for an allocation id that EC2 does not know: addresses usually exist long before the instance that uses them. */
const UNKNOWN_ADDRESS_MS = 30_000;

/** Shortest time between two tries, in milliseconds. */
const FLOOR_MS = 100;

/** The last try starts this long before the deadline, in milliseconds, so that it can finish. */
const LAST_TRY_MS = 1_000;

interface Backoff {
  readonly firstMs: number;
  /** Factor by which the delay grows from one failure to the next. */
  readonly growth: number;
  readonly capMs: number;
  /** The delay once the failures have lasted LONG_MS; without it nothing changes then. */
  readonly longMs?: number;
  /** The share of the delay that is random, 0 to 1. */
  readonly jitter: number;
}

/** Failures that have lasted this long, in milliseconds, are retried less often. */
const LONG_MS = 120_000;

const SOME = 0.2;
const FULL = 1;

/** Delays between tries, by what went wrong. */
const BACKOFFS = {
  unreachable: { firstMs: 500, growth: 2, capMs: 10_000, longMs: 30_000, jitter: SOME },
  // EC2's token buckets are per account and region: empty for one instance is empty for the fleet, so the delay grows fast.
  // A lower cap means more requests that are refused, a higher one a later end of the last instance (`make fleet`).
  throttled: { firstMs: 8_000, growth: 4, capMs: 30_000, jitter: FULL },
  "not-yet": { firstMs: 1_000, growth: 2, capMs: 10_000, longMs: 30_000, jitter: SOME },
  // Also for writes, of which there are at most twelve within the patience.
  denied: { firstMs: 3_000, growth: 2, capMs: 15_000, jitter: 0.1 },
  held: { firstMs: 5_000, growth: 1, capMs: 5_000, longMs: 15_000, jitter: 0 },
  // Nothing is sent to AWS.
  local: { firstMs: 500, growth: 2, capMs: 2_000, jitter: SOME },
  // Each pause is as long as the failures have lasted so far: at most twelve writes in ten minutes.
  write: { firstMs: 750, growth: 2, capMs: 200_000, jitter: SOME },
} as const satisfies Record<string, Backoff>;

/** Milliseconds per AssociateAddress that EC2 allows an account in a region when many ask: five a second. */
const ASSOCIATION_MS = 200;

/** What a run remembers of its failures: only times and counters. */
export interface RetryState {
  /** Per backoff: failures in a row, and when the first and the last of them were, in milliseconds of the run's clock. */
  readonly streaks: { readonly [M in BackoffName]?: Streak };
  /** The cause for which patience is running, and since when (milliseconds of the run's clock). */
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
      /** On the first failure with a cause that has a limited patience: that limit, in milliseconds. */
      readonly patienceMs?: number;
    }
  | {
      readonly again: false;
      readonly status: ExitStatus;
      /** Patience ran out, in this run or an earlier one: later runs on this boot do not wait for this cause again. */
      readonly isWaitedOut?: true;
    };

/**
 * Decides what follows a failure.
 *
 * @param triedAt when the try that failed began, in milliseconds of the run's clock, as are `now` and `deadline`
 * @param random returns a number in [0, 1)
 * @param wasWaitedOut whether an earlier run on this boot already waited for this cause in vain
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

  // A network error in between says nothing about the cause for which patience is running, so it does not restart it.
  const isLimited = failure.kind === "denied" || failure.details.permanentStatus !== undefined;
  const cause = JSON.stringify([failure.kind, failure.step, failure.code]);
  const waitingFor = !isLimited
    ? state.waitingFor
    : state.waitingFor?.cause === cause
      ? state.waitingFor
      : { cause, since: now };
  const patienceMs = wasWaitedOut ? 0 : patienceOf(failure);
  const patienceLeft =
    isLimited && waitingFor !== undefined ? waitingFor.since + patienceMs - now : Infinity;
  if (patienceLeft <= 0) return { again: false, status: statusOf(failure), isWaitedOut: true };

  const left = deadline - now - LAST_TRY_MS;
  if (left <= 0) return { again: false, status: statusOf(failure) };

  const backoff = backoffOf(failure, failure.kind);
  const streak = continued(state.streaks[backoff], now);
  // The delay is from start to start: time spent waiting for an answer counts.
  const pause = delay(failure, backoff, streak, left, random) - (now - triedAt);
  return {
    again: true,
    // The last try is exactly when patience runs out.
    afterMs: Math.min(Math.max(FLOOR_MS, Math.min(pause, patienceLeft)), left),
    state: { streaks: { ...state.streaks, [backoff]: streak }, ...(waitingFor && { waitingFor }) },
    ...(isLimited && waitingFor !== state.waitingFor && { patienceMs: Math.min(patienceMs, left) }),
  };
}

function patienceOf({ code }: Failure): number {
  return code === AWS_CODE.unknownAllocation ? UNKNOWN_ADDRESS_MS : PATIENCE_MS;
}

/** A failure of another kind in between does not end a streak: the run has not succeeded. */
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
  // A throttled write was not carried out, and how soon a fleet is done depends on how soon it is sent again.
  if (isWrite !== true || kind === "throttled") return kind;
  return permanentStatus === undefined && kind !== "denied" ? "write" : "denied";
}

/** The exit status of a run that ends with this failure, whether or not its deadline has passed. */
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
 * The failure of a run whose deadline passes in the middle of an attempt: the failure of the attempt before it, which is
 * the real cause, unless a write has succeeded since or may have, so that it no longer explains anything.
 *
 * @param last the failure of the previous attempt
 * @param written what the interrupted attempt may have written
 * @param step what it was doing
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
      : // Spread over the time that all contenders together need. But the number of free addresses is only an upper bound
        // on the contenders, so the window grows towards it by `growth` per refusal.
        Math.min(growth * grown, Math.max(firstMs, contenders * ASSOCIATION_MS));
  // A throttled fleet must not make its last tries all at the same time.
  const longest = jitter === FULL ? Math.min(bound, left) : bound;
  const least = Math.max(FLOOR_MS, longest * (1 - jitter));
  return least + random() * (longest - least);
}
