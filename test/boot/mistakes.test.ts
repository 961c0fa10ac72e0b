/**
 * Mistakes that show only on a machine: what the unit and doctor say first, and that the cure, pasted, heals this instance
 * and the next one of its group, whose image has had the same. Each test goes on where the one before has left the machine.
 */
import { appendFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import { Cloud, CONF, EC2_ADDRESS, UNIT } from "../support/machine/cloud.ts";
import type { Machine } from "../support/machine/machine.ts";
import {
  CONFIRM,
  confirmAfter,
  quickenRechecks,
  retryAfter,
  TIMER,
} from "../support/machine/rounds.ts";
import { eventually } from "../support/run.ts";

interface Check {
  readonly id: string;
  readonly mark: string;
  readonly found: string;
  readonly cure?: string;
  readonly commands?: readonly string[];
}

interface Checkup {
  readonly healthy: boolean;
  readonly exitStatus: number;
  readonly first?: string;
  readonly message: string;
  readonly checks: readonly Check[];
}

const world = aWorld();
const address = world.address();
const tags = { "allocation-id": address.allocationId };
const inGroup = { tags, metadataTags: true, autoPublicIp: true };
const self = world.instance(inGroup);
/** Launched an hour later. */
const launched = world.instance(inGroup);
/** What makes it heal in this group: commands that were pasted, and lines of the settings file. */
const cures = { commands: new Array<string>(), settings: new Array<string>() };

let cloud: Cloud;
let machine: Machine;
const holder = () => cloud.region.holder(address.allocationId)?.instanceId;
const isHere = () => holder() === self.instanceId;

beforeAll(async () => {
  cloud = await Cloud.start(world);
  const ami = await cloud.bakeAmi(async ({ root }) => {
    await quickenRechecks(root);
    await confirmAfter(root, "1s");
  });
  machine = await cloud.machine(self, ami);
  await machine.start();
  await machine.waitUnit(UNIT);
});

afterAll(async () => {
  await cloud?.close();
});

stopAtFirstFailure();
tellOnFailure(() => cloud.story());

test("the timer was forgotten, and the address is moved away: who is asked says so, and the cure brings it back", async () => {
  await eventually("the recheck after the heal is over", async () => {
    const [state] = await machine.show(CONFIRM, "SubState");
    return state === "elapsed";
  });
  cloud.free(address.allocationId);
  expect(await machine.show(UNIT, "ActiveState")).toEqual(["active"]);

  const checkup = await doctor();
  expect(checkup).toMatchObject({ healthy: true, exitStatus: 0 });
  expect(checkup.message).toMatch(/; 1 warning$/);
  const check = checkOf(checkup, "holder");
  expect(check).toMatchObject({ mark: "warning", commands: [`systemctl enable --now ${TIMER}`] });
  expect(check.found).toMatch(/, and no unit starts one before the next boot$/);
  const status = await machine.exec(["eip-heal", "status"]);
  expect(status.status).toBe(75);
  expect(status.stdout).toMatch(/^next recheck: none, the timer is off$/m);

  expect(check.cure).toMatch(
    /the recheck timer: enable it here, and in the image for the instances/,
  );
  await paste(check);
  await eventually("the address is back", isHere);
  expect(checkOf(await doctor(), "holder").mark).toBe("ok");
  await machine.must(["systemctl", "disable", "--quiet", "--now", TIMER]);
});

test("the interface by the name that this machine has for it", async () => {
  // The container's /sys is that of the network outside of it.
  await machine.sh(
    `mount -t tmpfs tmpfs /sys/class/net; mkdir /sys/class/net/ens5; echo ${self.mac} >/sys/class/net/ens5/address`,
  );
  const before = await conf();
  await writeConf(`${before}EIP_HEAL_INTERFACE=ens5\n`);
  expect((await machine.exec(["systemctl", "restart", UNIT])).status).not.toBe(0);
  const said = (await machine.said(UNIT)).at(-1);
  expect(said).toMatch(
    /^FAILED \(78\): EIP_HEAL_INTERFACE in \S+ is "ens5"; did you mean ([0-9a-f:]{17}), the MAC address of ens5/,
  );
  const checkup = await doctor();
  expect(checkup.first).toBe("settings");
  const cure = checkOf(checkup, "settings").cure ?? "";
  const [, mac = ""] = /^set it to what is accepted: ([0-9a-f:]{17}), the MAC/.exec(cure) ?? [];
  expect(mac).toBe(self.mac);
  // The next instance has another MAC address, and an interface 0 as well.
  expect(cure).toContain("0 is the primary interface on every one");
  for (const value of [mac, "0"]) {
    await writeConf(`${before}EIP_HEAL_INTERFACE=${value}\n`);
    await machine.must(["systemctl", "restart", UNIT]);
    expect(isHere()).toBe(true);
  }
  await writeConf(before);
  cures.settings.push("EIP_HEAL_INTERFACE=0");
});

test("no way out: named first, by the unit and by doctor, and healed once there is one", async () => {
  await machine.must(["ip", "route", "add", "unreachable", `${EC2_ADDRESS}/32`]);
  const failed = await machine.exec(["eip-heal", "--deadline", "5s"]);
  expect(failed.status).toBe(75);
  const [first, ...more] = failed.stderr.split("\n").filter((line) => line !== "");
  expect(first).toMatch(/^EC2: no route to it \(EHOSTUNREACH\) /);
  expect(more.at(-1)).toMatch(/^FAILED \(75\): EC2: no route to it .*; run: eip-heal doctor$/);
  const checkup = await doctor();
  expect(checkup).toMatchObject({ healthy: false, exitStatus: 75, first: "route" });
  expect(checkOf(checkup, "route").cure).toMatch(/the route table of the subnet pass HTTPS/);

  await machine.must(["ip", "route", "del", "unreachable", `${EC2_ADDRESS}/32`]);
  expect((await machine.exec(["eip-heal"])).status).toBe(0);
});

test("a result that nobody can read: status says so, and its cure replaces it", async () => {
  await machine.sh("printf '{' >/run/eip-heal/result.json");
  const [, because = ""] =
    /^last run: (.*)$/m.exec((await machine.exec(["eip-heal", "status"])).stdout) ?? [];
  expect(because).toMatch(/^\S+result\.json is of another version, or cannot be read; /);
  const [, command = ""] = /: sudo (.+)$/.exec(because) ?? [];
  await machine.sh(command);
  expect((await machine.exec(["eip-heal", "status"])).stdout).toMatch(/^last run: .* ago: /m);
  expect(isHere()).toBe(true);
});

test("too little memory: who is asked says that the run was ended, since it could not", async () => {
  const dropIn = join(machine.root, `etc/systemd/system/${UNIT}.d/memory.conf`);
  await mkdir(dirname(dropIn), { recursive: true });
  // Node does not start with it. systemd-nspawn takes no notice of MemoryMax=.
  await writeFile(dropIn, "[Service]\nLimitAS=300M\n");
  await machine.must(["systemctl", "daemon-reload"]);
  expect((await machine.exec(["systemctl", "restart", UNIT])).status).not.toBe(0);

  const ended = "ended by signal 5 (SIGTRAP, as by Node if it has too little memory)";
  const { stdout } = await machine.exec(["eip-heal", "status"]);
  expect(stdout).toMatch(/^last result: .* ago: /m);
  expect(stdout).toContain(`the last run of ${UNIT} was ${ended}`);
  const json = (await machine.exec(["eip-heal", "status", "--json"])).stdout;
  expect(JSON.parse(json)).toMatchObject({ here: true, ended });
  const check = checkOf(await doctor(), "unit");
  expect(check).toMatchObject({ mark: "warning", found: expect.stringContaining(ended) });
  expect(check.cure).toMatch(/^is the memory of this instance used up, or limited/);

  await rm(dropIn);
  await machine.must(["systemctl", "daemon-reload"]);
  await machine.must(["systemctl", "restart", UNIT]);
  expect((await machine.exec(["eip-heal", "status"])).stdout).not.toContain("was ended");
});

test("the unit is disabled: the boot heals nothing and says nothing, and doctor does", async () => {
  await machine.must(["systemctl", "disable", "--quiet", UNIT]);
  await machine.reboot();
  await machine.waitRunning();
  expect(await machine.said(UNIT)).toEqual([]);
  cloud.free(address.allocationId);
  const status = await machine.exec(["eip-heal", "status"]);
  expect(status.stdout).toMatch(/^last run: none since boot$/m);

  const checkup = await doctor();
  expect(checkup).toMatchObject({ healthy: true, exitStatus: 0 });
  const odd = checkup.checks.find(({ mark }) => mark !== "ok");
  expect(odd).toMatchObject({
    id: "unit",
    mark: "warning",
    found: expect.stringMatching(/is disabled, so that nothing heals at boot;/) as unknown,
    cure: "enable it here, and in the image for the instances to come",
  });
  if (odd !== undefined) await paste(odd);
  await machine.reboot();
  await machine.waitUnit(UNIT);
  expect(isHere()).toBe(true);
});

test("an agent that is not root: the file is not for it, and status prints the same", async () => {
  const asNobody = (...argv: string[]) => machine.exec(["setpriv", "--reuid=nobody", ...argv]);
  expect((await asNobody("cat", "/run/eip-heal/result.json")).stderr).toMatch(/Permission denied/);
  const { status, stdout } = await asNobody("eip-heal", "status", "--json");
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ here: true, instanceId: self.instanceId });
});

test("the next instance, whose image had the same mistakes and the same cures, heals as soon as there is a way out", async () => {
  const ami = await cloud.bakeAmi(async (builder) => {
    await quickenRechecks(builder.root);
    await retryAfter(builder.root, "3s");
    await builder.must(["systemctl", "disable", "--quiet", UNIT]);
    // Nothing is started in an image.
    for (const command of cures.commands)
      await builder.must(["sh", "-euc", command.replace(" --now", "")]);
    const lines = ["EIP_HEAL_DEADLINE=5s", ...cures.settings].map((line) => `${line}\n`);
    await appendFile(join(builder.root, CONF), lines.join(""));
  });
  const next = await cloud.machine(launched, ami);
  await cloud.reachable(EC2_ADDRESS, false);
  await next.start();
  await next.waitUnit(UNIT, "failed");
  const [first] = await next.said(UNIT);
  // Whichever is over first, the time for a connection or the kernel's for an answer on the link.
  expect(first).toMatch(/^(?:no connection to EC2 within 3 s|EC2: no route to it) /);
  expect(isHere()).toBe(true);

  await cloud.reachable(EC2_ADDRESS, true);
  await next.waitUnit(UNIT);
  expect(holder()).toBe(launched.instanceId);
  // And its timer is on: what is moved away comes back.
  cloud.free(address.allocationId);
  await eventually("the address is back", () => holder() === launched.instanceId);
});

/** Runs the commands of a cure, which the next image gets as well. */
async function paste({ commands = [] }: Check): Promise<void> {
  expect(commands).not.toEqual([]);
  for (const command of commands) await machine.sh(command);
  cures.commands.push(...commands);
}

async function doctor(): Promise<Checkup> {
  return JSON.parse((await machine.exec(["eip-heal", "doctor", "--json"])).stdout) as Checkup;
}

function checkOf({ checks }: Checkup, id: string): Check {
  const check = checks.find((one) => one.id === id);
  if (check === undefined) throw new Error(`there is no check ${id}`);
  return check;
}

const conf = () => readFile(join(machine.root, CONF), "utf8");
const writeConf = (text: string) => writeFile(join(machine.root, CONF), text);
