import { expect, test } from "vitest";

import type { DescribeInstancesInput } from "./actions.ts";
import { Ec2Error } from "./errors.ts";
import type { Filter } from "./filters.ts";
import { allow } from "./iam.ts";
import type { PolicyDocument } from "./iam.ts";
import { Region } from "./region.ts";
import type { Caller } from "./permission.ts";
import { AWS_BUCKETS } from "./throttle.ts";
import { aWorld } from "./world.ts";
import type { World } from "./world.ts";

/** A region on virtual time. */
function at(
  world: World,
  start = Date.UTC(2026, 5, 1),
): { region: Region; clock: { now: number } } {
  const clock = { now: start };
  return { region: new Region(world.data, () => clock.now), clock };
}

/** `code: message` of the error, or what the call returned. */
function said(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    if (error instanceof Ec2Error) return `${error.code}: ${error.message}`;
    throw error;
  }
}

const as = (instance: { instanceId: string }): Caller => ({ instanceId: instance.instanceId });

/** The values at the places the text names, so that expected messages can be written out. */
const fill = (text: string, values: Record<string, string>): string =>
  text.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "?");

test("two worlds built alike are alike, ids and all", () => {
  const build = (): unknown => {
    const world = aWorld();
    world.hold(world.address(), world.instance({ autoPublicIp: true }));
    return world.data;
  };
  expect(build()).toEqual(build());
});

test("ids and addresses have the shape of real ones", () => {
  const world = aWorld();
  const a = world.address();
  const i = world.instance();
  world.hold(a, i);
  const { region } = at(world);
  expect(i.instanceId).toMatch(/^i-[0-9a-f]{17}$/);
  expect(a.allocationId).toMatch(/^eipalloc-[0-9a-f]{17}$/);
  expect(i.networkInterfaceId).toMatch(/^eni-[0-9a-f]{17}$/);
  expect(region.holder(a.allocationId)?.associationId).toMatch(/^eipassoc-[0-9a-f]{17}$/);
  expect(a.publicIp).toMatch(/^203\.0\.113\./);
  expect(i.privateIp).toMatch(/^10\.0\./);
});

test.each([
  ["a free address", {}, "ok"],
  ["a free address, no reassociation", { reassociate: false }, "ok"],
  ["held elsewhere, reassociation not mentioned: EC2 takes it", { held: true }, "ok"],
  ["held elsewhere, reassociation allowed", { held: true, reassociate: true }, "ok"],
  [
    "held elsewhere, no reassociation",
    { held: true, reassociate: false },
    "Resource.AlreadyAssociated: resource {a} is already associated with associate-id {association}",
  ],
  [
    "the instance is pending",
    { state: "pending" },
    "InvalidInstanceID: The pending instance '{i}' is not in a valid state for this operation.",
  ],
  [
    "the instance is shutting down",
    { state: "shutting-down" },
    "InvalidInstanceID: The shutting-down instance '{i}' is not in a valid state for this operation.",
  ],
  [
    "the instance is terminated",
    { state: "terminated" },
    "InvalidInstanceID: The terminated instance '{i}' is not in a valid state for this operation.",
  ],
  ["the instance is stopped", { state: "stopped" }, "ok"],
  [
    "the instance is pending, by its interface",
    { state: "pending", byInterface: true },
    "IncorrectInstanceState: The pending-instance-creation instance to which '{eni}' is attached is not in a valid state for this operation.",
  ],
  [
    "several interfaces",
    { enis: [{}, {}] },
    "InvalidInstanceID: There are multiple interfaces attached to instance '{i}'. Please specify an interface ID for the operation instead.",
  ],
  ["several interfaces, by interface", { enis: [{}, {}], byInterface: true }, "ok"],
  [
    "no internet gateway",
    { gateway: false },
    "Gateway.NotAttached: Network {vpc} is not attached to any internet gateway",
  ],
  [
    "a Local Zone's instance and the region's address",
    { zone: "us-east-1-bos-1a" },
    "InvalidParameterCombination: The address is in the network border group us-east-1, the network interface is in us-east-1-bos-1.",
  ],
  [
    "a NAT gateway's address",
    { service: "nat-gateway" },
    "AuthFailure: You do not have permission to access the specified resource.",
  ],
  [
    "a load balancer's",
    { service: "load-balancer" },
    "AuthFailure: You do not have permission to access the specified resource.",
  ],
  [
    "another account's interface",
    { service: "other-account" },
    "AuthFailure: You do not have permission to access the specified resource.",
  ],
  [
    "a service-managed address",
    { serviceManaged: "nlb" },
    "AuthFailure: You do not have permission to access the specified resource.",
  ],
  [
    "another account's address",
    { owner: "999988887777" },
    "AuthFailure: You do not have permission to access the specified resource.",
  ],
  [
    "an address that is not there",
    { allocationId: "eipalloc-0123456789abcdef0" },
    "InvalidAllocationID.NotFound: The allocation ID 'eipalloc-0123456789abcdef0' does not exist",
  ],
  [
    "an address not known yet",
    { addressFrom: "2026-06-02" },
    "InvalidAllocationID.NotFound: The allocation ID '{a}' does not exist",
  ],
  [
    "an instance not known yet",
    { instanceFrom: "2026-06-02" },
    "InvalidInstanceID.NotFound: The instance ID '{i}' does not exist",
  ],
  [
    "an instance not known yet, by interface",
    { instanceFrom: "2026-06-02", byInterface: true },
    "InvalidNetworkInterfaceID.NotFound: The networkInterface ID '{eni}' does not exist",
  ],
  [
    "an instance id that cannot be one",
    { instanceId: "web-1" },
    'InvalidInstanceID.Malformed: Invalid id: "web-1"',
  ],
  ["a secondary private address", { privateIps: 2, privateIp: 1 }, "ok"],
] as const)("AssociateAddress: %s", (_, given, expected) => {
  const g: {
    held?: boolean;
    reassociate?: boolean;
    state?: "pending" | "shutting-down" | "terminated" | "stopped";
    byInterface?: boolean;
    enis?: readonly object[];
    gateway?: boolean;
    zone?: string;
    service?: "nat-gateway" | "load-balancer" | "other-account";
    serviceManaged?: "nlb";
    owner?: string;
    allocationId?: string;
    instanceId?: string;
    addressFrom?: string;
    instanceFrom?: string;
    privateIps?: number;
    privateIp?: number;
  } = given;
  const world = aWorld({ internetGateway: g.gateway ?? true });
  const a = world.address({
    ...(g.serviceManaged && { serviceManaged: g.serviceManaged }),
    ...(g.owner && { ownerId: g.owner }),
    ...(g.addressFrom && { knownFrom: g.addressFrom }),
  });
  const other = world.instance();
  const i = world.instance({
    enis: g.enis ?? [{ privateIps: g.privateIps ?? 1 }],
    ...(g.state && { state: g.state }),
    ...(g.zone && { zone: g.zone }),
    ...(g.instanceFrom && { knownFrom: g.instanceFrom }),
  });
  if (g.held === true) world.hold(a, other);
  if (g.service !== undefined) world.holdByService(a, g.service);
  const { region } = at(world);
  const association = region.holder(a.allocationId)?.associationId ?? "";

  const answer = said(() => {
    region.associateAddress(as(i), {
      allocationId: g.allocationId ?? a.allocationId,
      ...(g.byInterface === true
        ? { networkInterfaceId: i.networkInterfaceId }
        : { instanceId: g.instanceId ?? i.instanceId }),
      allowReassociation: g.reassociate,
      privateIpAddress:
        g.privateIp === undefined ? undefined : i.interfaces[0]?.addresses[g.privateIp]?.privateIp,
    });
    return "ok";
  });

  const ids = {
    a: a.allocationId,
    i: i.instanceId,
    eni: i.networkInterfaceId,
    association,
    vpc: world.vpcId,
  };
  expect(answer).toBe(fill(expected, ids));
  const held = region.holder(a.allocationId);
  if (expected === "ok") {
    expect(held).toMatchObject({
      instanceId: i.instanceId,
      networkInterfaceId: i.networkInterfaceId,
    });
    expect(held?.privateIp).toBe(i.interfaces[0]?.addresses[g.privateIp ?? 0]?.privateIp);
  } else {
    expect(held?.associationId ?? "").toBe(association);
  }
});

test("the same target again changes nothing, whether reassociation is allowed or not", () => {
  const world = aWorld();
  const a = world.address();
  const i = world.instance();
  const { region } = at(world);
  const ask = (allowReassociation?: boolean): string =>
    region.associateAddress(as(i), {
      allocationId: a.allocationId,
      instanceId: i.instanceId,
      allowReassociation,
    });
  const first = ask(false);
  expect([ask(), ask(true), ask(false)]).toEqual([first, first, first]);
});

test("a world's address may be on any interface from the start", () => {
  const world = aWorld();
  const [a, b, c] = [world.address(), world.address(), world.address()];
  const i = world.instance({ enis: [{ privateIps: 2 }, {}] });
  const [first, second] = i.interfaces;
  if (first === undefined || second === undefined) throw new Error("unreachable");
  world.hold(a, second);
  world.hold(b, i, first.addresses[1]?.privateIp);
  const loose = world.interface();
  world.hold(c, loose);
  const { region } = at(world);
  expect(region.holder(a.allocationId)?.networkInterfaceId).toBe(second.networkInterfaceId);
  expect(region.holder(b.allocationId)?.privateIp).toBe(first.addresses[1]?.privateIp);
  expect(region.holder(c.allocationId)).toMatchObject({
    networkInterfaceId: loose.networkInterfaceId,
    instanceId: undefined,
  });
  expect(() => world.hold(a, i)).toThrow(`${a.allocationId} is held already`);
});

test("another interface of the same instance is another resource", () => {
  const world = aWorld();
  const a = world.address();
  const i = world.instance({ enis: [{}, {}] });
  world.hold(a, i);
  const { region } = at(world);
  const networkInterfaceId = i.interfaces[1]?.networkInterfaceId ?? "";
  const ask = (allowReassociation: boolean): unknown =>
    said(() =>
      region.associateAddress(as(i), {
        allocationId: a.allocationId,
        networkInterfaceId,
        allowReassociation,
      }),
    );
  expect(ask(false)).toMatch(/^Resource.AlreadyAssociated/);
  expect(ask(true)).toMatch(/^eipassoc-/);
});

test("an address that is put where another is displaces it", () => {
  const world = aWorld();
  const [wrong, right] = [world.address(), world.address()];
  const i = world.instance();
  world.hold(wrong, i);
  const { region } = at(world);
  region.associateAddress(as(i), {
    allocationId: right.allocationId,
    instanceId: i.instanceId,
    allowReassociation: false,
  });
  expect(region.holder(wrong.allocationId)).toBeUndefined();
  expect(region.publicIpOf(i.instanceId)).toBe(right.publicIp);
});

test("strict places: a private address that carries another address is refused, but for who may reassociate", () => {
  const world = aWorld({ settings: { strictPlaces: true } });
  const [there, free, held] = [world.address(), world.address(), world.address()];
  const i = world.instance({ enis: [{ privateIps: 2 }] });
  world.hold(there, i);
  world.hold(held, world.instance());
  const { region } = at(world);
  const ask = (
    address: { allocationId: string },
    allowReassociation?: boolean,
    privateIpAddress?: string,
  ): unknown =>
    said(() =>
      region.associateAddress(as(i), {
        allocationId: address.allocationId,
        instanceId: i.instanceId,
        allowReassociation,
        privateIpAddress,
      }),
    );
  const before = region.holder(there.allocationId);
  expect(ask(free, false)).toBe(
    `Resource.AlreadyAssociated: resource ${i.networkInterfaceId} and ${i.privateIp} is already associated with public address ${there.publicIp}`,
  );
  // Whose own place is another is told so first.
  expect(ask(held, false)).toContain(`resource ${held.allocationId} is already associated`);
  expect(ask(there, false)).toBe(before?.associationId);
  expect(region.holder(there.allocationId)).toEqual(before);
  expect(ask(free, false, i.interfaces[0]?.addresses[1]?.privateIp)).toMatch(/^eipassoc-/);
  region.disassociate(free.allocationId);
  expect(ask(free)).toMatch(/^eipassoc-/);
  expect(region.holder(there.allocationId)).toBeUndefined();
  region.configure({ strictPlaces: false });
  expect(ask(there, false)).toMatch(/^eipassoc-/);
});

test("assigned public addresses: released for an Elastic IP, a fresh one for the loser, none with two interfaces", () => {
  const world = aWorld();
  const a = world.address();
  const loser = world.instance({ autoPublicIp: true });
  const winner = world.instance({ autoPublicIp: true });
  world.hold(a, loser);
  const { region } = at(world);
  const assigned = region.publicIpOf(winner.instanceId);
  expect(assigned).toMatch(/^203\.0\.113\./);

  region.associate(a.allocationId, winner.instanceId);
  expect(region.publicIpOf(winner.instanceId)).toBe(a.publicIp);
  const fresh = region.publicIpOf(loser.instanceId);
  expect(fresh).toMatch(/^203\.0\.113\./);
  expect(fresh).not.toBe(assigned);

  region.attach(winner.instanceId);
  region.associate(a.allocationId, loser.instanceId);
  expect(region.publicIpOf(winner.instanceId)).toBeUndefined();
});

test("an address that moves to a secondary private address leaves none behind on the primary", () => {
  const world = aWorld();
  const a = world.address();
  const i = world.instance({ autoPublicIp: true, enis: [{ privateIps: 2 }] });
  world.hold(a, i);
  const { region } = at(world);
  region.associate(a.allocationId, i.instanceId, i.interfaces[0]?.addresses[1]?.privateIp);
  expect(region.publicIpOf(i.instanceId)).toBeUndefined();
});

test("an instance launched without a public address has none once it lost its Elastic IP", () => {
  const world = aWorld();
  const a = world.address();
  const i = world.instance();
  world.hold(a, i);
  const { region } = at(world);
  region.disassociate(a.allocationId);
  expect(region.publicIpOf(i.instanceId)).toBeUndefined();
});

test("stop and start keep the address, change the launch time, and renew an assigned public address", () => {
  const world = aWorld();
  const a = world.address();
  const [i, j] = [world.instance(), world.instance({ autoPublicIp: true })];
  world.hold(a, i);
  const { region, clock } = at(world);
  const before = region.publicIpOf(j.instanceId);
  for (const { instanceId } of [i, j]) {
    region.stop(instanceId);
    region.stopped(instanceId);
  }
  expect(region.publicIpOf(j.instanceId)).toBeUndefined();
  expect(region.holder(a.allocationId)?.instanceId).toBe(i.instanceId);
  clock.now += 12_345;
  for (const { instanceId } of [i, j]) region.start(instanceId);
  expect(region.instance(i.instanceId)).toMatchObject({
    state: "pending",
    launchTime: Math.floor(clock.now / 1000) * 1000,
  });
  expect(region.publicIpOf(j.instanceId)).not.toBe(before);
  expect(region.running(i.instanceId).state).toBe("running");
  expect(said(() => region.start(i.instanceId))).toMatch(/^IncorrectInstanceState/);
});

test("an address is free only when its holder is terminated, and not even then if the holder keeps it", () => {
  const world = aWorld();
  const [a, b] = [world.address(), world.address()];
  const [i, j] = [world.instance(), world.instance({ keepsAssociation: true })];
  world.hold(a, i);
  world.hold(b, j);
  const { region } = at(world);
  for (const { instanceId } of [i, j]) region.terminate(instanceId);
  expect(region.holder(a.allocationId)?.instanceId).toBe(i.instanceId);
  for (const { instanceId } of [i, j]) region.terminated(instanceId);
  expect(region.holder(a.allocationId)).toBeUndefined();
  expect(region.instance(i.instanceId).interfaces).toEqual([]);
  expect(region.holder(b.allocationId)?.instanceId).toBe(j.instanceId);

  region.forget(j.instanceId);
  expect(region.hasInstance(j.instanceId)).toBe(false);
  expect(region.holder(b.allocationId)?.instanceId).toBe(j.instanceId);
  expect(said(() => region.describeInstances("admin", { instanceIds: [j.instanceId] }))).toBe(
    `InvalidInstanceID.NotFound: The instance ID '${j.instanceId}' does not exist`,
  );
  region.associate(b.allocationId, region.running(region.launch().instanceId).instanceId);
});

test("an interface attached after the launch survives its instance, with its address", () => {
  const world = aWorld();
  const a = world.address();
  const i = world.instance();
  const { region } = at(world);
  const eni = region.attach(i.instanceId);
  region.associate(a.allocationId, eni.networkInterfaceId);
  expect(region.holder(a.allocationId)?.instanceId).toBe(i.instanceId);
  region.terminate(i.instanceId);
  region.terminated(i.instanceId);
  expect(region.holder(a.allocationId)).toMatchObject({
    networkInterfaceId: eni.networkInterfaceId,
    instanceId: undefined,
  });

  const next = region.running(region.launch().instanceId);
  region.attach(next.instanceId, { networkInterfaceId: eni.networkInterfaceId });
  expect(region.holder(a.allocationId)?.instanceId).toBe(next.instanceId);
  expect(region.interface(eni.networkInterfaceId)).toMatchObject({
    deviceIndex: 1,
    instanceId: next.instanceId,
  });
  region.detach(eni.networkInterfaceId);
  expect(region.holder(a.allocationId)?.instanceId).toBeUndefined();
});

test.each([
  ["allocation-id", "{a}", true],
  ["allocation-id", "eipalloc-0*", true],
  ["allocation-id", "eipalloc-0123456789abcdef0", false],
  ["public-ip", "{ip}", true],
  ["instance-id", "{i}", true],
  ["network-interface-id", "{eni}", true],
  ["association-id", "{association}", true],
  ["private-ip-address", "{private}", true],
  ["network-border-group", "us-east-1", true],
  ["tag:pool", "web", true],
  ["tag:pool", "db", false],
  ["tag-key", "pool", true],
] as const)("DescribeAddresses by %s = %s", (name, value, found) => {
  const world = aWorld();
  const a = world.address({ tags: { pool: "web" } });
  const i = world.instance();
  world.hold(a, i);
  const { region } = at(world);
  const association = region.holder(a.allocationId)?.associationId ?? "";
  const ids = {
    a: a.allocationId,
    ip: a.publicIp,
    i: i.instanceId,
    eni: i.networkInterfaceId,
    private: i.privateIp,
    association,
  };
  const got = region.describeAddresses(as(i), { filters: [{ name, values: [fill(value, ids)] }] });
  expect(got.map((one) => one.allocationId)).toEqual(found ? [a.allocationId] : []);
});

test.each([
  ["instance-id", "{i}", true],
  ["instance-state-name", "running", true],
  ["instance-state-name", "stopped", false],
  ["network-interface.addresses.association.allocation-id", "{a}", true],
  ["network-interface.addresses.association.allocation-id", "eipalloc-0123456789abcdef0", false],
  ["network-interface.addresses.association.public-ip", "{ip}", true],
  ["ip-address", "{ip}", true],
  ["private-ip-address", "{private}", true],
  ["tag:allocation-id", "{a}", true],
] as const)("DescribeInstances by %s = %s", (name, value, found) => {
  const world = aWorld();
  const a = world.address();
  const i = world.instance({ tags: { "allocation-id": a.allocationId } });
  world.hold(a, i);
  const { region } = at(world);
  const ids = { a: a.allocationId, ip: a.publicIp, i: i.instanceId, private: i.privateIp };
  const got = region.describeInstances(as(i), { filters: [{ name, values: [fill(value, ids)] }] });
  expect(got.items.map((one) => one.instance.instanceId)).toEqual(found ? [i.instanceId] : []);
});

test("an unknown id is an error, an unknown filter too", () => {
  const { region } = at(aWorld());
  expect(
    said(() =>
      region.describeAddresses("admin", { allocationIds: ["eipalloc-0123456789abcdef0"] }),
    ),
  ).toBe(
    "InvalidAllocationID.NotFound: The allocation ID 'eipalloc-0123456789abcdef0' does not exist",
  );
  region.allocate();
  expect(
    said(() =>
      region.describeAddresses("admin", { filters: [{ name: "colour", values: ["red"] }] }),
    ),
  ).toBe("InvalidParameterValue: The filter 'colour' is invalid");
});

test("a zone with a disruption: no answer that could be about it", () => {
  const world = aWorld();
  const [i, j] = [world.instance(), world.instance({ zone: "us-east-1b" })];
  world.hold(world.address(), i);
  const { region } = at(world);
  const found = (instanceIds?: string[], filters: Filter[] = []): unknown =>
    said(() =>
      region
        .describeInstances("admin", { instanceIds, filters })
        .items.map((one) => one.instance.instanceId),
    );
  const filters = [{ name: "instance-id", values: [j.instanceId] }];
  const fails = "Unavailable: The service is unavailable. Please try again shortly.";
  region.zoneDown("us-east-1a");
  expect(found([j.instanceId])).toEqual([j.instanceId]);
  expect(found([i.instanceId])).toBe(fails);
  expect(found([i.instanceId, j.instanceId])).toBe(fails);
  expect(found([i.instanceId, j.instanceId], filters)).toBe(fails);
  expect(found(undefined, filters)).toBe(fails);
  expect(found()).toBe(fails);
  expect(region.describeAddresses("admin")).toHaveLength(1);
  region.zoneDown("us-east-1b");
  region.zoneUp("us-east-1a");
  expect([found([i.instanceId]), found([j.instanceId])]).toEqual([[i.instanceId], fails]);
  region.zoneUp("us-east-1b");
  expect(found(undefined, filters)).toEqual([j.instanceId]);
  expect(() => region.zoneDown("us-east-1f")).toThrow("has no zone us-east-1f");
});

test("a world may begin with a zone down", () => {
  const world = aWorld({ settings: { zonesDown: ["us-east-1c"] } });
  const { region } = at(world);
  expect(said(() => region.describeInstances("admin"))).toMatch(/^Unavailable/);
});

test("pages: by MaxResults, the first one empty if so set, never together with ids", () => {
  const world = aWorld();
  for (let n = 0; n < 12; n++) world.instance();
  const { region } = at(world);
  const all: string[] = [];
  const sizes: number[] = [];
  region.configure({ emptyFirstPage: true });
  for (let nextToken: string | undefined, n = 0; n < 9; n++) {
    const page = region.describeInstances("admin", { maxResults: 5, nextToken });
    sizes.push(page.items.length);
    all.push(...page.items.map((one) => one.instance.instanceId));
    nextToken = page.nextToken;
    if (nextToken === undefined) break;
  }
  expect(sizes).toEqual([0, 5, 5, 2]);
  expect(new Set(all).size).toBe(12);
  const instanceIds = all.slice(0, 1);
  expect(said(() => region.describeInstances("admin", { instanceIds, maxResults: 5 }))).toMatch(
    /^InvalidParameterCombination/,
  );
});

test("a page size: EC2 pages by itself, a page may be empty, and MaxResults makes it no larger", () => {
  const world = aWorld({ settings: { pageSize: 4 } });
  const all = Array.from({ length: 10 }, () => world.instance());
  const last = all.at(-1)?.instanceId ?? "";
  const { region } = at(world);
  const pages = (input: DescribeInstancesInput): number[] => {
    const sizes: number[] = [];
    for (let nextToken: string | undefined; ;) {
      const page = region.describeInstances("admin", { ...input, nextToken });
      sizes.push(page.items.length);
      nextToken = page.nextToken;
      if (nextToken === undefined) return sizes;
    }
  };
  const filters = [{ name: "instance-id", values: [last] }];
  expect(pages({})).toEqual([4, 4, 2]);
  expect(pages({ maxResults: 1000 })).toEqual([4, 4, 2]);
  expect(pages({ filters })).toEqual([0, 0, 1]);
  // Ids are not paged.
  expect(pages({ instanceIds: all.map((one) => one.instanceId) })).toEqual([10]);
  expect(() => region.configure({ pageSize: 0 })).toThrow("pageSize is 1 or more");
  region.configure({ pageSize: undefined });
  expect(pages({ filters })).toEqual([1]);
});

test("DescribeInstances by ids: each once, narrowed down by filters, refused if one of them is unknown", () => {
  const world = aWorld();
  const [i, j] = [world.instance(), world.instance({ state: "stopped" })];
  const { region } = at(world);
  const found = (instanceIds: string[], filters: Filter[] = []): unknown =>
    said(() =>
      region
        .describeInstances("admin", { instanceIds, filters })
        .items.map((one) => one.instance.instanceId),
    );
  const [one, two] = ["i-0123456789abcdef0", "i-0123456789abcdef1"];
  expect(found([j.instanceId, i.instanceId, j.instanceId])).toEqual([j.instanceId, i.instanceId]);
  const stopped = [{ name: "instance-state-name", values: ["stopped"] }];
  expect(found([i.instanceId, j.instanceId], stopped)).toEqual([j.instanceId]);
  expect(found([i.instanceId], stopped)).toEqual([]);
  expect(found([i.instanceId, one], stopped)).toBe(
    `InvalidInstanceID.NotFound: The instance ID '${one}' does not exist`,
  );
  expect(found([one, i.instanceId, two, one])).toBe(
    `InvalidInstanceID.NotFound: The instance IDs '${one}, ${two}' do not exist`,
  );
  region.terminate(i.instanceId);
  region.terminated(i.instanceId);
  expect(found([i.instanceId])).toEqual([i.instanceId]);
  region.forget(i.instanceId);
  expect(found([i.instanceId])).toMatch(/^InvalidInstanceID.NotFound/);
});

test.each([
  ["web*", ["web", "webmail", "web*", "web?x"]],
  ["web\\*", ["web*"]],
  ["web?", ["web*"]],
  ["web??", ["web?x"]],
  ["web\\?x", ["web?x"]],
  ["*\\\\*", ["a\\b"]],
  ["a\\b", ["a\\b"]],
  ["a\\\\b", ["a\\b"]],
  ["*", ["web", "webmail", "web*", "web?x", "a\\b", "(1.5$)", "x\ny", "🙂"]],
  ["(?.5$)", ["(1.5$)"]],
  ["?", ["🙂"]],
  ["x*y", ["x\ny"]],
  ["WEB", []],
])("a filter value with wildcards: %j", (wanted, expected) => {
  const values = ["web", "webmail", "web*", "web?x", "a\\b", "(1.5$)", "x\ny", "🙂"];
  const world = aWorld();
  for (const pool of values) world.address({ tags: { pool } });
  for (const pool of values) world.instance({ tags: { pool } });
  const { region } = at(world);
  const filters = [{ name: "tag:pool", values: [wanted] }];
  const addresses = region.describeAddresses("admin", { filters });
  expect(addresses.map((one) => one.tags["pool"])).toEqual(expected);
  const instances = region.describeInstances("admin", { filters }).items;
  expect(instances.map((one) => one.tags["pool"])).toEqual(expected);
});

test("an escaped id in a filter is that id", () => {
  const world = aWorld();
  const a = world.address();
  const { region } = at(world);
  const found = (id: string): number =>
    region.describeAddresses("admin", { filters: [{ name: "allocation-id", values: [id] }] })
      .length;
  const { allocationId } = a;
  expect([allocationId, `${allocationId.slice(0, -1)}?`, `${allocationId}\\?`].map(found)).toEqual([
    1, 1, 0,
  ]);
});

test("tags and ids show up when they have propagated", () => {
  const world = aWorld();
  const i = world.instance({
    tags: { a: "b" },
    knownFrom: "2026-06-01T00:00:05Z",
    tagsFrom: "2026-06-01T00:00:10Z",
  });
  const { region, clock } = at(world);
  const look = (): unknown =>
    said(() => region.describeInstances(as(i), { instanceIds: [i.instanceId] }).items[0]?.tags);
  expect(look()).toMatch(/^InvalidInstanceID.NotFound/);
  clock.now += 5000;
  expect(look()).toEqual({});
  clock.now += 5000;
  expect(look()).toEqual({ a: "b" });
});

test("describe calls can answer from the past, associating never does", () => {
  const world = aWorld({ settings: { describeStalenessMs: 3000 } });
  const a = world.address();
  const [i, j] = [world.instance(), world.instance()];
  world.hold(a, i);
  const { region, clock } = at(world);
  const holder = (backMs?: number): string | undefined =>
    region.describeAddresses("admin", {}, { backMs })[0]?.association?.instanceId;
  clock.now += 10_000;
  region.associate(a.allocationId, j.instanceId);
  clock.now += 2000;
  expect([holder(), holder(0), holder(5000)]).toEqual([i.instanceId, j.instanceId, i.instanceId]);
  expect(
    said(() =>
      region.associateAddress(as(i), {
        allocationId: a.allocationId,
        instanceId: i.instanceId,
        allowReassociation: false,
      }),
    ),
  ).toMatch(/^Resource.AlreadyAssociated/);
  clock.now += 1000;
  expect(holder()).toBe(j.instanceId);
  const filters = [
    { name: "network-interface.addresses.association.allocation-id", values: [a.allocationId] },
  ];
  const byInstance = (backMs: number): unknown =>
    region
      .describeInstances("admin", { filters }, { backMs })
      .items.map((one) => one.instance.instanceId);
  expect([byInstance(0), byInstance(6000)]).toEqual([[j.instanceId], [i.instanceId]]);
});

test("a launch is not there for who looks at the time before it", () => {
  const { region, clock } = at(aWorld());
  clock.now += 1000;
  const { instanceId } = region.launch();
  expect(region.describeInstances("admin", {}, { backMs: 500 }).items).toEqual([]);
  expect(region.describeInstances("admin", {}).items[0]?.instance.instanceId).toBe(instanceId);
});

test("IAM: the old role may not describe addresses, and the message says what is missing on what", () => {
  const world = aWorld();
  const a = world.address();
  const [old, nobody] = [world.instance({ role: "old" }), world.instance({ role: undefined })];
  const { region } = at(world);
  const [told, encoded] = String(said(() => region.describeAddresses(as(old)))).split(
    ". Encoded authorization failure message: ",
  );
  expect(told).toBe(
    "UnauthorizedOperation: You are not authorized to perform this operation. User: " +
      `arn:aws:sts::111122223333:assumed-role/old/${old.instanceId} is not authorized to perform: ec2:DescribeAddresses ` +
      "because no identity-based policy allows the ec2:DescribeAddresses action",
  );
  expect(encoded).toMatch(/^[\w-]{20,}$/);
  expect(region.describeInstances(as(old)).items).toHaveLength(2);
  expect(
    said(() =>
      region.associateAddress(as(nobody), {
        allocationId: a.allocationId,
        instanceId: nobody.instanceId,
      }),
    ),
  ).toContain(
    `is not authorized to perform: ec2:AssociateAddress on resource: arn:aws:ec2:us-east-1:111122223333:elastic-ip/${a.allocationId} because`,
  );
});

test("IAM: what is allowed from a moment on is not before", () => {
  const world = aWorld();
  const i = world.instance({ role: "old" });
  const { region, clock } = at(world);
  region.setPolicy("old", allow(["ec2:*"]), clock.now + 5000);
  const look = (): unknown => said(() => region.describeAddresses(as(i)));
  expect(look()).toMatch(/^UnauthorizedOperation/);
  expect(region.describeInstances(as(i)).items).toHaveLength(1);
  clock.now += 5000;
  expect(look()).toEqual([]);
});

test("IAM: a policy that lets an instance act only on itself", () => {
  const policy: PolicyDocument = {
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Allow",
        Action: "ec2:AssociateAddress",
        Resource: "arn:aws:ec2:us-east-1:111122223333:elastic-ip/*",
        Condition: { StringEquals: { "aws:ResourceTag/eip-heal": "web" } },
      },
      {
        Effect: "Allow",
        Action: "ec2:AssociateAddress",
        Resource: "arn:aws:ec2:us-east-1:111122223333:instance/*",
        Condition: { StringLike: { "aws:userid": "*:${ec2:InstanceID}" } },
      },
    ],
  };
  const world = aWorld();
  const [a, b] = [world.address({ tags: { "eip-heal": "web" } }), world.address()];
  const role = world.role("self", policy);
  const [i, j] = [world.instance({ role }), world.instance({ role })];
  const { region } = at(world);
  const put = (what: { allocationId: string }, on: { instanceId: string }): unknown =>
    said(() =>
      region.associateAddress(as(i), {
        allocationId: what.allocationId,
        instanceId: on.instanceId,
      }),
    );
  expect(put(a, j)).toContain(
    `on resource: arn:aws:ec2:us-east-1:111122223333:instance/${j.instanceId}`,
  );
  expect(put(b, i)).toContain(
    `on resource: arn:aws:ec2:us-east-1:111122223333:elastic-ip/${b.allocationId}`,
  );
  expect(put(a, i)).toMatch(/^eipassoc-/);
});

test("DryRun says whether it is permitted, and nothing more", () => {
  const world = aWorld();
  const i = world.instance({ role: "old" });
  const { region } = at(world);
  const dry = {
    allocationId: "eipalloc-0123456789abcdef0",
    instanceId: i.instanceId,
    dryRun: true,
  };
  expect(said(() => region.associateAddress(as(i), dry))).toBe(
    "DryRunOperation: Request would have succeeded, but DryRun flag is set.",
  );
  expect(said(() => region.describeAddresses(as(i), { dryRun: true }))).toMatch(
    /^UnauthorizedOperation/,
  );
});

test("throttling: a bucket that refills", () => {
  const world = aWorld({ settings: { throttle: AWS_BUCKETS } });
  const a = world.address();
  const i = world.instance();
  const { region, clock } = at(world);
  const claims = (): number => {
    let granted = 0;
    const claim = { allocationId: a.allocationId, instanceId: i.instanceId };
    while (
      !String(said(() => region.associateAddress(as(i), claim))).startsWith("RequestLimitExceeded")
    )
      granted += 1;
    return granted;
  };
  expect(claims()).toBe(50);
  clock.now += 2000;
  expect(claims()).toBe(10);
  region.configure({ throttle: undefined });
  expect(region.describeAddresses(as(i))).toHaveLength(1);
});

test("DescribeTags", () => {
  const world = aWorld();
  const a = world.address({ tags: { pool: "web" } });
  const i = world.instance({ tags: { "allocation-id": a.allocationId, Name: "web-1" } });
  const { region } = at(world);
  const filters = [
    { name: "resource-id", values: [i.instanceId] },
    { name: "key", values: ["allocation-id"] },
  ];
  expect(region.describeTags("admin", { filters }).items).toEqual([
    {
      resourceId: i.instanceId,
      resourceType: "instance",
      key: "allocation-id",
      value: a.allocationId,
    },
  ]);
  expect(region.describeTags("admin").items).toHaveLength(3);
});

test("a tag that cannot be a path is refused when instance metadata shows tags", () => {
  const world = aWorld();
  expect(said(() => world.instance({ tags: { "a b": "c" }, metadataTags: true }))).toMatch(
    /^InvalidParameterValue/,
  );
  const i = world.instance({ tags: { "a b": "c" } });
  expect(said(() => at(world).region.setMetadata(i.instanceId, { tags: true }))).toMatch(
    /^InvalidParameterValue/,
  );
});

test("thousands of instances are no trouble", () => {
  const world = aWorld();
  const pool = Array.from({ length: 1000 }, () => world.address({ tags: { pool: "web" } }));
  const fleet = Array.from({ length: 1000 }, () => world.instance());
  const { region } = at(world);
  const started = performance.now();
  fleet.forEach((i, n) => {
    region.describeInstances(as(i), { filters: [{ name: "instance-id", values: [i.instanceId] }] });
    region.associateAddress(as(i), {
      allocationId: pool[n]?.allocationId ?? "",
      instanceId: i.instanceId,
      allowReassociation: false,
    });
    region.describeAddresses(as(i), { allocationIds: [pool[n]?.allocationId ?? ""] });
  });
  expect(region.addresses().every((one) => one.association !== undefined)).toBe(true);
  // Generous: it takes some 50 ms.
  expect(performance.now() - started).toBeLessThan(5000);
});
