/**
 * The main job, row by row of the table in docs/how-it-decides.md: the real binary against the simulated region,
 * for each takeover policy and under both roles, with every call counted.
 */
import { describe, expect, test } from "vitest";
import { LAG_MS } from "../../src/reconcile/bounds.ts";
import { TAKEOVERS, type Takeover } from "../../src/reconcile/ownership.ts";
import type { InstanceState, Settings } from "../../sim/model.ts";
import { FULL_ROLE, HOOK_ROLE } from "../../sim/iam.ts";
import type { RunningRegion } from "../../sim/server.ts";
import { aWorld } from "../../sim/world.ts";
import { type AgentOptions, type AgentRun, runAgent } from "../support/agent.ts";
import { inRegion } from "../support/region.ts";

const MINE = Date.UTC(2026, 10, 1, 12);
const OLDER = MINE - 60_000;
const NEWER = MINE + 60_000;

type Holder = "nobody" | "self" | { state: InstanceState; launchTime: number };
type End = "associated" | "taken" | "none" | "held" | "yielded";

const ROWS: [name: string, holder: Holder, ends: Record<Takeover, End>][] = [
  [
    "nobody",
    "nobody",
    { never: "associated", "if-gone": "associated", newest: "associated", always: "associated" },
  ],
  ["this instance", "self", { never: "none", "if-gone": "none", newest: "none", always: "none" }],
  ...(["terminated", "stopped", "stopping", "shutting-down"] as const).map(
    (state): (typeof ROWS)[number] => [
      `a newer instance that is ${state}`,
      { state, launchTime: NEWER },
      { never: "held", "if-gone": "taken", newest: "taken", always: "taken" },
    ],
  ),
  [
    "an older running instance",
    { state: "running", launchTime: OLDER },
    { never: "held", "if-gone": "held", newest: "taken", always: "taken" },
  ],
  [
    "a newer running instance",
    { state: "running", launchTime: NEWER },
    { never: "held", "if-gone": "held", newest: "yielded", always: "taken" },
  ],
];

/** EC2 calls of a try, by end: with a role that may describe addresses and the tag in IMDS; with the old role and the tag in EC2 only. */
const MOST_CALLS: Record<End, { full: number; old: number }> = {
  none: { full: 1, old: 3 },
  associated: { full: 4, old: 6 },
  taken: { full: 5, old: 8 },
  held: { full: 2, old: 4 },
  yielded: { full: 2, old: 4 },
};

/** How EC2 may behave, and which ends that makes a difference to. */
interface Way {
  readonly name: string;
  readonly settings: Partial<Settings>;
  readonly touches: (end: End, role: "full" | "old") => boolean;
  /** Calls that a run takes more, at most. */
  readonly moreCalls: number;
}
const USUAL: Way = { name: "as usual", settings: {}, touches: () => true, moreCalls: 0 };
const WAYS: readonly Way[] = [
  {
    name: "nobody shown as an empty id",
    settings: { emptyInstanceId: true },
    touches: (end, role) => end === "associated" && role === "full",
    moreCalls: 0,
  },
  {
    // Only what is asked by filter has pages, which is how the old role looks: an empty one, and one for each instance.
    name: "instances on pages, some empty",
    settings: { pageSize: 1, emptyFirstPage: true },
    touches: (_, role) => role === "old",
    moreCalls: 6,
  },
  {
    // It is looked three times more until it shows what was written, with a question about the holder of before.
    name: "all shown as a second ago",
    settings: { describeStalenessMs: LAG_MS },
    touches: (end) => end === "associated" || end === "taken",
    moreCalls: 6,
  },
];

/** Every policy as usual; the other ways with the one that asks for most. */
function casesOf(ends: Record<Takeover, End>, role: "full" | "old") {
  const ways = WAYS.filter(({ touches }) => touches(ends.newest, role));
  return [
    ...TAKEOVERS.map((takeover) => ({ takeover, way: USUAL })),
    ...ways.map((way) => ({ takeover: "newest" as const, way })),
  ];
}
const STATUS: Record<End, number> = { none: 0, associated: 0, taken: 0, held: 75, yielded: 69 };

interface Scene {
  readonly region: RunningRegion;
  readonly run: AgentRun;
  readonly allocationId: string;
  readonly me: string;
  readonly other: string | undefined;
}

async function play(
  holder: Holder,
  role: "full" | "old",
  options: AgentOptions,
  { settings } = USUAL,
): Promise<Scene> {
  const world = aWorld({ settings });
  const { allocationId } = world.address();
  const me = world.instance({
    tags: { "allocation-id": allocationId },
    launchTime: MINE,
    role,
    metadataTags: role === "full",
  });
  let other: string | undefined;
  if (holder === "self") world.hold({ allocationId }, me);
  else if (holder !== "nobody") {
    const instance = world.instance({ ...holder, keepsAssociation: true });
    other = instance.instanceId;
    world.hold({ allocationId }, instance);
  }
  return inRegion(world, async (region) => {
    return {
      region,
      run: await runAgent(region, me.instanceId, options),
      allocationId,
      me: me.instanceId,
      other,
    };
  });
}

/** A free address, and an instance that wants it by its tags. */
function oneWanting(
  tags: (allocationId: string) => Record<string, string> = (id) => ({ "allocation-id": id }),
) {
  const world = aWorld();
  const { allocationId } = world.address();
  const me = world.instance({ tags: tags(allocationId), role: "full", metadataTags: true });
  return { world, allocationId, me };
}

const actions = (region: RunningRegion) => region.calls.map(({ action }) => action);
const associations = (region: RunningRegion) =>
  region.calls
    .filter(({ action }) => action === "AssociateAddress")
    .map(({ params }) => params["AllowReassociation"]);

describe.concurrent.each(["full", "old"] as const)("with the %s role", (role) => {
  describe.concurrent.each(ROWS)("held by %s", (_, holder, ends) => {
    const cases = casesOf(ends, role);
    test.concurrent.each(cases)("policy $takeover, $way.name", async ({ takeover, way }) => {
      const end = ends[takeover];
      const environment = {
        EIP_HEAL_TAKEOVER: takeover,
        EIP_HEAL_DEADLINE: end === "held" ? "4s" : "30s",
      };
      const scene = await play(holder, role, { environment }, way);
      const { region, run, allocationId, me, other } = scene;
      expect(run.status, run.log.join("\n")).toBe(STATUS[end]);
      // One line for the end; before it one, however often it was tried again.
      const tries = Number(run.result?.["tries"]);
      expect(run.log).toHaveLength(Math.min(tries, 2));
      for (const line of run.log) expect(line).toContain(allocationId);

      // Taking says so to EC2; everything else asks it to refuse if somebody is quicker.
      expect(associations(region)).toEqual(
        { taken: ["true"], associated: ["false"] }[end as string] ?? [],
      );
      const mine = end === "none" || end === "associated" || end === "taken";
      expect(region.holder(allocationId)?.instanceId).toBe(mine ? me : other);
      expect(region.calls.length, actions(region).join(" ")).toBeLessThanOrEqual(
        tries * MOST_CALLS[end][role] + way.moreCalls,
      );
      expect(
        region.imdsRequests.filter(({ token }) => token !== "valid").map(({ method }) => method),
      ).toEqual(Array.from({ length: tries }, () => "PUT"));

      if (mine) {
        expect(run.result).toMatchObject({
          version: 1,
          outcome: "settled",
          change: end,
          exitStatus: 0,
          allocationId,
          instanceId: me,
        });
        expect(run.env).toContain(`EIP_HEAL_PUBLIC_IP=${run.result?.["publicIp"] as string}\n`);
      } else {
        expect(run.result).toMatchObject({
          outcome: end === "yielded" ? "yielded" : "failed",
          exitStatus: STATUS[end],
        });
        expect(run.env).toBeUndefined();
        expect(run.log.at(-1)).toContain(other);
      }
    });
  });
});

describe("what is called, in order", () => {
  test("already ours: one look", async () => {
    const { region } = await play("self", "full", {});
    expect(actions(region)).toEqual(["DescribeAddresses"]);
  });

  test("already ours, but instance metadata does not show it yet: one more after the hold", async () => {
    const world = aWorld({ settings: { imdsStalenessMs: 60_000 } });
    const { allocationId } = world.address();
    const me = world.instance({ role: "full" });
    await inRegion(world, async (region) => {
      region.region.associate(allocationId, me.instanceId);
      const run = await runAgent(region, me.instanceId, {
        environment: { EIP_HEAL_ALLOCATION_ID: allocationId },
      });
      expect(run.status, run.log.join("\n")).toBe(0);
      expect(run.result).toMatchObject({ change: "none" });
      expect(actions(region)).toEqual(["DescribeAddresses", "DescribeAddresses"]);
    });
  });

  test("free: look, associate, look again on another connection and after the hold", async () => {
    const { region } = await play("nobody", "full", {});
    expect(actions(region)).toEqual([
      "DescribeAddresses",
      "AssociateAddress",
      "DescribeAddresses",
      "DescribeAddresses",
    ]);
  });

  test("free, old role: six at most, each asked once for what the role does not allow", async () => {
    const { region } = await play("nobody", "old", {});
    expect(actions(region)).toEqual([
      "DescribeInstances",
      "DescribeAddresses",
      "DescribeInstances",
      "AssociateAddress",
      "DescribeInstances",
      "DescribeInstances",
    ]);
  });

  test("with one interface the instance id is the target, as in the old script", async () => {
    const { region, me } = await play("nobody", "full", {});
    expect(region.calls.find(({ action }) => action === "AssociateAddress")?.params).toMatchObject({
      InstanceId: me,
    });
  });
});

describe("where the allocation id comes from", () => {
  const other = "eipalloc-0fffffffffffffff0";
  test.each<[string, (id: string) => AgentOptions]>([
    [
      "flag",
      (id) => ({
        flags: ["--allocation-id", id],
        environment: { EIP_HEAL_ALLOCATION_ID: other },
        conf: `EIP_HEAL_ALLOCATION_ID=${other}`,
      }),
    ],
    [
      "environment",
      (id) => ({
        environment: { EIP_HEAL_ALLOCATION_ID: id },
        conf: `EIP_HEAL_ALLOCATION_ID=${other}`,
      }),
    ],
    ["file", (id) => ({ conf: `# the address\nEIP_HEAL_ALLOCATION_ID=${id}\n` })],
  ])("%s, over the tag", async (_, options) => {
    const { world, allocationId, me } = oneWanting(() => ({ "allocation-id": other }));
    await inRegion(world, async (region) => {
      const run = await runAgent(region, me.instanceId, options(allocationId));
      expect(run.status, run.log.join("\n")).toBe(0);
      expect(region.holder(allocationId)?.instanceId).toBe(me.instanceId);
      // Who knows the address does not ask for its tags; whether it is in a group is another matter.
      const tags = region.imdsRequests.filter(({ path }) => path.includes("/tags/"));
      expect(tags.map(({ path }) => path.split("/").at(-1))).toEqual(["aws:autoscaling:groupName"]);
    });
  });

  test("a tag of another name", async () => {
    const { world, me } = oneWanting((id) => ({ "my:tag": id }));
    await inRegion(world, async (region) => {
      const run = await runAgent(region, me.instanceId, { conf: "EIP_HEAL_TAG=my:tag" });
      expect(run.status, run.log.join("\n")).toBe(0);
    });
  });
});

describe("not in service", () => {
  test.concurrent.each(["Warmed:Stopped", "Warmed:Running", "Standby", "Terminated", "Detached"])(
    "%s: says so, touches nothing, exit status 0",
    async (lifecycle) => {
      const world = aWorld();
      const { allocationId } = world.address();
      const holder = world.instance({});
      const me = world.instance({
        tags: { "allocation-id": allocationId },
        role: "full",
        metadataTags: true,
        lifecycle,
      });
      world.hold({ allocationId }, holder);
      await inRegion(world, async (region) => {
        const run = await runAgent(region, me.instanceId);
        expect(run.status).toBe(0);
        const timer = /^(Warmed:Running|Standby)$/.test(lifecycle)
          ? "; it may enter service without a boot, and eip-heal-recheck.timer, which heals then, is off: systemctl enable --now eip-heal-recheck.timer"
          : "";
        expect(run.log).toEqual([
          `nothing to do: this instance is not in service (its Auto Scaling target state is ${lifecycle})${timer}`,
        ]);
        expect(region.calls).toEqual([]);
      });
    },
  );
});

describe("in a group, and instance metadata does not show yet whether it is in service", () => {
  /** May Auto Scaling be asked? */
  const ROLES = { asking: HOOK_ROLE, silent: FULL_ROLE };

  test.concurrent.each<
    [
      role: keyof typeof ROLES,
      lifecycle: string,
      /** Milliseconds until it is shown. */
      hiddenMs: number,
      holder: "nobody" | InstanceState,
      status: number,
      told: string,
      isTaken: boolean,
    ]
  >([
    ["silent", "Warmed:Stopped", Infinity, "nobody", 0, "associated", true],
    ["silent", "Warmed:Stopped", Infinity, "stopped", 0, "taken from", true],
    ["silent", "Warmed:Stopped", Infinity, "running", 75, "does not show yet", false],
    ["silent", "Warmed:Stopped", 4_000, "running", 0, "not in service", false],
    ["silent", "InService", 4_000, "running", 0, "taken from", true],
    ["asking", "Warmed:Stopped", Infinity, "nobody", 0, "not in service", false],
    ["asking", "Warmed:Stopped", Infinity, "running", 0, "not in service", false],
    ["asking", "InService", Infinity, "running", 0, "taken from", true],
  ])(
    "%s role, %s shown after %s ms, held by %s: %s, %s",
    async (role, lifecycle, hiddenMs, state, status, told, isTaken) => {
      const world = aWorld();
      world.group("web");
      world.role(role, ROLES[role]);
      const { allocationId } = world.address();
      if (state !== "nobody") world.hold({ allocationId }, world.instance({ state }));
      const me = world.instance({ role, group: "web", metadataTags: true, lifecycle });
      await inRegion(world, async (region) => {
        const before = region.holder(allocationId)?.instanceId;
        region.region.hideLifecycle(me.instanceId, hiddenMs);
        const run = await runAgent(region, me.instanceId, {
          environment: {
            EIP_HEAL_ALLOCATION_ID: allocationId,
            EIP_HEAL_DEADLINE: status === 0 ? "30s" : "4s",
          },
        });
        expect(run.status, run.log.join("\n")).toBe(status);
        expect(run.log.at(-1)).toContain(told);
        expect(region.holder(allocationId)?.instanceId).toBe(isTaken ? me.instanceId : before);
      });
    },
  );
});

describe("the manner of speaking", () => {
  test("--json prints the record that result.json holds", async () => {
    const { run } = await play("nobody", "full", { flags: ["--json"] });
    expect(JSON.parse(run.stdout)).toEqual(run.result);
  });

  test("--dry-run says what it would do and does not", async () => {
    const { run, region } = await play("nobody", "full", { flags: ["--dry-run"] });
    expect(run.status).toBe(0);
    expect(run.log[0]).toMatch(
      /^would associate eipalloc-\w+ \(203\.0\.113\.1\) with i-\w+ eni-\w+ 10\.0\.\d+\.\d+; dry run/,
    );
    expect(actions(region)).toEqual(["DescribeAddresses"]);
    expect(run.result).toBeUndefined();
  });

  test.each([
    ["yes", 0, /eipalloc-\w+ \(203\.0\.113\.2\) would be disassociated from i-/],
    ["no", 78, /another Elastic IP, eipalloc-\w+ .*EIP_HEAL_DISPLACE is no/],
  ])("--dry-run sees what would be disassociated (%s)", async (displace, status, told) => {
    const { world, me } = oneWanting();
    world.hold(world.address(), me);
    await inRegion(world, async (region) => {
      const flags = ["--dry-run", "--displace", displace];
      const run = await runAgent(region, me.instanceId, { flags });
      expect(run.status, run.log.join("\n")).toBe(status);
      expect(run.log[0]).toMatch(told);
      expect(actions(region)).not.toContain("AssociateAddress");
    });
  });

  test("no secret in the log, at any level", async () => {
    const { run, region } = await play({ state: "running", launchTime: OLDER }, "old", {
      flags: ["--log-level", "debug"],
    });
    expect(run.log.length).toBeGreaterThan(3);
    expect(region.secrets.length).toBeGreaterThan(1);
    for (const secret of region.secrets)
      expect(run.log.join("\n") + run.stdout).not.toContain(secret);
  });
});

describe("a holder that EC2 does not know", () => {
  test.concurrent.each([
    ["never", 75],
    ["if-gone", 0],
    ["newest", 0],
    ["always", 0],
  ] as const)("is taken from when it stays unknown (%s)", async (takeover, status) => {
    const { world, allocationId, me } = oneWanting();
    const holder = world.instance({ keepsAssociation: true });
    world.hold({ allocationId }, holder);
    await inRegion(world, async (region) => {
      region.region.forget(holder.instanceId);
      const run = await runAgent(region, me.instanceId, {
        environment: {
          EIP_HEAL_TAKEOVER: takeover,
          EIP_HEAL_DEADLINE: status === 0 ? "30s" : "4s",
        },
      });
      expect(run.status, run.log.join("\n")).toBe(status);
      if (status === 0)
        // Who always takes does not ask.
        expect(run.log.at(-1)).toContain(
          takeover === "always"
            ? `taken from ${holder.instanceId},`
            : `taken from ${holder.instanceId} (not known to EC2 any more)`,
        );
    });
  });

  test("is not robbed when it turns out to be a very new one", async () => {
    const { world, allocationId, me } = oneWanting();
    const holder = world.instance({ knownFrom: Date.now() + 2_000 });
    world.hold({ allocationId }, holder);
    await inRegion(world, async (region) => {
      const run = await runAgent(region, me.instanceId);
      expect(run.status, run.log.join("\n")).toBe(69);
      expect(region.holder(allocationId)?.instanceId).toBe(holder.instanceId);
      expect(actions(region)).not.toContain("AssociateAddress");
    });
  });
});
