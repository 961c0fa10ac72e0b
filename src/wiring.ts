/** What commands need of this machine and of AWS, put together. What few commands need is loaded when they ask for it. */
import { basename } from "node:path";
import manifest from "../package.json" with { type: "json" };
import { awsIn } from "./aws/session.ts";
import type { Environment } from "./config/configuration.ts";
import type { CommandLine, Completion, Context, Runtime } from "./commands/command.ts";
import { COMMANDS } from "./commands/index.ts";
import { afterWriting } from "./commands/outcome.ts";
import type { Line } from "./report/report.ts";
import { type LastResult, NO_RECHECKS, RETRY_TIMER } from "./reconcile/drift.ts";
import { isGivenUpSince, mayReplace } from "./reconcile/precedence.ts";
import { systemClock } from "./system/clock.ts";
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

/** Where systemd has made /run/eip-heal for a unit of ours it says so. Started by another unit, it says that unit's folders. */
const OWN_FOLDER = process.env["RUNTIME_DIRECTORY"]
  ?.split(":")
  .find((folder) => basename(folder) === "eip-heal" || /^(?!\/run\/)./.test(folder));
/** Looked for whenever it is needed: systemd may make it while a run by hand is under way. */
const folder = () => folderOf(OWN_FOLDER);

/** When this process was started, in milliseconds of the clock. */
const BEGAN = systemClock.now() - process.uptime() * 1_000;
/**
 * Since when a release counts. Who starts a heal wants the address here whatever was before; the timer, which systemd names
 * from version 252 on, does not.
 */
const OBEYS_SINCE = process.env["TRIGGER_UNIT"] === RETRY_TIMER ? 0 : BEGAN;

/**
 * What a command is given.
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
    unit: OWN_FOLDER === undefined ? undefined : commandLine.command.unit,
    began: BEGAN,
    others: {
      haveGivenUp: () => isGivenUpSince(last(), OBEYS_SINCE, systemClock.now()),
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
      ...awsIn(environment, version),
      clock: systemClock,
      log,
      lastWrite: lastWriteIn(folder()),
    }),
    unit: async (name, signal) => (await import("./system/units.ts")).unitState(name, signal),
    endRetries: async (signal) => (await import("./system/units.ts")).endRetries(signal),
    doctorPorts: async () => {
      const { doctorPortsOf } = await import("./system/doctor-ports.ts");
      const aws = (environment: Environment) => awsIn(environment, version);
      return doctorPortsOf({ commandLine, configuration, processEnvironment, version, log, aws });
    },
    screen: async () => {
      const { screenOf, writerTo } = await import("./system/terminal.ts");
      const screen = screenOf(processEnvironment);
      return { screen, ...writerTo(screen) };
    },
  };
}

/** Writes the result of a command for others, if it has one: what the command comes to then. */
export async function writeResult(
  { result, ...completion }: Completion,
  say: (line: Line) => void,
): Promise<Completion> {
  if (result === undefined) return completion;
  const write = await inFolder((path) =>
    writeResultIn(path, result, (standing) =>
      mayReplace(result.record as unknown as LastResult, standing, OBEYS_SINCE, systemClock.now()),
    ),
  );
  if (write !== undefined) return afterWriting(completion, write);
  say({ level: "debug", text: "no unit has run since the boot: there are no result files" });
  return completion;
}

/** Does something in the folder, if there is one. */
function inFolder<T>(work: (path: string) => T): T | undefined {
  const path = folder();
  return path === undefined ? undefined : work(path);
}
