/**
 * The life of the .deb, out of a signed repository, on each supported release of Debian: each test goes on where the
 * one before has left the machine, and ends by asking what there is then and how often EC2 was asked.
 */
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from "vitest";
import { Cloud, CONF, NEEDRESTART, UNIT } from "../support/machine/cloud.ts";
import type { Machine } from "../support/machine/machine.ts";
import { CONFIRM, RECHECK } from "../support/machine/rounds.ts";
import type { Result } from "../support/run.ts";
import { aWorld } from "../../sim/world.ts";
import { NEXT, OLDER, PREVIOUS, type Repository, type Stage, theRepository } from "./repository.ts";
import { aptSystems } from "../support/machine/roots.ts";
import { DPKG, everything, HELPER, RESULTS, type State, stateOf, WANTED } from "./state.ts";
import { Web } from "./web.ts";

/** Where the repository's page tells users to put its key and its line. */
const KEYRING = "/usr/share/keyrings/eip-heal.gpg";
const SOURCE = "/etc/apt/sources.list.d/eip-heal.list";
/** The administrator's "systemctl mask". */
const MASK = `/etc/systemd/system/${UNIT}`;
/** What somebody has changed in the settings. */
const EDIT = "EIP_HEAL_DEADLINE=9min";

const systems = aptSystems();
if (systems.length === 0) test.skip("the .deb: no system to install it on", () => {});

let repository: Repository;
let current: string;
let web: Web;

beforeAll(async () => {
  repository = await theRepository();
  ({ current } = repository);
  web = await Web.serve(repository.folder);
});

afterAll(async () => {
  await web?.close();
});

describe.each(systems)("the .deb on $name", ({ image }) => {
  const world = aWorld();
  const address = world.address();
  const tags = { "allocation-id": address.allocationId };
  const self = world.instance({ tags, metadataTags: true, autoPublicIp: true });

  let cloud: Cloud;
  let machine: Machine;
  /** The first test that failed: those after it would only tell what follows from that. */
  let failed: string | undefined;
  /** What was there before anything was installed. */
  let before: string[];

  beforeAll(async () => {
    failed = undefined;
    cloud = await Cloud.start(world);
    machine = await cloud.machine(self, image);
    await machine.start();
    await machine.waitRunning();
    before = await everything(machine);
  });

  afterAll(async () => {
    await cloud?.close();
  });

  beforeEach(({ skip, task }) => {
    skip(failed !== undefined, `because "${failed}" has failed`);
    onTestFailed(async () => {
      failed = task.name;
      console.error(await cloud.story());
    });
  });

  test.each<[string, Stage, RegExp]>([
    ["nobody has signed", "unsigned", /is not signed/],
    ["a stranger has signed", "stranger", /NO_PUBKEY|Missing key/],
    ["has another index than was signed", "tampered", /unexpected size|Hash Sum mismatch/],
  ])("apt refuses a repository that %s", async (_, stage, why) => {
    await repository.become(stage);
    await subscribe();
    const { status, stdout, stderr } = await machine.exec(["apt-get", "update"]);
    expect(status, stdout + stderr).not.toBe(0);
    expect(stdout + stderr).toMatch(why);
    expect((await apt("install", "eip-heal")).stderr).toMatch(/Unable to locate package eip-heal/);
  });

  test("apt refuses a package that is another than was signed for", async () => {
    await repository.become("damaged");
    await machine.must(["apt-get", "update"]);
    const { status, stdout, stderr } = await apt("install", `eip-heal=${PREVIOUS}`);
    expect(status).not.toBe(0);
    expect(stdout + stderr).toMatch(/Hash Sum mismatch/);
    expect(await state()).toMatchObject({ version: undefined, unit: "not-found" });
  });

  test("the first installation enables the unit, starts nothing and asks nobody", async () => {
    await repository.become("now");
    await mustApt("install", `eip-heal=${PREVIOUS}`);
    expect(await state()).toEqual({
      version: PREVIOUS,
      unit: "enabled",
      active: "inactive",
      associations: 0,
      left: left(WANTED, ...HELPER),
    });
    expect(await machine.journal(UNIT)).toEqual([]);
    expect(cloud.region.calls).toEqual([]);
    expect(cloud.region.imdsRequests).toEqual([]);
  });

  test("a reboot heals", async () => {
    await cloud.trustIn(machine.root);
    await appendFile(join(machine.root, CONF), `${EDIT}\n`);
    await reboot();
    expect(await state()).toEqual(settled(PREVIOUS, 1));
    expect(await machine.show(UNIT, "DropInPaths")).not.toEqual([""]);
    expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
  });

  test("this systemd has nothing to say about the unit", async () => {
    const verify = await machine.exec(["systemd-analyze", "verify", "--man=no", UNIT]);
    expect(verify).toEqual({ status: 0, stdout: "", stderr: "" });
  });

  test("an upgrade keeps the settings, neither restarts the unit nor asks anybody", async () => {
    await untouched(async () => {
      await mustApt("upgrade");
    });
    expect(await state()).toEqual(settled(current, 1));
    // What the generator of the version before has made is gone as well.
    expect(await machine.show(UNIT, "NeedDaemonReload", "DropInPaths")).toEqual(["no", ""]);
    expect(await conf()).toContain(EDIT);
  });

  test("so does one that brings other settings, and lays its own beside them", async () => {
    await repository.become("later");
    await untouched(async () => {
      await mustApt("upgrade", "-o", "Dpkg::Options::=--force-confold");
    });
    expect(await state()).toEqual({
      ...settled(NEXT, 1),
      left: left(WANTED, ...HELPER, ...RESULTS, `${CONF}.dpkg-dist`),
    });
    expect(await conf()).toContain(EDIT);
  });

  test("a downgrade, too, leaves unit and settings alone", async () => {
    await untouched(async () => {
      const keep = ["-o", "Dpkg::Options::=--force-confold"];
      await mustApt("install", "--allow-downgrades", ...keep, `eip-heal=${OLDER}`);
    });
    expect(await state()).toMatchObject({ ...settled(OLDER, 1), left: expect.anything() });
    expect(await conf()).toContain(EDIT);
    await machine.must(["rm", "--force", `${CONF}.dpkg-dist`]);
  });

  test("an upgrade keeps an administrator's disable", async () => {
    await machine.must(["systemctl", "disable", "--now", UNIT]);
    await mustApt("install", `eip-heal=${PREVIOUS}`);
    expect(await state()).toEqual({
      version: PREVIOUS,
      unit: "disabled",
      active: "inactive",
      associations: 1,
      left: left(...HELPER, ...RESULTS),
    });
    await reboot();
    expect(await state()).toMatchObject({ unit: "disabled", active: "inactive", associations: 1 });
  });

  test("so does a removal, for the next installation", async () => {
    await mustApt("remove", "eip-heal");
    expect(await state()).toMatchObject({ version: undefined, unit: "not-found" });
    await mustApt("install", `eip-heal=${OLDER}`);
    expect(await state()).toMatchObject({ version: OLDER, unit: "disabled", active: "inactive" });
  });

  test("an upgrade keeps an administrator's mask", async () => {
    await machine.must(["systemctl", "enable", UNIT]);
    await machine.must(["systemctl", "mask", UNIT]);
    await mustApt("install", `eip-heal=${PREVIOUS}`);
    expect(await state()).toEqual({
      version: PREVIOUS,
      unit: "masked",
      active: "inactive",
      associations: 1,
      left: left(WANTED, MASK, ...HELPER),
    });
    await machine.must(["systemctl", "unmask", UNIT]);
    expect(await state()).toMatchObject({ unit: "enabled", active: "inactive" });
  });

  test("an upgrade does not disturb a run that is still trying", async () => {
    cloud.free(address.allocationId);
    // No names: it does not get through to EC2.
    await cloud.dnsmasq.stop();
    await machine.must(["systemctl", "start", "--no-block", UNIT]);
    await machine.waitUnit(UNIT, "activating");
    const run = await machine.show(UNIT, "InvocationID", "MainPID", "ActiveState");
    await mustApt("install", `eip-heal=${current}`);
    expect(await machine.show(UNIT, "InvocationID", "MainPID", "ActiveState")).toEqual(run);

    await cloud.dnsmasq.start();
    await machine.waitUnit(UNIT);
    expect(await state()).toEqual(settled(current, 2));
  });

  test("removing stops it and keeps only the settings", async () => {
    await mustApt("remove", "eip-heal");
    expect(await state()).toMatchObject({
      version: undefined,
      unit: "not-found",
      active: "inactive",
    });
    await reboot();
    expect(await state()).toMatchObject({ left: [CONF, NEEDRESTART], active: "inactive" });
    // That somebody removes a package is no reason to cut the machine off.
    expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
  });

  test("installed again it is as at first, with the settings as they were", async () => {
    await mustApt("install", `eip-heal=${current}`);
    const { associations } = await state();
    expect(await state()).toEqual({
      version: current,
      unit: "enabled",
      active: "inactive",
      associations,
      left: left(WANTED, ...HELPER),
    });
    expect(await conf()).toContain(EDIT);
    cloud.free(address.allocationId);
    await reboot();
    expect(await state()).toEqual(settled(current, associations + 1));
  });

  test("purging leaves nothing", async () => {
    const { associations } = await state();
    await mustApt("purge", "eip-heal");
    expect(await state()).toEqual({ ...none(), associations });
    await machine.must(["rm", SOURCE, KEYRING, "/etc/eip-heal-test-ca.pem"]);
    expect(await everything(machine)).toEqual(before);
    await reboot();
    expect(await state()).toEqual({ ...none(), associations });
    expect(cloud.region.bugs).toEqual([]);
  });

  const state = () => stateOf(machine, cloud, DPKG);
  const conf = () => machine.must(["cat", CONF]);

  /** The unit was started before, succeeded, and stands as it did then. */
  function settled(version: string, associations: number): State {
    const all = left(WANTED, ...HELPER, ...RESULTS);
    return { version, unit: "enabled", active: "active", associations, left: all };
  }

  function none(): State {
    return { version: undefined, unit: "not-found", active: "inactive", associations: 0, left: [] };
  }

  /** What is done neither starts, stops nor changes the unit, and asks nobody. */
  async function untouched(doing: () => Promise<void>): Promise<void> {
    const ask = () => machine.show(UNIT, "InvocationID", "ActiveState", "UnitFileState");
    // The recheck that follows the last heal asks too, should it be time for it.
    await machine.must(["systemctl", "stop", CONFIRM, RECHECK]);
    const unit = await ask();
    const asked = [cloud.region.calls.length, cloud.region.imdsRequests.length];
    await doing();
    expect(await ask()).toEqual(unit);
    expect(await machine.show(CONFIRM, "ActiveState")).toEqual(["inactive"]);
    expect([cloud.region.calls.length, cloud.region.imdsRequests.length]).toEqual(asked);
  }

  async function reboot(): Promise<void> {
    await machine.reboot();
    expect(await machine.waitRunning()).toBe("running");
  }

  /** Subscribes the machine to the repository, with the key and the line that its page names. */
  async function subscribe(): Promise<void> {
    const now = join(repository.folder, "now");
    const page = await readFile(join(now, "index.md"), "utf8");
    const line = /echo '(deb .*)' \| sudo tee (\S+)/.exec(page);
    expect(line?.[2]).toBe(SOURCE);
    expect(line?.[1]).toContain(`[signed-by=${KEYRING}] ${repository.url}/deb `);
    await machine.copyIn(join(now, "deb/eip-heal.gpg"), KEYRING);
    await writeFile(join(machine.root, SOURCE), `${line?.[1]}\n`);
    await machine.must(["sh", "-c", "rm -rf /var/lib/apt/lists/*"]);
  }

  function apt(...args: string[]): Promise<Result> {
    return machine.exec(["apt-get", "--yes", ...args]);
  }

  /** What apt does, with the newest index. */
  async function mustApt(...args: string[]): Promise<void> {
    await machine.must(["apt-get", "update"]);
    await machine.must(["apt-get", "--yes", ...args]);
  }
});

function left(...paths: string[]): string[] {
  return paths.toSorted();
}
