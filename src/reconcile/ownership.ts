/**
 * The ownership rule: who may hold the address. Pure, and the same on every instance, so that no two
 * instances can fight over an address. An address moves only when this table says so.
 */
import { type AddressState, describeState, type HolderInstance, isAt } from "../model/address.ts";
import { borderGroupOf } from "../model/ids.ts";
import type { Instance } from "../model/instance.ts";
import type { Target } from "../model/target.ts";

/** When may the address be taken from an instance that holds it? */
export const TAKEOVERS = ["never", "if-gone", "newest", "always"] as const;
export type Takeover = (typeof TAKEOVERS)[number];

export type Decision =
  /** The address is where it belongs. */
  | { readonly do: "settled" }
  /** This instance holds it, and EC2 does not show where on it: find out by associating it at the target. */
  | { readonly do: "probe"; readonly holder: HolderInstance }
  /** Nobody holds it: associate, and fail if somebody is quicker. */
  | { readonly do: "associate" }
  /** Somebody or another interface of ours holds it and the rule gives it to us. */
  | { readonly do: "take"; readonly from: HolderInstance; readonly because: string }
  /** Somebody holds it and may keep it; look again later, or after `soonMs` milliseconds to be sure. */
  | {
      readonly do: "wait";
      readonly from: HolderInstance;
      readonly because: string;
      readonly soonMs?: number;
    }
  /** A newer instance holds it: it is rightly there, stop. */
  | { readonly do: "yield"; readonly to: HolderInstance; readonly because: string }
  /** No policy may touch it. */
  | { readonly do: "refuse"; readonly because: string; readonly cure: string };

/**
 * How long EC2 must have denied knowing the holder before it counts as gone, in milliseconds. EC2 is
 * eventually consistent: an instance that is unknown in one answer may be a very new one, and a very new
 * one is just what must not be robbed.
 */
export const UNKNOWN_FOR_MS = 3_000;

/**
 * Why this instance is to leave the address alone whoever holds it, or undefined if it is in service.
 * Auto Scaling shows the target of the transition: a warm-pool member that is being prepared is not in
 * service, nor is one in standby or on its way out.
 */
export function whyNotInService(self: Instance): string | undefined {
  const { lifecycleState: state, spotAction } = self;
  if (spotAction !== undefined) return `this spot instance is about to ${spotAction}`;
  if (state === undefined || state === "InService") return undefined;
  return `this instance is not in service (its Auto Scaling target state is ${state})`;
}

/**
 * Decides what this instance does about an address.
 *
 * @param target where the address is to be
 * @param zone availability zone of this instance
 * @param unknownForMs how long EC2 has said that it does not know the holder, 0 when it does
 */
export function decide(
  target: Target,
  zone: string,
  address: AddressState,
  takeover: Takeover,
  unknownForMs: number,
): Decision {
  const { holder } = address;

  if (holder.kind === "other") {
    return {
      do: "refuse",
      because: `${address.allocationId} is held by ${holder.what}`,
      cure: "give this group an Elastic IP of its own",
    };
  }
  if (address.borderGroup !== undefined && address.borderGroup !== borderGroupOf(zone)) {
    return {
      do: "refuse",
      because: `${address.allocationId} belongs to the network border group ${address.borderGroup}, this instance in ${zone} to ${borderGroupOf(zone)}`,
      cure: `allocate an Elastic IP in ${borderGroupOf(zone)}`,
    };
  }
  if (holder.kind === "nobody") return { do: "associate" };

  if (holder.instanceId === target.instanceId) {
    const { interfaceId, privateIp } = holder;
    if (interfaceId === undefined || privateIp === undefined) return { do: "probe", holder };
    if (isAt(target, holder)) return { do: "settled" };
    const because = `it is on ${interfaceId} ${privateIp} of this instance`;
    return { do: "take", from: holder, because };
  }

  if (takeover === "never") return wait(holder, "the takeover policy is never");

  if (isGone(holder)) {
    if (holder.state === "unknown" && unknownForMs < UNKNOWN_FOR_MS) {
      const soonMs = UNKNOWN_FOR_MS - unknownForMs;
      return { ...wait(holder, "EC2 does not know that instance, or not yet"), soonMs };
    }
    return {
      do: "take",
      from: holder,
      because: `${holder.instanceId} is ${describeState(holder)}`,
    };
  }
  if (takeover === "if-gone") return wait(holder, "the takeover policy is if-gone");
  if (takeover === "always") {
    return { do: "take", from: holder, because: "the takeover policy is always" };
  }

  if (address.selfLaunchedAt === undefined || holder.launchedAt === undefined) {
    return wait(holder, "EC2 does not show both launch times yet");
  }
  const its = { instanceId: holder.instanceId, launchedAt: holder.launchedAt };
  return isOlder(its, { instanceId: target.instanceId, launchedAt: address.selfLaunchedAt })
    ? {
        do: "take",
        from: holder,
        because: `${holder.instanceId} was launched before this instance`,
      }
    : {
        do: "yield",
        to: holder,
        because: `${holder.instanceId} (${holder.state}) was launched ${at(holder.launchedAt)}, after this instance (${at(address.selfLaunchedAt)})`,
      };
}

/** An instance, and EC2's LaunchTime for it. */
export interface Launched {
  readonly instanceId: string;
  readonly launchedAt: number;
}

/** Was the first launched before the second? Of two in the same second the one with the higher id counts as the newer. */
export function isOlder(one: Launched, two: Launched): boolean {
  return (
    one.launchedAt < two.launchedAt ||
    (one.launchedAt === two.launchedAt && one.instanceId < two.instanceId)
  );
}

export function isGone(holder: HolderInstance): boolean {
  return holder.state !== "running" && holder.state !== "pending";
}

function wait(from: HolderInstance, because: string): Decision & { do: "wait" } {
  return { do: "wait", from, because };
}

function at(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(".000Z", "Z");
}
