/** eip-heal status: one look, and the truth in its exit status. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { allow } from "../../sim/iam.ts";
import { scenario, type Setting, type Start } from "../support/scenario.ts";
import { onTerminal } from "./terminal.ts";

const MINE = Date.UTC(2026, 10, 1, 12);
const HOUR = 3_600_000;

interface Row extends Setting {
  readonly name: string;
  readonly status: number;
  readonly here: boolean;
  readonly message: RegExp;
  /** What holds the address, as far as it is looked at. */
  readonly holder?: Record<string, unknown>;
}

const heldBy = (launchTime: number): Start => ({
  instance: { launchTime: MINE },
  build: (world, _, allocationId) => world.hold({ allocationId }, world.instance({ launchTime })),
});
const mine: Start = {
  build: (world, me, allocationId) => world.hold({ allocationId }, me),
};

const ROWS: readonly Row[] = [
  { name: "here", start: mine, status: 0, here: true, message: /^the address is here$/ },
  {
    name: "nobody's",
    status: 75,
    here: false,
    message: /^nobody holds the address; a heal would associate it/,
    holder: { kind: "nobody" },
  },
  {
    name: "with an older instance",
    start: heldBy(MINE - HOUR),
    status: 75,
    here: false,
    message: /a heal would take it .*, because i-\w+ was launched before this instance/,
    holder: { kind: "instance", state: "running" },
  },
  {
    name: "with a newer instance",
    start: heldBy(MINE + HOUR),
    status: 69,
    here: false,
    message: /not here, as expected: i-\w+ \(running\) was launched/,
    holder: { kind: "instance", state: "running" },
  },
  {
    name: "with an instance that may keep it",
    start: heldBy(MINE - HOUR),
    breakIt: (scene) => (scene.conf = ["EIP_HEAL_TAKEOVER=never"]),
    status: 75,
    here: false,
    message: /the takeover policy is never/,
  },
  {
    name: "with a NAT gateway",
    start: {
      build: (world, _, allocationId) => void world.holdByService({ allocationId }, "nat-gateway"),
    },
    status: 78,
    here: false,
    message:
      /^held by an interface that belongs to no instance, .* give this group an Elastic IP of its own/,
    holder: { kind: "other" },
  },
  {
    name: "not here, and not in service",
    start: { instance: { lifecycle: "Standby" } },
    status: 0,
    here: false,
    message: /not here, as expected: this instance is not in service/,
  },
  {
    name: "in a pool that is used up",
    start: {
      build: (world) =>
        world.hold(world.address({ tags: { "eip-pool": "web" } }), world.instance()),
    },
    breakIt: (scene) => (scene.conf = ["EIP_HEAL_POOL=eip-pool=web"]),
    status: 75,
    here: false,
    message: /no address is free for us-east-1a/,
  },
  {
    name: "in a pool that is used up, with an older instance",
    start: {
      instance: { launchTime: MINE },
      build: (world) =>
        world.hold(
          world.address({ tags: { "eip-pool": "web" } }),
          world.instance({ launchTime: MINE - HOUR }),
        ),
    },
    breakIt: (scene) =>
      (scene.conf = ["EIP_HEAL_POOL=eip-pool=web", "EIP_HEAL_POOL_TAKEOVER=oldest"]),
    status: 75,
    here: false,
    message: /a heal would take it .* because i-\w+ is the oldest instance that holds one/,
  },
  {
    name: "not known: metadata is off",
    start: { instance: { metadata: "disabled" } },
    status: 75,
    here: false,
    message: /switched off/,
  },
  {
    name: "not known: no role",
    start: { instance: { role: null } },
    status: 77,
    here: false,
    message: /this instance has no role/,
  },
  {
    name: "not known: no permission",
    breakIt: ({ region }) => region.region.setPolicy("full", allow(["ec2:AssociateAddress"])),
    status: 77,
    here: false,
    message: /not allowed: ec2:DescribeInstances/,
  },
  {
    name: "not known: no tag",
    breakIt: ({ region, me }) => region.region.tag(me.instanceId, { "allocation-id": null }),
    status: 78,
    here: false,
    message: /^no tag allocation-id or eip-pool/,
  },
];

/** Each request has an id of its own. */
const withoutId = (text: string): string => text.replaceAll(/, request [\w-]+\)/g, ")");

describe("the address is", () => {
  test.concurrent.each(ROWS)("$name", async ({ status, here, message, holder, ...row }) =>
    scenario(row, async (scene) => {
      const json = await scene.run("status", "--json");
      const record = JSON.parse(json.stdout) as Record<string, unknown>;
      expect(json.status, json.stdout).toBe(status);
      expect(record).toMatchObject({ version: 1, here, exitStatus: status });
      expect(record["message"]).toMatch(message);
      expect(new Date(String(record["at"])).toISOString()).toBe(record["at"]);
      if (holder !== undefined) expect(record["holder"]).toMatchObject(holder);

      const plain = await scene.run("status");
      expect(plain.status).toBe(status);
      expect(plain.stdout).toMatch(/^[ -~\n]+$/);
      expect(withoutId(plain.stdout)).toContain(
        `status: ${withoutId(String(record["message"])).replaceAll("…", "...")}\n`,
      );
      const writes = scene.region.calls.filter(({ action }) => !action.startsWith("Describe"));
      expect(writes).toEqual([]);
    }),
  );
});

test("tells what the last run did, and when", async () =>
  scenario({}, async (scene) => {
    expect((await scene.run("status")).stdout).toContain("last run: none since boot\n");
    const { result } = await scene.run();
    const { stdout, status } = await scene.run("status", "--json");
    expect(status).toBe(0);
    const record = JSON.parse(stdout) as Record<string, unknown>;
    expect(record["lastRun"]).toEqual(result);
    expect(record).toMatchObject({
      allocationId: scene.allocationId,
      instanceId: scene.me.instanceId,
      publicIp: result?.["publicIp"],
      publicIpByMetadata: result?.["publicIp"],
      holder: { associationId: scene.region.holder(scene.allocationId)?.associationId },
    });
    const plain = await scene.run("status");
    expect(plain.stdout).toMatch(
      /^last run: \d+\.\d s ago: associated eipalloc-\w+ .*\(exit status 0\)$/m,
    );
    expect(plain.stdout).toMatch(/^holder: i-\w+ eni-\w+ 10\.0\.\d+\.\d+ \(this instance\)$/m);
    // What has looked has left nothing behind.
    rmSync(join(scene.runtime, "result.json"));
    await scene.run("status");
    expect((await scene.run("status")).result).toBeUndefined();
    writeFileSync(join(scene.runtime, "result.json"), "{}");
    expect((await scene.run("status")).stdout).toMatch(
      /^last run: .* is of another version, or cannot be read; the next run replaces it: sudo eip-heal$/m,
    );
    expect((await scene.run()).status).toBe(0);
    expect((await scene.run("status")).stdout).toMatch(
      /^last run: .* ago: eipalloc-\w+ .* is already/m,
    );
  }));

test("tells when the next recheck is", async () =>
  scenario({ start: mine }, async (scene) => {
    scene.systemd({
      "eip-heal-recheck.timer": {
        LoadState: "loaded",
        UnitFileState: "enabled",
        ActiveState: "active",
        NextElapseUSecMonotonic: "1y",
      },
    });
    const { stdout } = await scene.run("status", "--json");
    expect((JSON.parse(stdout) as { recheckInMs: number }).recheckInMs).toBeGreaterThan(0);
    expect((await scene.run("status")).stdout).toMatch(/^next recheck: in \d+ min( \d+ s)?$/m);
  }));

test("counts the recheck that follows a heal, and only while it is to come", async () =>
  scenario({ start: mine }, async (scene) => {
    const confirm = { LoadState: "loaded", UnitFileState: "static", ActiveState: "active" };
    scene.systemd({
      "eip-heal-confirm.timer": { ...confirm, NextElapseUSecMonotonic: "1y" },
      "eip-heal-recheck.timer": {
        LoadState: "loaded",
        UnitFileState: "disabled",
        ActiveState: "inactive",
      },
    });
    expect((await scene.run("status")).stdout).toMatch(/^next recheck: in \d+ min( \d+ s)?$/m);

    scene.systemd({
      "eip-heal-confirm.timer": { ...confirm, NextElapseUSecMonotonic: "infinity" },
    });
    expect((await scene.run("status")).stdout).toMatch(/^next recheck: none, the timer is off$/m);
    const { stdout } = await scene.run("status", "--json");
    expect(JSON.parse(stdout)).not.toHaveProperty("recheckInMs");
  }));

test("tells when the unit is tried again, which is no recheck", async () =>
  scenario({ start: mine }, async (scene) => {
    const retry = { LoadState: "loaded", UnitFileState: "static", ActiveState: "active" };
    scene.systemd({ "eip-heal-retry.timer": { ...retry, NextElapseUSecMonotonic: "1y" } });
    const { stdout } = await scene.run("status");
    expect(stdout).toMatch(/^next try: in \d+ min( \d+ s)?$/m);
    expect(stdout).toMatch(/^next recheck: none, the timer is off$/m);

    scene.systemd({
      "eip-heal.service": { ...retry, UnitFileState: "enabled" },
      "eip-heal-retry.timer": { ...retry, NextElapseUSecMonotonic: "1y" },
    });
    expect((await scene.run("status")).stdout).not.toContain("next try");

    scene.systemd({ "eip-heal-retry.timer": { ...retry, NextElapseUSecMonotonic: "infinity" } });
    expect((await scene.run("status")).stdout).not.toContain("next try");
  }));

test("tells that the boot waited for the network, how long, and by what", async () =>
  scenario({ start: mine }, async (scene) => {
    const waiter = {
      LoadState: "loaded",
      UnitFileState: "enabled",
      ActiveState: "failed",
      InactiveExitTimestampMonotonic: "5000000",
      InactiveEnterTimestampMonotonic: "125000000",
    };
    scene.systemd({ "systemd-networkd-wait-online.service": waiter });
    expect((await scene.run("status")).stdout).toMatch(
      /^network: the boot waited for the network for 2 min before the heal \(systemd-networkd-wait-online/m,
    );
    const { stdout } = await scene.run("status", "--json");
    expect(JSON.parse(stdout)).toMatchObject({
      networkWait: {
        unit: "systemd-networkd-wait-online.service",
        ms: 120_000,
        waiting: false,
      },
    });

    scene.systemd({
      "systemd-networkd-wait-online.service": {
        ...waiter,
        InactiveEnterTimestampMonotonic: "9000000",
      },
    });
    expect((await scene.run("status")).stdout).not.toContain("network:");
  }));

describe("a run that is under way", () => {
  const ACTIVE = { LoadState: "loaded", UnitFileState: "enabled", ActiveState: "active" };
  const RUNNING = { LoadState: "loaded", UnitFileState: "static", ActiveState: "activating" };
  const QUEUED = { ...RUNNING, ActiveState: "inactive", Job: "17" };
  const IDLE = { ...RUNNING, ActiveState: "inactive" };
  const RECHECK = "eip-heal-recheck.service";

  test("is told, and its timer is not taken to be off", async () =>
    scenario({ start: mine }, async (scene) => {
      scene.systemd({
        [RECHECK]: RUNNING,
        "eip-heal-recheck.timer": { ...ACTIVE, NextElapseUSecMonotonic: "infinity" },
      });
      const { stdout } = await scene.run("status");
      expect(stdout).toMatch(/^now: a recheck is under way$/m);
      expect(stdout).toMatch(/^next recheck: a minute after the one that is under way$/m);
      const record = JSON.parse((await scene.run("status", "--json")).stdout) as object;
      expect(record).toMatchObject({ underWay: "recheck" });

      scene.systemd({ [RECHECK]: IDLE, "eip-heal.service": ACTIVE });
      expect((await scene.run("status")).stdout).not.toContain("under way");
    }));

  test.each([
    ["a heal that runs", "eip-heal.service", RUNNING],
    ["a heal that waits for the network", "eip-heal.service", QUEUED],
    ["a recheck", RECHECK, RUNNING],
  ])("%s is waited for, and what is told is true after it", async (_, unit, state) =>
    scenario({}, async (scene) => {
      scene.systemd({ [unit]: state });
      const waiting = scene.run("status", "--wait", "--json");
      // Of many questions to systemd several have been answered by then.
      await setTimeout(1_500);
      const { result } = await scene.run();
      scene.systemd({ [unit]: IDLE });
      const { stdout, status } = await waiting;
      const record = JSON.parse(stdout) as Record<string, unknown>;
      expect(record).not.toHaveProperty("underWay");
      expect(record).toMatchObject({ here: true, lastRun: result });
      expect(status).toBe(0);
    }),
  );
});

test("an address that is elsewhere by the rules is not marked as a failure", async () =>
  scenario({ start: heldBy(MINE + HOUR) }, async (scene) => {
    expect((await scene.run("status")).stdout).toMatch(
      /^warning status: the address is not here, as expected: /m,
    );
  }));

test("ends when nobody answers", async () =>
  scenario(
    {
      breakIt: ({ region }) => region.faults.add({ service: "ec2", effect: { do: "silence" } }),
    },
    async (scene) => {
      const { status, ms } = await scene.run("status");
      expect(status).toBe(75);
      // Ten seconds, and what a busy machine adds.
      expect(ms).toBeLessThan(30_000);
    },
  ));

test.each([40, 80])("on a terminal of %d columns", async (columns) =>
  scenario({ start: mine }, async (scene) => {
    const { output } = await onTerminal(scene, ["status"], columns, {
      LANG: "C.UTF-8",
      NO_COLOR: "1",
    });
    expect(output).toMatch(/^✓ status/m);
    expect(output.split("\r\n").filter((line) => line.length > columns)).toEqual([]);
  }),
);
