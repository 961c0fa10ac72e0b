/**
 * The timer of the rechecks on real systems: what drifts away comes back, what a newer instance has is left alone, and
 * while all is well nobody is asked. Its period is shortened (see rounds.ts); the rest is as the package has it. Each
 * test goes on where the one before has left the machines.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Call } from "../../sim/query-api.ts";
import type { Fault } from "../../sim/faults.ts";
import { aWorld, type BuiltInstance } from "../../sim/world.ts";
import { Cloud, UNIT } from "../support/machine/cloud.ts";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import type { Machine } from "../support/machine/machine.ts";
import {
  nextRounds,
  quickenRechecks,
  RECHECK,
  rounds,
  SLICE,
  TIMER,
} from "../support/machine/rounds.ts";
import { eventually } from "../support/run.ts";

const world = aWorld();
const address = world.address();
/** Launched one after the other, an hour apart. */
const [older, self, newer, newest] = ["older", "self", "newer", "newest"].map(() =>
  world.instance({ tags: { "allocation-id": address.allocationId }, metadataTags: true }),
) as [BuiltInstance, BuiltInstance, BuiltInstance, BuiltInstance];
/** Whom instance metadata does not answer for long. */
const [deafAddress, deaf] = another({});
/** In the warm pool of its group. */
const [warmAddress, warm] = another({ lifecycle: "Warmed:Running" });

const NAMED = `${address.allocationId} (${address.publicIp})`;
const HERE = `${self.instanceId} ${self.networkInterfaceId} ${self.privateIp}`;
const FOUND = `${address.publicIp} was verified here, and instance metadata shows no public IPv4 address`;

let cloud: Cloud;
let machine: Machine;
let deafMachine: Machine;
let warmMachine: Machine;

beforeAll(async () => {
  cloud = await Cloud.start(world);
  const ami = await cloud.bakeAmi(async (builder) => {
    await quickenRechecks(builder.root);
    await builder.must(["systemctl", "enable", "--quiet", TIMER]);
  });
  machine = await cloud.machine(self, ami);
  deafMachine = await cloud.machine(deaf, ami);
  warmMachine = await cloud.machine(warm, ami);
});

afterAll(async () => {
  await cloud?.close();
});

stopAtFirstFailure();
tellOnFailure(() => cloud.story());

/** For as long as it is there, instance metadata takes the questions of one machine and answers none. */
let silence: Fault;

test("while the heal of the boot is at it, the timer's recheck waits for its end", async () => {
  silence = hush();
  await deafMachine.start();
  await deafMachine.waitUnit(UNIT, "activating");
  await eventually("it is time for a recheck", async () =>
    (await jobs(deafMachine)).includes(`${RECHECK} start waiting`),
  );
  expect(await jobs(deafMachine)).toContain(`${UNIT} start running`);
  expect(await rounds(deafMachine)).toEqual({ begun: 0, ended: [] });

  cloud.region.faults.clear(silence);
  await deafMachine.waitUnit(UNIT);
  expect(await nextRounds(deafMachine, 1)).toEqual(["0"]);
  expect(await deafMachine.said(RECHECK)).toEqual([]);
  expect(cloud.region.holder(deafAddress.allocationId)?.instanceId).toBe(deaf.instanceId);
  expect(await deafMachine.waitRunning()).toBe("running");
});

/** How its results were when instance metadata fell silent: that lasts while the tests below are under way. */
let resultsBefore: string[];

test("thirty periods with nothing wrong: EC2 is not asked, nothing is said", async () => {
  await machine.start();
  expect(await machine.waitRunning()).toBe("running");
  await nextRounds(machine, 1);

  silence = hush();
  // One that was under way may have read what it needs.
  await nextRounds(deafMachine, 1);
  resultsBefore = await results(deafMachine);
  cloud.free(deafAddress.allocationId);

  const calls = callsOf(self).length;
  const cpuBefore = await cpuTime(machine);
  const { begun } = await rounds(machine);
  expect(await nextRounds(machine, 30)).toEqual(Array.from({ length: 30 }, () => "0"));
  const cpu = (await cpuTime(machine)) - cpuBefore;
  const count = (await rounds(machine)).begun - begun;
  console.log(
    `${count} rechecks with nothing wrong: ${cpu.toFixed(0)} ms of CPU time, ${(cpu / count).toFixed(0)} ms each`,
  );

  expect(callsOf(self).length).toBe(calls);
  expect(await machine.said(RECHECK)).toEqual([]);
  // Seen from the outside that is all: the heal of the boot is what it was, and nothing has failed.
  expect(await machine.show(UNIT, "ActiveState", "InactiveEnterTimestampMonotonic")).toEqual([
    "active",
    "0",
  ]);
  expect(await machine.waitRunning()).toBe("running");
});

test("moved away by an older instance: back within a period", async () => {
  await expectBack({ takenFrom: older }, () => {
    cloud.region.region.associateAddress(older, {
      allocationId: address.allocationId,
      instanceId: older.instanceId,
      allowReassociation: true,
    });
  });
});

test("taken away by hand: back within a period", async () => {
  await expectBack({}, () => {
    cloud.free(address.allocationId);
  });
});

test("taken away while the machine is suspended: back within a period after that", async () => {
  await expectBack({}, () =>
    machine.whileSuspended(async () => {
      const before = await rounds(machine);
      cloud.free(address.allocationId);
      // More than ten times the pause between two rechecks.
      await sleep(2_000);
      expect(await rounds(machine)).toEqual(before);
    }),
  );
});

test("moved by a newer instance: yielded, said once, and left alone for ten periods", async () => {
  const before = { lines: (await machine.said(RECHECK)).length, calls: callsOf(self).length };
  cloud.move(address.allocationId, newer);
  expect(await nextRounds(machine, 1)).toEqual(["0"]);
  const said = (await machine.said(RECHECK, "warning")).slice(-2);
  expect(said).toEqual([
    FOUND,
    expect.stringContaining(`yielded: a newer instance has ${NAMED}: `),
  ]);
  expect(said[1]).toContain(newer.instanceId);
  // Who needs the address does not start with what was true before.
  expect((await machine.exec(["cat", "/run/eip-heal/env"])).status).not.toBe(0);

  expect(await nextRounds(machine, 10)).toEqual(Array.from({ length: 10 }, () => "0"));
  expect((await machine.said(RECHECK)).slice(before.lines)).toEqual(said);
  const actions = callsOf(self)
    .slice(before.calls)
    .map(({ action }) => action);
  // Only EC2 knows whether the other one is still there.
  expect(new Set(actions)).toEqual(new Set(["DescribeAddresses", "DescribeInstances"]));
  expect(await machine.waitRunning()).toBe("running");
  expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(newer.instanceId);
});

test("when the newer one is gone, it comes back", async () => {
  await expectBack({ isNew: false }, () => {
    cloud.region.region.terminate(newer.instanceId);
    cloud.region.region.terminated(newer.instanceId);
  });
});

test("suspended between its look and its take: it looks again, and does not rob a newer instance", async () => {
  const before = cloud.associations().length;
  const looks = () => callsOf(self).filter(({ action }) => action === "DescribeInstances").length;
  const seen = looks();
  // The answer, that an older instance has it, is on the way when the machine falls asleep.
  const slow = cloud.region.faults.add({
    service: "ec2",
    action: "DescribeInstances",
    instanceId: self.instanceId,
    count: 1,
    effect: { do: "delay", afterMs: 6_000 },
  });
  cloud.move(address.allocationId, older);
  await eventually("it looks who has the address", () => looks() > seen, { everyMs: 5 });
  await machine.whileSuspended(async () => {
    cloud.move(address.allocationId, newest);
    await sleep(7_000);
  });
  expect(slow.hits).toBe(1);

  expect(await nextRounds(machine, 1)).toEqual(["0"]);
  expect(cloud.associations().length).toBe(before);
  expect((await machine.said(RECHECK)).at(-1)).toContain(`yielded: a newer instance has ${NAMED}`);
  expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(newest.instanceId);
});

test("instance metadata silent for ten periods: nothing is touched, and it heals after that", async () => {
  // Most of them have passed by now.
  const calls = callsOf(deaf).length;
  await eventually("ten periods are over", async () => (await failures(deafMachine)).length > 10);
  expect(callsOf(deaf).length).toBe(calls);
  expect(cloud.region.holder(deafAddress.allocationId)).toBeUndefined();
  expect(await results(deafMachine)).toEqual(resultsBefore);
  // 75: try again later. The timer does, and whoever looks at the machine sees what is missing.
  expect(new Set(await failures(deafMachine))).toEqual(new Set(["75"]));
  expect(await deafMachine.show(TIMER, "ActiveState", "Result")).toEqual(["active", "success"]);
  expect(await deafMachine.show(UNIT, "ActiveState")).toEqual(["active"]);
  expect((await deafMachine.said(RECHECK, "err")).at(-1)).toContain("/latest/api/token");
  const seen = ["ActiveState", "Result", "ExecMainStatus"];
  await eventually("the unit shows it between two rounds", async () => {
    const states = await deafMachine.show(RECHECK, ...seen);
    return states.join() === "failed,exit-code,75";
  });

  cloud.region.faults.clear(silence);
  expect(await nextRounds(deafMachine, 1)).toEqual(["0"]);
  expect(cloud.region.holder(deafAddress.allocationId)?.instanceId).toBe(deaf.instanceId);
  expect(await deafMachine.waitRunning()).toBe("running");
});

test("a warm instance that enters service without a boot: it heals within a period", async () => {
  await warmMachine.start();
  expect(await warmMachine.waitRunning()).toBe("running");
  expect(await nextRounds(warmMachine, 3)).toEqual(["0", "0", "0"]);
  expect(callsOf(warm)).toEqual([]);
  expect((await warmMachine.said(UNIT)).at(-1)).toContain("target state is Warmed:Running");
  expect(await warmMachine.said(RECHECK)).toEqual([]);

  cloud.region.region.setLifecycle(warm.instanceId, "InService");
  expect(await nextRounds(warmMachine, 1)).toEqual(["0"]);
  expect(cloud.region.holder(warmAddress.allocationId)?.instanceId).toBe(warm.instanceId);
  expect(warmMachine.boots).toBe(1);
  const env = await warmMachine.must(["cat", "/run/eip-heal/env"]);
  expect(env).toContain(`EIP_HEAL_PUBLIC_IP=${warmAddress.publicIp}\n`);
});

test("no request for metadata without a token, no fault of the region", () => {
  const bare = cloud.region.imdsRequests.filter(
    ({ method, token }) => method !== "PUT" && token !== "valid",
  );
  expect(bare).toEqual([]);
  expect(cloud.region.bugs).toEqual([]);
});

/** An instance with an address of its own. */
function another(spec: Parameters<typeof world.instance>[0]) {
  const own = world.address();
  const tags = { "allocation-id": own.allocationId };
  return [own, world.instance({ ...spec, tags, metadataTags: true })] as const;
}

/**
 * The address goes away, and the first recheck that begins after that brings it back, with one request.
 *
 * @param takenFrom whom it is taken from; undefined: nobody
 * @param isNews whether it has been here at the last look; if so, its absence is warned of
 */
async function expectBack(
  { takenFrom, isNew = true }: { takenFrom?: BuiltInstance; isNew?: boolean },
  goes: () => void | Promise<void>,
): Promise<void> {
  // Between two rechecks: one that is under way could still see what was before.
  await nextRounds(machine, 1);
  const lines = (await machine.said(RECHECK)).length;
  const calls = cloud.associations().length;
  await goes();
  expect(cloud.region.holder(address.allocationId)?.instanceId).not.toBe(self.instanceId);
  expect(await nextRounds(machine, 1)).toEqual(["0"]);

  expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
  const [call, ...more] = cloud.associations().slice(calls);
  expect(call).toMatchObject({
    instanceId: self.instanceId,
    params: { AllowReassociation: String(takenFrom !== undefined) },
    status: 200,
  });
  expect(more).toEqual([]);
  const how = takenFrom ? `taken from ${takenFrom.instanceId} (running), ` : "1 try, ";
  expect((await machine.said(RECHECK)).slice(lines)).toEqual([
    ...(isNew ? [FOUND] : []),
    expect.stringContaining(`associated ${NAMED} with ${HERE}, ${how}`),
  ]);
  if (isNew) expect((await machine.said(RECHECK, "warning")).at(-1)).toBe(FOUND);
}

/** Instance metadata takes the questions of the deaf machine, and answers none. */
function hush(): Fault {
  const { instanceId } = deaf;
  return cloud.region.faults.add({ service: "imds", instanceId, effect: { do: "silence" } });
}

function callsOf({ instanceId }: BuiltInstance): Call[] {
  return cloud.region.calls.filter((call) => call.instanceId === instanceId);
}

/** The exit statuses of the rounds that have failed. */
async function failures(on: Machine): Promise<string[]> {
  return (await rounds(on)).ended.filter((status) => status !== "0");
}

/** What systemd has to do: unit, what is done with it, and whether that waits for another. */
async function jobs(on: Machine): Promise<string[]> {
  const text = await on.must(["systemctl", "list-jobs", "--no-legend", "--plain"]);
  return text.split("\n").map((line) => line.trim().split(/\s+/).slice(1).join(" "));
}

/** What other programs and units can read of the last run, and when it was written. */
async function results(on: Machine): Promise<string[]> {
  const files = ["/run/eip-heal/result.json", "/run/eip-heal/env"];
  return [await on.must(["cat", ...files]), await on.must(["stat", "-c", "%i %Y %n", ...files])];
}

/** CPU time of all rounds so far, in milliseconds. */
async function cpuTime(on: Machine): Promise<number> {
  return Number((await on.show(SLICE, "CPUUsageNSec"))[0]) / 1e6;
}
