/** Turns the outcome of a run into log lines, a result record and an exit status. */
import { EXIT, type Failure } from "../model/failure.ts";
import type { Outcome } from "../model/outcome.ts";
import { HEAL_UNIT } from "../reconcile/drift.ts";
import { isReleased, type Result, type ResultWrite } from "../reconcile/precedence.ts";
import { loggedToConsole } from "../reconcile/repeated.ts";
import {
  DOCTOR,
  type Line,
  report,
  reportHook,
  resultRecord,
  resultVariables,
} from "../report/report.ts";
import type { Completion, Context } from "./command.ts";

type OutcomeContext = Pick<Context, "clock" | "runtime">;

/** The log line about the outcome. */
export function lineOf(outcome: Outcome, context: OutcomeContext): Line {
  const { level, line: text } = report(outcome);
  return { level, text, journalOnly: isOnConsole(outcome, context) };
}

/** The log line about the lifecycle hook, if one is configured. */
export function hookLines(outcome: Outcome, context: OutcomeContext): Line[] {
  if (outcome.hook === undefined) return [];
  const { level, line } = reportHook(outcome.hook);
  // The last line of the run.
  const hasFailed = outcome.end !== "stopped" && report(outcome).status !== EXIT.OK;
  const text = hasFailed ? `${line}${DOCTOR}` : line;
  return [{ level, text, journalOnly: isOnConsole(outcome, context) }];
}

/** Whether this cause was logged to the console within the last hour. */
export function isOnConsole(outcome: Outcome, context: OutcomeContext): boolean {
  return outcome.end === "failed" && consoleLoggedAt(outcome.failure, context) !== undefined;
}

/** Exit status, JSON and result files, without log lines. */
export function completionOf(
  outcome: Outcome,
  context: OutcomeContext,
): Completion & { result: Result } {
  const { clock, runtime } = context;
  const now = clock.date();
  const { unit } = runtime;
  const isLogged = unit === HEAL_UNIT && outcome.end === "failed";
  const toldAt = isLogged
    ? (consoleLoggedAt(outcome.failure, context) ?? now.toISOString())
    : undefined;
  const record = resultRecord(outcome, now, { began: runtime.began, unit, toldAt });
  return {
    status: report(outcome).status,
    json: record,
    result: { record, variables: resultVariables(outcome) },
  };
}

/**
 * The completion after its result files were written, or not. If a successful run could not update `env`, other units read
 * a wrong address or none, so the run must not count as a success.
 */
export function afterWriting(completion: Completion, write: ResultWrite): Completion {
  if (write.is === "written") return completion;
  const isUntrue = completion.status === EXIT.OK && !write.isEnvTrue;
  const [text, level] = whyNotWritten(write);
  const status = EXIT.TEMPFAIL;
  const line: Line = isUntrue
    ? { level: "error", text: `FAILED (${status}): ${text}${DOCTOR}` }
    : { level, text };
  const lines = [...(completion.lines ?? []), line];
  if (!isUntrue) return { ...completion, lines };
  const { json } = completion;
  const isRecord = typeof json === "object" && json !== null;
  return {
    ...completion,
    lines,
    status,
    ...(isRecord && { json: { ...json, exitStatus: status } }),
  };
}

/** Why the result was not written, and the log level of that unless `env` is wrong. */
function whyNotWritten(write: Exclude<ResultWrite, { is: "written" }>): [string, "warn" | "debug"] {
  if (write.is === "not written") {
    return [
      `${write.why}: the result files could not be written${write.isEnvTrue ? "" : ", and other units would be told an address that is not here, or none; free space in /run, or run it as root: sudo eip-heal"}`,
      "warn",
    ];
  }
  const { by } = write;
  return isReleased(by)
    ? ["the address was given up on purpose meanwhile", "debug"]
    : [
        `another run has asked EC2 later and has ended with ${by.outcome}: ${by.message ?? "it has not said why"}`,
        "debug",
      ];
}

/** When this cause was logged to the console, if that is less than an hour ago; only eip-heal.service keeps account of it. */
function consoleLoggedAt(failure: Failure, { clock, runtime }: OutcomeContext): string | undefined {
  const before = runtime.unit === HEAL_UNIT ? runtime.last() : undefined;
  return loggedToConsole(failure, before, clock.date().getTime());
}
