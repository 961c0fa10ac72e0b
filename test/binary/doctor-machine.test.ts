/** What doctor tells of the units on this machine. */
import { writeFileSync } from "node:fs";
import { uptime } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { type Scene, scenario, type Start } from "../support/scenario.ts";
import { doctor } from "./checkup.ts";

describe("the machine", () => {
  const UNIT = {
    LoadState: "loaded",
    UnitFileState: "enabled",
    ActiveState: "active",
    Result: "success",
    ExecMainStatus: "0",
    ExecMainExitTimestampMonotonic: "123456",
    NeedDaemonReload: "no",
  };
  const check = (units: Parameters<Scene["systemd"]>[0], id: string) =>
    scenario({}, async (scene) => {
      scene.systemd(units);
      return (await doctor(scene)).checks.find((one) => one.id === id);
    });

  test.concurrent.each<[string, Partial<typeof UNIT>, RegExp, string[]?]>([
    ["enabled and done", {}, /is enabled; active, its last run succeeded$/],
    [
      "disabled",
      { UnitFileState: "disabled" },
      /is disabled, so that nothing heals at boot/,
      ["systemctl enable eip-heal"],
    ],
    [
      "failed",
      { ActiveState: "failed", Result: "exit-code", ExecMainStatus: "78" },
      /failed, its last run ended with exit status 78/,
      ["systemctl start eip-heal"],
    ],
    [
      "masked",
      { LoadState: "masked" },
      /is masked/,
      ["systemctl unmask eip-heal", "systemctl enable eip-heal"],
    ],
    ["edited", { NeedDaemonReload: "yes" }, /has changed on disk/, ["systemctl daemon-reload"]],
    [
      "edited and failed",
      {
        NeedDaemonReload: "yes",
        ActiveState: "failed",
        Result: "exit-code",
        ExecMainStatus: "78",
      },
      /failed, its last run ended with exit status 78 .*has changed on disk/,
      ["systemctl daemon-reload"],
    ],
  ])("the unit is %s", async (_, properties, found, commands) => {
    const unit = await check({ "eip-heal.service": { ...UNIT, ...properties } }, "unit");
    expect(unit?.found).toMatch(found);
    expect(unit?.mark).toBe(commands === undefined ? "ok" : "warning");
    expect(unit?.commands).toEqual(commands);
  });

  const WAITER = {
    LoadState: "loaded",
    UnitFileState: "enabled",
    ActiveState: "active",
    InactiveExitTimestampMonotonic: "5000000",
    ActiveEnterTimestampMonotonic: "65000000",
    InactiveEnterTimestampMonotonic: "0",
  };

  test.concurrent.each<[string, Partial<typeof WAITER>, RegExp, boolean]>([
    ["came late", {}, /waited for the network for 1 min before the heal \(NetworkM[^,]*\)$/, true],
    [
      "did not come",
      {
        ActiveState: "failed",
        ActiveEnterTimestampMonotonic: "0",
        InactiveEnterTimestampMonotonic: "125000000",
      },
      /for 2 min before the heal \(NetworkManager-wait-online.service, and it did not come\)$/,
      true,
    ],
    [
      "has not come yet",
      {
        ActiveState: "activating",
        InactiveExitTimestampMonotonic: "1",
        ActiveEnterTimestampMonotonic: "0",
      },
      /waits for the network before the heal, for .* so far/,
      true,
    ],
    ["came soon", { ActiveEnterTimestampMonotonic: "15000000" }, /its last run succeeded$/, false],
    [
      "was not waited for",
      { InactiveExitTimestampMonotonic: "0", ActiveEnterTimestampMonotonic: "0" },
      /its last run succeeded$/,
      false,
    ],
  ])("the network %s", async (_, properties, found, isLate) => {
    // One that is still waiting has done so since this machine's boot, which may have been a moment ago.
    while (properties.ActiveState === "activating" && uptime() < 31) await setTimeout(500);
    const units = {
      "eip-heal.service": UNIT,
      "NetworkManager-wait-online.service": { ...WAITER, ...properties },
    };
    const unit = await check(units, "unit");
    expect(unit?.found).toMatch(found);
    expect(unit?.mark).toBe(isLate ? "warning" : "ok");
    expect(unit?.commands).toEqual(isLate ? ["nmcli device"] : undefined);
  });

  test("a drop-in sets what a checkup by hand does not have", async () => {
    const Environment = 'HOME=/nonexistent EIP_HEAL_TAKEOVER=always "AWS_SECRET_ACCESS_KEY=a b"';
    const unit = await check({ "eip-heal.service": { ...UNIT, Environment } }, "unit");
    expect(unit).toMatchObject({ mark: "warning" });
    expect(unit?.found).toMatch(/is run with EIP_HEAL_TAKEOVER, AWS_SECRET_ACCESS_KEY, which/);
    expect(JSON.stringify(unit)).not.toMatch(/always|a b/);
    const failed = { ...UNIT, Environment, ActiveState: "failed", Result: "exit-code" };
    const both = await check({ "eip-heal.service": { ...failed, ExecMainStatus: "78" } }, "unit");
    expect(both?.found).toMatch(
      /is enabled; failed, its last run ended with exit status 78 \(exit-code\); it is run with EIP/,
    );
  });

  test("a file of a drop-in sets it, which is named with how to have the same; status says so, too", async () =>
    scenario({}, async (scene) => {
      const keys = join(scene.runtime, "keys");
      const dropIn = "/etc/systemd/system/eip-heal.service.d/keys.conf";
      writeFileSync(keys, "AWS_ACCESS_KEY_ID=AKIA\nAWS_SECRET_ACCESS_KEY='a b'\n");
      const unit = {
        ...UNIT,
        EnvironmentFiles: `${keys} (ignore_errors=no)`,
        DropInPaths: dropIn,
      };
      scene.systemd({ "eip-heal.service": unit });
      const names = `AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY (${keys}, ${dropIn})`;
      const how = `sudo systemd-run --quiet --pipe --wait -p EnvironmentFile=${keys} eip-heal`;
      const { checks } = await doctor(scene);
      expect(checks.find(({ id }) => id === "unit")).toMatchObject({
        mark: "warning",
        found: expect.stringContaining(names) as unknown,
        commands: [`${how} doctor`],
      });
      const { stdout } = await scene.run("status");
      expect(stdout).toContain(`${names}, which this command has not had; run: ${how} status`);
      expect(stdout).not.toContain("a b");
    }));

  test("without systemd that is said, and no warning", async () => {
    const { checks } = await scenario({}, doctor);
    expect(checks.find(({ id }) => id === "unit")).toMatchObject({
      mark: "ok",
      found: /no systemd/,
    });
  });

  describe("an address that has been moved away, and the heal of the boot has succeeded", () => {
    const TIMER = { LoadState: "loaded", Result: "success", NextElapseUSecMonotonic: "infinity" };
    const OFF = { ...TIMER, UnitFileState: "disabled", ActiveState: "inactive" };
    const DONE = { ...TIMER, UnitFileState: "static", ActiveState: "active" };
    const UNITS = {
      "eip-heal.service": UNIT,
      "eip-heal-confirm.timer": DONE,
      "eip-heal-recheck.timer": OFF,
      "eip-heal-recheck.service": { ...UNIT, ActiveState: "inactive" },
    };
    const heldByOlder: Start = {
      instance: { launchTime: Date.UTC(2026, 10, 1) },
      build: (world, _, allocationId) =>
        world.hold({ allocationId }, world.instance({ launchTime: Date.UTC(2026, 9, 1) })),
    };
    const holder = (start: Start, units: Parameters<Scene["systemd"]>[0] = {}) =>
      scenario({ start }, async (scene) => {
        scene.systemd({ ...UNITS, ...units });
        const checkup = await doctor(scene);
        return { ...checkup, holder: checkup.checks.find(({ id }) => id === "holder") };
      });

    test.each<[string, Start]>([
      ["nobody", {}],
      ["an older instance", heldByOlder],
    ])("to %s: no unit brings it back, and what does", async (_, start) => {
      const checkup = await holder(start);
      expect(checkup.holder).toMatchObject({
        mark: "warning",
        found: expect.stringMatching(/, and no unit starts one before the next boot$/) as unknown,
        cure: expect.stringContaining("sudo eip-heal") as unknown,
        commands: ["systemctl enable --now eip-heal-recheck.timer"],
      });
      // Whoever wants no rechecks has nothing that fails.
      expect(checkup).toMatchObject({ healthy: true, exitStatus: 0 });
      expect(checkup.message).toBe("a heal would succeed; 1 warning");
    });

    test.each<[string, Start, Parameters<Scene["systemd"]>[0]]>([
      ["the timer is on", {}, { "eip-heal-recheck.timer": { ...OFF, ActiveState: "active" } }],
      ["the timer is masked", {}, { "eip-heal-recheck.timer": { ...OFF, LoadState: "masked" } }],
      [
        "the recheck after the heal is to come",
        {},
        { "eip-heal-confirm.timer": { ...DONE, NextElapseUSecMonotonic: "1y" } },
      ],
      [
        "a recheck is under way",
        {},
        { "eip-heal-recheck.service": { ...UNIT, ActiveState: "activating" } },
      ],
      [
        "the heal has failed, which is tried again",
        {},
        { "eip-heal.service": { ...UNIT, ActiveState: "failed", Result: "exit-code" } },
      ],
      ["the instance is not in service", { instance: { lifecycle: "Standby" } }, {}],
      ["it is here", { build: (world, me, id) => world.hold({ allocationId: id }, me) }, {}],
    ])("no word of it if %s", async (_, start, units) => {
      expect(await holder(start, units)).toMatchObject({ holder: { mark: "ok" } });
    });
  });

  test("the timer: off, or when it elapses next", async () => {
    const timer = { ...UNIT, NextElapseUSecRealtime: "", NextElapseUSecMonotonic: "9999y 2h 1.5s" };
    expect((await check({ "eip-heal-recheck.timer": timer }, "recheck"))?.found).toMatch(
      /the timer runs, next in \d+ min/,
    );
    const off = { ...timer, ActiveState: "inactive", UnitFileState: "disabled" };
    expect((await check({ "eip-heal-recheck.timer": off }, "recheck"))?.found).toMatch(
      /timer is off/,
    );
    const failed = { ...timer, ActiveState: "failed", Result: "resources" };
    expect(await check({ "eip-heal-recheck.timer": failed }, "recheck")).toMatchObject({
      mark: "warning",
      commands: ["systemctl restart eip-heal-recheck.timer"],
    });
  });
});
