/** What is done to a set-up to break it, and what comes of a checkup of it. */
import { expect } from "vitest";
import { CHECKS } from "../../src/doctor/catalog.ts";
import type { InstanceSpec } from "../../sim/build.ts";
import { allow } from "../../sim/iam.ts";
import type { Scene, Setting, Start } from "../support/scenario.ts";
import type { Checkup } from "./checkup.ts";

export const ALL = ["ec2:DescribeInstances", "ec2:DescribeAddresses", "ec2:AssociateAddress"];
export const NOT_THERE = "eipalloc-0fffffffffffffff0";
export const MINE = Date.UTC(2026, 10, 1, 12);
export const HOUR = 3_600_000;

export interface Row extends Setting {
  readonly name: string;
  /** The first check that fails, in each round of following a cure. */
  readonly first: readonly string[];
  /** Exit status of a heal while it is broken. */
  readonly status: number;
}

export const conf =
  (...lines: string[]) =>
  (scene: Scene): void => {
    scene.conf = lines;
  };
export const environment =
  (variables: Record<string, string>) =>
  (scene: Scene): void => {
    Object.assign(scene.environment, variables);
  };
export const tag =
  (tags: Record<string, string | null>) =>
  ({ region, me }: Scene): void =>
    region.region.tag(me.instanceId, tags);
/** The role lacks these actions. */
export const without =
  (...actions: string[]) =>
  ({ region, me }: Scene): void =>
    region.region.setPolicy(
      me.role ?? "",
      allow(ALL.filter((one) => !actions.includes(one.replace("ec2:", "")))),
    );
export const heldBy = (holder: InstanceSpec, mine: InstanceSpec = {}): Start => ({
  instance: { launchTime: MINE, ...mine },
  build: (world, _, allocationId) => world.hold({ allocationId }, world.instance(holder)),
});
/** A pool whose only address another instance holds, by when that was launched. */
export const fullPool = (launchTime: number): Start => ({
  instance: { launchTime: MINE },
  build: (world) =>
    world.hold(world.address({ tags: { "eip-pool": "web" } }), world.instance({ launchTime })),
});
export const another: Start = { build: (world, me) => world.hold(world.address(), me) };

export const HOOK = "wait-for-address";
/** A member of a group that waits under its lifecycle hook. */
export const inGroup: Start = {
  instance: { group: "web", lifecycle: "InService" },
  groups: { web: HOOK },
};

/** A member of a group with a lifecycle hook, and a pool of so many addresses, of which it may hold one. */
export const poolUnderHook = (addresses: number, isHere = false): Start => ({
  ...inGroup,
  build: (world, me) => {
    const pool = Array.from({ length: addresses }, () =>
      world.address({ tags: { "eip-pool": "web" } }),
    );
    if (isHere && pool[0] !== undefined) world.hold(pool[0], me);
  },
});
export const poolSettings =
  (...lines: string[]) =>
  (scene: Scene): void => {
    conf("EIP_HEAL_POOL=eip-pool=web", `EIP_HEAL_LIFECYCLE_HOOK=${HOOK}`, ...lines)(scene);
    scene.region.region.setPolicy(scene.me.role ?? "", allow([...ALL, "autoscaling:*"]));
  };

const MARKS = ["ok", "warning", "failed", "skipped"];

/** The documented schema of doctor --json. */
export function expectSchema(checkup: Checkup): void {
  expect(checkup.version).toBe(1);
  expect(new Date(checkup.at).toISOString()).toBe(checkup.at);
  expect(typeof checkup.healthy).toBe("boolean");
  expect(typeof checkup.message).toBe("string");
  expect(checkup.checks.map(({ id }) => id)).toEqual(CHECKS.map(([id]) => id));
  for (const { id, mark, found, cure, commands, blockedBy } of checkup.checks) {
    expect(MARKS, id).toContain(mark);
    expect(found, id).toMatch(/\S/);
    if (mark === "failed") expect(cure, id).toMatch(/\S/);
    if (mark === "ok") expect(cure, id).toBeUndefined();
    for (const command of commands ?? [])
      expect(command, id).toMatch(/^(aws|systemctl|chronyc) \S/);
    expect(blockedBy !== undefined, id).toBe(mark === "skipped");
    // What has been skipped names what was not.
    for (const blocker of blockedBy ?? []) {
      expect(checkup.checks.find((check) => check.id === blocker)?.mark, id).not.toMatch(
        /ok|skipped/,
      );
    }
  }
}

export function expectNoWrite({ region }: Scene): void {
  const writes = region.calls.filter(
    ({ action, params }) =>
      action !== "" && !action.startsWith("Describe") && params["DryRun"] !== "true",
  );
  expect(writes).toEqual([]);
}
