/** Pools of addresses: the real binary, with every call counted. */
import { describe, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { runAgent } from "../support/agent.ts";
import { inRegion } from "../support/region.ts";
import { DEADLINE, FREE, PLACES, play, reassociations } from "./counted.ts";

describe.concurrent("a pool", () => {
  const POOL = { "eip-pool": "web" };
  function scene(size: number) {
    const world = aWorld();
    const addresses = Array.from({ length: size }, () => world.address({ tags: POOL }));
    const me = world.instance({ tags: POOL, role: "full", metadataTags: true });
    return { world, addresses, me };
  }

  test.each([
    ["the instance tag in metadata", {}],
    ["the setting", { EIP_HEAL_POOL: "eip-pool=web" }],
  ])("named by %s: a free address is claimed and never taken", async (_, environment) => {
    const { world, me } = scene(3);
    const { run, region, calls, associate } = await play(world, me, { environment });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(associate).toMatchObject({ AllowReassociation: "false" });
    expect(calls).toEqual(FREE);
    expect(region.holder(run.result?.["allocationId"] as string)?.instanceId).toBe(me.instanceId);
  });

  test("named by the tag that only EC2 shows", async () => {
    const world = aWorld();
    world.address({ tags: POOL });
    const me = world.instance({ tags: POOL, role: "full" });
    const { run, calls } = await play(world, me);
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(calls).toEqual(["DescribeInstances", ...FREE]);
  });

  test("an address of it that is already here stays: one call, after a reboot too", async () => {
    const { world, addresses, me } = scene(3);
    const [, mine] = addresses;
    if (mine === undefined) throw new Error("there are three");
    world.hold(mine, me);
    const { run, calls } = await play(world, me);
    expect(run.status).toBe(0);
    expect(run.result).toMatchObject({ change: "none", allocationId: mine.allocationId });
    expect(calls).toEqual(["DescribeAddresses"]);
  });

  test("of several on this instance the one at its place stays, and none is swapped", async () => {
    const world = aWorld();
    const [elsewhere, here] = [world.address({ tags: POOL }), world.address({ tags: POOL })];
    const me = world.instance({
      tags: POOL,
      role: "full",
      metadataTags: true,
      enis: [{ privateIps: ["10.0.0.20"] }, { privateIps: ["10.0.1.20"], deviceIndex: 1 }],
    });
    world.hold(elsewhere, me, "10.0.1.20");
    world.hold(here, me, "10.0.0.20");
    const { run, calls } = await play(world, me);
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(run.result).toMatchObject({ change: "none", allocationId: here.allocationId });
    expect(calls).toEqual(["DescribeAddresses"]);
  });

  test("own zone's first, another zone's never", async () => {
    const world = aWorld();
    const other = world.address({ tags: { ...POOL, "eip-zone": "us-east-1a" } });
    world.address({ tags: POOL });
    const own = world.address({ tags: { ...POOL, "eip-zone": "us-east-1b" } });
    world.address({ tags: POOL });
    const me = world.instance({ tags: POOL, role: "full", metadataTags: true, zone: "us-east-1b" });
    const { run } = await play(world, me);
    expect(run.result).toMatchObject({ allocationId: own.allocationId });

    const lonely = aWorld();
    const foreign = lonely.address({
      allocationId: other.allocationId,
      tags: { ...POOL, "eip-zone": "us-east-1a" },
    });
    const late = lonely.instance({
      tags: POOL,
      role: "full",
      metadataTags: true,
      zone: "us-east-1b",
    });
    const { run: end, calls } = await play(lonely, late, { environment: DEADLINE });
    expect(end.status).toBe(75);
    expect(end.log[0]).toContain(`${foreign.allocationId} (${foreign.publicIp}) is for us-east-1a`);
    expect(calls).not.toContain("AssociateAddress");
  });

  test("nothing from a running instance, however old; says who holds what", async () => {
    const { world, addresses, me } = scene(2);
    const holders = addresses.map((address) => {
      const holder = world.instance({ launchTime: 0 });
      world.hold(address, holder);
      return holder;
    });
    const { run, calls } = await play(world, me, {
      environment: { ...DEADLINE, EIP_HEAL_TAKEOVER: "always" },
    });
    expect(run.status).toBe(75);
    expect(calls).not.toContain("AssociateAddress");
    for (const [index, { allocationId }] of addresses.entries()) {
      expect(run.log[0]).toContain(
        `${allocationId} (${addresses[index]?.publicIp}) is held by ${holders[index]?.instanceId} (running)`,
      );
    }
  });

  test("from an instance that is gone, when nothing is free", async () => {
    const { world, addresses, me } = scene(2);
    const [first, second] = addresses;
    if (first === undefined || second === undefined) throw new Error("there are two");
    world.hold(first, world.instance({}));
    const gone = world.instance({ state: "stopped" });
    world.hold(second, gone);
    const { run, associate, calls } = await play(world, me);
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(calls).toEqual([
      "DescribeAddresses",
      "DescribeInstances",
      "AssociateAddress",
      "DescribeAddresses",
      "DescribeAddresses",
    ]);
    expect(associate).toMatchObject({
      AllocationId: second.allocationId,
      AllowReassociation: "true",
    });
    expect(run.log[0]).toContain(`taken from ${gone.instanceId} (stopped)`);
  });

  test("from the oldest that was launched before, with EIP_HEAL_POOL_TAKEOVER=oldest", async () => {
    const { world, addresses, me } = scene(4);
    const [first, oldest, third, newer] = [-2, -3, -1, 1].map((hours, index) => {
      const holder = world.instance({ launchTime: me.launchTime + hours * 3_600_000 });
      world.hold({ allocationId: addresses[index]?.allocationId ?? "" }, holder);
      return holder;
    });
    const { run, region, associate, calls } = await play(world, me, {
      environment: { EIP_HEAL_POOL_TAKEOVER: "oldest" },
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    // What was taken has to hold.
    expect(calls).toEqual([
      "DescribeAddresses",
      "DescribeInstances",
      "AssociateAddress",
      "DescribeAddresses",
      "DescribeAddresses",
    ]);
    expect(associate).toMatchObject({
      AllocationId: addresses[1]?.allocationId,
      AllowReassociation: "true",
    });
    expect(run.log[0]).toContain(`taken from ${oldest?.instanceId} (running)`);
    expect(addresses.map(({ allocationId }) => region.holder(allocationId)?.instanceId)).toEqual([
      first?.instanceId,
      me.instanceId,
      third?.instanceId,
      newer?.instanceId,
    ]);
  });

  test("nothing from a newer instance, with EIP_HEAL_POOL_TAKEOVER=oldest", async () => {
    const { world, addresses, me } = scene(2);
    const holders = addresses.map((address) => {
      const holder = world.instance({ launchTime: me.launchTime + 3_600_000 });
      world.hold(address, holder);
      return holder;
    });
    const { run, calls } = await play(world, me, {
      environment: { ...DEADLINE, EIP_HEAL_POOL_TAKEOVER: "oldest" },
    });
    expect(run.status).toBe(75);
    expect(calls).not.toContain("AssociateAddress");
    expect(run.log[0]).toContain(`is held by ${holders[0]?.instanceId} (running)`);
  });

  test.each(PLACES)(
    "an address of it replaces one in the place that is not of it (EC2 $does)",
    async ({ strictPlaces }) => {
      const world = aWorld({ settings: { strictPlaces } });
      const free = world.address({ tags: POOL });
      const present = world.address();
      const me = world.instance({ tags: POOL, role: "full", metadataTags: true });
      world.hold(present, me);
      const { run, region } = await play(world, me, {}, { mostWrites: 2 });
      expect(run.status, run.log.join("\n")).toBe(0);
      expect(run.log[0]).toContain(
        `${present.allocationId} (${present.publicIp}) was disassociated`,
      );
      expect(region.holder(free.allocationId)?.instanceId).toBe(me.instanceId);
      expect(reassociations(region)).toEqual(strictPlaces ? ["false", "true"] : ["false"]);
    },
  );

  test.each(["w*b", "we?", "*"])(
    "named %s: no other pool's, although EC2 takes that for any characters",
    async (name) => {
      const world = aWorld();
      const other = world.address({ tags: POOL });
      const me = world.instance({ tags: { "eip-pool": name }, role: "full", metadataTags: true });
      const { run, region } = await play(world, me, { environment: DEADLINE });
      expect(run.status, run.log.join("\n")).toBe(75);
      expect(reassociations(region)).toEqual([]);
      expect(region.holder(other.allocationId)).toBeUndefined();
    },
  );

  test("a lost claim costs one call and moves on", async () => {
    const { world, me } = scene(2);
    await inRegion(world, async (region) => {
      region.faults.add({
        service: "ec2",
        action: "AssociateAddress",
        count: 1,
        effect: {
          do: "error",
          code: "Resource.AlreadyAssociated",
          message: "resource … is already associated",
        },
      });
      const run = await runAgent(region, me.instanceId);
      expect(run.status, run.log.join("\n")).toBe(0);
      expect(region.calls.map(({ action }) => action)).toEqual([
        "DescribeAddresses",
        "AssociateAddress",
        "AssociateAddress",
        "DescribeAddresses",
        "DescribeAddresses",
      ]);
      const [first, second] = region.calls.filter(({ action }) => action === "AssociateAddress");
      expect(first?.params["AllocationId"]).not.toBe(second?.params["AllocationId"]);
    });
  });

  test("without ec2:DescribeAddresses: named", async () => {
    const world = aWorld();
    const me = world.instance({ tags: POOL, role: "old", metadataTags: true });
    const { run } = await play(world, me, { environment: DEADLINE });
    expect(run.status).toBe(77);
    expect(run.log[0]).toContain("allow ec2:DescribeAddresses");
  });

  test("different instances reach for different addresses", async () => {
    const world = aWorld();
    for (let i = 0; i < 8; i++) world.address({ tags: POOL });
    const instances = Array.from({ length: 8 }, () =>
      world.instance({ tags: POOL, role: "full", metadataTags: true }),
    );
    await inRegion(world, async (region) => {
      const runs = await Promise.all(
        instances.map(({ instanceId }) =>
          runAgent(region, instanceId, { flags: ["--dry-run", "--json"] }),
        ),
      );
      const wishes = new Set(
        runs.map(({ stdout }) => (JSON.parse(stdout) as { allocationId: string }).allocationId),
      );
      expect(wishes.size).toBeGreaterThan(3);
    });
  });
});
