/**
 * The table of who may have the address, row by row, with an EC2 that is as slow as it is in accounts with many
 * instances. Slowness delays a take and never prevents it. On virtual time; test/binary/slow.test.ts is the real thing.
 */
import { describe, expect, test } from "vitest";
import type { InstanceState } from "../../sim/model.ts";
import { Region } from "../../sim/region.ts";
import { aWorld, type BuiltInstance, type World } from "../../sim/world.ts";
import { everyAnswerTakes, latencyOf, SLOWNESS } from "../support/slowness.ts";
import { runOnVirtualTime } from "./agent.ts";
import { dice, VirtualTime } from "./time.ts";

const START = Date.UTC(2026, 10, 1);
const LAUNCHED = START - 60_000;
const OLDER = LAUNCHED - 3_600_000;
const NEWER = LAUNCHED + 30_000;

type End =
  /** Success; what has changed. */
  | "associated"
  | "taken"
  | "none"
  /** A newer instance has it. */
  | "yielded"
  /** Nobody may take it, or not as far as this role may see; waited for in vain. */
  | "refused"
  | "held";

interface Row {
  /** Who has the address: `the address is held by …`. */
  readonly who: string;
  readonly hold: (
    world: World,
    address: { readonly allocationId: string },
    me: BuiltInstance,
  ) => void;
  /** With the full role, and with that of the user-data script. */
  readonly full: End;
  readonly old: End;
  /** Calls beyond what a take takes elsewhere. */
  readonly more?: number;
}

const heldBy =
  (state: InstanceState, launchTime: number): Row["hold"] =>
  (world, address) =>
    world.hold(address, world.instance({ state, launchTime, keepsAssociation: true }));

const ROWS: readonly Row[] = [
  { who: "nobody", hold: () => {}, full: "associated", old: "associated" },
  {
    who: "this instance",
    hold: (world, address, me) => world.hold(address, me),
    full: "none",
    old: "none",
  },
  {
    who: "another interface of this instance",
    hold: (world, address, me) =>
      world.hold(address, me, me.interfaces[1]?.addresses[0]?.privateIp),
    full: "taken",
    old: "taken",
  },
  {
    who: "an instance that is stopped",
    hold: heldBy("stopped", NEWER),
    full: "taken",
    old: "taken",
  },
  {
    who: "an instance that is terminated",
    hold: heldBy("terminated", NEWER),
    full: "taken",
    old: "taken",
  },
  {
    who: "an instance that EC2 does not know",
    hold(world, address) {
      const gone = world.instance({ launchTime: NEWER });
      world.hold(address, gone);
      world.data.instances = world.data.instances.filter(
        (one) => one.instanceId !== gone.instanceId,
      );
    },
    full: "taken",
    // DescribeInstances alone shows nobody.
    old: "held",
    // It has to be unknown for 15 s, and is looked at every five.
    more: 6,
  },
  {
    who: "an older running instance",
    hold: heldBy("running", OLDER),
    full: "taken",
    old: "taken",
  },
  {
    who: "a newer running instance",
    hold: heldBy("running", NEWER),
    full: "yielded",
    old: "yielded",
  },
  {
    who: "an interface that is on no instance",
    hold: (world, address) => void world.holdByOrphan(address),
    full: "refused",
    old: "held",
  },
];

const STATUS = { yielded: 69, refused: 78, held: 75 } as const;

describe.each(ROWS)("held by $who", ({ hold, more = 0, ...ends }) => {
  describe.each(["full", "old"] as const)("with the %s role", (role) => {
    test.each([...SLOWNESS, everyAnswerTakes(0.8)])(`$name: ${ends[role]}`, async (slowness) => {
      const world = aWorld();
      const address = world.address();
      const me = world.instance({
        role,
        launchTime: LAUNCHED,
        metadataTags: true,
        enis: [{ privateIps: ["10.0.0.20"] }, { privateIps: ["10.0.1.20"], deviceIndex: 1 }],
      });
      hold(world, address, me);
      const time = new VirtualTime(START);
      const region = new Region(world.data, time.now);
      const before = region.holder(address.allocationId)?.networkInterfaceId;
      const calls: string[] = [];
      const run = runOnVirtualTime({
        region,
        time,
        instanceId: me.instanceId,
        settings: { EIP_HEAL_ALLOCATION_ID: address.allocationId },
        random: dice(1),
        passage: (action) => {
          calls.push(action);
          // EC2 goes on with a request that nobody waits for any more.
          return { thereMs: latencyOf(slowness, action), backMs: 0, isLate: true };
        },
      });
      await time.run();
      const outcome = await run;
      const end = ends[role];
      const after = region.holder(address.allocationId)?.networkInterfaceId;
      if (end === "yielded" || end === "refused" || end === "held") {
        expect(outcome).toMatchObject({ end: "failed", status: STATUS[end] });
        expect(after).toBe(before);
        if (end === "yielded") expect(calls.length).toBeLessThanOrEqual(3);
        return;
      }
      expect(outcome).toMatchObject({ end: "settled", change: end, tries: 1 });
      expect(after).toBe(me.networkInterfaceId);
      expect(outcome.ms).toBeLessThan(60_000);
      const associations = calls.filter((action) => action === "AssociateAddress");
      expect(associations).toHaveLength(end === "none" ? 0 : 1);
      expect(calls.length, calls.join(" ")).toBeLessThanOrEqual(
        end === "none" ? 2 : slowness.mostCalls + more,
      );
    });
  });
});
