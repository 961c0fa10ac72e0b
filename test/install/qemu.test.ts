/**
 * The units on a virtual machine. Its kernel enforces all that they ask for, of which a container quietly leaves out
 * some: they heal there, and a program in their sandbox gets nowhere else. And it has clocks of its own, which can
 * stand still and be set.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import { Cloud, UNIT } from "../support/machine/cloud.ts";
import { bake } from "../support/machine/image.ts";
import { install } from "../support/machine/package.ts";
import { able, putProbe, takePlace, tryIn } from "../support/machine/probe.ts";
import {
  nextRounds,
  QUICKENED,
  quickenRechecks,
  RECHECK,
  TIMER,
} from "../support/machine/rounds.ts";
import { aWorld } from "../../sim/world.ts";
import { currentPackages } from "./repository.ts";
import { vmSystem } from "../support/machine/roots.ts";
import { DPKG, HELPER, RESULTS, stateOf, WANTED } from "./state.ts";
import { VirtualMachine, VM_TEST_MS } from "../support/machine/virtual-machine.ts";

/** What the manual has for those who want less: a list of addresses. */
const ADDRESSES = "[Service]\\nIPAddressDeny=any\\nIPAddressAllow=10.0.0.0/16 169.254.169.0/24\\n";
const DROP_INS = `/etc/systemd/system/${UNIT}.d`;
/** What the limits of memory and tasks stop, and what this systemd may not have been built to stop. */
const LIMITS = ["use 512 MiB of memory", "use 64 tasks"];
const UDP = ["listen on a UDP port of IPv4", "listen on a UDP port of IPv6"];
/** By default systemd ends all of a unit when the kernel has ended one of its processes for want of memory. */
const GO_ON = "OOMPolicy=continue";

/**
 * Nobody gets a user namespace; all memory together that programs have asked for, used or not, is limited to what a t3.nano
 * allows by default (half of its 512 MB); no service has memory that is writable and executable; openssl.cnf has a mistake.
 */
const HARDENED: Readonly<Record<string, string>> = {
  "/etc/sysctl.d/90-hardened.conf": `user.max_user_namespaces = 0
kernel.unprivileged_bpf_disabled = 1
vm.overcommit_memory = 2
vm.overcommit_kbytes = 262144
`,
  "/etc/systemd/system/service.d/hardened.conf": "[Service]\nMemoryDenyWriteExecute=yes\n",
  "/etc/ssl/openssl.cnf": "[not closed\n",
};

const world = aWorld();
const address = world.address();
const tags = { "allocation-id": address.allocationId };
const older = world.instance({ tags });
const self = world.instance({ tags, metadataTags: true, autoPublicIp: true });

let cloud: Cloud;
let machine: VirtualMachine;

beforeAll(async () => {
  const { image, kernel, architecture } = vmSystem();
  const { deb } = await currentPackages();
  cloud = await Cloud.start(world);
  const ami = await bake("vm-ami", image, async (builder) => {
    await install(builder, deb);
    await cloud.trustIn(builder.root);
  });
  machine = await VirtualMachine.create(
    { ...(await cloud.reserve(self)), image: ami, architecture, kernel },
    async (root) => {
      await putProbe(root);
      await quickenRechecks(root);
    },
  );
  await machine.start();
}, VM_TEST_MS);

afterAll(async () => {
  await machine?.discard();
  await cloud?.close();
});

stopAtFirstFailure();
tellOnFailure(async () =>
  [...(await machine.journal("eip-heal*")), await machine.console()].join("\n"),
);

describe("a virtual machine with eip-heal", { timeout: VM_TEST_MS }, () => {
  test("its first boot heals", async () => {
    expect(await machine.waitRunning()).toBe("running");
    expect(await stateOf(machine, cloud, DPKG)).toMatchObject({
      unit: "enabled",
      active: "active",
      associations: 1,
      left: [WANTED, ...HELPER, ...RESULTS, ...QUICKENED].toSorted(),
    });
    expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
    expect(await machine.show(UNIT, "Result", "InactiveEnterTimestampMonotonic")).toEqual([
      "success",
      "0",
    ]);
  });

  test("systemd has nothing to say about the unit", async () => {
    const verify = await machine.exec(["systemd-analyze", "verify", "--man=no", UNIT]);
    expect(verify).toEqual({ status: 0, stdout: "", stderr: "" });
  });

  test("a restart takes the address back from an older instance", async () => {
    cloud.move(address.allocationId, older);
    await machine.must(["systemctl", "restart", UNIT]);
    expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
  });

  test("it heals with less: few addresses", async () => {
    await machine.sh(
      `mkdir -p ${DROP_INS}; printf '${ADDRESSES}' >${DROP_INS}/addresses.conf; systemctl daemon-reload`,
    );
    cloud.move(address.allocationId, older);
    await machine.must(["systemctl", "restart", UNIT]);
    expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
    await machine.sh(`rm -r ${DROP_INS}; systemctl daemon-reload`);
  });

  test("who asks about a run that the kernel has ended for lack of memory is told so", async () => {
    await machine.sh(
      `mkdir -p ${DROP_INS}; printf '[Service]\\nMemoryMax=8M\\n' >${DROP_INS}/memory.conf; systemctl daemon-reload`,
    );
    expect((await machine.exec(["systemctl", "restart", UNIT])).status).not.toBe(0);
    expect(await machine.show(UNIT, "Result")).toEqual(["oom-kill"]);
    const ended = "ended by the kernel, for lack of memory (oom-kill)";
    for (const command of ["status", "doctor"]) {
      expect((await machine.exec(["eip-heal", command])).stdout).toContain(ended);
    }
    await machine.sh(`rm -r ${DROP_INS}; systemctl daemon-reload`);
    await machine.must(["systemctl", "restart", UNIT]);
    expect((await machine.exec(["eip-heal", "status"])).stdout).not.toContain(ended);
  });

  test("a reboot heals, on an image that has been hardened since", async () => {
    for (const [file, text] of Object.entries(HARDENED))
      await machine.sh(`mkdir -p "$(dirname ${file})"; cat >${file} <<'END'\n${text}END`);
    cloud.move(address.allocationId, older);
    const before = cloud.associations().length;
    await machine.reboot();
    expect(await machine.waitRunning()).toBe("running");
    expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
    expect(cloud.associations().length).toBe(before + 1);
    expect(await machine.sh("cat /proc/sys/user/max_user_namespaces")).toBe("0\n");
    expect(await machine.sh("grep CommitLimit /proc/meminfo")).toMatch(/ 262144 kB\n$/);
    expect(await machine.show("systemd-networkd", "MemoryDenyWriteExecute")).toEqual(["yes"]);
    expect(await machine.show("dbus.service", "MemoryDenyWriteExecute")).toEqual(["yes"]);
    expect(cloud.region.bugs).toEqual([]);
    // For the tests to come, some of which want more memory than that.
    await machine.must(["sysctl", "--quiet", "vm.overcommit_memory=0"]);
  });

  test("drift while the machine stands still is healed in the first recheck after that", async () => {
    await machine.must(["systemctl", "enable", "--quiet", "--now", TIMER]);
    await nextRounds(machine, 1);
    const before = await clocks();
    await machine.whileStopped(async () => {
      cloud.free(address.allocationId);
      await sleep(10_000);
      expect(cloud.region.holder(address.allocationId)).toBeUndefined();
    });
    await expectBack();

    const after = await clocks();
    // By so much the wall clock has jumped.
    expect(after.wall - before.wall - (after.ofTimers - before.ofTimers)).toBeGreaterThan(8);
  });

  test("so it is when the clock has jumped ahead, up to five times within an hour", async () => {
    await machine.must(["date", "--set", "+3 hours"]);
    for (let move = 0; move < 5; move++) {
      cloud.free(address.allocationId);
      await expectBack();
    }
    cloud.free(address.allocationId);
    expect(await nextRounds(machine, 1)).toEqual(["0"]);
    expect(cloud.region.holder(address.allocationId)).toBeUndefined();
    expect((await machine.journal(RECHECK)).join("\n")).toMatch(
      /it was moved here 5 times within an hour, so it is left alone until \d\d:\d\d UTC/,
    );
  });

  test("when the clock is put right, what was done in the future does not count", async () => {
    await machine.must(["date", "--set", "-3 hours"]);
    await expectBack();
    expect(await machine.show(TIMER, "ActiveState", "Result")).toEqual(["active", "success"]);
    await machine.must(["systemctl", "disable", "--quiet", "--now", TIMER]);
  });
});

// The last ones, because they ruin the machine. The Makefile runs them by their name on a newer system too.
describe("its sandbox", { timeout: VM_TEST_MS }, () => {
  test("a probe in it can do nothing of all that it tries", async () => {
    await machine.waitRunning();
    await takePlace(machine);
    const version = await machine.must(["systemctl", "--version"]);
    const gaps = version.includes("+BPF_FRAMEWORK") ? [] : UDP;
    expect(able(await tryIn(machine, GO_ON))).toEqual(gaps);
  });

  test("without SocketBindDeny= it can listen on a UDP port", async () => {
    expect(able(await tryIn(machine, `${GO_ON}\nSocketBindDeny=`))).toEqual(UDP);
  });

  test("without their limits it can use memory and tasks", async () => {
    const limitless = `${GO_ON}\nMemoryMax=infinity\nTasksMax=infinity`;
    expect(able(await tryIn(machine, limitless))).toEqual(expect.arrayContaining(LIMITS));
  });
});

/** The first recheck that begins from now on brings the address here. */
async function expectBack(): Promise<void> {
  expect(await nextRounds(machine, 1)).toEqual(["0"]);
  expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
}

/** The wall clock, and the one that timers go by, which knows nothing of the time that the machine has stood still; in seconds. */
async function clocks(): Promise<{ wall: number; ofTimers: number }> {
  const text = await machine.sh("date +%s; cat /proc/uptime");
  const [wall, ofTimers] = text.split(/\s+/).map(Number);
  return { wall: wall ?? Number.NaN, ofTimers: ofTimers ?? Number.NaN };
}
