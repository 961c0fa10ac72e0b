/**
 * What the agent knows while it decides: plain data, read from instance metadata and from EC2 by aws/.
 */

/** A network interface of this instance, as instance metadata describes it. */
export interface NetworkInterface {
  readonly interfaceId: string;
  readonly mac: string;
  /** Index of the attachment; 0 is the primary interface. */
  readonly deviceIndex: number;
  /** Index of the network card; 0 on all but the few instance types with several cards. */
  readonly cardIndex: number;
  /** Private IPv4 addresses, the primary one first. */
  readonly privateIps: readonly string[];
  /** Public IPv4 addresses that are mapped to this interface now, Elastic or not. */
  readonly publicIps: readonly string[];
}

/** Who this instance is. */
export interface Self {
  readonly instanceId: string;
  readonly region: string;
  readonly zone: string;
  readonly interfaces: readonly NetworkInterface[];
  /** `autoscaling/target-lifecycle-state`; absent outside an Auto Scaling group. */
  readonly lifecycleState?: string;
  /** The instance tags that were asked for and that instance metadata shows. */
  readonly tags: Readonly<Record<string, string>>;
}

/** Where the address is to be: one private IPv4 address of one interface of this instance. */
export interface Place {
  readonly instanceId: string;
  readonly interfaceId: string;
  readonly privateIp: string;
  /** With a single interface EC2 is given the instance id, as the user-data script does. */
  readonly onlyInterface: boolean;
  /** Is it the primary private address of its interface, the one that EC2 takes if none is named? */
  readonly primaryIp: boolean;
}

/** EC2's instance states, and `unknown` for an instance that EC2 does not know. */
export type InstanceState =
  | "pending"
  | "running"
  | "stopping"
  | "stopped"
  | "shutting-down"
  | "terminated"
  | "unknown";

/** An instance that holds the address, possibly this one. */
export interface HolderInstance {
  readonly kind: "instance";
  readonly instanceId: string;
  readonly interfaceId?: string;
  readonly privateIp?: string;
  readonly state: InstanceState;
  /** EC2's LaunchTime (last start), in milliseconds since the epoch; whole seconds. */
  readonly launchedAt?: number;
}

/** Something that holds the address and is not an instance of this account. */
export interface HolderOther {
  readonly kind: "other";
  /** For people, with its id: `eni-1, which belongs to no instance (a NAT gateway …)`. */
  readonly what: string;
}

export type Holder = { readonly kind: "nobody" } | HolderInstance | HolderOther;

/** One look at EC2: the address and who holds it, as EC2 showed them together. */
export interface View {
  readonly allocationId: string;
  /** The public IPv4 address; absent while EC2 has not shown it (the role may not describe addresses). */
  readonly publicIp?: string;
  readonly borderGroup?: string;
  readonly holder: Holder;
  /** This instance's LaunchTime from the same answer as the holder's; only where a comparison needs it. */
  readonly selfLaunchedAt?: number;
}
