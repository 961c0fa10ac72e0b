/** Something that is tried again until it is done, there is no hope, or time is up. */
import type { Settings } from "../config/settings.ts";
import { seconds } from "../model/duration.ts";
import { EXIT, type ExitStatus, Failure, inStep } from "../model/failure.ts";
import type { End } from "../model/outcome.ts";
import type { LastResult } from "../reconcile/drift.ts";
import { isSameCause } from "../reconcile/repeated.ts";
import { causeAtDeadline, nextRetry, NO_RETRIES, statusOf } from "../reconcile/retry.ts";
import type { Written } from "../reconcile/state.ts";
import type { Ports } from "./ports.ts";

/** The same failure is logged again after this, in milliseconds. */
const QUIET_MS = 60_000;

/** Who does one step after the other. */
export interface StepContext {
  readonly ports: Pick<Ports, "log">;
  /** What is being done now, a gerund phrase: for failures, and for whoever interrupts it. */
  step: string;
}

/** What a command works with. */
export interface RunContext extends StepContext {
  readonly settings: Settings;
  readonly ports: Ports;
  /** Aborted when it has to end. */
  readonly signal: AbortSignal;
}

/** Who tries again. */
export interface RetryContext extends StepContext {
  readonly ports: Ports;
  /** Aborted when it has to end, by somebody or by its deadline. */
  readonly signal: AbortSignal;
  /** The part of the signal that is somebody's wish; its reason is an Error that says who. */
  readonly stop: AbortSignal;
  /** When the signal is aborted by time, in milliseconds of the run's clock. */
  readonly deadline: number;
  /** How the last run of the same unit has ended: its cause has been told. */
  readonly last?: LastResult | undefined;
  /** Puts the deadline off, or no longer: what has begun may be finished. Somebody's wish is obeyed all the same. */
  readonly defer: (isDeferred: boolean) => void;
}

/** How it has ended. */
export type Ended<T> =
  | { readonly done: T }
  | { readonly failure: Failure; readonly status: ExitStatus; readonly isWaitedOut?: true }
  /** Somebody ended it: who, and while what was being done. */
  | { readonly stopped: string };

/**
 * Tries until it is done, there is no hope, or it has to end; how soon again, the kind of the failure says.
 *
 * @param written what the attempt that is under way may have changed
 * @param isInVain has an earlier run on this boot waited for this in vain?
 * @throws whatever an attempt throws that is not a Failure: a bug
 */
export async function retry<T>(
  context: RetryContext,
  attempt: () => Promise<T>,
  written: () => Written = () => "no",
  wasWaitedOut: (failure: Failure) => boolean = () => false,
): Promise<Ended<T> & { readonly tries: number }> {
  const { ports, signal, stop, deadline } = context;
  const { clock, log } = ports;
  let tries = 0;
  let state = NO_RETRIES;
  let last: Failure | undefined;
  let logged: { failure: Failure; at: number } | undefined;
  const interrupted = (since: Written): Ended<T> & { tries: number } => {
    if (stop.aborted) {
      return { stopped: `${(stop.reason as Error).message} while ${context.step}`, tries };
    }
    const failure = causeAtDeadline(last, since, context.step);
    return { failure, status: statusOf(failure), tries };
  };

  for (;;) {
    tries++;
    const triedAt = clock.now();
    try {
      return { done: await attempt(), tries };
    } catch (error) {
      if (signal.aborted) return interrupted(written());
      if (!(error instanceof Failure)) throw error;
      last = error;
    }

    const now = clock.now();
    const { random } = clock;
    const decision = nextRetry(last, state, triedAt, now, deadline, random, wasWaitedOut(last));
    if (!decision.again) {
      const { status, isWaitedOut } = decision;
      return { failure: last, status, tries, ...(isWaitedOut && { isWaitedOut }) };
    }
    state = decision.state;
    const isNew =
      !isSameCause(last, context.last) &&
      (logged?.failure.isLike(last) !== true || now - logged.at >= QUIET_MS);
    if (isNew) logged = { failure: last, at: now };
    const { afterMs, patienceMs } = decision;
    const patience =
      patienceMs === undefined
        ? ""
        : `; it may only be late, and is waited for up to ${seconds(patienceMs)}`;
    log[isNew ? "warn" : "debug"](`${last.message}${patience}; next try in ${seconds(afterMs)}`);
    context.step = `waiting after: ${last.message}`;
    try {
      await clock.sleep(afterMs, signal);
    } catch {
      return interrupted("no");
    }
  }
}

/** Does one step: names it, and tells it in the failures that come out of it. */
export async function withStep<T>(
  context: StepContext,
  step: string,
  work: () => Promise<T>,
): Promise<T> {
  context.step = step;
  context.ports.log.debug(step);
  try {
    return await work();
  } catch (error) {
    throw error instanceof Failure ? inStep(error, step) : error;
  }
}

/** How a run ends by a failure. A missing piece that may be missing is no failure in the end. */
export function endBy(failure: Failure, status = statusOf(failure)): End {
  return status === EXIT.OK
    ? { end: "idle", because: failure.details.why, why: "not-configured" }
    : { end: "failed", failure, status };
}

/** A signal that is aborted by `stop` or after so many milliseconds, on the run's own clock. */
export function deadlineSignal(clock: Ports["clock"], ms: number, stop: AbortSignal) {
  const limit = new AbortController();
  const onStop = () => limit.abort(stop.reason);
  if (stop.aborted) onStop();
  stop.addEventListener("abort", onStop, { once: true });
  const timer = new AbortController();
  let hasPassed = false;
  let isDeferred = false;
  const check = () => {
    if (hasPassed && !isDeferred) limit.abort(new Error("the deadline has passed"));
  };
  clock.sleep(ms, timer.signal).then(
    () => {
      hasPassed = true;
      check();
    },
    () => {},
  );
  return {
    signal: limit.signal,
    defer: (isNow: boolean) => {
      isDeferred = isNow;
      check();
    },
    release: () => {
      stop.removeEventListener("abort", onStop);
      timer.abort();
    },
  };
}
