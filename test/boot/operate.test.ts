/**
 * docs/operate.md, followed on two machines: the commands are those of that page, and do what it says. Each test goes on
 * where the one before has left the machines.
 */
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { allow } from "../../sim/iam.ts";
import { aWorld } from "../../sim/world.ts";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import { Cloud, UNIT } from "../support/machine/cloud.ts";
import type { Machine } from "../support/machine/machine.ts";
import { builtPackage, install, packageAs } from "../support/machine/package.ts";
import { place } from "../support/machine/place.ts";
import { CONFIRM, RETRY, TIMER } from "../support/machine/rounds.ts";

const PAGE = readFileSync(resolve(import.meta.dirname, "../../docs/operate.md"), "utf8");
/** A service that requires the address. */
const APP = "my-server.service";
const APP_UNIT = `[Unit]
Requires=${UNIT}
After=${UNIT} multi-user.target
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target ${UNIT}
`;

const world = aWorld();
world.role("releaser", allow(["ec2:*"]));
const address = world.address();
const tags = { "allocation-id": address.allocationId };
/** Launched an hour after each other. */
const older = world.instance({ tags, metadataTags: true });
const newer = world.instance({ tags, metadataTags: true });

let cloud: Cloud;
let oldOne: Machine;
let newOne: Machine;
const holder = () => cloud.region.holder(address.allocationId)?.instanceId;

beforeAll(async () => {
  cloud = await Cloud.start(world);
  const ami = await cloud.bakeAmi(async (builder) => {
    await writeFile(join(builder.root, "etc/systemd/system", APP), APP_UNIT);
    await builder.must(["systemctl", "enable", "--quiet", APP]);
  });
  oldOne = await cloud.machine(older, ami);
  newOne = await cloud.machine(newer, ami);
  await oldOne.start();
  await oldOne.waitUnit(APP);
  await newOne.start();
  await newOne.waitUnit(APP);
  await newOne.must(["systemctl", "enable", "--quiet", "--now", TIMER]);
});

afterAll(async () => {
  await cloud?.close();
});

stopAtFirstFailure();
tellOnFailure(() => cloud.story());

test("the old instance has associated the address since its boot, and yields", async () => {
  expect(cloud.associations().length).toBeGreaterThanOrEqual(2);
  expect(holder()).toBe(newer.instanceId);
  expect((await oldOne.exec(["eip-heal"])).status).toBe(69);
});

test("keep it there: nothing heals on the new one any more", async () => {
  await asRoot(newOne, "systemctl disable --now eip-heal.service eip-heal-recheck.timer");
  for (const timer of [RETRY, CONFIRM, TIMER])
    expect(await newOne.show(timer, "ActiveState"), timer).toEqual(["inactive"]);
  expect(await newOne.show(APP, "ActiveState")).toEqual(["inactive"]);
  expect(holder()).toBe(newer.instanceId);
});

test("emergency: the old one takes it, and its services go on", async () => {
  const before = await startOf(oldOne, APP);
  // Asked for in the settings it is not an order: retries and rechecks of two machines would go on for ever.
  const setting = await oldOne.exec(["env", "EIP_HEAL_TAKEOVER=always", "eip-heal"]);
  expect(setting.status).toBe(69);
  const { stderr } = await asRoot(oldOne, "eip-heal --takeover always");
  expect(stderr).toMatch(/^associated eipalloc-.* taken from i-\w+, 1 try, [\d.]+ s$/m);
  expect(holder()).toBe(older.instanceId);
  expect(await startOf(oldOne, APP)).toBe(before);
});

test("it stays there when the new one is rebooted, until that heals again", async () => {
  await newOne.reboot();
  await newOne.waitRunning();
  // The service that requires the unit starts it, enabled or not.
  expect(holder()).toBe(newer.instanceId);
  await newOne.must(["systemctl", "disable", "--quiet", APP]);
  await asRoot(newOne, "systemctl disable --now eip-heal.service eip-heal-recheck.timer");
  await asRoot(oldOne, "eip-heal --takeover always");
  await newOne.reboot();
  await newOne.waitRunning();
  expect(holder()).toBe(older.instanceId);
  await newOne.must(["systemctl", "enable", "--quiet", APP]);
  await asRoot(newOne, "systemctl enable --now eip-heal.service");
  expect(holder()).toBe(newer.instanceId);
});

test("an instance in standby leaves the address alone", async () => {
  cloud.region.region.setLifecycle(newer.instanceId, "Standby");
  await asRoot(oldOne, "eip-heal --takeover always");
  const { stderr } = await newOne.exec(["eip-heal"]);
  const [line = "no such line"] = /^nothing to do: .*Standby\)/m.exec(stderr) ?? [];
  expect(PAGE).toContain(`    ${line}`);
  await newOne.reboot();
  await newOne.waitUnit(UNIT);
  expect(holder()).toBe(older.instanceId);
  cloud.region.region.setLifecycle(newer.instanceId, "InService");
});

test("a planned move to the newer one is a heal, and nobody is without the address in between", async () => {
  const before = cloud.region.calls.length;
  await asRoot(newOne, "eip-heal");
  expect(holder()).toBe(newer.instanceId);
  const actions = cloud.region.calls.slice(before).map(({ action }) => action);
  expect(actions).not.toContain("DisassociateAddress");
});

test("what each command does to services that require the address", async () => {
  await newOne.must(["systemctl", "restart", UNIT]);
  await newOne.waitUnit(APP);
  const started = await startOf(newOne, APP);
  for (const command of ["sudo eip-heal", "systemctl start eip-heal-recheck.service"]) {
    expect(PAGE).toContain(`| \`${command}\``);
    await newOne.sh(command.replace("sudo ", ""));
    expect(await startOf(newOne, APP), command).toBe(started);
  }
  await newOne.must(["systemctl", "restart", UNIT]);
  await newOne.waitUnit(APP);
  expect(await startOf(newOne, APP)).not.toBe(started);
  await newOne.must(["systemctl", "stop", UNIT]);
  expect(await newOne.show(APP, "ActiveState")).toEqual(["inactive"]);
  expect(holder()).toBe(newer.instanceId);
  await newOne.must(["systemctl", "start", UNIT]);
});

test("a release needs its permission, and is then obeyed", async () => {
  // Its rechecks would take what nobody has.
  await oldOne.powerOff();
  expect((await newOne.exec(["eip-heal", "release"])).status).toBe(77);
  expect(holder()).toBe(newer.instanceId);
  cloud.region.region.setRole(newer.instanceId, "releaser");
  await newOne.waitUnit(APP);
  await asRoot(newOne, "eip-heal release");
  expect(holder()).toBeUndefined();
  expect(await newOne.show(APP, "ActiveState")).toEqual(["active"]);
  await newOne.must(["systemctl", "start", "eip-heal-recheck.service"]);
  expect(holder()).toBeUndefined();
  await asRoot(newOne, "eip-heal");
  expect(holder()).toBe(newer.instanceId);
});

test("an upgrade, and a step back, restart nothing", async () => {
  const folder = join(place().scratch, "tmp");
  const before = [await startOf(newOne, UNIT), await startOf(newOne, APP)];
  await install(newOne, await packageAs(await builtPackage(), "9.0.0", folder));
  expect([await startOf(newOne, UNIT), await startOf(newOne, APP)]).toEqual(before);
  const version = (await newOne.must(["eip-heal", "version"])).trim().replace("eip-heal ", "");
  const deb = await packageAs(await builtPackage(), version, folder);
  await newOne.copyIn(deb, "/var/tmp/old.deb");
  await newOne.must(["apt-get", "install", "--yes", "--allow-downgrades", "/var/tmp/old.deb"]);
  expect([await startOf(newOne, UNIT), await startOf(newOne, APP)]).toEqual(before);
  expect(holder()).toBe(newer.instanceId);
});

test("uninstalled, the address stays, and what required the unit is stopped", async () => {
  await newOne.must(["apt-get", "remove", "--yes", "eip-heal"]);
  expect(holder()).toBe(newer.instanceId);
  expect(await newOne.show(APP, "ActiveState")).toEqual(["inactive"]);
  expect(await newOne.must(["ls", "/etc/eip-heal.conf"])).toBe("/etc/eip-heal.conf\n");
  expect(cloud.region.bugs).toEqual([]);
});

/** Runs a command of the page, which shows it with sudo. */
async function asRoot(machine: Machine, command: string) {
  expect(PAGE).toContain(`    $ sudo ${command}\n`);
  const result = await machine.exec(["sh", "-c", command]);
  expect(result.status, result.stderr).toBe(0);
  return result;
}

/** When a unit has last become active. */
async function startOf(machine: Machine, unit: string): Promise<string | undefined> {
  return (await machine.show(unit, "ActiveEnterTimestampMonotonic"))[0];
}
