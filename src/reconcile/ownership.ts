/**
 * The ownership rule: who may hold the address. Pure, and the same on every instance, so that no two
 * instances can fight over an address. An address moves only when this table says so.
 */
import {
  type AddressState,
  describeState,
  type HolderInstance,
  isAt,
  type PreviousHolder,
} from "../model/address.ts";
import { borderGroupOf } from "../model/ids.ts";
import type { Instance } from "../model/instance.ts";
import type { Target } from "../model/target.ts";
import { UNANSWERED_FOR_MS, UNKNOWN_FOR_MS } from "./bounds.ts";

/** A holder that EC2 does not know is looked at again after this, in milliseconds. */
const LOOK_AGAIN_MS = 5_000;

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
  | { readonly do: "take"; readonly from: PreviousHolder; readonly because: string }
  /** Somebody holds it and may keep it; look again later, or after `soonMs` milliseconds to be sure. */
  | {
      readonly do: "wait";
      readonly from: PreviousHolder;
      readonly because: string;
      readonly soonMs?: number;
    }
  /** A newer instance holds it: it is rightly there, stop. */
  | { readonly do: "yield"; readonly to: HolderInstance; readonly because: string }
  /** No policy may touch it; `isOrphan`: unless it is let go within a while. */
  | {
      readonly do: "refuse";
      readonly because: string;
      readonly remedy: string;
      readonly isOrphan?: boolean;
    };

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
 * @param unknownForMs how long EC2 has said that it does not know the holder, or not answered for it; 0 when it does
 * @param isReplacement whether this instance was launched just now, and has not written yet
 */
export function decide(
  target: Target,
  zone: string,
  address: AddressState,
  takeover: Takeover,
  unknownForMs: number,
  isReplacement = false,
): Decision {
  const { holder } = address;

  if (holder.kind === "other") {
    return {
      do: "refuse",
      because: `held by ${holder.what}: ${address.allocationId}`,
      ...(holder.isOrphan === true && { isOrphan: true }),
      remedy:
        holder.isOrphan === true
          ? "if it is an interface of this account that is left over, delete it, or allow ec2:DescribeNetworkInterfaces to have it taken; else give this group an Elastic IP of its own"
          : "give this group an Elastic IP of its own",
    };
  }
  if (address.borderGroup !== undefined && address.borderGroup !== borderGroupOf(zone)) {
    return {
      do: "refuse",
      because: `another network border group: ${address.allocationId} belongs to ${address.borderGroup}, and this instance in ${zone} to ${borderGroupOf(zone)}`,
      remedy: `allocate an Elastic IP in ${borderGroupOf(zone)}`,
    };
  }
  if (holder.kind === "nobody") return { do: "associate" };
  if (holder.kind === "interface") {
    return takeover === "never"
      ? wait(holder, "the takeover policy is never")
      : { do: "take", from: holder, because: `${holder.interfaceId} is attached to nothing` };
  }

  if (holder.instanceId === target.instanceId) {
    const { interfaceId, privateIp } = holder;
    if (interfaceId === undefined || privateIp === undefined) return { do: "probe", holder };
    if (isAt(target, holder)) return { do: "settled" };
    const because = `it is on ${interfaceId} ${privateIp} of this instance`;
    return { do: "take", from: holder, because };
  }

  if (takeover === "never") return wait(holder, "the takeover policy is never");

  if (takeover === "always" && !isGone(holder)) {
    return { do: "take", from: holder, because: "the takeover policy is always" };
  }
  if (takeover !== "always" && holder.state === "unknown" && unknownForMs < UNKNOWN_FOR_MS) {
    const soonMs = Math.min(LOOK_AGAIN_MS, UNKNOWN_FOR_MS - unknownForMs);
    return { ...wait(holder, "EC2 does not know that instance, or not yet"), soonMs };
  }
  if (isGone(holder)) {
    return {
      do: "take",
      from: holder,
      because: `${holder.instanceId} is ${describeState(holder) ?? "gone"}`,
    };
  }
  if (takeover === "if-gone") return wait(holder, "the takeover policy is if-gone");

  if (holder.state === "unanswered" && isReplacement && unknownForMs >= UNANSWERED_FOR_MS) {
    const because = `EC2 answers for this instance and has not for ${holder.instanceId} for a minute, as where a zone is down; this one was launched just now and counts as the newer one`;
    return { do: "take", from: holder, because };
  }
  // A state that EC2 may have added meanwhile says nothing.
  if (!isLive(holder))
    return wait(holder, "its state says neither that it is running nor that it is gone");
  if (address.selfLaunchedAt === undefined || holder.launchedAt === undefined) {
    return wait(holder, "EC2 does not show both launch times yet");
  }
  return wasLaunchedBefore(holder, {
    instanceId: target.instanceId,
    launchedAt: address.selfLaunchedAt,
  })
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

/** Was the one launched before the other? In the same second the lower instance id counts as older. */
export function wasLaunchedBefore(one: Launched, other: Launched): boolean {
  const { launchedAt = Number.NaN } = one;
  const { launchedAt: than = Number.NaN } = other;
  return launchedAt < than || (launchedAt === than && one.instanceId < other.instanceId);
}

interface Launched {
  readonly instanceId: string;
  readonly launchedAt?: number | undefined;
}

function isGone({ state }: HolderInstance): boolean {
  return (
    state === "stopping" ||
    state === "stopped" ||
    state === "shutting-down" ||
    state === "terminated" ||
    state === "unknown"
  );
}

/** Is it running, or about to? */
export function isLive({ state }: HolderInstance): boolean {
  return state === "running" || state === "pending";
}

function wait(from: PreviousHolder, because: string): Decision & { do: "wait" } {
  return { do: "wait", from, because };
}

function at(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(".000Z", "Z");
}
