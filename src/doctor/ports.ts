/** What doctor and status need from the world beyond the ports of a run; aws/ and system/ provide it, tests do too. */
import type { Problem } from "../config/problem.ts";
import type { Target } from "../model/target.ts";
import type { Instance, InstanceContext } from "../model/instance.ts";
import type { Unit } from "../model/unit.ts";
import type { ExitStatus } from "../model/failure.ts";
import type { Settings } from "../config/settings.ts";
import type { Ec2, Ports } from "../run/ports.ts";

/** Who or what signs requests. The keys themselves are nobody's business. */
export interface Signer {
  /** For people: `the role web`, `the environment`. */
  readonly source: string;
  readonly expiresAt?: Date;
}

/** Instance metadata, opened with one token. Every method throws Failures. */
export interface OpenMetadata {
  self(tags: readonly string[]): Promise<Instance>;
  /** The region the instance is in, whatever a variable says. */
  ownRegion(): Promise<string | undefined>;
  hasTags(): Promise<boolean>;
  /** The Auto Scaling group by its tag, which instance metadata shows if tags are on. */
  group(): Promise<string | undefined>;
  /** Where this instance belongs, for the ARNs of a policy. */
  instanceContext(self: Instance): Promise<InstanceContext>;
  role(): Promise<string | undefined>;
  signer(role: string | undefined): Promise<Signer>;
}

/** EC2, and whether the role may call it; whatever EC2 answers but yes is a Failure. */
export interface TryableEc2 extends Ec2 {
  mayDescribeAddresses(): Promise<void>;
  mayDescribeInstances(): Promise<void>;
  mayDescribeInterfaces(): Promise<void>;
  /** Asks for exactly what `associate` would ask for. */
  mayAssociate(allocationId: string, target: Target, reassociate: boolean): Promise<void>;
}

export interface Endpoint {
  readonly url: URL;
  readonly dualStack: boolean;
}

/** The parts that a run stands on, one by one. */
export interface Parts {
  readonly metadataUrl: URL;
  /** Are keys set in the environment? */
  readonly hasKeys: boolean;
  metadata(signal: AbortSignal): Promise<OpenMetadata>;
  /** Those that a run takes turns with. */
  endpoints(self: Instance): readonly Endpoint[];
  connect(self: Instance, signer: Signer, dualStack: boolean, signal: AbortSignal): TryableEc2;
  /** The Auto Scaling group of this instance, asked of Auto Scaling; undefined if it is in none. */
  group(self: Instance, signer: Signer, signal: AbortSignal): Promise<string | undefined>;
  /** What an instance without a public IPv4 address lacks; undefined for one that has it. */
  egressHint(self: Instance): string | undefined;
}

export interface Network {
  /** IP addresses of a host. */
  resolve(host: string, signal: AbortSignal): Promise<string[]>;
  /** Connects by TCP; the IP address it has come to. */
  connect(url: URL, signal: AbortSignal): Promise<string>;
  /** Asks for `/`, unsigned: whatever HTTP answer comes will do. */
  greet(url: URL, signal: AbortSignal): Promise<{ protocol: string; date?: Date }>;
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
      /** Throws a Failure `misconfigured` for AWS variables that make no sense. */
      parts(): Parts;
    }
  | { readonly problems: readonly Problem[]; readonly status: ExitStatus };

export interface DoctorPorts {
  readonly configured: Configured;
  /** For people: where settings are read from. */
  readonly settingsFile: string;
  /** The settings file of the unit, if it is there and only some users, not the unit's, may read it. */
  readonly hiddenFile: string | undefined;
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
