/** Repeats attempts until one succeeds, trying again is pointless, or time is up. */
import type { Settings } from "../config/settings.ts";
import { seconds } from "../model/duration.ts";
import { EXIT, type ExitStatus, Failure, inStep } from "../model/failure.ts";
import type { End } from "../model/outcome.ts";
import type { LastResult } from "../reconcile/drift.ts";
import { isSameCause } from "../reconcile/repeated.ts";
import { causeAtDeadline, nextRetry, NO_RETRIES, statusOf } from "../reconcile/retry.ts";
import type { Written } from "../reconcile/state.ts";
import type { Ports } from "./ports.ts";

/** The same failure is logged again after this many milliseconds. */
const QUIET_MS = 60_000;

/** For code that performs one step after the other. */
export interface StepContext {
  readonly ports: Pick<Ports, "log">;
  /** The current step as a gerund phrase, for messages about failures and interruptions. */
  step: string;
}

/** For a command. */
export interface RunContext extends StepContext {
  readonly settings: Settings;
  readonly ports: Ports;
  /** Aborted when the command has to end. */
  readonly signal: AbortSignal;
}

/** For code that is retried. */
export interface RetryContext extends StepContext {
  readonly ports: Ports;
  /** Aborted by `stop` or by the deadline. */
  readonly signal: AbortSignal;
  /** Aborted when somebody wants the run to stop; the reason is an Error that says who. */
  readonly stop: AbortSignal;
  /** When the deadline passes, in milliseconds of the run's clock. */
  readonly deadline: number;
  /** The last result of the same unit, whose cause has been logged already. */
  readonly last?: LastResult | undefined;
  /** With true the deadline does not abort the signal until it is called with false again; `stop` still does. */
  readonly defer: (isDeferred: boolean) => void;
}

/**
 * The context of a command that has to end by itself after `ms` milliseconds. Call `release` at its end.
 *
 * @param step what was being done before, should it be stopped already
 */
export function contextFor(
  settings: Settings,
  ports: Ports,
  ms: number,
  stop: AbortSignal,
  step = "starting",
): { readonly context: RunContext; readonly release: () => void } {
  const { signal, release } = deadlineSignal(ports.clock, ms, stop);
  return { context: { settings, ports, signal, step }, release };
}

/** How the attempts ended. */
export type Ended<T> =
  | { readonly done: T }
  | { readonly failure: Failure; readonly status: ExitStatus; readonly isWaitedOut?: true }
  /** Somebody stopped it: who, and during which step. */
  | { readonly stopped: string };

/**
 * Repeats an attempt until it succeeds, trying again is pointless, or the signal is aborted. The kind of the failure
 * decides how soon the next attempt is made.
 *
 * @param written what the current attempt may have written
 * @param wasWaitedOut whether an earlier run on this boot already waited for this cause in vain
 * @param before why the attempts are made: the cause if the deadline comes before the first has failed or succeeded
 * @throws anything that an attempt throws other than a Failure: a bug
 */
export async function retry<T>(
  context: RetryContext,
  attempt: () => Promise<T>,
  written: () => Written = () => "no",
  wasWaitedOut: (failure: Failure) => boolean = () => false,
  before?: Failure,
): Promise<Ended<T> & { readonly tries: number }> {
  const { ports, signal, stop, deadline } = context;
  const { clock, log } = ports;
  let tries = 0;
  let state = NO_RETRIES;
  let last = before;
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
      const failure = error instanceof Failure ? error : undefined;
      const isAnswer = failure !== undefined && !stop.aborted && wasAnswered(failure);
      if (signal.aborted && !isAnswer) return interrupted(written());
      if (failure === undefined) throw error;
      last = failure;
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
      patienceMs === undefined ? "" : `; it may only be late: waiting up to ${seconds(patienceMs)}`;
    log[isNew ? "warn" : "debug"](`${last.message}${patience}; next try in ${seconds(afterMs)}`);
    context.step = `waiting after: ${last.message}`;
    try {
      await clock.sleep(afterMs, signal);
    } catch {
      return interrupted("no");
    }
  }
}

/**
 * Whether AWS has answered, so that the failure is the cause even past the deadline: a hold is finished then, and may show
 * that another instance has the address.
 */
function wasAnswered({ kind }: Failure): boolean {
  return kind !== "unreachable" && kind !== "throttled";
}

/** Performs one step: logs it, and adds its name to the failures that it throws. */
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

/** How a run that failed ends. If what was missing is optional (EIP_HEAL_OPTIONAL), there was nothing to do. */
export function endBy(failure: Failure, status = statusOf(failure)): End {
  return status === EXIT.OK
    ? { end: "idle", because: failure.details.why, why: "not-configured" }
    : { end: "failed", failure, status };
}

/**
 * A signal that is aborted by `stop`, or after `ms` milliseconds of the run's clock; see RetryContext for `defer`. Call
 * `release` when it is no longer needed.
 */
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
