/**
 * The formats of the identifiers in settings, tags, instance metadata and EC2's answers. Everything from outside is
 * checked against its pattern before use: some metadata services answer with HTML pages, and a tag can hold anything.
 *
 * EC2 ids have 8 hexadecimal digits on old resources and 17 on new ones. Up to 32 are accepted, so that a longer format
 * does not break an agent that is baked into images.
 */

const ID = {
  allocation: /^eipalloc-[0-9a-f]{8,32}$/,
  instance: /^i-[0-9a-f]{8,32}$/,
  interface: /^eni-[0-9a-f]{8,32}$/,
  vpc: /^vpc-[0-9a-f]{8,32}$/,
  account: /^\d{12}$/,
  mac: /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/,
  region: /^[a-z]{2,5}(?:-[a-z]+)+-\d{1,2}$/,
  zone: /^[a-z]{2,5}(?:-[a-z0-9]+)+$/,
} as const;

const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`);

export const isAllocationId = (text: string): boolean => ID.allocation.test(text);
export const isInstanceId = (text: string): boolean => ID.instance.test(text);
export const isInterfaceId = (text: string): boolean => ID.interface.test(text);
export const isVpc = (text: string): boolean => ID.vpc.test(text);
export const isAccount = (text: string): boolean => ID.account.test(text);
export const isMac = (text: string): boolean => ID.mac.test(text);
export const isRegion = (text: string): boolean => ID.region.test(text);
export const isZone = (text: string): boolean => ID.zone.test(text);
/** 1 to 255 printable characters without a colon (API reference, CreateAutoScalingGroup). */
export const isGroupName = (text: string): boolean => /^[^\p{C}:]{1,255}$/u.test(text);
/** API reference, PutLifecycleHook. */
export const isHookName = (text: string): boolean => /^[A-Za-z0-9\-_/]{1,255}$/.test(text);
export const isIpv4 = (text: string): boolean => IPV4.test(text);
export const isIpv6 = (text: string): boolean =>
  /^[0-9a-f:.]+$/i.test(text) && URL.canParse(`http://[${text}]/`);

/** What cannot be an Elastic IP: this network, private (RFC 1918), loopback, link-local, multicast and above (RFC 6890). */
const NOT_PUBLIC =
  /^(0|10|127)\.|^172\.(1[6-9]|2\d|3[01])\.|^192\.168\.|^169\.254\.|^(22[4-9]|2[345]\d)\./;
export const isPublicIpv4 = (text: string): boolean => isIpv4(text) && !NOT_PUBLIC.test(text);

/**
 * The network border group of a zone: the region for an Availability Zone (`us-east-1a`), the zone's own group for a
 * Local Zone (`us-west-2-lax-1a` → `us-west-2-lax-1`) and the zone itself for a Wavelength Zone
 * (`us-east-1-wl1-bos-wlz-1`). An Elastic IP works only inside its own border group.
 */
export function borderGroupOf(zone: string): string {
  return zone.replace(/(\d)[a-z]$/, "$1");
}

/** AWS partitions by the prefix of their regions' names. */
const PARTITIONS = [
  ["cn-", "aws-cn"],
  ["us-gov-", "aws-us-gov"],
  ["eusc-", "aws-eusc"],
  ["us-isob-", "aws-iso-b"],
  ["us-isof-", "aws-iso-f"],
  ["us-iso-", "aws-iso"],
  ["eu-isoe-", "aws-iso-e"],
] as const;

/** The partition of a region, as it stands in ARNs. */
export function partitionOf(region: string): string {
  return PARTITIONS.find(([prefix]) => region.startsWith(prefix))?.[1] ?? "aws";
}
