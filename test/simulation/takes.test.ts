/** Takes that meet each other, on virtual time: single stories that the races of race.test.ts do not tell. */
import { describe, expect, test } from "vitest";
import type { LastResult } from "../../src/reconcile/drift.ts";
import { FLIGHT_MS } from "../../src/reconcile/bounds.ts";
import { Region } from "../../sim/region.ts";
import { aWorld, type World } from "../../sim/world.ts";
import { type Passage, runOnVirtualTime, runWith } from "./agent.ts";
import { dice, VirtualTime } from "./time.ts";

const START = Date.UTC(2026, 10, 1);
const quick: Passage = { thereMs: 10, backMs: 10 };

function stage(world: World) {
  const time = new VirtualTime(START);
  const region = new Region(world.data, time.now);
  /** Associations that EC2 has accepted, by the instance that asked. */
  const accepted: string[] = [];
  const optionsOf = (
    instanceId: string,
    settings: Record<string, string>,
    passageOf: (request: number) => Passage = () => quick,
  ) => {
    let requests = 0;
    return {
      region,
      time,
      instanceId,
      settings,
      random: dice(1),
      passage: () => passageOf(requests++),
      onApplied: (action: string, by: string, refusal?: string) => {
        if (action === "AssociateAddress" && refusal === undefined) accepted.push(by);
      },
    };
  };
  return { time, region, accepted, optionsOf };
}

/** Two that take an address whatever, so many milliseconds apart, from one that is older than both. */
async function twoThatAlwaysTake(
  apart: number,
  passage: (action: string) => Passage = () => quick,
) {
  const world = aWorld();
  const address = world.address();
  world.hold(address, world.instance());
  const older = world.instance({ role: "full" });
  const newer = world.instance({ role: "full" });
  const { time, accepted, region, optionsOf } = stage(world);
  const settings = {
    EIP_HEAL_ALLOCATION_ID: address.allocationId,
    EIP_HEAL_TAKEOVER: "always",
  };
  const ends = [older, newer].map(async ({ instanceId }, index) => {
    await time.sleep(index * apart);
    return runOnVirtualTime({ ...optionsOf(instanceId, settings), passage });
  });
  await time.run();
  const holder = () => region.holder(address.allocationId)?.instanceId;
  return { ends: await Promise.all(ends), accepted, holder, older, newer };
}

describe("takes", () => {
  test("two that always take do so once each; then the newer one has it", async () => {
    const { ends, accepted, holder, older, newer } = await twoThatAlwaysTake(1_500);
    const [first, second] = ends;
    expect(first).toMatchObject({ end: "failed", status: 69 });
    expect(second).toMatchObject({ end: "settled" });
    expect(accepted).toEqual([older.instanceId, newer.instanceId]);
    expect(holder()).toBe(newer.instanceId);
  });

  test.each([0, 700, 1_400, 2_100])(
    "two that always take, whose writes are answered too late, do not go on for ever (%d ms apart)",
    async (apart) => {
      const { ends, accepted, holder, newer } = await twoThatAlwaysTake(apart, (action) =>
        action === "AssociateAddress"
          ? { thereMs: 100, backMs: 2 * FLIGHT_MS }
          : { thereMs: 10, backMs: 790 },
      );
      const [first, second] = ends;
      expect(first).toMatchObject({ end: "failed", status: 69 });
      expect(second).toMatchObject({ end: "settled" });
      expect(accepted.length).toBeLessThanOrEqual(4);
      expect(holder()).toBe(newer.instanceId);
    },
  );

  test("of a pool that hundreds hold, from the one among them that is gone", async () => {
    const world = aWorld();
    for (let i = 0; i < 260; i++) {
      const state = i === 250 ? "stopped" : "running";
      world.hold(world.address({ tags: { "eip-pool": "web" } }), world.instance({ state }));
    }
    const me = world.instance({ role: "full" });
    const { time, optionsOf } = stage(world);
    const end = runOnVirtualTime(optionsOf(me.instanceId, { EIP_HEAL_POOL: "eip-pool=web" }));
    await time.run();
    expect(await end).toMatchObject({ end: "settled", from: { state: "stopped" } });
  });

  test("a mapping that is made anew is no take: who is newer and came meanwhile keeps it", async () => {
    const world = aWorld();
    const address = world.address();
    const older = world.instance({ role: "full" });
    const newer = world.instance({ role: "full" });
    world.hold(address, older);
    const { time, accepted, optionsOf } = stage(world);
    const settings = { EIP_HEAL_ALLOCATION_ID: address.allocationId };
    const last: LastResult = {
      instanceId: older.instanceId,
      outcome: "settled",
      exitStatus: 0,
      interfaceId: older.networkInterfaceId,
      privateIp: older.privateIp,
      publicIp: "203.0.113.99",
    };
    const rechecked = runWith(
      { last, memory: { moves: [], disagreements: 9 } },
      "recheck",
      // Its second request, the association, is slow.
      optionsOf(older.instanceId, settings, (request) =>
        request === 1 ? { thereMs: 900, backMs: 10 } : quick,
      ),
      time.now,
    );
    const healed = runOnVirtualTime(optionsOf(newer.instanceId, settings));
    await time.run();
    expect(await rechecked).toMatchObject({ end: "failed", status: 69 });
    expect(await healed).toMatchObject({ end: "settled" });
    expect(accepted).toEqual([newer.instanceId]);
  });
});
