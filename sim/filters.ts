/**
 * The Filter.N parameters of the Describe calls: filters are ANDed, the values of one are ORed. In a value `*` stands for
 * any characters and `?` for one; a backslash before them, or before another one, makes them mean themselves.
 */

import { Ec2Error } from "./errors.ts";
import type { Address, Instance, NetworkInterface, PrivateAddress } from "./model.ts";
import type { View } from "./past.ts";

export interface Filter {
  readonly name: string;
  readonly values: readonly string[];
}

/** The values a record shows under a filter name; undefined: there is no such filter. */
type Field<T> = (record: T, name: string) => readonly (string | undefined)[] | undefined;

/** The records that pass all filters. */
export function select<T>(records: Iterable<T>, filters: readonly Filter[], field: Field<T>): T[] {
  const kept: T[] = [];
  for (const record of records) {
    const passes = filters.every((filter) => {
      const shown = field(record, filter.name);
      if (shown === undefined)
        throw new Ec2Error("InvalidParameterValue", `The filter '${filter.name}' is invalid`);
      return shown.some(
        (value) => value !== undefined && filter.values.some((wanted) => fits(value, wanted)),
      );
    });
    if (passes) kept.push(record);
  }
  return kept;
}

/** The one value of a filter that names one thing exactly, for an answer without a search. */
export function exactly(filters: readonly Filter[], name: string): string | undefined {
  const value = filters.find((filter) => filter.name === name && filter.values.length === 1)
    ?.values[0];
  return value === undefined || SPECIAL.test(value) ? undefined : value;
}

/** Filters of DescribeAddresses. */
export const addressField: Field<Address> = (address, name) => {
  const held = address.association;
  switch (name) {
    case "allocation-id":
      return [address.allocationId];
    case "public-ip":
      return [publicIpShown(address), address.carrierIp];
    case "domain":
      return ["vpc"];
    case "network-border-group":
      return [address.networkBorderGroup];
    case "association-id":
      return [held?.associationId];
    case "instance-id":
      return [held?.instanceId];
    case "network-interface-id":
      return [held?.networkInterfaceId];
    case "network-interface-owner-id":
      return [held?.networkInterfaceOwnerId];
    case "private-ip-address":
      return [held?.privateIp];
    default:
      return tagField(address.tags, name);
  }
};

/** Filters of DescribeInstances. The tags are those that the API shows at this moment. */
export function instanceField(
  view: View,
  tagsShown: (instance: Instance) => Readonly<Record<string, string>>,
): Field<Instance> {
  return (instance, name) => {
    const addresses = instance.interfaces.flatMap((eni) => eni.addresses);
    const publicIp = (at: PrivateAddress): string | undefined => publicIpAt(at, view);
    switch (name) {
      case "instance-id":
        return [instance.instanceId];
      case "instance-state-name":
        return [stateShown(instance)];
      case "instance-type":
        return [instance.instanceType];
      case "availability-zone":
        return [instance.zone];
      case "ip-address":
        return [publicIpOf(instance, view)];
      case "private-ip-address":
        return [instance.interfaces[0]?.addresses[0]?.privateIp];
      case "network-interface.network-interface-id":
        return instance.interfaces.map((eni) => eni.networkInterfaceId);
      case "network-interface.addresses.private-ip-address":
        return addresses.map((at) => at.privateIp);
      case "network-interface.addresses.association.public-ip":
        return addresses.map(publicIp);
      case "network-interface.addresses.association.allocation-id":
        return addresses.map((at) => at.allocationId);
      case "network-interface.association.public-ip":
        return primaries(instance).map(publicIp);
      case "network-interface.association.allocation-id":
        return primaries(instance).map((at) => at.allocationId);
      default:
        return tagField(tagsShown(instance), name);
    }
  };
}

/** The state of the instance as EC2 shows it; undefined: it shows none. */
export function stateShown({ state, shownState }: Instance): string | undefined {
  return shownState === undefined ? state : (shownState ?? undefined);
}

/** Filters of DescribeNetworkInterfaces. */
export const interfaceField: Field<NetworkInterface> = (eni, name) => {
  switch (name) {
    case "network-interface-id":
      return [eni.networkInterfaceId];
    case "status":
      return [statusOf(eni)];
    case "attachment.instance-id":
      return [eni.instanceId];
    case "association.allocation-id":
      return eni.addresses.map((at) => at.allocationId);
    default:
      return tagField(eni.tags, name);
  }
};

/** Whether it is attached to something; the states in between are too short to be seen here. */
export function statusOf(eni: NetworkInterface): "in-use" | "available" {
  return eni.instanceId === undefined && eni.manager === undefined ? "available" : "in-use";
}

/** One row of DescribeTags. */
export interface TagRow {
  readonly resourceId: string;
  readonly resourceType: "instance" | "elastic-ip";
  readonly key: string;
  readonly value: string;
}

/** Filters of DescribeTags. */
export const tagRowField: Field<TagRow> = (row, name) => {
  switch (name) {
    case "key":
      return [row.key];
    case "value":
      return [row.value];
    case "resource-id":
      return [row.resourceId];
    case "resource-type":
      return [row.resourceType];
    default:
      return name.startsWith("tag:")
        ? [row.key === name.slice(4) ? row.value : undefined]
        : undefined;
  }
};

/** The public IPv4 mapped to a private address: the Elastic IP, else the assigned one. */
export function publicIpAt(at: PrivateAddress, view: View): string | undefined {
  return at.allocationId === undefined
    ? at.autoPublicIp
    : publicIpShown(view.address(at.allocationId));
}

/** The public IPv4 of an Elastic IP; undefined: it has an address of another kind instead. */
export function publicIpShown(address: Address | undefined): string | undefined {
  return address?.publicIp === "" ? undefined : address?.publicIp;
}

/** The instance's public IPv4 as EC2 and IMDS show it: that of the primary address of the primary interface. */
export function publicIpOf(instance: Instance, view: View): string | undefined {
  const primary = instance.interfaces.find(
    (eni) => eni.deviceIndex === 0 && eni.networkCardIndex === 0,
  );
  const at = primary?.addresses[0];
  return at === undefined ? undefined : publicIpAt(at, view);
}

// --- internal ---

const SPECIAL = /[*?\\]/;

function fits(text: string, pattern: string): boolean {
  if (!SPECIAL.test(pattern)) return pattern === text;
  const source = pattern.replace(/\\[*?\\]|./gsu, (sign) => {
    if (sign === "*") return ".*";
    return sign === "?" ? "." : (sign.at(-1) ?? "").replace(/[.*+?^${}()|[\]\\]/u, "\\$&");
  });
  return new RegExp(`^${source}$`, "su").test(text);
}

function primaries(instance: Instance): PrivateAddress[] {
  return instance.interfaces.flatMap((eni) => eni.addresses.filter((at) => at.primary));
}

function tagField(
  tags: Readonly<Record<string, string>>,
  name: string,
): readonly (string | undefined)[] | undefined {
  if (name === "tag-key") return Object.keys(tags);
  return name.startsWith("tag:") ? [tags[name.slice(4)]] : undefined;
}
