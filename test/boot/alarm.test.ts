/**
 * The recipe of docs/monitoring.md as it stands in examples/monitoring, on a real systemd: somebody is told of a machine
 * without its address, once, however often it is tried again. Each test goes on where the one before has left the
 * machine.
 */
import { appendFile, chmod, copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { allow } from "../../sim/iam.ts";
import { aWorld } from "../../sim/world.ts";
import { Cloud, CONF, UNIT } from "../support/machine/cloud.ts";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import type { Builder } from "../support/machine/image.ts";
import type { Machine } from "../support/machine/machine.ts";
import { retryAfter } from "../support/machine/rounds.ts";
import { eventually } from "../support/run.ts";

const RECIPE = resolve(import.meta.dirname, "../../examples/monitoring");
const ALARM = "eip-heal-alarm.service";
const METRICS = "eip-heal-textfile.service";
const COLLECTED = "/var/lib/prometheus/node-exporter";
/** A service that requires the address, as docs/operate.md has it, and has the same alarm. */
const APP = "my-server.service";
const APP_UNIT = `[Unit]
Requires=${UNIT}
After=${UNIT} multi-user.target
OnFailure=${ALARM}
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target ${UNIT}
`;

const world = aWorld();
world.role("look", allow(["ec2:DescribeInstances", "ec2:DescribeAddresses"]));
const address = world.address();
const tags = { "allocation-id": address.allocationId };
const self = world.instance({ tags, metadataTags: true, role: "look" });
const newer = world.instance({ tags });

let cloud: Cloud;
let machine: Machine;

beforeAll(async () => {
  cloud = await Cloud.start(world);
  machine = await cloud.machine(self, await cloud.bakeAmi(prepare));
});

afterAll(async () => {
  await cloud?.close();
});

stopAtFirstFailure();
tellOnFailure(() => cloud.story());

test("ten tries that fail alike page once, though a service that requires the address fails with them", async () => {
  await machine.start();
  await triedAgain(10);
  await alarmAtRest();
  const [page, ...more] = await pages();
  expect(more).toEqual([]);
  expect(page).toMatch(/^ip-\S+ is without its Elastic IP: FAILED \(77\): .*ec2:AssociateAddress/);
});

test("another cause is told at once, and once", async () => {
  cloud.region.region.tag(self.instanceId, { "allocation-id": "eipassoc-0123456789abcdef0" });
  await triedAgain(3);
  await alarmAtRest();
  const [, page, ...more] = await pages();
  expect(more).toEqual([]);
  expect(page).toMatch(
    /^ip-\S+ is without its Elastic IP: FAILED \(78\): .*eipassoc-0123456789abcdef0/,
  );
});

test("the same one is told again when the hour is over", async () => {
  await machine.sh("touch --date=-61min /run/eip-heal-alarm/*");
  await triedAgain(3);
  await alarmAtRest();
  expect((await pages()).map(statusOf)).toEqual(["77", "78", "78"]);
});

test("what could not be told is told with the next try", async () => {
  await machine.sh("touch /run/no-way-out; rm /run/eip-heal-alarm/*");
  await triedAgain(2);
  expect(await pages()).toHaveLength(3);
  await machine.must(["rm", "/run/no-way-out"]);
  await eventually("it is told", async () => (await pages()).length === 4);
});

test("a newer instance that has the address (69) pages nobody", async () => {
  cloud.region.region.tag(self.instanceId, tags);
  cloud.region.region.setRole(self.instanceId, "full");
  cloud.move(address.allocationId, newer);
  await eventually("it has yielded", async () => (await statuses()).at(-1) === "69");
  const before = (await pages()).length;
  await machine.sh("rm -f /run/eip-heal-alarm/*");
  await triedAgain(3);
  await alarmAtRest();
  expect(await statuses()).toContain("69");
  expect(await pages()).toHaveLength(before);
});

test("a run that is under way pages nobody", async () => {
  const silence = cloud.region.faults.add({
    service: "ec2",
    instanceId: self.instanceId,
    effect: { do: "hang-up" },
  });
  await machine.sh(`sed -i 's/^EIP_HEAL_DEADLINE=.*/EIP_HEAL_DEADLINE=1h/' ${CONF}`);
  await eventually(
    "a run is under way",
    async () => (await machine.show(UNIT, "ActiveState"))[0] === "activating",
  );
  const before = (await pages()).length;
  await machine.must(["systemctl", "start", ALARM]);
  expect(await machine.show(UNIT, "ActiveState")).toEqual(["activating"]);
  expect(await pages()).toHaveLength(before);
  cloud.region.faults.clear(silence);
});

test("metrics say what is so", async () => {
  await machine.must(["systemctl", "start", METRICS]);
  expect(await metrics()).toEqual({
    eip_heal_address_here: "0",
    eip_heal_exit_status: "69",
    eip_heal_last_run_exit_status: expect.any(String) as string,
  });
  cloud.region.region.terminate(newer.instanceId);
  cloud.region.region.terminated(newer.instanceId);
  await machine.sh(`systemctl restart ${UNIT}`);
  await machine.must(["systemctl", "start", METRICS]);
  expect(await metrics()).toEqual({
    eip_heal_address_here: "1",
    eip_heal_exit_status: "0",
    eip_heal_last_run_exit_status: "0",
  });
  // Nothing is left of half a file.
  expect(await machine.must(["ls", "-A", COLLECTED])).toBe("eip-heal.prom\n");
  await machine.waitUnit(APP);
  expect(cloud.region.bugs).toEqual([]);
});

/** Resolves when so many runs that begin from now on have ended. */
async function triedAgain(times: number): Promise<void> {
  const begun = (await notes()).filter((note) => note === "begin").length;
  await eventually(
    `it has been tried ${times} times`,
    async () => (await statuses()).length >= begun + times,
    { withinMs: 180_000 },
  );
}

/** The exit status of each run that has ended. */
async function statuses(): Promise<string[]> {
  return (await notes()).filter((note) => note !== "begin");
}

/** A "begin" and an exit status for each run. */
async function notes(): Promise<string[]> {
  return await linesOf("var/lib/tries");
}

/** What somebody was told, page by page. */
async function pages(): Promise<string[]> {
  return await linesOf("var/lib/pages");
}

/** Those of a file on its disk, which may not be there yet. */
async function linesOf(path: string): Promise<string[]> {
  const text = await readFile(join(machine.root, path), "utf8").catch(() => "");
  return text.split("\n").slice(0, -1);
}

const statusOf = (page: string) => /FAILED \((\d+)\)/.exec(page)?.[1];

/** Resolves when no alarm is about to be given. */
async function alarmAtRest(): Promise<void> {
  await eventually("the alarm is at rest", async () => {
    const [state, job] = await machine.show(ALARM, "ActiveState", "Job");
    return state === "inactive" && !job;
  });
}

async function metrics(): Promise<Record<string, string>> {
  const text = await machine.must(["cat", `${COLLECTED}/eip-heal.prom`]);
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return Object.fromEntries(lines.map((line) => line.split(" ") as [string, string]));
}

/** As docs/monitoring.md says; only the command that pages is another one, and the minute between two tries is short. */
async function prepare(builder: Builder): Promise<void> {
  const root = (path: string) => join(builder.root, path);
  const put = async (name: string, path: string, mode = 0o644) => {
    await mkdir(dirname(root(path)), { recursive: true });
    await copyFile(join(RECIPE, name), root(path));
    await chmod(root(path), mode);
  };
  await put("eip-heal-alarm", "/usr/local/sbin/eip-heal-alarm", 0o755);
  await put("eip-heal-textfile", "/usr/local/sbin/eip-heal-textfile", 0o755);
  await put(ALARM, `/etc/systemd/system/${ALARM}`);
  await put(METRICS, `/etc/systemd/system/${METRICS}`);
  await put("on-failure.conf", `/etc/systemd/system/${UNIT}.d/on-failure.conf`);
  await mkdir(root(COLLECTED), { recursive: true });

  const page = "/usr/local/sbin/page";
  await writeFile(root(page), "#!/bin/sh\ntest ! -e /run/no-way-out && cat >>/var/lib/pages\n");
  await chmod(root(page), 0o755);
  const folder = root(`/etc/systemd/system/${ALARM}.d`);
  await mkdir(folder, { recursive: true });
  await writeFile(
    join(folder, "page.conf"),
    `[Service]\nExecStart=\nExecStart=/usr/local/sbin/eip-heal-alarm ${page}\n`,
  );

  // What is lacking is not waited for.
  await appendFile(root(CONF), "EIP_HEAL_DEADLINE=5s\n");
  await retryAfter(builder.root, "2s");
  const note = (what: string) => `+/bin/sh -c 'echo ${what} >>/var/lib/tries'`;
  await writeFile(
    root(`/etc/systemd/system/${UNIT}.d/notes.conf`),
    `[Service]\nExecStartPre=${note("begin")}\nExecStopPost=${note('"$EXIT_STATUS"')}\n`,
  );
  await writeFile(root(`/etc/systemd/system/${APP}`), APP_UNIT);
  await builder.must(["systemctl", "enable", "--quiet", APP]);
}
