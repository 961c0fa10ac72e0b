/** This instance, as its metadata describes it: plain data, read by aws/. */

/** Auto Scaling puts the name of its group on every instance by this tag. */
export const GROUP_TAG = "aws:autoscaling:groupName";

/** A network interface of this instance. */
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
export interface Instance {
  readonly instanceId: string;
  readonly region: string;
  readonly zone: string;
  readonly interfaces: readonly NetworkInterface[];
  /** `autoscaling/target-lifecycle-state`; absent outside an Auto Scaling group. */
  readonly lifecycleState?: string;
  /** The Auto Scaling group that it is in, by its tag; only looked for where no lifecycle state is shown. */
  readonly group?: string;
  /** What is about to happen to this spot instance: `terminate`, `stop` or `hibernate`. */
  readonly spotAction?: string;
  /** The first of the instance tags that were asked for, if instance metadata shows one. */
  readonly tag?: { readonly key: string; readonly value: string };
}

/** Where this instance belongs, as IAM names it. */
export interface InstanceContext {
  /** `aws`, `aws-cn` … */
  readonly partition: string;
  /** Twelve digits. */
  readonly account: string;
  /** The VPC of each interface, by interface id. */
  readonly vpcs: Readonly<Record<string, string>>;
  /** The Auto Scaling group, if instance metadata shows tags and the instance is of one. */
  readonly group?: string;
}
