/** One run, as its parts hand it on: what it may use, what it is doing and what it has found out. */
import { EXIT, Failure, inStep } from "./core/failure.ts";
import { statusOf } from "./core/pacing.ts";
import type { End, Facts } from "./core/report.ts";
import type { Settings } from "./core/settings.ts";
import type { Ports } from "./ports.ts";

/** What a run carries along. */
export interface Run {
  readonly settings: Settings;
  readonly ports: Ports;
  /** Do everything but the write. */
  readonly dryRun: boolean;
  /** Associate even if EC2 shows the address here already. */
  readonly insist: boolean;
  /** Aborted when the run has to end, by somebody or by its deadline. */
  readonly signal: AbortSignal;
  /** Has EC2 accepted an act since the last failure? That failure is then not what ends the run. */
  hasActed: boolean;
  /** What is being done now, a gerund phrase: for failures, and for whoever interrupts it. */
  step: string;
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
export async function during<T>(run: Run, step: string, work: () => Promise<T>): Promise<T> {
  run.step = step;
  run.ports.log.debug(step);
  try {
    return await work();
  } catch (error) {
    throw error instanceof Failure ? inStep(error, step) : error;
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
