/**
 * A group whose instances recheck, on virtual time: addresses drift, instances come, go and enter service
 * without a boot, clocks jump. It ends with the newest instance in service as the holder, and stays so.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_MOVES_PER_HOUR, NO_RECHECKS } from "../../src/reconcile/drift.ts";
import { Region } from "../../sim/region.ts";
import { aWorld } from "../../sim/world.ts";
import { type Runtime, runWith } from "./agent.ts";
import { trials } from "../support/properties.ts";
import { dice, VirtualTime } from "./time.ts";

const START = Date.UTC(2026, 10, 1);
const MINUTE = 60_000;
/** Events happen for so long; then the group is left alone. */
const RESTLESS = 10 * MINUTE;
const AFTER = 6 * MINUTE;

interface Member {
  /** When EC2 launches it, from the start, in milliseconds; negative: before. */
  readonly launchedAt: number;
  /** A running warm-pool member that enters service so long after its launch, without a boot. */
  readonly warmFor: number | undefined;
  readonly diesAt: number | undefined;
  /** Its wall clock jumps by so many milliseconds at some moment. */
  readonly jump: { readonly at: number; readonly by: number } | undefined;
}
/** Somebody moves the address by hand: to a member (by number) or to nobody. */
interface Drift {
  readonly at: number;
  readonly to: number | "nobody";
}

const moment = fc.integer({ min: 0, max: RESTLESS });
const sometimes = <T>(what: fc.Arbitrary<T>) => fc.option(what, { nil: undefined, freq: 2 });
const member = fc.record<Member>({
  launchedAt: fc.integer({ min: -5 * MINUTE, max: 8 * MINUTE }),
  warmFor: sometimes(fc.integer({ min: 0, max: 5 * MINUTE })),
  diesAt: sometimes(moment),
  jump: sometimes(fc.record({ at: moment, by: fc.integer({ min: -7_200_000, max: 7_200_000 }) })),
});
const drift = fc.record<Drift>({
  at: moment,
  to: fc.oneof(fc.nat({ max: 4 }), fc.constant("nobody" as const)),
});

/** Plays the group, and returns the region, its ids, and what happened after the last event. */
async function play(
  members: readonly Member[],
  drifts: readonly Drift[],
  seed: number,
  until = RESTLESS + AFTER,
) {
  const world = aWorld();
  const address = world.address();
  const time = new VirtualTime(START);
  const region = new Region(world.data, time.now);
  const random = dice(seed);
  const settings = { EIP_HEAL_ALLOCATION_ID: address.allocationId };
  const ids: string[] = [];
  const calls: { at: number; action: string; instanceId: string }[] = [];

  const at = async (moment: number, what: () => void) => {
    await time.sleep(moment);
    what();
  };
  const inService = (id: string | undefined): id is string =>
    id !== undefined &&
    region.hasInstance(id) &&
    region.instance(id).state === "running" &&
    (region.instance(id).lifecycle ?? "InService") === "InService";

  members.forEach(({ launchedAt, warmFor, diesAt, jump }, index) => {
    let offset = 0;
    void at(Math.max(0, launchedAt), async () => {
      const { instanceId } = region.launch({
        state: "running",
        launchTime: Math.floor((START + launchedAt) / 1_000) * 1_000,
        role: "full",
        lifecycle: warmFor === undefined ? "InService" : "Warmed:Running",
      });
      ids[index] = instanceId;
      if (warmFor !== undefined)
        void at(warmFor, () => void region.setLifecycle(instanceId, "InService"));
      const runtime: Runtime = { memory: NO_RECHECKS };
      const options = {
        region,
        time,
        instanceId,
        settings,
        random,
        passage: () => ({ thereMs: 200 * random(), backMs: 200 * random() }),
        onApplied: (action: string) =>
          void calls.push({ at: time.now() - START, action, instanceId }),
      };
      const wallClock = () => time.now() + offset;
      const alive = () => region.instance(instanceId).state === "running";
      await runWith(runtime, "heal", options, wallClock);
      while (alive() && time.now() < START + until) {
        await time.sleep(MINUTE + 10_000 * random());
        if (alive()) await runWith(runtime, "recheck", options, wallClock);
      }
    });
    if (diesAt !== undefined && diesAt > launchedAt) {
      void at(Math.max(0, diesAt), () => {
        const id = ids[index];
        if (id === undefined || region.instance(id).state !== "running") return;
        region.terminate(id);
        region.terminated(id);
      });
    }
    if (jump !== undefined) void at(jump.at, () => void (offset += jump.by));
  });
  for (const { at: moment, to } of drifts) {
    void at(moment, () => {
      const target = to === "nobody" ? undefined : ids[to];
      if (to === "nobody") {
        if (region.holder(address.allocationId) !== undefined)
          region.disassociate(address.allocationId);
      } else if (inService(target)) region.associate(address.allocationId, target);
    });
  }
  await time.run(START + until);
  const candidates = ids.filter(inService).map((id) => region.instance(id));
  const newest = candidates.toSorted(
    (a, b) => b.launchTime - a.launchTime || (a.instanceId < b.instanceId ? 1 : -1),
  )[0]?.instanceId;
  return { region, address, newest, calls, ids };
}

describe("a group that rechecks", () => {
  test.each(trials(1_000))(
    "ends with the newest instance in service as the holder, and stays so (seed $seed)",
    async (trial) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(member, { minLength: 1, maxLength: 5 }),
          fc.array(drift, { maxLength: MAX_MOVES_PER_HOUR - 2 }),
          fc.nat(),
          async (members, drifts, seed) => {
            const { region, address, newest, calls } = await play(members, drifts, seed);
            if (newest === undefined) return;
            expect(region.holder(address.allocationId)?.instanceId).toBe(newest);
            const late = calls.filter(
              ({ at, action }) => action === "AssociateAddress" && at > RESTLESS + 5 * MINUTE,
            );
            expect(late, "nothing moves once it is where it belongs").toEqual([]);
          },
        ),
        trial,
      );
    },
  );

  test("asks EC2 nothing while all is well", async () => {
    const { calls } = await play(
      [{ launchedAt: -MINUTE, warmFor: undefined, diesAt: undefined, jump: undefined }],
      [],
      1,
      40 * MINUTE,
    );
    expect(calls.map(({ action }) => action)).toEqual([
      "DescribeAddresses",
      "AssociateAddress",
      "DescribeAddresses",
      // After the hold.
      "DescribeAddresses",
    ]);
  });

  test("does not fight with somebody who moves the address every minute", async () => {
    const drifts = Array.from({ length: 100 }, (_, minute): Drift => ({
      at: minute * MINUTE,
      to: "nobody",
    }));
    const { calls } = await play(
      [{ launchedAt: -MINUTE, warmFor: undefined, diesAt: undefined, jump: undefined }],
      drifts,
      1,
      100 * MINUTE,
    );
    const moves = calls.filter(({ action }) => action === "AssociateAddress");
    // One at boot, and a handful in each hour.
    expect(moves.length).toBeLessThanOrEqual(1 + 2 * MAX_MOVES_PER_HOUR);
    // Nor gives up for ever: those of more than an hour ago do not count.
    expect(moves.length).toBeGreaterThan(1 + MAX_MOVES_PER_HOUR);
  });
});
