/**
 * Nobody fights for the addresses of a pool: two to six agents race for those that are free, or that the oldest instances
 * give up; whatever the interleaving, the rule decides.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { BuiltInstance, World } from "../../sim/world.ts";
import { trials } from "../support/properties.ts";
import { newestOf } from "./fleet.ts";
import { IN_BOUNDS, race, type Race, run, START } from "./race.ts";

describe("a pool", () => {
  // Without DescribeAddresses the addresses of a pool cannot be found.
  const poolRace = (most: number) =>
    race(most, IN_BOUNDS).map((one): Race => ({ ...one, role: "full" }));

  /** A pool of so many addresses, the first few of them held by instances that are stopped. */
  const pool =
    (size: number, stopped = 0, deadline = "10min") =>
    (world: World): Record<string, string> => {
      for (let i = 0; i < size; i++) {
        const address = world.address({ tags: { "eip-pool": "web" } });
        if (i < stopped) world.hold(address, world.instance({ state: "stopped" }));
      }
      return { EIP_HEAL_POOL: "eip-pool=web", EIP_HEAL_DEADLINE: deadline };
    };

  test.each(trials(1_500))(
    "large enough: everyone ends with an address of its own, and none is taken from anybody (seed $seed)",
    async (trial) => {
      await fc.assert(
        fc.asyncProperty(poolRace(6), fc.integer({ min: 0, max: 2 }), async (conditions, spare) => {
          const { region, instances, outcomes, moves } = await run(
            conditions,
            pool(conditions.racers.length + spare),
          );
          const held = region
            .addresses()
            .flatMap(({ association }) => association?.instanceId ?? []);
          expect(held.toSorted()).toEqual(instances.map(({ instanceId }) => instanceId).toSorted());
          expect(new Set(outcomes.map(({ facts }) => facts.allocationId)).size).toBe(
            instances.length,
          );
          expect(outcomes.map(({ end }) => end)).toEqual(instances.map(() => "settled"));
          expect(moves).toEqual([]);
        }),
        trial,
      );
    },
  );

  test.each(trials(1_500))(
    "partly held by stopped instances: taken from those, never from an instance that has settled (seed $seed)",
    async (trial) => {
      await fc.assert(
        fc.asyncProperty(
          poolRace(4),
          fc.integer({ min: 1, max: 4 }),
          async (conditions, stopped) => {
            const size = conditions.racers.length;
            const { region, instances, outcomes, moves, settledAt } = await run(
              conditions,
              pool(size, Math.min(stopped, size)),
            );
            expect(outcomes.map(({ end }) => end)).toEqual(instances.map(() => "settled"));
            expect(new Set(outcomes.map(({ facts }) => facts.allocationId)).size).toBe(size);
            for (const { from, at } of moves) {
              if (region.instance(from).state === "stopped") continue;
              // Two who take from the same stopped instance meet; the one that has lost has not claimed success.
              const robbed = instances.findIndex(({ instanceId }) => instanceId === from);
              expect(settledAt[robbed] ?? Number.POSITIVE_INFINITY).toBeGreaterThan(at);
            }
          },
        ),
        trial,
      );
    },
  );

  test.each(trials(1_500, 1 / 2))(
    "too small: as many as there are get one, the others say so, and nobody loses what it has (seed $seed)",
    async (trial) => {
      await fc.assert(
        fc.asyncProperty(poolRace(6), async (conditions) => {
          const size = conditions.racers.length - 1;
          const { region, outcomes, moves } = await run(conditions, pool(size, 0, "2min"), {
            isDecided: (region, hasSettled) =>
              region
                .addresses()
                .every(({ association }) => hasSettled(association?.instanceId ?? "")),
          });
          expect(
            region.addresses().filter(({ association }) => association !== undefined),
          ).toHaveLength(size);
          const settled = outcomes.filter(({ end }) => end === "settled");
          expect(settled).toHaveLength(size);
          expect(new Set(settled.map(({ facts }) => facts.allocationId)).size).toBe(size);
          for (const outcome of outcomes) {
            // The last failure is what ended the run: somebody holds them all, or EC2 did not answer the last look.
            if (outcome.end !== "settled")
              expect(outcome).toMatchObject({ end: "failed", status: 75 });
          }
          expect(moves).toEqual([]);
        }),
        trial,
      );
    },
  );

  describe("full of older running instances, with the pool takeover oldest", () => {
    /** Seconds that they were launched before the racers: some of them within the same one. */
    const ages = (least: number, most: number) =>
      fc.array(fc.integer({ min: 1, max: 5 }), { minLength: least, maxLength: most });

    /** The race, and who was there before it. */
    async function replace(conditions: Race, launchedBefore: readonly number[], deadline: string) {
      const before: BuiltInstance[] = [];
      let byAge: BuiltInstance[] = [];
      const newest = () => byAge.slice(-launchedBefore.length).map(({ instanceId }) => instanceId);
      const ending = await run(
        conditions,
        (world, racers) => {
          for (const seconds of launchedBefore) {
            const holder = world.instance({ launchTime: START - (3_600 + seconds) * 1_000 });
            world.hold(world.address({ tags: { "eip-pool": "web" } }), holder);
            before.push(holder);
          }
          byAge = [...before, ...racers].toSorted(
            (a, b) => a.launchTime - b.launchTime || (a.instanceId < b.instanceId ? -1 : 1),
          );
          return {
            EIP_HEAL_POOL: "eip-pool=web",
            EIP_HEAL_POOL_TAKEOVER: "oldest",
            EIP_HEAL_DEADLINE: deadline,
          };
        },
        {
          isDecided: (region, hasSettled) => {
            const entitled = newest();
            const was = new Set(before.map(({ instanceId }) => instanceId));
            return region.addresses().every(({ association }) => {
              const holder = association?.instanceId ?? "";
              return entitled.includes(holder) && (was.has(holder) || hasSettled(holder));
            });
          },
        },
      );
      const placeOf = (instanceId: string) =>
        byAge.findIndex((one) => one.instanceId === instanceId);
      for (const { from, to, at } of ending.moves) {
        if (placeOf(from) < placeOf(to)) continue;
        // Two who take from the same one meet; the newer one that has lost has not claimed success.
        const robbed = ending.instances.findIndex(({ instanceId }) => instanceId === from);
        expect(ending.settledAt[robbed] ?? Number.POSITIVE_INFINITY).toBeGreaterThan(at);
      }
      for (const held of ending.heldAtLastLook) expect(held).not.toBe(false);
      const held = ending.region
        .addresses()
        .flatMap(({ association }) => association?.instanceId ?? []);
      // One each, and those that were there before lose theirs from the oldest on.
      expect(held.toSorted()).toEqual(newest().toSorted());
      return { ...ending, before };
    }

    test.each(trials(1_500))(
      "as many as boot, or more: each newest ends with an address of its own, taken from the oldest (seed $seed)",
      async (trial) => {
        await fc.assert(
          fc.asyncProperty(poolRace(5), ages(5, 7), async (conditions, launchedBefore) => {
            const { outcomes, moves, before } = await replace(conditions, launchedBefore, "10min");
            expect(outcomes.map(({ end }) => end)).toEqual(outcomes.map(() => "settled"));
            expect(outcomes).toHaveLength(conditions.racers.length);
            const robbed = moves.filter(({ from }) =>
              before.some(({ instanceId }) => instanceId === from),
            );
            expect(robbed).toHaveLength(conditions.racers.length);
          }),
          trial,
        );
      },
    );

    test.each(trials(1_500, 1 / 2))(
      "fewer than boot: the newest have them, and no older one takes one back (seed $seed)",
      async (trial) => {
        await fc.assert(
          fc.asyncProperty(poolRace(5), ages(4, 4), async (conditions, launchedBefore) => {
            const fewer = launchedBefore.slice(0, conditions.racers.length - 1);
            const { outcomes, instances } = await replace(conditions, fewer, "2min");
            const newest = instances.indexOf(newestOf(instances));
            expect(outcomes[newest]).toMatchObject({ end: "settled" });
          }),
          trial,
        );
      },
    );
  });
});
