/** Whether a caller may do what it asks: request buckets, then IAM, then DryRun. */

import type { AssociateInput } from "./association.ts";
import * as errors from "./errors.ts";
import { firstDenied, unauthorized } from "./iam.ts";
import type { Resource } from "./iam.ts";
import type { Address } from "./model.ts";
import type { State } from "./state.ts";

/** Who calls the API: an instance with its role, or the administrator, who may do everything and is not throttled. */
export type Caller = "admin" | { readonly instanceId: string };

/** In EC2's order: throttled before authorized, authorized before anything is looked up, DryRun ends after that. */
export function admit(
  state: State,
  caller: Caller,
  action: string,
  touched: readonly Resource[],
  dryRun?: boolean,
  bucket = action,
): void {
  if (caller !== "admin") {
    if (!state.takeToken(bucket)) throw errors.requestLimitExceeded();
    const denied = deniedOn(state, caller.instanceId, `ec2:${action}`, touched);
    if (denied !== undefined) {
      const on = denied.arn === "*" ? undefined : denied.arn;
      throw unauthorized(state.principalOf(caller.instanceId), `ec2:${action}`, on);
    }
  }
  if (dryRun === true) throw errors.dryRunOperation();
}

/** The first resource on which the instance's role does not allow the action; `*` stands for no resource. */
export function deniedOn(
  state: State,
  instanceId: string,
  action: string,
  touched: readonly Resource[],
): Resource | undefined {
  const role = state.role(state.records.instance(instanceId)?.role ?? "");
  const now = state.now();
  const inForce = (role?.grants ?? []).filter(
    (grant) => (grant.from ?? 0) <= now && now < (grant.until ?? Infinity),
  );
  const keys = callerKeys(state, instanceId);
  const resources = touched.length === 0 ? [{ arn: "*", keys: {} }] : touched;
  return firstDenied(
    inForce.map((grant) => grant.policy),
    action,
    resources.map(({ arn, keys: own }) => ({ arn, keys: { ...keys, ...own } })),
  );
}

/** The address and whichever of instance and interface the request names. */
export function touchedBy(state: State, input: AssociateInput): Resource[] {
  const address = state.addressFor(input);
  const touched: Resource[] = [
    address === undefined
      ? { arn: state.arn(`elastic-ip/${input.allocationId ?? "*"}`), keys: {} }
      : addressResource(state, address),
  ];
  if (input.instanceId !== undefined) {
    const instance = state.records.instance(input.instanceId);
    touched.push({
      arn: state.arn(`instance/${input.instanceId}`),
      keys: {
        "ec2:InstanceID": input.instanceId,
        ...(instance && {
          "ec2:AvailabilityZone": instance.zone,
          ...resourceTags(instance.tags),
        }),
      },
    });
  }
  if (input.networkInterfaceId !== undefined) {
    touched.push(interfaceResource(state, input.networkInterfaceId));
  }
  return touched;
}

/**
 * The address and the interface of an association. The Service Authorization Reference lists both for
 * DisassociateAddress, as optional, and not which of them a request that names an association touches: the
 * stricter reading.
 */
export function touchedByEndOf(state: State, address: Address): Resource[] {
  const eni = address.association?.networkInterfaceId;
  return [
    addressResource(state, address),
    ...(eni === undefined ? [] : [interfaceResource(state, eni)]),
  ];
}

// --- internal ---

function addressResource(state: State, address: Address): Resource {
  return {
    arn: state.arn(`elastic-ip/${address.allocationId}`),
    keys: {
      "ec2:AllocationId": address.allocationId,
      ...(address.publicIp !== "" && { "ec2:PublicIpAddress": address.publicIp }),
      "ec2:Domain": "vpc",
      ...resourceTags(address.tags),
    },
  };
}

function interfaceResource(state: State, networkInterfaceId: string): Resource {
  const eni = state.findInterface(networkInterfaceId);
  // A shared VPC and its subnets are named by the account that shares them.
  const owner = eni && state.vpc(eni.vpcId)?.ownerId;
  return {
    arn: state.arn(`network-interface/${networkInterfaceId}`),
    keys: {
      "ec2:NetworkInterfaceID": networkInterfaceId,
      ...(eni && {
        "ec2:Vpc": state.arn(`vpc/${eni.vpcId}`, owner),
        "ec2:Subnet": state.arn(`subnet/${eni.subnetId}`, owner),
        "ec2:AvailabilityZone": eni.zone,
        ...resourceTags(eni.tags),
      }),
    },
  };
}

function callerKeys(state: State, instanceId: string): Record<string, string> {
  return {
    "ec2:Region": state.name,
    "aws:RequestedRegion": state.name,
    "aws:PrincipalAccount": state.account,
    "aws:userid": `AROAEXAMPLEROLEID0000:${instanceId}`,
    "aws:ARN": state.principalOf(instanceId),
    "ec2:SourceInstanceARN": state.arn(`instance/${instanceId}`),
  };
}

function resourceTags(tags: Readonly<Record<string, string>>): Record<string, string> {
  const keys: Record<string, string> = {};
  for (const [key, value] of Object.entries(tags)) {
    keys[`aws:ResourceTag/${key}`] = value;
    keys[`ec2:ResourceTag/${key}`] = value;
  }
  return keys;
}
