/** Wiring: settings, ports, one run, one report; and the one place that catches what nobody foresaw. */
import { basename } from "node:path";
import manifest from "../package.json" with { type: "json" };
import { footingOf } from "./aws/footing.ts";
import { type Command, type CommandLine, helpText, parseCommandLine, UsageError } from "./cli.ts";
import type { PolicyPorts } from "./commands/policy.ts";
import { EXIT, type ExitStatus, Failure } from "./model/failure.ts";
import type { HookEnd, Outcome } from "./model/outcome.ts";
import { statusOf } from "./reconcile/retry.ts";
import { HEAL_UNIT, type LastResult } from "./reconcile/drift.ts";
import { toldConsole } from "./reconcile/news.ts";
import { sentenceOf } from "./config/problem.ts";
import { isMove, report, reportHook, resultRecord, resultVariables } from "./report/report.ts";
import { heal } from "./run/heal.ts";
import type { LogLevel } from "./config/settings.ts";
import { systemClock } from "./system/clock.ts";
import { type Environment, readConfiguration } from "./system/configuration.ts";
import { type Log, mannerOf, openLog } from "./system/journal.ts";
import type { HealPorts } from "./run/ports.ts";
import {
  lastWriteIn,
  readMemory,
  readResult,
  rememberResults,
  writeMemory,
  writeResults,
} from "./system/results.ts";

/** Where systemd has made /run/eip-heal for a unit of ours it says so. Started by another unit, it says that unit's folders. */
const OWN_FOLDER = process.env["RUNTIME_DIRECTORY"]
  ?.split(":")
  .find((folder) => basename(folder) === "eip-heal" || /^(?!\/run\/)./.test(folder));
const RESULTS_FOLDER = OWN_FOLDER ?? "/run/eip-heal";

const RECHECK_UNIT = "eip-heal-recheck.service";
/** The units of the commands that have one. */
const UNITS: Partial<Record<Command, string>> = { heal: HEAL_UNIT, recheck: RECHECK_UNIT };

// Until somebody says otherwise: an event loop that runs dry, with nobody left to answer, is a bug and never a success.
process.exitCode = EXIT.SOFTWARE;

/** Of Node's own variables only NODE_EXTRA_CA_CERTS is the user's business: none of the others may change what we do. */
for (const name of Object.keys(process.env)) {
  if (name.startsWith("NODE_") && name !== "NODE_EXTRA_CA_CERTS") delete process.env[name];
}
// The SDK asks of every body whether it is a web stream, and to ask is to load all of those. None is: Node's HTTP client
// makes streams of Node's own.
Reflect.deleteProperty(globalThis, "ReadableStream");
// A reader that has gone away is no reason to fail.
process.stderr.on("error", () => {});

const manner = mannerOf(process.env);
let level: LogLevel = "info";
let log: Log = openLog(level, manner);
/** Opened when it is needed. */
let aside: Log | undefined;
process.on("uncaughtException", (error) => void end(reportBug(error)));
void main(process.argv.slice(2)).catch(reportBug).then(end);

async function main(args: string[]): Promise<ExitStatus> {
  let commandLine: CommandLine;
  try {
    commandLine = parseCommandLine(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    log.error(`${error.message}; see eip-heal --help`);
    return EXIT.USAGE;
  }
  if (commandLine.help) return print(helpText());
  if (commandLine.version) return print(`eip-heal ${manifest.version}\n`);

  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
  }
  const configuration = readConfiguration(commandLine, process.env);
  if (commandLine.command === "doctor" || commandLine.command === "status") {
    // Loaded only here, as everything below that a plain heal at boot does without.
    const { operate } = await import("./operator.ts");
    const { version } = manifest;
    const given = { commandLine, configuration, own: process.env, version, log };
    return operate({ ...given, resultsFolder: RESULTS_FOLDER }, stop.signal);
  }
  const unit = OWN_FOLDER === undefined ? undefined : UNITS[commandLine.command];
  /** How the run before has ended: what it has told of its cause need not be told again. */
  const before = unit === HEAL_UNIT ? readResult(RESULTS_FOLDER) : undefined;
  if ("problems" in configuration) {
    const { problems, status, hook } = configuration;
    return refuse(problems.map(sentenceOf), status, hook);
  }
  const { settings, environment } = configuration;
  level = settings.logLevel;
  log = openLog(level, manner);

  let ports: PolicyPorts & HealPorts;
  try {
    ports = portsIn(environment);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const name = settings.lifecycleHook;
    return refuse(
      [error.message],
      EXIT.CONFIG,
      name === undefined ? undefined : { name, environment },
    );
  }

  switch (commandLine.command) {
    case "heal": {
      // Under a launch hook a second run is the last chance of this instance: it waits as long as the first.
      const past = settings.lifecycleHook === undefined ? readResult(RESULTS_FOLDER) : undefined;
      const options = { dryRun: commandLine.dryRun, past, last: before };
      const work = () => heal(settings, ports, options, stop.signal);
      if (settings.lifecycleHook === undefined) {
        return finish(await work());
      }
      const { lifecycleHook } = settings;
      const { underHook } = await import("./run/lifecycle.ts");
      const hook = {
        name: lifecycleHook,
        deadlineMs: settings.deadlineMs,
        dryRun: commandLine.dryRun,
      };
      const outcome = await underHook(hook, ports, work, tell, stop.signal);
      return finish(outcome, { told: true });
    }
    case "release": {
      const { release } = await import("./commands/release.ts");
      const { endRetries } = await import("./system/units.ts");
      const goOn = await endRetries(stop.signal);
      const announce = (intended: Outcome) => {
        const takeBack = rememberResults(RESULTS_FOLDER);
        const record = resultRecord(intended, systemClock.date());
        keep(() => writeResults(RESULTS_FOLDER, record, undefined));
        return () => keep(takeBack);
      };
      const outcome = await release(settings, ports, announce, stop.signal);
      // One that has failed has changed nothing of what was verified, or nobody knows, and then it was meant.
      const keepsResult = outcome.end !== "released" && outcome.end !== "idle";
      if (keepsResult) await goOn();
      return finish(outcome, { keepsResult });
    }
    case "policy":
      try {
        const { documentOf, explanationOf, policy } = await import("./commands/policy.ts");
        const region = environment["AWS_REGION"];
        const scope = { ...(region && { region }), ...commandLine.scope };
        const clauses = await policy(settings, scope, ports, stop.signal);
        if (commandLine.explain) process.stderr.write(explanationOf(clauses));
        return print(documentOf(clauses));
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        log.error(error.message);
        return statusOf(error);
      }
    case "recheck": {
      const { recheck } = await import("./commands/recheck.ts");
      const last = readResult(RESULTS_FOLDER);
      const isReleased = () => readResult(RESULTS_FOLDER)?.outcome === "released";
      const past = { last, memory: readMemory(RESULTS_FOLDER), isReleased };
      const now = () => systemClock.date().getTime();
      const done = await recheck(settings, ports, past, now, stop.signal);
      keep(() => writeMemory(RESULTS_FOLDER, done.memory));
      if (done.outcome === undefined) {
        if (commandLine.json && last !== undefined) print(`${JSON.stringify(last)}\n`);
        return EXIT.OK;
      }
      const keepsResult = done.keepsResult === true;
      const quiet = !keepsResult && isNoNews(done.outcome, last);
      const status = finish(done.outcome, { quiet, keepsResult });
      // A newer instance has the address: as it should be, minute by minute.
      return status === EXIT.UNAVAILABLE ? EXIT.OK : status;
    }
  }

  function tell(outcome: Outcome, quiet = false, keepsResult = false): void {
    const { level, line } = report(outcome);
    logFor(outcome, keepsResult)[quiet ? "debug" : level](line);
  }

  /** The console hears of a cause once an hour, and not of rechecks that change nothing. */
  function logFor(outcome: Outcome, keepsResult = false): Log {
    const isForConsole =
      outcome.end !== "failed" ||
      (toldAt(outcome.failure) === undefined && !(keepsResult && unit === RECHECK_UNIT));
    return isForConsole ? log : forJournal();
  }

  /** When the console was told of this cause, if that need not be told again. */
  function toldAt(failure: Failure): string | undefined {
    return toldConsole(failure, before, systemClock.date().getTime());
  }

  function finish(
    outcome: Outcome,
    { quiet = false, told = false, keepsResult = false } = {},
  ): ExitStatus {
    if (!told) tell(outcome, quiet, keepsResult);
    if (outcome.hook !== undefined) {
      const { level, line } = reportHook(outcome.hook);
      logFor(outcome, keepsResult)[level](line);
    }
    const now = systemClock.date();
    const isTold = unit === HEAL_UNIT && outcome.end === "failed";
    const by = { unit, ...(isTold && { toldAt: toldAt(outcome.failure) ?? now.toISOString() }) };
    const record = resultRecord(outcome, now, by);
    if (commandLine.json) print(`${JSON.stringify(record)}\n`);
    if (!commandLine.dryRun && !keepsResult) {
      keep(() => writeResults(RESULTS_FOLDER, record, resultVariables(outcome)));
    }
    return report(outcome).status;
  }

  /**
   * Ends a run that cannot begin. Whoever reads its result must not find that of an earlier one, and whoever
   * waits for its launch hook must not wait in vain.
   */
  async function refuse(
    problems: readonly string[],
    status: ExitStatus,
    hook: { name: string; environment: Environment } | undefined,
  ): Promise<ExitStatus> {
    const failure = new Failure("misconfigured", { why: problems.join("; ") });
    const outcome: Outcome = { end: "failed", failure, status, facts: {}, tries: 0, ms: 0 };
    const isHeal = commandLine.command === "heal";
    const keepsResult = !isHeal || status === EXIT.USAGE;
    for (const problem of problems) logFor(outcome, keepsResult).error(problem);
    // A mistake on the command line is somebody's at a terminal, not this machine's.
    const abandons = hook !== undefined && isHeal && status === EXIT.CONFIG;
    return finish(abandons ? { ...outcome, hook: await abandon(outcome, hook) } : outcome, {
      quiet: true,
      keepsResult,
    });
  }

  async function abandon(
    outcome: Outcome,
    { name, environment }: { name: string; environment: Environment },
  ): Promise<HookEnd> {
    try {
      const ports = portsIn(environment);
      const { completeHook } = await import("./run/lifecycle.ts");
      const hook = { name, deadlineMs: 0, dryRun: commandLine.dryRun };
      return await completeHook(hook, outcome, {}, ports, stop.signal);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      return { name, end: "left", because: error.message };
    }
  }
}

function portsIn(environment: Environment): PolicyPorts & HealPorts {
  const footing = footingOf(environment, manifest.version);
  const lastWrite = lastWriteIn(RESULTS_FOLDER);
  return { ...footing, clock: systemClock, log, lastWrite };
}

/** Does a recheck only find what the last run has found? */
function isNoNews(outcome: Outcome, last: LastResult | undefined): boolean {
  const { outcome: end, exitStatus } = resultRecord(outcome, systemClock.date());
  return (
    last !== undefined && last.outcome === end && last.exitStatus === exitStatus && !isMove(outcome)
  );
}

/** The log for what the console, which is read by whoever cannot reach the machine, need not be told again. */
function forJournal(): Log {
  return manner === "journal" ? (aside ??= openLog(level, manner, "stdout")) : log;
}

/** Writes what others may read. By hand and without root that fails, and the address is where it is all the same. */
function keep(write: () => void): void {
  try {
    write();
  } catch (error) {
    log.warn(`cannot write the result files: ${(error as Error).message}`);
  }
}

function print(text: string): ExitStatus {
  process.stdout.on("error", () => {}); // `eip-heal --help | head -1`
  process.stdout.write(text);
  return EXIT.OK;
}

function reportBug(error: unknown): ExitStatus {
  const told = error instanceof Error ? error.stack : String(error);
  log.error(`this is a bug in eip-heal ${manifest.version}, please report it: ${told}`);
  return EXIT.SOFTWARE;
}

/** Ends the process, explicitly: an answer that nobody read would keep it alive. */
async function end(status: ExitStatus): Promise<void> {
  await log.close();
  await aside?.close();
  process.exit(status);
}
