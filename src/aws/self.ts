/** Who this instance is, as its metadata says. */
import type { Instance, InstanceContext, NetworkInterface } from "../model/instance.ts";
import { Failure } from "../model/failure.ts";
import {
  isAccount,
  isInstanceId,
  isInterfaceId,
  isIpv4,
  isMac,
  isRegion,
  isVpc,
  isZone,
} from "../model/ids.ts";
import { GROUP_TAG } from "../model/instance.ts";
import { IMPOSTOR, type Metadata } from "./imds.ts";

/**
 * Reads the identity of this instance; everything that does not depend on something else at once.
 *
 * @param tags keys of instance tags; the first one that the instance has is read
 * @param region the region if a variable gives it; else the metadata is asked
 * @param withIpv6 whether interfaces without public IPv4 are asked for IPv6, which few runs need
 * @throws Failure `unreachable`, or `not-yet` for a part that is not there yet
 */
export async function readInstance(
  metadata: Metadata,
  tags: readonly string[],
  region: string | undefined,
  withIpv6: boolean,
): Promise<Instance> {
  const [instanceId, ownRegion, zone, interfaces, lifecycleState, spot, tag] = await Promise.all([
    required(metadata, "meta-data/instance-id", isInstanceId),
    region ?? required(metadata, "meta-data/placement/region", short(isRegion)),
    required(metadata, "meta-data/placement/availability-zone", short(isZone)),
    readInterfaces(metadata, withIpv6),
    optional(metadata, "meta-data/autoscaling/target-lifecycle-state", short(isLifecycleState)),
    optional(metadata, "meta-data/spot/instance-action", isSpotNotice),
    firstTag(metadata, tags),
  ]);
  return {
    instanceId,
    region: ownRegion,
    zone,
    interfaces,
    ...(lifecycleState !== undefined && { lifecycleState }),
    ...(spot && { spotAction: (JSON.parse(spot) as { action: string }).action }),
    ...(tag !== undefined && { tag }),
  };
}

/**
 * Reads where this instance belongs. Only a policy needs that: a heal does not ask.
 *
 * @throws Failure as readSelf
 */
export async function readInstanceContext(
  metadata: Metadata,
  interfaces: readonly NetworkInterface[],
): Promise<InstanceContext> {
  const [partition, document, group, ...vpcs] = await Promise.all([
    required(metadata, "meta-data/services/partition", isPartition),
    required(metadata, "dynamic/instance-identity/document", isIdentity),
    firstTag(metadata, [GROUP_TAG]),
    ...interfaces.map(async ({ mac, interfaceId }) => {
      const path = `meta-data/network/interfaces/macs/${mac}/vpc-id`;
      return [interfaceId, await required(metadata, path, isVpc)];
    }),
  ]);
  return {
    partition,
    account: accountIn(document),
    vpcs: Object.fromEntries(vpcs) as Record<string, string>,
    ...(group !== undefined && { group: group.value }),
  };
}

/** The first of these tags that the instance has, as its metadata shows it. @throws Failure as readSelf */
export async function firstTag(
  metadata: Metadata,
  keys: readonly string[],
): Promise<Instance["tag"]> {
  for (const key of keys) {
    const value = await optional(metadata, `meta-data/tags/instance/${pathOf(key)}`, isTagValue);
    if (value) return { key, value };
  }
  return undefined;
}

/** A tag key as part of a path; as it is, if it is one that instance metadata can have (`aws:autoscaling:groupName`). */
function pathOf(key: string): string {
  return encodeURIComponent(key).replaceAll(/%(?:2B|2C|3A|3D|40)/g, decodeURIComponent);
}

/** More than any instance type has (64, EC2 user guide); each is several requests. */
const MAX_INTERFACES = 128;
const MACS = "meta-data/network/interfaces/macs/";

async function readInterfaces(metadata: Metadata, withIpv6: boolean): Promise<NetworkInterface[]> {
  const macs = await required(metadata, MACS, (text) =>
    lines(text).every((line) => isMac(line.replace(/\/$/, ""))),
  );
  const [only, ...more] = lines(macs).map((line) => line.replace(/\/$/, ""));
  if (more.length >= MAX_INTERFACES) {
    throw new Failure("unreachable", {
      request: MACS,
      why: `instance metadata lists ${more.length + 1} network interfaces, more than any instance has`,
      remedy: IMPOSTOR,
      isLocal: true,
    });
  }
  // The primary interface cannot be detached: what is alone has both indices 0.
  const isOnly = more.length === 0;
  const interfaces = await Promise.all(
    [only ?? "", ...more].map((mac) => readInterface(metadata, mac, isOnly, withIpv6)),
  );
  return interfaces.sort((a, b) => a.cardIndex - b.cardIndex || a.deviceIndex - b.deviceIndex);
}

async function readInterface(
  metadata: Metadata,
  mac: string,
  isOnly: boolean,
  withIpv6: boolean,
): Promise<NetworkInterface> {
  const path = `meta-data/network/interfaces/macs/${mac}`;
  const [interfaceId, deviceIndex, cardIndex, privateIps, publicIps] = await Promise.all([
    required(metadata, `${path}/interface-id`, isInterfaceId),
    isOnly ? "0" : required(metadata, `${path}/device-number`, isIndex),
    isOnly ? "0" : optional(metadata, `${path}/network-card-index`, isIndex), // absent on older instances
    optional(metadata, `${path}/local-ipv4s`, areIpv4s), // absent on an interface with IPv6 only
    optional(metadata, `${path}/public-ipv4s`, areIpv4s), // absent without a public address
  ]);
  const own = lines(privateIps ?? "");
  return {
    interfaceId,
    mac,
    deviceIndex: Number(deviceIndex),
    cardIndex: Number(cardIndex ?? 0),
    privateIps: own,
    hasIpv6: withIpv6 && !publicIps && (await metadata.read(`${path}/ipv6s`)) !== undefined,
    publicIps: await readAssociations(metadata, path, own, lines(publicIps ?? "")),
  };
}

/** Which private address each public one belongs to: plain with one of each, asked for otherwise. */
async function readAssociations(
  metadata: Metadata,
  path: string,
  privateIps: readonly string[],
  publicIps: readonly string[],
): Promise<Record<string, string>> {
  const [only, ...more] = privateIps;
  const pairs = await Promise.all(
    publicIps.map(async (publicIp) => {
      const privateIp =
        more.length === 0
          ? only
          : await optional(metadata, `${path}/ipv4-associations/${publicIp}`, isIpv4);
      return privateIp ? [[privateIp, publicIp]] : [];
    }),
  );
  return Object.fromEntries(pairs.flat()) as Record<string, string>;
}

/** A leaf that every instance has. Early in a boot it can be missing for a moment (404) though its parent lists it. */
async function required(
  metadata: Metadata,
  path: string,
  fits: (text: string) => boolean,
): Promise<string> {
  const text = await optional(metadata, path, fits);
  if (text === undefined || text === "") {
    throw new Failure("not-yet", {
      request: path,
      why: "instance metadata does not have it yet",
      isLocal: true,
    });
  }
  return text;
}

/** A leaf that may be absent: undefined then. What is there has to look like what it is. */
async function optional(
  metadata: Metadata,
  path: string,
  fits: (text: string) => boolean,
): Promise<string | undefined> {
  const text = (await metadata.read(path))?.trim();
  if (text !== undefined && text !== "" && !fits(text)) {
    throw new Failure("unreachable", {
      request: path,
      why: `instance metadata answered with something else: ${JSON.stringify(text.slice(0, 40))}`,
      isLocal: true,
    });
  }
  return text;
}

const lines = (text: string): string[] => text.split(/\s+/).filter((line) => line !== "");
/** Names that end up in messages; the longest are those of Wavelength zones. */
const short =
  (fits: (text: string) => boolean) =>
  (text: string): boolean =>
    text.length <= 64 && fits(text);
const isIndex = (text: string): boolean => /^\d{1,3}$/.test(text);
const areIpv4s = (text: string): boolean => lines(text).every(isIpv4);
/** `{"action": "terminate", "time": "…"}`, two minutes before it happens. */
function isSpotNotice(text: string): boolean {
  try {
    const { action } = JSON.parse(text) as { action?: unknown };
    return typeof action === "string" && /^[a-z]{1,20}$/.test(action);
  } catch {
    return false;
  }
}
const isPartition = (text: string): boolean => /^aws(?:-[a-z]{1,10}){0,3}$/.test(text);
/** The instance identity document. */
function isIdentity(text: string): boolean {
  try {
    return isAccount(accountIn(text));
  } catch {
    return false;
  }
}
const accountIn = (document: string): string =>
  String((JSON.parse(document) as { accountId?: unknown }).accountId);
const isLifecycleState = (text: string): boolean => /^[A-Za-z]+(?::[A-Za-z]+)?$/.test(text);
/** Tag values are at most 256 characters; a page of HTML with status 200 is none that anybody set. */
const isTagValue = (text: string): boolean =>
  text.length <= 256 && !/^<(?:!doctype|\?xml|html)/i.test(text);
