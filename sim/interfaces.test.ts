/** Network interfaces that no instance has, and DescribeNetworkInterfaces, which tells whose they are. */

import {
  AssociateAddressCommand,
  DescribeAddressesCommand,
  DescribeNetworkInterfacesCommand,
} from "@aws-sdk/client-ec2";
import type { DescribeNetworkInterfacesCommandInput, NetworkInterface } from "@aws-sdk/client-ec2";
import { expect, test } from "vitest";

import { INTERFACES_ROLE } from "./iam.ts";
import type { Manager } from "./model.ts";
import { Region } from "./region.ts";
import { outcome, sdk, start } from "./testing.ts";
import { aWorld } from "./world.ts";

test("an orphaned interface: held by no instance, available, and there for the taking", async () => {
  const world = aWorld();
  const a = world.address();
  const eni = world.holdByOrphan(a, { tags: { left: "behind" } });
  const me = world.instance({ role: world.role("interfaces", INTERFACES_ROLE) });
  const region = await start(world);
  const ec2 = sdk(region, me.instanceId);
  const association = region.holder(a.allocationId)?.associationId;
  const { networkInterfaceId } = eni;
  const privateIp = eni.addresses[0]?.privateIp;

  const shown = await ec2.send(new DescribeAddressesCommand({}));
  expect(shown.Addresses).toEqual([
    {
      AllocationId: a.allocationId,
      AssociationId: association,
      Domain: "vpc",
      NetworkBorderGroup: "us-east-1",
      NetworkInterfaceId: networkInterfaceId,
      NetworkInterfaceOwnerId: "111122223333",
      PrivateIpAddress: privateIp,
      PublicIp: a.publicIp,
      PublicIpv4Pool: "amazon",
    },
  ]);
  const found = await ec2.send(
    new DescribeNetworkInterfacesCommand({ NetworkInterfaceIds: [networkInterfaceId] }),
  );
  const mapped = {
    PublicIp: a.publicIp,
    PublicDnsName: "",
    IpOwnerId: "111122223333",
    AllocationId: a.allocationId,
    AssociationId: association,
  };
  expect(found.NetworkInterfaces).toMatchObject([
    {
      NetworkInterfaceId: networkInterfaceId,
      Status: "available",
      RequesterManaged: false,
      OwnerId: "111122223333",
      InterfaceType: "interface",
      AvailabilityZone: "us-east-1a",
      Association: mapped,
      PrivateIpAddresses: [{ PrivateIpAddress: privateIp, Primary: true, Association: mapped }],
      TagSet: [{ Key: "left", Value: "behind" }],
    },
  ]);
  expect(found.NetworkInterfaces?.[0]?.Attachment).toBeUndefined();

  const take = { AllocationId: a.allocationId, InstanceId: me.instanceId };
  const keep = new AssociateAddressCommand({ ...take, AllowReassociation: false });
  expect(await outcome(ec2.send(keep))).toBe("Resource.AlreadyAssociated");
  expect(await outcome(ec2.send(new AssociateAddressCommand(take)))).toBe("ok");
  const left = await ec2.send(new DescribeNetworkInterfacesCommand({}));
  expect(left.NetworkInterfaces?.map((one) => one.Association?.AllocationId)).toEqual([
    a.allocationId,
    undefined,
  ]);
  expect(region.bugs).toEqual([]);
});

test.each<[Manager, NetworkInterface]>([
  [
    "nat-gateway",
    {
      RequesterManaged: true,
      OwnerId: "111122223333",
      // The SDK lists it as natGateway, which EC2 does not say.
      InterfaceType: "nat_gateway" as never,
      Attachment: { InstanceOwnerId: "amazon-aws", Status: "attached" },
    },
  ],
  [
    "load-balancer",
    {
      RequesterManaged: true,
      OwnerId: "111122223333",
      InterfaceType: "network_load_balancer",
      Attachment: { InstanceOwnerId: "amazon-elb", Status: "attached" },
    },
  ],
  [
    "service",
    {
      RequesterManaged: true,
      OwnerId: "111122223333",
      InterfaceType: "interface",
      Attachment: { InstanceOwnerId: "amazon-aws", Status: "attached" },
    },
  ],
  [
    "other-account",
    {
      RequesterManaged: false,
      OwnerId: "999988887777",
      InterfaceType: "interface",
      Attachment: { InstanceOwnerId: "999988887777", Status: "attached" },
    },
  ],
])("an interface of a %s is in use and names no instance", async (manager, expected) => {
  const world = aWorld();
  const eni = world.holdByService(world.address(), manager);
  const region = await start(world);
  const found = await sdk(region).send(
    new DescribeNetworkInterfacesCommand({
      Filters: [{ Name: "network-interface-id", Values: [eni.networkInterfaceId] }],
    }),
  );
  expect(found.NetworkInterfaces).toMatchObject([{ ...expected, Status: "in-use" }]);
  expect(found.NetworkInterfaces?.[0]?.Attachment?.InstanceId).toBeUndefined();
});

test("an instance's interface: attached to it, with the address that EC2 assigned", async () => {
  const world = aWorld();
  const i = world.instance({ autoPublicIp: true });
  const region = await start(world);
  const find = new DescribeNetworkInterfacesCommand({
    Filters: [{ Name: "attachment.instance-id", Values: [i.instanceId] }],
  });
  const found = await sdk(region).send(find);
  expect(found.NetworkInterfaces).toMatchObject([
    {
      NetworkInterfaceId: i.networkInterfaceId,
      Status: "in-use",
      RequesterManaged: false,
      Association: { PublicIp: region.region.publicIpOf(i.instanceId), IpOwnerId: "amazon" },
      Attachment: {
        InstanceId: i.instanceId,
        InstanceOwnerId: "111122223333",
        DeviceIndex: 0,
        NetworkCardIndex: 0,
        Status: "attached",
        DeleteOnTermination: true,
        AttachTime: new Date("2026-01-01T00:00:00Z"),
      },
    },
  ]);
  region.region.terminate(i.instanceId);
  region.region.terminated(i.instanceId);
  expect((await sdk(region).send(find)).NetworkInterfaces).toEqual([]);
});

test("DescribeNetworkInterfaces over the wire: nobody may by default; ids that are not known; pages", async () => {
  const world = aWorld();
  const me = world.instance();
  const later = world.instance({ knownFrom: "2100-01-01" });
  for (let n = 0; n < 6; n++) world.interface();
  const region = await start(world);
  const ask = async (ec2: ReturnType<typeof sdk>, input: DescribeNetworkInterfacesCommandInput) =>
    ec2.send(new DescribeNetworkInterfacesCommand(input));
  for (const role of ["full", "old"]) {
    region.region.setRole(me.instanceId, role);
    await expect(ask(sdk(region, me.instanceId), {})).rejects.toMatchObject({
      name: "UnauthorizedOperation",
      message: expect.stringMatching(
        /is not authorized to perform: ec2:DescribeNetworkInterfaces because/,
      ) as unknown,
    });
  }
  const ec2 = sdk(region);
  const refused = async (...NetworkInterfaceIds: string[]): Promise<unknown> =>
    ask(ec2, { NetworkInterfaceIds }).catch((error: unknown) => String(error));
  expect(await refused(later.networkInterfaceId)).toBe(
    `InvalidNetworkInterfaceID.NotFound: The networkInterface ID '${later.networkInterfaceId}' does not exist`,
  );
  const [one, two] = ["eni-0123456789abcdef0", "eni-0123456789abcdef1"];
  expect(await refused(one, me.networkInterfaceId, two)).toBe(
    `InvalidNetworkInterfaceID.NotFound: The networkInterface IDs '${one}, ${two}' do not exist`,
  );
  expect(await refused("eni-x")).toMatch(/^InvalidNetworkInterfaceId.Malformed/);
  const both = { NetworkInterfaceIds: [me.networkInterfaceId], MaxResults: 5 };
  expect(await outcome(ask(ec2, both))).toBe("InvalidParameterCombination");
  const first = await ask(ec2, { MaxResults: 5 });
  const rest = await ask(ec2, { MaxResults: 5, NextToken: first.NextToken });
  expect([first, rest].map((page) => page.NetworkInterfaces?.length)).toEqual([5, 2]);
  const free = await ask(ec2, { Filters: [{ Name: "status", Values: ["available"] }] });
  expect(free.NetworkInterfaces).toHaveLength(6);
  expect(region.bugs).toEqual([]);
});

test("DescribeNetworkInterfaces can answer from the past", () => {
  const world = aWorld();
  const a = world.address();
  const i = world.instance();
  let now = Date.UTC(2026, 5, 1);
  const region = new Region(world.data, () => now);
  const eni = region.attach(null);
  region.associate(a.allocationId, eni.networkInterfaceId);
  const { networkInterfaceId } = eni;
  const look = (backMs: number): unknown =>
    region
      .describeNetworkInterfaces("admin", {}, { backMs })
      .items.filter((one) => one.networkInterface.networkInterfaceId === networkInterfaceId)
      .map((one) => one.instance?.instanceId);
  now += 1000;
  region.attach(i.instanceId, { networkInterfaceId });
  now += 1000;
  region.detach(networkInterfaceId);
  expect([0, 500, 1500, 2500].map(look)).toEqual([[undefined], [i.instanceId], [undefined], []]);
});
