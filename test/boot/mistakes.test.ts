/**
 * Mistakes that show only on a machine: what the unit and doctor say first, and that the cure, pasted, heals. Each test goes
 * on where the one before has left the machine.
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import { Cloud, CONF, EC2_ADDRESS, UNIT } from "../support/machine/cloud.ts";
import type { Machine } from "../support/machine/machine.ts";
import { CONFIRM, confirmAfter, quickenRechecks, TIMER } from "../support/machine/rounds.ts";
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
const self = world.instance({ tags, metadataTags: true, autoPublicIp: true });

let cloud: Cloud;
let machine: Machine;
const isHere = () => cloud.region.holder(address.allocationId)?.instanceId === self.instanceId;

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
  const holder = checkOf(checkup, "holder");
  expect(holder).toMatchObject({ mark: "warning", commands: [`systemctl enable --now ${TIMER}`] });
  expect(holder.found).toMatch(/, and no unit starts one before the next boot$/);
  const status = await machine.exec(["eip-heal", "status"]);
  expect(status.status).toBe(75);
  expect(status.stdout).toMatch(/^next recheck: none, the timer is off$/m);

  await machine.sh(holder.commands?.join("\n") ?? "");
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
