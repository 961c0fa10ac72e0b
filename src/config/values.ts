/** Parses and validates the values of settings. */
import { fixedAddress, type FixedAddress, type Pool } from "../model/address.ts";
import { InvalidList, isList, readList, type Several } from "../model/several.ts";
import { isHookName, isInterfaceId, isIpv4, isIpv6, isMac, isPublicIpv4 } from "../model/ids.ts";

/** An invalid value; the message says what is accepted. */
export class InvalidValue extends Error {}

function accept<T>(fits: boolean, value: T, accepted: string): T {
  if (!fits) throw new InvalidValue(accepted);
  return value;
}

/** The part of a setting's row that follows from a closed list of values. */
export function choice<T extends string>(choices: readonly T[]) {
  return { choices, placeholder: choices.join("|"), parse: oneOf(choices) };
}

/** The same for "yes" and "no". */
export const YES_OR_NO = {
  choices: ["yes", "no"],
  placeholder: "yes|no",
  parse: (text: string): boolean => oneOf(["yes", "no"])(text) === "yes",
} as const;

function oneOf<T extends string>(accepted: readonly T[]): (text: string) => T {
  return (text) => {
    const found = accepted.find((value) => value === text);
    if (found === undefined) throw new InvalidValue(accepted.join(", "));
    return found;
  };
}

/** An allocation id or a public IPv4 address, or a list of them, each with its place. */
export function addresses(text: string): FixedAddress | Several {
  if (isList(text)) {
    try {
      return readList(text, addressHint);
    } catch (error) {
      throw error instanceof InvalidList ? new InvalidValue(error.message) : error;
    }
  }
  const found = fixedAddress(text);
  if (found === undefined) throw new InvalidValue(addressHint(text));
  return found;
}

/** What is accepted as the name of an address, with a hint about what the text seems to be instead. */
export function addressHint(text: string): string {
  const shape =
    "an allocation id such as eipalloc-0123456789abcdef0, or the public IPv4 address itself";
  if (isIpv4(text) && !isPublicIpv4(text)) return `${shape}, which ${text} cannot be`;
  if (text.startsWith("eipassoc-"))
    return `${shape}, not an association id, which changes with every move`;
  const meant = addressesIn(text);
  if (meant.length > 1) return `${shape}; several with blanks or commas between`;
  if (meant[0] !== undefined) return `${shape}; did you mean ${meant[0]}?`;
  if (isIpv6(text)) return `${shape}; an IPv6 address cannot be moved`;
  return text.includes("=") ? `${shape}; its tag is named by EIP_HEAL_ADDRESS_TAG` : shape;
}

/** Allocation ids and public IPv4 addresses in a text, such as a URL or a public DNS name of EC2. */
function addressesIn(text: string): string[] {
  const plain = text.toLowerCase().replace(/^ec2-(\d+)-(\d+)-(\d+)-(\d+)\..*/, "$1.$2.$3.$4");
  const ids = plain.match(/eipalloc-[0-9a-f]{8,17}(?![0-9a-z])/g) ?? [];
  const ips = plain.match(/(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])/g) ?? [];
  return [...ids, ...ips.filter(isPublicIpv4)];
}

/** Tag keys are at most 128 characters (EC2 user guide, tag restrictions). */
export function tagKey(text: string): string {
  return accept(text !== "" && text.length <= 128, text, "a tag key of 1 to 128 characters");
}

function tag(text: string, accepted: string): { key: string; value: string } {
  const equals = text.indexOf("=");
  const value = text.slice(equals + 1);
  accept(!/^[^=]*(?:\s=|=\s)/.test(text), text, `${accepted}; without blanks around the =`);
  accept(equals > 0 && value !== "", text, accepted);
  return { key: tagKey(text.slice(0, equals)), value };
}

export function addressTag(text: string): FixedAddress {
  return { kind: "tagged", ...tag(text, "the tag of the address as key=value, such as Name=mail") };
}

/** Most addresses in a list: EC2 takes up to 200 values per filter (EC2 user guide, "Filter your resources"). */
const MAX_LISTED = 200;

/** `KEY=VALUE`, the tag of the addresses, or a list of addresses with commas or blanks between. */
export function pool(text: string): Pool {
  const accepted =
    "the tag of the addresses as key=value, such as eip-pool=web, or their allocation ids or public IPv4 addresses with commas between";
  if (text.includes("=")) return { kind: "pool", ...tag(text, accepted) };
  const members = [...new Set(text.split(/[\s,]+/).filter((member) => member !== ""))];
  const wrong = members.find((member) => fixedAddress(member) === undefined);
  if (wrong !== undefined) {
    throw new InvalidValue(wrong === text ? accepted : `${accepted}; ${wrong} is neither`);
  }
  const isListed = members.length > 0 && members.length <= MAX_LISTED;
  return accept(isListed, { kind: "pool", members }, `${accepted}, ${MAX_LISTED} at most`);
}

/** The URL of a web page. */
export function webUrl(text: string): URL {
  const url = URL.parse(text);
  const isWeb = url !== null && /^https?:$/.test(url.protocol) && url.host !== "";
  if (!isWeb)
    throw new InvalidValue("an https:// or http:// URL, such as https://checkip.amazonaws.com");
  return url;
}

/** A device index, an interface id or a MAC address. */
export function interfaceName(text: string): number | string {
  if (/^\d{1,2}$/.test(text)) return Number(text);
  const lower = text.toLowerCase();
  return accept(
    isInterfaceId(lower) || isMac(lower),
    lower,
    "a device index such as 0, an interface id such as eni-0123456789abcdef0 or a MAC address",
  );
}

export function privateIp(text: string): string {
  return accept(isIpv4(text), text, "an IPv4 address of the interface, such as 10.0.0.5");
}

export function hookName(text: string): string {
  return accept(
    isHookName(text),
    text,
    "the name of a lifecycle hook: letters, digits, -, _ and /",
  );
}

/** The units of systemd.time(7) that are accepted, in milliseconds. */
const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  "": 1_000,
  s: 1_000,
  sec: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  hr: 3_600_000,
};

/** A systemd-style time span (`90s`, `10min`, `1h`, `1min 30s`; a bare number is seconds), in milliseconds. */
export function duration(text: string): number {
  const accepted = "a time from 1s to 1h, such as 90s, 10min or 1h";
  const parts = [...text.matchAll(/\s*(\d{1,7}(?:\.\d{1,3})?)(?!\d)\s*([a-z]*)/gy)];
  accept(parts.length > 0 && parts.map(([all]) => all).join("") === text, text, accepted);
  let total = 0;
  for (const [, amount, unit = ""] of parts) {
    const factor = Object.hasOwn(UNITS, unit) ? UNITS[unit] : undefined;
    if (factor === undefined) throw new InvalidValue(accepted);
    total += Number(amount) * factor;
  }
  return accept(total >= 1_000 && total <= 3_600_000, total, accepted);
}
