/**
 * The life of the .rpm, out of a signed repository, with dnf, where the system's presets enable nothing: each test goes
 * on where the one before has left the machine, and ends by asking what there is then and how often EC2 was asked.
 */
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from "vitest";
import { Cloud, CONF, UNIT } from "../support/machine/cloud.ts";
import type { Machine } from "../support/machine/machine.ts";
import { CONFIRM, RECHECK } from "../support/machine/rounds.ts";
import { aWorld } from "../../sim/world.ts";
import { NEXT, OLDER, PREVIOUS, type Repository, type Stage, theRepository } from "./repository.ts";
import { dnfSystem } from "../support/machine/roots.ts";
import { everything, RESULTS, RPM, type State, stateOf, WANTED } from "./state.ts";
import { Web } from "./web.ts";

const SOURCE = "/etc/yum.repos.d/eip-heal.repo";
/** The administrator's "systemctl mask". */
const MASK = `/etc/systemd/system/${UNIT}`;
/** What somebody has changed in the settings. */
const EDIT = "EIP_HEAL_DEADLINE=9min";

const system = dnfSystem();

describe.skipIf(system === undefined)("the .rpm", () => {
  const world = aWorld();
  const address = world.address();
  const tags = { "allocation-id": address.allocationId };
  const self = world.instance({ tags, metadataTags: true, autoPublicIp: true });

  let repository: Repository;
  let current: string;
  let web: Web;
  let cloud: Cloud;
  let machine: Machine;
  /** The first test that failed: those after it would only tell what follows from that. */
  let failed: string | undefined;
  /** What was there before anything was installed. */
  let before: string[];

  beforeAll(async () => {
    repository = await theRepository();
    ({ current } = repository);
    web = await Web.serve(repository.folder);
    cloud = await Cloud.start(world);
    machine = await cloud.machine(self, system?.image ?? { layers: [] });
    await machine.start();
    await machine.waitRunning();
    before = await everything(machine);
  });

  afterAll(async () => {
    await web?.close();
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
    ["a repository that nobody has signed", "unsigned", /repomd\.xml\.asc/],
    [
      "a repository that a stranger has signed",
      "stranger",
      /repomd\.xml GPG signature verification error/,
    ],
    [
      "a repository that has another index than was signed",
      "tampered",
      /GPG signature verification error/,
    ],
    ["a package that is another than was signed for", "damaged", /checksum|digest/i],
    ["a package that nobody has signed", "bare", /is not signed|GPG check FAILED/],
  ])("dnf refuses %s", async (_, stage, why) => {
    await repository.become(stage);
    await subscribe();
    const { status, stdout, stderr } = await machine.exec([
      "dnf",
      "--assumeyes",
      "--refresh",
      "install",
      `eip-heal-${OLDER}`,
    ]);
    expect(status, stdout + stderr).not.toBe(0);
    expect(stdout + stderr).toMatch(why);
    expect(await state()).toEqual(none());
    await machine.must(["dnf", "clean", "all"]);
  });

  test("the first installation enables the unit in spite of the presets, starts nothing and asks nobody", async () => {
    await repository.become("now");
    await dnf("install", `eip-heal-${PREVIOUS}`);
    expect(await state()).toEqual({
      version: PREVIOUS,
      unit: "enabled",
      active: "inactive",
      associations: 0,
      left: left(WANTED),
    });
    expect(await machine.show(UNIT, "UnitFilePreset")).toEqual(["disabled"]);
    expect(await machine.must(["rpm", "--verify", "eip-heal"])).toBe("");
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

  test("an upgrade keeps the settings, neither restarts the unit nor asks anybody", async () => {
    await untouched(async () => {
      await dnf("upgrade");
    });
    expect(await state()).toEqual(settled(current, 1));
    // What the generator of the version before has made is gone as well.
    expect(await machine.show(UNIT, "NeedDaemonReload", "DropInPaths")).toEqual(["no", ""]);
    expect(await conf()).toContain(EDIT);
  });

  test("so does one that brings other settings, and lays its own beside them", async () => {
    await repository.become("later");
    await untouched(async () => {
      await dnf("upgrade");
    });
    expect(await state()).toEqual({
      ...settled(NEXT, 1),
      left: left(WANTED, ...RESULTS, `${CONF}.rpmnew`),
    });
    expect(await conf()).toContain(EDIT);
  });

  test("a downgrade, too, leaves unit and settings alone", async () => {
    await untouched(async () => {
      await dnf("downgrade", `eip-heal-${OLDER}`);
    });
    expect(await state()).toMatchObject({ ...settled(OLDER, 1), left: expect.anything() });
    expect(await conf()).toContain(EDIT);
    await machine.must(["rm", "--force", `${CONF}.rpmnew`]);
  });

  test("an upgrade keeps an administrator's disable", async () => {
    await machine.must(["systemctl", "disable", "--now", UNIT]);
    await dnf("upgrade", `eip-heal-${PREVIOUS}`);
    expect(await state()).toEqual({
      version: PREVIOUS,
      unit: "disabled",
      active: "inactive",
      associations: 1,
      left: left(...RESULTS),
    });
    await dnf("reinstall", `eip-heal-${PREVIOUS}`);
    expect(await state()).toMatchObject({ unit: "disabled", active: "inactive" });
    await reboot();
    expect(await state()).toMatchObject({ unit: "disabled", active: "inactive", associations: 1 });
  });

  test("an upgrade keeps an administrator's mask", async () => {
    await machine.must(["systemctl", "enable", UNIT]);
    await machine.must(["systemctl", "mask", UNIT]);
    await dnf("downgrade", `eip-heal-${OLDER}`);
    await dnf("upgrade", `eip-heal-${PREVIOUS}`);
    expect(await state()).toEqual({
      version: PREVIOUS,
      unit: "masked",
      active: "inactive",
      associations: 1,
      left: left(WANTED, MASK),
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
    await dnf("upgrade", `eip-heal-${current}`);
    expect(await machine.show(UNIT, "InvocationID", "MainPID", "ActiveState")).toEqual(run);

    await cloud.dnsmasq.start();
    await machine.waitUnit(UNIT);
    expect(await state()).toEqual(settled(current, 2));
  });

  test("erasing stops it and leaves only the settings that somebody has changed", async () => {
    await dnf("remove", "eip-heal");
    expect(await state()).toEqual({ ...none(), associations: 2, left: [`${CONF}.rpmsave`] });
    // That somebody removes a package is no reason to cut the machine off.
    expect(cloud.region.holder(address.allocationId)?.instanceId).toBe(self.instanceId);
  });

  test("installed again it is as at first", async () => {
    await dnf("install", `eip-heal-${OLDER}`);
    expect(await state()).toEqual({
      version: OLDER,
      unit: "enabled",
      active: "inactive",
      associations: 2,
      left: left(WANTED, `${CONF}.rpmsave`),
    });
    // The administrator takes his settings back.
    await machine.must(["mv", `${CONF}.rpmsave`, CONF]);
    cloud.free(address.allocationId);
    await reboot();
    expect(await state()).toEqual(settled(OLDER, 3));
  });

  test("erased, with its settings as they came, it leaves nothing", async () => {
    await machine.must(["rm", CONF]);
    await dnf("reinstall", `eip-heal-${OLDER}`);
    await dnf("remove", "eip-heal");
    expect(await state()).toEqual({ ...none(), associations: 3 });
    await machine.must(["rm", SOURCE, "/etc/eip-heal-test-ca.pem"]);
    expect(await everything(machine)).toEqual(before);
    await reboot();
    expect(await state()).toEqual({ ...none(), associations: 3 });
    expect(cloud.region.bugs).toEqual([]);
  });

  const state = () => stateOf(machine, cloud, RPM);
  const conf = () => machine.must(["cat", CONF]);

  /** The unit was started before, succeeded, and stands as it did then. */
  function settled(version: string, associations: number): State {
    const all = left(WANTED, ...RESULTS);
    return { version, unit: "enabled", active: "active", associations, left: all };
  }

  function none(): State {
    return { version: undefined, unit: "not-found", active: "inactive", associations: 0, left: [] };
  }

  /** What is done neither starts, stops nor changes the unit, starts no timer and asks nobody. */
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

  /** Subscribes the machine to the repository, with the file that its page names. */
  async function subscribe(): Promise<void> {
    const file = join(repository.folder, "now/rpm/eip-heal.repo");
    await machine.copyIn(file, SOURCE);
  }

  /** What dnf does, with the newest metadata; it must succeed. */
  async function dnf(...args: string[]): Promise<void> {
    await machine.must(["dnf", "--assumeyes", "--refresh", ...args]);
  }
});

function left(...paths: string[]): string[] {
  return paths.toSorted();
}
