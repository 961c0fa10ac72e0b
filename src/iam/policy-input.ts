/** What a policy is to allow, by what was asked for and what is known of the instance. Pure. */
import type { Settings } from "../config/settings.ts";
import { partitionOf } from "../model/ids.ts";
import type { Instance, InstanceContext } from "../model/instance.ts";
import { ANY, type PolicyInput } from "./policy.ts";

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
export interface InstanceDetails {
  readonly self: Instance;
  readonly instanceContext?: InstanceContext;
  /** VPC of the interface that the address is to be on. */
  readonly vpc?: string;
}

/** For what the settings say, and nothing besides. */
export const DEFAULT_SCOPE: Scope = { required: false, any: false, hook: false, release: false };

/** What the policy is to allow, by what was asked for and what is known of the instance. */
export function policyInput(
  settings: Settings,
  scope: Scope,
  found: InstanceDetails | undefined,
  addresses: PolicyInput["addresses"],
): PolicyInput {
  const { self, instanceContext } = found ?? {};
  const region = scope.region ?? self?.region ?? ANY;
  const { group = instanceContext?.group ?? ANY } = scope;
  const hook = scope.hook || scope.group !== undefined || settings.lifecycleHook !== undefined;
  return {
    partition: (scope.region === undefined && instanceContext?.partition) || partitionOf(region),
    region,
    account: scope.account ?? instanceContext?.account ?? ANY,
    addresses,
    severalInterfaces: scope.vpc !== undefined || (self?.interfaces.length ?? 1) > 1,
    vpc: scope.vpc ?? found?.vpc ?? ANY,
    // Off EC2 nothing tells whether instance metadata will show the group.
    ...(hook && { hook: { group, lookUp: instanceContext?.group === undefined } }),
    release: scope.release,
  };
}
