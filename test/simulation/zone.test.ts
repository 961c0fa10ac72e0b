/** The zone of the holder has a disruption: EC2 then fails every question that names an instance there. On virtual time. */
import { describe, expect, test } from "vitest";
import type { Takeover } from "../../src/reconcile/ownership.ts";
import { Region } from "../../sim/region.ts";
import { aWorld } from "../../sim/world.ts";
import { runOnVirtualTime } from "./agent.ts";
import { dice, VirtualTime } from "./time.ts";

const START = Date.UTC(2026, 10, 1);
const MINUTE = 60_000;

interface Row {
  readonly what: string;
  readonly takeover: Takeover;
  /** Minutes since this instance was launched. */
  readonly launched: number;
  /** Minutes since the holder was; it is this instance itself if there is none. */
  readonly holder?: number;
  /** When the disruption is over, in seconds from the start of the run. */
  readonly until?: number;
  /** Seconds that the run takes, at least and at most. */
  readonly takes: readonly [least: number, most: number];
  readonly ends: "taken" | "none" | "held" | "yielded";
  /** Is any instance asked about? */
  readonly asks?: false;
}

const ROWS: readonly Row[] = [
  {
    what: "a replacement takes it after a minute",
    takeover: "newest",
    launched: 2,
    holder: 60,
    takes: [60, 90],
    ends: "taken",
  },
  {
    what: "an instance that merely reboots does not",
    takeover: "newest",
    launched: 20,
    holder: 60,
    takes: [590, 600],
    ends: "held",
  },
  {
    what: "nobody can tell whether it is gone",
    takeover: "if-gone",
    launched: 2,
    holder: 60,
    takes: [590, 600],
    ends: "held",
  },
  {
    what: "always needs no answer",
    takeover: "always",
    launched: 20,
    holder: 60,
    takes: [6, 10],
    ends: "taken",
    asks: false,
  },
  {
    what: "never needs none",
    takeover: "never",
    launched: 2,
    holder: 60,
    takes: [590, 600],
    ends: "held",
    asks: false,
  },
  {
    what: "what is here already needs none",
    takeover: "newest",
    launched: 20,
    takes: [0, 1],
    ends: "none",
    asks: false,
  },
  {
    what: "over in time: taken by the rule",
    takeover: "newest",
    launched: 2,
    holder: 60,
    until: 30,
    takes: [30, 60],
    ends: "taken",
  },
  {
    what: "over in time: left by the rule",
    takeover: "newest",
    launched: 2,
    holder: 1,
    until: 30,
    takes: [30, 60],
    ends: "yielded",
  },
];

describe.each(["full", "old"] as const)("with the %s role", (role) => {
  // DescribeInstances by filter names no instance: while any zone is down the old role has no answer at all.
  const rows = role === "full" ? ROWS : ROWS.filter(({ until }) => until !== undefined);

  test.each(rows)("$what (policy $takeover)", async (row) => {
    const { takeover, launched, holder, until, takes, ends, asks = true } = row;
    const world = aWorld();
    const address = world.address();
    const [down, up] = ["us-east-1a", "us-east-1b"];
    const other = world.instance({ zone: down, launchTime: START - (holder ?? 60) * MINUTE });
    const me = world.instance({
      zone: up,
      role,
      launchTime: START - launched * MINUTE,
      metadataTags: true,
      // Else it is asked which group it is in: by itself, and only once.
      lifecycle: "InService",
    });
    const first = holder === undefined ? me : other;
    world.hold(address, first);
    const time = new VirtualTime(START);
    const region = new Region(world.data, time.now);
    region.zoneDown(down ?? "");
    if (until !== undefined) void time.sleep(until * 1_000).then(() => region.zoneUp(down ?? ""));
    const calls: string[] = [];
    const run = runOnVirtualTime({
      region,
      time,
      instanceId: me.instanceId,
      settings: { EIP_HEAL_ALLOCATION_ID: address.allocationId, EIP_HEAL_TAKEOVER: takeover },
      random: dice(1),
      passage: (action) => {
        calls.push(action);
        return { thereMs: 20, backMs: 20 };
      },
    });
    await time.run();
    const outcome = await run;
    const isHere = ends === "taken" || ends === "none";
    expect(outcome).toMatchObject(
      isHere
        ? { end: "settled", change: ends }
        : { end: "failed", status: ends === "held" ? 75 : 69 },
    );
    const after = region.holder(address.allocationId)?.instanceId;
    expect(after).toBe(isHere ? me.instanceId : first.instanceId);
    const [least, most] = takes;
    expect(outcome.ms / 1_000).toBeGreaterThanOrEqual(least);
    expect(outcome.ms / 1_000).toBeLessThanOrEqual(most);
    expect(calls.includes("DescribeInstances")).toBe(asks);
  });
});
