/** What a policy is to allow, by what was asked for and what is known of the instance. Pure. */
import type { Settings } from "../config/settings.ts";
import { partitionOf } from "../model/ids.ts";
import type { Instance, InstanceContext } from "../model/instance.ts";
import { ANY, type Permit } from "./policy.ts";

/** What the command line says about the policy. */
export interface Scope {
  /** Only what a heal cannot do without. */
  readonly required: boolean;
  /** Any address of the account. */
  readonly any: boolean;
  /** A launch hook is to be completed, as it is anyhow where the settings name one. */
  readonly hook: boolean;
  /** `eip-heal release` is to work too. */
  readonly release: boolean;
  readonly region?: string;
  readonly account?: string;
  /** The instances have several interfaces, in this VPC. */
  readonly vpc?: string;
  /** A launch hook of this group is to be completed. */
  readonly group?: string;
}

/** What an instance tells about itself, as far as it was found out. */
export interface Surroundings {
  readonly self: Instance;
  readonly home?: InstanceContext;
  /** VPC of the interface that the address is to be on. */
  readonly vpc?: string;
}

/** For what the settings say, and nothing besides. */
export const PLAIN: Scope = { required: false, any: false, hook: false, release: false };

/** What the policy is to allow, by what was asked for and what is known of the instance. */
export function permitOf(
  settings: Settings,
  scope: Scope,
  found: Surroundings | undefined,
  addresses: Permit["addresses"],
): Permit {
  const { self, home } = found ?? {};
  const region = scope.region ?? self?.region ?? ANY;
  const { group = home?.group ?? ANY } = scope;
  const hook = scope.hook || scope.group !== undefined || settings.lifecycleHook !== undefined;
  return {
    partition: (scope.region === undefined && home?.partition) || partitionOf(region),
    region,
    account: scope.account ?? home?.account ?? ANY,
    addresses,
    severalInterfaces: scope.vpc !== undefined || (self?.interfaces.length ?? 1) > 1,
    vpc: scope.vpc ?? found?.vpc ?? ANY,
    // Off EC2 nothing tells whether instance metadata will show the group.
    ...(hook && { hook: { group, lookUp: home?.group === undefined } }),
    release: scope.release,
  };
}
