/** Gives doctor access to this machine. */
import { existsSync, realpathSync, statSync } from "node:fs";
import type { Configuration } from "../config/configuration.ts";
import type { Environment } from "../model/environment.ts";
import { SETTINGS } from "../config/settings.ts";
import type { Configured, DoctorPorts } from "../doctor/ports.ts";
import type { Aws, Ports } from "../run/ports.ts";
import { systemClock } from "./clock.ts";
import { isInFipsMode } from "./fips.ts";
import { configFile } from "./read-configuration.ts";
import { network } from "./probe.ts";
import { firmwareInstanceId, unitState } from "./units.ts";

interface DoctorRequest {
  readonly commandLine: {
    readonly config?: string;
    readonly flags: Readonly<Record<string, string>>;
  };
  readonly configuration: Configuration;
  /** The environment of this process. */
  readonly processEnvironment: Environment;
  readonly version: string;
  readonly log: Ports["log"];
  /** AWS as configured by these variables. @throws Failure `misconfigured` for invalid values */
  readonly aws: (environment: Environment) => Aws;
}

/** Builds the ports of doctor. */
export function doctorPortsOf(request: DoctorRequest): DoctorPorts {
  const { commandLine, configuration, processEnvironment, version, log, aws } = request;
  const path = configFile(commandLine);
  const environment = "problems" in configuration ? processEnvironment : configuration.environment;
  const configured: Configured =
    "problems" in configuration
      ? configuration
      : {
          settings: configuration.settings,
          notices: configuration.notices,
          aws: () => aws(environment),
        };
  const given = (key: string) => {
    const flag = SETTINGS.find((row) => row.key === key)?.flag;
    if (flag !== undefined && commandLine.flags[flag] !== undefined) return `the flag --${flag}`;
    return processEnvironment[key] ? "the environment" : undefined;
  };
  const isFromFile = (name: string, isSecret: (value: string) => boolean) => {
    const value = environment[name];
    return value !== undefined && value !== "" && !processEnvironment[name] && isSecret(value);
  };
  return {
    configured,
    settingsFile: existsSync(path) ? path : `${path} (not there)`,
    // Only the default file has to be readable for the unit.
    hiddenFile: commandLine.config === undefined && isHidden(path) ? path : undefined,
    hasKeysInFile:
      isFromFile("AWS_SECRET_ACCESS_KEY", () => true) ||
      WITH_PASSWORDS.some((name) => isFromFile(name, (value) => value.includes("@"))),
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
      isInFipsMode: isInFipsMode(),
    },
  };
}

/** Those whose URL may hold a password. */
const WITH_PASSWORDS = [
  "HTTPS_PROXY",
  "https_proxy",
  "HTTP_PROXY",
  "http_proxy",
  "EIP_HEAL_WAIT_REACHABLE",
];

/** Whether it exists but is not readable for everybody. */
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
