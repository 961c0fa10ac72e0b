/** The rules of AssociateAddress: what a request means in the region of this moment, or why it is refused. Changes nothing. */

import * as errors from "./errors.ts";
import { Ec2Error } from "./errors.ts";
import type { Address, Instance, NetworkInterface, Vpc } from "./model.ts";

export interface AssociateInput {
  readonly allocationId?: string | undefined;
  readonly publicIp?: string | undefined;
  readonly instanceId?: string | undefined;
  readonly networkInterfaceId?: string | undefined;
  readonly privateIpAddress?: string | undefined;
  /** ABSENT MEANS TRUE: EC2 reassociates unless told not to. */
  readonly allowReassociation?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
}

/** What the rules need to look up, at this moment: associating never works on old data. */
export interface Lookups {
  readonly account: string;
  /** Undefined also for what the API has not heard of yet. */
  address(input: AssociateInput): Address | undefined;
  instance(id: string): Instance | undefined;
  interface(id: string): NetworkInterface | undefined;
  vpc(id: string): Vpc | undefined;
  /** The setting of this name. */
  readonly strictPlaces: boolean;
}

export type Plan =
  | { readonly change: false; readonly associationId: string }
  | {
      readonly change: true;
      readonly address: Address;
      readonly target: NetworkInterface;
      readonly privateIp: string;
    };

/** Refuses a request that is malformed by itself, before anything is looked up. */
export function checkForm(input: AssociateInput): void {
  if (input.allocationId === undefined && input.publicIp === undefined)
    throw errors.missingParameter("AllocationId");
  if (input.allocationId !== undefined && input.publicIp !== undefined) {
    throw new Ec2Error(
      "InvalidParameterCombination",
      "You may specify public IP or allocation id, but not both in the same call",
    );
  }
  if (input.instanceId !== undefined && input.networkInterfaceId !== undefined) {
    throw new Ec2Error(
      "InvalidParameterCombination",
      "You may specify InstanceId or NetworkInterfaceId, but not both in the same call",
    );
  }
  if (input.instanceId === undefined && input.networkInterfaceId === undefined) {
    throw errors.missingParameter("InstanceId or NetworkInterfaceId");
  }
  checkInstanceId(input.instanceId);
  checkInterfaceId(input.networkInterfaceId);
}

/** Refuses an instance id that cannot be one. */
export function checkInstanceId(id: string | undefined): void {
  if (id !== undefined && !/^i-[0-9a-f]{8,17}$/.test(id)) {
    throw new Ec2Error("InvalidInstanceID.Malformed", `Invalid id: "${id}"`);
  }
}

/** Refuses a network interface id that cannot be one. */
export function checkInterfaceId(id: string | undefined): void {
  if (id !== undefined && !/^eni-[0-9a-f]{8,17}$/.test(id)) {
    throw new Ec2Error("InvalidNetworkInterfaceId.Malformed", `Invalid id: "${id}"`);
  }
}

/** What the request comes to; throws the error that EC2 answers. */
export function planAssociation(input: AssociateInput, region: Lookups): Plan {
  const address = region.address(input);
  if (address === undefined) {
    throw input.allocationId === undefined
      ? errors.noSuchAddress(input.publicIp ?? "")
      : errors.noSuchAllocation(input.allocationId);
  }
  if (address.ownerId !== region.account || address.serviceManaged !== undefined)
    throw errors.notYours();

  const target =
    input.instanceId === undefined
      ? namedInterface(input.networkInterfaceId ?? "", region)
      : onlyInterface(input.instanceId, region);
  const privateIp = input.privateIpAddress ?? target.addresses[0]?.privateIp;
  if (privateIp === undefined || !target.addresses.some((at) => at.privateIp === privateIp)) {
    throw new Ec2Error(
      "InvalidParameterValue",
      `Value (${privateIp ?? ""}) for parameter privateIpAddress is invalid. It is not an address of ${target.networkInterfaceId}`,
    );
  }
  if (address.networkBorderGroup !== target.networkBorderGroup) {
    throw errors.otherBorderGroup(address.networkBorderGroup, target.networkBorderGroup);
  }
  if (region.vpc(target.vpcId)?.internetGateway !== true)
    throw errors.noInternetGateway(target.vpcId);

  const held = address.association;
  if (held === undefined) {
    refuseTakenPlace(input, target, privateIp, region);
    return { change: true, address, target, privateIp };
  }
  // The same target again is no error, and the association stays the same.
  if (held.networkInterfaceId === target.networkInterfaceId && held.privateIp === privateIp) {
    return { change: false, associationId: held.associationId };
  }
  const holder = region.interface(held.networkInterfaceId);
  if (holder?.manager !== undefined || held.networkInterfaceOwnerId !== region.account)
    throw errors.notYours();
  if (input.allowReassociation === false)
    throw errors.alreadyAssociated(address.allocationId, held.associationId);
  return { change: true, address, target, privateIp };
}

// --- internal ---

/**
 * "You cannot associate an Elastic IP address with an instance or network interface that has an existing Elastic IP
 * address", EC2's documentation said of the mode in which reassociation has to be allowed. The other mode emptied the
 * place. Which of the two AllowReassociation=false means today is not documented, hence the setting.
 */
function refuseTakenPlace(
  input: AssociateInput,
  target: NetworkInterface,
  privateIp: string,
  region: Lookups,
): void {
  if (!region.strictPlaces || input.allowReassociation !== false) return;
  const there = target.addresses.find((at) => at.privateIp === privateIp)?.allocationId;
  if (there === undefined) return;
  const other = region.address({ allocationId: there });
  const shown = [other?.publicIp, other?.carrierIp, other?.customerOwnedIp].find(Boolean);
  throw errors.placeTaken(target.networkInterfaceId, privateIp, shown ?? "");
}

function onlyInterface(instanceId: string, region: Lookups): NetworkInterface {
  const instance = region.instance(instanceId);
  if (instance === undefined) throw errors.noSuchInstance([instanceId]);
  // A stopped instance may get an address, one that is not yet there or on its way out may not.
  if (["pending", "shutting-down", "terminated"].includes(instance.state)) {
    throw errors.wrongInstanceState(instance.state, instanceId);
  }
  const [only, ...others] = instance.interfaces;
  if (only === undefined) throw errors.wrongInstanceState(instance.state, instanceId);
  if (others.length > 0) throw errors.severalInterfaces(instanceId);
  return only;
}

function namedInterface(networkInterfaceId: string, region: Lookups): NetworkInterface {
  const eni = region.interface(networkInterfaceId);
  if (eni === undefined) throw errors.noSuchInterface(networkInterfaceId);
  if (eni.manager !== undefined || eni.ownerId !== region.account) throw errors.notYours();
  if (eni.instanceId === undefined) return eni;
  const host = region.instance(eni.instanceId);
  // The API does not know the instance yet, so it does not know its interface either.
  if (host === undefined) throw errors.noSuchInterface(networkInterfaceId);
  if (host.state === "pending")
    throw errors.wrongStateOfHost("pending-instance-creation", networkInterfaceId);
  if (host.state === "shutting-down" || host.state === "terminated") {
    throw errors.wrongStateOfHost(host.state, networkInterfaceId);
  }
  return eni;
}
