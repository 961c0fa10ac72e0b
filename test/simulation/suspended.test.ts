/**
 * A machine that is suspended (hibernation, above all) between what EC2 shows and what it does about it: its own clock
 * has stood still, and EC2 has not. On virtual time.
 */
import { describe, expect, test } from "vitest";
import { Region } from "../../sim/region.ts";
import { aWorld } from "../../sim/world.ts";
import { runOnVirtualTime, type Suspension } from "./agent.ts";
import { dice, VirtualTime } from "./time.ts";

const START = Date.UTC(2026, 10, 1);
const LAUNCHED = START - 60_000;
const OLDER = LAUNCHED - 3_600_000;

/** Milliseconds; less than the deadline, whose timer goes on here. */
const LENGTHS = [3_000, 30_000, 100_000, 600_000, 1_800_000];
const DEADLINE = "1h";

interface Play {
  /** How long it is suspended after which action of EC2, in milliseconds. */
  readonly ms: number;
  readonly after: string;
  /** The how manieth of these. */
  readonly nth: number;
  /** Milliseconds that EC2 takes for each answer. */
  readonly latencyMs: number;
  /** Does a newer instance take the address meanwhile? */
  readonly isTaken: boolean;
}

/** This instance wants an address that an older one has. */
async function play({ ms, after, nth, latencyMs, isTaken }: Play) {
  const world = aWorld();
  const { allocationId } = world.address();
  world.hold({ allocationId }, world.instance({ launchTime: OLDER }));
  const me = world.instance({ launchTime: LAUNCHED, metadataTags: true });
  const newer = world.instance({ launchTime: START + 1_000, metadataTags: true });
  const time = new VirtualTime(START);
  const region = new Region(world.data, time.now);
  const calls: string[] = [];
  let seen = 0;
  const suspension: Suspension = {
    totalMs: 0,
    after(action) {
      if (action !== after || ++seen !== nth) return 0;
      if (isTaken) {
        region.associateAddress(
          { instanceId: newer.instanceId },
          { allocationId, instanceId: newer.instanceId, allowReassociation: true },
        );
      }
      return ms;
    },
  };
  const run = runOnVirtualTime({
    region,
    time,
    instanceId: me.instanceId,
    settings: { EIP_HEAL_ALLOCATION_ID: allocationId, EIP_HEAL_DEADLINE: DEADLINE },
    random: dice(1),
    suspension,
    passage: (action) => {
      calls.push(action);
      return { thereMs: latencyMs, backMs: 0 };
    },
  });
  await time.run();
  const outcome = await run;
  expect(suspension.totalMs).toBe(ms);
  const { instanceId: holder } = region.holder(allocationId) ?? {};
  return { outcome, calls, holder, me: me.instanceId, newer: newer.instanceId };
}

describe.each(LENGTHS)("for %d ms", (ms) => {
  // What is shown last before a take is who holds it and what that one is.
  test.each([
    { after: "DescribeAddresses", nth: 1, latencyMs: 10 },
    { after: "DescribeInstances", nth: 1, latencyMs: 10 },
    { after: "DescribeInstances", nth: 1, latencyMs: 1_500 },
  ])("%j: a newer instance that has taken the address meanwhile keeps it", async (when) => {
    const { outcome, calls, holder, newer } = await play({ ms, isTaken: true, ...when });
    expect(calls).not.toContain("AssociateAddress");
    expect(outcome).toMatchObject({ end: "failed", status: 69 });
    expect(holder).toBe(newer);
  });

  test.each([
    { after: "DescribeInstances", nth: 1, latencyMs: 10 },
    { after: "DescribeAddresses", nth: 2, latencyMs: 1_500 },
    { after: "DescribeAddresses", nth: 3, latencyMs: 1_500 },
    { after: "AssociateAddress", nth: 1, latencyMs: 10 },
  ])("%j: where nothing has moved it costs a look or two", async (when) => {
    const { outcome, calls, holder, me } = await play({ ms, isTaken: false, ...when });
    expect(outcome).toMatchObject({ end: "settled", change: "taken", tries: 1 });
    expect(holder).toBe(me);
    expect(calls.filter((action) => action === "AssociateAddress")).toHaveLength(1);
    expect(calls.length, calls.join(" ")).toBeLessThanOrEqual(16);
  });
});

test.each([100_000, 1_800_000])(
  "for %d ms during the third look at an EC2 that is slow: that one is no ground for a take",
  async (ms) => {
    const when = { after: "DescribeAddresses", nth: 3, latencyMs: 1_500 };
    const { calls, holder, newer } = await play({ ms, isTaken: true, ...when });
    expect(calls).not.toContain("AssociateAddress");
    expect(holder).toBe(newer);
  },
);
