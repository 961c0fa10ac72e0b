/**
 * The vocabulary of the simulated region: plain data without behaviour. All times are milliseconds since the epoch.
 * Records are never changed in place, a change replaces them; that is what makes answering from the past cheap.
 */

import type { PolicyDocument } from "./iam.ts";

export type InstanceState =
  | "pending"
  | "running"
  | "stopping"
  | "stopped"
  | "shutting-down"
  | "terminated";

/** Who else than an instance may own a network interface. */
export type Manager = "nat-gateway" | "load-balancer" | "service" | "other-account";

export interface PrivateAddress {
  readonly privateIp: string;
  readonly primary: boolean;
  /** The public IPv4 that EC2 assigned by itself; it is released as soon as an Elastic IP comes here. */
  readonly autoPublicIp?: string | undefined;
  /** The Elastic IP that is mapped here: the mirror image of {@link Address.association}. */
  readonly allocationId?: string | undefined;
}

export interface NetworkInterface {
  readonly networkInterfaceId: string;
  readonly mac: string;
  readonly ownerId: string;
  readonly vpcId: string;
  readonly subnetId: string;
  readonly zone: string;
  readonly networkBorderGroup: string;
  readonly deviceIndex: number;
  readonly networkCardIndex: number;
  readonly addresses: readonly PrivateAddress[];
  readonly ipv6s: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  /** The instance it is attached to; none while it lies about or belongs to a service. */
  readonly instanceId?: string | undefined;
  readonly manager?: Manager | undefined;
  /** Interfaces made by the launch go with the instance, those attached later stay, and keep their Elastic IP. */
  readonly deleteOnTermination: boolean;
}

export interface SpotAction {
  readonly action: "stop" | "terminate" | "hibernate";
  readonly time: number;
}

export interface Instance {
  readonly instanceId: string;
  readonly state: InstanceState;
  /** What EC2 shows as the state instead: any text, or none at all (null). */
  readonly shownState?: string | null | undefined;
  /** Of the last start, to the second, as EC2's LaunchTime. */
  readonly launchTime: number;
  readonly zone: string;
  readonly instanceType: string;
  readonly imageId: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Name of the instance role; none: no instance profile. */
  readonly role?: string | undefined;
  /** InstanceMetadataTags=enabled. */
  readonly metadataTags: boolean;
  /** IMDS switched off (HttpEndpoint=disabled) answers 403 to everything. */
  readonly metadata: "enabled" | "disabled";
  /** The launch asked for a public IPv4, and the instance gets a new one whenever it has a right to it. */
  readonly autoPublicIp: boolean;
  /** Auto Scaling's target lifecycle state as IMDS shows it. */
  readonly lifecycle?: string | undefined;
  /** Before this moment IMDS answers 404 for it, whatever it is; Auto Scaling's own API tells the truth. */
  readonly lifecycleFrom: number;
  /** The Auto Scaling group that it is in. */
  readonly group?: string | undefined;
  readonly spotAction?: SpotAction | undefined;
  readonly interfaces: readonly NetworkInterface[];
  /** Before this moment the EC2 API has not heard of the instance. */
  readonly knownFrom: number;
  /** Before this moment the EC2 API shows no tags of it. */
  readonly tagsFrom: number;
  /** Before this moment IMDS shows no tags. */
  readonly metadataTagsFrom: number;
  /** A dead or dying holder that EC2 goes on listing with its address. */
  readonly keepsAssociation: boolean;
}

export interface Association {
  readonly associationId: string;
  readonly networkInterfaceId: string;
  readonly networkInterfaceOwnerId: string;
  readonly privateIp: string;
  readonly instanceId?: string | undefined;
}

export interface Address {
  readonly allocationId: string;
  /** Empty: it has none, but one of the following two. */
  readonly publicIp: string;
  /** The address in the network of a telecommunication carrier, in a Wavelength Zone. */
  readonly carrierIp?: string | undefined;
  /** The address out of a customer's own pool, on an Outpost. */
  readonly customerOwnedIp?: string | undefined;
  readonly ownerId: string;
  readonly networkBorderGroup: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly serviceManaged?: "alb" | "nlb" | "rnat" | "rds" | undefined;
  readonly association?: Association | undefined;
  readonly knownFrom: number;
}

export interface Vpc {
  readonly vpcId: string;
  /** Account; another one than the region's shares its subnets with it. */
  readonly ownerId: string;
  readonly internetGateway: boolean;
}

export interface Subnet {
  readonly subnetId: string;
  readonly vpcId: string;
  readonly zone: string;
  readonly networkBorderGroup: string;
}

/** A policy that is in force between two moments: IAM takes seconds to minutes to propagate. */
export interface Grant {
  readonly policy: PolicyDocument;
  readonly from?: number | undefined;
  readonly until?: number | undefined;
}

export interface Role {
  readonly name: string;
  readonly grants: readonly Grant[];
  /** Before this moment IMDS has no role and no credentials. */
  readonly credentialsFrom?: number | undefined;
  /** IMDS answers the credentials with 200 and this code instead of credentials. */
  readonly broken?: "AssumeRoleUnauthorizedAccess" | "InstanceProfileNotFound" | undefined;
}

export interface Bucket {
  readonly size: number;
  readonly refillPerSecond: number;
}

/** How the wait under a lifecycle hook ends: on into service, or terminated. */
export type LifecycleResult = "CONTINUE" | "ABANDON";

export interface LifecycleHook {
  readonly name: string;
  /** Auto Scaling takes 30 s to 2 h; here it may be shorter, so that tests need not wait. */
  readonly heartbeatTimeoutMs: number;
  readonly defaultResult: LifecycleResult;
}

/** An Auto Scaling group, as far as its lifecycle hooks go. */
export interface Group {
  readonly name: string;
  readonly hooks: readonly LifecycleHook[];
}

/** An instance that waits under a hook of its group, or has waited. */
export interface LifecycleAction {
  readonly instanceId: string;
  readonly hook: LifecycleHook;
  /** When it ends by itself, if no heartbeat comes before. */
  readonly timesOutAt: number;
  /** When it ends by itself, whatever comes before. */
  readonly endsAt: number;
  readonly ended?: {
    readonly result: LifecycleResult;
    readonly by: "call" | "timeout";
    readonly at: number;
  };
}

/** What can be different about the region as a whole. */
export interface Settings {
  /** Every Describe call answers from this long ago (EC2 answers them from caches). */
  readonly describeStalenessMs: number;
  /** IMDS shows public addresses as they were this long ago. */
  readonly imdsStalenessMs: number;
  /** Request buckets; absent: nobody is throttled. */
  readonly throttle?: Readonly<Record<string, Bucket>> | undefined;
  /** A free address has an empty <instanceId/> instead of none, as EC2 answered for long. */
  readonly emptyInstanceId: boolean;
  /** The first page of a paginated answer is empty but for its NextToken, which EC2 allows itself. */
  readonly emptyFirstPage: boolean;
  /**
   * EC2 pages by itself, MaxResults or not: it looks through so many records (1 or more) for a page, and one in which
   * nothing passes the filters is empty but for its NextToken. Absent: it pages only what passes, and only if asked to.
   */
  readonly pageSize?: number | undefined;
  /**
   * AllowReassociation=false protects the private address too: one that carries another Elastic IP is refused, while
   * otherwise that one is pushed off. Nobody knows which of the two EC2 does today; see association.ts.
   */
  readonly strictPlaces: boolean;
  /**
   * Zones with a disruption: DescribeInstances is answered with 503 Unavailable if it names an instance there, or no
   * instance ids at all.
   */
  readonly zonesDown: readonly string[];
  /**
   * How much longer every answer takes, in milliseconds, by action of the EC2 and Auto Scaling APIs; `*` is every action
   * that is not named. Only the servers know of it; it passes before the request is applied, and it is no fault.
   */
  readonly latencyMs: Readonly<Record<string, number>>;
  /** IMDS lists network-card-index; instances launched long ago lack it. */
  readonly networkCardIndex: boolean;
}

/** How far the numbering of ids and IP addresses has come. */
export interface Serials {
  ids: number;
  publicIps: number;
  privateIps: number;
}

/** A whole world as data: what World builds and Region starts from. */
export interface WorldData {
  region: string;
  account: string;
  partition: string;
  vpcs: Vpc[];
  subnets: Subnet[];
  roles: Role[];
  instances: Instance[];
  /** Interfaces that are on no instance. */
  interfaces: NetworkInterface[];
  addresses: Address[];
  groups: Group[];
  settings: Partial<Settings>;
  serials: Serials;
}
