/**
 * Images with the package in them, by each way in which images are built: the installation enables the unit and starts
 * nothing, even on a builder that is itself an instance with the tag, and the first boot of the image heals.
 */
import { copyFile, mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, onTestFailed, test } from "vitest";
import { unless } from "../support/skipping.ts";
import { Cloud, UNIT } from "../support/machine/cloud.ts";
import { bake, type Builder, type Image, mountOver } from "../support/machine/image.ts";
import { install } from "../support/machine/package.ts";
import { must } from "../support/run.ts";
import { aWorld } from "../../sim/world.ts";
import { currentPackages } from "./repository.ts";
import { aptSystems, dnfSystem } from "../support/machine/roots.ts";
import { DPKG, HELPER, type Manager, RPM, stateOf, WANTED } from "./state.ts";

const world = aWorld();
const address = world.address();
const tags = { "allocation-id": address.allocationId };
const builderInstance = world.instance({ tags, metadataTags: true });
/** Launched from the images, one after the other, each to replace the one before. */
const instances = Array.from({ length: 4 }, () => world.instance({ tags, metadataTags: true }));

const debian = aptSystems().find(({ name }) => name === "bookworm") ?? aptSystems()[0];
const dnf = dnfSystem();
const withoutDebian = debian === undefined ? "no root with apt could be made" : undefined;
const withoutDnf = dnf === undefined ? "no root with dnf could be made" : undefined;

let cloud: Cloud;
let packages: { deb: string; rpm: string };

beforeAll(async () => {
  cloud = await Cloud.start(world);
  packages = await currentPackages();
});

afterAll(async () => {
  await cloud?.close();
});

test("the .deb, in a chroot", unless(withoutDebian), async () => {
  const image = await bake("deb-in-chroot", imageOf(debian), async (builder) => {
    await install(builder, packages.deb);
    await expectEnabled(builder);
    await cloud.trustIn(builder.root);
  });
  await expectFirstBootHeals(image, DPKG);
});

test("the .deb, on a builder that runs", unless(withoutDebian), async () => {
  const builder = await cloud.machine(builderInstance, imageOf(debian));
  await builder.start();
  await builder.waitRunning();
  const before = cloud.region.calls.length;
  await install(builder, packages.deb);
  expect(await stateOf(builder, cloud, DPKG)).toMatchObject({
    unit: "enabled",
    active: "inactive",
    left: [WANTED, ...HELPER].toSorted(),
  });
  // Not even after a while, and not when it is switched off.
  await builder.must(["systemctl", "daemon-reload"]);
  await cloud.trustIn(builder.root);
  // As every recipe does, so that instances do not take each other's.
  await builder.must(["truncate", "--size=0", "/etc/machine-id"]);
  await builder.powerOff();
  expect(cloud.region.calls.slice(before)).toEqual([]);
  const asked = cloud.region.imdsRequests.filter(
    ({ instanceId }) => instanceId === builderInstance.instanceId,
  );
  expect(asked).toEqual([]);

  // What is on its disk is the image.
  const upper = join(dirname(builder.root), "upper");
  await expectFirstBootHeals({ layers: [upper, ...imageOf(debian).layers] }, DPKG);
});

test("the .rpm, by dnf in a chroot", unless(withoutDnf), async () => {
  const image = await bake("rpm-in-chroot", imageOf(dnf), async (builder) => {
    await copyFile(packages.rpm, join(builder.root, "var/tmp/package.rpm"));
    await builder.must(["dnf", "--assumeyes", "install", "/var/tmp/package.rpm"]);
    await builder.must(["rm", "/var/tmp/package.rpm"]);
    await expectEnabled(builder);
    await cloud.trustIn(builder.root);
  });
  await expectFirstBootHeals(image, RPM);
});

test("the .rpm, by dnf --installroot from outside", unless(withoutDnf), async () => {
  const target = await mountOver(imageOf(dnf), "installroot");
  const outside = await bake("outside", imageOf(dnf), async (builder) => {
    await copyFile(packages.rpm, join(builder.root, "var/tmp/package.rpm"));
    const inside = join(builder.root, "target");
    await mkdir(inside);
    await must(["mount", "--bind", target.root, inside]);
    try {
      const options = ["--installroot=/target", "--releasever=1", "--assumeyes"];
      await builder.must(["dnf", ...options, "install", "/var/tmp/package.rpm"]);
    } finally {
      await must(["umount", inside]);
    }
  });
  expect(await must(["systemctl", `--root=${target.root}`, "is-enabled", UNIT])).toBe("enabled\n");
  await cloud.trustIn(target.root);
  await target.unmount();
  await expectFirstBootHeals({ layers: [target.upper, ...imageOf(dnf).layers] }, RPM);
  await outside.discard();
  await rm(dirname(target.upper), { recursive: true });
});

// --- internal ---

function imageOf(system: { readonly image: Image } | undefined): Image {
  if (system === undefined) throw new Error("this system is not there");
  return system.image;
}

/** Enabled, and nobody has been asked: nothing runs in a chroot. */
async function expectEnabled(builder: Builder): Promise<void> {
  const before = cloud.region.calls.length;
  expect(await builder.must(["systemctl", "is-enabled", UNIT])).toBe("enabled\n");
  expect(cloud.region.calls.length).toBe(before);
}

/** A new instance from the image comes up with the address, taken from the one before, in one call. */
async function expectFirstBootHeals(image: Image, manager: Manager): Promise<void> {
  onTestFailed(async () => {
    console.error(await cloud.story());
  });
  const instance = instances.shift();
  if (instance === undefined) throw new Error("one more instance is needed");
  const before = cloud.associations().length;
  const machine = await cloud.machine(instance, image);
  await machine.start();
  expect(await machine.waitRunning()).toBe("running");
  expect(await stateOf(machine, cloud, manager)).toMatchObject({
    unit: "enabled",
    active: "active",
    associations: before + 1,
  });
  expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(instance.instanceId);
  await machine.kill();
}
