/** The interfaces to the outside that doctor and status need beyond those of a run. aws/ and system/ implement them. */
import type { Agent } from "node:http";
import type { Notice, Problem } from "../config/problem.ts";
import type { Unit } from "../model/unit.ts";
import type { ExitStatus } from "../model/failure.ts";
import type { Settings } from "../config/settings.ts";
import type { Aws, Ports } from "../run/ports.ts";

export interface Network {
  /** Resolves a host name to IP addresses. */
  resolve(host: string, signal: AbortSignal): Promise<string[]>;
  /** Opens and closes a TCP connection; returns the IP address that it connected to. */
  connect(url: URL, signal: AbortSignal): Promise<string>;
  /** Sends an unsigned HEAD request for `/`; any HTTP answer counts as success. */
  greet(url: URL, agent: Agent, signal: AbortSignal): Promise<{ protocol: string; date?: Date }>;
}

export interface Machine {
  /** The state of a unit; undefined without systemd, or if it does not answer. */
  unit(name: string, signal: AbortSignal): Promise<Unit | undefined>;
  /** The instance id according to the firmware, for an instance whose metadata service is off. */
  firmwareInstanceId(): string | undefined;
  /** For messages: `eip-heal 1.0.0 (/usr/bin/eip-heal), Node 24.1.0`. */
  readonly versions: string;
  /** Whether the kernel is in FIPS mode. */
  readonly isInFipsMode: boolean;
}

/** The settings, or what is wrong with them. */
export type Configured =
  | {
      readonly settings: Settings;
      /** What works but should be changed. */
      readonly notices?: readonly Notice[] | undefined;
      /** @throws Failure `misconfigured` for AWS variables with invalid values */
      aws(): Aws;
    }
  | { readonly problems: readonly Problem[]; readonly status: ExitStatus };

export interface DoctorPorts {
  readonly configured: Configured;
  /** Where settings are read from, for messages. */
  readonly settingsFile: string;
  /** The default settings file, if it exists and the unit's user may not read it. */
  readonly hiddenFile: string | undefined;
  /** Whether the settings file holds AWS_SECRET_ACCESS_KEY, or the password of a proxy. */
  readonly hasKeysInFile: boolean;
  /** Where this variable is set now, or where to set it, for messages. */
  readonly placeOfSetting: (key: string) => string;
  /** Whether it is set for this run by a flag or the environment. */
  readonly isGiven: (key: string) => boolean;
  /** The value of an AWS variable, from the environment or the settings file. */
  variable(name: string): string | undefined;
  readonly clock: Ports["clock"] & { date: () => Date };
  readonly log: Ports["log"];
  readonly network: Network;
  readonly machine: Machine;
}
