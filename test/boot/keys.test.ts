/**
 * Keys of a user in place of an instance role, as the manual has it: in a file that root alone can read, which systemd gives
 * to the units by a drop-in for each. Each test goes on where the one before has left the machine.
 */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ADMIN } from "../../sim/credentials.ts";
import { aWorld } from "../../sim/world.ts";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import { Cloud, UNIT } from "../support/machine/cloud.ts";
import type { Machine } from "../support/machine/machine.ts";

const RECHECK = "eip-heal-recheck.service";
const FILE = "/etc/eip-heal.keys";
const KEYS = `AWS_ACCESS_KEY_ID=${ADMIN.accessKeyId}\nAWS_SECRET_ACCESS_KEY=${ADMIN.secretAccessKey}\n`;

const world = aWorld();
const address = world.address();
const older = world.instance();
const self = world.instance({
  tags: { "allocation-id": address.allocationId },
  role: null,
  metadataTags: true,
});

let cloud: Cloud;
let machine: Machine;

const writeKeys = async (root: string, keys: string) => {
  await writeFile(join(root, FILE), keys);
  await chmod(join(root, FILE), 0o600);
};

beforeAll(async () => {
  cloud = await Cloud.start(world);
  const ami = await cloud.bakeAmi(async ({ root }) => {
    await writeKeys(root, KEYS);
    for (const unit of [UNIT, RECHECK]) {
      const folder = join(root, `/etc/systemd/system/${unit}.d`);
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, "keys.conf"), `[Service]\nEnvironmentFile=${FILE}\n`);
    }
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

const holder = () => cloud.region.holder(address.allocationId)?.instanceId;

test("the boot heals with them", async () => {
  expect(await machine.show(UNIT, "ActiveState", "Result")).toEqual(["active", "success"]);
  expect(holder()).toBe(self.instanceId);
});

test("a recheck heals with them", async () => {
  cloud.move(address.allocationId, older);
  await machine.must(["systemctl", "start", RECHECK]);
  expect(holder()).toBe(self.instanceId);
});

test("nobody but root gets to see them", async () => {
  const journal = (await machine.journal("eip-heal*")).join("\n");
  expect(journal).toContain(address.allocationId);
  const shown = await machine.must(["systemctl", "show", UNIT, RECHECK]);
  expect(shown).toContain(FILE);
  for (const key of Object.values(ADMIN)) expect(`${journal}\n${shown}`).not.toContain(key);
  const asNobody = await machine.exec(["setpriv", "--reuid=65534", "--clear-groups", "cat", FILE]);
  expect(asNobody.status).not.toBe(0);
});

test("keys that are damaged are told by name and not by value", async () => {
  await writeKeys(machine.root, KEYS.replace(ADMIN.secretAccessKey, `"two words"`));
  await machine.exec(["systemctl", "restart", UNIT]);
  expect(await machine.show(UNIT, "ActiveState", "ExecMainStatus")).toEqual(["failed", "78"]);
  const journal = (await machine.journal(UNIT)).join("\n");
  expect(journal).toContain("AWS_SECRET_ACCESS_KEY holds a character that no key has");
  expect(journal).not.toContain("two words");
});

test("without them, and without a role, it says so", async () => {
  await writeKeys(machine.root, "");
  const { status, stderr } = await machine.exec(["eip-heal", "--deadline", "3s"]);
  expect(status).toBe(77);
  expect(stderr).toContain("no role");
});
