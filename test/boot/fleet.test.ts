/** A fleet of machines from one AMI that boot at the same moment: on one fixed address, and on a pool. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { aWorld, type BuiltInstance } from "../../sim/world.ts";
import { Cloud, UNIT } from "../support/machine/cloud.ts";
import { tellOnFailure } from "../support/failing.ts";
import type { Machine } from "../support/machine/machine.ts";
import { confirmAfter, retryAfter } from "../support/machine/rounds.ts";

const SIZE = 10;
/** Ten machines on two cores take their time. */
const BOOT_MS = 120_000;

interface Member {
  readonly instance: BuiltInstance;
  readonly machine: Machine;
}

let cloud: Cloud;

describe(`${SIZE} machines on one fixed address`, () => {
  const world = aWorld();
  const address = world.address();
  const tags = { "allocation-id": address.allocationId };
  // Launched one after the other, an hour apart, and switched on in another order.
  const instances = Array.from({ length: SIZE }, () =>
    world.instance({ tags, metadataTags: true }),
  );
  const newest = instances[SIZE - 1] as BuiltInstance;
  const SWITCHED_ON = [4, 7, 1, 9, 0, 6, 3, 8, 2, 5];
  let fleet: Member[];
  aFleet(async () => {
    cloud = await Cloud.start(world);
    fleet = await makeFleet(instances);
  });

  test("the newest one has it in the end, every other says so or had it when it looked last", async () => {
    await Promise.all(SWITCHED_ON.map(async (index) => await fleet[index]?.machine.start()));
    await Promise.all(fleet.map(({ machine }) => machine.waitRunning(BOOT_MS)));

    for (const { instance, machine } of fleet) {
      if (instance === newest || (await machine.show(UNIT, "Result"))[0] === "success") {
        await expectHealed(machine);
        expect(holderAtLastLook(instance), machine.name).toBe(instance.instanceId);
      } else await expectYielded({ instance, machine });
    }
    expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(newest.instanceId);
  });

  test("who is asked again, yields, and nothing moves", async () => {
    const before = cloud.associations().length;
    const others = fleet.filter(({ instance }) => instance !== newest);
    await Promise.all(
      others.map(async ({ instance, machine }) => {
        expect((await machine.exec(["systemctl", "restart", UNIT])).status).not.toBe(0);
        await expectYielded({ instance, machine });
        expect(await machine.waitRunning()).toBe("degraded");
      }),
    );

    expect(cloud.associations().length).toBe(before);
    expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(newest.instanceId);
  });

  /** Whom EC2 showed as the holder when this instance asked it last; undefined: its last request was no look. */
  function holderAtLastLook({ instanceId }: BuiltInstance): string | undefined {
    const { calls } = cloud.region;
    const last = calls.findLastIndex((call) => call.instanceId === instanceId);
    if (!calls[last]?.action.startsWith("Describe")) return undefined;
    // In this cloud addresses move by these requests only, each by the one that receives it, and they are carried
    // out in the order in which they are listed.
    return calls
      .slice(0, last)
      .findLast(({ action, status }) => action === "AssociateAddress" && status === 200)
      ?.instanceId;
  }

  /** Its last run ended with 69 because of a newer instance, and whoever looks at the unit sees it. */
  async function expectYielded({ instance, machine }: Member): Promise<void> {
    const properties = ["ActiveState", "Result", "ExecMainStatus"];
    const seen = await machine.show(UNIT, ...properties);
    expect(seen, machine.name).toEqual(["failed", "exit-code", "69"]);
    const status = await machine.exec(["systemctl", "status", "--no-pager", "--full", UNIT]);
    expect(status.stdout).toContain("status=69/UNAVAILABLE");
    const line = (await machine.journal(UNIT)).findLast((one) => one.startsWith("yielded: "));
    expect(line).toContain(`${address.allocationId} (${address.publicIp})`);
    const named = instances.findIndex((one) => line?.includes(`${one.instanceId} (running)`));
    expect(named, line).toBeGreaterThan(instances.indexOf(instance));
  }
});

describe(`${SIZE} machines on a pool of ${SIZE}`, () => {
  const world = aWorld();
  const tags = { "eip-pool": "edge" };
  const pool = Array.from({ length: SIZE }, () => world.address({ tags }));
  const instances = Array.from({ length: SIZE }, () =>
    world.instance({ tags, metadataTags: true }),
  );
  let fleet: Member[];
  aFleet(async () => {
    cloud = await Cloud.start(world);
    fleet = await makeFleet(instances);
  });

  /** The allocation ids by the instances that hold them. */
  const held = () =>
    new Map(
      pool.map(({ allocationId }) => [cloud.region.holder(allocationId)?.instanceId, allocationId]),
    );

  test("each gets an address of its own and takes none from anybody", async () => {
    await Promise.all(fleet.map(({ machine }) => machine.start()));
    const states = await Promise.all(fleet.map(({ machine }) => machine.waitRunning(BOOT_MS)));

    expect(states).toEqual(fleet.map(() => "running"));
    const holders = held();
    expect(new Set(holders.keys())).toEqual(new Set(instances.map((one) => one.instanceId)));
    for (const { instance, machine } of fleet) {
      await expectHealed(machine);
      const env = await machine.must(["cat", "/run/eip-heal/env"]);
      expect(env.split("\n")).toContain(
        `EIP_HEAL_ALLOCATION_ID=${holders.get(instance.instanceId)}`,
      );
    }
    const associations = cloud.associations();
    expect(associations.filter(({ status }) => status === 200).length).toBe(SIZE);
    for (const { params } of associations) expect(params["AllowReassociation"]).toBe("false");
  });

  test("after a reboot each has the same one again, without asking for it", async () => {
    const before = cloud.associations().length;
    const looks = cloud.region.calls.length;
    const holders = held();
    const some = fleet.filter((_, index) => index % 3 === 0);
    await Promise.all(
      some.map(async ({ machine }) => {
        await machine.reboot();
        expect(await machine.waitRunning(BOOT_MS)).toBe("running");
      }),
    );

    expect(held()).toEqual(holders);
    expect(cloud.associations().length).toBe(before);
    for (const { instance, machine } of some) {
      await expectHealed(machine);
      expect((await machine.journal(UNIT)).join("\n")).toContain(
        `${holders.get(instance.instanceId)} `,
      );
      expect(
        cloud.region.calls.slice(looks).filter((call) => call.instanceId === instance.instanceId),
      ).not.toEqual([]);
    }
  });
});

/** Makes a cloud before the tests of a group, and ends it after them; a test that fails tells what has happened. */
function aFleet(make: () => Promise<void>): void {
  beforeAll(make);
  afterAll(async () => {
    await cloud?.close();
  });
  tellOnFailure(() => cloud.story());
}

/**
 * A machine for each instance, all from one AMI. What they find is looked at as their heals have left it: the recheck
 * after a heal, for which it may be time while slow machines still boot, comes after the test.
 */
async function makeFleet(instances: readonly BuiltInstance[]): Promise<Member[]> {
  const ami = await cloud.bakeAmi(async (builder) => {
    await confirmAfter(builder.root, "1h");
    await retryAfter(builder.root, "1h");
  });
  return await Promise.all(
    instances.map(async (instance) => ({ instance, machine: await cloud.machine(instance, ami) })),
  );
}

async function expectHealed(machine: Machine): Promise<void> {
  const seen = await machine.show(UNIT, "ActiveState", "SubState", "ExecMainStatus");
  expect(seen, machine.name).toEqual(["active", "exited", "0"]);
}
