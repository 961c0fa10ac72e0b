/** What an observation tells about what the run has done before, and what of it is worth remembering. Pure. */
import { type AddressState, type ElasticIp, isHeldBySelf } from "../model/address.ts";
import type { Target } from "../model/target.ts";
import { FACTS_MS } from "./bounds.ts";
import { afterObservation, displacedLine } from "./displacement.ts";
import { isOwn, type Memory, type State, type TimedObservation, warn } from "./state.ts";

/** The state after an observation, and the observation with what the run knows added to it. */
export function learn(
  before: State,
  answer: TimedObservation,
): { state: State; seen: TimedObservation } {
  const { target } = before.goal;
  const { accepted: acceptedBefore, ...memory } = before.memory;
  const isElsewhere = answer.addresses.some(
    (address) => address.allocationId === acceptedBefore && !isHeldBySelf(address, target),
  );
  const accepted = isElsewhere ? undefined : acceptedBefore;
  const addresses = answer.addresses.map((address) =>
    address.allocationId === accepted ? assumeAtTarget(target, address) : address,
  );
  const seen: TimedObservation = { ...answer, addresses };
  const { displacement, certain } = afterObservation(memory.displacement, seen, target);
  const [first] = addresses;
  const lastHolder =
    first?.holder.kind === "instance" && !isHeldBySelf(first, target)
      ? first.holder.instanceId
      : memory.lastHolder;
  const described = Object.entries(answer.instances ?? {}).map(([id, facts]) => [
    id,
    { ...facts, askedAt: answer.askedAt },
  ]);
  const state: State = {
    ...before,
    memory: {
      ...memory,
      ...(accepted !== undefined && { accepted }),
      ...(answer.group !== undefined &&
        memory.group === undefined && { group: { name: answer.group, since: answer.askedAt } }),
      ...(lastHolder !== undefined && { lastHolder }),
      facts: { ...memory.facts, ...(Object.fromEntries(described) as Memory["facts"]) },
      displacement,
    },
  };
  return { state: certain ? warnDisplaced(state, certain) : state, seen };
}

/** Says what was displaced; not of an address that belongs on this instance too, which another run brings to its place. */
export function warnDisplaced(state: State, elasticIp: ElasticIp): State {
  const { goal } = state;
  return isOwn(goal, elasticIp) ? state : warn(state, displacedLine(elasticIp, goal.target));
}

/**
 * If this instance holds the address, EC2 shows some Elastic IP at the target but not which, and EC2 accepted the address
 * there: the address, at the target.
 */
function assumeAtTarget(target: Target, address: AddressState): AddressState {
  const { holder, elasticIpHere } = address;
  if (holder.kind !== "instance" || holder.interfaceId !== undefined || elasticIpHere === undefined)
    return address;
  const { interfaceId, privateIp } = target;
  return { ...address, publicIp: elasticIpHere, holder: { ...holder, interfaceId, privateIp } };
}

/** Memory.unknownSince, brought up to date by this observation. @param now milliseconds of the reconciler's clock (run/loop.ts) */
export function unknownHolders(
  { unknownSince, holdersSeenAt }: Memory,
  { addresses }: TimedObservation,
  now: number,
): Memory["unknownSince"] {
  // After a gap it is not known whether EC2 would have answered the same all the time.
  const isGap = holdersSeenAt !== undefined && now - holdersSeenAt > FACTS_MS;
  const since = isGap ? {} : { ...unknownSince };
  for (const { holder } of addresses) {
    if (holder.kind !== "instance") continue;
    const { instanceId, state } = holder;
    for (const doubt of ["unknown", "unanswered"]) {
      if (state === doubt) since[`${doubt} ${instanceId}`] ??= now;
      else delete since[`${doubt} ${instanceId}`];
    }
  }
  return since;
}
