/**
 * The one recheck after each success, on a real systemd: it comes once, heals what has moved meanwhile, and its timer
 * lives and ends with the unit. Each test goes on where the one before has left the machine.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { Cloud, UNIT } from "../support/machine/cloud.ts";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import type { Machine } from "../support/machine/machine.ts";
import {
  CONFIRM,
  confirmAfter,
  quickenRechecks,
  RECHECK,
  retryAfter,
  rounds,
} from "../support/machine/rounds.ts";
import { eventually } from "../support/run.ts";

/** Instead of 90 s: so that it comes soon, and so that it does not come during a test, however slow. */
const SOON = "2s";
const LATE = "1h";
/** For as long as this file is there a recheck is held up before it begins. */
const GATE = "/run/gate";
const HELD_UP = `[Service]
ExecStartPre=+/bin/sh -c 'while test -e ${GATE}; do sleep 0.1; done'
`;

const world = aWorld();
const address = world.address();
const tags = { "allocation-id": address.allocationId };
/** Launched one after the other, an hour apart. */
const older = world.instance({ tags });
const self = world.instance({ tags, metadataTags: true });
const newer = world.instance({ tags });

let cloud: Cloud;
let machine: Machine;

beforeAll(async () => {
  cloud = await Cloud.start(world);
  const ami = await cloud.bakeAmi(async (builder) => {
    // For the notes: the timer of every minute stays disabled.
    await quickenRechecks(builder.root);
    const dropIns = join(builder.root, `etc/systemd/system/${RECHECK}.d`);
    await mkdir(dropIns, { recursive: true });
    await writeFile(join(dropIns, "held-up.conf"), HELD_UP);
  });
  machine = await cloud.machine(self, ami);
});

afterAll(async () => {
  await cloud?.close();
});

stopAtFirstFailure();
tellOnFailure(() => cloud.story());

const holder = () => cloud.region.holder(address.allocationId)?.instanceId;

test("a boot that heals arms it for 90 s later, without an ordering cycle", async () => {
  await machine.start();
  expect(await machine.waitRunning()).toBe("running");
  expect(holder()).toBe(self.instanceId);
  await machine.waitUnit(CONFIRM);

  const seen = await machine.show(CONFIRM, "ActiveState", "UnitFileState", "TimersMonotonic");
  expect(seen).toEqual(["active", "static", expect.stringContaining("OnActiveUSec=1min 30s")]);
  expect(await armedAt()).toBeGreaterThanOrEqual(await settledAt());
  // In a container systemd speaks of the start itself on the console only.
  const said = machine.console + (await machine.must(["journalctl", "--boot", "--no-pager"]));
  expect(said).not.toMatch(/ordering cycle|deleted to break/i);
  for (const unit of [CONFIRM, UNIT, RECHECK]) {
    expect(await machine.exec(["systemd-analyze", "verify", "--man=no", unit]), unit).toEqual({
      status: 0,
      stdout: "",
      stderr: "",
    });
  }
});

test("a restart arms it anew, and status tells when it is due", async () => {
  await setTime(LATE);
  const before = await armedAt();
  await restart();
  await expectArmed();
  expect(await armedAt()).toBeGreaterThan(before);
  expect(await armedAt()).toBeGreaterThanOrEqual(await settledAt());

  const { recheckInMs } = JSON.parse(await machine.must(["eip-heal", "status", "--json"])) as {
    recheckInMs: number;
  };
  // Not the timer of every minute, which is off.
  expect(recheckInMs).toBeGreaterThan(90_000);
  expect(recheckInMs).toBeLessThanOrEqual(3_600_000);
});

test("a stop of the unit ends it, and so does its disable", async () => {
  const before = await rounds(machine);
  await machine.must(["systemctl", "stop", UNIT]);
  await expectOff();

  await machine.must(["systemctl", "start", UNIT]);
  await expectArmed();
  await machine.must(["systemctl", "disable", "--quiet", "--now", UNIT]);
  await expectOff();

  await machine.must(["systemctl", "enable", "--quiet", "--now", UNIT]);
  await expectArmed();
  expect(await rounds(machine)).toEqual(before);
});

test("after a success comes one recheck and no second; it asks EC2 nothing when all is well", async () => {
  await setTime(SOON);
  await expectOneRecheck(() => {}, { asks: false });
  expect(await machine.said(RECHECK)).toEqual([]);
  expect(await machine.must(["eip-heal", "status"])).toMatch(
    /^next recheck: none, the timer is off$/m,
  );
});

test("when the address has been moved away meanwhile, that one brings it back", async () => {
  const before = cloud.associations().length;
  await expectOneRecheck(
    () => {
      cloud.move(address.allocationId, older);
    },
    { asks: true },
  );
  expect(holder()).toBe(self.instanceId);
  expect(cloud.associations().length).toBe(before + 1);
  const [found, healed] = (await machine.said(RECHECK)).slice(-2);
  expect(found).toContain(`${address.publicIp} was verified here, and instance metadata shows`);
  expect(healed).toContain(`taken from ${older.instanceId} (running)`);
});

test("a heal that fails leaves it inactive, and a later try that succeeds arms it", async () => {
  await setTime(LATE);
  await restart();
  await expectArmed();
  const before = await rounds(machine);

  // For good: a newer instance has it.
  cloud.move(address.allocationId, newer);
  expect((await machine.exec(["systemctl", "restart", UNIT])).status).not.toBe(0);
  expect(await machine.show(UNIT, "ActiveState", "ExecMainStatus")).toEqual(["failed", "69"]);
  await expectOff();

  // For now: EC2 does not work, and the unit is tried again.
  cloud.free(address.allocationId);
  const dropIns = `/etc/systemd/system/${UNIT}.d`;
  const impatient = "[Service]\nEnvironment=EIP_HEAL_DEADLINE=1s\n";
  await retryAfter(machine.root, "1s");
  await machine.sh(
    `mkdir -p ${dropIns}; printf '${impatient}' >${dropIns}/impatient.conf; systemctl daemon-reload`,
  );
  const fault = cloud.region.faults.add({
    service: "ec2",
    effect: { do: "error", code: "InternalError", status: 500 },
  });
  expect((await machine.exec(["systemctl", "start", UNIT])).status).not.toBe(0);
  const first = await began();
  await eventually("it is tried again", async () => (await began()) !== first);
  await expectOff();
  expect(await rounds(machine)).toEqual(before);

  cloud.region.faults.clear(fault);
  await machine.waitUnit(UNIT);
  await expectArmed();
  expect(await machine.waitRunning()).toBe("running");
  expect(cloud.region.bugs).toEqual([]);
});

/** When the last run of the heal has begun. */
async function began(): Promise<string | undefined> {
  return (await machine.show(UNIT, "ExecMainStartTimestampMonotonic"))[0];
}

/** Sets when the recheck comes, from the next start of the timer on. */
async function setTime(time: string): Promise<void> {
  await machine.must(["systemctl", "stop", CONFIRM, RECHECK]);
  await confirmAfter(machine.root, time);
  await machine.must(["systemctl", "daemon-reload"]);
}

async function restart(): Promise<void> {
  await machine.must(["systemctl", "restart", UNIT]);
}

function timer(): Promise<(string | undefined)[]> {
  return machine.show(CONFIRM, "ActiveState", "SubState");
}

/** systemctl waits for the unit, and not for what starts after it. */
async function expectArmed(): Promise<void> {
  await machine.waitUnit(CONFIRM);
  expect(await timer()).toEqual(["active", "waiting"]);
}

async function expectOff(): Promise<void> {
  expect(await timer()).toEqual(["inactive", "dead"]);
}

/** When the timer was started last, by the machine's clock, in microseconds since its boot. */
async function armedAt(): Promise<number> {
  return Number((await machine.show(CONFIRM, "InactiveExitTimestampMonotonic"))[0]);
}

/** When the last heal became a success, by the same clock. */
async function settledAt(): Promise<number> {
  return Number((await machine.show(UNIT, "ActiveEnterTimestampMonotonic"))[0]);
}

/**
 * A restart succeeds, and exactly one recheck follows, which succeeds too.
 *
 * @param meanwhile done between the heal and the recheck, however long that takes
 */
async function expectOneRecheck(meanwhile: () => void, { asks }: { asks: boolean }): Promise<void> {
  const { begun } = await rounds(machine);
  await machine.must(["touch", GATE]);
  await restart();
  await machine.waitUnit(RECHECK, "activating");
  const calls = cloud.region.calls.length;
  meanwhile();
  await machine.must(["rm", GATE]);
  await eventually(
    "the recheck is over",
    async () => (await rounds(machine)).ended.length > begun && (await timer())[1] !== "running",
  );
  expect((await rounds(machine)).ended.slice(begun)).toEqual(["0"]);
  const asked = cloud.region.calls
    .slice(calls)
    .filter(({ instanceId }) => instanceId === self.instanceId);
  expect(asked.length > 0).toBe(asks);

  // It has nothing left to do, and two more of its times do not change that.
  expect(await timer()).toEqual(["active", "elapsed"]);
  await sleep(4_000);
  expect((await rounds(machine)).begun).toBe(begun + 1);
}
