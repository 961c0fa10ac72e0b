/** What instance metadata says about one instance: the tree of paths below a version, as the region is right now. */

import type { Credentials } from "./credentials.ts";
import { publicIpAt, publicIpOf } from "./filters.ts";
import type { Instance, NetworkInterface } from "./model.ts";
import type { View } from "./past.ts";
import type { Region } from "./region.ts";

/** A text, one that is made when it is read, or a directory; an entry that is undefined does not exist. */
export interface Directory {
  readonly [name: string]: Entry;
}
export type Entry = string | (() => string) | Directory | undefined;

/** Everything below `/latest/` for the instance. */
export function imdsTree(
  region: Region,
  credentials: Credentials,
  instanceId: string,
  backMs?: number,
): Directory {
  const instance = region.instance(instanceId);
  // Only public addresses lag behind in IMDS, so only they are read from the past.
  const view = region.lookingBack(backMs ?? region.settings.imdsStalenessMs);
  const seen = view.instance(instanceId) ?? instance;
  const eni = instance.interfaces[0];
  const privateIp = eni?.addresses[0]?.privateIp;
  return {
    dynamic: { "instance-identity": { document: identityDocument(region, instance) } },
    "meta-data": {
      "ami-id": instance.imageId,
      "ami-launch-index": "0",
      autoscaling: optional({
        "target-lifecycle-state":
          region.now() < instance.lifecycleFrom ? undefined : instance.lifecycle,
      }),
      hostname: hostname(privateIp),
      iam: iam(region, credentials, instance),
      "instance-id": instance.instanceId,
      "instance-life-cycle": instance.spotAction === undefined ? "on-demand" : "spot",
      "instance-type": instance.instanceType,
      "local-hostname": hostname(privateIp),
      "local-ipv4": privateIp,
      mac: eni?.mac,
      network: { interfaces: { macs: macs(region, instance, seen, view) } },
      placement: { "availability-zone": instance.zone, region: region.name },
      "public-ipv4": publicIpOf(seen, view),
      "reservation-id": instance.instanceId.replace(/^i-/, "r-"),
      services: { domain: domainOf(region.partition), partition: region.partition },
      spot: optional({ "instance-action": spotAction(instance) }),
      tags: optional({ instance: tags(region, instance) }),
    },
  };
}

/** The body for a path below the version, with or without a slash at the end; undefined: 404. */
export function lookUp(tree: Directory, path: string): string | undefined {
  const names = path.split("/");
  // Real IMDS takes a slash after a directory, but nothing empty in between.
  const directory = names.at(-1) === "";
  if (directory) names.pop();
  let entry: Entry = tree;
  for (const name of names) {
    if (typeof entry !== "object" || !Object.hasOwn(entry, name)) return undefined;
    entry = entry[name];
  }
  if (typeof entry === "object") return listing(entry);
  if (directory) return undefined;
  return typeof entry === "function" ? entry() : entry;
}

// --- internal ---

function listing(directory: Directory): string {
  return Object.entries(directory)
    .filter(([, entry]) => entry !== undefined)
    .map(([name, entry]) => (typeof entry === "object" ? `${name}/` : name))
    .join("\n");
}

/** A directory that does not exist when there is nothing in it. */
function optional(directory: Directory): Directory | undefined {
  return Object.values(directory).some((entry) => entry !== undefined) ? directory : undefined;
}

function macs(region: Region, instance: Instance, seen: Instance, view: View): Directory {
  return Object.fromEntries(
    instance.interfaces.map((eni) => {
      const then =
        seen.interfaces.find((one) => one.networkInterfaceId === eni.networkInterfaceId) ?? eni;
      return [eni.mac, interfaceDirectory(region, eni, then, view)];
    }),
  );
}

function interfaceDirectory(
  region: Region,
  eni: NetworkInterface,
  then: NetworkInterface,
  view: View,
): Directory {
  const mapped = then.addresses.flatMap((at) => {
    const publicIp = publicIpAt(at, view);
    return publicIp === undefined ? [] : [[publicIp, at.privateIp] as const];
  });
  return {
    "device-number": String(eni.deviceIndex),
    "interface-id": eni.networkInterfaceId,
    "ipv4-associations": optional(Object.fromEntries(mapped)),
    ipv6s: lines(eni.ipv6s),
    "local-hostname": hostname(eni.addresses[0]?.privateIp),
    "local-ipv4s": lines(eni.addresses.map((at) => at.privateIp)),
    mac: eni.mac,
    "network-card-index": region.settings.networkCardIndex
      ? String(eni.networkCardIndex)
      : undefined,
    "owner-id": eni.ownerId,
    "public-ipv4s": lines(mapped.map(([publicIp]) => publicIp)),
    "subnet-id": eni.subnetId,
    "vpc-id": eni.vpcId,
  };
}

function tags(region: Region, instance: Instance): Directory | undefined {
  if (!instance.metadataTags || region.now() < instance.metadataTagsFrom) return undefined;
  return optional(instance.tags);
}

function iam(region: Region, credentials: Credentials, instance: Instance): Directory | undefined {
  const role = instance.role === undefined ? undefined : region.role(instance.role);
  if (role === undefined || region.now() < (role.credentialsFrom ?? 0)) return undefined;
  const updated = stamp(instance.launchTime);
  if (role.broken === "InstanceProfileNotFound") {
    const info = {
      Code: role.broken,
      Message: "The instance profile does not exist.",
      LastUpdated: updated,
    };
    return { info: json(info), "security-credentials": {} };
  }
  const info = json({
    Code: "Success",
    LastUpdated: updated,
    InstanceProfileArn: `arn:${region.partition}:iam::${region.account}:instance-profile/${role.name}`,
    InstanceProfileId: "AIPAEXAMPLEPROFILE000",
  });
  if (role.broken !== undefined) {
    const refusal = {
      Code: role.broken,
      Message: "EC2 cannot assume the role.",
      LastUpdated: updated,
    };
    return { info, "security-credentials": { [role.name]: json(refusal) } };
  }
  return {
    info,
    "security-credentials": {
      // Credentials are issued, and become secrets to watch for, only when they are read.
      [role.name]: () => {
        const current = credentials.current(instance.instanceId);
        return json({
          Code: "Success",
          LastUpdated: stamp(current.lastUpdated),
          Type: "AWS-HMAC",
          AccessKeyId: current.accessKeyId,
          SecretAccessKey: current.secretAccessKey,
          Token: current.token,
          Expiration: stamp(current.expiration),
        });
      },
    },
  };
}

function identityDocument(region: Region, instance: Instance): string {
  return json({
    accountId: region.account,
    architecture: "x86_64",
    availabilityZone: instance.zone,
    billingProducts: null,
    devpayProductCodes: null,
    marketplaceProductCodes: null,
    imageId: instance.imageId,
    instanceId: instance.instanceId,
    instanceType: instance.instanceType,
    kernelId: null,
    pendingTime: stamp(instance.launchTime),
    privateIp: instance.interfaces[0]?.addresses[0]?.privateIp ?? null,
    ramdiskId: null,
    region: region.name,
    version: "2017-09-30",
  });
}

function spotAction(instance: Instance): string | undefined {
  const { spotAction: planned } = instance;
  return planned && JSON.stringify({ action: planned.action, time: stamp(planned.time) });
}

function hostname(privateIp: string | undefined): string | undefined {
  return privateIp && `ip-${privateIp.replaceAll(".", "-")}.ec2.internal`;
}

function domainOf(partition: string): string {
  return partition === "aws-cn" ? "amazonaws.com.cn" : "amazonaws.com";
}

function lines(values: readonly string[]): string | undefined {
  return values.length === 0 ? undefined : values.join("\n");
}

function json(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

/** Times in IMDS have no fractions of a second. */
function stamp(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, "Z");
}
