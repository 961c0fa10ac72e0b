/** One run, as its parts hand it on: what it may use, what it is doing and what it has found out. */
import { Failure, inStep } from "./core/failure.ts";
import type { Facts } from "./core/report.ts";
import type { Settings } from "./core/settings.ts";
import type { Ports } from "./ports.ts";

/** What a run carries along. */
export interface Run {
  readonly settings: Settings;
  readonly ports: Ports;
  /** Do everything but the write. */
  readonly dryRun: boolean;
  /** Aborted when the run has to end, by somebody or by its deadline. */
  readonly signal: AbortSignal;
  /** What is being done now, a gerund phrase: for failures, and for whoever interrupts it. */
  step: string;
  /** What was found out, for the report. */
  facts: Facts;
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
