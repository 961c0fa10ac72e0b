/**
 * Broken set-ups, one fault each and some with two: doctor names the cause as its first failure, says how a
 * heal would end, and following its cure to the letter makes the next heal succeed.
 */
import { describe, expect, test } from "vitest";
import { allow } from "../../sim/iam.ts";
import { makeAuthority } from "../support/certificates.ts";
import { ROWS } from "./broken-set-ups.ts";
import {
  ALL,
  another,
  conf,
  expectNoWrite,
  expectSchema,
  fullPool,
  heldBy,
  HOOK,
  HOUR,
  inGroup,
  MINE,
  poolSettings,
  poolUnderHook,
  type Row,
  tag,
  without,
} from "./changes.ts";
import { inFolder } from "../support/region.ts";
import { type Scene, scenario, type Start } from "../support/scenario.ts";
import { doctor } from "./checkup.ts";
import { Operator } from "./operator.ts";

describe("a broken set-up", () => {
  test.concurrent.each(ROWS)("$name", async ({ first, status, ...row }) =>
    scenario(row, async (scene) => {
      const operator = new Operator(scene);
      let checkup = await doctor(scene);
      expectSchema(checkup);
      expectNoWrite(scene);
      expect(checkup.exitStatus, JSON.stringify(checkup, null, 1)).toBe(status);
      expect(checkup.status).toBe(status);
      const broken = await scene.run("--deadline", "5s");
      expect(broken.status, broken.log.join("\n")).toBe(status);

      for (const id of first) {
        expect(checkup.healthy).toBe(false);
        expect(checkup.first, JSON.stringify(checkup, null, 1)).toBe(id);
        const check = checkup.checks.find(({ mark }) => mark === "failed");
        expect(check?.id).toBe(id);
        if (check !== undefined) operator.follow(check);
        checkup = await doctor(scene);
        expectSchema(checkup);
      }
      expect(checkup.healthy, JSON.stringify(checkup, null, 1)).toBe(true);
      expect(checkup.status).toBe(0);
      const healed = await scene.run();
      expect(healed.status, healed.log.join("\n")).toBe(0);
      expect(healed.result).toMatchObject({ outcome: "settled" });
    }),
  );

  test("a full pool: the setting that would help is named only where an older instance holds an address", async () => {
    const cureOf = (launchTime: number) =>
      scenario(
        { start: fullPool(launchTime), breakIt: conf("EIP_HEAL_POOL=eip-pool=web") },
        async (scene) => (await doctor(scene)).checks.find(({ id }) => id === "address")?.cure,
      );
    expect(await cureOf(MINE - HOUR)).toContain("set EIP_HEAL_POOL_TAKEOVER=oldest in ");
    expect(await cureOf(MINE + HOUR)).toMatch(/^let another instance go, or tag another address/);
  });

  test("a pool with none to spare under a lifecycle hook: one address more takes the warning away", () =>
    scenario({ start: poolUnderHook(1), breakIt: poolSettings() }, async (scene) => {
      const warning = async () =>
        (await doctor(scene)).checks.find(({ id, mark }) => id === "address" && mark !== "ok");
      const before = await warning();
      expect(before).toMatchObject({ mark: "warning", found: /with none to spare for us-east-1a/ });
      scene.region.region.allocate({ tags: { "eip-pool": "web" } });
      expect(await warning()).toBeUndefined();
    }));

  test("there are enough of them", () => {
    expect(ROWS.filter(({ first }) => first.length === 1).length).toBeGreaterThanOrEqual(25);
    expect(ROWS.filter(({ first }) => first.length === 2).length).toBeGreaterThanOrEqual(5);
  });
});

test("a certificate that nobody here trusts", () =>
  inFolder(async (folder) => {
    const authority = await makeAuthority(folder);
    const tls = await authority.issue("localhost");
    await scenario({ start: { region: { tls } } }, async (scene) => {
      scene.ec2Url = scene.ec2Url.replace("127.0.0.1", "localhost");
      const checkup = await doctor(scene);
      expectSchema(checkup);
      expect(checkup).toMatchObject({ first: "tls", exitStatus: 75 });
      const broken = await scene.run("--deadline", "5s");
      expect(broken.status).toBe(75);
      const check = checkup.checks.find(({ id }) => id === "tls");
      if (check !== undefined) new Operator(scene, authority.file).follow(check);
      const again = await doctor(scene);
      expect(again.healthy, JSON.stringify(again, null, 1)).toBe(true);
      expect(again.checks.find(({ id }) => id === "tls")?.found).toContain("TLSv1.3");
      const healed = await scene.run();
      expect(healed.status, healed.log.join("\n")).toBe(0);
    });
  }));

describe("a healthy set-up", () => {
  const HEALTHY: readonly (Pick<Row, "name" | "start" | "breakIt"> & { warnings?: string[] })[] = [
    { name: "the address is nobody's" },
    {
      name: "the address is here",
      start: { build: (world, me, allocationId) => world.hold({ allocationId }, me) },
    },
    { name: "an older instance has it", start: heldBy({ launchTime: MINE - HOUR }) },
    {
      name: "an instance that EC2 does not know has it",
      start: heldBy({ keepsAssociation: true }),
      breakIt: ({ region, allocationId }) =>
        region.region.forget(region.holder(allocationId)?.instanceId ?? ""),
    },
    {
      name: "a pool",
      start: { address: { tags: { "eip-pool": "web" } } },
      breakIt: conf("EIP_HEAL_POOL=eip-pool=web"),
    },
    {
      name: "a pool that older ones hold, and the oldest may be taken from",
      start: fullPool(MINE - HOUR),
      breakIt: conf("EIP_HEAL_POOL=eip-pool=web", "EIP_HEAL_POOL_TAKEOVER=oldest"),
    },
    {
      name: "the second interface, a secondary address",
      start: {
        instance: { enis: [{}, { privateIps: ["10.0.0.50", "10.0.0.51"] }] },
      },
      breakIt: conf("EIP_HEAL_INTERFACE=1", "EIP_HEAL_PRIVATE_IP=10.0.0.51"),
    },
    {
      name: "the role and the tag of the user-data script",
      start: { instance: { role: "old", metadataTags: false } },
      warnings: ["tags", "describe-addresses", "address"],
    },
    {
      name: "a lifecycle hook",
      start: inGroup,
      breakIt: (scene) => {
        conf(`EIP_HEAL_LIFECYCLE_HOOK=${HOOK}`)(scene);
        scene.region.region.setPolicy(
          scene.me.role ?? "",
          allow([...ALL, "autoscaling:CompleteLifecycleAction"]),
        );
      },
      warnings: ["launch-hook"],
    },
    {
      name: "a lifecycle hook, and no group",
      breakIt: (scene) => {
        conf(`EIP_HEAL_LIFECYCLE_HOOK=${HOOK}`)(scene);
        const asked = "autoscaling:DescribeAutoScalingInstances";
        scene.region.region.setPolicy(scene.me.role ?? "", allow([...ALL, asked]));
      },
      warnings: ["launch-hook"],
    },
    {
      name: "a lifecycle hook, and a pool with an address to spare",
      start: poolUnderHook(2),
      breakIt: poolSettings(),
      warnings: ["launch-hook"],
    },
    {
      name: "a lifecycle hook, and a pool with none to spare",
      start: poolUnderHook(1),
      breakIt: poolSettings(),
      warnings: ["address", "launch-hook"],
    },
    {
      name: "a lifecycle hook, and a pool with none to spare for the next one, which is here already",
      start: poolUnderHook(1, true),
      breakIt: poolSettings(),
      warnings: ["address", "launch-hook"],
    },
    {
      name: "a lifecycle hook, and a pool with none to spare that the oldest is taken from",
      start: poolUnderHook(1),
      breakIt: poolSettings("EIP_HEAL_POOL_TAKEOVER=oldest"),
      warnings: ["launch-hook"],
    },
    { name: "another Elastic IP goes", start: another, warnings: ["displaced"] },
    {
      name: "here, and the role has lost AssociateAddress",
      start: { build: (world, me, allocationId) => world.hold({ allocationId }, me) },
      breakIt: without("AssociateAddress"),
      warnings: ["associate"],
    },
    {
      name: "the clock is ten minutes behind",
      breakIt: (scene) => (scene.offsetMs = 600_000),
      warnings: ["clock"],
    },
    {
      // The credentials look expired by then, and are used all the same.
      name: "the clock is nine hours ahead",
      breakIt: (scene) => (scene.offsetMs = -9 * HOUR),
      warnings: ["clock"],
    },
    {
      name: "here and throttled later is no matter",
      start: { build: (world, me, allocationId) => world.hold({ allocationId }, me) },
    },
  ];

  test.concurrent.each(HEALTHY)("$name", async ({ warnings = [], ...row }) =>
    scenario(row, async (scene) => {
      const checkup = await doctor(scene);
      expectSchema(checkup);
      expectNoWrite(scene);
      const odd = checkup.checks.filter(({ mark }) => mark !== "ok");
      expect(odd.map(({ id, mark }) => [id, mark])).toEqual(warnings.map((id) => [id, "warning"]));
      expect(checkup).toMatchObject({ healthy: true, exitStatus: 0, status: 0 });
      const healed = await scene.run();
      expect(healed.status, healed.log.join("\n")).toBe(0);
      expect(healed.result).toMatchObject({ outcome: "settled" });
    }),
  );

  test("in standby, and without a role: what a heal comes to once it is in service", async () =>
    scenario({ start: { instance: { lifecycle: "Standby", role: null } } }, async (scene) => {
      const checkup = await doctor(scene);
      expect(checkup).toMatchObject({ healthy: false, status: 77, first: "role" });
      expect(checkup.message).toContain("once the instance is in service");
    }));

  test.concurrent.each<[string, Start, (scene: Scene) => void, string]>([
    ["in standby", { instance: { lifecycle: "Standby" } }, () => {}, "in-service"],
    [
      "neither tag nor setting, and that is in order",
      {},
      (scene) => {
        tag({ "allocation-id": null })(scene);
        conf("EIP_HEAL_OPTIONAL=yes")(scene);
      },
      "desired",
    ],
  ])("%s: a heal would have nothing to do", async (_, start, breakIt, label) =>
    scenario({ start, breakIt }, async (scene) => {
      const checkup = await doctor(scene);
      expect(checkup).toMatchObject({ healthy: true, exitStatus: 0, status: 0 });
      expect(checkup.message).toContain(`a heal would have nothing to do (${label})`);
      const idle = await scene.run("--deadline", "5s");
      expect(idle.status).toBe(0);
      expect(idle.result).toMatchObject({ outcome: "idle" });
    }),
  );
});

describe("with a dead network", () => {
  test.each<[string, (scene: Scene) => void]>([
    [
      "metadata is silent",
      ({ region }) => region.faults.add({ service: "imds", effect: { do: "silence" } }),
    ],
    [
      "EC2 is silent",
      ({ region }) => region.faults.add({ service: "ec2", effect: { do: "silence" } }),
    ],
    [
      "EC2 is silent to what is signed",
      ({ region }) =>
        region.faults.add({
          service: "ec2",
          action: "DescribeAddresses",
          effect: { do: "silence" },
        }),
    ],
  ])("it ends: %s", async (_, breakIt) =>
    scenario({ breakIt }, async (scene) => {
      const startedAt = performance.now();
      const checkup = await doctor(scene);
      // Some ten seconds, and what a busy machine adds.
      expect(performance.now() - startedAt).toBeLessThan(30_000);
      expectSchema(checkup);
      expect(checkup).toMatchObject({ healthy: false, exitStatus: 75 });
    }),
  );
});
