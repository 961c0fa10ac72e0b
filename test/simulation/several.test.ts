/** Several addresses per instance: agents of the real heal code race for two of them on virtual time. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Outcome } from "../../src/model/outcome.ts";
import { Region } from "../../sim/region.ts";
import { aWorld } from "../../sim/world.ts";
import { trials } from "../support/properties.ts";
import { runOnVirtualTime } from "./agent.ts";
import { newestOf } from "./fleet.ts";
import { dice, VirtualTime } from "./time.ts";

const START = Date.UTC(2026, 10, 1);

interface Race {
  /** Of each instance: seconds before the start at which EC2 launched it, and milliseconds after it at which its run begins. */
  readonly racers: readonly { readonly launchedBefore: number; readonly beginsAt: number }[];
  /** Which instance has each address at the start, and on which of its two interfaces; undefined: nobody. */
  readonly held: readonly ({ readonly by: number; readonly on: number } | undefined)[];
  /** Milliseconds that a request and its answer take at most. */
  readonly slowestMs: number;
  /** One in so many requests or answers is lost; 0: none. */
  readonly loseOneIn: number;
  readonly displace: "yes" | "no";
  readonly seed: number;
}

const holding = fc.option(fc.record({ by: fc.nat({ max: 2 }), on: fc.nat({ max: 1 }) }), {
  nil: undefined,
});
const race = fc.record<Race>({
  racers: fc.array(
    fc.record({
      launchedBefore: fc.integer({ min: 30, max: 34 }),
      beginsAt: fc.integer({ min: 0, max: 8_000 }),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  held: fc.tuple(holding, holding),
  slowestMs: fc.constantFrom(20, 200, 400),
  loseOneIn: fc.constantFrom(0, 0, 20, 6),
  displace: fc.constantFrom("yes", "no"),
  seed: fc.nat(),
});

async function play({ racers, held, slowestMs, loseOneIn, displace, seed }: Race) {
  const world = aWorld();
  const addresses = [world.address(), world.address()] as const;
  const instances = racers.map(({ launchedBefore }, index) =>
    world.instance({
      launchTime: START - launchedBefore * 1_000,
      role: "full",
      enis: [0, 1].map((deviceIndex) => ({
        deviceIndex,
        privateIps: [`10.0.${deviceIndex}.${20 + index}`],
      })),
    }),
  );
  held.forEach((one, index) => {
    const at = one && instances[one.by % instances.length]?.interfaces[one.on];
    const other = held[1 - index];
    const isTaken =
      index === 1 &&
      other?.on === one?.on &&
      other &&
      one &&
      other.by % racers.length === one.by % racers.length;
    const address = addresses[index];
    if (at !== undefined && address !== undefined && !isTaken) world.hold(address, at);
  });
  const time = new VirtualTime(START);
  const region = new Region(world.data, time.now);
  const random = dice(seed);
  const outcomes: Outcome[] = [];
  instances.forEach(({ instanceId }, index) => {
    const agent = async () => {
      await time.sleep(racers[index]?.beginsAt ?? 0);
      for (let life = 0; life < 10; life++) {
        const outcome = await runOnVirtualTime({
          region,
          time,
          instanceId,
          settings: {
            EIP_HEAL_ALLOCATION_ID: `${addresses[0].allocationId} ${addresses[1].allocationId}@1`,
            EIP_HEAL_DISPLACE: displace,
          },
          random,
          passage: () => {
            const total = random() * slowestMs;
            const thereMs = random() * total;
            const isLost = loseOneIn > 0 && random() * loseOneIn < 1;
            const lose = isLost ? (random() < 0.5 ? "request" : "answer") : undefined;
            return { thereMs, backMs: total - thereMs, ...(lose && { lose }) };
          },
        });
        outcomes[index] = outcome;
        if (outcome.end !== "failed" || outcome.status !== 75) return;
        await time.sleep(60_000);
      }
    };
    void agent();
  });
  await time.run();
  return { region, addresses, instances, outcomes };
}

test.each(trials(300))(
  "the newest instance ends with both, each in its place, and says so (seed $seed)",
  async (trial) => {
    await fc.assert(
      fc.asyncProperty(race, async (conditions) => {
        const { region, addresses, instances, outcomes } = await play(conditions);
        const newest = newestOf(instances);
        addresses.forEach(({ allocationId }, index) => {
          const { association } = region.address(allocationId);
          expect(association?.instanceId).toBe(newest.instanceId);
          expect(association?.networkInterfaceId).toBe(
            newest.interfaces[index]?.networkInterfaceId,
          );
        });
        instances.forEach((one, index) => {
          const outcome = outcomes[index];
          expect(outcome?.each).toHaveLength(2);
          if (one === newest) expect(outcome?.end).toBe("settled");
        });
      }),
      trial,
    );
  },
);
