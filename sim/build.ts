/** From the few words a test says about a thing to the whole record: every default of the region is in this file. */

import { Ec2Error } from "./errors.ts";
import type { Ids } from "./ids.ts";
import type {
  Address,
  Instance,
  Group,
  InstanceState,
  LifecycleResult,
  Manager,
  NetworkInterface,
  PrivateAddress,
  SpotAction,
  Subnet,
} from "./model.ts";

/** A moment: a Date, milliseconds since the epoch, or an ISO 8601 text (for worlds in JSON). */
export type Moment = Date | number | string;

export interface InterfaceSpec {
  readonly networkInterfaceId?: string;
  readonly mac?: string;
  readonly deviceIndex?: number;
  readonly networkCardIndex?: number;
  /** The private IPv4 addresses, or how many; the first is the primary one. Default: one. */
  readonly privateIps?: readonly string[] | number;
  readonly ipv6s?: readonly string[];
  readonly zone?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly deleteOnTermination?: boolean;
}

export interface InstanceSpec {
  readonly instanceId?: string;
  /** Default: running in a world, pending for a launch. */
  readonly state?: InstanceState;
  /** What EC2 shows as the state instead: any text, or none at all (null). */
  readonly shownState?: string | null;
  /** Cut to the second, as EC2 does. Default: in a world each instance an hour after the one before, else now. */
  readonly launchTime?: Moment;
  readonly zone?: string;
  readonly instanceType?: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** "full" (default), "old", a role made with `role()`; undefined, null or "none": no instance profile. */
  readonly role?: string | null | undefined;
  /** Tags in instance metadata; off by default, as in EC2. */
  readonly metadataTags?: boolean;
  readonly metadata?: "enabled" | "disabled";
  /** Public IPv4 by subnet or launch setting; off by default. */
  readonly autoPublicIp?: boolean;
  /** Target lifecycle state in IMDS; default: none, as outside an Auto Scaling group. */
  readonly lifecycle?: string | undefined;
  /** From when on IMDS shows it; default: always. Infinity: not before `showLifecycle()`. */
  readonly lifecycleFrom?: Moment;
  /** The Auto Scaling group; it tags the instance with its name. */
  readonly group?: string;
  readonly spotAction?:
    | { readonly action: SpotAction["action"]; readonly time: Moment }
    | undefined;
  /** The interfaces; default: one with one private address. */
  readonly enis?: readonly InterfaceSpec[];
  /** Short for the private address of the only interface. */
  readonly privateIp?: string;
  readonly knownFrom?: Moment;
  readonly tagsFrom?: Moment;
  /** Default: tagsFrom. */
  readonly metadataTagsFrom?: Moment;
  readonly keepsAssociation?: boolean;
}

export interface HookSpec {
  readonly name: string;
  /** Default: an hour. */
  readonly heartbeatTimeoutMs?: number;
  /** Default: ABANDON. */
  readonly defaultResult?: LifecycleResult;
}

export interface AddressSpec {
  readonly allocationId?: string;
  /** Default: a new one, unless there is one of the following two. */
  readonly publicIp?: string;
  readonly carrierIp?: string;
  readonly customerOwnedIp?: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** Default: the region's own. */
  readonly networkBorderGroup?: string;
  readonly ownerId?: string;
  readonly serviceManaged?: "alb" | "nlb" | "rnat" | "rds";
  readonly knownFrom?: Moment;
}

/** What building needs to know about the world around. */
export interface Surroundings {
  readonly region: string;
  readonly account: string;
  readonly ids: Ids;
  subnetIn(zone: string): Subnet;
}

/** The moment in milliseconds. */
export function millis(moment: Moment): number {
  const at = typeof moment === "number" ? moment : new Date(moment).getTime();
  if (Number.isNaN(at)) throw new TypeError(`not a moment: ${String(moment)}`);
  return at;
}

/** The moment cut to the second: EC2's LaunchTime has no fractions. */
export function wholeSecond(moment: Moment): number {
  return Math.floor(millis(moment) / 1000) * 1000;
}

/** The network border group of a zone: the region's for an ordinary zone, the location's for a Local or Wavelength Zone. */
export function borderGroupOf(region: string, zone: string): string {
  const group = zone.replace(/[a-z]$/, "");
  return group === region ? region : group;
}

/** A whole instance of the spec; throws what RunInstances would answer if its tags cannot be shown in IMDS. */
export function makeInstance(
  spec: InstanceSpec,
  defaults: { state: InstanceState; launchTime: number },
  around: Surroundings,
): Instance {
  const instanceId = spec.instanceId ?? around.ids.next("i");
  const zone = spec.zone ?? `${around.region}a`;
  const metadataTags = spec.metadataTags ?? false;
  const tags = {
    ...spec.tags,
    ...(spec.group !== undefined && { "aws:autoscaling:groupName": spec.group }),
  };
  if (metadataTags) refuseTagsThatImdsCannotShow(Object.keys(tags));
  const wanted = spec.enis ?? [
    spec.privateIp === undefined ? {} : { privateIps: [spec.privateIp] },
  ];
  // EC2 assigns no public address to an instance that is launched with several interfaces.
  const autoPublicIp = (spec.autoPublicIp ?? false) && wanted.length === 1;
  const state = spec.state ?? defaults.state;
  const on = state === "pending" || state === "running";
  const tagsFrom = millis(spec.tagsFrom ?? 0);
  const role = "role" in spec ? (spec.role ?? undefined) : "full";
  return {
    instanceId,
    state,
    shownState: spec.shownState,
    launchTime: wholeSecond(spec.launchTime ?? defaults.launchTime),
    zone,
    instanceType: spec.instanceType ?? "t3.micro",
    imageId: "ami-0abcdef1234567890",
    tags,
    role: role === "none" ? undefined : role,
    metadataTags,
    metadata: spec.metadata ?? "enabled",
    autoPublicIp,
    lifecycle: spec.lifecycle,
    lifecycleFrom: millis(spec.lifecycleFrom ?? 0),
    group: spec.group,
    spotAction: spec.spotAction && {
      action: spec.spotAction.action,
      time: millis(spec.spotAction.time),
    },
    interfaces: wanted.map((eni, index) =>
      makeInterface(
        { deviceIndex: index, zone, deleteOnTermination: true, ...eni },
        { instanceId, autoPublicIp: autoPublicIp && on },
        around,
      ),
    ),
    knownFrom: millis(spec.knownFrom ?? 0),
    tagsFrom,
    metadataTagsFrom:
      spec.metadataTagsFrom === undefined ? tagsFrom : millis(spec.metadataTagsFrom),
    keepsAssociation: spec.keepsAssociation ?? false,
  };
}

/** A whole network interface of the spec. */
export function makeInterface(
  spec: InterfaceSpec,
  of: { instanceId?: string; manager?: Manager; ownerId?: string; autoPublicIp?: boolean },
  around: Surroundings,
): NetworkInterface {
  const zone = spec.zone ?? `${around.region}a`;
  const subnet = around.subnetIn(zone);
  const wanted = spec.privateIps ?? 1;
  const privateIps =
    typeof wanted === "number"
      ? Array.from({ length: wanted }, () => around.ids.privateIp())
      : wanted;
  const addresses = privateIps.map((privateIp, index): PrivateAddress => {
    around.ids.reserve(privateIp);
    const autoPublicIp =
      index === 0 && of.autoPublicIp === true ? around.ids.publicIp() : undefined;
    return { privateIp, primary: index === 0, autoPublicIp };
  });
  return {
    networkInterfaceId: spec.networkInterfaceId ?? around.ids.next("eni"),
    mac: spec.mac ?? around.ids.mac(),
    ownerId: of.ownerId ?? around.account,
    vpcId: subnet.vpcId,
    subnetId: subnet.subnetId,
    zone,
    networkBorderGroup: subnet.networkBorderGroup,
    deviceIndex: spec.deviceIndex ?? 0,
    networkCardIndex: spec.networkCardIndex ?? 0,
    addresses,
    ipv6s: [...(spec.ipv6s ?? [])],
    tags: { ...spec.tags },
    instanceId: of.instanceId,
    manager: of.manager,
    deleteOnTermination: spec.deleteOnTermination ?? false,
  };
}

/** A whole Elastic IP address of the spec, free. */
export function makeAddress(spec: AddressSpec, around: Surroundings): Address {
  const other = spec.carrierIp ?? spec.customerOwnedIp;
  const publicIp = spec.publicIp ?? (other === undefined ? around.ids.publicIp() : "");
  around.ids.reserve(publicIp);
  return {
    allocationId: spec.allocationId ?? around.ids.next("eipalloc"),
    publicIp,
    carrierIp: spec.carrierIp,
    customerOwnedIp: spec.customerOwnedIp,
    ownerId: spec.ownerId ?? around.account,
    networkBorderGroup: spec.networkBorderGroup ?? around.region,
    tags: { ...spec.tags },
    serviceManaged: spec.serviceManaged,
    knownFrom: millis(spec.knownFrom ?? 0),
  };
}

/** A whole Auto Scaling group of the spec. */
export function makeGroup(name: string, hooks: readonly HookSpec[]): Group {
  return {
    name,
    hooks: hooks.map((hook) => ({
      heartbeatTimeoutMs: 3_600_000,
      defaultResult: "ABANDON",
      ...hook,
    })),
  };
}

/** Tag keys become parts of a path in IMDS, so with InstanceMetadataTags=enabled EC2 takes only these. */
export function refuseTagsThatImdsCannotShow(keys: readonly string[]): void {
  for (const key of keys) {
    if (
      !/^[0-9a-zA-Z\-_+=,.@:]{1,255}$/.test(key) ||
      key === "." ||
      key === ".." ||
      key === "_index"
    ) {
      throw new Ec2Error(
        "InvalidParameterValue",
        `'${key}' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{1,255}), and must not be a reserved name ('.', '..', '_index')`,
      );
    }
  }
}
