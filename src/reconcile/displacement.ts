/**
 * What an association displaces. EC2 gives a private address one Elastic IP at a time: the one that stood there is
 * disassociated, and stays allocated. Instance metadata shows a public address at the target, but not whether it is an
 * Elastic IP; EC2 knows. Pure.
 */
import {
  type DesiredAddress,
  type ElasticIp,
  isAt,
  nameAddress,
  type Observation,
} from "../model/address.ts";
import { Failure } from "../model/failure.ts";
import { nameTarget, type Target } from "../model/target.ts";

/** A public address that stood at the target when an association was sent. */
export interface Displaced {
  readonly publicIp: string;
  /** The address that was associated. */
  readonly by: { readonly allocationId: string; readonly publicIp?: string };
  /** The Elastic IP that it is, if that was asked before; else an observation afterwards tells. */
  readonly elasticIp?: ElasticIp;
}

/** What a run remembers of what it has displaced. */
export interface Displacement {
  /** What the last association displaces, until that is certain and told. */
  readonly pending?: Displaced;
  /** Public addresses that stand at the target no more, whatever instance metadata still shows. */
  readonly gone: readonly string[];
}

export const NOTHING_DISPLACED: Displacement = { gone: [] };

/** What is remembered from now on, and the Elastic IP of which it is now certain that it was displaced. */
interface Development {
  readonly displacement: Displacement;
  readonly certain?: ElasticIp;
}

/** The public address at the target, if associating an address with this public one may displace it. */
export function ipToDisplace(
  { publicIp: there }: Target,
  publicIp: string | undefined,
  { gone }: Displacement,
): string | undefined {
  return there === undefined || there === publicIp || gone.includes(there) ? undefined : there;
}

/** An association was sent, and accepted or not answered; `displaced` is what stood there. */
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

/** EC2 was observed: is it certain now what was displaced? */
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

/** What the next observation is to tell besides: whether what stood there is an Elastic IP. */
export function questionAbout(
  { pending }: Displacement,
  desired: DesiredAddress,
): { publicIp: string; by: string } | undefined {
  if (pending === undefined || pending.elasticIp !== undefined) return undefined;
  const { by, publicIp } = pending;
  return desired.kind === "address" &&
    by.allocationId === desired.allocationId &&
    by.publicIp !== undefined
    ? { publicIp, by: by.publicIp }
    : undefined;
}

/** EIP_HEAL_DISPLACE=no, and the target carries this one. */
export function mayNotDisplace(target: Target, { allocationId, publicIp }: ElasticIp): Failure {
  const other = nameAddress(allocationId, publicIp);
  return new Failure("misconfigured", {
    why: `another Elastic IP, ${other}, is on ${target.interfaceId} ${target.privateIp}, and EIP_HEAL_DISPLACE is no`,
    remedy:
      "disassociate it, give another place by EIP_HEAL_INTERFACE or EIP_HEAL_PRIVATE_IP, or set EIP_HEAL_DISPLACE=yes",
  });
}

/** The line about an Elastic IP that was displaced. */
export function displacedLine({ allocationId, publicIp }: ElasticIp, target: Target): string {
  return `${nameAddress(allocationId, publicIp)} is pushed off ${nameTarget(target)}; it stays allocated`;
}

/** The line about one that a real run would displace. */
export function wouldDisplaceLine({ allocationId, publicIp }: ElasticIp, target: Target): string {
  return `${nameAddress(allocationId, publicIp)} would be pushed off ${nameTarget(target)}`;
}

function add(gone: readonly string[], publicIp: string): readonly string[] {
  return gone.includes(publicIp) ? gone : [...gone, publicIp];
}
