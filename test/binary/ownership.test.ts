/** Interfaces, displaced addresses, refusals and pools: the real binary, with every call counted. */
import { describe, expect, test } from "vitest";
import type { Settings } from "../../sim/model.ts";
import { type RunningRegion, startRegion } from "../../sim/server.ts";
import { aWorld, type BuiltInstance, type World } from "../../sim/world.ts";
import { type AgentOptions, type AgentRun, runAgent } from "./agent.ts";

/** Look, act, look again, and once more after the hold: what associating a free address takes. */
const FREE = ["DescribeAddresses", "AssociateAddress", "DescribeAddresses", "DescribeAddresses"];

/** The same when it is elsewhere on this instance, by role: the old one may not describe addresses. */
const MOVE = {
  full: FREE,
  old: [
    "DescribeAddresses",
    "DescribeInstances",
    "AssociateAddress",
    "DescribeInstances",
    "DescribeInstances",
  ],
};

const DEADLINE = { EIP_HEAL_DEADLINE: "4s" };

/**
 * What AllowReassociation=false means where another Elastic IP stands in the place. EC2's documentation has known both;
 * whichever it is today, the same comes of it.
 */
const PLACES = [
  { does: "empties the place", strictPlaces: false },
  { does: "refuses", strictPlaces: true },
];

interface Scene {
  readonly run: AgentRun;
  readonly region: RunningRegion;
  /** The actions called, in order. */
  readonly calls: readonly string[];
  /** Parameters of the one AssociateAddress, if there was one. */
  readonly associate: Readonly<Record<string, string>> | undefined;
}

async function play(
  world: World,
  me: BuiltInstance,
  options: AgentOptions = {},
  {
    mostWrites = 1,
    prepare,
  }: { mostWrites?: number; prepare?: (region: RunningRegion) => void } = {},
): Promise<Scene> {
  const region = await startRegion(world);
  prepare?.(region);
  const run = await runAgent(region, me.instanceId, options);
  await region.close();
  expect(region.bugs).toEqual([]);
  const writes = region.calls.filter(({ action }) => action === "AssociateAddress");
  expect(writes.length).toBeLessThanOrEqual(mostWrites);
  return {
    run,
    region,
    calls: region.calls.map(({ action }) => action),
    associate: writes[0]?.params,
  };
}

/** AllowReassociation of each AssociateAddress. */
const reassociations = ({ calls }: RunningRegion) =>
  calls
    .filter(({ action }) => action === "AssociateAddress")
    .map(({ params }) => params["AllowReassociation"]);

const settled = (allocationId: string) => ({ EIP_HEAL_ALLOCATION_ID: allocationId });

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
    expect(run.log.at(-1)).toContain(`${second.networkInterfaceId} has no private IPv4 address`);
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
    expect(run.log[0]).toMatch(/has no network interface 2; .*; next try in/);
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
    expect(run.log[0]).toMatch(/has no private address 10\.0\.0\.22; .*; next try in/);
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
    expect(run.log[0]).toContain(`${me.instanceId} has no network interface 2`);
    expect(run.log[0]).toContain(`${first.networkInterfaceId} (index 0, ${first.mac})`);
    expect(run.log[0]).toContain(`${second.networkInterfaceId} (index 1, ${second.mac})`);
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

/** EC2 does not tell this role which allocation a public address belongs to. */
describe.concurrent("several Elastic IPs on this instance, seen with the old role", () => {
  function scene(strictPlaces = false) {
    const world = aWorld({ settings: { strictPlaces } });
    const wanted = world.address();
    const others = [world.address(), world.address()] as const;
    const me = world.instance({
      role: "old",
      enis: [
        { privateIps: ["10.0.0.20", "10.0.0.21"] },
        { privateIps: ["10.0.1.20"], deviceIndex: 1 },
      ],
    });
    return { world, wanted, others, me };
  }

  test("the wanted one at its place: settled, under its own name", async () => {
    const { world, wanted, others, me } = scene();
    world.hold(wanted, me);
    world.hold(others[0], me, "10.0.1.20");
    const { run, region, associate } = await play(world, me, {
      environment: settled(wanted.allocationId),
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(run.result).toMatchObject({ change: "none", publicIp: wanted.publicIp });
    expect(associate).toMatchObject({ AllowReassociation: "false" });
    expect(region.holder(wanted.allocationId)?.privateIp).toBe("10.0.0.20");
  });

  test.each([
    ["another one at our place: pushed off and named", "10.0.0.20", undefined],
    ["another one besides", "10.0.0.21", undefined],
    ["two others", "10.0.0.20", "10.0.0.21"],
  ])("the wanted one on another interface, %s", async (_, first, second) => {
    const { world, wanted, others, me } = scene();
    world.hold(wanted, me, "10.0.1.20");
    world.hold(others[0], me, first);
    if (second !== undefined) world.hold(others[1], me, second);
    const { run, region } = await play(
      world,
      me,
      { environment: settled(wanted.allocationId) },
      { mostWrites: 2 },
    );
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(region.holder(wanted.allocationId)?.privateIp).toBe("10.0.0.20");
    expect(run.result).toMatchObject({ change: "taken", publicIp: wanted.publicIp });
    expect(run.log).toEqual([
      ...(first === "10.0.0.20"
        ? [expect.stringContaining(`${others[0].publicIp} is pushed off`)]
        : []),
      expect.stringContaining("moved from"),
    ]);
  });

  test.each(PLACES)(
    "let go while its place is made sure of: under its own name, and what it pushes off is named (EC2 $does)",
    async ({ strictPlaces }) => {
      const { world, wanted, others, me } = scene(strictPlaces);
      world.hold(wanted, me, "10.0.1.20");
      world.hold(others[0], me);
      world.hold(others[1], me, "10.0.0.21");
      const { run, region } = await play(
        world,
        me,
        { environment: settled(wanted.allocationId) },
        {
          mostWrites: strictPlaces ? 2 : 1,
          prepare: ({ faults, calls, region }) => {
            faults.add({
              service: "ec2",
              action: "AssociateAddress",
              effect: { do: "delay", beforeMs: 400 },
            });
            const timer = setInterval(() => {
              if (calls.every(({ action }) => action !== "DescribeInstances")) return;
              clearInterval(timer);
              region.disassociate(wanted.allocationId);
            }, 5);
          },
        },
      );
      expect(run.status, run.log.join("\n")).toBe(0);
      // A refusal looks as if it were elsewhere on this instance still.
      expect(reassociations(region)).toEqual(strictPlaces ? ["false", "true"] : ["false"]);
      expect(region.holder(wanted.allocationId)?.privateIp).toBe("10.0.0.20");
      expect(run.result).toMatchObject({
        change: strictPlaces ? "taken" : "associated",
        publicIp: wanted.publicIp,
      });
      expect(run.log[0]).toContain(`${others[0].publicIp} is pushed off`);
    },
  );

  test("EIP_HEAL_DISPLACE=no is heeded", async () => {
    const { world, wanted, others, me } = scene();
    world.hold(wanted, me, "10.0.1.20");
    world.hold(others[0], me);
    const { run, region } = await play(world, me, {
      environment: { ...settled(wanted.allocationId), EIP_HEAL_DISPLACE: "no" },
    });
    expect(run.status, run.log.join("\n")).toBe(78);
    expect(run.log[0]).toContain(others[0].publicIp);
    expect(region.holder(wanted.allocationId)?.privateIp).toBe("10.0.1.20");
    expect(region.holder(others[0].allocationId)?.privateIp).toBe("10.0.0.20");
  });

  test("a dry run writes nothing", async () => {
    const { world, wanted, others, me } = scene();
    world.hold(wanted, me, "10.0.1.20");
    world.hold(others[0], me);
    const { run, calls } = await play(world, me, {
      environment: settled(wanted.allocationId),
      flags: ["--dry-run"],
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(calls).not.toContain("AssociateAddress");
  });
});

describe.concurrent("another Elastic IP in the place", () => {
  function scene(role: "full" | "old", strictPlaces = false) {
    const world = aWorld({ settings: { strictPlaces } });
    const wanted = world.address();
    const present = world.address();
    const me = world.instance({ role });
    world.hold(present, me);
    return { world, wanted, present, me };
  }

  test.each(PLACES)("is pushed off, and named (EC2 $does)", async ({ strictPlaces }) => {
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
      `${present.allocationId} (${present.publicIp}) is pushed off ${me.instanceId} ${me.networkInterfaceId} ${me.privateIp}; it stays allocated`,
    );
    // The look afterwards tells what it was: no further call. A refusal is looked into.
    if (strictPlaces) expect(calls.length, calls.join(" ")).toBeLessThanOrEqual(12);
    else expect(calls).toEqual(FREE);
    expect(reassociations(region)).toEqual(strictPlaces ? ["false", "true"] : ["false"]);
  });

  test.each(PLACES)(
    "is pushed off, and named as far as the old role may see (EC2 $does)",
    async ({ strictPlaces }) => {
      const { world, wanted, present, me } = scene("old", strictPlaces);
      const { run, calls, region } = await play(
        world,
        me,
        { environment: settled(wanted.allocationId) },
        { mostWrites: strictPlaces ? 2 : 1 },
      );
      expect(run.status, run.log.join("\n")).toBe(0);
      expect(run.log[0]).toContain(`${present.publicIp} is pushed off ${me.instanceId}`);
      expect(calls.length, calls.join(" ")).toBeLessThanOrEqual(strictPlaces ? 12 : 6);
      expect(reassociations(region)).toEqual(strictPlaces ? ["false", "true"] : ["false"]);
    },
  );

  test.each(["full", "old"] as const)(
    "is pushed off by one that is taken from another instance, and named once (%s role)",
    async (role) => {
      const world = aWorld();
      const wanted = world.address();
      const present = world.address();
      world.hold(wanted, world.instance({ state: "stopped" }));
      const me = world.instance({ role });
      world.hold(present, me);
      const { run } = await play(world, me, { environment: settled(wanted.allocationId) });
      expect(run.status, run.log.join("\n")).toBe(0);
      expect(run.log.filter((line) => line.includes("is pushed off"))).toEqual([
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
      const told = run.log.findIndex((line) => line.includes("is pushed off"));
      expect(run.log[told]).toContain(present.publicIp);
      expect(told).toBe(run.log.length - 2);
    },
  );

  test("is not said to be pushed off by a request that was lost", async () => {
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
    expect(run.log.filter((line) => line.includes("is pushed off"))).toHaveLength(1);
    expect(run.log.at(-2)).toContain("is pushed off");
  });

  test("that somebody moves elsewhere meanwhile is not said to be pushed off", async () => {
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
    expect(run.log.filter((line) => line.includes("is pushed off"))).toEqual([]);
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
      "belongs to the network border group us-west-2, this instance in us-west-2-lax-1a to us-west-2-lax-1",
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
      expect(run.log[0]).toContain(`${present.allocationId} (${present.publicIp}) is pushed off`);
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
    const region = await startRegion(world);
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
    await region.close();
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
    const region = await startRegion(world);
    const runs = await Promise.all(
      instances.map(({ instanceId }) =>
        runAgent(region, instanceId, { flags: ["--dry-run", "--json"] }),
      ),
    );
    await region.close();
    const wishes = new Set(
      runs.map(({ stdout }) => (JSON.parse(stdout) as { allocationId: string }).allocationId),
    );
    expect(wishes.size).toBeGreaterThan(3);
  });
});
