/** Which interface and private address: the real binary, with every call counted. */
import { describe, expect, test } from "vitest";
import type { Settings } from "../../sim/model.ts";
import type { RunningRegion } from "../../sim/server.ts";
import { aWorld } from "../../sim/world.ts";
import { DEADLINE, FREE, MOVE, play, settled } from "./counted.ts";

describe.concurrent("interfaces", () => {
  function scene(settings: Partial<Settings> = {}) {
    const world = aWorld({ settings });
    const address = world.address();
    const me = world.instance({
      role: "full",
      enis: [
        { privateIps: ["10.0.0.20", "10.0.0.21"] },
        { privateIps: ["10.0.1.20"], deviceIndex: 1 },
      ],
    });
    const [first, second] = me.interfaces;
    if (first === undefined || second === undefined)
      throw new Error("two interfaces were asked for");
    return { world, address, me, first, second };
  }

  // Instance metadata lists no network cards where an instance was launched long ago.
  test.each([true, false])(
    "several: the primary one by its interface id (network cards: %s)",
    async (networkCardIndex) => {
      const { world, address, me, first } = scene({ networkCardIndex });
      const { run, calls, associate, region } = await play(world, me, {
        environment: settled(address.allocationId),
      });
      expect(run.status, run.log.join("\n")).toBe(0);
      expect(associate).toEqual({
        AllocationId: address.allocationId,
        NetworkInterfaceId: first.networkInterfaceId,
        AllowReassociation: "false",
      });
      expect(calls).toEqual(FREE);
      expect(region.holder(address.allocationId)?.privateIp).toBe("10.0.0.20");
    },
  );

  test.each([
    ["device index", "1"],
    ["interface id", "ID"],
    ["MAC", "MAC"],
  ])("another one by %s", async (_, named) => {
    const { world, address, me, second } = scene();
    const name =
      named === "ID"
        ? second.networkInterfaceId
        : named === "MAC"
          ? second.mac.toUpperCase()
          : named;
    const { run, region, calls } = await play(world, me, {
      environment: { ...settled(address.allocationId), EIP_HEAL_INTERFACE: name },
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(calls).toEqual(FREE);
    expect(region.holder(address.allocationId)?.networkInterfaceId).toBe(second.networkInterfaceId);
    expect(run.log[0]).toContain(`${second.networkInterfaceId} 10.0.1.20`);
  });

  test("a secondary private address", async () => {
    const { world, address, me } = scene();
    const { run, associate, region, calls } = await play(world, me, {
      environment: { ...settled(address.allocationId), EIP_HEAL_PRIVATE_IP: "10.0.0.21" },
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(calls).toEqual(FREE);
    expect(associate).toMatchObject({ PrivateIpAddress: "10.0.0.21" });
    expect(region.holder(address.allocationId)?.privateIp).toBe("10.0.0.21");
  });

  test("a secondary private address of the only interface: still by instance id", async () => {
    const world = aWorld();
    const address = world.address();
    const me = world.instance({ role: "full", enis: [{ privateIps: ["10.0.0.20", "10.0.0.21"] }] });
    const { run, associate, region, calls } = await play(world, me, {
      environment: { ...settled(address.allocationId), EIP_HEAL_PRIVATE_IP: "10.0.0.21" },
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(calls).toEqual(FREE);
    expect(associate).toMatchObject({ InstanceId: me.instanceId, PrivateIpAddress: "10.0.0.21" });
    expect(region.holder(address.allocationId)?.privateIp).toBe("10.0.0.21");
  });

  test.each(["full", "old"] as const)(
    "an address on the wrong one of ours is moved, under every policy (%s role)",
    async (role) => {
      for (const takeover of ["never", "if-gone", "newest", "always"]) {
        const { world, address, me, first, second } = scene();
        world.hold(address, second);
        world.data.instances = world.data.instances.map((one) => ({ ...one, role }));
        const { run, region, associate, calls } = await play(world, me, {
          environment: { ...settled(address.allocationId), EIP_HEAL_TAKEOVER: takeover },
        });
        expect(run.status, run.log.join("\n")).toBe(0);
        // A look more than for a free one: what was taken has to hold.
        expect(calls).toEqual(MOVE[role]);
        expect(region.holder(address.allocationId)?.networkInterfaceId).toBe(
          first.networkInterfaceId,
        );
        expect(associate).toMatchObject({ AllowReassociation: "true" });
        expect(run.log[0]).toContain(`moved from ${second.networkInterfaceId} 10.0.1.20`);
      }
    },
  );

  test("another one without any IPv4 address is not in the way", async () => {
    const { world, address, me, first, second } = scene();
    const { run, region } = await play(
      world,
      me,
      { environment: settled(address.allocationId) },
      {
        prepare: ({ faults }) =>
          void faults.add({
            service: "imds",
            path: `/latest/meta-data/network/interfaces/macs/${second.mac}/local-ipv4s`,
            effect: { do: "status", status: 404 },
          }),
      },
    );
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(region.holder(address.allocationId)?.networkInterfaceId).toBe(first.networkInterfaceId);
  });

  test("the one that is meant has no IPv4 address: waited for, and said", async () => {
    const { world, address, me, second } = scene();
    const { run, calls } = await play(
      world,
      me,
      { environment: { ...settled(address.allocationId), ...DEADLINE, EIP_HEAL_INTERFACE: "1" } },
      {
        prepare: ({ faults }) =>
          void faults.add({
            service: "imds",
            path: `/latest/meta-data/network/interfaces/macs/${second.mac}/local-ipv4s`,
            effect: { do: "status", status: 404 },
          }),
      },
    );
    expect(run.status).toBe(78);
    expect(run.log.at(-1)).toContain(
      `no private IPv4 address (yet) on ${second.networkInterfaceId}`,
    );
    expect(calls).toEqual([]);
  });

  /** Does it three seconds after the agent has first asked instance metadata. */
  const soonAfterTheStart = (act: (region: RunningRegion) => void) => (region: RunningRegion) => {
    const timer = setInterval(() => {
      if (region.imdsRequests.length === 0) return;
      clearInterval(timer);
      setTimeout(() => act(region), 3_000);
    }, 20);
  };

  test("one that is attached after the boot is waited for", async () => {
    const { world, address, me } = scene();
    const { run, region, calls } = await play(
      world,
      me,
      { environment: { ...settled(address.allocationId), EIP_HEAL_INTERFACE: "2" } },
      {
        prepare: soonAfterTheStart(
          ({ region }) =>
            void region.attach(me.instanceId, { deviceIndex: 2, privateIps: ["10.0.2.20"] }),
        ),
      },
    );
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(run.log[0]).toMatch(/^no network interface 2 on .*; .*; next try in/);
    expect(run.log.at(-1)).toContain(" 10.0.2.20");
    expect(region.holder(address.allocationId)?.privateIp).toBe("10.0.2.20");
    expect(calls).toEqual(FREE);
  });

  test("a private address that is assigned after the boot is waited for", async () => {
    const { world, address, me } = scene();
    const { run, region, calls } = await play(
      world,
      me,
      { environment: { ...settled(address.allocationId), EIP_HEAL_PRIVATE_IP: "10.0.0.22" } },
      {
        prepare: soonAfterTheStart(({ region }) => {
          const host = region.instance(me.instanceId);
          const [primary, ...others] = host.interfaces;
          if (primary === undefined) throw new Error("there are two");
          const addresses = [...primary.addresses, { privateIp: "10.0.0.22", primary: false }];
          region.putInstance({ ...host, interfaces: [{ ...primary, addresses }, ...others] });
        }),
      },
    );
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(run.log[0]).toMatch(/^no private address 10\.0\.0\.22 on .*; next try in/);
    expect(region.holder(address.allocationId)?.privateIp).toBe("10.0.0.22");
    expect(calls).toEqual(FREE);
  });

  test("one that the instance does not have: waited for, and those it has", async () => {
    const { world, address, me, first, second } = scene();
    const { run, calls } = await play(world, me, {
      environment: { ...settled(address.allocationId), ...DEADLINE, EIP_HEAL_INTERFACE: "2" },
    });
    expect(run.status).toBe(78);
    expect(run.result).toMatchObject({ failure: "not-yet", exitStatus: 78 });
    expect(run.result?.["tries"]).toBeGreaterThan(1);
    expect(run.log[0]).toContain(`no network interface 2 on ${me.instanceId}`);
    expect(run.log[0]).toContain(`0 (${first.networkInterfaceId}, ${first.mac})`);
    expect(run.log[0]).toContain(`1 (${second.networkInterfaceId}, ${second.mac})`);
    expect(calls).toEqual([]);
  });

  test("a private address that the interface does not have: waited for, and those it has", async () => {
    const { world, address, me } = scene();
    const { run } = await play(world, me, {
      environment: {
        ...settled(address.allocationId),
        ...DEADLINE,
        EIP_HEAL_PRIVATE_IP: "10.0.1.20",
      },
    });
    expect(run.status).toBe(78);
    expect(run.log[0]).toContain("EIP_HEAL_PRIVATE_IP to one of: 10.0.0.20, 10.0.0.21");
  });
});
