/**
 * The life of the package, step by step: each goes on where the one before has left the machine, and ends by asking what
 * there is then and how often EC2 was asked. The package managers share the table; a row says where they differ.
 */
import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { CONF, NEEDRESTART, UNIT } from "../support/machine/cloud.ts";
import type { Life } from "./life.ts";
import type { PackageManager } from "./managers.ts";
import { NEXT, OLDER, PREVIOUS } from "./repository.ts";
import { everything, RESULTS } from "./state.ts";

type Name = PackageManager["name"];

interface Step {
  /** What the step shows; a manager that is not named has no such step. */
  readonly title: string | Readonly<Partial<Record<Name, string>>>;
  readonly run: (life: Life) => Promise<void>;
}

/** The administrator's "systemctl mask". */
const MASK = `/etc/systemd/system/${UNIT}`;
/** What somebody has changed in the settings. */
const EDIT = "EIP_HEAL_DEADLINE=9min";
/** What the generator of 0.1.0 takes for a system without user namespaces; the kernel knows no such limit. */
const LIMIT = "/etc/sysctl.d/no-namespaces.conf";
/** Where rpm keeps settings that somebody has changed when it erases their package. */
const SAVED = `${CONF}.rpmsave`;

/** What an older systemd says of directives that came with 248 and 249: docs/sandbox.md has them as its gaps. */
const GAP =
  /Unknown key name '(?:NoExecPaths|ExecPaths|SocketBindDeny)' in section 'Service', ignoring\./;
const withoutGaps = (lines: readonly string[]) => lines.filter((line) => !GAP.test(line));

const STEPS: readonly Step[] = [
  {
    title: {
      apt: "the first installation enables the unit, starts nothing and asks nobody",
      dnf: "the first installation enables the unit in spite of the presets, starts nothing and asks nobody",
    },
    async run(life) {
      const { machine, manager, repository, cloud } = life;
      await repository.become("now");
      await manager.install(machine, PREVIOUS);
      expect(await life.state()).toEqual(life.fresh(PREVIOUS, 0));
      if (manager.name === "dnf") {
        expect(await machine.show(UNIT, "UnitFilePreset")).toEqual(["disabled"]);
        expect(await machine.must(["rpm", "--verify", "eip-heal"])).toBe("");
      }
      expect(withoutGaps(await machine.journal(UNIT))).toEqual([]);
      expect(cloud.region.calls).toEqual([]);
      expect(cloud.region.imdsRequests).toEqual([]);
    },
  },
  {
    title: "a reboot heals",
    async run(life) {
      await life.cloud.trustIn(life.machine.root);
      await appendFile(join(life.machine.root, CONF), `${EDIT}\n`);
      await writeFile(join(life.machine.root, LIMIT), "-user.max_nothing_namespaces = 0\n");
      await life.reboot();
      expect(await life.state()).toEqual(life.settled(PREVIOUS, 1));
      expect(life.isHere()).toBe(true);
      // What the generator has made. Where /lib is no link, as on this Debian 11, systemd reads none in /usr/lib.
      const isLink = (await life.machine.exec(["test", "-L", "/lib"])).status === 0;
      const [dropIns] = await life.machine.show(UNIT, "DropInPaths");
      expect(dropIns).toContain(isLink ? "/run/systemd/generator/" : "");
    },
  },
  {
    title: "an upgrade keeps the settings, neither restarts the unit nor asks anybody",
    async run(life) {
      await life.untouched(() => life.manager.upgrade(life.machine));
      expect(await life.state()).toEqual(life.settled(life.repository.current, 1));
      // As the systemd of RHEL does by a file trigger, when the files of the version before have gone. This one is Debian's.
      if (life.manager.name === "dnf") await life.machine.must(["systemctl", "daemon-reload"]);
      // What the generator of the version before has made is gone as well.
      const unit = await life.machine.show(UNIT, "NeedDaemonReload", "DropInPaths");
      expect(unit).toEqual(["no", ""]);
      expect(await life.conf()).toContain(EDIT);
    },
  },
  {
    // With dnf it is the very systemd of one of those with apt.
    title: { apt: "this systemd has nothing to say about the unit" },
    async run({ machine }) {
      const verify = await machine.exec(["systemd-analyze", "verify", "--man=no", UNIT]);
      const said = withoutGaps(verify.stderr.split("\n").filter((line) => line !== ""));
      expect({ ...verify, stderr: said }).toEqual({ status: 0, stdout: "", stderr: [] });
    },
  },
  {
    title: "so does one that brings other settings, and lays its own beside them",
    async run(life) {
      await life.repository.become("later");
      await life.untouched(() => life.manager.upgrade(life.machine));
      expect(await life.state()).toEqual({
        ...life.settled(NEXT, 1),
        left: life.left(...RESULTS, life.manager.newSettings),
      });
      expect(await life.conf()).toContain(EDIT);
    },
  },
  {
    title: "a downgrade, too, leaves unit and settings alone",
    async run(life) {
      await life.untouched(() => life.manager.downgrade(life.machine, OLDER));
      expect(await life.state()).toMatchObject({
        ...life.settled(OLDER, 1),
        left: expect.anything() as unknown,
      });
      expect(await life.conf()).toContain(EDIT);
      await life.machine.must(["rm", "--force", life.manager.newSettings]);
    },
  },
  {
    title: "an upgrade keeps an administrator's disable",
    async run(life) {
      const { machine, manager } = life;
      await machine.must(["systemctl", "disable", "--now", UNIT]);
      await manager.upgrade(machine, PREVIOUS);
      expect(await life.state()).toEqual({
        version: PREVIOUS,
        unit: "disabled",
        active: "inactive",
        associations: 1,
        left: [...manager.keeps, ...RESULTS].toSorted(),
      });
      const disabled = { unit: "disabled", active: "inactive", associations: 1 };
      await manager.reinstall(machine, PREVIOUS);
      expect(await life.state()).toMatchObject(disabled);
      await life.reboot();
      expect(await life.state()).toMatchObject(disabled);
    },
  },
  {
    // rpm keeps nothing of a package that it has erased.
    title: { apt: "so does a removal, for the next installation" },
    async run(life) {
      await life.manager.remove(life.machine);
      expect(await life.state()).toMatchObject({ version: undefined, unit: "not-found" });
      await life.manager.install(life.machine, OLDER);
      const disabled = { version: OLDER, unit: "disabled", active: "inactive" };
      expect(await life.state()).toMatchObject(disabled);
    },
  },
  {
    title: "an upgrade keeps an administrator's mask",
    async run(life) {
      const { machine, manager } = life;
      await machine.must(["systemctl", "enable", UNIT]);
      await machine.must(["systemctl", "mask", UNIT]);
      // With apt it is this one already.
      if (manager.name === "dnf") await manager.downgrade(machine, OLDER);
      await manager.upgrade(machine, PREVIOUS);
      expect(await life.state()).toEqual({
        version: PREVIOUS,
        unit: "masked",
        active: "inactive",
        associations: 1,
        left: life.left(MASK),
      });
      await machine.must(["systemctl", "unmask", UNIT]);
      expect(await life.state()).toMatchObject({ unit: "enabled", active: "inactive" });
    },
  },
  {
    title: "an upgrade does not disturb a run that is still trying",
    async run(life) {
      const { cloud, machine, manager, repository } = life;
      cloud.free(life.allocationId);
      // No names: it does not get through to EC2.
      await cloud.dnsmasq.stop();
      await machine.must(["systemctl", "start", "--no-block", UNIT]);
      await machine.waitUnit(UNIT, "activating");
      const ask = () => machine.show(UNIT, "InvocationID", "MainPID", "ActiveState");
      const run = await ask();
      await manager.upgrade(machine, repository.current);
      expect(await ask()).toEqual(run);

      await cloud.dnsmasq.start();
      await machine.waitUnit(UNIT);
      expect(await life.state()).toEqual(life.settled(repository.current, 2));
    },
  },
  {
    title: {
      apt: "removing stops it and keeps only the settings",
      dnf: "erasing stops it and leaves only the settings that somebody has changed",
    },
    async run(life) {
      await life.manager.remove(life.machine);
      if (life.manager.name === "apt") {
        const gone = { version: undefined, unit: "not-found", active: "inactive" };
        expect(await life.state()).toMatchObject(gone);
        await life.reboot();
        expect(await life.state()).toMatchObject({ left: [CONF, NEEDRESTART], active: "inactive" });
      } else expect(await life.state()).toEqual({ ...life.none(2), left: [SAVED] });
      // That somebody removes a package is no reason to cut the machine off.
      expect(life.isHere()).toBe(true);
    },
  },
  {
    title: {
      apt: "installed again it is as at first, with the settings as they were",
      dnf: "installed again it is as at first",
    },
    async run(life) {
      const { machine, manager } = life;
      if (manager.name === "apt") {
        await manager.install(machine, life.repository.current);
        expect(await life.state()).toEqual(life.fresh(life.repository.current, 2));
      } else {
        await manager.install(machine, OLDER);
        expect(await life.state()).toEqual(life.fresh(OLDER, 2, SAVED));
        // The administrator takes his settings back.
        await machine.must(["mv", SAVED, CONF]);
      }
      expect(await life.conf()).toContain(EDIT);
      const { version = "" } = await life.state();
      life.cloud.free(life.allocationId);
      await life.reboot();
      expect(await life.state()).toEqual(life.settled(version, 3));
    },
  },
  {
    title: {
      apt: "purging leaves nothing",
      dnf: "erased, with its settings as they came, it leaves nothing",
    },
    async run(life) {
      const { machine, manager } = life;
      if (manager.name === "apt") await machine.must(["apt-get", "--yes", "purge", "eip-heal"]);
      else {
        await machine.must(["rm", CONF]);
        await manager.reinstall(machine, OLDER);
        await manager.remove(machine);
      }
      expect(await life.state()).toEqual(life.none(3));
      await machine.must(["rm", ...manager.subscription, LIMIT, "/etc/eip-heal-test-ca.pem"]);
      expect(await everything(machine)).toEqual(life.before);
      await life.reboot();
      expect(await life.state()).toEqual(life.none(3));
      expect(life.cloud.region.bugs).toEqual([]);
    },
  },
];

/** The steps of the life with one package manager, by their names there. */
export function stepsOf(manager: PackageManager): (Pick<Step, "run"> & { name: string })[] {
  return STEPS.flatMap(({ title, run }) => {
    const name = typeof title === "string" ? title : title[manager.name];
    return name === undefined ? [] : [{ name, run }];
  });
}
