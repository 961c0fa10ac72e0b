/** How addresses are found by DescribeAddresses, by the name that people give them, and what it means if they are not. Pure. */
import type { Address } from "@aws-sdk/client-ec2";
import {
  type DesiredAddress,
  type FixedAddress,
  nameAddress,
  type Pool,
} from "../model/address.ts";
import { AWS_CODE, EXIT, Failure, OWN_CODE } from "../model/failure.ts";
import { isAllocationId, isIpv4 } from "../model/ids.ts";
import { allowing } from "../model/permission.ts";

/** A filter of DescribeAddresses. In its values `*` and `?` are wildcards, so answers have to be compared again. */
export type Filter = readonly [name: string, values: readonly string[]];

export function filterFor(desired: FixedAddress): Filter {
  switch (desired.kind) {
    case "address":
      return ["allocation-id", [desired.allocationId]];
    case "public-ip":
      return ["public-ip", [desired.publicIp]];
    case "tagged":
      return [`tag:${desired.key}`, [desired.value]];
  }
}

/** One request each: several filters in one would all have to match. */
export function filtersFor(pool: Pool): Filter[] {
  if (!("members" in pool)) return [[`tag:${pool.key}`, [pool.value]]];
  const filters: Filter[] = [
    ["allocation-id", pool.members.filter(isAllocationId)],
    ["public-ip", pool.members.filter(isIpv4)],
  ];
  return filters.filter(([, values]) => values.length > 0);
}

/** The address itself. In Wavelength Zones there are carrier IPs, on Outposts customer-owned IPs, and no public IP. */
export function ipOf({ PublicIp, CarrierIp, CustomerOwnedIp }: Address): string | undefined {
  return PublicIp || CarrierIp || CustomerOwnedIp;
}

/** Whether this is the desired address, or one of the pool. The filter `public-ip` finds carrier IPs, too (API reference). */
export function isDesired(row: Address, desired: DesiredAddress): boolean {
  const { AllocationId = "", Tags = [] } = row;
  const ip = ipOf(row) ?? "";
  switch (desired.kind) {
    case "address":
      return AllocationId === desired.allocationId;
    case "public-ip":
      return ip === desired.publicIp;
    case "tagged":
    case "pool":
      return "members" in desired
        ? desired.members.includes(AllocationId) || desired.members.includes(ip)
        : Tags.some(({ Key, Value }) => Key === desired.key && Value === desired.value);
  }
}

/**
 * Patterns for the addresses that differ from this one in a single part, as after a typing mistake: filter values may have
 * wildcards.
 */
export function similarIps(publicIp: string): string[] {
  const parts = publicIp.split(".");
  return parts.map((_, at) => parts.toSpliced(at, 1, "*").join("."));
}

/** What cannot be done without DescribeAddresses, and how to do without. */
const WITHOUT = {
  "public-ip": "an address that is named by its public IP cannot be found",
  tagged: "an address that is named by its tag cannot be found",
  pool: "the addresses of a pool cannot be found",
} as const;

/** The failure if the role may not describe addresses. @param host of EC2 */
export function cannotBeFound(kind: keyof typeof WITHOUT, host: string): Failure {
  const instead = kind === "pool" ? "" : "; or name it by its allocation id, which does without";
  return new Failure("denied", {
    request: requestTo(host),
    why: `not allowed: ec2:DescribeAddresses, and without it ${WITHOUT[kind]}`,
    remedy: `${allowing("ec2:DescribeAddresses")}${instead}`,
    code: AWS_CODE.unauthorized,
  });
}

/** What may have become of an address that is not here. */
export const ELSEWHERE = "was it released, or is it in another region or account?";

/**
 * The failure if EC2 does not show the address.
 *
 * @param remedy what to do about it, if more is known than that it is not here
 */
export function notFound(
  desired: FixedAddress,
  host: string,
  region: string,
  remedy?: string,
  meant?: string,
): Failure {
  const [what, code, usual] =
    desired.kind === "tagged"
      ? ([
          `no address with the tag ${desired.key}=${desired.value}`,
          OWN_CODE.noTaggedAddress,
          `tag the address with it; or ${ELSEWHERE}`,
        ] as const)
      : ([
          desired.kind === "address"
            ? `no address ${desired.allocationId}`
            : `no Elastic IP ${desired.publicIp}`,
          AWS_CODE.unknownAllocation,
          ELSEWHERE,
        ] as const);
  return new Failure("not-yet", {
    request: requestTo(host),
    why: `${what} in ${region}`,
    remedy: remedy ?? usual,
    meant,
    code,
    permanentStatus: EXIT.CONFIG,
  });
}

/**
 * Of several addresses with the tag that should name one: that on this instance, which it keeps, and the names of the others.
 *
 * @throws Failure if none of them is here, or not only one
 */
export function theOneHere(
  desired: FixedAddress & { readonly kind: "tagged" },
  rows: readonly Address[],
  instanceId: string,
  host: string,
): { readonly row: Address; readonly alike: readonly string[] } {
  const [row, another] = rows.filter(({ InstanceId }) => InstanceId === instanceId);
  if (row === undefined || another !== undefined) throw ambiguous(desired, rows, host);
  return { row, alike: rows.filter((one) => one !== row).map(nameRow) };
}

function nameRow(row: Address): string {
  return nameAddress(row.AllocationId, ipOf(row));
}

/** Most addresses that a message names. */
const NAMED = 6;

/** The failure if several addresses carry the tag that should name one. */
export function ambiguous(
  { key, value }: { readonly key: string; readonly value: string },
  rows: readonly Address[],
  host: string,
): Failure {
  const names = rows.slice(0, NAMED).map(nameRow);
  const more = rows.length > NAMED ? ` and ${rows.length - NAMED} more` : "";
  return new Failure("not-yet", {
    request: requestTo(host),
    why: `${rows.length} addresses carry the tag ${key}=${value}: ${names.join(", ")}${more}`,
    remedy: "leave it on the one that is meant, or name that one by its allocation id",
    code: OWN_CODE.ambiguousTag,
    permanentStatus: EXIT.CONFIG,
  });
}

function requestTo(host: string): string {
  return `ec2:DescribeAddresses at ${host}`;
}
