/** What EC2 answers to a question of the reconciler, made from a view. */
import { REPLACEMENT_MS } from "../../src/reconcile/bounds.ts";
import {
  isNameOf,
  type AddressState,
  type HolderInstance,
  type InstanceFacts,
  type InstanceState,
} from "../../src/model/address.ts";
import type { Effect } from "../../src/reconcile/state.ts";
import type { Shown } from "./agent.ts";
import { associationId } from "./associations.ts";
import { NOBODY, type View } from "./views.ts";

export const STATES = [
  "running",
  "shutting-down",
  "terminated",
  "stopped",
  "unanswered",
] as const satisfies InstanceState[];
export const RUNNING = 0;
export const SHUTTING_DOWN = 1;
export const TERMINATED = 2;
export const STOPPED = 3;
export const UNANSWERED = 4;

export const PUBLIC_IP = "203.0.113.0";
/** The Elastic IP that is in the way. */
export const IN_THE_WAY = "198.51.100.9";

export const instanceId = (instance: number) => `i-0000000${instance}`;
export const allocationId = (address: number) => `eipalloc-0000000${address}`;
export const placeOf = (instance: number) => ({
  interfaceId: `eni-0000000${instance}`,
  privateIp: `10.0.0.${instance}`,
});

/** What does not change. */
export interface Fixed {
  /** The claimant that was launched last. */
  readonly newest: number;
  /** In milliseconds. */
  readonly launchedAt: (instance: number) => number;
  /** Is the newest in a group, which its tags show? */
  readonly isInGroup: boolean;
  /** Of the claimant that asks, among the places of a view. */
  readonly place: number;
}

export function answerTo(effect: Effect, view: View, asker: number, fixed: Fixed): Shown {
  const inTheWay = { allocationId: "eipalloc-99999999", publicIp: IN_THE_WAY };
  const isInTheWay = view.places[fixed.place] === true;
  if (effect.do === "identify") return { elasticIp: isInTheWay ? inTheWay : undefined };
  if (effect.do !== "observe") throw new Error("nothing was asked");
  const { desired, question } = effect;
  const { newest, launchedAt, isInGroup } = fixed;

  const factsOf = (instance: number): InstanceFacts => {
    const known = question.known[instanceId(instance)];
    if (known !== undefined) return known;
    const isUnknown = instance === newest && view.isNewestUnknown && asker !== newest;
    if (isUnknown) return { state: "unknown" };
    const state = STATES[view.instances[instance] ?? RUNNING] ?? "running";
    return state === "unanswered" ? { state } : { state, launchedAt: launchedAt(instance) };
  };
  const asked = new Set<number>();
  const addresses = view.addresses.map(({ holder, association }, address): AddressState => {
    if (holder !== NOBODY) asked.add(holder);
    const instance: HolderInstance = {
      kind: "instance",
      instanceId: instanceId(holder),
      ...placeOf(holder),
      associationId: associationId(address, association),
      ...(question.needsStates && holder !== NOBODY && factsOf(holder)),
    };
    return {
      allocationId: allocationId(address),
      publicIp: PUBLIC_IP,
      borderGroup: "us-east-1",
      holder: holder === NOBODY ? { kind: "nobody" } : instance,
      selfLaunchedAt: launchedAt(asker),
    };
  });
  const areAsked = question.needsStates && asked.size > 0;
  const told = areAsked ? [...asked, asker] : [];
  return {
    observation: {
      addresses: addresses.filter((one) => desired.kind === "pool" || isNameOf(desired, one)),
      direct: true,
      instances: Object.fromEntries(told.map((one) => [instanceId(one), factsOf(one)])),
      ...(areAsked && isInGroup && asker === newest && { group: "web" }),
      // It is on no other place, whoever has pushed it off.
      ...(question.displaced !== undefined && { displaced: inTheWay }),
    },
  };
}

/** When an instance was launched that runs for long: it is no replacement. */
export const LONG_AGO_MS = -2 * REPLACEMENT_MS;
