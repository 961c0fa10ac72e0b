/**
 * A boot at which somebody else holds the address for long, on a machine with cloud-init: everything is there as if
 * nothing were missing, but for those who ask for the address. One boot, looked at from all sides: each test goes on
 * where the one before has left the machine.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { Cloud, CONF, UNIT } from "../support/machine/cloud.ts";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import type { Builder } from "../support/machine/image.ts";
import type { Machine } from "../support/machine/machine.ts";
import { CONFIRM, retryAfter } from "../support/machine/rounds.ts";
import { eventually, must } from "../support/run.ts";

/** Who logs in, and the PAM service that lets them. */
const USER = "admin";
const LOGIN = "remote-login";

/**
 * User data of both kinds. The settings are written before the heal begins; the script runs at the very end of the
 * boot, and notes how far the heal is by then.
 */
const USER_DATA = `Content-Type: multipart/mixed; boundary="=="
MIME-Version: 1.0

--==
Content-Type: text/cloud-config

write_files:
  - path: ${CONF}
    append: true
    content: |
      EIP_HEAL_TAKEOVER=never

--==
Content-Type: text/x-shellscript

#!/bin/sh
systemctl show --property=ActiveState --value ${UNIT} >/run/user-data

--==--
`;

/** As docs/operate.md has it: a service that must not start without the address. */
const SERVICE = "needs-address.service";
const NEEDS_ADDRESS = `[Unit]
Requires=${UNIT}
After=${UNIT} multi-user.target
[Service]
Type=oneshot
RemainAfterExit=yes
EnvironmentFile=/run/eip-heal/env
ExecStart=/bin/sh -c 'echo "serving at $EIP_HEAL_PUBLIC_IP"'
[Install]
WantedBy=multi-user.target ${UNIT}
`;

/** How systemd speaks of ordering cycles. */
const CYCLE = /ordering cycle|deleted to break/i;

const world = aWorld();
const address = world.address();
const tags = { "allocation-id": address.allocationId };
const older = world.instance({ tags });
const self = world.instance({ tags, metadataTags: true });
world.hold(address, older);

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

test("the boot goes through while the heal waits for the holder to let go", async () => {
  await machine.start();
  await machine.waitUnit("multi-user.target");
  await eventually("it says whom it waits for", async () =>
    (await machine.journal(UNIT)).some((line) =>
      line.includes(`held by ${older.instanceId}, and `),
    ),
  );
  await expectWaiting();
});

test("a person can log in", async () => {
  // Five seconds later than usual: for so long systemd holds a getty back while any job runs, and no longer.
  await eventually("the console asks who it is", () =>
    machine.console.includes(`${machine.name} login: `),
  );
  const login = [
    "systemd-run",
    "--quiet",
    "--pipe",
    "--wait",
    "--collect",
    `--property=User=${USER}`,
    `--property=PAMName=${LOGIN}`,
    "sh",
    "-c",
    `echo "$(id -un) sees the heal $(systemctl is-active ${UNIT})"`,
  ];
  expect(await machine.must(login)).toBe(`${USER} sees the heal activating\n`);
  await expectWaiting();

  // It would be refused while the system says that it is not up yet.
  await machine.must(["touch", "/run/nologin"]);
  expect((await machine.exec(login)).status).not.toBe(0);
  await machine.must(["rm", "/run/nologin"]);
});

test("the user data have run", async () => {
  await eventually(
    "the script has run",
    async () => (await machine.exec(["test", "-s", "/run/user-data"])).status === 0,
  );
  // Noted by the script itself.
  expect(await machine.must(["cat", "/run/user-data"])).toBe("activating\n");
  await machine.waitUnit("cloud-final.service");
  await expectWaiting();
});

test("a service that needs the address waits, the timer of the recheck after it, and nothing else", async () => {
  await eventually("no other job is left", async () => {
    const jobs = await machine.must(["systemctl", "list-jobs", "--no-legend", "--plain"]);
    const waiting = jobs.split("\n").flatMap((line) => line.trim().split(/\s+/)[1] ?? []);
    return waiting.toSorted().join() === [UNIT, CONFIRM, SERVICE].toSorted().join();
  });
  expect(await machine.show(SERVICE, "ActiveState")).toEqual(["inactive"]);
  expect(await machine.journal(SERVICE)).toEqual([]);
  expect(await machine.show(CONFIRM, "ActiveState")).toEqual(["inactive"]);
  await expectWaiting();
});

test("no ordering cycle, neither in this boot nor with all units that boots start", async () => {
  // In a container systemd speaks of the start itself on the console only.
  expect(machine.console).toContain("Welcome to");
  expect(machine.console).not.toMatch(CYCLE);
  expect(await machine.must(["journalctl", "--boot", "--no-pager"])).not.toMatch(CYCLE);
  expect(await verify()).not.toMatch(CYCLE);

  // It would be seen: what the unit warns of, on this very machine. systemd itself does not get to read it.
  const dropIns = `/etc/systemd/system/${UNIT}.d`;
  await mkdir(join(machine.root, dropIns));
  await writeFile(
    join(machine.root, dropIns, "cycle.conf"),
    "[Unit]\nAfter=cloud-final.service\nBefore=multi-user.target\n",
  );
  expect(await verify()).toMatch(CYCLE);
  await machine.must(["rm", "-r", dropIns]);
});

test("the process that waits is shut in: no privileges, nothing to write to", async () => {
  const [pid] = await machine.show(UNIT, "MainPID");
  const text = await machine.must(["cat", `/proc/${pid}/status`]);
  const field = (name: string) =>
    new RegExp(`^${name}:\\s*(.*)$`, "m").exec(text)?.[1]?.split(/\s+/) ?? [];
  // The range that systemd takes dynamic users from.
  const uid = Number(field("Uid")[0]);
  expect(uid).toBeGreaterThanOrEqual(61184);
  expect(uid).toBeLessThanOrEqual(65519);
  expect(new Set(field("Uid")).size).toBe(1);
  for (const set of ["CapPrm", "CapEff", "CapBnd", "CapAmb"])
    expect(field(set), set).toEqual(["0000000000000000"]);
  expect(field("NoNewPrivs")).toEqual(["1"]);
  expect(field("Seccomp")).toEqual(["2"]);
  // Its view of the file system: all read-only but its own corners.
  const mounts = await machine.must(["cat", `/proc/${pid}/mountinfo`]);
  expect(/^\S+ \S+ \S+ \S+ \/ (\S+) /m.exec(mounts)?.[1]?.split(",")).toContain("ro");
  // From outside: in there not even touch(1) may be executed.
  const files = ["/usr/bin/x", "/etc/x", "/var/x"].map((path) => `/proc/${pid}/root${path}`);
  const touched = await machine.exec(["touch", ...files]);
  expect(touched.stderr.match(/Read-only file system/g)).toHaveLength(3);
});

test("when the holder lets go, the heal and the service get there by themselves", async () => {
  // It has waited for a while, not just missed the holder once.
  const looks = () => cloud.region.calls.filter((call) => call.action === "DescribeAddresses");
  await eventually("it has looked three times", () => looks().length >= 3);
  await expectWaiting();

  cloud.free(address.allocationId);
  await machine.waitUnit(UNIT);
  await machine.waitUnit(SERVICE);
  expect(await machine.journal(SERVICE)).toContain(`serving at ${address.publicIp}`);
  expect(await machine.waitRunning()).toBe("running");
  expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
  expect(cloud.associations()).toEqual([
    expect.objectContaining({ params: expect.objectContaining({ AllowReassociation: "false" }) }),
  ]);
});

test("the service follows when a later try of the unit succeeds where the first has failed", async () => {
  const dropIns = `/etc/systemd/system/${UNIT}.d`;
  const impatient = "[Service]\nEnvironment=EIP_HEAL_DEADLINE=1s\n";
  await retryAfter(machine.root, "1s");
  await machine.sh(`mkdir -p ${dropIns}; printf '${impatient}' >${dropIns}/impatient.conf`);
  await machine.must(["systemctl", "daemon-reload"]);
  const fault = cloud.region.faults.add({
    service: "ec2",
    effect: { do: "error", code: "InternalError", status: 500 },
  });
  expect((await machine.exec(["systemctl", "restart", UNIT])).status).not.toBe(0);
  const began = () => machine.show(UNIT, "ExecMainStartTimestampMonotonic");
  const [first] = await began();
  await eventually("it is tried again", async () => (await began())[0] !== first);
  expect(await machine.show(SERVICE, "ActiveState")).toEqual(["inactive"]);
  cloud.region.faults.clear(fault);
  await machine.waitUnit(UNIT);
  await machine.waitUnit(SERVICE);
  await machine.sh(`rm -r ${dropIns}; systemctl daemon-reload`);
});

test("a shutdown does not wait for a heal that waits", async () => {
  cloud.move(address.allocationId, older);
  await machine.must(["systemctl", "restart", "--no-block", UNIT]);
  await eventually("it waits again", async () =>
    (await machine.journal(UNIT)).at(-1)?.includes("next try in"),
  );
  await machine.powerOff();

  const journal = ["journalctl", `--directory=${machine.root}/var/log/journal`, "--no-pager"];
  const last = await must([...journal, `--unit=${UNIT}`, "--output=cat"]);
  expect(last).toMatch(/^stopped by SIGTERM while waiting /m);
  expect(last).not.toMatch(/timed out|SIGKILL/i);
});

/** Real cloud-init with user data that lie on the disk, somebody who may log in, and the service. */
async function prepare(builder: Builder): Promise<void> {
  await builder.must([
    "sh",
    "-euc",
    "apt-get install --yes --no-install-recommends /var/cache/shelf/*.deb",
  ]);
  const seed = join(builder.root, "var/lib/cloud/seed/nocloud");
  await mkdir(seed, { recursive: true });
  await writeFile(join(seed, "meta-data"), `instance-id: ${self.instanceId}\n`);
  await writeFile(join(seed, "user-data"), USER_DATA);
  await writeFile(
    join(builder.root, "etc/cloud/cloud.cfg.d/90-test.cfg"),
    // The network is configured already; no other locale is there.
    "datasource_list: [NoCloud]\nnetwork: {config: disabled}\nlocale: C.UTF-8\n",
  );

  await builder.must(["useradd", "--create-home", USER]);
  await writeFile(
    join(builder.root, "etc/pam.d", LOGIN),
    // What sshd's has on logins of a system that is not up yet, and the rules of all services.
    "account required pam_nologin.so\n@include common-account\n@include common-session\n",
  );

  await writeFile(join(builder.root, "etc/systemd/system", SERVICE), NEEDS_ADDRESS);
  await builder.must(["systemctl", "enable", "--quiet", SERVICE]);
}

/** The heal is at it, in the first process that was started, and has changed nothing. */
async function expectWaiting(): Promise<void> {
  const seen = await machine.show(UNIT, "ActiveState", "InactiveEnterTimestampMonotonic");
  expect(seen).toEqual(["activating", "0"]);
  expect(cloud.associations()).toEqual([]);
}

/** What systemd says of a boot of this machine, with the units that generators add, such as cloud-init's. */
async function verify(): Promise<string> {
  const { stdout, stderr } = await machine.exec([
    "systemd-analyze",
    "verify",
    "--man=no",
    "--generators=yes",
    "default.target",
  ]);
  return stdout + stderr;
}
