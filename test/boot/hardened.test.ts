/**
 * A hardened image: no service may have memory that is writable and executable, and the configuration of OpenSSL is
 * nothing that a Node as it is would start with. (What else images are hardened by is the kernel's, which containers
 * share: test/install/qemu.test.ts and selinux.test.ts.)
 */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import { Cloud, UNIT } from "../support/machine/cloud.ts";
import type { Machine } from "../support/machine/machine.ts";
import { RECHECK } from "../support/machine/rounds.ts";

const OPENSSL = "etc/ssl/openssl.cnf";
const MISTAKE = "[not closed\n";
/** A configuration whose section for Node activates a provider. */
const activating = (name: string, more = "") =>
  `nodejs_conf = node\n[node]\nproviders = all\n[all]\n${name} = one\n[one]\nactivate = 1\n${more}`;

const world = aWorld();
const address = world.address();
const tags = { "allocation-id": address.allocationId };
const older = world.instance({ tags });
const self = world.instance({ tags, metadataTags: true });
world.hold(address, older);

let cloud: Cloud;
let machine: Machine;

async function configureOpenssl(root: string, text: string, mode = 0o644): Promise<void> {
  await mkdir(join(root, "etc/ssl"), { recursive: true });
  await writeFile(join(root, OPENSSL), text);
  await chmod(join(root, OPENSSL), mode);
}

beforeAll(async () => {
  cloud = await Cloud.start(world);
  const ami = await cloud.bakeAmi(async ({ root }) => {
    const dropIns = join(root, "etc/systemd/system/service.d");
    await mkdir(dropIns, { recursive: true });
    await writeFile(join(dropIns, "hardened.conf"), "[Service]\nMemoryDenyWriteExecute=yes\n");
    await configureOpenssl(root, MISTAKE);
  });
  machine = await cloud.machine(self, ami);
  await machine.start();
  await machine.waitRunning();
});

afterAll(async () => {
  await cloud?.close();
});

stopAtFirstFailure();
tellOnFailure(() => cloud.story());

const isHere = () => cloud.region.holder(address.allocationId)?.instanceId === self.instanceId;

test("the boot heals, and the drop-in counts for every service", async () => {
  expect(await machine.show("systemd-networkd", "DropInPaths", "MemoryDenyWriteExecute")).toEqual([
    expect.stringContaining("/service.d/hardened.conf"),
    "yes",
  ]);
  expect(await machine.show(UNIT, "ActiveState", "Result", "NRestarts")).toEqual([
    "active",
    "success",
    "0",
  ]);
  expect(isHere()).toBe(true);
});

test.each([
  ["has a mistake in it", MISTAKE, 0o644],
  ["is root's alone", "", 0o600],
  ["activates the FIPS provider", activating("fips"), 0o644],
  [
    "activates a provider that is not there",
    activating("hsm", "module = /nonexistent/hsm.so\n"),
    0o644,
  ],
])("openssl.cnf %s: it heals, rechecks and looks", async (_, text, mode) => {
  await configureOpenssl(machine.root, text, mode);
  cloud.move(address.allocationId, older);
  await machine.must(["systemctl", "restart", UNIT]);
  expect(isHere()).toBe(true);
  cloud.free(address.allocationId);
  await machine.must(["systemctl", "start", RECHECK]);
  expect(isHere()).toBe(true);
  await machine.must(["eip-heal", "doctor"]);
});
