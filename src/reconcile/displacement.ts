/**
 * Which Elastic IP an association displaces. A private address can have one Elastic IP: associating another one
 * disassociates it, and it stays allocated. Instance metadata shows the public address at the target but not whether it is
 * an Elastic IP; only EC2 knows that. Pure.
 */
import {
  type DesiredAddress,
  type ElasticIp,
  isAt,
  isNameOf,
  nameAddress,
  type Observation,
} from "../model/address.ts";
import { Failure } from "../model/failure.ts";
import { nameTarget, type Target } from "../model/target.ts";

/** The public address that was at the target when an association was sent. */
export interface Displaced {
  readonly publicIp: string;
  /** The address that was associated. */
  readonly by: { readonly allocationId: string; readonly publicIp?: string };
  /** Set if EC2 was asked beforehand and it is an Elastic IP; otherwise an observation after the write tells. */
  readonly elasticIp?: ElasticIp;
}

/** What a run remembers about displaced addresses. */
export interface Displacement {
  /** What the last association displaces, until that is certain and has been logged. */
  readonly pending?: Displaced;
  /** Public addresses that are no longer at the target, even if instance metadata still shows them. */
  readonly gone: readonly string[];
}

export const NOTHING_DISPLACED: Displacement = { gone: [] };

/** The updated memory, and the Elastic IP that is now known to have been displaced, if any. */
interface Development {
  readonly displacement: Displacement;
  readonly certain?: ElasticIp;
}

/**
 * The public address at the target that associating another one may displace.
 *
 * @param publicIp the public address to be associated, if known
 */
export function ipToDisplace(
  { publicIp: current }: Target,
  publicIp: string | undefined,
  { gone }: Displacement,
): string | undefined {
  return current === undefined || current === publicIp || gone.includes(current)
    ? undefined
    : current;
}

/**
 * After an association was accepted or left unanswered.
 *
 * @param displaced what was at the target before
 */
export function afterWrite(
  { gone }: Displacement,
  displaced: Displaced | undefined,
  isAccepted: boolean,
): Development {
  if (displaced === undefined) return { displacement: { gone } };
  if (!isAccepted) return { displacement: { pending: displaced, gone } };
  const { publicIp, elasticIp } = displaced;
  const now = add(gone, publicIp);
  return elasticIp === undefined
    ? { displacement: { pending: displaced, gone: now } }
    : { displacement: { gone: now }, certain: elasticIp };
}

/** After an observation: it may make certain what was displaced. */
export function afterObservation(
  displacement: Displacement,
  { addresses, displaced: shown }: Observation,
  target: Target,
): Development {
  const { pending, gone } = displacement;
  if (pending === undefined) return { displacement };
  const { by, publicIp, elasticIp = shown } = pending;
  const isHere = addresses.some(
    ({ allocationId, holder }) =>
      allocationId === by.allocationId && holder.kind === "instance" && isAt(target, holder),
  );
  if (!isHere && !gone.includes(publicIp)) return { displacement };
  return {
    displacement: { gone: add(gone, publicIp) },
    ...(elasticIp && { certain: elasticIp }),
  };
}

/** What the next observation should also find out: whether the displaced public address is an Elastic IP. */
export function questionAbout(
  { pending }: Displacement,
  desired: DesiredAddress,
): { publicIp: string; by: string } | undefined {
  if (pending === undefined || pending.elasticIp !== undefined) return undefined;
  const { by, publicIp } = pending;
  return isNameOf(desired, by) && by.publicIp !== undefined
    ? { publicIp, by: by.publicIp }
    : undefined;
}

/** The failure if EIP_HEAL_DISPLACE=no and this Elastic IP is at the target. */
export function mayNotDisplace(target: Target, { allocationId, publicIp }: ElasticIp): Failure {
  const other = nameAddress(allocationId, publicIp);
  return new Failure("misconfigured", {
    why: `another Elastic IP, ${other}, is on ${target.interfaceId} ${target.privateIp}, and EIP_HEAL_DISPLACE is no`,
    remedy:
      "disassociate it, give another place by EIP_HEAL_INTERFACE or EIP_HEAL_PRIVATE_IP, or set EIP_HEAL_DISPLACE=yes",
  });
}

/** The warning about an Elastic IP that was displaced. */
export function displacedLine({ allocationId, publicIp }: ElasticIp, target: Target): string {
  return `${nameAddress(allocationId, publicIp)} was disassociated from ${nameTarget(target)}; it stays allocated`;
}

/** The warning of a dry run about an Elastic IP that a real run would displace. */
export function wouldDisplaceLine({ allocationId, publicIp }: ElasticIp, target: Target): string {
  return `${nameAddress(allocationId, publicIp)} would be disassociated from ${nameTarget(target)}`;
}

function add(gone: readonly string[], publicIp: string): readonly string[] {
  return gone.includes(publicIp) ? gone : [...gone, publicIp];
}
