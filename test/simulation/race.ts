/**
 * A race: agents of the real heal code that boot within seconds of each other, on virtual time, with every request
 * delayed, some lost, some agents killed.
 */
import fc from "fast-check";
import type { Outcome } from "../../src/model/outcome.ts";
import { Region } from "../../sim/region.ts";
import { aWorld, type BuiltInstance, type World } from "../../sim/world.ts";
import { type Passage, runOnVirtualTime } from "./agent.ts";
import { dice, VirtualTime } from "./time.ts";

export const START = Date.UTC(2026, 10, 1);

interface Racer {
  /** Seconds before the start at which EC2 launched it; several may share a second. */
  readonly launchedBefore: number;
  /** Milliseconds after the start at which its agent begins. */
  readonly beginsAt: number;
  /** Milliseconds after that at which the agent is killed once; it is tried again a minute later. */
  readonly killedAfter: number | undefined;
}

export interface Race {
  readonly racers: readonly Racer[];
  /** Who holds the address at the start: a racer, an instance from before in some state, or nobody. */
  readonly holder: number | "running" | "stopped" | "shutting-down" | "nobody";
  /** Have they public addresses of their own, and may not push off an Elastic one? Then there is more to ask before a take. */
  readonly isCareful: boolean;
  /** May they describe addresses, or only instances as with the user-data script's role? */
  readonly role: "full" | "old";
  /** Shapes the delays and losses. */
  readonly seed: number;
  /** Longest time that a request and its answer take together, in milliseconds: of each racer in turn. */
  readonly slowestMs: readonly number[];
  /** One in so many requests or answers is lost; 0: none. */
  readonly loseOneIn: number;
  /** After one in so many answers the whole agent is paused for up to ten seconds before it goes on; 0: never. */
  readonly pauseOneIn: number;
  /** Are requests that have been given up carried out all the same? */
  readonly isLate: boolean;
}

const racer = fc.record<Racer>({
  launchedBefore: fc.integer({ min: 30, max: 34 }),
  beginsAt: fc.integer({ min: 0, max: 8_000 }),
  killedAfter: fc.option(fc.integer({ min: 0, max: 6_000 }), { nil: undefined, freq: 4 }),
});
/** A network within the bounds: an observation is fresh when it is heard. */
export const IN_BOUNDS = { slowest: [20, 200, 400], pauses: [0] };
/** One that is now and then beyond them: old observations add up, whole machines are paused. */
export const ANY = { slowest: [20, 200, 1_000, 2_000], pauses: [0, 10, 3, 3] };
/** One in which writes arrive long after they were given up. */
export const LATE = { slowest: [200, 10_000, 20_000], pauses: [0], isLate: true };
const QUICK_MS = 200;

export const race = (
  most: number,
  { slowest, pauses, isLate = false }: { slowest: number[]; pauses: number[]; isLate?: boolean },
): fc.Arbitrary<Race> =>
  fc.record<Race>({
    isLate: fc.constant(isLate),
    racers: fc.array(racer, { minLength: 2, maxLength: most }),
    holder: fc.constantFrom<Race["holder"]>(0, 1, "running", "stopped", "shutting-down", "nobody"),
    isCareful: fc.boolean(),
    role: fc.constantFrom("full", "old"),
    seed: fc.nat(),
    slowestMs: fc.array(fc.constantFrom(...slowest), { minLength: 1, maxLength: 3 }),
    loseOneIn: fc.constantFrom(0, 0, 20, 6),
    pauseOneIn: fc.constantFrom(...pauses),
  });

/** A network with that much delay and loss. */
function network({
  seed,
  slowestMs,
  loseOneIn,
  pauseOneIn,
  isLate,
}: Pick<Race, "seed" | "slowestMs" | "loseOneIn" | "pauseOneIn" | "isLate">) {
  const random = dice(seed);
  const happens = (oneIn: number) => oneIn > 0 && random() * oneIn < 1;
  return {
    random,
    passage:
      (racer: number) =>
      (action: string): Passage => {
        const slowest = slowestMs[racer % slowestMs.length] ?? 0;
        // Whoever looks at once and writes late is the one to be afraid of.
        const total = random() * (isLate && action !== "AssociateAddress" ? QUICK_MS : slowest);
        const thereMs = random() * total;
        const lose = happens(loseOneIn) ? (random() < 0.5 ? "request" : "answer") : undefined;
        return {
          thereMs,
          backMs: total - thereMs + (happens(pauseOneIn) ? 10_000 * random() : 0),
          ...(lose !== undefined && { lose }),
          isLate,
        };
      },
  };
}

export interface Ending {
  readonly region: Region;
  readonly time: VirtualTime;
  readonly instances: readonly BuiltInstance[];
  /** The last outcome of each agent. */
  readonly outcomes: readonly Outcome[];
  /** For each agent that reported success: did EC2 show it the address in the last look it made? */
  readonly heldAtLastLook: readonly (boolean | undefined)[];
  /** Moves of an address from one instance to another. */
  readonly moves: readonly { allocationId: string; from: string; to: string; at: number }[];
  /** When each success was reported. */
  readonly settledAt: readonly (number | undefined)[];
}

/** What else happens in a race. */
export interface Course {
  readonly meanwhile?: (stage: Pick<Ending, "region" | "time" | "instances">) => void;
  /**
   * Has everybody got what it is going to get? An agent that has failed in a whole run of its own after that is not tried
   * again: the same look would follow minute by minute. By default agents are tried for half an hour and more.
   *
   * @param hasSettled whether this instance has reported success
   */
  readonly isDecided?: (region: Region, hasSettled: (instanceId: string) => boolean) => boolean;
}

/** Runs the race to its end: every agent has come to an end that is not tried again, or has settled. */
export async function run(
  { racers, isCareful, role, ...conditions }: Race,
  prepare: (world: World, instances: readonly BuiltInstance[]) => Record<string, string>,
  { meanwhile = () => {}, isDecided = () => false }: Course = {},
): Promise<Ending> {
  const world = aWorld();
  const instances = racers.map(({ launchedBefore }) =>
    world.instance({
      launchTime: START - launchedBefore * 1_000,
      role,
      metadataTags: true,
      autoPublicIp: isCareful,
    }),
  );
  const settings = {
    ...prepare(world, instances),
    ...(isCareful && { EIP_HEAL_DISPLACE: "no" }),
  };
  const time = new VirtualTime(START);
  const region = new Region(world.data, time.now);
  const { passage, random } = network(conditions);

  const holders = new Map(
    region.addresses().map((one) => [one.allocationId, one.association?.instanceId]),
  );
  const moves: { allocationId: string; from: string; to: string; at: number }[] = [];
  const lookedWhileHolding = new Map<string, boolean>();
  const onApplied = (action: string, instanceId: string) => {
    const now = region
      .addresses()
      .map((one) => [one.allocationId, one.association?.instanceId] as const);
    for (const [allocationId, to] of now) {
      const from = holders.get(allocationId);
      if (from !== undefined && to !== undefined && from !== to) {
        moves.push({ allocationId, from, to, at: time.now() });
      }
      holders.set(allocationId, to);
    }
    // With the old role holders and their states are asked for by the same action, side by side.
    if (role === "full" && action === "DescribeAddresses") {
      lookedWhileHolding.set(
        instanceId,
        now.some(([, holder]) => holder === instanceId),
      );
    }
  };

  const outcomes: Outcome[] = [];
  const heldAtLastLook: (boolean | undefined)[] = [];
  const settledAt: (number | undefined)[] = [];
  const hasSettled = (instanceId: string) =>
    settledAt[instances.findIndex((one) => one.instanceId === instanceId)] !== undefined;
  instances.forEach(({ instanceId }, index) => {
    const { beginsAt, killedAfter } = racers[index] as Racer;
    const agent = async () => {
      await time.sleep(beginsAt);
      for (let life = 0; ; life++) {
        const isLast = isDecided(region, hasSettled);
        const kill = new AbortController();
        const end = runOnVirtualTime({
          region,
          time,
          instanceId,
          settings,
          random,
          passage: passage(index),
          onApplied,
          killed: kill.signal,
        });
        const outcome = await (life === 0 && killedAfter !== undefined
          ? Promise.race([end, time.sleep(killedAfter).then(() => kill.abort())])
          : end);
        if (outcome !== undefined) {
          outcomes[index] = outcome;
          heldAtLastLook[index] =
            outcome.end === "settled" ? lookedWhileHolding.get(instanceId) : undefined;
          settledAt[index] = outcome.end === "settled" ? time.now() : undefined;
          // One that has yielded is tried again too, and yields again.
          const isRetried =
            outcome.end === "failed" && (outcome.status === 75 || outcome.status === 77);
          // For ever in truth; on the worst of these networks a look that is fresh enough for a take is a rare thing.
          if (!isRetried || isLast || life > 30) return;
        }
        await time.sleep(60_000); // OnUnitInactiveSec= of eip-heal-retry.timer
      }
    };
    void agent();
  });
  meanwhile({ region, time, instances });
  await time.run();
  return { region, time, instances, outcomes, heldAtLastLook, moves, settledAt };
}
