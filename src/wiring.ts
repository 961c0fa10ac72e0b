/** Gives commands access to this machine and to AWS. Modules that few commands need are loaded on demand. */
import { basename } from "node:path";
import manifest from "../package.json" with { type: "json" };
import { awsIn } from "./aws/session.ts";
import type { Environment } from "./model/environment.ts";
import type { CommandLine, Completion, Context, Runtime } from "./commands/command.ts";
import { COMMANDS } from "./commands/index.ts";
import { afterWriting } from "./commands/outcome.ts";
import type { Line } from "./report/report.ts";
import { type LastResult, NO_RECHECKS, RETRY_TIMER } from "./reconcile/drift.ts";
import { wasReleasedSince, mayReplace } from "./reconcile/precedence.ts";
import { systemClock } from "./system/clock.ts";
import { isTimerOn } from "./system/timers.ts";
import { readConfiguration } from "./system/read-configuration.ts";
import {
  folderOf,
  lastWriteIn,
  NO_RESULT,
  publishResult,
  readRecheckState,
  readRecord,
  readResult,
  withdraw,
  writeRecheckState,
  writeResult as writeResultIn,
} from "./system/results.ts";
import { readTextFile } from "./system/text-file.ts";

/**
 * Our RuntimeDirectory=, which systemd names in RUNTIME_DIRECTORY if one of our units started this process. If another unit
 * did, the variable names that unit's folders.
 */
const ownFolder = () =>
  process.env["RUNTIME_DIRECTORY"]
    ?.split(":")
    .find((path) => basename(path) === "eip-heal" || /^(?!\/run\/)./.test(path));
/** Looked up on each use: systemd may create it during a run by hand. */
const folder = () => folderOf(ownFolder());

/** When this process was started, in milliseconds of the run's clock; once it is known it does not change any more. */
let began: number | undefined;
const beginning = () => (began ??= systemClock.now() - process.uptime() * 1_000);
/**
 * A release after this time stops a heal. A person who starts a heal wants the address here in spite of an earlier release;
 * the retry timer, which systemd names in TRIGGER_UNIT since version 252, does not.
 */
const obeysSince = () => (process.env["TRIGGER_UNIT"] === RETRY_TIMER ? 0 : beginning());

/**
 * Builds the context of a command.
 *
 * @param say writes a line to the log
 */
export function contextOf(
  commandLine: CommandLine,
  stop: AbortSignal,
  say: (line: Line) => void,
): Context {
  const { version } = manifest;
  const processEnvironment = process.env;
  const configuration = readConfiguration(commandLine, processEnvironment);
  const log: Context["log"] = {
    warn: (text) => say({ level: "warn", text }),
    debug: (text) => say({ level: "debug", text }),
  };
  const last = () => inFolder(readResult);
  const runtime: Runtime = {
    unit: ownFolder() === undefined ? undefined : commandLine.command.unit,
    began: beginning(),
    shared: {
      wasReleased: () => wasReleasedSince(last(), obeysSince(), systemClock.now()),
      withdraw: (asOf) => inFolder((path) => withdraw(path, asOf)),
    },
    last,
    record: () => inFolder(readRecord) ?? { known: false, because: NO_RESULT },
    publishResult: async (record) =>
      (await inFolder((path) => publishResult(path, record))) ?? (async () => {}),
    rechecks: () => inFolder(readRecheckState) ?? NO_RECHECKS,
    saveRecheckState: (state) => {
      try {
        inFolder((path) => writeRecheckState(path, state));
      } catch (error) {
        log.warn(
          `${(error as Error).message}: how often rechecks have moved the address is forgotten`,
        );
      }
    },
  };
  return {
    commandLine,
    commands: COMMANDS,
    configuration,
    version,
    clock: systemClock,
    log,
    stop,
    say,
    runtime,
    portsIn: (environment) => ({
      ...awsIn(environment, version, readTextFile),
      clock: systemClock,
      log,
      lastWrite: lastWriteIn(folder()),
      lastWriteOf: (...names) => lastWriteIn(folder(), ...names),
    }),
    unit: async (name, signal) => (await import("./system/units.ts")).unitState(name, signal),
    hasSystemd: async (signal) => (await import("./system/units.ts")).hasSystemd(signal),
    isTimerOn,
    endRetries: async (signal) => (await import("./system/units.ts")).endRetries(signal),
    doctorPorts: async () => {
      const { doctorPortsOf } = await import("./system/doctor-ports.ts");
      const aws = (environment: Environment) => awsIn(environment, version, readTextFile);
      return doctorPortsOf({ commandLine, configuration, processEnvironment, version, log, aws });
    },
    screen: async () => {
      const { screenOf, writerTo } = await import("./system/terminal.ts");
      const screen = screenOf(processEnvironment);
      return { screen, ...writerTo(screen) };
    },
  };
}

/** Writes the result files of a command, if it has a result. Returns the completion, changed if that failed. */
export async function writeResult(
  { result, ...completion }: Completion,
  say: (line: Line) => void,
): Promise<Completion> {
  if (result === undefined) return completion;
  const write = await inFolder((path) =>
    writeResultIn(path, result, (recorded) =>
      mayReplace(result.record as unknown as LastResult, recorded, obeysSince(), systemClock.now()),
    ),
  );
  if (write !== undefined) return afterWriting(completion, write);
  say({ level: "debug", text: "no unit has run since the boot: there are no result files" });
  return completion;
}

/** Calls `work` with the runtime folder, if it exists. */
function inFolder<T>(work: (path: string) => T): T | undefined {
  const path = folder();
  return path === undefined ? undefined : work(path);
}
