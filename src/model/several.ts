/** Several Elastic IPs for one instance, each in a place of its own: `eipalloc-1 eipalloc-2@1 eipalloc-3@10.0.0.9`. Pure. */
import { type DesiredAddress, type FixedAddress, fixedAddress, nameDesired } from "./address.ts";
import { isInterfaceId, isIpv4, isMac } from "./ids.ts";
import { jsonOf } from "./text.ts";

/** One of several addresses. */
export interface Placed {
  readonly address: FixedAddress;
  /** Device index, interface id, MAC or private IPv4 address; absent: the place that the settings name. */
  readonly place?: number | string;
}

/** Several addresses, or one with a place. */
export interface Several {
  readonly kind: "several";
  readonly entries: readonly Placed[];
}

/** What an instance should have. */
export type DesiredAddresses = DesiredAddress | Several;

/** A list that is no list of addresses; the message says what is accepted. */
export class InvalidList extends Error {}

/** Whether a text is a list of addresses, or one with a place, rather than the name of one address. */
export function isList(text: string): boolean {
  return /[\s,@]/.test(text.trim());
}

/** Most addresses in a list. EC2 lets an account have 5 per region (EC2 user guide, "Elastic IP address quota"). */
const MOST = 20;

/**
 * Reads a list of addresses, with blanks or commas between them.
 *
 * @param hint what is accepted as the name of an address, given what is not one
 * @throws InvalidList
 */
export function readList(text: string, hint: (name: string) => string): Several {
  const words = text.split(/[\s,]/).filter((word) => word !== "");
  const entries = words.map((word) =>
    readEntry(
      word,
      words.length === 1 ? hint : (name) => `in place of ${jsonOf(word)} ${hint(name)}`,
    ),
  );
  if (entries.length === 0 || entries.length > MOST) {
    throw new InvalidList(`1 to ${MOST} addresses with blanks or commas between`);
  }
  const twice = repeated(entries.map(({ address }) => nameDesired(address)));
  if (twice !== undefined) {
    throw new InvalidList(
      `each address once: remove all but one of those with ${twice}, since an address can be in one place only`,
    );
  }
  const [one, other] = entries.filter(({ place }) => place === undefined);
  if (one !== undefined && other !== undefined) {
    throw new InvalidList(
      `at most one address without a place, and ${nameDesired(one.address)} and ${nameDesired(other.address)} have none: say where it belongs after @ (${PLACES}), such as ${nameDesired(other.address)}@1`,
    );
  }
  const place = repeated(
    entries.flatMap((entry) => (entry.place === undefined ? [] : [String(entry.place)])),
  );
  if (place !== undefined) {
    throw new InvalidList(
      `one address in each place, and two are for @${place}: a private IPv4 address can have one Elastic IP; give one of them another interface or a secondary private address`,
    );
  }
  return { kind: "several", entries };
}

/** `eipalloc-2@1`. */
export function nameEntry({ address, place }: Placed): string {
  return place === undefined ? nameDesired(address) : `${nameDesired(address)}@${place}`;
}

/** `eipalloc-1, eipalloc-2@1`. */
export function nameDesiredAddresses(desired: DesiredAddresses): string {
  return desired.kind === "several"
    ? desired.entries.map(nameEntry).join(", ")
    : nameDesired(desired);
}

const PLACES = "a device index, an interface id, a MAC address or a private IPv4 address";

function readEntry(word: string, hint: (name: string) => string): Placed {
  const [name = "", where, ...more] = word.split("@");
  const address = fixedAddress(name);
  if (address === undefined) throw new InvalidList(hint(name));
  if (where === undefined) return { address };
  const place = /^\d{1,2}$/.test(where) ? Number(where) : where.toLowerCase();
  const isPlace =
    typeof place === "number" || isInterfaceId(place) || isMac(place) || isIpv4(place);
  if (!isPlace || more.length > 0) {
    throw new InvalidList(`after the @ of ${name} its place: ${PLACES}`);
  }
  return { address, place };
}

function repeated(names: readonly string[]): string | undefined {
  return names.find((name, index) => names.indexOf(name) !== index);
}
