/** Determines what a policy has to allow, from the command line, the settings and the instance. Pure. */
import type { Settings } from "../config/settings.ts";
import { partitionOf } from "../model/ids.ts";
import type { Instance, InstanceContext } from "../model/instance.ts";
import { ANY, type PolicyInput } from "./policy.ts";

/** The options of `eip-heal policy`. */
export interface Scope {
  /** Only permissions that a heal cannot do without. */
  readonly required: boolean;
  /** Any address of the account. */
  readonly any: boolean;
  /** With completing a lifecycle hook; implied if the settings name one. */
  readonly hook: boolean;
  /** With `eip-heal release`. */
  readonly release: boolean;
  readonly region?: string;
  readonly account?: string;
  /** For instances with several interfaces, in this VPC. */
  readonly vpc?: string;
  /** With completing a lifecycle hook of this group. */
  readonly group?: string;
}

/** What is known about the instance. */
export interface InstanceDetails {
  readonly self: Instance;
  readonly instanceContext?: InstanceContext;
  /** VPC of the target's interface. */
  readonly vpc?: string;
}

/** Without options: what the settings need. */
export const DEFAULT_SCOPE: Scope = { required: false, any: false, hook: false, release: false };

/** What the policy has to allow; ANY for what is not known. */
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
    // Outside EC2 it is not known whether instance metadata will show the group.
    ...(hook && { hook: { group, lookUp: instanceContext?.group === undefined } }),
    release: scope.release,
  };
}
