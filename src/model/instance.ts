/** This instance, as described by its metadata. Plain data; aws/ fills it in. */

/** The tag by which Auto Scaling marks every instance with the name of its group. */
export const GROUP_TAG = "aws:autoscaling:groupName";

/** A network interface of this instance. */
export interface NetworkInterface {
  readonly interfaceId: string;
  readonly mac: string;
  /** 0 is the primary interface. */
  readonly deviceIndex: number;
  /** Always 0 except on the few instance types with several network cards. */
  readonly cardIndex: number;
  /** Private IPv4 addresses, the primary one first. */
  readonly privateIps: readonly string[];
  /** The public IPv4 address, Elastic or not, that each private address is mapped to now, by private address. */
  readonly publicIps: Readonly<Record<string, string>>;
  /** Whether it has an IPv6 address. Only read when it matters and there is no public IPv4 address. */
  readonly hasIpv6: boolean;
}

/** Who this instance is. */
export interface Instance {
  readonly instanceId: string;
  readonly region: string;
  readonly zone: string;
  readonly interfaces: readonly NetworkInterface[];
  /** `autoscaling/target-lifecycle-state`; absent outside an Auto Scaling group. */
  readonly lifecycleState?: string;
  /** The Auto Scaling group, by the instance's tag; only read if instance metadata shows no lifecycle state. */
  readonly group?: string;
  /** The first of the requested tags that instance metadata shows. */
  readonly tag?: { readonly key: string; readonly value: string };
  /** The next of those tags, which is ignored: only a heal asks for it. */
  readonly ignoredTag?: { readonly key: string; readonly value: string };
}

/** What the ARNs in an IAM policy need to know about this instance. */
export interface InstanceContext {
  /** `aws`, `aws-cn` … */
  readonly partition: string;
  /** Twelve digits. */
  readonly account: string;
  /** The VPC of each interface, by interface id. */
  readonly vpcs: Readonly<Record<string, string>>;
  /** The Auto Scaling group, if instance metadata shows tags and the instance is in a group. */
  readonly group?: string;
}
