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
  /** The public IPv4 address, Elastic or not, that each private address is mapped to now. */
  readonly publicIps: Readonly<Record<string, string>>;
  /** Has it an IPv6 address? Only looked for where there is no public IPv4 and the answer is needed. */
  readonly hasIpv6: boolean;
}

/** Who this instance is. */
export interface Self {
  readonly instanceId: string;
  readonly region: string;
  readonly zone: string;
  readonly interfaces: readonly NetworkInterface[];
  /** `autoscaling/target-lifecycle-state`; absent outside an Auto Scaling group. */
  readonly lifecycleState?: string;
  /** What is about to happen to this spot instance: `terminate`, `stop` or `hibernate`. */
  readonly spotAction?: string;
  /** The first of the instance tags that were asked for, if instance metadata shows one. */
  readonly tag?: { readonly key: string; readonly value: string };
}

/** Where this instance belongs, as IAM names it. */
export interface Home {
  /** `aws`, `aws-cn` … */
  readonly partition: string;
  /** Twelve digits. */
  readonly account: string;
  /** The VPC of each interface, by interface id. */
  readonly vpcs: Readonly<Record<string, string>>;
  /** The Auto Scaling group, if instance metadata shows tags and the instance is of one. */
  readonly group?: string;
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
  /** The public address, Elastic or not, that instance metadata shows there now. */
  readonly publicIp?: string;
}

/** What is to be brought here: one address, or any one of those that carry a tag. */
export type Wanted =
  | { readonly kind: "address"; readonly allocationId: string }
  | { readonly kind: "pool"; readonly key: string; readonly value: string };

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
  /** Absent with the next one if EC2 does not tell which place of the instance it is. */
  readonly interfaceId?: string;
  readonly privateIp?: string;
  /** Only DescribeAddresses tells it. */
  readonly associationId?: string;
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

/** One address and who holds it, as EC2 showed them together. */
export interface View {
  readonly allocationId: string;
  /** The public IPv4 address; absent while EC2 has not shown it (the role may not describe addresses). */
  readonly publicIp?: string;
  /** The Elastic IP at our place, where this instance holds several and EC2 does not tell which of them is meant. */
  readonly elasticHere?: string;
  readonly borderGroup?: string;
  /** Availability zone that the address is reserved for (its tag `eip-zone`); only in a pool. */
  readonly zone?: string;
  readonly holder: Holder;
  /** This instance's LaunchTime from the same answer as the holder's; only where a comparison needs it. */
  readonly selfLaunchedAt?: number;
}

/** An Elastic IP, as far as the role may see. */
export interface Elastic {
  readonly allocationId?: string;
  readonly publicIp: string;
}

/** One look at EC2. */
export interface Look {
  /** The address that is wanted, or all of the pool. */
  readonly views: readonly View[];
  /** Was DescribeAddresses allowed? It shows holders of every kind; without it only instances are seen. */
  readonly direct: boolean;
  /** What was asked about, if it is an Elastic IP that is on no other place now. */
  readonly displaced?: Elastic;
}
