/** Addresses, holders and a target for the tests of what decides. */
import type {
  AddressState,
  Holder,
  HolderInstance,
  InstanceState,
  Observation,
} from "../../src/model/address.ts";
import type { Target } from "../../src/model/target.ts";
import type { Goal } from "../../src/reconcile/state.ts";

export const ME = "i-0000000000000005a";
export const ALLOCATION = "eipalloc-00000000000000001";
export const PUBLIC_IP = "203.0.113.7";
export const ZONE = "us-east-1a";
/** When this instance was launched. */
export const LAUNCHED = Date.parse("2026-11-23T10:00:00Z");

export const TARGET: Target = {
  instanceId: ME,
  interfaceId: "eni-00000000000000001",
  privateIp: "10.0.0.5",
  onlyInterface: true,
  primaryIp: true,
};

/** The address at the target, by the default settings. */
export const A_GOAL: Goal = {
  target: TARGET,
  zone: ZONE,
  desired: { kind: "address", allocationId: ALLOCATION },
  takeover: "newest",
  poolTakeover: "no",
  mayDisplace: true,
  dryRun: false,
  force: false,
};

export const NOBODY: Holder = { kind: "nobody" };
/** This instance, at the target. */
export const HERE = mine(TARGET.interfaceId, TARGET.privateIp);

export function mine(interfaceId: string, privateIp: string): HolderInstance {
  return { kind: "instance", instanceId: ME, interfaceId, privateIp, state: "running" };
}

/** Another instance, launched so many seconds after this one. */
export function other(
  state: InstanceState,
  seconds = 0,
  instanceId = "i-00000000000000007",
): HolderInstance {
  return {
    kind: "instance",
    instanceId,
    interfaceId: "eni-00000000000000009",
    privateIp: "10.0.0.9",
    state,
    launchedAt: LAUNCHED + seconds * 1_000,
  };
}

export function address(holder: Holder, more: Partial<AddressState> = {}): AddressState {
  return {
    allocationId: ALLOCATION,
    publicIp: PUBLIC_IP,
    borderGroup: "us-east-1",
    selfLaunchedAt: LAUNCHED,
    holder,
    ...more,
  };
}

export function observation(...addresses: AddressState[]): Observation {
  return { addresses, direct: true };
}
