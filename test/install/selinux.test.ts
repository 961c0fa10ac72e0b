/**
 * The units on a virtual machine whose kernel enforces Debian's policy for SELinux from the first program on: they do
 * all that they do elsewhere, and nothing of that is denied. What the policy denies to others, such as checkpoint_restore
 * to the login on the console, is theirs. Like the program, the shell of the tests is initrc_t, as services are that have
 * no domain of their own.
 */
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import { Cloud, UNIT } from "../support/machine/cloud.ts";
import { bake } from "../support/machine/image.ts";
import { install, packageAs } from "../support/machine/package.ts";
import { place } from "../support/machine/place.ts";
import { putProbe, takePlace, tryIn } from "../support/machine/probe.ts";
import { nextRounds, quickenRechecks, retryAfter, TIMER } from "../support/machine/rounds.ts";
import { selinuxSystem } from "../support/machine/roots.ts";
import { denials, ENFORCING, labelFiles } from "../support/machine/selinux.ts";
import { VirtualMachine, VM_TEST_MS } from "../support/machine/virtual-machine.ts";
import { eventually } from "../support/run.ts";
import { aWorld } from "../../sim/world.ts";
import { currentPackages } from "./repository.ts";

/** By default systemd ends all of a unit when the kernel has ended one of its processes for want of memory. */
const GO_ON = "OOMPolicy=continue";
const NEXT = "/srv/next.deb";

const world = aWorld();
const address = world.address();
const tags = { "allocation-id": address.allocationId };
const older = world.instance({ tags });
const self = world.instance({ tags, metadataTags: true, autoPublicIp: true });
const newer = world.instance({ tags });

let cloud: Cloud;
let machine: VirtualMachine;

beforeAll(async () => {
  const { image, kernel, architecture } = selinuxSystem();
  const { deb } = await currentPackages();
  cloud = await Cloud.start(world);
  const ami = await bake("selinux-ami", image, async (builder) => {
    await install(builder, deb);
    await cloud.trustIn(builder.root);
  });
  const next = await packageAs(deb, "999.0.0", place().scratch);
  const name = `ip-${self.privateIp.replaceAll(".", "-")}`;
  await cloud.dnsmasq.add({ name, mac: self.mac, ip: self.privateIp });
  machine = await VirtualMachine.create(
    { name, mac: self.mac, image: ami, architecture, kernel, parameters: ENFORCING },
    async (root) => {
      await copyFile(next, join(root, NEXT));
      await putProbe(root);
      await quickenRechecks(root);
      await retryAfter(root, "1s");
      await labelFiles(root);
    },
  );
  await machine.start();
}, VM_TEST_MS);

afterAll(async () => {
  await machine?.discard();
  await cloud?.close();
});

stopAtFirstFailure();
tellOnFailure(async () =>
  [
    ...(await machine.journal("eip-heal*")),
    ...(await denials(machine)),
    await machine.console(),
  ].join("\n"),
);

/** What the program, systemd on its behalf or anybody else at its files has been denied. */
const ours = async () => (await denials(machine)).filter((event) => event.includes("eip-heal"));
const holder = () => cloud.region.holder(address.allocationId)?.instanceId;

describe("a virtual machine that enforces SELinux", { timeout: VM_TEST_MS }, () => {
  test("its first boot heals", async () => {
    await machine.waitRunning();
    expect(await machine.must(["getenforce"])).toBe("Enforcing\n");
    expect(await machine.show(UNIT, "ActiveState", "Result")).toEqual(["active", "success"]);
    expect(holder()).toBe(self.instanceId);
    expect(await machine.sh("stat -c %C /usr/bin/eip-heal")).toBe("system_u:object_r:bin_t:s0\n");
  });

  test("every file of the disk has a label", async () => {
    expect(await machine.sh("find / -xdev -context '*:unlabeled_t:*'")).toBe("");
  });

  test("a restart takes the address back from an older instance", async () => {
    cloud.move(address.allocationId, older);
    await machine.must(["systemctl", "restart", UNIT]);
    expect(holder()).toBe(self.instanceId);
  });

  test("after a run that has failed the retries heal", async () => {
    cloud.move(address.allocationId, newer);
    expect((await machine.exec(["systemctl", "restart", UNIT])).status).not.toBe(0);
    cloud.free(address.allocationId);
    const isActive = async () => (await machine.show(UNIT, "ActiveState"))[0] === "active";
    await eventually("a retry has healed", isActive, { withinMs: 300_000 });
    expect(holder()).toBe(self.instanceId);
  });

  test("a recheck heals drift", async () => {
    await machine.must(["systemctl", "enable", "--quiet", "--now", TIMER]);
    cloud.free(address.allocationId);
    expect(await nextRounds(machine, 1)).toEqual(["0"]);
    expect(holder()).toBe(self.instanceId);
    await machine.must(["systemctl", "disable", "--quiet", "--now", TIMER]);
  });

  test("doctor has no complaint", async () => {
    expect(await machine.exec(["eip-heal", "doctor"])).toMatchObject({ status: 0 });
  });

  test("an upgrade keeps the labels, and the new version heals", async () => {
    await machine.must(["dpkg", "-i", NEXT]);
    const verified = await machine.sh("dpkg -L eip-heal | grep eip-heal | xargs matchpathcon -V");
    expect(verified).toContain("/usr/bin/eip-heal verified.\n");
    cloud.move(address.allocationId, older);
    await machine.must(["systemctl", "restart", UNIT]);
    expect(holder()).toBe(self.instanceId);
  });

  test("nothing of it has been denied", async () => {
    expect(await ours()).toEqual([]);
    expect(cloud.region.bugs).toEqual([]);
  });

  // The last one, because it ruins the machine.
  test("what the policy denies in the unit would have been seen", async () => {
    await takePlace(machine);
    const tries = await tryIn(machine, `${GO_ON}\nMemoryDenyWriteExecute=no\nSystemCallFilter=`);
    expect(tries.get("run machine code in memory that is writable")).toBe(false);
    expect(await ours()).toContainEqual(
      expect.stringMatching(/execmem[^]*:initrc_t:[^]*exe="\/usr\/bin\/eip-heal"/),
    );
  });
});
