/**
 * A fleet that boots at once: the real heal code of every instance on virtual time, against the simulated
 * region with EC2's documented request buckets, started again by systemd as the unit says.
 */
import { Region } from "../../sim/region.ts";
import { AWS_BUCKETS } from "../../sim/throttle.ts";
import { aWorld, type BuiltInstance, type World } from "../../sim/world.ts";
import { runOnVirtualTime } from "./agent.ts";
import { dice, VirtualTime } from "./time.ts";

const START = Date.UTC(2026, 10, 1);

/** All instances boot within so many milliseconds. */
export const BOOT_MS = 10_000;

/** OnUnitInactiveSec= of eip-heal-retry.timer, in milliseconds. */
const RETRY_MS = 60_000;

/** Where the addresses of a fleet come from. */
export type Supply =
  /** Each instance is tagged with an address of its own. */
  | "own"
  /** All instances are tagged with the same one. */
  | "shared"
  /** A pool with an address for each. */
  | "pool"
  /** A pool in which one address in ten is missing. */
  | "short-pool";

export interface FleetOptions {
  readonly supply: Supply;
  /** Number of instances. */
  readonly size: number;
  readonly seed: number;
  /** Virtual milliseconds after which the instances are left to themselves. */
  readonly untilMs: number;
}

export interface FleetResult {
  /** When each address came to its last holder, in milliseconds after the first boot, ascending. */
  readonly associatedAt: readonly number[];
  /** Does the newest instance hold one? */
  readonly newestHolds: boolean;
  /** When the last instance had verified that its address is there, in milliseconds. */
  readonly verifiedAt: number;
  /** How many instances can have an address. */
  readonly entitled: number;
  /** The least time in which so many associations fit through EC2's bucket, in milliseconds. */
  readonly floorMs: number;
  /** Requests by action, until the last instance that can have an address had verified it. */
  readonly calls: Readonly<Record<string, Tally>>;
  /** Exit statuses of the runs that ended without an address, until then. */
  readonly failures: Readonly<Record<number, number>>;
}

export interface Tally {
  /** Sent, whatever the answer. */
  readonly sent: number;
  readonly throttled: number;
  /** Refused because somebody else was quicker. */
  readonly lost: number;
}

/** One request that EC2 has answered: from which instance, when, and the code if it was refused. */
interface Call {
  readonly action: string;
  readonly by: string;
  readonly at: number;
  readonly refusal: string | undefined;
}

/** Least milliseconds for so many requests of an action through a bucket that is full at the start. */
export function floorMs(action: string, requests: number): number {
  const bucket = AWS_BUCKETS[action];
  if (bucket === undefined) return 0;
  return (Math.max(0, requests - bucket.size) / bucket.refillPerSecond) * 1_000;
}

/** Boots the fleet and lets it run until every instance has ended for good, or until `untilMs`. */
export async function bootFleet(options: FleetOptions): Promise<FleetResult> {
  const { supply, size, seed, untilMs } = options;
  const random = dice(seed);
  const boots = Array.from({ length: size }, () => random() * BOOT_MS);
  const world = aWorld({ settings: { throttle: AWS_BUCKETS } });
  const tagsOf = supplied(world, supply, size);
  const instances = boots.map((bootsAt, index) =>
    // EC2 launches an instance some time before its agent runs.
    world.instance({
      launchTime: START + bootsAt - 30_000,
      tags: tagsOf(index),
      metadataTags: true,
    }),
  );
  const time = new VirtualTime(START);
  const region = new Region(world.data, time.now);

  const calls: Call[] = [];
  let verifiedAt = 0;
  const failures: { status: number; at: number }[] = [];
  instances.forEach(({ instanceId }, index) => {
    const agent = async () => {
      await time.sleep(boots[index] ?? 0);
      while (time.now() < START + untilMs) {
        const outcome = await runOnVirtualTime({
          region,
          time,
          instanceId,
          random,
          // 40 ms of network there and back, and 20 to 60 ms of EC2's own time before it takes effect.
          passage: () => ({ thereMs: 40 + 40 * random(), backMs: 20 }),
          onApplied: (action, by, refusal) =>
            void calls.push({ action, by, at: time.now() - START, refusal }),
        });
        if (outcome.end === "settled") verifiedAt = time.now() - START;
        if (outcome.end !== "failed") return;
        failures.push({ status: outcome.status, at: time.now() - START });
        if (outcome.status !== 75 && outcome.status !== 77) return;
        await time.sleep(RETRY_MS);
      }
    };
    void agent();
  });
  await time.run(START + untilMs);

  const holders = region.addresses().flatMap(({ association }) => association?.instanceId ?? []);
  const associations = new Map(
    calls
      .filter(({ action, refusal }) => action === "AssociateAddress" && refusal === undefined)
      .map(({ by, at }) => [by, at]),
  );
  const before = <T extends { at: number }>(events: T[]) =>
    events.filter(({ at }) => at <= verifiedAt);
  return {
    entitled: region.addresses().length,
    associatedAt: holders.map((id) => associations.get(id) ?? Number.NaN).toSorted((a, b) => a - b),
    newestHolds: holders.includes(newestOf(instances).instanceId),
    verifiedAt,
    floorMs: floorMs("AssociateAddress", region.addresses().length),
    calls: tally(before(calls)),
    failures: countBy(before(failures).map(({ status }) => status)),
  };
}

/** The newest instance: the later launch, or the higher id in the same second. */
export function newestOf(instances: readonly BuiltInstance[]): BuiltInstance {
  return instances.reduce((a, b) =>
    b.launchTime > a.launchTime || (b.launchTime === a.launchTime && b.instanceId > a.instanceId)
      ? b
      : a,
  );
}

/** Makes the addresses; returns the tags of the instance with that number. */
function supplied(
  world: World,
  supply: Supply,
  size: number,
): (index: number) => Record<string, string> {
  if (supply === "own" || supply === "shared") {
    const addresses = Array.from({ length: supply === "own" ? size : 1 }, () => world.address());
    return (index) => ({
      "allocation-id": addresses[index % addresses.length]?.allocationId ?? "",
    });
  }
  const tags = { "eip-pool": "web" };
  const spares = supply === "pool" ? size : size - Math.floor(size / 10);
  for (let i = 0; i < spares; i++) world.address({ tags });
  return () => tags;
}

function tally(calls: readonly Call[]): Record<string, Tally> {
  const actions = Object.groupBy(calls, ({ action }) => action);
  return Object.fromEntries(
    Object.entries(actions).map(([action, all = []]) => {
      const refused = (code: string) => all.filter(({ refusal }) => refusal === code).length;
      return [
        action,
        {
          sent: all.length,
          throttled: refused("RequestLimitExceeded"),
          lost: refused("Resource.AlreadyAssociated"),
        },
      ];
    }),
  );
}

function countBy(values: readonly number[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}
