/**
 * Which address of a pool this instance goes for: the one it holds, else a free one, else one that an instance which is
 * gone still holds, else, with EIP_HEAL_POOL_TAKEOVER=oldest, that of the oldest running instance. Pure.
 */
import {
  type AddressState,
  type HolderInstance,
  isAt,
  isFree,
  isHeldBySelf,
  isUsableIn,
  missingMembers,
  nameAddress,
  nameHolder,
  type Pool,
} from "../model/address.ts";
import type { Target } from "../model/target.ts";
import { decide, type Decision, isLive, wasLaunchedBefore } from "./ownership.ts";

/** EIP_HEAL_POOL_TAKEOVER: whether an address may be taken from a running instance if no other one is available. */
export const POOL_TAKEOVERS = ["no", "oldest"] as const;
export type PoolTakeover = (typeof POOL_TAKEOVERS)[number];

/** A decision about one address of the pool. */
export type Choice =
  | { readonly address: AddressState; readonly decision: Decision }
  /** No address is available; `why` says so in words. */
  | { readonly address?: undefined; readonly why: string };

/**
 * Chooses the address to go for.
 *
 * @param lostClaims allocation ids that others have claimed since this observation
 * @param unknownForMs how long EC2 has said that the holder of an address does not exist, in milliseconds
 */
export function choose(
  target: Target,
  zone: string,
  addresses: readonly AddressState[],
  poolTakeover: PoolTakeover,
  lostClaims: readonly string[],
  unknownForMs: (address: AddressState) => number,
): Choice {
  const own = addresses.filter((address) => isHeldBySelf(address, target));
  const atTarget = own.find(({ holder }) => holder.kind === "instance" && isAt(target, holder));
  const kept = atTarget ?? own[0];
  if (kept !== undefined)
    return { address: kept, decision: decide(target, zone, kept, "if-gone", 0) };

  const usable = addresses.filter(
    (address) => isUsableIn(address, zone) && !lostClaims.includes(address.allocationId),
  );
  // Sorted apart from the others: in a pool of thousands mostly only the few free ones have to be.
  const [free] = inOrder(usable.filter(isFree), target.instanceId, zone);
  if (free !== undefined) return { address: free, decision: { do: "associate" } };

  for (const address of inOrder(usable, target.instanceId, zone)) {
    const decision = decide(target, zone, address, "if-gone", unknownForMs(address));
    if (decision.do === "take") return { address, decision };
  }
  const oldest = poolTakeover === "oldest" ? oldestOf(usable, target.instanceId) : undefined;
  if (oldest === undefined) return { why: whyNone(addresses, zone) };
  const { address, from } = oldest;
  const because = `${from.instanceId} is the oldest instance that holds one, and was launched before this one`;
  return { address, decision: { do: "take", from, because } };
}

/**
 * The address of the oldest running instance that was launched before this one. Instances that boot together all find the
 * same one; it stays with the last to write, and the others notice during their hold and go for the next one.
 */
function oldestOf(
  addresses: readonly AddressState[],
  instanceId: string,
): { address: AddressState; from: HolderInstance } | undefined {
  let oldest: { address: AddressState; from: HolderInstance } | undefined;
  for (const address of addresses) {
    const { holder: from, selfLaunchedAt } = address;
    if (from.kind !== "instance" || !isLive(from)) continue;
    if (!wasLaunchedBefore(from, { instanceId, launchedAt: selfLaunchedAt })) continue;
    if (oldest === undefined || wasLaunchedBefore(from, oldest.from)) oldest = { address, from };
  }
  return oldest;
}

/**
 * Addresses reserved for this zone first, then the others. Within both the order depends on the instance id (rendezvous
 * hashing), so that instances that boot together try different addresses, and an instance always tries the same one first.
 */
function inOrder(
  addresses: readonly AddressState[],
  instanceId: string,
  zone: string,
): AddressState[] {
  const rank = new Map(
    addresses.map((address) => [address, weight(`${instanceId} ${address.allocationId}`)]),
  );
  return addresses.toSorted(
    (a, b) =>
      Number(b.zone === zone) - Number(a.zone === zone) || (rank.get(b) ?? 0) - (rank.get(a) ?? 0),
  );
}

/** FNV-1a with a final mix, 32 bits: it only has to distribute evenly. */
function weight(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Why no address of this pool is available, with those in its list that are not here at all. */
export function whyNoneOf(pool: Pool, addresses: readonly AddressState[], why: string): string {
  const missing = missingMembers(pool, addresses);
  if (missing.length === 0) return why;
  const named = missing.slice(0, NAMED).join(", ");
  const more = missing.length > NAMED ? ` and ${missing.length - NAMED} more` : "";
  const unknown = `not in this region and account: ${named}${more}`;
  return addresses.length === 0 ? unknown : `${why}; ${unknown}`;
}

/** Most addresses that a message names. */
const NAMED = 6;

function whyNone(addresses: readonly AddressState[], zone: string): string {
  if (addresses.length === 0) return "no address carries that tag";
  const described = addresses.slice(0, NAMED).map((address) => {
    const { allocationId, publicIp, holder } = address;
    const name = nameAddress(allocationId, publicIp);
    if (!isUsableIn(address, zone)) return `${name} is for ${address.zone ?? address.borderGroup}`;
    switch (holder.kind) {
      case "nobody":
        return `${name} was claimed by somebody else just now`;
      case "instance":
      case "interface":
        return `${name} is held by ${nameHolder(holder)}`;
      case "other":
        return `${name} is held by ${holder.what}`;
    }
  });
  const more = addresses.length > NAMED ? ` and ${addresses.length - NAMED} more` : "";
  return `no address is free for ${zone}: ${described.join(", ")}${more}`;
}
