/** Wiring of what operators ask for, doctor and status: their ports, their screen. */
import { existsSync, realpathSync, statSync } from "node:fs";
import { partsOf } from "./aws/examination.ts";
import { footingOf } from "./aws/footing.ts";
import type { CommandLine } from "./cli.ts";
import { doctor } from "./doctor/runner.ts";
import type { Configured, DoctorPorts } from "./doctor/ports.ts";
import { type LastRun, rowsOf, type Standing, status, statusRecord } from "./commands/status.ts";
import { type Check, type CheckId, CHECKS, checkupRecord } from "./doctor/checkup.ts";
import { EXIT, type ExitStatus, Failure } from "./model/failure.ts";
import { sentenceOf } from "./config/problem.ts";
import { rowOf, rowOfSkipped } from "./doctor/rows.ts";
import { linesOf, paragraph } from "./report/screen.ts";
import { SETTINGS } from "./config/settings.ts";
import type { Ports } from "./run/ports.ts";
import { systemClock } from "./system/clock.ts";
import { type Configuration, configFile } from "./system/configuration.ts";
import { network } from "./system/network.ts";
import { readRecord } from "./system/results.ts";
import { screenOf, writerTo } from "./system/terminal.ts";
import { firmwareInstanceId, unitState } from "./system/units.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** What was asked for, and what this machine has to say about it. */
export interface Given {
  readonly commandLine: CommandLine;
  readonly configuration: Configuration;
  /** The environment of this process. */
  readonly own: Environment;
  readonly version: string;
  readonly resultsFolder: string;
  readonly log: Ports["log"];
}

/** Runs `eip-heal doctor` or `eip-heal status`. */
export function operate(given: Given, stop: AbortSignal): Promise<ExitStatus> {
  return given.commandLine.command === "doctor" ? runDoctor(given, stop) : runStatus(given, stop);
}

async function runDoctor(
  { commandLine, configuration, own, version, log }: Given,
  stop: AbortSignal,
): Promise<ExitStatus> {
  const path = configFile(commandLine);
  const environment = "problems" in configuration ? own : configuration.environment;
  const configured: Configured =
    "problems" in configuration
      ? configuration
      : {
          settings: configuration.settings,
          parts: () => partsOf(environment, version),
        };
  const given = (key: string) => {
    const flag = SETTINGS.find((row) => row.key === key)?.flag;
    if (flag !== undefined && commandLine.flags[flag] !== undefined) return `the flag --${flag}`;
    return own[key] ? "the environment" : undefined;
  };
  const ports: DoctorPorts = {
    configured,
    settingsFile: existsSync(path) ? path : `${path} (not there)`,
    // A file that was named is not the unit's.
    hiddenFile: commandLine.config === undefined && isHidden(path) ? path : undefined,
    placeOfSetting: (key) => given(key) ?? path,
    isGiven: (key) => given(key) !== undefined,
    variable: (name) => environment[name] || undefined,
    clock: systemClock,
    log,
    network,
    machine: {
      unit: unitState,
      firmwareInstanceId,
      versions: `eip-heal ${version} (${programFile()}), Node ${process.version}, ${process.platform} ${process.arch}`,
    },
  };

  const screen = screenOf(own);
  const writer = writerTo(screen);
  const width = Math.max(...CHECKS.map(([id]) => id.length));
  const { json } = commandLine;
  let skipped: Check[] = [];
  const told = new Map<string, CheckId>();
  const tell = (check: Check) => {
    const [one] = skipped;
    if (one !== undefined && String(one.blockedBy) !== String(check.blockedBy)) {
      writer.lines(linesOf(rowOfSkipped(skipped), screen, width));
      skipped = [];
    }
    if (check.mark === "skipped") skipped.push(check);
    else writer.lines(linesOf(rowOf(toldOnce(check, told)), screen, width));
  };
  const { checks, verdict } = await doctor(
    ports,
    (check, open) => {
      if (json) return;
      if (check !== undefined) tell(check);
      writer.foot(open.length === 0 ? "" : `  checking ${open.join(", ")} ...`);
    },
    stop,
  );
  if (json) writer.lines([JSON.stringify(checkupRecord(checks, systemClock.date()))]);
  else writer.lines(["", ...paragraph(verdict.line, screen)]);
  return verdict.status;
}

/** The check without the commands that an earlier one has shown: the policy of the role is long, and cures all that it lacks. */
function toldOnce(check: Check, told: Map<string, CheckId>): Check {
  const { id, cure = "", commands = [] } = check;
  const known = commands.find((command) => told.has(command));
  const fresh = commands.filter((command) => !told.has(command));
  for (const command of fresh) told.set(command, id);
  return known === undefined
    ? check
    : { ...check, cure: `${cure} (command: see ${told.get(known)})`, commands: fresh };
}

async function runStatus(
  { commandLine, configuration, own, version, log, resultsFolder }: Given,
  stop: AbortSignal,
): Promise<ExitStatus> {
  const { json } = commandLine;
  const lastRun = readRecord(resultsFolder) as LastRun;
  const standing = await standingNow();
  const screen = screenOf(own);
  const writer = writerTo(screen);
  const now = systemClock.date();
  if (json) {
    writer.lines([JSON.stringify(statusRecord(standing, now))]);
    return standing.exitStatus;
  }
  const rows = rowsOf(standing, now.getTime());
  const width = Math.max(...rows.map(({ label }) => label.length));
  for (const row of rows) writer.lines(linesOf(row, screen, width));
  return standing.exitStatus;

  function standingNow(): Promise<Standing> | Standing {
    const misconfigured = (message: string, exitStatus: ExitStatus): Standing => ({
      here: false,
      exitStatus,
      message,
      lastRun,
    });
    if ("problems" in configuration) {
      return misconfigured(configuration.problems.map(sentenceOf).join("; "), configuration.status);
    }
    const { settings, environment } = configuration;
    try {
      const footing = footingOf(environment, version);
      const machine = { unit: unitState };
      return status(settings, { ...footing, clock: systemClock, log, machine, lastRun }, stop);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      return misconfigured(error.message, EXIT.CONFIG);
    }
  }
}

/** Is it there, and closed to users that are neither its owner nor of its group? */
function isHidden(path: string): boolean {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode;
  return mode !== undefined && (mode & 0o004) === 0;
}

function programFile(): string {
  try {
    return realpathSync(process.execPath);
  } catch {
    return process.execPath;
  }
}
