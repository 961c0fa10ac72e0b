/** A command that cannot start because its settings or the AWS variables are invalid. */
import { sentenceOf, sentenceOfNotice } from "../config/problem.ts";
import type { Environment } from "../model/environment.ts";
import type { Settings } from "../config/settings.ts";
import { EXIT, type ExitStatus, Failure } from "../model/failure.ts";
import { RECHECK_UNIT } from "../reconcile/drift.ts";
import { statusOf } from "../reconcile/retry.ts";
import type { HookEnd, Outcome } from "../model/outcome.ts";
import { DOCTOR } from "../report/report.ts";
import type { Completion, Context, RunPorts } from "./command.ts";
import { completionOf, hookLines, isOnConsole } from "./outcome.ts";

/** What a command starts with, or why it cannot start. */
export type Beginning =
  | { readonly settings: Settings; readonly environment: Environment; readonly ports: RunPorts }
  | Refusal;

export interface Refusal {
  /** Each is a complete sentence. */
  readonly problems: readonly string[];
  readonly status: ExitStatus;
  /** The lifecycle hook, if it could be read despite the problems, and the environment for calling AWS. */
  readonly hook?: { readonly name: string; readonly environment: Environment };
}

/** Checks the configuration and logs notices about it. */
export function begin({ commandLine, configuration, log, portsIn }: Context): Beginning {
  if ("problems" in configuration) {
    const { problems, ...rest } = configuration;
    return { problems: problems.map(sentenceOf), ...rest };
  }
  const { settings, environment, notices = [] } = configuration;
  const { logsNotices = false } = commandLine.command;
  for (const notice of logsNotices ? notices : []) log.warn(sentenceOfNotice(notice));
  try {
    return { settings, environment, ports: portsIn(environment) };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const { lifecycleHook: name } = settings;
    return {
      problems: [error.message],
      status: statusOf(error),
      ...(name !== undefined && { hook: { name, environment } }),
    };
  }
}

/** Logs what is wrong and leaves the result files as they are. */
export function refused({ problems, status }: Refusal, context: Context): Completion {
  const { json } = completionOf(outcomeOf({ problems, status }), context);
  // A recheck would fill the console with it, minute by minute.
  const journalOnly = context.runtime.unit === RECHECK_UNIT;
  return { status, json, lines: problems.map((text) => ({ level: "error", text, journalOnly })) };
}

/** The same for a heal, which also replaces the result of the earlier run and abandons the lifecycle hook. */
export async function refusedHeal(
  refusal: Refusal,
  context: Context,
  dryRun: boolean,
): Promise<Completion> {
  // A bad command line is the mistake of a person at a terminal; it says nothing about this machine.
  if (refusal.status === EXIT.USAGE) return refused(refusal, context);
  const failed = outcomeOf(refusal);
  const journalOnly = isOnConsole(failed, context);
  for (const text of failedLines(refusal)) context.say({ level: "error", text, journalOnly });
  const { hook } = refusal;
  const outcome =
    hook === undefined
      ? failed
      : { ...failed, hook: await conclude(failed, hook, context, dryRun) };
  const { result, ...completion } = completionOf(outcome, context);
  const lines = hookLines(outcome, context);
  return { ...completion, lines, ...(!dryRun && { result }) };
}

/** A line for each problem; the first says that it was the end, and the last one where to go on. */
function failedLines({ problems, status }: Refusal): string[] {
  return problems.map(
    (text, index) =>
      `${index === 0 ? `FAILED (${status}): ` : ""}${text}${index === problems.length - 1 ? DOCTOR : ""}`,
  );
}

function outcomeOf({ problems, status }: Refusal): Outcome & { end: "failed" } {
  // TEMPFAIL: the settings file could not be read this time, and may be fine.
  const kind = status === EXIT.TEMPFAIL ? "unreachable" : "misconfigured";
  const failure = new Failure(kind, { why: problems.join("; ") });
  return { end: "failed", failure, status, facts: {}, tries: 0, ms: 0 };
}

async function conclude(
  outcome: Outcome & { end: "failed" },
  { name, environment }: { name: string; environment: Environment },
  { portsIn, stop }: Context,
  dryRun: boolean,
): Promise<HookEnd> {
  if (outcome.status === EXIT.TEMPFAIL) {
    return { name, end: "left", because: "the settings could not be read this time" };
  }
  try {
    const ports = portsIn(environment);
    const { completeHook } = await import("../run/lifecycle.ts");
    const hook = { name, deadlineMs: 0, dryRun };
    return await completeHook(hook, outcome, {}, ports, stop);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { name, end: "left", because: error.message };
  }
}
