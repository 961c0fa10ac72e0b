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

/** What an instance has been from its launch on. */
export interface Identity {
  readonly instanceId: string;
  readonly region: string;
  readonly zone: string;
  /** Twelve digits; absent where there is no identity document that has them. */
  readonly account?: string;
}

/**
 * Reads the identity of this instance: in one request, by its identity document. Emulators may have none, or one with
 * placeholders in it (amazon-ec2-metadata-mock: an account of ten digits); there the facts are read one by one.
 *
 * @throws Failure `unreachable`, or `not-yet` for a part that is not there yet
 */
export async function readIdentity(metadata: Metadata): Promise<Identity> {
  const identity = identityIn((await metadata.read(DOCUMENT)) ?? "");
  if (identity !== undefined) return identity;
  const [instanceId, region, zone] = await Promise.all([
    required(metadata, "meta-data/instance-id", isInstanceId),
    required(metadata, "meta-data/placement/region", short(isRegion)),
    required(metadata, "meta-data/placement/availability-zone", short(isZone)),
  ]);
  return { instanceId, region, zone };
}

const DOCUMENT = "dynamic/instance-identity/document";

/** What the identity document says, or undefined if it is none. */
function identityIn(document: string): Identity | undefined {
  const { instanceId, region, availabilityZone: zone, accountId: account } = objectIn(document);
  const fits =
    isText(instanceId, isInstanceId) &&
    isText(region, short(isRegion)) &&
    isText(zone, short(isZone)) &&
    isText(account, isAccount);
  return fits ? { instanceId, region, zone, account } : undefined;
}

/**
 * Reads the rest of what this instance is; everything that does not depend on something else at once.
 *
 * @param identity what is known of it, or will be
 * @param tags keys of instance tags; the first one that the instance has is read
 * @param region the region if a variable gives it; else that of the identity
 * @param withIpv6 whether interfaces without public IPv4 are asked for IPv6, which few runs need
 * @param withIgnored whether the tags after that one are read, too
 * @throws Failure as readIdentity
 */
export async function readInstance(
  metadata: Metadata,
  identity: Promise<Identity>,
  tags: readonly string[],
  region: string | undefined,
  withIpv6: boolean,
  withIgnored = false,
): Promise<Instance> {
  const [{ instanceId, zone, region: ownRegion }, interfaces, lifecycleState, [tag, ignoredTag]] =
    await Promise.all([
      identity,
      readInterfaces(metadata, withIpv6),
      optional(metadata, "meta-data/autoscaling/target-lifecycle-state", short(isLifecycleState)),
      withIgnored ? allTags(metadata, tags) : firstTag(metadata, tags).then((first) => [first]),
    ]);
  return {
    instanceId,
    region: region ?? ownRegion,
    zone,
    interfaces,
    ...(lifecycleState !== undefined && { lifecycleState }),
    ...(tag !== undefined && { tag }),
    ...(ignoredTag !== undefined && { ignoredTag }),
  };
}

/**
 * Reads what is about to happen to this spot instance: `terminate`, `stop` or `hibernate`; undefined if nothing is.
 *
 * @throws Failure `unreachable`
 */
export async function readSpotAction(metadata: Metadata): Promise<string | undefined> {
  const path = "meta-data/spot/instance-action";
  return spotActionIn(
    (await optional(metadata, path, (text) => spotActionIn(text) !== undefined)) ?? "",
  );
}

/** `{"action": "terminate", "time": "…"}`, two minutes before it happens. */
function spotActionIn(notice: string): string | undefined {
  const { action } = objectIn(notice);
  return isText(action, (text) => /^[a-z]{1,20}$/.test(text)) ? action : undefined;
}

/**
 * Reads where this instance belongs. Only a policy needs that: a heal does not ask.
 *
 * @throws Failure as readIdentity
 */
export async function readInstanceContext(
  metadata: Metadata,
  identity: Promise<Identity>,
  interfaces: readonly NetworkInterface[],
): Promise<InstanceContext> {
  const [{ account }, partition, group, ...vpcs] = await Promise.all([
    identity,
    required(metadata, "meta-data/services/partition", isPartition),
    firstTag(metadata, [GROUP_TAG]),
    ...interfaces.map(async ({ mac, interfaceId }) => {
      const path = `meta-data/network/interfaces/macs/${mac}/vpc-id`;
      return [interfaceId, await required(metadata, path, isVpc)];
    }),
  ]);
  return {
    partition,
    account: account ?? (await readAccount(metadata)),
    vpcs: Object.fromEntries(vpcs) as Record<string, string>,
    ...(group !== undefined && { group: group.value }),
  };
}

/** The account where the identity document is not what it has to be: its failure says why. */
async function readAccount(metadata: Metadata): Promise<string> {
  const inside = (document: string) => objectIn(document)["accountId"];
  const document = await required(metadata, DOCUMENT, (text) => isText(inside(text), isAccount));
  return inside(document) as string;
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

/** Those of these tags that the instance has, in this order. One after the first that is found counts as absent if it cannot be read. */
async function allTags(metadata: Metadata, keys: readonly string[]) {
  const found: Instance["tag"][] = [];
  for (const read of await Promise.allSettled(keys.map((key) => firstTag(metadata, [key])))) {
    if (read.status === "rejected" && (found.length === 0 || !(read.reason instanceof Failure))) {
      throw read.reason;
    }
    if (read.status === "fulfilled" && read.value !== undefined) found.push(read.value);
  }
  return found;
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
  if (text === undefined || text === "") throw missing(path);
  return text;
}

function missing(path: string): Failure {
  return new Failure("not-yet", {
    request: path,
    why: "instance metadata does not have it yet",
    isLocal: true,
  });
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
const isPartition = (text: string): boolean => /^aws(?:-[a-z]{1,10}){0,3}$/.test(text);
const isLifecycleState = (text: string): boolean => /^[A-Za-z]+(?::[A-Za-z]+)?$/.test(text);
/** Tag values are at most 256 characters; a page of HTML with status 200 is none that anybody set. */
const isTagValue = (text: string): boolean =>
  text.length <= 256 && !/^<(?:!doctype|\?xml|html)/i.test(text);
const isText = (value: unknown, fits: (text: string) => boolean): value is string =>
  typeof value === "string" && fits(value);

/** The fields of a JSON object; none if the text is something else. */
function objectIn(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
