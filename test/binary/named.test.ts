/**
 * An address named by its public IP or its tag, and a pool by a list: the real binary, with every call counted. Each name
 * takes the same calls as the allocation id.
 */
import { describe, expect, test } from "vitest";
import { allow } from "../../sim/iam.ts";
import { aWorld, type World } from "../../sim/world.ts";
import { scenario } from "../support/scenario.ts";
import { doctor } from "./checkup.ts";
import { DEADLINE, FREE, play } from "./counted.ts";
import { ALL, conf, HOUR, MINE, without } from "./changes.ts";

type Address = ReturnType<World["address"]>;

/** A world with the address, two others that look like it, and an instance without tags. */
function scene(role = "full") {
  const world = aWorld();
  const address = world.address({ tags: { Name: "mail" } });
  world.address({ tags: { Name: "mail-2" } });
  world.address({ tags: { name: "mail" } });
  const me = world.instance({ role, metadataTags: true, launchTime: MINE });
  return { world, address, me };
}

const NAMES: [string, (address: Address) => Record<string, string>][] = [
  ["its public IP", ({ publicIp }) => ({ EIP_HEAL_ALLOCATION_ID: publicIp })],
  ["its tag", () => ({ EIP_HEAL_ADDRESS_TAG: "Name=mail" })],
];

describe.concurrent.each(NAMES)("an address that is named by %s", (_, naming) => {
  test("free: associated by its allocation id", async () => {
    const { world, address, me } = scene();
    const { run, calls, associate } = await play(world, me, { environment: naming(address) });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(calls).toEqual(FREE);
    expect(associate).toMatchObject({
      AllocationId: address.allocationId,
      AllowReassociation: "false",
    });
    expect(run.env).toContain(`EIP_HEAL_ALLOCATION_ID=${address.allocationId}`);
  });

  test("already here: one call", async () => {
    const { world, address, me } = scene();
    world.hold(address, me);
    const { run, calls } = await play(world, me, { environment: naming(address) });
    expect(run.result).toMatchObject({ change: "none", publicIp: address.publicIp });
    expect(calls).toEqual(["DescribeAddresses"]);
  });

  test.each([
    ["older one: taken", MINE - HOUR, 0],
    ["newer one: left to it", MINE + HOUR, 69],
  ])("with a running, %s", async (_name, launchTime, status) => {
    const { world, address, me } = scene();
    const holder = world.instance({ launchTime });
    world.hold(address, holder);
    const { run, region, calls } = await play(world, me, { environment: naming(address) });
    expect(run.status, run.log.join("\n")).toBe(status);
    expect(region.holder(address.allocationId)?.instanceId).toBe(
      (status === 0 ? me : holder).instanceId,
    );
    expect(calls.slice(0, 2)).toEqual(["DescribeAddresses", "DescribeInstances"]);
  });

  test("by a role that may not describe addresses: what it needs, and how to do without", async () => {
    const { world, address, me } = scene("old");
    const environment = { ...naming(address), ...DEADLINE };
    const { run, calls } = await play(world, me, { environment });
    expect(run.status, run.log.join("\n")).toBe(77);
    expect(run.log[0]).toMatch(/^not allowed: ec2:DescribeAddresses, and without it an address/);
    expect(run.log[0]).toContain("eip-heal policy prints it");
    expect(run.log[0]).toContain("name it by its allocation id, which does without");
    expect(new Set(calls)).toEqual(new Set(["DescribeAddresses"]));
  });

  test("doctor, status and release know it", () =>
    scenario(
      {
        start: { address: { tags: { Name: "mail" } } },
        breakIt: (it) => {
          const may = [...ALL, "ec2:DisassociateAddress"];
          it.region.region.setPolicy(it.me.role ?? "", allow(may));
          const { publicIp = "" } = it.region.region.records.address(it.allocationId) ?? {};
          const variables = naming({ publicIp, allocationId: it.allocationId } as Address);
          it.conf = Object.entries(variables).map(([key, value]) => `${key}=${value}`);
        },
      },
      async (it) => {
        const before = await doctor(it);
        expect(before.healthy, JSON.stringify(before, null, 1)).toBe(true);
        const [key] = Object.keys(naming({ publicIp: "" } as Address));
        expect(before.checks.find(({ id }) => id === "wanted")?.found).toContain(`, by ${key}`);
        expect((await it.run()).status).toBe(0);
        const status = JSON.parse((await it.run("status", "--json")).stdout) as object;
        expect(status).toMatchObject({ here: true, allocationId: it.allocationId });
        const released = await it.run("release");
        expect(released.status, released.log.join("\n")).toBe(0);
        expect(it.region.holder(it.allocationId)).toBeUndefined();
      },
    ));
});

describe.concurrent("a tag of the address", () => {
  const MAIL = { EIP_HEAL_ADDRESS_TAG: "Name=mail" };
  const MAIL_CONF = conf("EIP_HEAL_ADDRESS_TAG=Name=mail");

  test("on several addresses names none of them: they are listed, and doctor says the same", () =>
    scenario(
      {
        start: {
          address: { tags: { Name: "mail" } },
          build: (world) => void world.address({ tags: { Name: "mail" } }),
        },
        breakIt: MAIL_CONF,
      },
      async (it) => {
        const said =
          /2 addresses carry the tag Name=mail: eipalloc-\w+ \([\d.]+\), eipalloc-\w+ \([\d.]+\)/;
        const { status, log } = await it.run("--deadline", "4s");
        expect(status).toBe(78);
        expect(log[0]).toMatch(said);
        expect(log[0]).toContain("leave it on the one that is meant");
        expect(log[0]).toContain("it may only be late: waiting up to");
        expect(it.region.calls.map(({ action }) => action)).not.toContain("AssociateAddress");
        const { first, checks, exitStatus } = await doctor(it);
        expect(first).toBe("address");
        expect(exitStatus).toBe(78);
        const check = checks.find(({ mark }) => mark === "failed");
        expect(check?.found).toMatch(said);
        expect(check?.cure).toContain("leave it on the one that is meant");
      },
    ));

  test("on several, of which one is here: that is kept, with a warning, and doctor has it too", () =>
    scenario(
      {
        start: {
          address: { tags: { Name: "mail" } },
          build: (world, me, allocationId) => {
            world.hold({ allocationId }, me);
            world.hold(world.address({ tags: { Name: "mail" } }), world.instance());
            world.address({ tags: { Name: "mail" } });
          },
        },
        breakIt: MAIL_CONF,
      },
      async (it) => {
        const { status, log, result } = await it.run();
        expect(status, log.join("\n")).toBe(0);
        expect(result).toMatchObject({ change: "none", allocationId: it.allocationId });
        expect(log[0]).toMatch(
          /is kept, because it is on this instance; but eipalloc-\w+ \([\d.]+\), eipalloc-\w+ \([\d.]+\) carry the tag Name=mail, too/,
        );
        expect(it.region.calls.map(({ action }) => action)).toEqual(["DescribeAddresses"]);
        const { healthy, checks } = await doctor(it);
        expect(healthy).toBe(true);
        expect(checks.find(({ id }) => id === "address")).toMatchObject({
          mark: "warning",
          cure: expect.stringContaining("leave the tag on the one that is meant") as string,
        });
      },
    ));

  test("on none, with one that is nearly the same", () =>
    scenario({ start: { address: { tags: { Name: "mial" } } }, breakIt: MAIL_CONF }, async (it) => {
      const { status, log } = await it.run("--deadline", "4s");
      expect(status).toBe(78);
      expect(log[0]).toMatch(/^no address with the tag Name=mail in us-east-1; tag the address/);
      const check = (await doctor(it)).checks.find(({ mark }) => mark === "failed");
      expect(check).toMatchObject({
        id: "address",
        cure: expect.stringMatching(
          /^did you mean mial\? set EIP_HEAL_ADDRESS_TAG=Name=mial in /,
        ) as string,
      });
    }));

  test("without the permission to look for it: doctor begins there", () =>
    scenario(
      {
        start: { address: { tags: { Name: "mail" } } },
        breakIt: (it) => {
          MAIL_CONF(it);
          without("DescribeAddresses")(it);
        },
      },
      async (it) => {
        const { first, checks, exitStatus } = await doctor(it);
        expect(first).toBe("describe-addresses");
        expect(exitStatus).toBe(77);
        const check = checks.find(({ mark }) => mark === "failed");
        expect(check?.cure).toContain("or name the address by its allocation id");
        expect(check?.commands?.[0]).toContain("aws:ResourceTag/Name");
      },
    ));

  test("is set by a flag, which takes precedence over what is set elsewhere", async () => {
    const { world, address, me } = scene();
    const { run } = await play(world, me, {
      flags: ["--address-tag", "Name=mail"],
      environment: { EIP_HEAL_POOL: "eip-pool=web" },
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(run.result).toMatchObject({ allocationId: address.allocationId });
  });

  test("beside a pool in the same place is a mistake", async () => {
    const { world, me } = scene();
    const environment = { ...MAIL, EIP_HEAL_POOL: "eip-pool=web" };
    const { run, calls } = await play(world, me, { environment });
    expect(run.status).toBe(78);
    expect(run.log.at(-1)).toContain("both an address tag and a pool are set");
    expect(calls).toEqual([]);
  });
});

test("the address that EC2 has assigned by itself is none to name", () =>
  scenario({}, async (it) => {
    const [eni] = it.region.region.records.instance(it.me.instanceId)?.interfaces ?? [];
    const publicIp = eni?.addresses[0]?.autoPublicIp ?? "";
    it.conf = [`EIP_HEAL_ALLOCATION_ID=${publicIp}`];
    const { status, log } = await it.run("--deadline", "4s");
    expect(status).toBe(78);
    expect(log[0]).toContain(
      `no Elastic IP ${publicIp} in us-east-1; EC2 has assigned it to this instance by itself`,
    );
  }));

describe.concurrent("a pool as a list", () => {
  function pool() {
    const world = aWorld();
    const addresses = [world.address(), world.address(), world.address()] as const;
    const me = world.instance({ role: "full", metadataTags: true });
    return { world, addresses, me };
  }

  test.each<[string, (addresses: readonly Address[]) => string, number]>([
    ["ids", ([, b, c]) => `${b?.allocationId},${c?.allocationId}`, 1],
    ["public IPs", ([, b, c]) => `${b?.publicIp} ${c?.publicIp}`, 1],
    ["both", ([, b, c]) => `${b?.allocationId}, ${c?.publicIp}, ${c?.allocationId}`, 2],
  ])("of %s: one that is free is claimed, never one outside of it", async (_, list, looks) => {
    const { world, addresses, me } = pool();
    world.hold(addresses[1], world.instance());
    const environment = { EIP_HEAL_POOL: list(addresses) };
    const { run, calls, associate } = await play(world, me, { environment });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(associate).toMatchObject({
      AllocationId: addresses[2].allocationId,
      AllowReassociation: "false",
    });
    // The read-back is by allocation id; looks at the pool are by each kind of name.
    expect(calls.filter((action) => action === "DescribeAddresses")).toHaveLength(2 * looks + 1);
  });

  test("full: nothing is taken from a running instance, and what is not here is said", async () => {
    const { world, addresses, me } = pool();
    const [first] = addresses;
    world.hold(first, world.instance({ launchTime: 0 }));
    const environment = { ...DEADLINE, EIP_HEAL_POOL: `${first.allocationId},198.51.100.250` };
    const { run, calls } = await play(world, me, { environment });
    expect(run.status).toBe(75);
    expect(calls).not.toContain("AssociateAddress");
    expect(run.log[0]).toContain(`${first.allocationId} (${first.publicIp}) is held by`);
    expect(run.log[0]).toContain("not in this region and account: 198.51.100.250");
  });

  test("doctor warns of what is not here, and fails where nothing of it is", () =>
    scenario(
      { breakIt: (it) => conf(`EIP_HEAL_POOL=${it.allocationId} 198.51.100.250`)(it) },
      async (it) => {
        const { checks, healthy } = await doctor(it);
        expect(healthy, JSON.stringify(checks, null, 1)).toBe(true);
        expect(checks.find(({ id }) => id === "address")).toMatchObject({
          mark: "warning",
          found: expect.stringContaining("198.51.100.250") as string,
        });
        it.conf = ["EIP_HEAL_POOL=198.51.100.250"];
        const none = await doctor(it);
        expect(none.first).toBe("address");
        expect(none.exitStatus).toBe(75);
      },
    ));
});
