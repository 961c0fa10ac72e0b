/**
 * Boots at which what eip-heal needs comes late, and a network that goes: it is waited for, and the machine ends with
 * its address and without a failed unit. Each test has a machine of its own.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { Cloud, EC2_ADDRESS, IMDS_ADDRESS, UNIT } from "../support/machine/cloud.ts";
import { tellOnFailure } from "../support/failing.ts";
import type { Image } from "../support/machine/image.ts";
import type { Machine } from "../support/machine/machine.ts";
import { CONFIRM, RECHECK } from "../support/machine/rounds.ts";
import { eventually } from "../support/run.ts";

const WAIT_ONLINE = "systemd-networkd-wait-online.service";

const world = aWorld();
const older = world.instance();
const scenes = Array.from({ length: 5 }, () => {
  const address = world.address();
  const tags = { "allocation-id": address.allocationId };
  return { address, instance: world.instance({ tags, metadataTags: true }) };
});
type Scene = (typeof scenes)[number];

let cloud: Cloud;
let ami: Image;
let next = 0;
/** The machine of the test that runs, its instance, and the address that is its own. */
let machine: Machine;
let { address, instance } = scenes[0] as Scene;

beforeAll(async () => {
  cloud = await Cloud.start(world);
  ami = await cloud.bakeAmi();
});

afterAll(async () => {
  await cloud?.close();
});

beforeEach(async () => {
  // Not after each test: one that has failed still asks its machine what has happened.
  await machine?.kill();
  // Nor is the cloud whole after a failure.
  for (const one of [IMDS_ADDRESS, EC2_ADDRESS]) await cloud.reachable(one, true);
  await cloud.dnsmasq.start();
  ({ address, instance } = scenes[next++] as Scene);
  machine = await cloud.machine(instance, ami);
});

tellOnFailure(() => cloud.story());

test("instance metadata comes 20 s late", async () => {
  await cloud.reachable(IMDS_ADDRESS, false);
  await machine.start();
  const late = sleep(20_000);
  await machine.waitUnit("multi-user.target");
  await saysThatItTriesAgain(/\(reading instance metadata: .*169\.254\.169\.254/);
  await late;
  await expectWaiting();

  await cloud.reachable(IMDS_ADDRESS, true);
  await expectHealed();
});

test("DHCP comes late", async () => {
  await cloud.dnsmasq.stop();
  await machine.start();
  await machine.waitUnit("multi-user.target");
  // systemd still waits for the network on its behalf.
  await machine.waitUnit(WAIT_ONLINE, "activating");
  expect(await machine.show(UNIT, "ActiveState")).toEqual(["inactive"]);
  expect(await machine.must(["ip", "-4", "-brief", "address", "show", "scope", "global"])).toBe("");

  await cloud.dnsmasq.start();
  await expectHealed();
});

test("DHCP comes later than the system waits for the network", async () => {
  const dropIns = join(machine.root, `etc/systemd/system/${WAIT_ONLINE}.d`);
  await mkdir(dropIns);
  await writeFile(
    join(dropIns, "impatient.conf"),
    // Two minutes otherwise.
    "[Service]\nExecStart=\nExecStart=/lib/systemd/systemd-networkd-wait-online --timeout=1\n",
  );
  await cloud.dnsmasq.stop();
  await machine.start();
  await machine.waitUnit(WAIT_ONLINE, "failed");
  await saysThatItTriesAgain(/\(reading instance metadata: /);
  await expectWaiting();

  await cloud.dnsmasq.start();
  // What has failed is not ours.
  await expectHealed("degraded");
  const failed = await machine.must([
    "systemctl",
    "list-units",
    "--failed",
    "--plain",
    "--no-legend",
  ]);
  expect(failed.trim().split("\n")).toEqual([expect.stringContaining(WAIT_ONLINE)]);
});

test("EC2 comes late", async () => {
  await cloud.reachable(EC2_ADDRESS, false);
  await machine.start();
  await machine.waitUnit("multi-user.target");
  await saysThatItTriesAgain(/ec2\.us-east-1\.amazonaws\.com/);
  await expectWaiting();

  await cloud.reachable(EC2_ADDRESS, true);
  await expectHealed();
});

test("the network is lost after the boot, and the address with it", async () => {
  await machine.start();
  await expectHealed();
  // Should the machine be so slow that it is time for the recheck, that would fail without the network.
  await machine.must(["systemctl", "stop", CONFIRM, RECHECK]);
  await machine.link("down");
  cloud.move(address.allocationId, older);
  await machine.must(["systemctl", "restart", "--no-block", UNIT]);
  await saysThatItTriesAgain(/\(reading instance metadata: /);
  await expectWaiting();

  await machine.link("up");
  await expectHealed();
  const last = (await machine.journal(UNIT)).findLast((line) => line.startsWith("associated"));
  expect(last).toContain(`taken from ${older.instanceId}`);
});

/** The journal names what is missing, and that this is not the end. */
async function saysThatItTriesAgain(what: RegExp): Promise<void> {
  await eventually(`${UNIT} says ${String(what)} and that it tries again`, async () =>
    (await machine.journal(UNIT)).some((line) => what.test(line) && /; next try in /.test(line)),
  );
}

/** It is at it, in the first process that was started, and nothing has been done yet. */
async function expectWaiting(): Promise<void> {
  expect(await machine.show(UNIT, "ActiveState", "ExecMainStatus")).toEqual(["activating", "0"]);
  expect(cloud.region.holder(address.allocationId)?.instanceId).not.toBe(instance.instanceId);
}

/** The unit becomes active without having failed, the boot comes to its end, and EC2 shows the address here. */
async function expectHealed(state = "running"): Promise<void> {
  await machine.waitUnit(UNIT);
  expect(await machine.waitRunning()).toBe(state);
  expect(await machine.show(UNIT, "SubState")).toEqual(["exited"]);
  expect((await machine.journal(UNIT)).join("\n")).not.toContain("Failed with result");
  expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(instance.instanceId);
}
