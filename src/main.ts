/** Wiring: settings, ports, one run, one report; and the one place that catches what nobody foresaw. */
import { basename } from "node:path";
import manifest from "../package.json" with { type: "json" };
import { footingOf } from "./aws/footing.ts";
import { type CommandLine, helpText, parseCommandLine, UsageError } from "./command-line.ts";
import { EXIT, type ExitStatus, Failure } from "./core/failure.ts";
import type { LastResult } from "./core/recheck.ts";
import { isMove, type Outcome, report, resultRecord, resultVariables } from "./core/report.ts";
import { heal } from "./heal.ts";
import type { Ports } from "./ports.ts";
import { recheck } from "./recheck.ts";
import { release } from "./release.ts";
import { systemClock } from "./system/clock.ts";
import { readConfiguration } from "./system/configuration.ts";
import { type Log, mannerOf, openLog } from "./system/journal.ts";
import { readMemory, readResult, writeMemory, writeResults } from "./system/results.ts";

/** Where systemd has made /run/eip-heal it says so. Started by another unit, it says that unit's folders. */
const RESULTS_FOLDER =
  process.env["RUNTIME_DIRECTORY"]
    ?.split(":")
    .find((folder) => basename(folder) === "eip-heal" || !folder.startsWith("/run/")) ??
  "/run/eip-heal";

/** Of Node's own variables only NODE_EXTRA_CA_CERTS is the user's business: none of the others may change what we do. */
for (const name of Object.keys(process.env)) {
  if (name.startsWith("NODE_") && name !== "NODE_EXTRA_CA_CERTS") delete process.env[name];
}
// A reader that has gone away (`eip-heal --help | head -1`) is no reason to fail.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});

let log: Log = openLog("info", mannerOf(process.env));
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

  const configuration = readConfiguration(commandLine, process.env);
  if ("problems" in configuration) {
    for (const problem of configuration.problems) log.error(problem);
    return refuse(configuration.problems.join("; "), configuration.status);
  }
  const { settings, environment } = configuration;
  log = openLog(settings.logLevel, mannerOf(process.env));

  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
  }
  let ports: Ports;
  try {
    const stand = footingOf(environment, systemClock.date, manifest.version);
    ports = { stand, clock: systemClock, log };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    log.error(error.message);
    return refuse(error.message, EXIT.CONFIG);
  }

  switch (commandLine.command) {
    case "heal":
      return finish(await heal(settings, ports, commandLine, stop.signal));
    case "release": {
      const outcome = await release(settings, ports, stop.signal);
      // One that has failed has changed nothing of what was verified.
      return finish(outcome, { keepsResult: outcome.end !== "released" && outcome.end !== "idle" });
    }
    case "recheck": {
      const last = readResult(RESULTS_FOLDER);
      const memory = readMemory(RESULTS_FOLDER);
      const now = () => systemClock.date().getTime();
      const done = await recheck(settings, ports, last, memory, now, stop.signal);
      keep(() => writeMemory(RESULTS_FOLDER, done.memory));
      if (done.outcome === undefined) return EXIT.OK;
      const keepsResult = done.keepsResult === true;
      const quiet = !keepsResult && isNoNews(done.outcome, last);
      const status = finish(done.outcome, { quiet, keepsResult });
      // A newer instance has the address: as it should be, minute by minute.
      return status === EXIT.UNAVAILABLE ? EXIT.OK : status;
    }
  }

  function finish(outcome: Outcome, { quiet = false, keepsResult = false } = {}): ExitStatus {
    const { level, line, status } = report(outcome);
    log[quiet ? "debug" : level](line);
    const record = resultRecord(outcome, systemClock.date());
    if (commandLine.json) print(`${JSON.stringify(record)}\n`);
    if (!commandLine.dryRun && !keepsResult) {
      keep(() => writeResults(RESULTS_FOLDER, record, resultVariables(outcome)));
    }
    return status;
  }

  /** Ends a run that cannot begin. Whoever reads its result must not find that of an earlier one. */
  function refuse(why: string, status: ExitStatus): ExitStatus {
    const failure = new Failure("misconfigured", { why });
    const outcome: Outcome = { end: "failed", failure, status, facts: {}, tries: 0, ms: 0 };
    return finish(outcome, { quiet: true, keepsResult: commandLine.command !== "heal" });
  }
}

/** Does a recheck only find what the last run has found? */
function isNoNews(outcome: Outcome, last: LastResult | undefined): boolean {
  const { outcome: end, exitStatus } = resultRecord(outcome, systemClock.date());
  return (
    last !== undefined && last.outcome === end && last.exitStatus === exitStatus && !isMove(outcome)
  );
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
  process.exit(status);
}
