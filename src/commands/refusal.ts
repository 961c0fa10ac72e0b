/** A run that cannot begin, because its settings or the AWS variables make no sense. */
import { sentenceOf, sentenceOfNotice } from "../config/problem.ts";
import type { Environment } from "../config/configuration.ts";
import type { Settings } from "../config/settings.ts";
import { EXIT, type ExitStatus, Failure } from "../model/failure.ts";
import { RECHECK_UNIT } from "../reconcile/drift.ts";
import type { HookEnd, Outcome } from "../model/outcome.ts";
import { DOCTOR } from "../report/report.ts";
import type { Completion, Context, RunPorts } from "./command.ts";
import { completionOf, hookLines, isOnConsole } from "./outcome.ts";

/** What a run begins with, or why it cannot. */
export type Beginning =
  | { readonly settings: Settings; readonly environment: Environment; readonly ports: RunPorts }
  | Refusal;

export interface Refusal {
  /** Each a whole sentence. */
  readonly problems: readonly string[];
  readonly status: ExitStatus;
  /** The launch hook, if that is known all the same, and the environment to complete it in. */
  readonly hook?: { readonly name: string; readonly environment: Environment };
}

export function begin({ commandLine, configuration, log, portsIn }: Context): Beginning {
  if ("problems" in configuration) {
    const { problems, ...rest } = configuration;
    return { problems: problems.map(sentenceOf), ...rest };
  }
  const { settings, environment, notices = [] } = configuration;
  // Not minute by minute, with each recheck.
  const isTold = ["heal", "check-config"].includes(commandLine.command.name);
  for (const notice of isTold ? notices : []) log.warn(sentenceOfNotice(notice));
  try {
    return { settings, environment, ports: portsIn(environment) };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const { lifecycleHook: name } = settings;
    return {
      problems: [error.message],
      status: EXIT.CONFIG,
      ...(name !== undefined && { hook: { name, environment } }),
    };
  }
}

/** Says what is wrong, and leaves what earlier runs have left. */
export function refused({ problems, status }: Refusal, context: Context): Completion {
  const { json } = completionOf(outcomeOf({ problems, status }), context);
  // Minute by minute the console would be full of it.
  const journalOnly = context.runtime.unit === RECHECK_UNIT;
  return { status, json, lines: problems.map((text) => ({ level: "error", text, journalOnly })) };
}

/**
 * The same for a heal: whoever reads its result must not find that of an earlier one, and whoever waits for its launch
 * hook must not wait in vain.
 */
export async function refusedHeal(
  refusal: Refusal,
  context: Context,
  dryRun: boolean,
): Promise<Completion> {
  // A mistake on the command line is somebody's at a terminal, not this machine's.
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
  // That a file could not be read this time says nothing about what is in it.
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
