/** A run of the real binary in a world, with every call counted. */
import { expect } from "vitest";
import type { RunningRegion } from "../../sim/server.ts";
import type { BuiltInstance, World } from "../../sim/world.ts";
import { type AgentOptions, type AgentRun, runAgent } from "../support/agent.ts";
import { inRegion } from "../support/region.ts";

/** Look, act, look again, and once more after the hold: what associating a free address takes. */
export const FREE = [
  "DescribeAddresses",
  "AssociateAddress",
  "DescribeAddresses",
  "DescribeAddresses",
];

/** The same when it is elsewhere on this instance, by role: the old one may not describe addresses. */
export const MOVE = {
  full: FREE,
  old: [
    "DescribeAddresses",
    "DescribeInstances",
    "AssociateAddress",
    "DescribeInstances",
    "DescribeInstances",
  ],
};

export const DEADLINE = { EIP_HEAL_DEADLINE: "4s" };

/**
 * What AllowReassociation=false means where another Elastic IP stands in the place. EC2's documentation has known both;
 * whichever it is today, the same comes of it.
 */
export const PLACES = [
  { does: "empties the place", strictPlaces: false },
  { does: "refuses", strictPlaces: true },
];

interface Scene {
  readonly run: AgentRun;
  readonly region: RunningRegion;
  /** The actions called, in order. */
  readonly calls: readonly string[];
  /** Parameters of the one AssociateAddress, if there was one. */
  readonly associate: Readonly<Record<string, string>> | undefined;
}

export async function play(
  world: World,
  me: BuiltInstance,
  options: AgentOptions = {},
  {
    mostWrites = 1,
    prepare,
  }: { mostWrites?: number; prepare?: (region: RunningRegion) => void } = {},
): Promise<Scene> {
  return inRegion(world, async (region) => {
    prepare?.(region);
    const run = await runAgent(region, me.instanceId, options);
    const writes = region.calls.filter(({ action }) => action === "AssociateAddress");
    expect(writes.length).toBeLessThanOrEqual(mostWrites);
    return {
      run,
      region,
      calls: region.calls.map(({ action }) => action),
      associate: writes[0]?.params,
    };
  });
}

/** AllowReassociation of each AssociateAddress. */
export const reassociations = ({ calls }: RunningRegion) =>
  calls
    .filter(({ action }) => action === "AssociateAddress")
    .map(({ params }) => params["AllowReassociation"]);

export const settled = (allocationId: string) => ({ EIP_HEAL_ALLOCATION_ID: allocationId });
