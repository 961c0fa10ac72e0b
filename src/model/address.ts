/** Elastic IPs and their holders, as EC2 showed them. Plain data; aws/ fills it in. */
import { borderGroupOf, isAllocationId, isPublicIpv4 } from "./ids.ts";
import type { Target } from "./target.ts";

/**
 * One specific Elastic IP. By its public address or its tag it can only be looked up with DescribeAddresses; the first look
 * of an attempt then tells the allocation id.
 */
export type FixedAddress =
  | { readonly kind: "address"; readonly allocationId: string }
  | { readonly kind: "public-ip"; readonly publicIp: string }
  /** The only address that carries this tag. */
  | { readonly kind: "tagged"; readonly key: string; readonly value: string };

/** Any one of several Elastic IPs: those with a given tag, or those in a list. */
export type Pool =
  | { readonly kind: "pool"; readonly key: string; readonly value: string }
  /** By allocation id or public IPv4 address. */
  | { readonly kind: "pool"; readonly members: readonly string[] };

/** The Elastic IP this instance should have. */
export type DesiredAddress = FixedAddress | Pool;

/**
 * EC2's instance states, and three of our own: `unknown` if EC2 says that there is no such instance, `unrecognized` if the
 * state is missing or not in this list, `unanswered` if EC2 returns errors for this instance but not for our own.
 */
export type InstanceState =
  | "pending"
  | "running"
  | "stopping"
  | "stopped"
  | "shutting-down"
  | "terminated"
  | "unknown"
  | "unrecognized"
  | "unanswered";

/** What the ownership rule needs to know about an instance. */
export interface InstanceFacts {
  readonly state: InstanceState;
  /** EC2's LaunchTime (last start), in milliseconds since the epoch; whole seconds. */
  readonly launchedAt?: number;
}

/** An instance that holds the address; it may be this one. */
export interface HolderInstance {
  readonly kind: "instance";
  readonly instanceId: string;
  /** Absent, together with `privateIp`, if EC2 does not show which interface the address is on. */
  readonly interfaceId?: string;
  readonly privateIp?: string;
  /** Only DescribeAddresses returns it. */
  readonly associationId?: string;
  /** Absent, together with `launchedAt`, if the ownership rule did not need it and EC2 was not asked. */
  readonly state?: InstanceState;
  /** EC2's LaunchTime (last start), in milliseconds since the epoch; whole seconds. */
  readonly launchedAt?: number;
}

/** A detached interface of this account: the instance that held the address through it is gone. */
export interface HolderInterface {
  readonly kind: "interface";
  readonly interfaceId: string;
}

/** A holder that an address can be taken from. */
export type PreviousHolder = HolderInstance | HolderInterface;

/** A holder that an address must not be taken from: a NAT gateway, a load balancer, another account's interface. */
export interface HolderOther {
  readonly kind: "other";
  /** A description for messages, with its id: `eni-1, which belongs to no instance (a NAT gateway …)`. */
  readonly what: string;
  /** An interface without an instance. It may be about to be detached, or may have been left behind. */
  readonly isOrphan?: boolean;
  /** Set for an orphan only. */
  readonly interfaceId?: string;
}

export type Holder = { readonly kind: "nobody" } | HolderInstance | HolderInterface | HolderOther;

/** One address and its holder, from the same answer of EC2. */
export interface AddressState {
  readonly allocationId: string;
  /** Absent if EC2 has not shown it, because the role lacks ec2:DescribeAddresses. */
  readonly publicIp?: string;
  /** A carrier IP or a customer-owned IP: instance metadata does not list those as public addresses. */
  readonly isForeign?: boolean;
  /** The Elastic IP at our target. Set if this instance holds several and EC2 does not show which of them this one is. */
  readonly elasticIpHere?: string;
  readonly borderGroup?: string;
  /** The Availability Zone that the address is reserved for by its tag `eip-zone`; pools only. */
  readonly zone?: string;
  readonly holder: Holder;
  /** This instance's LaunchTime, from the same answer as the holder's; set only if the two have to be compared. */
  readonly selfLaunchedAt?: number;
}

/** An Elastic IP; the allocation id is absent if the role may not see it. */
export interface ElasticIp {
  readonly allocationId?: string;
  readonly publicIp: string;
  /** Without an allocation id: it is one of those that this instance should have. */
  readonly isOwn?: true;
}

/** One look at EC2. */
export interface Observation {
  /** The desired address, or all addresses of the pool. */
  readonly addresses: readonly AddressState[];
  /** Names of further addresses with the tag by which the one on this instance was found. */
  readonly alike?: readonly string[];
  /** Whether DescribeAddresses was allowed. It shows every kind of holder; without it only instances are visible. */
  readonly direct: boolean;
  /** The instances that EC2 was asked about, by id; this one is among them. */
  readonly instances?: Readonly<Record<string, InstanceFacts>>;
  /** The Auto Scaling group of this instance, if EC2 returned its tags and they name one. */
  readonly group?: string;
  /** The public address in the question, if it is an Elastic IP that is not associated anywhere else now. */
  readonly displaced?: ElasticIp;
}

/** Whether this instance holds the address, at the target or elsewhere. */
export function isHeldBySelf(
  { holder }: AddressState,
  { instanceId }: Pick<Target, "instanceId">,
): boolean {
  return holder.kind === "instance" && holder.instanceId === instanceId;
}

/** Whether the holder has the address on exactly this interface and private address. */
export function isAt(target: Target, { interfaceId, privateIp }: HolderInstance): boolean {
  return interfaceId === target.interfaceId && privateIp === target.privateIp;
}

export function isFree({ holder }: AddressState): boolean {
  return holder.kind === "nobody";
}

/** Whether an instance in this Availability Zone can use the address at all. */
export function isUsableIn(address: AddressState, zone: string): boolean {
  return (
    (address.zone === undefined || address.zone === zone) &&
    (address.borderGroup === undefined || address.borderGroup === borderGroupOf(zone))
  );
}

/** `eipalloc-1 (203.0.113.7)`, or whichever of the two is known. */
export function nameAddress(
  allocationId: string | undefined,
  publicIp: string | undefined,
): string {
  if (allocationId === undefined) return publicIp ?? "";
  return publicIp === undefined ? allocationId : `${allocationId} (${publicIp})`;
}

/** The address that this text names: an allocation id or a public IPv4 address; undefined if it is neither. */
export function fixedAddress(text: string): FixedAddress | undefined {
  if (isAllocationId(text)) return { kind: "address", allocationId: text };
  return isPublicIpv4(text) ? { kind: "public-ip", publicIp: text } : undefined;
}

/** Whether this name is known to be that of the address; by its tag only EC2 can tell. */
export function isNameOf(
  desired: DesiredAddress,
  { allocationId, publicIp }: Pick<AddressState, "allocationId" | "publicIp">,
): boolean {
  return (
    (desired.kind === "address" && desired.allocationId === allocationId) ||
    (desired.kind === "public-ip" && desired.publicIp === publicIp)
  );
}

/** The members of a listed pool that EC2 does not show: released, or in another region or account. */
export function missingMembers(pool: Pool, addresses: readonly AddressState[]): string[] {
  if (!("members" in pool)) return [];
  const shown = new Set(
    addresses.flatMap(({ allocationId, publicIp }) => [allocationId, publicIp]),
  );
  return pool.members.filter((member) => !shown.has(member));
}

/** Most members of a listed pool that its name contains. */
const NAMED = 3;

/** `eipalloc-1`, `203.0.113.7`, `the address with the tag Name=mail`, `the pool eip-pool=web` or `the pool of eipalloc-1, eipalloc-2`. */
export function nameDesired(desired: DesiredAddress): string {
  switch (desired.kind) {
    case "address":
      return desired.allocationId;
    case "public-ip":
      return desired.publicIp;
    case "tagged":
      return `the address with the tag ${desired.key}=${desired.value}`;
    case "pool": {
      if (!("members" in desired)) return `the pool ${desired.key}=${desired.value}`;
      const { members } = desired;
      const more = members.length > NAMED ? ` and ${members.length - NAMED} more` : "";
      return `the pool of ${members.slice(0, NAMED).join(", ")}${more}`;
    }
  }
}

/** The state of a holder in words: `stopped`, `not known to EC2 any more`; undefined if EC2 was not asked for it. */
export function describeState({ state }: HolderInstance): string | undefined {
  switch (state) {
    case "unknown":
      return "not known to EC2 any more";
    case "unrecognized":
      return "in a state that is not known here";
    case "unanswered":
      return "EC2 does not answer for it";
    default:
      return state;
  }
}

/** `i-1 (stopped)`, or the id alone if EC2 was not asked for the state; `eni-1 (available)`. */
export function nameHolder(holder: PreviousHolder): string {
  if (holder.kind === "interface") return `${holder.interfaceId} (available)`;
  const state = describeState(holder);
  return state === undefined ? holder.instanceId : `${holder.instanceId} (${state})`;
}
