/**
 * Several addresses per instance, on virtual time: agents of the real heal code race for two of them, and one agent is alone
 * with one that somebody has, every call counted. That each of two runs may find the other one's address in its place is
 * explored, too: test/explorer/pair.ts.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Outcome } from "../../src/model/outcome.ts";
import { TAKEOVERS, type Takeover } from "../../src/reconcile/ownership.ts";
import type { AddressSpec } from "../../sim/build.ts";
import { INTERFACES_ROLE } from "../../sim/iam.ts";
import type { InstanceState, Manager } from "../../sim/model.ts";
import { Region } from "../../sim/region.ts";
import { aWorld, type BuiltInstance, type World } from "../../sim/world.ts";
import { trials } from "../support/properties.ts";
import { runOnVirtualTime } from "./agent.ts";
import { newestOf } from "./fleet.ts";
import { dice, VirtualTime } from "./time.ts";

const START = Date.UTC(2026, 10, 1);

interface Place {
  readonly by: number;
  readonly on: number;
}

interface Race {
  /** Of each instance: seconds before the start at which EC2 launched it, and milliseconds after it at which its run begins. */
  readonly racers: readonly { readonly launchedBefore: number; readonly beginsAt: number }[];
  /** Which instance has each address at the start, and on which of its two interfaces; undefined: nobody. */
  readonly held: readonly (Place | undefined)[];
  /** Where an Elastic IP is that none of them should have, if that place is free, and they may displace it. */
  readonly strange: Place | undefined;
  /** Does EC2 refuse AllowReassociation=false where another Elastic IP is in the place? */
  readonly isStrict: boolean;
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
  strange: holding,
  isStrict: fc.boolean(),
  slowestMs: fc.constantFrom(20, 200, 400),
  loseOneIn: fc.constantFrom(0, 0, 20, 6),
  displace: fc.constantFrom("yes", "no"),
  seed: fc.nat(),
});

async function play({ racers, held, slowestMs, loseOneIn, displace, seed, ...more }: Race) {
  const world = aWorld({ settings: { strictPlaces: more.isStrict } });
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
  const taken = new Set<string>();
  const hold = (address: { allocationId: string }, place: Place | undefined) => {
    const at = place && instances[place.by % instances.length]?.interfaces[place.on];
    if (at === undefined || taken.has(at.networkInterfaceId)) return;
    taken.add(at.networkInterfaceId);
    world.hold(address, at);
  };
  addresses.forEach((address, index) => hold(address, held[index]));
  if (displace === "yes") hold(world.address(), more.strange);
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

describe("the last of them is held, the others are free", () => {
  const LAUNCHED = START - 60_000;
  const OLDER = LAUNCHED - 1_000;
  const NEWER = LAUNCHED + 1_000;
  /** A private address of the instance that none of them belongs to. */
  const SPARE = "10.0.0.90";
  const FREE = ["DescribeAddresses", "AssociateAddress", "DescribeAddresses", "DescribeAddresses"];

  /** What becomes of the held one. */
  type End = "associated" | "none" | "taken" | "held" | "yielded" | "refused";
  const STATUS = { associated: 0, none: 0, taken: 0, held: 75, yielded: 69, refused: 78 } as const;

  interface Row {
    readonly by: string;
    readonly hold: (
      world: World,
      address: { readonly allocationId: string },
      me: BuiltInstance,
      place: string,
    ) => unknown;
    readonly address?: AddressSpec;
    /** Does EC2 not know the holder any more? */
    readonly isForgotten?: boolean;
    /** By policy: never, if-gone, newest, always. */
    readonly ends: readonly [End, End, End, End];
    /** What is asked about the holder, by policy; default: nothing. */
    readonly asks?: Partial<Record<Takeover, string>>;
    readonly role?: "interfaces";
  }

  const ofInstance = { "if-gone": "DescribeInstances", newest: "DescribeInstances" };
  const ofInterface = Object.fromEntries(
    TAKEOVERS.map((takeover) => [takeover, "DescribeNetworkInterfaces"]),
  );
  const GONE = ["held", "taken", "taken", "taken"] as const;
  const ALL_REFUSED = ["refused", "refused", "refused", "refused"] as const;
  const instance = (
    state: InstanceState,
    launchTime: number,
    ends: Row["ends"],
    age = "",
  ): Row => ({
    by: `an instance that is ${state}${age}`,
    hold: (world, address) =>
      world.hold(address, world.instance({ state, launchTime, keepsAssociation: true })),
    ends,
    asks: ofInstance,
  });

  const ROWS: readonly Row[] = [
    {
      by: "nobody",
      hold: () => {},
      ends: ["associated", "associated", "associated", "associated"],
    },
    {
      by: "this instance, in its place",
      hold: (world, address, me, place) => world.hold(address, interfaceWith(me, place), place),
      ends: ["none", "none", "none", "none"],
    },
    {
      by: "this instance, in another place",
      hold: (world, address, me) => world.hold(address, interfaceWith(me, SPARE), SPARE),
      ends: ["taken", "taken", "taken", "taken"],
    },
    ...(["stopping", "stopped", "shutting-down", "terminated"] as const).map((state) =>
      instance(state, NEWER, GONE),
    ),
    {
      ...instance("running", NEWER, GONE),
      by: "an instance that EC2 does not know",
      isForgotten: true,
    },
    ...(["running", "pending"] as const).flatMap((state) => [
      instance(state, OLDER, ["held", "held", "taken", "taken"], ", older"),
      instance(state, NEWER, ["held", "held", "yielded", "taken"], ", newer"),
    ]),
    {
      by: "an own interface that is attached to nothing",
      hold: (world, address) => world.holdByOrphan(address),
      ends: GONE,
      asks: ofInterface,
      role: "interfaces",
    },
    {
      by: "an interface that is attached to nothing, whose kind this role may not see",
      hold: (world, address) => world.holdByOrphan(address),
      ends: ALL_REFUSED,
      asks: ofInterface,
    },
    ...(["nat-gateway", "load-balancer", "service", "other-account"] satisfies Manager[]).map(
      (manager): Row => ({
        by: `an interface of a ${manager}`,
        hold: (world, address) => world.holdByService(address, manager),
        ends: ALL_REFUSED,
        asks: ofInterface,
        role: "interfaces",
      }),
    ),
    {
      by: "a service that manages the address",
      hold: (world, address) => world.holdByService(address, "load-balancer"),
      address: { serviceManaged: "nlb" },
      ends: ALL_REFUSED,
    },
    {
      by: "nobody, in another network border group",
      hold: () => {},
      address: { networkBorderGroup: "us-east-1-wl1-bos-wlz-1" },
      ends: ALL_REFUSED,
    },
  ];

  function interfaceWith(me: BuiltInstance, privateIp: string) {
    const found = me.interfaces.find(({ addresses }) =>
      addresses.some((one) => one.privateIp === privateIp),
    );
    if (found === undefined) throw new Error(`no interface has ${privateIp}`);
    return found;
  }

  /** An instance that EC2 does not know counts as gone after 15 s, in which it is looked at every five: so many looks more. */
  function waitsFor({ isForgotten, asks }: Row, takeover: Takeover): number {
    return isForgotten === true && asks?.[takeover] !== undefined ? 3 : 0;
  }

  async function playAlone(row: Row, takeover: Takeover, count: number, interfaces: number) {
    const world = aWorld();
    world.role("interfaces", INTERFACES_ROLE);
    const places = Array.from(
      { length: count },
      (_, at) => `10.0.${at % interfaces}.${20 + Math.floor(at / interfaces)}`,
    );
    const addresses = places.map((_, at) => world.address(at === count - 1 ? row.address : {}));
    const me = world.instance({
      role: row.role ?? "full",
      launchTime: LAUNCHED,
      lifecycle: "InService",
      enis: Array.from({ length: interfaces }, (_, deviceIndex) => ({
        deviceIndex,
        privateIps: [...places, SPARE].filter((ip) => ip.startsWith(`10.0.${deviceIndex}.`)),
      })),
    });
    const last = addresses.at(-1);
    if (last === undefined) throw new Error("there are none");
    row.hold(world, last, me, places.at(-1) ?? "");
    const time = new VirtualTime(START);
    const region = new Region(world.data, time.now);
    const before = region.holder(last.allocationId);
    if (row.isForgotten) region.forget(before?.instanceId ?? "");
    const calls: string[] = [];
    const run = runOnVirtualTime({
      region,
      time,
      instanceId: me.instanceId,
      settings: {
        EIP_HEAL_ALLOCATION_ID: addresses
          .map(({ allocationId }, at) => `${allocationId}@${places[at]}`)
          .join(" "),
        EIP_HEAL_TAKEOVER: takeover,
        // A run that fails ends before the others have to be looked at again.
        EIP_HEAL_DEADLINE: waitsFor(row, takeover) > 0 ? "30s" : "10s",
      },
      random: dice(1),
      passage: (action) => {
        calls.push(action);
        return { thereMs: 10, backMs: 10 };
      },
    });
    await time.run();
    return { outcome: await run, calls, region, addresses, places, me, before };
  }

  const LAYOUTS = [
    [1, 1],
    [2, 1],
    [2, 2],
    [5, 2],
    [5, 3],
  ] as const;
  /** Every layout with the default policy, one with every policy. */
  const CASES = [
    ...LAYOUTS.map((layout) => ({ layout, takeover: "newest" as const })),
    ...TAKEOVERS.map((takeover) => ({ layout: [2, 2] as const, takeover })),
  ];

  test.each(ROWS)("held by $by", async (row) => {
    for (const { layout, takeover } of CASES) {
      const [count, interfaces] = layout;
      const what = `${count} on ${interfaces} under ${takeover}`;
      const end = row.ends[TAKEOVERS.indexOf(takeover)] ?? "refused";
      const { outcome, calls, region, ...scene } = await playAlone(
        row,
        takeover,
        count,
        interfaces,
      );

      const { each = [] } = outcome;
      const others = each.slice(0, -1).map((one) => one.outcome);
      const own = each.at(-1)?.outcome;
      expect(each, what).toHaveLength(count);
      for (const other of others) {
        expect(other, what).toMatchObject({ end: "settled", change: "associated", tries: 1 });
      }
      const isHere = STATUS[end] === 0;
      const ended = isHere
        ? { end: "settled", change: end, tries: 1 }
        : { end: "failed", status: STATUS[end] };
      expect(own, what).toMatchObject(ended);
      expect(outcome, what).toMatchObject(
        isHere ? { end: "settled" } : { end: "failed", status: STATUS[end] },
      );
      scene.addresses.forEach(({ allocationId }, at) => {
        const holder = region.holder(allocationId);
        const isMine = at < count - 1 || isHere;
        expect(holder, what).toEqual(
          isMine
            ? expect.objectContaining({
                instanceId: scene.me.instanceId,
                privateIp: scene.places[at],
              })
            : scene.before,
        );
      });

      const asked = row.asks?.[takeover];
      const look = ["DescribeAddresses", ...(asked === undefined ? [] : [asked])];
      const waits = waitsFor(row, takeover);
      const looks = Array.from({ length: isHere ? waits : (own?.tries ?? 0) }, () => look).flat();
      const ofLast = {
        none: look,
        associated: FREE,
        taken: [...looks, ...look, ...FREE.slice(1)],
        held: looks,
        yielded: looks,
        refused: looks,
      }[end];
      // Those that are here by then are looked at once more.
      const confirmations = others.flatMap(() => (waits > 0 ? ["DescribeAddresses"] : []));
      const expected = [...others.flatMap(() => FREE), ...ofLast, ...confirmations];
      expect(calls.toSorted(), what).toEqual(expected.toSorted());
    }
  });
});
