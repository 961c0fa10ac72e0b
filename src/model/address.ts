/** Elastic IPs and who holds them, as EC2 showed them: plain data, read by aws/. */
import { borderGroupOf } from "./ids.ts";
import type { Target } from "./target.ts";

/** What is to be brought here: one address, or any one of those that carry a tag. */
export type DesiredAddress =
  | { readonly kind: "address"; readonly allocationId: string }
  | { readonly kind: "pool"; readonly key: string; readonly value: string };

/**
 * EC2's instance states; `unknown` for an instance that EC2 does not know, `unrecognized` for one whose state is none of
 * these or missing, `unanswered` for one that EC2 fails to answer for while it answers for this one.
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

/** What EC2 tells of an instance, for the ownership rule. */
export interface InstanceFacts {
  readonly state: InstanceState;
  /** EC2's LaunchTime (last start), in milliseconds since the epoch; whole seconds. */
  readonly launchedAt?: number;
}

/** An instance that holds the address, possibly this one. */
export interface HolderInstance {
  readonly kind: "instance";
  readonly instanceId: string;
  /** Absent, together with the private address, if EC2 does not tell where on the instance it is. */
  readonly interfaceId?: string;
  readonly privateIp?: string;
  /** Only DescribeAddresses tells it. */
  readonly associationId?: string;
  /** Absent with the next one where the rule does not need it, so that EC2 was not asked. */
  readonly state?: InstanceState;
  /** EC2's LaunchTime (last start), in milliseconds since the epoch; whole seconds. */
  readonly launchedAt?: number;
}

/** An interface of this account that is attached to nothing: whoever held the address by it is gone. */
export interface HolderInterface {
  readonly kind: "interface";
  readonly interfaceId: string;
}

/** Whom an address can be taken from. */
export type Previous = HolderInstance | HolderInterface;

/** Something that holds the address and is not this account's to take it from. */
export interface HolderOther {
  readonly kind: "other";
  /** For people, with its id: `eni-1, which belongs to no instance (a NAT gateway …)`. */
  readonly what: string;
  /** An interface that belongs to no instance: one that is being detached, perhaps, or was left behind. */
  readonly isOrphan?: boolean;
  /** Of an orphan. */
  readonly interfaceId?: string;
}

export type Holder = { readonly kind: "nobody" } | HolderInstance | HolderInterface | HolderOther;

/** One address and who holds it, as EC2 showed them together. */
export interface AddressState {
  readonly allocationId: string;
  /** The public IPv4 address; absent while EC2 has not shown it (the role may not describe addresses). */
  readonly publicIp?: string;
  /** Is it a carrier's or a customer's own address, which instance metadata does not show as a public one? */
  readonly isForeign?: boolean;
  /** The Elastic IP at our target, where this instance holds several and EC2 does not tell which of them is meant. */
  readonly elasticIpHere?: string;
  readonly borderGroup?: string;
  /** Availability zone that the address is reserved for (its tag `eip-zone`); only in a pool. */
  readonly zone?: string;
  readonly holder: Holder;
  /** This instance's LaunchTime from the same answer as the holder's; only where a comparison needs it. */
  readonly selfLaunchedAt?: number;
}

/** An Elastic IP, as far as the role may see. */
export interface ElasticIp {
  readonly allocationId?: string;
  readonly publicIp: string;
}

/** What EC2 showed when it was asked once. */
export interface Observation {
  /** The address that is desired, or all of the pool. */
  readonly addresses: readonly AddressState[];
  /** Was DescribeAddresses allowed? It shows holders of every kind; without it only instances are seen. */
  readonly direct: boolean;
  /** What EC2 told of instances: of those that it was asked about, this one among them. */
  readonly instances?: Readonly<Record<string, InstanceFacts>>;
  /** The Auto Scaling group that this instance is in, if EC2 has told its tags and they say so. */
  readonly group?: string;
  /** What was asked about besides, if it is an Elastic IP that is on no other place now. */
  readonly displaced?: ElasticIp;
}

/** Does this instance hold the address? */
export function isOwn(
  { holder }: AddressState,
  { instanceId }: Pick<Target, "instanceId">,
): boolean {
  return holder.kind === "instance" && holder.instanceId === instanceId;
}

/** Is it on just this interface and private address? */
export function isAt(target: Target, { interfaceId, privateIp }: HolderInstance): boolean {
  return interfaceId === target.interfaceId && privateIp === target.privateIp;
}

export function isFree({ holder }: AddressState): boolean {
  return holder.kind === "nobody";
}

/** May an instance in this availability zone use the address at all? */
export function isUsableIn(address: AddressState, zone: string): boolean {
  return (
    (address.zone === undefined || address.zone === zone) &&
    (address.borderGroup === undefined || address.borderGroup === borderGroupOf(zone))
  );
}

/** `eipalloc-1 (203.0.113.7)`, or what is known of the two. */
export function nameAddress(
  allocationId: string | undefined,
  publicIp: string | undefined,
): string {
  if (allocationId === undefined) return publicIp ?? "";
  return publicIp === undefined ? allocationId : `${allocationId} (${publicIp})`;
}

/** `eipalloc-1` or `the pool eip-pool=web`. */
export function nameDesired(desired: DesiredAddress): string {
  return desired.kind === "address"
    ? desired.allocationId
    : `the pool ${desired.key}=${desired.value}`;
}

/** The state of a holder in words: `stopped`, `not known to EC2 any more`; undefined where EC2 was not asked. */
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

/** `i-1 (stopped)`, or the id alone where EC2 was not asked for the state; `eni-1 (available)`. */
export function nameHolder(holder: Previous): string {
  if (holder.kind === "interface") return `${holder.interfaceId} (available)`;
  const state = describeState(holder);
  return state === undefined ? holder.instanceId : `${holder.instanceId} (${state})`;
}
