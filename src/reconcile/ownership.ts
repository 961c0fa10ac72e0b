/**
 * The ownership rule: who may hold the address. Pure, and the same on every instance, so that two instances never both
 * believe that the address is theirs. An address moves only if this rule says so.
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

/** Milliseconds until the next look at a holder that EC2 does not know. */
const LOOK_AGAIN_MS = 5_000;

/** EIP_HEAL_TAKEOVER: when the address may be taken from an instance that holds it. */
export const TAKEOVERS = ["never", "if-gone", "newest", "always"] as const;
export type Takeover = (typeof TAKEOVERS)[number];

export type Decision =
  /** The address is at the target. */
  | { readonly do: "settled" }
  /** This instance holds it, but EC2 does not show on which interface: find out by associating it at the target. */
  | { readonly do: "probe"; readonly holder: HolderInstance }
  /** Nobody holds it: associate it, without AllowReassociation. */
  | { readonly do: "associate" }
  /** Another holder, or another interface of this instance, has it, and the rule gives it to the target. */
  | { readonly do: "take"; readonly from: PreviousHolder; readonly because: string }
  /** The holder may keep it for now. Look again later; if `soonMs` is set, after that many milliseconds. */
  | {
      readonly do: "wait";
      readonly from: PreviousHolder;
      readonly because: string;
      readonly soonMs?: number;
    }
  /** A newer instance holds it, as it should: stop. */
  | { readonly do: "yield"; readonly to: HolderInstance; readonly because: string }
  /** It must not be taken under any policy. With `isOrphan` it may become free within minutes. */
  | {
      readonly do: "refuse";
      readonly because: string;
      readonly remedy: string;
      readonly isOrphan?: boolean;
    };

/**
 * Why this instance is not in service and so must not touch the address; undefined if it is. The lifecycle state is the
 * target of the current transition: an instance on its way into a warm pool, Standby or termination is not in service.
 */
export function whyNotInService({ lifecycleState: state }: Instance): string | undefined {
  if (state === undefined || state === "InService") return undefined;
  return `this instance is not in service (its Auto Scaling target state is ${state})`;
}

/** The same for a spot instance that EC2 is about to interrupt, by what is about to happen to it. */
export function whyInterrupted(spotAction: string | undefined): string | undefined {
  return spotAction && `this spot instance is about to ${spotAction}`;
}

/**
 * Whether an instance in this target lifecycle state may enter service without a boot, which would run a heal. A stopped
 * member of a warm pool boots.
 */
export function mayEnterServiceRunning(lifecycleState: string | undefined): boolean {
  return /^(?:Standby|Warmed:(?:Running|Hibernated))$/.test(lifecycleState ?? "");
}

/**
 * Decides what this instance does about an address.
 *
 * @param target where the address should be
 * @param zone Availability Zone of this instance
 * @param unknownForMs how long EC2 has said that the holder does not exist, or not answered for it; 0 if it does answer
 * @param isReplacement whether this instance was launched recently and has not written on this boot
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
  // A state that EC2 has added since this was written decides nothing.
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
        because: `${holder.instanceId} (${holder.state}) was launched ${isoTime(holder.launchedAt)}, after this instance (${isoTime(address.selfLaunchedAt)})`,
      };
}

/** Whether `one` was launched before `other`. Within the same second the lower instance id counts as older. */
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

/** Whether an instance is running or pending. */
export function isLive({ state }: HolderInstance): boolean {
  return state === "running" || state === "pending";
}

function wait(from: PreviousHolder, because: string): Decision & { do: "wait" } {
  return { do: "wait", from, because };
}

function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(".000Z", "Z");
}
