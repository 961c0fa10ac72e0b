/**
 * The sandbox of the unit, by what a program in it cannot do: a probe in the program's place tries everything on the
 * list of docs/sandbox.md. With each directive taken away there is something that it can, which is what the directive
 * is there for. (Limits of memory and tasks: test/install/qemu.test.ts. This container has no controllers for them.)
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { Cloud, UNIT } from "../support/machine/cloud.ts";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import type { Machine } from "../support/machine/machine.ts";
import { able, putProbe, takePlace, tryBare, tryIn, tryOutside } from "../support/machine/probe.ts";
import { must } from "../support/run.ts";

const world = aWorld();
const address = world.address();
const tags = { "allocation-id": address.allocationId };
const older = world.instance({ tags });
const self = world.instance({ tags, metadataTags: true });

let cloud: Cloud;
let machine: Machine;

beforeAll(async () => {
  cloud = await Cloud.start(world);
  machine = await cloud.machine(self, await cloud.bakeAmi());
  await machine.start();
  await machine.waitUnit(UNIT);
});

afterAll(async () => {
  await cloud?.close();
});

stopAtFirstFailure();
tellOnFailure(() => cloud.story());

const UDP = ["listen on a UDP port of IPv4", "listen on a UDP port of IPv6"];
const LIMITS = ["use 512 MiB of memory", "use 64 tasks"];
/** What systemd cannot stop in a container: it has no controllers there, and systemd-nspawn forbids bpf(2). */
const GAPS = [...UDP, ...LIMITS];

/** The heal takes the address back. */
async function expectHealed(): Promise<void> {
  cloud.move(address.allocationId, older);
  await machine.must(["systemctl", "restart", UNIT]);
  expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
}

test.each([
  ["that may be executed", "/usr/local/lib", ""],
  ["that may not", "/opt", "cannot be preloaded"],
])("a library %s is preloaded, and it heals", async (_, folder, said) => {
  const library = join(folder, "preloaded.so");
  const source = join(machine.root, "root/preloaded.c");
  await writeFile(source, "int preloaded = 1;\n");
  await must(["gcc", "-shared", "-fPIC", "-o", join(machine.root, library), source]);
  await machine.sh(`echo ${library} >/etc/ld.so.preload`);
  await expectHealed();
  await machine.must(["rm", "/etc/ld.so.preload"]);
  const log = (await machine.journal(UNIT)).filter((line) => line.includes(library));
  if (said === "") expect(log).toEqual([]);
  else expect(log).toEqual([expect.stringContaining(said)]);
});

test("resolv.conf is a link into /run, as with a stub resolver, and it heals", async () => {
  await machine.sh(`
    mkdir -p /run/systemd/resolve
    mv /etc/resolv.conf /run/systemd/resolve/stub-resolv.conf
    ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf`);
  await expectHealed();
});

test("a drop-in that adds a program opens it, and it heals", async () => {
  const dropIns = `/etc/systemd/system/${UNIT}.d`;
  const notify = "ExecStartPost=/bin/sh -c 'exit 0'";
  const having = (lines: string) =>
    machine.sh(
      `mkdir -p ${dropIns}; printf "[Service]\\n${lines}\\n" >${dropIns}/notify.conf; systemctl daemon-reload`,
    );
  await having(`${notify}\\nExecPaths=/bin/sh`);
  await expectHealed();
  await having(notify);
  expect((await machine.exec(["systemctl", "restart", UNIT])).status).not.toBe(0);
  await machine.sh(`rm -r ${dropIns}; systemctl daemon-reload`);
});

test("outside of the unit the probe can do all that it tries", async () => {
  await putProbe(machine.root);
  await takePlace(machine);
  const tries = await tryOutside(machine);
  expect(able(tries)).toEqual([...tries.keys()]);
});

test("in the unit it can do nothing of it", async () => {
  expect(able(await tryIn(machine))).toEqual(GAPS);
});

/**
 * What newer systemd stops by directives that are there for something else: it mounts the directory that a dynamic user
 * has in /run "noexec", and its MemoryDenyWriteExecute= knows personalities too. There nothing is to be seen of it when
 * NoExecPaths= or LockPersonality= is taken away.
 */
const OTHERWISE_STOPPED = {
  by: [
    "User=eip-heal",
    "DynamicUser=yes",
    "RuntimeDirectory=eip-heal",
    "RuntimeDirectoryPreserve=yes",
    "MemoryDenyWriteExecute=yes",
  ],
  what: [
    "run a program of its own from /run/eip-heal",
    "run machine code in a file in /run/eip-heal",
    "run machine code in memory by another personality",
  ],
};
let otherwiseStopped: string[];

test("this systemd stops some of it by other directives as well, or does not", async () => {
  const tries = await tryBare(machine, OTHERWISE_STOPPED.by);
  otherwiseStopped = OTHERWISE_STOPPED.what.filter((what) => tries.get(what) === false);
  // The unit is that of the directives above, and of no other.
  expect(able(tries)).toContain("run a program from /usr/bin");
});

/** What the directive is changed to, and what the probe can do then that it cannot otherwise. */
const WITHOUT: Readonly<Record<string, readonly [change: string, ...able: string[]]>> = {
  NoExecPaths: [
    "NoExecPaths=",
    "run a program from /usr/bin",
    "run a program from /usr/sbin",
    "run a program from /usr/libexec",
    "run a program from /usr/lib",
    "run a program from /usr/local/bin",
    "run a program from /opt",
    "run a program from /run",
    "run a program of its own from /run/eip-heal",
    "run a program of its own from /tmp",
    "run a program of its own from /var/tmp",
    "run a program by the dynamic loader",
    "run machine code in a file in /run/eip-heal",
    "run machine code in a file in /tmp",
    "run machine code in a file in /var/tmp",
  ],
  ExecPaths: ["ExecPaths=/usr/lib", "run a program from /usr/lib"],
  ReadOnlyPaths: ["ReadOnlyPaths=", "leave a file in /run"],
  MemoryDenyWriteExecute: [
    "MemoryDenyWriteExecute=no",
    "run machine code in memory that is writable",
    "run machine code that it has written before",
    "run machine code in System V shared memory",
  ],
  LockPersonality: ["LockPersonality=no", "run machine code in memory by another personality"],
  InaccessiblePaths: [
    "InaccessiblePaths=",
    "run a program of its own from /dev/shm",
    "run machine code in a file in /dev/shm",
    "reach D-Bus",
    "read the journal",
    "read other logs",
    "see what others have in /dev/shm",
    "leave a file in /dev/shm",
  ],
  ProtectHome: ["ProtectHome=no", "read /home", "read /root"],
  ProtectProc: ["ProtectProc=default", "see other processes"],
  PrivateDevices: ["PrivateDevices=no", "use a device"],
  RestrictAddressFamilies: ["RestrictAddressFamilies=", "talk to the kernel by netlink"],
  LimitCORE: ["LimitCORE=infinity", "dump core"],
  RestrictNamespaces: ["RestrictNamespaces=no", "make a user namespace"],
  SystemCallFilter: [
    "SystemCallFilter=",
    "run a program of its own from memory",
    "run machine code in a memory file",
    "take a TCP connection on a port of the kernel's choice",
    "trace a process",
    "use io_uring",
  ],
  ...(process.arch === "x64" && {
    SystemCallArchitectures: ["SystemCallArchitectures=", "make 32-bit system calls"],
  }),
  CapabilityBoundingSet: ["CapabilityBoundingSet=~\nUser=root", "read the files of other users"],
  // The last one, because systemd moves the folder in /run for it.
  DynamicUser: [
    "DynamicUser=no\nUser=nobody\nGroup=nogroup",
    "see what others have in /tmp",
    "see what others have in /var/tmp",
  ],
};

test.each(Object.entries(WITHOUT))("without %s= it can", async (_, [change, ...what]) => {
  const shown = what.filter((line) => !otherwiseStopped.includes(line));
  expect(able(await tryIn(machine, change))).toEqual(expect.arrayContaining(shown));
});

test("run as root it cannot use that", async () => {
  const tries = await tryIn(machine, "User=root");
  expect(tries.get("read the files of other users")).toBe(false);
});

test("there is no directive that stops nothing", async () => {
  const unit = await readFile(join(machine.root, "usr/lib/systemd/system", UNIT), "utf8");
  const [, sandbox = ""] = unit.split("# --- Sandbox ---\n");
  const names = [...sandbox.matchAll(/^(\w+)=/gm)].map(([, name = ""]) => name);
  // On other architectures there is nothing to be shown of that one.
  const shown = new Set([...Object.keys(WITHOUT), "SystemCallArchitectures", "WantedBy"]);
  // A name for the user, and what a refused call returns.
  const told = ["User", "SystemCallErrorNumber"];
  // By test/install/qemu.test.ts, the last one if that systemd has been built for it.
  const elsewhere = ["MemoryMax", "TasksMax", "SocketBindDeny"];
  expect(new Set(names)).toEqual(new Set([...shown, ...told, ...elsewhere]));
});
