/** The arm64 .deb on an emulated arm64 machine: it is installed there, starts nothing, and heals at the next boots. */
import { existsSync } from "node:fs";
import { copyFile, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import { Cloud, CONF, UNIT } from "../support/machine/cloud.ts";
import { aWorld } from "../../sim/world.ts";
import { vmSystem } from "../support/machine/roots.ts";
import { DPKG, HELPER, stateOf, WANTED } from "./state.ts";
import { VirtualMachine, VM_TEST_MS } from "../support/machine/virtual-machine.ts";

const PROJECT = join(import.meta.dirname, "../..");
const PACKAGE = "/var/tmp/package.deb";
/** The settings by which it trusts EC2's certificate: added once the package has brought its own. */
const TRUST = "/etc/trust.conf";

const world = aWorld();
const address = world.address();
const tags = { "allocation-id": address.allocationId };
const older = world.instance({ tags });
const self = world.instance({ tags, metadataTags: true, autoPublicIp: true });

let cloud: Cloud;
let machine: VirtualMachine;

beforeAll(async () => {
  const { image, kernel, architecture } = vmSystem();
  const { version } = JSON.parse(await readFile(join(PROJECT, "package.json"), "utf8")) as {
    version: string;
  };
  const deb = join(PROJECT, `dist/eip-heal_${version}_${architecture}.deb`);
  if (!existsSync(deb)) throw new Error(`${deb} is missing: make packages-all builds it`);
  cloud = await Cloud.start(world);
  machine = await VirtualMachine.create(
    { ...(await cloud.reserve(self)), image, architecture, kernel },
    async (root) => {
      await copyFile(deb, join(root, PACKAGE));
      await cloud.trustIn(root);
      await rename(join(root, CONF), join(root, TRUST));
    },
  );
  await machine.start();
  expect(await machine.waitRunning()).toBe("running");
}, VM_TEST_MS);

afterAll(async () => {
  await machine?.discard();
  await cloud?.close();
});

stopAtFirstFailure();
tellOnFailure(async () => [...(await machine.journal(UNIT)), await machine.console()].join("\n"));

describe("an arm64 machine", { timeout: VM_TEST_MS }, () => {
  test("is one", async () => {
    expect(await machine.must(["uname", "-m"])).toBe("aarch64\n");
  });

  test("installing enables the unit, starts nothing and asks nobody", async () => {
    await machine.must(["apt-get", "install", "--yes", PACKAGE], { timeoutMs: VM_TEST_MS });
    expect(await stateOf(machine, cloud, DPKG)).toMatchObject({
      unit: "enabled",
      active: "inactive",
      associations: 0,
      left: [WANTED, ...HELPER].toSorted(),
    });
    expect(cloud.region.calls).toEqual([]);
    expect(cloud.region.imdsRequests).toEqual([]);
    expect(await machine.must(["eip-heal", "--version"])).toMatch(/^eip-heal \d/);
  });

  test("a reboot heals", async () => {
    await machine.sh(`cat ${TRUST} >>${CONF}`);
    await machine.reboot();
    expect(await machine.waitRunning()).toBe("running");
    expect(await stateOf(machine, cloud, DPKG)).toMatchObject({
      unit: "enabled",
      active: "active",
      associations: 1,
    });
    expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
    expect(await machine.show(UNIT, "Result", "InactiveEnterTimestampMonotonic")).toEqual([
      "success",
      "0",
    ]);
  });

  test("a restart takes the address back from an older instance", async () => {
    cloud.move(address.allocationId, older);
    await machine.must(["systemctl", "restart", UNIT]);
    expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
    expect(cloud.region.bugs).toEqual([]);
  });
});
