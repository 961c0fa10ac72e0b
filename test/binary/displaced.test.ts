/** Another Elastic IP where the wanted one is to be: the real binary, with every call counted. */
import { describe, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { FREE, PLACES, play, reassociations, settled } from "./counted.ts";

describe.concurrent("another Elastic IP in the place", () => {
  function scene(role: "full" | "old", strictPlaces = false) {
    const world = aWorld({ settings: { strictPlaces } });
    const wanted = world.address();
    const present = world.address();
    const me = world.instance({ role });
    world.hold(present, me);
    return { world, wanted, present, me };
  }

  test.each(PLACES)("is disassociated, and named (EC2 $does)", async ({ strictPlaces }) => {
    const { world, wanted, present, me } = scene("full", strictPlaces);
    const { run, region, calls } = await play(
      world,
      me,
      { environment: settled(wanted.allocationId) },
      { mostWrites: strictPlaces ? 2 : 1 },
    );
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(region.holder(wanted.allocationId)?.instanceId).toBe(me.instanceId);
    expect(region.holder(present.allocationId)).toBeUndefined();
    expect(run.log[0]).toBe(
      `${present.allocationId} (${present.publicIp}) was disassociated from ${me.instanceId} ${me.networkInterfaceId} ${me.privateIp}; it stays allocated`,
    );
    // The look afterwards tells what it was: no further call. A refusal is looked into.
    if (strictPlaces) expect(calls.length, calls.join(" ")).toBeLessThanOrEqual(12);
    else expect(calls).toEqual(FREE);
    expect(reassociations(region)).toEqual(strictPlaces ? ["false", "true"] : ["false"]);
  });

  test.each(PLACES)(
    "is disassociated, and named as far as the old role may see (EC2 $does)",
    async ({ strictPlaces }) => {
      const { world, wanted, present, me } = scene("old", strictPlaces);
      const { run, calls, region } = await play(
        world,
        me,
        { environment: settled(wanted.allocationId) },
        { mostWrites: strictPlaces ? 2 : 1 },
      );
      expect(run.status, run.log.join("\n")).toBe(0);
      expect(run.log[0]).toContain(`${present.publicIp} was disassociated from ${me.instanceId}`);
      expect(calls.length, calls.join(" ")).toBeLessThanOrEqual(strictPlaces ? 12 : 6);
      expect(reassociations(region)).toEqual(strictPlaces ? ["false", "true"] : ["false"]);
    },
  );

  test.each(["full", "old"] as const)(
    "is disassociated by one that is taken from another instance, and named once (%s role)",
    async (role) => {
      const world = aWorld();
      const wanted = world.address();
      const present = world.address();
      world.hold(wanted, world.instance({ state: "stopped" }));
      const me = world.instance({ role });
      world.hold(present, me);
      const { run } = await play(world, me, { environment: settled(wanted.allocationId) });
      expect(run.status, run.log.join("\n")).toBe(0);
      expect(run.log.filter((line) => line.includes("was disassociated"))).toEqual([
        expect.stringContaining(present.publicIp),
      ]);
    },
  );

  test.each(
    (["full", "old"] as const).flatMap((role) => PLACES.map((place) => ({ role, ...place }))),
  )(
    "is named once and only when it is gone: a lost race and refusals come before ($role role, EC2 $does)",
    async ({ role, strictPlaces }) => {
      const { world, wanted, present, me } = scene(role, strictPlaces);
      const { run, calls } = await play(
        world,
        me,
        { environment: settled(wanted.allocationId) },
        {
          mostWrites: 4,
          prepare: ({ faults }) => {
            for (const code of ["Resource.AlreadyAssociated", "UnauthorizedOperation"]) {
              faults.add({
                service: "ec2",
                action: "AssociateAddress",
                count: 1,
                effect: { do: "error", code, message: "not this time" },
              });
            }
          },
        },
      );
      expect(run.status, run.log.join("\n")).toBe(0);
      const writes = calls.filter((action) => action === "AssociateAddress");
      expect(writes).toHaveLength(strictPlaces ? 4 : 3);
      const told = run.log.findIndex((line) => line.includes("was disassociated"));
      expect(run.log[told]).toContain(present.publicIp);
      expect(told).toBe(run.log.length - 2);
    },
  );

  test("is not said to be disassociated by a request that was lost", async () => {
    const world = aWorld();
    const wanted = world.address();
    const present = world.address();
    const me = world.instance({
      role: "full",
      enis: [{ privateIps: ["10.0.0.20"] }, { privateIps: ["10.0.1.20"], deviceIndex: 1 }],
    });
    world.hold(wanted, me, "10.0.1.20");
    world.hold(present, me, "10.0.0.20");
    const { run } = await play(
      world,
      me,
      { environment: settled(wanted.allocationId) },
      {
        mostWrites: 2,
        prepare: ({ faults }) =>
          void faults.add({
            service: "ec2",
            action: "AssociateAddress",
            count: 1,
            effect: { do: "reset" },
          }),
      },
    );
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(run.log.filter((line) => line.includes("was disassociated"))).toHaveLength(1);
    expect(run.log.at(-2)).toContain("was disassociated");
  });

  test("that somebody moves elsewhere meanwhile is not said to be disassociated", async () => {
    const { world, wanted, present, me } = scene("full");
    const third = world.instance();
    const { run } = await play(
      world,
      me,
      { environment: settled(wanted.allocationId) },
      {
        mostWrites: 2,
        prepare: ({ faults, calls, region }) => {
          faults.add({
            service: "ec2",
            action: "AssociateAddress",
            effect: { do: "delay", beforeMs: 400 },
          });
          const timer = setInterval(() => {
            if (calls.length === 0) return;
            clearInterval(timer);
            region.associateAddress(
              { instanceId: third.instanceId },
              { allocationId: present.allocationId, instanceId: third.instanceId },
            );
          }, 5);
        },
      },
    );
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(run.log.filter((line) => line.includes("was disassociated"))).toEqual([]);
  });

  test.each(["full", "old"] as const)("stays with EIP_HEAL_DISPLACE=no (%s role)", async (role) => {
    const { world, wanted, present, me } = scene(role);
    const { run, region, calls } = await play(world, me, {
      environment: { ...settled(wanted.allocationId), EIP_HEAL_DISPLACE: "no" },
    });
    expect(run.status).toBe(78);
    expect(run.log[0]).toContain(present.publicIp);
    expect(run.log[0]).toContain("EIP_HEAL_DISPLACE is no");
    expect(calls).not.toContain("AssociateAddress");
    expect(region.holder(present.allocationId)?.instanceId).toBe(me.instanceId);
  });

  test.each(["full", "old"] as const)(
    "an address that EC2 has assigned by itself is none (%s role)",
    async (role) => {
      const world = aWorld();
      const wanted = world.address();
      const me = world.instance({ role, autoPublicIp: true });
      const { run, calls } = await play(world, me, {
        environment: { ...settled(wanted.allocationId), EIP_HEAL_DISPLACE: "no" },
      });
      expect(run.status, run.log.join("\n")).toBe(0);
      expect(run.log).toHaveLength(1);
      // One look more: whether it is an Elastic IP only EC2 knows.
      const look = role === "full" ? "DescribeAddresses" : "DescribeInstances";
      expect(calls).toEqual([
        "DescribeAddresses",
        look,
        ...(role === "old" ? [look] : []),
        "AssociateAddress",
        look,
        look,
      ]);
    },
  );

  test("on a secondary private address is not in the way of the primary one", async () => {
    const world = aWorld();
    const wanted = world.address();
    const present = world.address();
    const me = world.instance({ role: "full", enis: [{ privateIps: ["10.0.0.20", "10.0.0.21"] }] });
    world.hold(present, me, "10.0.0.21");
    const { run, region } = await play(world, me, {
      environment: { ...settled(wanted.allocationId), EIP_HEAL_DISPLACE: "no" },
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(region.holder(present.allocationId)?.instanceId).toBe(me.instanceId);
  });
});
