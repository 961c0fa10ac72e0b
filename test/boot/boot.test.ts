/**
 * The life of one machine, from the installation of the package to its purge, on a real systemd: each test goes on
 * where the one before has left the machine.
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { Cloud, CONF, NEEDRESTART, UNIT } from "../support/machine/cloud.ts";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import { baseImage } from "../support/machine/image.ts";
import type { Machine } from "../support/machine/machine.ts";
import { builtPackage, install, packageAs } from "../support/machine/package.ts";
import { place } from "../support/machine/place.ts";
import { CONFIRM, RECHECK, RETRY, TIMER } from "../support/machine/rounds.ts";
import { eventually, must } from "../support/run.ts";

const world = aWorld();
const address = world.address();
const tags = { "allocation-id": address.allocationId };
const older = world.instance({ tags, metadataTags: true });
const self = world.instance({ tags, metadataTags: true, autoPublicIp: true });

const NAMED = `${address.allocationId} (${address.publicIp})`;
const HERE = `${self.instanceId} ${self.networkInterfaceId} ${self.privateIp}`;

let cloud: Cloud;
let machine: Machine;
let deb: string;

beforeAll(async () => {
  deb = await builtPackage();
  cloud = await Cloud.start(world);
  machine = await cloud.machine(self, baseImage());
  await machine.start();
  await machine.waitRunning();
});

afterAll(async () => {
  await cloud?.close();
});

stopAtFirstFailure();
tellOnFailure(() => cloud.story());

describe("a machine with eip-heal", () => {
  test("stands in the cloud as an instance does", async () => {
    // Whatever is wrong, no request of this test may reach anybody's real account.
    expect(await must(["ip", "route", "show", "default"])).toBe("");
    expect(await machine.must(["hostname", "--all-ip-addresses"])).toBe(`${self.privateIp} \n`);
    expect(await machine.must(["getent", "hosts", "ec2.us-east-1.amazonaws.com"])).toMatch(
      /^10\.0\.0\.2 /,
    );
    expect(await machine.must(["systemctl", "list-units", "--failed", "--no-legend"])).toBe("");
  });

  test("installing enables the unit, starts nothing and asks nobody", async () => {
    await install(machine, deb);
    await cloud.trustIn(machine.root);
    await machine.sh(
      "mkdir /etc/systemd/system/eip-heal-preload.service.d; " +
        "printf '[Service]\\nStandardError=journal\\n' >/etc/systemd/system/eip-heal-preload.service.d/tell.conf",
    );

    expect(await show("UnitFileState", "ActiveState")).toEqual(["enabled", "inactive"]);
    expect(await machine.journal(UNIT)).toEqual([]);
    expect(cloud.region.calls).toEqual([]);
    expect(cloud.region.imdsRequests).toEqual([]);
  });

  test("a boot brings it under its address", async () => {
    await machine.reboot();

    expect(await machine.waitRunning()).toBe("running");
    expect(await show("ActiveState", "SubState", "Result")).toEqual([
      "active",
      "exited",
      "success",
    ]);
    expect(cloud.region.holder(address.allocationId)).toMatchObject({
      instanceId: self.instanceId,
      networkInterfaceId: self.networkInterfaceId,
      privateIp: self.privateIp,
    });
    const [associate, ...more] = cloud.associations();
    // A free address: should somebody be quicker, that must be an error, not a theft.
    expect(associate).toMatchObject({
      instanceId: self.instanceId,
      params: { AllowReassociation: "false" },
      status: 200,
    });
    expect(more).toEqual([]);
  });

  test("it has read the program from the disk while it waited for the network", async () => {
    const unit = "eip-heal-preload.service";
    expect(await machine.show(unit, "ActiveState", "ExecMainStatus", "DynamicUser")).toEqual([
      "active",
      "0",
      "yes",
    ]);
    // What dd tells of each of the four parts.
    const parts = (await machine.journal(unit)).filter((line) => line.endsWith(" records out"));
    expect(parts).toEqual(Array.from({ length: 4 }, () => "18+0 records out"));
    await machine.must(["rm", "-r", `/etc/systemd/system/${unit}.d`]);
  });

  test("the journal and systemctl status say so in one line", async () => {
    const lines = (await machine.journal(UNIT)).filter((line) => line.startsWith("associated"));
    expect(lines).toEqual([expect.stringMatching(/, 1 try, \d+\.\d s$/)]);
    expect(lines[0]).toContain(`associated ${NAMED} with ${HERE}, `);

    const status = await machine.must(["systemctl", "status", "--no-pager", "--full", UNIT]);
    expect(status).toMatch(/Loaded: loaded \(.*\/systemd\/system\/eip-heal\.service; enabled/);
    expect(status).toMatch(/Active: active \(exited\) since/);
    expect(status).toContain(`${lines[0]}`);
    // What "aws ec2 get-console-output" would show.
    await eventually("it is on the console", () => machine.console.includes(`${lines[0]}`));
  });

  test("/run/eip-heal tells other programs and units", async () => {
    const result = JSON.parse(await machine.must(["cat", "/run/eip-heal/result.json"])) as unknown;
    expect(result).toMatchObject({
      version: 1,
      outcome: "settled",
      change: "associated",
      exitStatus: 0,
      instanceId: self.instanceId,
      region: "us-east-1",
      allocationId: address.allocationId,
      publicIp: address.publicIp,
      interfaceId: self.networkInterfaceId,
      privateIp: self.privateIp,
    });
    expect((await machine.must(["cat", "/run/eip-heal/env"])).trim().split("\n").sort()).toEqual([
      `EIP_HEAL_ALLOCATION_ID=${address.allocationId}`,
      `EIP_HEAL_INSTANCE_ID=${self.instanceId}`,
      `EIP_HEAL_INTERFACE_ID=${self.networkInterfaceId}`,
      `EIP_HEAL_PRIVATE_IP=${self.privateIp}`,
      `EIP_HEAL_PUBLIC_IP=${address.publicIp}`,
    ]);
  });

  test("doctor sees that all is well, and the unit and its last run by the real systemd", async () => {
    const { status, stdout } = await machine.exec(["eip-heal", "doctor", "--json"]);
    const { healthy, checks } = JSON.parse(stdout) as {
      healthy: boolean;
      checks: { id: string; mark: string; found: string }[];
    };
    expect([status, healthy], stdout).toEqual([0, true]);
    expect(checks.filter(({ mark }) => mark !== "ok")).toEqual([]);
    expect(Object.fromEntries(checks.map(({ id, found }) => [id, found]))).toMatchObject({
      endpoint: expect.stringContaining("ec2.us-east-1.amazonaws.com is ") as string,
      tls: expect.stringContaining("its certificate is trusted") as string,
      holder: expect.stringContaining("this instance, in the right place") as string,
      unit: "eip-heal.service is enabled; active, its last run succeeded",
      recheck: expect.stringContaining("the timer is off") as string,
    });
  });

  test("status tells root all, and others what they may see", async () => {
    const told = await machine.must(["eip-heal", "status"]);
    expect(told).toMatch(/^ok +status: the address is here$/m);
    expect(told).toMatch(/^last run: .* ago: associated .*\(exit status 0\)$/m);
    // That of the heal, until it has been.
    expect(told).toMatch(/^next recheck: (?:in \d.* s|none, the timer is off)$/m);

    const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const asNobody = await machine.must([...nobody, "eip-heal", "status"]);
    expect(asNobody).toMatch(/^ok +status: the address is here$/m);
    expect(asNobody).toMatch(/^last run: .* can be read by root only: sudo eip-heal status$/m);
    await machine.must([...nobody, "eip-heal", "doctor"]);
  });

  test("a restart when all is well costs a look or two and changes nothing", async () => {
    const before = cloud.region.calls.length;
    await machine.must(["systemctl", "restart", UNIT]);

    // So soon after the boot has associated it, it is held once more.
    const calls = cloud.region.calls.slice(before);
    expect(calls.length).toBeLessThanOrEqual(2);
    for (const { action, instanceId } of calls) {
      expect([action, instanceId]).toEqual(["DescribeAddresses", self.instanceId]);
    }
    expect((await machine.journal(UNIT)).join("\n")).toContain(
      `${NAMED} is already associated with ${HERE}`,
    );
  });

  test("a restart takes the address back from an older instance", async () => {
    await expectHealed(() => machine.must(["systemctl", "restart", UNIT]));
  });

  test("so does a reboot", async () => {
    await expectHealed(async () => {
      await machine.reboot();
      expect(await machine.waitRunning()).toBe("running");
    });
  });

  test("the timer of the rechecks is there, and nobody has enabled it", async () => {
    expect((await machine.exec(["systemctl", "is-enabled", TIMER])).stdout).toBe("disabled\n");
    await machine.must(["systemctl", "enable", "--quiet", "--now", TIMER]);

    expect(await machine.show(TIMER, "ActiveState", "SubState")).toEqual(["active", "waiting"]);
    expect(await machine.must(["systemctl", "list-timers", "--no-legend", TIMER])).toContain(
      RECHECK,
    );

    const { recheckInMs } = JSON.parse(await machine.must(["eip-heal", "status", "--json"])) as {
      recheckInMs: number;
    };
    expect(recheckInMs).toBeGreaterThanOrEqual(0);
    expect(recheckInMs).toBeLessThan(75_000);

    // A minute after the boot it starts this. All is well: EC2 is not asked.
    const before = cloud.region.calls.length;
    await machine.must(["systemctl", "start", RECHECK]);
    expect(cloud.region.calls.slice(before)).toEqual([]);
    // Who has enabled it takes that back: its link is no business of the package's removal.
    await machine.must(["systemctl", "disable", "--quiet", "--now", TIMER]);
  });

  test("a recheck finds that the address has gone, and brings it back", async () => {
    await expectHealed(() => machine.must(["systemctl", "start", RECHECK]));
    expect((await machine.journal(RECHECK)).join("\n")).toContain(
      `${address.publicIp} was verified here, and instance metadata shows`,
    );
  });

  test("systemd has nothing to say about the unit", async () => {
    expect(await machine.exec(["systemd-analyze", "verify", "--man=no", UNIT])).toEqual({
      status: 0,
      stdout: "",
      stderr: "",
    });
  });

  test("what all services are given for somebody else's Node programs changes nothing", async () => {
    const given = [
      "NODE_OPTIONS=--require=/nonexistent.js",
      "NODE_DEBUG=net,http,tls",
      "NODE_TLS_REJECT_UNAUTHORIZED=0",
      "NODE_REPL_EXTERNAL_MODULE=/nonexistent.js",
      "NODE_V8_COVERAGE=/run/eip-heal/coverage",
      // With these Node takes itself for the child of another one, and ends with SIGABRT.
      "NODE_CHANNEL_FD=0",
      "NODE_UNIQUE_ID=1",
    ];
    await machine.must(["systemctl", "set-environment", ...given]);
    const before = (await machine.journal(UNIT)).length;
    await machine.must(["systemctl", "restart", UNIT]);
    const lines = (await machine.journal(UNIT)).slice(before);
    expect(lines.filter((line) => line.startsWith(NAMED))).toHaveLength(1);
    expect(lines.join("\n")).not.toMatch(/warning|NET \d|HTTP \d|TLS \d/i);
    expect(await machine.must(["ls", "/run/eip-heal"])).not.toContain("coverage");
    const names = given.map((one) => one.split("=")[0] ?? "");
    await machine.must(["systemctl", "unset-environment", ...names]);
  });

  test("an upgrade neither restarts it nor asks anybody, nor starts a timer", async () => {
    await endRechecks();
    await machine.must(["systemctl", "stop", RETRY]);
    const newer = await packageAs(deb, "999.0", join(place().scratch, "tmp"));
    const [calls, requests] = [cloud.region.calls.length, cloud.region.imdsRequests.length];
    const before = await show("InvocationID", "ActiveState", "UnitFileState");
    await install(machine, newer);

    expect(await machine.must(["dpkg-query", "-W", "-f", "${Version}", "eip-heal"])).toBe("999.0");
    expect(await show("InvocationID", "ActiveState", "UnitFileState")).toEqual(before);
    expect(await show("NeedDaemonReload")).toEqual(["no"]);
    for (const timer of [CONFIRM, RETRY, TIMER])
      expect(await machine.show(timer, "ActiveState"), timer).toEqual(["inactive"]);
    expect(cloud.region.calls.slice(calls)).toEqual([]);
    expect(cloud.region.imdsRequests.slice(requests)).toEqual([]);
    expect(await machine.must(["cat", CONF])).toContain("NODE_EXTRA_CA_CERTS=");
  });

  test("no request for metadata without a token, no secret in the journal, no fault of the region", async () => {
    const bare = cloud.region.imdsRequests.filter(
      ({ method, token }) => method !== "PUT" && token !== "valid",
    );
    expect(bare).toEqual([]);
    const journal = await machine.must(["journalctl", "--no-pager", "-o", "export"]);
    expect(cloud.region.secrets.length).toBeGreaterThan(0);
    expect(cloud.region.secrets.filter((secret) => journal.includes(secret))).toEqual([]);
    expect(cloud.region.bugs).toEqual([]);
  });

  test("removing stops and disables it, and keeps the settings", async () => {
    await machine.must(["systemctl", "restart", UNIT]);
    await machine.waitUnit(CONFIRM);
    await machine.must(["apt-get", "remove", "--yes", "eip-heal"]);

    expect(await show("LoadState", "ActiveState")).toEqual(["not-found", "inactive"]);
    for (const timer of [CONFIRM, RETRY]) {
      const gone = await machine.show(timer, "LoadState", "ActiveState");
      expect(gone, timer).toEqual(["not-found", "inactive"]);
    }
    // What the last run found may stay in /run until the purge or the next boot.
    const traces = (await findTraces()).filter((path) => !path.startsWith("/run/"));
    expect(traces).toEqual([CONF, NEEDRESTART, ...(await dpkgRecords())]);
    // The address stays: that somebody removes a package is no reason to cut the machine off.
    expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
  });

  test("purging leaves nothing", async () => {
    await machine.must(["apt-get", "purge", "--yes", "eip-heal"]);

    expect(await findTraces()).toEqual([]);
    expect((await machine.exec(["dpkg-query", "-W", "eip-heal"])).status).not.toBe(0);
    expect(
      await machine.must(["systemctl", "list-units", "--all", "--no-legend", "eip-heal*"]),
    ).toBe("");
    await machine.reboot();
    expect(await machine.waitRunning()).toBe("running");
  });
});

/** Properties of the unit, in the order asked for. */
function show(...properties: string[]): Promise<(string | undefined)[]> {
  return machine.show(UNIT, ...properties);
}

/** The older instance gets the address; what is done then brings it back with a single request. */
async function expectHealed(doing: () => Promise<unknown>): Promise<void> {
  await endRechecks();
  cloud.move(address.allocationId, older);
  const before = cloud.associations().length;
  await doing();
  expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
  expect(cloud.associations().slice(before)).toEqual([
    expect.objectContaining({ params: expect.objectContaining({ AllowReassociation: "true" }) }),
  ]);
  const last = (await machine.journal(UNIT)).findLast((line) => line.startsWith("associated"));
  expect(last).toContain(`associated ${NAMED} with ${HERE}, taken from ${older.instanceId} (`);
  expect(await show("ActiveState", "SubState")).toEqual(["active", "exited"]);
}

/** The recheck that follows the last heal does not come: on a slow machine it would be in between what is tested. */
async function endRechecks(): Promise<void> {
  await machine.must(["systemctl", "stop", CONFIRM, RECHECK]);
}

/** All files whose name is about the package, the test's own certificate apart. */
async function findTraces(): Promise<string[]> {
  const found = await machine.sh(
    "find / /run /tmp /dev/shm -xdev -name '*eip-heal*' ! -name eip-heal-test-ca.pem",
  );
  return [...new Set(found.split("\n"))].filter((path) => path !== "").sort();
}

/** What dpkg keeps of a package that is removed but not purged. */
async function dpkgRecords(): Promise<string[]> {
  const found = await machine.sh("ls /var/lib/dpkg/info/eip-heal.*");
  return found.split("\n").filter((path) => path !== "");
}
