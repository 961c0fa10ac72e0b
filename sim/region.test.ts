import { expect, test } from "vitest";
import { as, at, fill, said } from "./virtual.ts";
import { aWorld } from "./world.ts";

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
