/**
 * /run/eip-heal on a real systemd, which makes it as a link to a folder of a user that comes and goes: what people do to
 * it never keeps the unit from starting. Each test goes on where the one before has left the machine.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { Cloud, UNIT } from "../support/machine/cloud.ts";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import type { Machine } from "../support/machine/machine.ts";

const world = aWorld();
const address = world.address();
world.role("releaser", { Statement: [{ Effect: "Allow", Action: "ec2:*", Resource: "*" }] });
const self = world.instance({
  tags: { "allocation-id": address.allocationId },
  role: "releaser",
  metadataTags: true,
});

let cloud: Cloud;
let machine: Machine;

beforeAll(async () => {
  cloud = await Cloud.start(world);
  machine = await cloud.machine(self, await cloud.bakeAmi());
  await machine.start();
  await machine.waitUnit(UNIT);
});

afterAll(async () => {
  await cloud?.close();
});

stopAtFirstFailure();
tellOnFailure(() => cloud.story());

const TOLD = `EIP_HEAL_ALLOCATION_ID=${address.allocationId}\n`;
const told = () => machine.must(["cat", "/run/eip-heal/env"]);
const restarted = async () => {
  await machine.must(["systemctl", "restart", UNIT]);
  expect(await machine.show(UNIT, "ActiveState", "Result")).toEqual(["active", "success"]);
  expect(await machine.must(["readlink", "/run/eip-heal"])).toBe("private/eip-heal\n");
  expect(await told()).toContain(TOLD);
};

test("the link removed, a heal by hand, a start of the unit", async () => {
  await machine.must(["rm", "-rf", "/run/eip-heal"]);
  await machine.must(["eip-heal"]);
  expect((await machine.exec(["test", "-e", "/run/eip-heal"])).status).toBe(1);
  expect(await machine.must(["cat", "/run/private/eip-heal/env"])).toContain(TOLD);
  await restarted();
});

test("all of it removed, a heal by hand, a start of the unit", async () => {
  await machine.must(["rm", "-rf", "/run/eip-heal", "/run/private/eip-heal"]);
  await machine.must(["eip-heal"]);
  expect((await machine.exec(["ls", "/run/eip-heal", "/run/private/eip-heal"])).stdout).toBe("");
  await restarted();
});

test("what root has written by hand under a strict umask is read and replaced by the unit", async () => {
  await machine.sh("umask 077; eip-heal release");
  await machine.must(["systemctl", "start", "eip-heal-recheck.service"]);
  expect(cloud.region.holder(address.allocationId)).toBeUndefined();
  expect(await machine.must(["cat", "/run/eip-heal/result.json"])).toContain('"released"');
  await restarted();
  expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
});
