/**
 * How soon to try again, and when to stop. Pure: time and randomness are passed in.
 *
 * Delays are "full jitter" (uniform between nothing and an exponentially growing bound), which drains a
 * throttled fleet with the fewest requests; see the AWS Architecture Blog on exponential backoff and jitter.
 */
import { EXIT, type ExitStatus, Failure, type Kind } from "../model/failure.ts";
import type { Written } from "./state.ts";

/** Milliseconds that a refusal or a missing piece may last before it counts as meant: IAM and tags propagate within seconds to a minute. */
export const PATIENCE_MS = 120_000;

/** No two tries closer than this, in milliseconds, whatever the dice say. */
const FLOOR_MS = 100;

/** The last try is made this long before the deadline, so that it has time to end, in milliseconds. */
const LAST_TRY_MS = 1_000;

interface Backoff {
  readonly firstMs: number;
  /** By how much the bound grows from one failure to the next of the same kind. */
  readonly growth: number;
  readonly capMs: number;
}

const BACKOFFS: Record<Exclude<Kind, "held" | "misconfigured" | "yielded">, Backoff> = {
  unreachable: { firstMs: 500, growth: 2, capMs: 10_000 },
  // A bucket that is empty for one is empty for a fleet, so the bound grows fast. Its cap is how long the last of a
  // fleet sleeps on while there is room again: less means more requests in vain, more a later end (`make fleet`).
  throttled: { firstMs: 8_000, growth: 4, capMs: 30_000 },
  "not-yet": { firstMs: 1_000, growth: 2, capMs: 10_000 },
  denied: { firstMs: 2_000, growth: 2, capMs: 15_000 },
};

/** Milliseconds in which EC2 lets one association through when a fleet asks for many: five a second for an account and region. */
const ASSOCIATION_MS = 200;

/** An address that somebody else holds is looked at this often, in milliseconds. */
const HELD_MS = 5_000;

/** What a run remembers of its failures: clocks and counters, no facts. */
export interface RetryState {
  /** Failures of the same kind in a row. */
  readonly inARow: number;
  readonly kind?: Kind;
  /** The cause that is being waited out, and since when (milliseconds of the run's clock). */
  readonly waitingFor?: { readonly cause: string; readonly since: number };
}

export const NO_RETRIES: RetryState = { inARow: 0 };

export type RetryDecision =
  | { readonly again: true; readonly afterMs: number; readonly state: RetryState }
  | { readonly again: false; readonly status: ExitStatus };

/**
 * What follows from a failure.
 *
 * @param triedAt when the try that failed began, in milliseconds of the run's clock; `now` and `deadline` too
 * @param random a number in [0, 1)
 */
export function nextRetry(
  failure: Failure,
  state: RetryState,
  triedAt: number,
  now: number,
  deadline: number,
  random: () => number,
): RetryDecision {
  if (failure.kind === "misconfigured") return { again: false, status: EXIT.CONFIG };
  if (failure.kind === "yielded") return { again: false, status: EXIT.UNAVAILABLE };

  // Trouble on the way says nothing about the cause that is being waited out, so it does not restart its clock.
  const patient = failure.kind === "denied" || failure.details.meaning !== undefined;
  const cause = `${failure.kind} ${failure.step ?? ""} ${failure.code ?? ""}`;
  const waitingFor = !patient
    ? state.waitingFor
    : state.waitingFor?.cause === cause
      ? state.waitingFor
      : { cause, since: now };
  if (patient && waitingFor !== undefined && now - waitingFor.since >= PATIENCE_MS) {
    return { again: false, status: statusOf(failure) };
  }

  const left = deadline - now - LAST_TRY_MS;
  if (left <= 0) return { again: false, status: statusOf(failure) };

  const inARow = state.kind === failure.kind ? state.inARow + 1 : 1;
  return {
    again: true,
    // Tries are so far apart from start to start: one that has waited for an answer has waited already.
    afterMs: Math.min(
      Math.max(FLOOR_MS, delay(failure, failure.kind, inARow, left, random) - (now - triedAt)),
      left,
    ),
    state: { inARow, kind: failure.kind, ...(waitingFor && { waitingFor }) },
  };
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
      return failure.details.meaning ?? EXIT.TEMPFAIL;
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
  kind: Exclude<Kind, "misconfigured" | "yielded">,
  inARow: number,
  left: number,
  random: () => number,
): number {
  if (kind === "held") return HELD_MS;
  const { firstMs, growth, capMs } = BACKOFFS[kind];
  const grown = firstMs * growth ** Math.min(inARow - 1, 16);
  const bound =
    contenders === undefined
      ? Math.min(capMs, grown)
      : // Known: spread over the time that they all take. But free addresses are no contenders yet, and one refusal
        // may be anybody's: that there is a crowd is believed step by step, in large ones.
        Math.min(growth * grown, Math.max(firstMs, contenders * ASSOCIATION_MS));
  return FLOOR_MS + random() * (Math.min(bound, left) - FLOOR_MS);
}
