/**
 * Runs that end without the address, on a real systemd: the unit is failed for all to see, a minute later it is tried
 * again, and what was corrected from outside heals by itself. Each test goes on where the one before has left the
 * machines.
 */
import { readFileSync } from "node:fs";
import { appendFile, chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { allow } from "../../sim/iam.ts";
import type { Address } from "../../sim/model.ts";
import { aWorld, type BuiltInstance } from "../../sim/world.ts";
import { Cloud, CONF, UNIT } from "../support/machine/cloud.ts";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import { baseImage, type Builder } from "../support/machine/image.ts";
import type { Machine } from "../support/machine/machine.ts";
import { builtPackage, install, packageAs } from "../support/machine/package.ts";
import { place } from "../support/machine/place.ts";
import { CONFIRM, RECHECK, RETRY, retryAfter } from "../support/machine/rounds.ts";
import { eventually } from "../support/run.ts";

/** As docs/operate.md has it: a service that must not start without the address. Its program notes each start. */
const APP = "my-server.service";
const APP_UNIT = documentedUnit();
const STARTS = "/var/lib/my-server-starts";
const APP_PROGRAM = `#!/bin/sh
echo "$*" >>${STARTS}
exec sleep infinity
`;
/** What somebody who wants to know of a failure has. */
const ALARM = "page.service";
const ALARMS = "/var/lib/pages";
const ALARM_UNIT = `[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo failed >>${ALARMS}'
`;

const world = aWorld();
world.role("releaser", allow(["ec2:*"]));
world.role("look", allow(["ec2:DescribeInstances", "ec2:DescribeAddresses"]));
/** An instance with an address of its own. */
const another = (spec: Parameters<typeof world.instance>[0] = {}) => {
  const address = world.address();
  const tags = { "allocation-id": address.allocationId };
  return [address, world.instance({ tags, metadataTags: true, ...spec })] as const;
};
const [deniedAddress, denied] = another({ role: "look" });
const [mistakenAddress, mistaken] = another({
  tags: { "allocation-id": "eipassoc-0123456789abcdef0" },
});
const [farAddress, far] = another();
const [yieldingAddress, yielding] = another();
const newer = world.instance();
world.hold(yieldingAddress, newer);
const upgraded = another();

/** What each of them lacks, and how it is corrected. */
const CASES = [
  {
    instance: denied,
    address: deniedAddress,
    status: "77",
    cause: "not allowed: ec2:AssociateAddress",
    correct: () => void cloud.region.region.setRole(denied.instanceId, "full"),
  },
  {
    instance: mistaken,
    address: mistakenAddress,
    status: "78",
    cause: `the tag allocation-id is "eipassoc-0123456789abcdef0", on ${mistaken.instanceId}`,
    correct: () => tagWith(mistakenAddress.allocationId),
  },
  {
    instance: far,
    address: farAddress,
    status: "75",
    cause: "EC2: connection ",
    correct: () => cloud.region.faults.clear(),
  },
  {
    instance: yielding,
    address: yieldingAddress,
    status: "69",
    cause: `${newer.instanceId} (running) was launched`,
    correct: () => {
      cloud.region.region.terminate(newer.instanceId);
      cloud.region.region.terminated(newer.instanceId);
    },
  },
];

let cloud: Cloud;
const machines = new Map<BuiltInstance, Machine>();
const machineOf = (instance: BuiltInstance) => machines.get(instance) as Machine;
const holder = (address: Address) => cloud.region.holder(address.allocationId)?.instanceId;

beforeAll(async () => {
  cloud = await Cloud.start(world);
  // As if it were out of reach, for this one alone.
  cloud.region.faults.add({
    service: "ec2",
    instanceId: far.instanceId,
    effect: { do: "hang-up" },
  });
  const ami = await cloud.bakeAmi(prepare);
  for (const { instance } of CASES) machines.set(instance, await cloud.machine(instance, ami));
});

afterAll(async () => {
  await cloud?.close();
});

stopAtFirstFailure();
tellOnFailure(() => cloud.story());

describe("four machines that lack something", () => {
  test("each has booted, and its unit is failed for all who look", async () => {
    await Promise.all(CASES.map(({ instance }) => machineOf(instance).start()));
    for (const { instance, address, status, cause } of CASES) {
      const machine = machineOf(instance);
      await machine.waitUnit(UNIT, "failed");
      expect(await machine.waitRunning(), cause).toBe("degraded");
      expect(await machine.show(UNIT, "Result", "ExecMainStatus")).toEqual(["exit-code", status]);
      const failed = ["systemctl", "list-units", "--failed", "--plain", "--no-legend"];
      expect(await machine.must(failed)).toMatch(/^eip-heal\.service .*\n$/);
      const seen = await machine.exec(["systemctl", "status", "--no-pager", "--full", UNIT]);
      expect(seen.stdout).toMatch(/Active: failed \(Result: exit-code\)/);
      expect(seen.stdout).toContain(cause);
      expect(await machine.must(["cat", ALARMS])).toBe("failed\n");
      expect(holder(address)).not.toBe(instance.instanceId);

      // Whoever needs the address has not started, and what belongs to the unit is there.
      expect(await machine.show(APP, "ActiveState")).toEqual(["inactive"]);
      expect(await machine.show(RETRY, "ActiveState", "SubState")).toEqual(["active", "waiting"]);
      expect(await machine.show(CONFIRM, "ActiveState")).toEqual(["inactive"]);
      expect(machine.console).not.toMatch(/ordering cycle|deleted to break/i);
    }
  });

  test("corrected from outside, each heals with its next try, a minute after the last one", async () => {
    for (const { correct } of CASES) correct();
    const gaps: Record<string, number> = {};
    for (const { instance, address, status } of CASES) {
      const machine = machineOf(instance);
      await machine.waitUnit(UNIT, "active", 150_000);
      expect(holder(address)).toBe(instance.instanceId);
      const [ended, began] = await machine.show(
        UNIT,
        "InactiveEnterTimestampMonotonic",
        "ExecMainStartTimestampMonotonic",
      );
      gaps[status] = (Number(began) - Number(ended)) / 1e6;
      expect(await machine.waitRunning()).toBe("running");
    }
    console.log(`seconds from the end of a run to the next: ${JSON.stringify(gaps)}`);
    for (const gap of Object.values(gaps)) {
      expect(gap).toBeGreaterThanOrEqual(60);
      expect(gap).toBeLessThanOrEqual(70);
    }
  });

  test("the service that needs the address was started by that, once", async () => {
    for (const { instance, address } of CASES) {
      const machine = machineOf(instance);
      await machine.waitUnit(APP);
      expect(await startsOn(machine)).toEqual([`--public-ip ${address.publicIp}`]);
      await machine.waitUnit(CONFIRM);
    }
  });
});

/** From here on it is one machine, whose tag is right or wrong. */
describe("one machine, from state to state", () => {
  const machine = () => machineOf(mistaken);
  const systemctl = (...args: string[]) => machine().exec(["systemctl", ...args]);
  /** As errors, wherever they were written to. */
  const tries = async () =>
    (await machine().said(UNIT, "err")).filter((line) => WRONG.test(line)).length;
  const runs = async () =>
    Number((await machine().show(UNIT, "ExecMainStartTimestampMonotonic"))[0]);

  test("while it is active, neither the retries nor a recheck run it or its dependents again", async () => {
    for (const { instance } of CASES) if (instance !== mistaken) await machineOf(instance).kill();
    await every("2s");
    const before = [await runs(), await startsOn(machine())];
    await machine().must(["systemctl", "start", RECHECK]);
    await staysSo();
    expect([await runs(), await startsOn(machine())]).toEqual(before);
    expect(await machine().show(RETRY, "ActiveState")).toEqual(["active"]);
  });

  test("a restart that fails takes the dependents down, and is tried again and again", async () => {
    tagWith("eipassoc-0123456789abcdef0");
    expect((await systemctl("restart", UNIT)).status).not.toBe(0);
    expect(await machine().show(APP, "ActiveState")).toEqual(["inactive"]);
    const before = await tries();
    await eventually(
      "it has been tried three times more",
      async () => (await tries()) >= before + 3,
    );
  });

  test("each try says its cause once in the journal, and the console has it once", async () => {
    await machine().must(["systemctl", "stop", RETRY]);
    await machine().waitUnit(UNIT, "failed");
    const said = await machine().said(UNIT);
    const at = said.findLastIndex((line) => !WRONG.test(line));
    // All that came after the success.
    expect(said.slice(at + 1).length).toBe((await tries()) - 1);
    expect(machine().console.match(new RegExp(WRONG.source.slice(1), "g"))).toHaveLength(2);
    await machine().must(["systemctl", "start", RETRY]);
  });

  test("a recheck leaves it to the retries, and a daemon-reload does not end them", async () => {
    const calls = cloud.region.calls.length;
    await machine().must(["systemctl", "start", RECHECK]);
    expect(cloud.region.calls.length).toBe(calls);
    const saidByRecheck = (await machine().said(RECHECK)).length;
    await machine().must(["systemctl", "daemon-reload"]);
    const before = await tries();
    await eventually("it has been tried again", async () => (await tries()) > before + 1);
    expect((await machine().said(RECHECK)).length).toBe(saidByRecheck);
  });

  test("the first success starts the dependents anew", async () => {
    tagWith(mistakenAddress.allocationId);
    await machine().waitUnit(UNIT);
    await machine().waitUnit(APP);
    expect(await startsOn(machine())).toHaveLength(2);
  });

  test("a restart in the middle of a run begins another; a stop leaves it failed with 75, and ends the retries", async () => {
    const silence = cloud.region.faults.add({
      service: "imds",
      instanceId: mistaken.instanceId,
      effect: { do: "silence" },
    });
    await dropIn("[Service]\nEnvironment=EIP_HEAL_DEADLINE=1h\n");
    const waits = async () =>
      (await machine().said(UNIT)).filter((line) => line.includes("; next try in ")).length;
    const before = await waits();
    await systemctl("restart", "--no-block", UNIT);
    await eventually("it runs", async () => (await waits()) > before);
    const [first] = await machine().show(UNIT, "MainPID");
    await systemctl("restart", "--no-block", UNIT);
    await eventually("another one runs", async () => {
      const [state, pid] = await machine().show(UNIT, "ActiveState", "MainPID");
      return state === "activating" && pid !== first && (await waits()) > before + 1;
    });

    await machine().must(["systemctl", "stop", UNIT]);
    expect(await machine().show(UNIT, "ActiveState", "ExecMainStatus")).toEqual(["failed", "75"]);
    expect((await machine().said(UNIT)).at(-1)).toMatch(/^stopped by SIGTERM while /);
    await expectAtRest("failed");
    cloud.region.faults.clear(silence);
  });

  test("disable --now ends all, enable --now begins all", async () => {
    await machine().must(["systemctl", "start", UNIT]);
    await machine().waitUnit(CONFIRM);
    await machine().must(["systemctl", "disable", "--quiet", "--now", UNIT]);
    await expectAtRest("inactive");
    await machine().must(["systemctl", "enable", "--quiet", "--now", UNIT]);
    await machine().waitUnit(CONFIRM);
    expect(await machine().show(RETRY, "ActiveState", "UnitFileState")).toEqual([
      "active",
      "static",
    ]);
  });

  test("masked while failed, it rests, and is healed by the first start after that", async () => {
    tagWith("eipassoc-0123456789abcdef0");
    expect((await systemctl("restart", UNIT)).status).not.toBe(0);
    await machine().must(["systemctl", "mask", "--quiet", "--now", UNIT]);
    await expectAtRest("failed");
    await machine().must(["systemctl", "unmask", "--quiet", UNIT]);

    // Without --now the timer finds that out by itself, and fails.
    expect((await systemctl("start", UNIT)).status).not.toBe(0);
    await machine().must(["systemctl", "mask", "--quiet", UNIT]);
    const before = await runs();
    await machine().waitUnit(RETRY, "failed");
    expect(await runs()).toBe(before);
    await machine().must(["systemctl", "unmask", "--quiet", UNIT]);
    tagWith(mistakenAddress.allocationId);
    await machine().must(["systemctl", "start", UNIT]);
    expect(await machine().show(RETRY, "ActiveState")).toEqual(["active"]);
  });

  test("a release by hand ends the retries and the rechecks, until it is started by hand", async () => {
    // So that no try comes in between.
    await every("1h");
    tagWith("eipassoc-0123456789abcdef0");
    expect((await systemctl("restart", UNIT)).status).not.toBe(0);
    tagWith(mistakenAddress.allocationId);
    await machine().must(["eip-heal"]);
    expect(holder(mistakenAddress)).toBe(mistaken.instanceId);
    // One that is refused leaves all as it was.
    expect((await machine().exec(["eip-heal", "release"])).status).toBe(77);
    expect(await machine().show(RETRY, "ActiveState", "SubState")).toEqual(["active", "waiting"]);

    cloud.region.region.setRole(mistaken.instanceId, "releaser");
    await machine().must(["eip-heal", "release"]);
    expect(holder(mistakenAddress)).toBeUndefined();
    await every("2s");
    await machine().must(["systemctl", "start", RECHECK]);
    await staysSo();
    expect(holder(mistakenAddress)).toBeUndefined();

    await machine().must(["systemctl", "restart", UNIT]);
    expect(holder(mistakenAddress)).toBe(mistaken.instanceId);
    expect(await machine().show(RETRY, "ActiveState")).toEqual(["active"]);
  });

  test("one that fails by a dependency is tried at its times, and not all the time", async () => {
    const need = "needed.service";
    const works = "/run/needed-works";
    const notes = "/run/needed-tries";
    await machine().sh(
      `printf '[Service]\\nType=oneshot\\nExecStart=/bin/sh -c "echo x >>${notes}; test -e ${works}"\\n' >/etc/systemd/system/${need}`,
    );
    tagWith("eipassoc-0123456789abcdef0");
    expect((await systemctl("restart", UNIT)).status).not.toBe(0);
    await dropIn(`[Unit]\nRequires=${need}\nAfter=${need}\n`);
    const count = async () => (await machine().sh(`cat ${notes} 2>/dev/null | wc -l`)).trim();
    await eventually("it has been tried twice", async () => Number(await count()) >= 2);
    const [before, began] = [await runs(), Date.now()];
    const first = Number(await count());
    await sleep(6_000);
    // Every two seconds, and however long that took on this machine.
    const most = 2 + (Date.now() - began) / 2_000;
    expect(Number(await count()) - first).toBeLessThanOrEqual(most);
    expect(await runs()).toBe(before);

    tagWith(mistakenAddress.allocationId);
    await machine().must(["touch", works]);
    await machine().waitUnit(UNIT);
    await dropIn("");
  });

  test("a shutdown ends the retries", async () => {
    tagWith("eipassoc-0123456789abcdef0");
    expect((await systemctl("restart", UNIT)).status).not.toBe(0);
    await machine().powerOff();
    expect(cloud.region.bugs).toEqual([]);
  });

  /** The time after which it is tried again. */
  async function every(time: string): Promise<void> {
    await retryAfter(machine().root, time);
    await machine().must(["systemctl", "daemon-reload"]);
  }

  /** Several of its periods pass. */
  async function staysSo(): Promise<void> {
    await sleep(5_000);
  }

  /** No timer is left, and nothing runs any more. */
  async function expectAtRest(state: string): Promise<void> {
    for (const timer of [RETRY, CONFIRM])
      expect(await machine().show(timer, "ActiveState"), timer).toEqual(["inactive"]);
    const before = await runs();
    await staysSo();
    expect(await runs()).toBe(before);
    expect(await machine().show(UNIT, "ActiveState")).toEqual([state]);
  }

  /** The only drop-in of the unit is this one. */
  async function dropIn(text: string): Promise<void> {
    const folder = `/etc/systemd/system/${UNIT}.d`;
    await mkdir(join(machine().root, folder), { recursive: true });
    await writeFile(join(machine().root, folder, "test.conf"), text);
    await machine().must(["systemctl", "daemon-reload"]);
  }
});

describe("an upgrade from a version whose unit systemd restarts", () => {
  let machine: Machine;
  const FOLDER = join(place().scratch, "tmp");
  const [address, instance] = upgraded;
  const states = (name: string) => machine.show(name, "ActiveState", "SubState");

  test("starts nothing, and a unit that is active stays so", async () => {
    machine = await cloud.machine(instance, baseImage());
    await machine.start();
    await machine.waitRunning();
    await install(machine, await asItWas("0.0.1"));
    await cloud.trustIn(machine.root);
    await appendFile(join(machine.root, CONF), "EIP_HEAL_DEADLINE=3s\n");
    await machine.must(["systemctl", "start", UNIT]);
    const before = await machine.show(UNIT, "InvocationID", "ActiveState");
    await install(machine, await packageAs(await builtPackage(), "0.0.2", FOLDER));
    expect(await machine.show(UNIT, "InvocationID", "ActiveState")).toEqual(before);
    for (const timer of [RETRY, CONFIRM]) expect((await states(timer))[0]).toBe("inactive");
    // From the next start on all is as it is now.
    await machine.must(["systemctl", "restart", UNIT]);
    await machine.waitUnit(CONFIRM);
    expect((await states(RETRY))[0]).toBe("active");
  });

  test("in the pause before a restart: that one still comes, and then the timer has it", async () => {
    const fault = cloud.region.faults.add({
      service: "imds",
      instanceId: instance.instanceId,
      effect: { do: "status", status: 500 },
    });
    await install(machine, await asItWas("0.0.3"));
    await machine.sh(`systemctl restart ${UNIT} || true`);
    await eventually("it is about to be restarted", async () =>
      (await states(UNIT)).join().includes("auto-restart"),
    );
    await install(machine, await builtPackage());
    await machine.waitUnit(UNIT, "failed");
    expect(await states(RETRY)).toEqual(["active", "waiting"]);
    await retryAfter(machine.root, "2s");
    cloud.region.faults.clear(fault);
    await machine.must(["systemctl", "daemon-reload"]);
    await machine.waitUnit(UNIT);
    expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(instance.instanceId);
  });

  test("removed while it is failed, nothing of it is left in systemd", async () => {
    cloud.region.faults.add({
      service: "imds",
      instanceId: instance.instanceId,
      effect: { do: "status", status: 500 },
    });
    expect((await machine.exec(["systemctl", "restart", UNIT])).status).not.toBe(0);
    await machine.must(["apt-get", "remove", "--yes", "eip-heal"]);
    const units = ["systemctl", "list-units", "--all", "--no-legend", "eip-heal*"];
    expect(await machine.must(units)).toBe("");
    expect(await machine.waitRunning()).toBe("running");
  });

  /** The package as it was, as far as the units go. */
  async function asItWas(version: string): Promise<string> {
    return await packageAs(await builtPackage(), version, FOLDER, async (tree) => {
      const units = join(tree, "usr/lib/systemd/system");
      const unit = await readFile(join(units, UNIT), "utf8");
      const old = unit
        .replaceAll(/^Wants=eip-heal-.*$/gm, "")
        .replace("[Service]\n", "[Service]\nRestart=on-failure\nRestartSec=10s\n");
      if (!/^Restart=/m.test(old) || /^Wants=eip-heal/m.test(old)) throw new Error(old);
      await writeFile(join(units, UNIT), old);
      for (const later of [RETRY, CONFIRM, "eip-heal-preload.service"])
        await rm(join(units, later));
    });
  }
});

/** How it is said that the tag is wrong. */
const WRONG = /^FAILED \(78\): the tag allocation-id is "eipassoc-/;

function tagWith(value: string): void {
  cloud.region.region.tag(mistaken.instanceId, { "allocation-id": value });
}

/** With which arguments the service that needs the address was started, time after time. */
async function startsOn(machine: Machine): Promise<string[]> {
  return (await machine.must(["cat", STARTS])).trim().split("\n");
}

async function prepare(builder: Builder): Promise<void> {
  // What is lacking is not waited for.
  await appendFile(join(builder.root, CONF), "EIP_HEAL_DEADLINE=3s\n");
  await writeFile(join(builder.root, "usr/bin/my-server"), APP_PROGRAM);
  await chmod(join(builder.root, "usr/bin/my-server"), 0o755);
  const units = join(builder.root, "etc/systemd/system");
  await writeFile(join(units, APP), APP_UNIT);
  await writeFile(join(units, ALARM), ALARM_UNIT);
  await mkdir(join(units, `${UNIT}.d`), { recursive: true });
  await writeFile(join(units, `${UNIT}.d`, "alarm.conf"), `[Unit]\nOnFailure=${ALARM}\n`);
  await builder.must(["systemctl", "enable", "--quiet", APP]);
}

/** The unit that docs/operate.md shows, as it stands there. */
function documentedUnit(): string {
  const page = readFileSync(resolve(import.meta.dirname, "../../docs/operate.md"), "utf8");
  const section =
    page.split(/^#+ /m).find((text) => text.startsWith("Services that need the address\n")) ?? "";
  const unit = (/(?:^ {4}.*\n)+/m.exec(section)?.[0] ?? "").replaceAll(/^ {4}/gm, "");
  if (!/^Requires=eip-heal\.service$/m.test(unit)) throw new Error(`not the page's unit: ${unit}`);
  return unit;
}
