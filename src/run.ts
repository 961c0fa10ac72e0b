/** One run, as its parts hand it on: what it may use, what it is doing and what it has found out. */
import { EXIT, type ExitStatus, Failure, inStep } from "./core/failure.ts";
import type { End, Facts } from "./core/outcome.ts";
import { NO_TRAIL, pace, statusOf } from "./core/pacing.ts";
import { seconds } from "./core/report.ts";
import type { Settings } from "./core/settings.ts";
import type { Ports } from "./ports.ts";

/** The same failure is logged again after this, in milliseconds. */
const QUIET_MS = 60_000;

/** Not, or as far as EC2 has shown; in between it has accepted it, or not answered. */
export type Acted = "no" | "perhaps" | "seen";

/** Something that is tried until it is done, or has to end. */
export interface Pursuit {
  readonly ports: Ports;
  /** Aborted when it has to end, by somebody or by its deadline. */
  readonly signal: AbortSignal;
  /** Has an act succeeded since the last failure, or perhaps? That failure is then not what ends it. */
  acted: Acted;
  /** What is being done now, a gerund phrase: for failures, and for whoever interrupts it. */
  step: string;
}

/** Who counts how often a run moves the address. */
export interface Moves {
  /** Before the request; may abort the run's signal. */
  begin(): void;
  /** It was refused: nothing has moved. */
  refused(): void;
}

/** What a run carries along. */
export interface Run extends Pursuit {
  readonly settings: Settings;
  /** Do everything but the write. */
  readonly dryRun: boolean;
  /** Associate even if EC2 shows the address here already. */
  readonly insist: boolean;
  /** Told of each request that moves the address here. */
  readonly moves?: Moves;
  /** May the address be at its place here: has EC2 accepted it there, or not answered? */
  isPlaced?: boolean;
  /** What was found out, for the report. */
  facts: Facts;
}

/** How a run ends by a failure. A missing piece that may be missing is no failure in the end. */
export function endBy(failure: Failure, status = statusOf(failure)): End {
  return status === EXIT.OK
    ? { end: "idle", because: failure.details.why, why: "not-configured" }
    : { end: "failed", failure, status };
}

/** Does one step: names it, and tells it in the failures that come out of it. */
export async function during<T>(
  pursuit: Pursuit,
  step: string,
  work: () => Promise<T>,
): Promise<T> {
  pursuit.step = step;
  pursuit.ports.log.debug(step);
  try {
    return await work();
  } catch (error) {
    throw error instanceof Failure ? inStep(error, step) : error;
  }
}

/** How a pursuit has ended. */
export type Ended<T> =
  | { readonly done: T }
  | { readonly failure: Failure; readonly status: ExitStatus }
  /** Somebody ended it: who, and while what was being done. */
  | { readonly stopped: string };

/**
 * Tries until it is done, there is no hope, or the pursuit has to end; how soon again, the kind of the
 * failure says.
 *
 * @param deadline when the pursuit's signal is aborted by time, in milliseconds of the run's clock
 * @param stop the part of the pursuit's signal that is somebody's wish
 * @throws whatever an attempt throws that is not a Failure: a bug
 */
export async function persist<T>(
  pursuit: Pursuit,
  deadline: number,
  stop: AbortSignal,
  attempt: () => Promise<T>,
): Promise<Ended<T> & { readonly tries: number }> {
  const { ports, signal } = pursuit;
  const { clock, log } = ports;
  let tries = 0;
  let trail = NO_TRAIL;
  let last: Failure | undefined;
  let said: { message: string; at: number } | undefined;
  /** How it ends when its signal was aborted. */
  const interrupted = (): Ended<T> & { tries: number } => {
    if (stop.aborted) {
      return { stopped: `${(stop.reason as Error).message} while ${pursuit.step}`, tries };
    }
    // The cause that was there before counts, not that time ran out in the middle of something.
    const why = "the deadline came before this was done";
    const isCause =
      pursuit.acted === "no" ||
      (pursuit.acted === "perhaps" && last !== undefined && statusOf(last) === EXIT.TEMPFAIL);
    const failure =
      (isCause ? last : undefined) ?? new Failure("unreachable", { why }, pursuit.step);
    return { failure, status: statusOf(failure), tries };
  };

  for (;;) {
    tries++;
    const triedAt = clock.now();
    try {
      return { done: await attempt(), tries };
    } catch (error) {
      if (signal.aborted) return interrupted();
      if (!(error instanceof Failure)) throw error;
      last = error;
      pursuit.acted = "no";
    }

    const verdict = pace(last, trail, triedAt, clock.now(), deadline, clock.random);
    if (!verdict.again) return { failure: last, status: verdict.status, tries };
    trail = verdict.trail;
    const news = said?.message !== last.message || clock.now() - said.at >= QUIET_MS;
    if (news) said = { message: last.message, at: clock.now() };
    log[news ? "warn" : "debug"](`${last.message}; next try in ${seconds(verdict.afterMs)}`);
    pursuit.step = `waiting after: ${last.message}`;
    try {
      await clock.sleep(verdict.afterMs, signal);
    } catch {
      return interrupted();
    }
  }
}

/** A signal that is aborted by `stop` or by the deadline, on the run's own clock. */
export function limitOf(clock: Ports["clock"], ms: number, stop: AbortSignal) {
  const limit = new AbortController();
  const onStop = () => limit.abort(stop.reason);
  if (stop.aborted) onStop();
  stop.addEventListener("abort", onStop, { once: true });
  const timer = new AbortController();
  clock.sleep(ms, timer.signal).then(
    () => limit.abort(new Error("the deadline has passed")),
    () => {},
  );
  return {
    signal: limit.signal,
    release: () => {
      stop.removeEventListener("abort", onStop);
      timer.abort();
    },
  };
}
