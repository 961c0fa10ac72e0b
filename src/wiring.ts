/** What commands need of this machine and of AWS, put together. What few commands need is loaded when they ask for it. */
import { basename } from "node:path";
import manifest from "../package.json" with { type: "json" };
import { awsIn } from "./aws/session.ts";
import type { Environment } from "./config/configuration.ts";
import type { CommandLine, Context, Name, Result, Runtime } from "./commands/command.ts";
import { COMMANDS } from "./commands/index.ts";
import type { Line } from "./report/report.ts";
import { HEAL_UNIT, RECHECK_UNIT } from "./reconcile/drift.ts";
import { systemClock } from "./system/clock.ts";
import { readConfiguration } from "./system/read-configuration.ts";
import {
  lastWriteIn,
  readRecheckState,
  readRecord,
  readResult,
  snapshotResults,
  writeRecheckState,
  writeResults,
} from "./system/results.ts";

/** Where systemd has made /run/eip-heal for a unit of ours it says so. Started by another unit, it says that unit's folders. */
const OWN_FOLDER = process.env["RUNTIME_DIRECTORY"]
  ?.split(":")
  .find((folder) => basename(folder) === "eip-heal" || /^(?!\/run\/)./.test(folder));
const FOLDER = OWN_FOLDER ?? "/run/eip-heal";

/** The units of the commands that have one. */
const UNITS: { readonly [N in Name]?: string } = {
  heal: HEAL_UNIT,
  recheck: RECHECK_UNIT,
};

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
  const writeOrWarn = resultWriter(log);
  const runtime: Runtime = {
    unit: OWN_FOLDER === undefined ? undefined : UNITS[commandLine.command],
    last: () => readResult(FOLDER),
    record: () => readRecord(FOLDER),
    publishResult: ({ record, variables }) => {
      const rollback = snapshotResults(FOLDER);
      writeOrWarn(() => writeResults(FOLDER, record, variables));
      return () => writeOrWarn(rollback);
    },
    rechecks: () => readRecheckState(FOLDER),
    saveRecheckState: (state) => writeOrWarn(() => writeRecheckState(FOLDER, state)),
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
      lastWrite: lastWriteIn(FOLDER),
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

/** Leaves the result of a command for others. */
export function writeResult({ record, variables }: Result, say: (line: Line) => void): void {
  resultWriter({ warn: (text) => say({ level: "warn", text }) })(() =>
    writeResults(FOLDER, record, variables),
  );
}

/** Writes what others may read. By hand and without root that fails, and the address is where it is all the same. */
function resultWriter({ warn }: { warn: (text: string) => void }) {
  return (write: () => void): void => {
    try {
      write();
    } catch (error) {
      warn(`cannot write the result files: ${(error as Error).message}`);
    }
  };
}
