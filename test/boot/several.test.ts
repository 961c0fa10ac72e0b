/**
 * A machine with three addresses on two network interfaces, on a real systemd. Each test goes on where the one before has
 * left the machine.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import { Cloud, UNIT } from "../support/machine/cloud.ts";
import type { Builder } from "../support/machine/image.ts";
import type { Machine } from "../support/machine/machine.ts";
import { retryAfter } from "../support/machine/rounds.ts";

const world = aWorld();
const addresses = [world.address(), world.address(), world.address()] as const;
const [first, second, third] = addresses;
const tag = `${first.allocationId} ${second.allocationId}@10.0.0.21 ${third.allocationId}@1`;
const older = world.instance();
const self = world.instance({
  tags: { "allocation-id": tag },
  metadataTags: true,
  enis: [
    { deviceIndex: 0, privateIps: ["10.0.0.20", "10.0.0.21"] },
    { deviceIndex: 1, privateIps: ["10.0.0.30"] },
  ],
});
const newer = world.instance();
const PLACES = ["10.0.0.20", "10.0.0.21", "10.0.0.30"];

/**
 * What amazon-ec2-net-utils and cloud-init do for a second interface and for a secondary private address: both by DHCP, the
 * first with the better route, and the secondary address beside the one that DHCP gives.
 */
async function configureNetwork({ root }: Builder): Promise<void> {
  const folder = join(root, "etc/systemd/network");
  const second = ["[Match]", "Name=ens6", "[Network]", "DHCP=ipv4", "LinkLocalAddressing=no"];
  const route = ["[DHCPv4]", "ClientIdentifier=mac", "UseDNS=no", "RouteMetric=2000"];
  await writeFile(join(folder, "05-second.network"), `${[...second, ...route].join("\n")}\n`);
  const secondary = join(folder, "10-vpc.network.d");
  await mkdir(secondary);
  await writeFile(join(secondary, "secondary.conf"), "[Network]\nAddress=10.0.0.21/24\n");
}

let cloud: Cloud;
let machine: Machine;

beforeAll(async () => {
  cloud = await Cloud.start(world);
  const ami = await cloud.bakeAmi(async (builder) => {
    await retryAfter(builder.root, "2s");
    await configureNetwork(builder);
  });
  machine = await cloud.machine(self, ami);
});

afterAll(async () => {
  await cloud?.close();
});

stopAtFirstFailure();
tellOnFailure(() => cloud.story());

const places = () =>
  addresses.map(({ allocationId }) => {
    const holder = cloud.region.holder(allocationId);
    return holder?.instanceId === self.instanceId ? holder.privateIp : holder?.instanceId;
  });

test("a boot brings each to its place, and tells other units of all", async () => {
  await machine.start();
  expect(await machine.waitRunning()).toBe("running");
  expect(places()).toEqual(PLACES);
  const own = await machine.must(["ip", "-4", "-brief", "address", "show", "up"]);
  expect(own).toMatch(/^ens5@\S+ +UP +(?=.*\b10\.0\.0\.20\/24)(?=.*\b10\.0\.0\.21\/24)/m);
  expect(own).toMatch(/^ens6@\S+ +UP +10\.0\.0\.30\/24/m);
  const ips = addresses.map(({ publicIp }) => publicIp);
  expect(await machine.must(["cat", "/run/eip-heal/env"])).toContain(
    `EIP_HEAL_PUBLIC_IPS="${ips.join(" ")}"\n`,
  );
  // systemd reads the quotes as a shell does.
  const given = ["-p", "EnvironmentFile=/run/eip-heal/env", "--pipe", "--wait", "--quiet"];
  const all = await machine.must(["systemd-run", ...given, "printenv", "EIP_HEAL_PUBLIC_IPS"]);
  expect(all).toBe(`${ips.join(" ")}\n`);
});

test("the next boot brings back the one that was moved away, and leaves the others alone", async () => {
  cloud.region.region.associate(second.allocationId, older.instanceId);
  const before = cloud.associations().length;
  await machine.reboot();
  expect(await machine.waitRunning()).toBe("running");
  expect(places()).toEqual(PLACES);
  expect(cloud.associations().slice(before)).toMatchObject([
    { params: { AllocationId: second.allocationId, AllowReassociation: "true" } },
  ]);
});

test("while a newer instance has one the unit is failed, and says how many are here", async () => {
  cloud.region.region.associate(third.allocationId, newer.instanceId);
  expect((await machine.exec(["systemctl", "restart", UNIT])).status).not.toBe(0);
  expect(places()).toEqual([...PLACES.slice(0, 2), newer.instanceId]);
  expect((await machine.exec(["cat", "/run/eip-heal/env"])).status).not.toBe(0);
  const journal = await machine.journal(UNIT);
  expect(journal.find((line) => line.startsWith("yielded: "))).toContain(
    "; 2 of 3 addresses are here, ",
  );
});

test("once that instance is gone a retry brings it here, and the unit is well", async () => {
  cloud.region.region.terminate(newer.instanceId);
  await machine.waitUnit(UNIT);
  expect(places()).toEqual(PLACES);
  expect(await machine.show(UNIT, "Result")).toEqual(["success"]);
});
