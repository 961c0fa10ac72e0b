/** Holders that nothing is taken from: the real binary, with every call counted. */
import { describe, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { DEADLINE, play, settled } from "./counted.ts";

describe.concurrent("refused whatever the policy, with the holder named", () => {
  test.each(["nat-gateway", "load-balancer", "service", "other-account"] as const)(
    "held by %s",
    async (manager) => {
      for (const takeover of ["never", "always"]) {
        const world = aWorld();
        const address = world.address();
        const holder = world.holdByService(address, manager);
        const me = world.instance({ role: "full" });
        const { run, calls } = await play(world, me, {
          environment: {
            ...settled(address.allocationId),
            ...DEADLINE,
            EIP_HEAL_TAKEOVER: takeover,
          },
        });
        // An interface is without an instance for a while when that is being terminated: it is waited for.
        expect(run.status, run.log.join("\n")).toBe(78);
        expect(run.log[0]).toContain(holder.networkInterfaceId);
        const asked = ["DescribeAddresses", "DescribeNetworkInterfaces"];
        expect(calls.filter((action) => !asked.includes(action))).toEqual([]);
      }
    },
  );

  test("held by an interface that is on no instance (any more)", async () => {
    for (const takeover of ["never", "always"]) {
      const world = aWorld();
      const address = world.address();
      const holder = world.holdByOrphan(address);
      const me = world.instance({ role: "full" });
      const { run, region } = await play(world, me, {
        environment: { ...settled(address.allocationId), ...DEADLINE, EIP_HEAL_TAKEOVER: takeover },
      });
      expect(run.status, run.log.join("\n")).toBe(78);
      expect(run.log[0]).toContain(holder.networkInterfaceId);
      expect(region.holder(address.allocationId)?.networkInterfaceId).toBe(
        holder.networkInterfaceId,
      );
    }
  });

  test("held by an interface that is on an instance again: by that instance's age", async () => {
    const world = aWorld();
    const address = world.address();
    const holder = world.holdByOrphan(address);
    const older = world.instance({});
    const me = world.instance({ role: "full" });
    const { run, region } = await play(
      world,
      me,
      { environment: settled(address.allocationId) },
      {
        prepare({ calls, region }) {
          const timer = setInterval(() => {
            if (calls.length === 0) return;
            clearInterval(timer);
            region.attach(older.instanceId, { networkInterfaceId: holder.networkInterfaceId });
          }, 5);
        },
      },
    );
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(run.log.at(-1)).toContain(`taken from ${older.instanceId} (running)`);
    expect(region.holder(address.allocationId)?.instanceId).toBe(me.instanceId);
  });

  test("managed by a service, which EC2 names", async () => {
    const world = aWorld();
    const address = world.address({ serviceManaged: "nlb" });
    world.holdByService(address, "load-balancer");
    const { run, calls } = await play(world, world.instance({ role: "full" }), {
      environment: settled(address.allocationId),
    });
    expect(run.status).toBe(78);
    expect(run.log[0]).toContain("managed by nlb");
    expect(calls).toEqual(["DescribeAddresses"]);
  });

  test("in another network border group", async () => {
    const world = aWorld({ region: "us-west-2", zones: ["us-west-2a", "us-west-2-lax-1a"] });
    const address = world.address();
    const me = world.instance({ role: "full", zone: "us-west-2-lax-1a" });
    const { run, calls } = await play(world, me, { environment: settled(address.allocationId) });
    expect(run.status).toBe(78);
    expect(run.log[0]).toContain(
      "belongs to us-west-2, and this instance in us-west-2-lax-1a to us-west-2-lax-1",
    );
    expect(calls).toEqual(["DescribeAddresses"]);
  });

  test("with the old role a holder that it cannot see is never robbed, and the way to see it is named", async () => {
    const world = aWorld();
    const address = world.address();
    const holder = world.holdByService(address, "other-account");
    const me = world.instance({ role: "old" });
    const { run, region } = await play(
      world,
      me,
      {
        environment: { ...settled(address.allocationId), ...DEADLINE, EIP_HEAL_TAKEOVER: "always" },
      },
      { mostWrites: 9 },
    );
    for (const { action, params } of region.calls) {
      if (action === "AssociateAddress") expect(params["AllowReassociation"]).toBe("false");
    }
    expect(run.status).not.toBe(0);
    expect(region.holder(address.allocationId)?.networkInterfaceId).toBe(holder.networkInterfaceId);
  });
});
