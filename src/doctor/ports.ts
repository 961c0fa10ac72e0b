/** What doctor and status need from the world beyond the ports of a run; aws/ and system/ provide it, tests do too. */
import type { Agent } from "node:http";
import type { Notice, Problem } from "../config/problem.ts";
import type { Unit } from "../model/unit.ts";
import type { ExitStatus } from "../model/failure.ts";
import type { Settings } from "../config/settings.ts";
import type { Aws, Ports } from "../run/ports.ts";

export interface Network {
  /** IP addresses of a host. */
  resolve(host: string, signal: AbortSignal): Promise<string[]>;
  /** Connects by TCP; the IP address it has come to. */
  connect(url: URL, signal: AbortSignal): Promise<string>;
  /** Asks for `/`, unsigned: whatever HTTP answer comes will do. */
  greet(url: URL, agent: Agent, signal: AbortSignal): Promise<{ protocol: string; date?: Date }>;
}

export interface Machine {
  /** undefined where no systemd runs, or where it does not answer. */
  unit(name: string, signal: AbortSignal): Promise<Unit | undefined>;
  /** Instance id by the firmware, for those whose metadata is off. */
  firmwareInstanceId(): string | undefined;
  /** For people: `eip-heal 1.0.0 (/usr/bin/eip-heal), Node 24.1.0`. */
  readonly versions: string;
}

/** The settings, or what is wrong with them. */
export type Configured =
  | {
      readonly settings: Settings;
      /** What works all the same, and should be put right. */
      readonly notices?: readonly Notice[] | undefined;
      /** Throws a Failure `misconfigured` for AWS variables that make no sense. */
      aws(): Aws;
    }
  | { readonly problems: readonly Problem[]; readonly status: ExitStatus };

export interface DoctorPorts {
  readonly configured: Configured;
  /** For people: where settings are read from. */
  readonly settingsFile: string;
  /** The settings file of the unit, if it is there and only some users, not the unit's, may read it. */
  readonly hiddenFile: string | undefined;
  /** Does the settings file hold AWS_SECRET_ACCESS_KEY? */
  readonly hasKeysInFile: boolean;
  /** For people: where this variable is set now, or would best be set. */
  readonly placeOfSetting: (key: string) => string;
  /** Is it set for this run by a flag or the environment? */
  readonly isGiven: (key: string) => boolean;
  /** The value of an AWS variable, from the environment or the settings file. */
  variable(name: string): string | undefined;
  readonly clock: Ports["clock"] & { date: () => Date };
  readonly log: Ports["log"];
  readonly network: Network;
  readonly machine: Machine;
}
