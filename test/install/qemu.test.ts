/**
 * The units on a virtual machine. Its kernel enforces all that they ask for, of which a container quietly leaves out
 * some: they heal there, and a program in their sandbox gets nowhere else. And it has clocks of its own, which can
 * stand still and be set.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from "vitest";
import { Cloud, UNIT } from "../support/machine/cloud.ts";
import { bake } from "../support/machine/image.ts";
import { install } from "../support/machine/package.ts";
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
import { DPKG, EXPOSURE, exposureOf, HELPER, RESULTS, stateOf, WANTED } from "./state.ts";
import { VirtualMachine } from "../support/machine/virtual-machine.ts";

/** What the manual has for those who want less: a list of addresses. */
const ADDRESSES = "[Service]\\nIPAddressAllow=\\nIPAddressAllow=10.0.0.0/16 169.254.169.0/24\\n";
const DROP_INS = `/etc/systemd/system/${UNIT}.d`;
/** What hardened images have. */
const HARDENED = "/etc/sysctl.d/90-hardened.conf";
/** How many user namespaces there may be. */
const LIMIT = "/proc/sys/user/max_user_namespaces";
/** EXIT_USER of systemd.exec(5): the process could not become what User= and PrivateUsers= say. */
const USER = "217";
/** The same sandbox around another program. */
const PROBE = "probe.service";

const world = aWorld();
const address = world.address();
const tags = { "allocation-id": address.allocationId };
const older = world.instance({ tags });
const self = world.instance({ tags, metadataTags: true, autoPublicIp: true });

let cloud: Cloud;
let machine: VirtualMachine;
/** The first test that failed: those after it would only tell what follows from that. */
let failed: string | undefined;

beforeAll(async () => {
  const { image, kernel, architecture } = vmSystem();
  const { deb } = await currentPackages();
  cloud = await Cloud.start(world);
  const ami = await bake("vm-ami", image, async (builder) => {
    await install(builder, deb);
    await cloud.trustIn(builder.root);
  });
  const name = `ip-${self.privateIp.replaceAll(".", "-")}`;
  await cloud.dnsmasq.add({ name, mac: self.mac, ip: self.privateIp });
  machine = await VirtualMachine.create(
    { name, mac: self.mac, image: ami, architecture, kernel },
    async (root) => {
      const unit = await readFile(join(root, "usr/lib/systemd/system", UNIT), "utf8");
      await writeFile(join(root, "etc/systemd/system", PROBE), probing(unit));
      await mkdir(join(root, "home/admin"));
      await quickenRechecks(root);
    },
  );
  await machine.start();
}, 900_000);

afterAll(async () => {
  await machine?.discard();
  await cloud?.close();
});

beforeEach(({ skip, task }) => {
  skip(failed !== undefined, `because "${failed}" has failed`);
  onTestFailed(async () => {
    failed = task.name;
    console.error((await machine.journal("eip-heal*")).join("\n"), await machine.console());
  });
});

describe("a virtual machine with eip-heal", { timeout: 900_000 }, () => {
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

  test("systemd has nothing to say about the unit, and finds little that it may do", async () => {
    const verify = await machine.exec(["systemd-analyze", "verify", "--man=no", UNIT]);
    expect(verify).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(await exposureOf(machine)).toBeLessThanOrEqual(EXPOSURE);
  });

  test("a restart takes the address back from an older instance", async () => {
    cloud.move(address.allocationId, older);
    await machine.must(["systemctl", "restart", UNIT]);
    expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
  });

  test("where user namespaces are forbidden it heals without them, after a daemon-reload", async () => {
    await machine.sh(`cat ${LIMIT} >/run/limit; echo 0 >${LIMIT}`);
    cloud.move(address.allocationId, older);
    // What the generator is there for: systemd cannot start what asks for them.
    expect((await machine.exec(["systemctl", "restart", UNIT])).status).not.toBe(0);
    expect(await machine.show(UNIT, "ExecMainStatus")).toEqual([USER]);

    await machine.must(["systemctl", "daemon-reload"]);
    await machine.must(["systemctl", "restart", UNIT]);
    expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
    expect(await machine.show(UNIT, "PrivateUsers")).toEqual(["no"]);
    expect(await machine.show(RECHECK, "PrivateUsers")).toEqual(["no"]);
  });

  test("it heals with less: few addresses", async () => {
    await machine.sh(
      `cat /run/limit >${LIMIT}; mkdir -p ${DROP_INS}; printf '${ADDRESSES}' >${DROP_INS}/addresses.conf; systemctl daemon-reload`,
    );
    expect(await machine.show(UNIT, "PrivateUsers")).toEqual(["yes"]);
    cloud.move(address.allocationId, older);
    await machine.must(["systemctl", "restart", UNIT]);
    expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
    await machine.sh(`rm -r ${DROP_INS}; systemctl daemon-reload`);
  });

  test("a program in its sandbox gets nowhere but to the network and its own directory", async () => {
    await machine.exec(["systemctl", "start", PROBE]);
    const log = await machine.journal(PROBE);
    const seen = log.filter((line) => line.startsWith("probe: "));
    expect(seen, log.join("\n")).toEqual(
      PROBES.map(({ name, allowed }) => `probe: ${name}: ${allowed ? "allowed" : "refused"}`),
    );
  });

  test("a reboot heals, on an image that has been hardened since", async () => {
    await machine.sh(`echo 'user.max_user_namespaces = 0' >${HARDENED}`);
    cloud.move(address.allocationId, older);
    const before = cloud.associations().length;
    await machine.reboot();
    expect(await machine.waitRunning()).toBe("running");
    expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
    expect(cloud.associations().length).toBe(before + 1);
    expect(await machine.sh(`cat ${LIMIT}`)).toBe("0\n");
    expect(await machine.show(UNIT, "PrivateUsers")).toEqual(["no"]);
    expect(cloud.region.bugs).toEqual([]);
    await machine.sh(`rm ${HARDENED}; echo 1000 >${LIMIT}; systemctl daemon-reload`);
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

  // The last one, because it ruins the machine.
  test("the same program outside of the sandbox gets everywhere", async () => {
    const script = PROBES.map(probe).join("\n");
    await machine.sh("mkdir /run/outside");
    const said = await machine.must([
      "env",
      "RUNTIME_DIRECTORY=/run/outside",
      // What is mounted would hide what others have in /tmp.
      "unshare",
      "--mount",
      "bash",
      "-c",
      script,
    ]);
    expect(said.trim().split("\n")).toEqual(PROBES.map(({ name }) => `probe: ${name}: allowed`));
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

interface Probe {
  readonly name: string;
  readonly command: string;
  readonly allowed?: boolean;
}

/** What a program in the sandbox may and may not. */
const PROBES: readonly Probe[] = [
  { name: "write its results", command: 'echo x >"$RUNTIME_DIRECTORY/probe"', allowed: true },
  { name: "ask instance metadata", command: "exec 3<>/dev/tcp/169.254.169.254/80", allowed: true },
  { name: "ask a DNS resolver", command: "echo >/dev/udp/169.254.169.253/53", allowed: true },
  { name: "tell all neighbours", command: "echo >/dev/udp/224.0.0.251/5353" },
  { name: "send to a reserved address", command: "echo >/dev/udp/240.0.0.1/9" },
  { name: "ask the kernel about its network", command: "ip -4 address show | grep inet" },
  { name: "write to /etc", command: "echo x >/etc/probe" },
  { name: "write to /usr", command: "echo x >/usr/probe" },
  { name: "write to /var", command: "echo x >/var/lib/probe" },
  { name: "read the shadow file", command: "cat /etc/shadow" },
  { name: "look into /root", command: "ls /root" },
  { name: "look into /home", command: "ls /home/*" },
  { name: "see the first process", command: "ls /proc/1" },
  { name: "read the kernel's log", command: "dmesg" },
  { name: "see the processors", command: "cat /proc/cpuinfo" },
  { name: "change the kernel's settings", command: "echo 1 >/proc/sys/kernel/sysrq" },
  { name: "see disks", command: "ls /dev/vda" },
  { name: "get a user namespace", command: "unshare --user true" },
  { name: "get a mount namespace", command: "unshare --mount true" },
  { name: "mount", command: "mount -t tmpfs tmpfs /tmp" },
  { name: "set the clock", command: "date --set=2030-01-01" },
  { name: "set the host name", command: "hostname probe" },
  { name: "raise its priority", command: "renice -n -5 $$" },
  { name: "change its personality", command: "setarch linux32 true" },
  {
    name: "make a set-user-id program",
    command: 'cp /bin/true "$RUNTIME_DIRECTORY/t" && chmod u+s "$RUNTIME_DIRECTORY/t"',
  },
  // By mmap(2), by its number.
  {
    name: "have memory that is writable and executable",
    command: `perl -e 'exit(syscall(${process.arch === "arm64" ? 222 : 9}, 0, 4096, 7, 34, -1, 0) == -1)'`,
  },
  { name: "become somebody else", command: "setpriv --reuid=0 true" },
];

/** Shell text that tries it and says how that went. */
function probe({ name, command }: Probe): string {
  return `if (${command}) >/dev/null 2>&1; then echo "probe: ${name}: allowed"; else echo "probe: ${name}: refused"; fi`;
}

/** The unit with the probes in place of its program. */
function probing(unit: string): string {
  // systemd reads escapes, variables and specifiers of its own in the line.
  const script = JSON.stringify(PROBES.map(probe).join("; "))
    .replaceAll("$", "$$$$")
    .replaceAll("%", "%%");
  return unit
    .replace(/^ExecStart=.*$/m, () => `ExecStart=/bin/bash -c ${script}`)
    .replace(/^SyslogIdentifier=.*$/m, "SyslogIdentifier=probe")
    .replace(/^RuntimeDirectory=.*$/m, "RuntimeDirectory=probe")
    .replace(/^User=.*$/m, "User=probe");
}
