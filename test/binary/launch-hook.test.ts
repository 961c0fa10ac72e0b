/**
 * The launch hook of an Auto Scaling group: the real binary on an instance that waits under one, for every
 * lifecycle state and every way a heal can end, and with an Auto Scaling API that does not play along.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { allow, FULL_ROLE, HOOK_ACTIONS, HOOK_ROLE, type PolicyDocument } from "../../sim/iam.ts";
import type { Effect } from "../../sim/faults.ts";
import type { LifecycleAction } from "../../sim/model.ts";
import { type RegionOptions, type RunningRegion, startRegion } from "../../sim/server.ts";
import { aWorld, type BuiltInstance, type World } from "../../sim/world.ts";
import { type AgentOptions, type AgentRun, runAgent } from "./agent.ts";

const HOOK = "web-launch";
const GROUP = "web";
/** A hook is worth this long to the agent, whatever its deadline. */
const GRACE_MS = 30_000;
const PATIENCE_MS = GRACE_MS + 25_000;

interface Scene {
  readonly run: AgentRun;
  readonly region: RunningRegion;
  readonly me: BuiltInstance;
  readonly allocationId: string;
  /** The wait of this instance under the hook. */
  readonly wait: LifecycleAction | undefined;
  /** Actions of the Auto Scaling API that were called, with their results or error codes, but for heartbeats. */
  readonly calls: readonly string[];
  /** The same of heartbeats: on a busy machine a heal may take long enough for one. */
  readonly heartbeats: readonly string[];
  /** What result.json says of the hook. */
  readonly hook: Record<string, unknown> | undefined;
}

interface Setting extends Omit<AgentOptions, "stopWhen"> {
  /** Sent SIGTERM as soon as this is so. */
  readonly stopWhen?: (log: string, region: RunningRegion) => boolean;
  /** What else is in the world; the address is free. */
  readonly world?: (world: World, allocationId: string, me: BuiltInstance) => void;
  /** What happens between the beginning of the wait and the run. */
  readonly before?: (region: RunningRegion, me: BuiltInstance, allocationId: string) => unknown;
  /** What happens while it runs. */
  readonly meanwhile?: (region: RunningRegion, me: BuiltInstance, allocationId: string) => unknown;
  readonly account?: string;
  readonly role?: "hook" | "full";
  readonly me?: Parameters<World["instance"]>[0];
  readonly hook?: { heartbeatTimeoutMs?: number; defaultResult?: "CONTINUE" | "ABANDON" };
  /** Does the instance wait? */
  readonly waits?: boolean;
  readonly options?: RegionOptions;
}

async function play(setting: Setting = {}): Promise<Scene> {
  const world = aWorld({ ...(setting.account !== undefined && { account: setting.account }) });
  world.role("hook", HOOK_ROLE);
  world.group(GROUP, { name: HOOK, ...setting.hook });
  const { allocationId } = world.address();
  const me = world.instance({
    group: GROUP,
    role: setting.role ?? "hook",
    tags: { "allocation-id": allocationId },
    metadataTags: true,
    lifecycle: "InService",
    ...setting.me,
  });
  setting.world?.(world, allocationId, me);
  const region = await startRegion(world, setting.options);
  try {
    if (setting.waits !== false) region.region.waitUnderHook(me.instanceId, HOOK);
    await setting.before?.(region, me, allocationId);
    const { stopWhen, ...options } = setting;
    const running = runAgent(region, me.instanceId, {
      ...options,
      ...(stopWhen && { stopWhen: (log) => stopWhen(log, region) }),
      environment: { EIP_HEAL_LIFECYCLE_HOOK: HOOK, ...setting.environment },
    });
    await setting.meanwhile?.(region, me, allocationId);
    const run = await running;
    region.region.elapse();
    const asked = region.calls
      .filter(({ service }) => service === "autoscaling")
      .map(
        ({ action, params, error, fault }) =>
          `${action} ${error ?? fault ?? params["LifecycleActionResult"] ?? "ok"}`,
      );
    const isHeartbeat = (call: string) => call.startsWith("RecordLifecycleActionHeartbeat");
    return {
      run,
      region,
      me,
      allocationId,
      wait: region.region.lifecycleActions()[0],
      calls: asked.filter((call) => !isHeartbeat(call)),
      heartbeats: asked.filter(isHeartbeat),
      hook: run.result?.["lifecycleHook"] as Record<string, unknown> | undefined,
    };
  } finally {
    await region.close();
    expect(region.bugs).toEqual([]);
  }
}

const CONTINUED = "CompleteLifecycleAction CONTINUE";
const ABANDONED = "CompleteLifecycleAction ABANDON";
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe.concurrent("by lifecycle state", () => {
  test.each([
    ["InService", "settled"],
    [undefined, "settled"],
    ["Warmed:Stopped", "idle"],
    ["Warmed:Running", "idle"],
    ["Warmed:Hibernated", "idle"],
  ])("%s: the instance goes on, and the heal ends with %s", async (lifecycle, outcome) => {
    const { run, wait, calls, hook } = await play({
      before: (region, me) => region.region.setLifecycle(me.instanceId, lifecycle),
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(run.result?.["outcome"]).toBe(outcome);
    expect(run.result?.["lifecycleState"]).toBe(lifecycle);
    // A state that instance metadata does not show is asked of Auto Scaling.
    const lookedUp = lifecycle === undefined ? ["DescribeAutoScalingInstances ok"] : [];
    expect(calls).toEqual([...lookedUp, CONTINUED]);
    expect(wait?.ended).toMatchObject({ result: "CONTINUE", by: "call" });
    expect(hook).toEqual({
      name: HOOK,
      group: GROUP,
      outcome: "completed",
      result: "CONTINUE",
      message: `completed the launch hook ${HOOK} of ${GROUP} with CONTINUE`,
    });
  });

  test.each(["Standby", "Detached", "Terminated", "Warmed:Terminated"])(
    "%s: nothing is launched, so Auto Scaling is not asked",
    async (lifecycle) => {
      const { run, wait, calls, hook } = await play({
        before: (region, me) => region.region.setLifecycle(me.instanceId, lifecycle),
      });
      expect(run.status, run.log.join("\n")).toBe(0);
      expect(run.log.at(-1)).toBe(
        `the launch hook ${HOOK} is left as it is: this instance is not in service (its Auto Scaling target state is ${lifecycle})`,
      );
      expect(calls).toEqual([]);
      expect(wait?.ended).toBeUndefined();
      expect(hook).toMatchObject({ outcome: "left" });
    },
  );

  test("a spot instance that is about to be interrupted is not put into service", async () => {
    const { run, calls } = await play({
      before: (region, me) => region.region.setSpotAction(me.instanceId, "terminate"),
    });
    expect([run.status, calls]).toEqual([0, []]);
  });
});

describe.concurrent("by the end of the heal", () => {
  const older = { launchTime: Date.UTC(2025, 0, 1) };
  const newer = { launchTime: Date.UTC(2027, 0, 1) };
  const heldBy = (spec: { launchTime: number }) => (world: World, allocationId: string) =>
    world.hold({ allocationId }, world.instance(spec));

  const ROWS: [name: string, setting: Setting, status: number, outcome: string][] = [
    ["the address was free", {}, 0, "settled"],
    [
      "it is here already",
      { world: (world, allocationId, me) => world.hold({ allocationId }, me) },
      0,
      "settled",
    ],
    ["it was taken from an older instance", { world: heldBy(older) }, 0, "settled"],
    ["a newer instance has it", { world: heldBy(newer) }, 69, "yielded"],
    [
      "a NAT gateway has it",
      {
        environment: { EIP_HEAL_DEADLINE: "4s" },
        world: (world, allocationId) => world.holdByService({ allocationId }, "nat-gateway"),
      },
      78,
      "failed",
    ],
    [
      "the role may not associate",
      {
        environment: { EIP_HEAL_DEADLINE: "4s" },
        before: (region) =>
          region.region.setPolicy(
            "hook",
            allow(["ec2:DescribeInstances", "ec2:DescribeAddresses", ...HOOK_ACTIONS]),
          ),
      },
      77,
      "failed",
    ],
    [
      "an older instance may keep it, to the deadline",
      {
        world: heldBy(older),
        environment: { EIP_HEAL_TAKEOVER: "never", EIP_HEAL_DEADLINE: "4s" },
      },
      75,
      "failed",
    ],
    [
      "EC2 cannot be reached, to the deadline",
      {
        environment: { EIP_HEAL_DEADLINE: "4s" },
        before: (region) => region.unplug("ec2"),
      },
      75,
      "failed",
    ],
    [
      "there is no tag",
      { me: { tags: {}, group: GROUP }, environment: { EIP_HEAL_DEADLINE: "4s" } },
      78,
      "failed",
    ],
    [
      "there is no tag, and none is needed",
      {
        me: { tags: {}, group: GROUP },
        environment: { EIP_HEAL_DEADLINE: "4s", EIP_HEAL_OPTIONAL: "yes" },
      },
      0,
      "idle",
    ],
  ];
  test.each(ROWS)("%s", async (_, setting, status, outcome) => {
    const { run, wait, calls, hook } = await play(setting);
    expect(run.status, run.log.join("\n")).toBe(status);
    expect(run.result).toMatchObject({ outcome, exitStatus: status });
    const result = status === 0 ? "CONTINUE" : "ABANDON";
    expect(calls).toEqual([status === 0 ? CONTINUED : ABANDONED]);
    expect(wait?.ended).toMatchObject({ result, by: "call" });
    expect(hook).toMatchObject({ outcome: "completed", result });
    expect(run.log.at(-1)).toContain(
      result === "CONTINUE"
        ? `completed the launch hook ${HOOK} of ${GROUP} with CONTINUE`
        : `completed the launch hook ${HOOK} of ${GROUP} with ABANDON: Auto Scaling terminates this instance`,
    );
  });

  test("settings that make no sense end the wait too", async () => {
    const { run, calls } = await play({ conf: "EIP_HEAL_TAKEOVER=sometimes\n" });
    expect(run.status).toBe(78);
    expect(run.log).toEqual([
      expect.stringContaining('is "sometimes"; accepted: never, if-gone, newest, always'),
      `completed the launch hook ${HOOK} of ${GROUP} with ABANDON: Auto Scaling terminates this instance`,
    ]);
    expect(calls).toEqual([ABANDONED]);
  });

  test.each<[string, Setting, string]>([
    [
      "a settings file that is not there",
      { flags: ["--config", "/nonexistent.conf"] },
      "cannot read /nonexistent.conf: ",
    ],
    [
      "certificates that are not there",
      { conf: "NODE_EXTRA_CA_CERTS=/nonexistent.pem\n" },
      "cannot use NODE_EXTRA_CA_CERTS in ",
    ],
  ])("%s ends it too", async (_, setting, because) => {
    const { run, wait, calls, hook } = await play(setting);
    expect(run.status, run.log.join("\n")).toBe(78);
    expect(run.log).toEqual([
      expect.stringContaining(because),
      `completed the launch hook ${HOOK} of ${GROUP} with ABANDON: Auto Scaling terminates this instance`,
    ]);
    expect(calls).toEqual([ABANDONED]);
    expect(wait?.ended).toMatchObject({ result: "ABANDON", by: "call" });
    expect(hook).toMatchObject({ outcome: "completed", result: "ABANDON" });
  });

  test("nothing is asked if the name of the hook is what makes no sense", async () => {
    const { run, calls } = await play({ environment: { EIP_HEAL_LIFECYCLE_HOOK: "my hook" } });
    expect(run.status).toBe(78);
    expect(run.log).toEqual([
      'EIP_HEAL_LIFECYCLE_HOOK in the environment is "my hook"; accepted: the name of a lifecycle hook: letters, digits, -, _ and /',
    ]);
    expect(calls).toEqual([]);
  });

  test("a mistake on the command line is not this machine's", async () => {
    const { run, wait, calls } = await play({ flags: ["--takeover", "sometimes"] });
    expect([run.status, calls, wait?.ended]).toEqual([64, [], undefined]);
  });

  test.each(["recheck", "release"])("%s leaves the hook alone", async (command) => {
    const { run, calls, hook } = await play({ flags: [command] });
    expect([run.status, calls, hook], run.log.join("\n")).toEqual([0, [], undefined]);
  });

  test("recheck completes it for an instance that leaves its warm pool without a boot", async () => {
    const runtime = mkdtempSync(join(tmpdir(), "eip-heal-run-"));
    const { run, wait, calls, hook } = await play({
      runtime,
      flags: ["recheck"],
      before: async (region, { instanceId }) => {
        region.region.setLifecycle(instanceId, "Warmed:Running");
        await runAgent(region, instanceId, { runtime });
        region.region.setLifecycle(instanceId, "InService");
      },
    });
    rmSync(runtime, { recursive: true });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(run.result).toMatchObject({ outcome: "settled" });
    expect(calls).toEqual([CONTINUED]);
    expect(wait?.ended).toMatchObject({ result: "CONTINUE", by: "call" });
    expect(hook).toMatchObject({ outcome: "completed" });
  });

  test("a dry run says what it would do", async () => {
    const { run, region, calls, allocationId, hook } = await play({
      flags: ["--dry-run", "--json"],
    });
    expect(run.status).toBe(0);
    expect(run.log.at(-1)).toBe(
      `would complete the launch hook ${HOOK} with CONTINUE; dry run, nothing was changed`,
    );
    expect(calls).toEqual([]);
    expect(region.holder(allocationId)).toBeUndefined();
    expect(hook).toBeUndefined();
    expect(JSON.parse(run.stdout)).toMatchObject({
      outcome: "would",
      lifecycleHook: { name: HOOK, outcome: "would", result: "CONTINUE" },
    });
  });

  test("out of time with the address accepted here: the next run completes it, when it knows", async () => {
    const { run, region, me, allocationId, wait, calls, hook } = await play({
      world: heldBy(older),
      environment: { EIP_HEAL_DEADLINE: "4s" },
      // The look that finds the older holder is answered; those that are to confirm the take are not.
      before: (region) =>
        region.faults.add({
          service: "ec2",
          action: "DescribeAddresses",
          skip: 1,
          effect: { do: "error", code: "InternalError", status: 500 },
        }),
    });
    expect(run.status, run.log.join("\n")).toBe(75);
    expect(region.holder(allocationId)?.instanceId).toBe(me.instanceId);
    expect(run.log.at(-1)).toBe(
      `the launch hook ${HOOK} is left as it is: EC2 may have the address here, and time ran out before that was sure`,
    );
    expect([calls, wait?.ended, hook?.["outcome"]]).toEqual([[], undefined, "left"]);
  });

  test.each<[string, Effect, Effect, number, string]>([
    [
      "accepted it, and answers no look",
      { do: "delay", afterMs: 0 },
      { do: "silence" },
      75,
      "left",
    ],
    [
      "accepted it, and the answer is lost: what is shown then is held, past the deadline",
      { do: "lose-answer", how: "silence" },
      { do: "delay", afterMs: 0 },
      0,
      "completed",
    ],
  ])(
    "a refusal, then EC2 has %s: the refusal is not what ends it",
    async (_, association, looks, status, outcome) => {
      const { run, region, me, allocationId, wait, hook } = await play({
        environment: { EIP_HEAL_DEADLINE: "8s" },
        before: (region) => {
          region.faults.add({
            service: "ec2",
            action: "AssociateAddress",
            count: 1,
            effect: { do: "error", code: "UnauthorizedOperation", status: 403 },
          });
          region.faults.add({ service: "ec2", action: "AssociateAddress", effect: association });
          region.faults.add({
            service: "ec2",
            action: "DescribeAddresses",
            skip: 2,
            effect: looks,
          });
        },
      });
      expect(run.status, run.log.join("\n")).toBe(status);
      expect(region.holder(allocationId)?.instanceId).toBe(me.instanceId);
      expect(wait?.ended?.result).toBe(status === 0 ? "CONTINUE" : undefined);
      expect(hook?.["outcome"]).toBe(outcome);
    },
  );

  test("EC2 had accepted it, and another one has it by now: that is no reason to wait", async () => {
    const { run, wait } = await play({
      environment: { EIP_HEAL_DEADLINE: "4s", EIP_HEAL_TAKEOVER: "if-gone" },
      world: (world) => void world.instance({ instanceId: "i-00000000000000001" }),
      before: (region) =>
        region.faults.add({
          service: "ec2",
          action: "AssociateAddress",
          effect: { do: "delay", afterMs: 300 },
        }),
      meanwhile: async (region, me, allocationId) => {
        while (region.holder(allocationId)?.instanceId !== me.instanceId) await sleep(5);
        region.region.associate(allocationId, "i-00000000000000001");
      },
    });
    expect(run.status, run.log.join("\n")).toBe(75);
    expect(wait?.ended).toMatchObject({ result: "ABANDON", by: "call" });
  });

  test("SIGTERM: whoever has stopped it starts it again, and the hook waits for that", async () => {
    const { run, wait, calls, hook } = await play({
      world: heldBy(older),
      environment: { EIP_HEAL_TAKEOVER: "never" },
      stopWhen: (log) => log.includes("next try in"),
    });
    expect(run.status).toBe(75);
    expect(run.log.at(-1)).toMatch(
      new RegExp(`^the launch hook ${HOOK} is left as it is: stopped by SIGTERM while waiting`),
    );
    expect([calls, wait?.ended, hook?.["outcome"]]).toEqual([[], undefined, "left"]);
  });

  test("SIGTERM while the hook is being completed", async () => {
    const { run, calls, hook } = await play({
      before: (region) => region.faults.add({ service: "autoscaling", effect: { do: "silence" } }),
      stopWhen: (_, { calls }) => calls.some(({ action }) => action === "CompleteLifecycleAction"),
    });
    expect(run.status).toBe(75);
    expect(run.result).toMatchObject({ outcome: "settled", exitStatus: 75 });
    expect(run.env).toContain("EIP_HEAL_PUBLIC_IP=");
    expect(calls).toEqual(["CompleteLifecycleAction silence"]);
    expect(hook).toMatchObject({ outcome: "stopped", result: "CONTINUE" });
  });
});

describe.concurrent("time", () => {
  test(
    "heartbeats keep a hook from timing out while the heal waits",
    { timeout: PATIENCE_MS },
    async () => {
      const { run, wait, calls, heartbeats } = await play({
        hook: { heartbeatTimeoutMs: 13_500 },
        environment: { EIP_HEAL_TAKEOVER: "if-gone" },
        world: (world, allocationId) =>
          world.hold({ allocationId }, world.instance({ instanceId: "i-00000000000000001" })),
        meanwhile: async (region) => {
          await sleep(9_500);
          region.region.terminate("i-00000000000000001");
        },
      });
      expect(run.status, run.log.join("\n")).toBe(0);
      expect(run.ms).toBeGreaterThan(13_500);
      expect(heartbeats).toContain("RecordLifecycleActionHeartbeat ok");
      expect(calls).toEqual([CONTINUED]);
      expect(wait?.ended).toMatchObject({ result: "CONTINUE", by: "call" });
    },
  );

  const late: Setting = {
    environment: { EIP_HEAL_DEADLINE: "4s", EIP_HEAL_TAKEOVER: "never" },
    world: (world, allocationId) => world.hold({ allocationId }, world.instance()),
  };

  test("a hook that times out meanwhile and lets the instance on: the heal ends as it ends", async () => {
    const { run, wait, calls, hook } = await play({
      ...late,
      hook: { heartbeatTimeoutMs: 2_000, defaultResult: "CONTINUE" },
    });
    expect(run.status, run.log.join("\n")).toBe(75);
    expect(wait?.ended).toMatchObject({ result: "CONTINUE", by: "timeout" });
    expect(calls).toEqual(["CompleteLifecycleAction ValidationError"]);
    expect(hook).toMatchObject({ outcome: "not-waiting", group: GROUP });
  });

  test("a hook that times out meanwhile and has the instance terminated: it leaves the address alone", async () => {
    const { run, wait, calls, hook } = await play({
      ...late,
      hook: { heartbeatTimeoutMs: 2_000, defaultResult: "ABANDON" },
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(run.result).toMatchObject({ outcome: "idle", lifecycleState: "Terminated" });
    expect(wait?.ended).toMatchObject({ result: "ABANDON", by: "timeout" });
    expect(calls).toEqual([]);
    expect(hook).toMatchObject({ outcome: "left" });
  });

  test("a heal that finds the address here sends no heartbeat and ends at once", async () => {
    const { run, calls, heartbeats } = await play({
      world: (world, allocationId, me) => world.hold({ allocationId }, me),
    });
    expect([calls, heartbeats]).toEqual([[CONTINUED], []]);
    expect(run.ms).toBeLessThan(6_000);
  });
});

describe.concurrent("the instance does not wait", { timeout: PATIENCE_MS }, () => {
  test("yet: the heal at boot was faster than Auto Scaling", async () => {
    const { run, wait, calls, hook } = await play({
      waits: false,
      me: { group: GROUP, lifecycle: undefined },
      meanwhile: async ({ region }, { instanceId }) => {
        await sleep(9_000);
        region.waitUnderHook(instanceId, HOOK);
      },
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(calls).toContain("CompleteLifecycleAction ValidationError");
    expect(calls.filter((call) => call === CONTINUED)).toHaveLength(1);
    expect(calls.at(-1)).toBe(CONTINUED);
    expect(wait?.ended).toMatchObject({ result: "CONTINUE", by: "call" });
    expect(hook).toMatchObject({ group: GROUP, outcome: "completed", result: "CONTINUE" });
  });

  test("and never will, though metadata does not tell: that is no failure", async () => {
    const { run, calls, hook } = await play({
      waits: false,
      me: { group: GROUP, lifecycle: undefined },
      environment: { EIP_HEAL_DEADLINE: "5s" },
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(run.ms).toBeGreaterThan(GRACE_MS - 5_000);
    expect(new Set(calls)).toEqual(
      new Set([
        // Instance metadata does not tell whether it is in service.
        "DescribeAutoScalingInstances ok",
        "CompleteLifecycleAction ValidationError",
      ]),
    );
    expect(hook).toMatchObject({ outcome: "not-waiting" });
  });

  test("after a reboot: nothing is said, at least not aloud", async () => {
    const quiet = await play({ waits: false });
    expect(quiet.run.status).toBe(0);
    expect(quiet.run.log).toHaveLength(1);
    expect(quiet.hook).toEqual({
      name: HOOK,
      group: GROUP,
      outcome: "not-waiting",
      message: `this instance does not wait under the launch hook ${HOOK} of ${GROUP}`,
    });
    const loud = await play({ waits: false, flags: ["--verbose"] });
    expect(loud.run.log.at(-1)).toBe(quiet.hook?.["message"]);
  });

  test("in no group at all", async () => {
    const { run, calls, hook } = await play({
      waits: false,
      me: { group: undefined as never },
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(calls).toEqual(["DescribeAutoScalingInstances ok"]);
    expect(hook).toMatchObject({ name: HOOK, outcome: "not-waiting" });
  });
});

describe.concurrent("the name of the group", () => {
  test("by its tag in instance metadata: Auto Scaling is not asked for it", async () => {
    const { calls, region } = await play();
    expect(calls).toEqual([CONTINUED]);
    expect(region.calls.at(-1)?.params["AutoScalingGroupName"]).toBe(GROUP);
    expect(region.calls.at(-1)?.userAgent).toContain("eip-heal/");
  });

  test("from DescribeAutoScalingInstances where there are no tags in metadata", async () => {
    const { run, calls, hook } = await play({ me: { metadataTags: false } });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(calls).toEqual(["DescribeAutoScalingInstances ok", CONTINUED]);
    expect(hook).toMatchObject({ group: GROUP, outcome: "completed" });
  });
});

describe.concurrent("Auto Scaling does not play along", { timeout: PATIENCE_MS }, () => {
  const ARN = "arn:aws:autoscaling:us-east-1:111122223333:autoScalingGroup:";
  const DEADLINE = { EIP_HEAL_DEADLINE: "5s" };

  test("no permission: the address stays, the run says what is missing, and fails by it", async () => {
    const { run, region, me, allocationId, hook, wait } = await play({
      role: "full",
      environment: DEADLINE,
    });
    expect(run.status, run.log.join("\n")).toBe(77);
    expect(region.holder(allocationId)?.instanceId).toBe(me.instanceId);
    expect(run.env).toContain("EIP_HEAL_PUBLIC_IP=");
    expect(run.result).toMatchObject({ outcome: "settled", change: "associated", exitStatus: 77 });
    expect(run.log[0]).toMatch(/^associated eipalloc-/);
    const last = run.log.at(-1) ?? "";
    expect(last).toMatch(
      new RegExp(
        `not allowed: autoscaling:CompleteLifecycleAction on ${ARN}\\S+:autoScalingGroupName/${GROUP} `,
      ),
    );
    expect(last).toContain(
      `; allow autoscaling:CompleteLifecycleAction in the policy of the instance role: eip-heal policy --hook prints it; the launch hook ${HOOK} is not completed with CONTINUE`,
    );
    expect(hook).toMatchObject({ outcome: "failed", failure: "denied", result: "CONTINUE" });
    expect(wait?.ended).toBeUndefined();
  });

  test.each([true, false])(
    "the policies that are shipped suffice, with tags in metadata: %s",
    async (metadataTags) => {
      const { run, wait } = await play({
        me: { metadataTags },
        account: "123456789012",
        before: (region) =>
          region.region.setPolicy("hook", {
            Statement: ["iam-policy-minimal.json", "iam-policy-launch-hook.json"].flatMap(
              (name) =>
                (
                  JSON.parse(
                    readFileSync(resolve(import.meta.dirname, "../../packaging", name), "utf8"),
                  ) as PolicyDocument
                ).Statement,
            ),
          }),
      });
      expect(run.status, run.log.join("\n")).toBe(0);
      expect(wait?.ended).toMatchObject({ result: "CONTINUE", by: "call" });
    },
  );

  test("no permission to look the group up", async () => {
    const { run } = await play({
      me: { metadataTags: false },
      role: "full",
      environment: DEADLINE,
    });
    expect(run.status).toBe(77);
    expect(run.log.at(-1)).toContain(
      "allow autoscaling:DescribeAutoScalingInstances in the policy of the instance role: eip-heal policy prints it",
    );
  });

  test("a permission that comes meanwhile is good enough", async () => {
    const { run, calls } = await play({
      role: "full",
      meanwhile: async ({ calls, region }) => {
        while (!calls.some(({ error }) => error === "AccessDenied")) await sleep(20);
        region.setPolicy("full", HOOK_ROLE);
      },
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(calls).toContain("CompleteLifecycleAction AccessDenied");
    expect(calls.at(-1)).toBe(CONTINUED);
  });

  test("the result of the heal comes before that of the hook", async () => {
    const { run, hook } = await play({
      role: "full",
      environment: DEADLINE,
      world: (world, allocationId) =>
        world.hold({ allocationId }, world.instance({ launchTime: Date.UTC(2027, 0, 1) })),
    });
    expect(run.status).toBe(69);
    expect(run.log[0]).toMatch(/^yielded: /);
    expect(run.log.at(-1)).toContain("is not completed with ABANDON");
    expect(hook).toMatchObject({ outcome: "failed", failure: "denied", result: "ABANDON" });
  });

  test("out of reach", async () => {
    const { run, hook } = await play({
      environment: DEADLINE,
      before: (region) => region.unplug("autoscaling"),
    });
    expect(run.status, run.log.join("\n")).toBe(75);
    expect(run.ms).toBeGreaterThan(GRACE_MS - 5_000);
    expect(run.log.at(-1)).toMatch(
      /autoscaling:CompleteLifecycleAction at 127\.0\.0\.1:\d+: connection refused \(ECONNREFUSED\)/,
    );
    expect(hook).toMatchObject({ outcome: "failed", failure: "unreachable" });
  });

  test.each([
    ["throttled", { do: "error", code: "Throttling", message: "Rate exceeded" }],
    ["busy", { do: "error", code: "ResourceContention", status: 500 }],
    ["reset", { do: "reset" }],
    ["a page of somebody else", { do: "html" }],
    ["bytes that mean nothing", { do: "garbage" }],
    ["a bad gateway", { do: "status", status: 502, body: "<html>Bad Gateway</html>" }],
  ] as const)("%s for two requests: tried again until it is done", async (_, effect) => {
    const { run, wait, calls, heartbeats } = await play({
      before: (region) => region.faults.add({ service: "autoscaling", count: 2, effect }),
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    // Heartbeats go on while it waits, and may be among the two.
    const asked = [...calls, ...heartbeats];
    expect(asked.filter((call) => !/ (?:ok|CONTINUE)$/.test(call))).toHaveLength(2);
    expect(calls.filter((call) => call === CONTINUED)).toHaveLength(1);
    expect(wait?.ended).toMatchObject({ result: "CONTINUE", by: "call" });
    expect(run.log.at(-1)).toMatch(/^completed the launch hook/);
  });

  test("an answer that was lost is told as what it was", async () => {
    const { run, calls, hook } = await play({
      before: (region) =>
        region.faults.add({
          service: "autoscaling",
          action: "CompleteLifecycleAction",
          count: 1,
          effect: { do: "lose-answer", how: "reset" },
        }),
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(calls).toEqual([
      "CompleteLifecycleAction lose-answer",
      "CompleteLifecycleAction ValidationError",
    ]);
    expect(run.log.at(-1)).toBe(
      `completed the launch hook ${HOOK} of ${GROUP} with CONTINUE, it seems: the answer was lost, and the instance does not wait under it now`,
    );
    expect(hook).toMatchObject({
      outcome: "completed",
      result: "CONTINUE",
      message: run.log.at(-1),
    });
  });

  test("heartbeats that are refused do not disturb the heal", async () => {
    const { run, calls, heartbeats } = await play({
      before: (region) => {
        region.region.setPolicy("hook", FULL_ROLE);
        region.region.setPolicy("hook", HOOK_ROLE, Date.now() + 10_000);
      },
      environment: { EIP_HEAL_TAKEOVER: "if-gone" },
      world: (world, allocationId) =>
        world.hold({ allocationId }, world.instance({ instanceId: "i-00000000000000001" })),
      meanwhile: async (region) => {
        await sleep(10_500);
        region.region.terminate("i-00000000000000001");
      },
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(heartbeats).toContain("RecordLifecycleActionHeartbeat AccessDenied");
    expect(calls).toEqual([CONTINUED]);
    expect(run.log.join("\n")).toContain(
      "allow autoscaling:RecordLifecycleActionHeartbeat in the policy",
    );
  });
});

describe.concurrent("endpoints", () => {
  test("AWS_ENDPOINT_URL where there is none for Auto Scaling", async () => {
    const { run } = await play({
      environment: {
        AWS_ENDPOINT_URL_AUTO_SCALING: "",
        AWS_ENDPOINT_URL: "http://127.0.0.1:9/",
      },
      stopWhen: (log) => log.includes("autoscaling:CompleteLifecycleAction"),
    });
    expect(run.log.join("\n")).toContain(
      "autoscaling:CompleteLifecycleAction at 127.0.0.1:9: connection refused",
    );
  });

  test("one that makes no sense", async () => {
    const { run, hook } = await play({
      environment: { AWS_ENDPOINT_URL_AUTO_SCALING: "nowhere" },
    });
    const because =
      'AWS_ENDPOINT_URL_AUTO_SCALING is "nowhere"; accepted: an https:// or http:// URL';
    expect(run.status).toBe(78);
    expect(run.log).toEqual([because, `the launch hook ${HOOK} is left as it is: ${because}`]);
    expect(hook).toMatchObject({ outcome: "left" });
  });
});
