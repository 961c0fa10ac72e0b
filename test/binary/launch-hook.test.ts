/**
 * The lifecycle hook of an Auto Scaling group: the real binary on an instance that waits under one, for every
 * lifecycle state and every way a heal can end.
 */
import { describe, expect, test } from "vitest";
import type { Effect } from "../../sim/faults.ts";
import { allow, HOOK_ACTIONS } from "../../sim/iam.ts";
import type { World } from "../../sim/world.ts";
import { runAgent } from "../support/agent.ts";
import { ABANDONED, CONTINUED, GROUP, HOOK, play, type Setting, sleep } from "./under-hook.ts";

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
      message: `completed the lifecycle hook ${HOOK} of ${GROUP} with CONTINUE`,
    });
  });

  test.each(["Standby", "Detached", "Terminated", "Warmed:Terminated"])(
    "%s: nothing is launched, so Auto Scaling is not asked",
    async (lifecycle) => {
      const { run, wait, calls, hook } = await play({
        before: (region, me) => region.region.setLifecycle(me.instanceId, lifecycle),
      });
      expect(run.status, run.log.join("\n")).toBe(0);
      expect(run.log.at(-1)).toContain(
        `the lifecycle hook ${HOOK} is left as it is: this instance is not in service (its Auto Scaling target state is ${lifecycle})`,
      );
      expect(calls).toEqual([]);
      expect(wait?.ended).toBeUndefined();
      expect(hook).toMatchObject({ outcome: "left" });
    },
  );

  test("a spot instance that is about to be interrupted is not put into service", async () => {
    const { run, calls, wait } = await play({
      before: (region, me) => region.region.setSpotAction(me.instanceId, "terminate"),
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(run.log).toContain("nothing to do: this spot instance is about to terminate");
    expect(calls).toEqual([]);
    expect(wait?.ended).toBeUndefined();
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
        ? `completed the lifecycle hook ${HOOK} of ${GROUP} with CONTINUE`
        : `completed the lifecycle hook ${HOOK} of ${GROUP} with ABANDON: Auto Scaling terminates this instance; run: eip-heal doctor`,
    );
  });

  test("settings that make no sense end the wait too", async () => {
    const { run, calls } = await play({ conf: "EIP_HEAL_TAKEOVER=sometimes\n" });
    expect(run.status).toBe(78);
    expect(run.log).toEqual([
      expect.stringContaining('is "sometimes"; accepted: never, if-gone, newest, always'),
      `completed the lifecycle hook ${HOOK} of ${GROUP} with ABANDON: Auto Scaling terminates this instance; run: eip-heal doctor`,
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
      `completed the lifecycle hook ${HOOK} of ${GROUP} with ABANDON: Auto Scaling terminates this instance; run: eip-heal doctor`,
    ]);
    expect(calls).toEqual([ABANDONED]);
    expect(wait?.ended).toMatchObject({ result: "ABANDON", by: "call" });
    expect(hook).toMatchObject({ outcome: "completed", result: "ABANDON" });
  });

  test("nothing is asked if the name of the hook is what makes no sense", async () => {
    const { run, calls } = await play({ environment: { EIP_HEAL_LIFECYCLE_HOOK: "my hook" } });
    expect(run.status).toBe(78);
    expect(run.log).toEqual([
      'FAILED (78): EIP_HEAL_LIFECYCLE_HOOK in the environment is "my hook"; accepted: the name of a lifecycle hook: letters, digits, -, _ and /; run: eip-heal doctor',
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
    const { run, wait, calls, hook } = await play({
      flags: ["recheck"],
      before: async (region, { instanceId }, runtime) => {
        region.region.setLifecycle(instanceId, "Warmed:Running");
        await runAgent(region, instanceId, { runtime });
        region.region.setLifecycle(instanceId, "InService");
      },
    });
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
      `would complete the lifecycle hook ${HOOK} with CONTINUE; dry run, nothing was changed`,
    );
    expect(calls).toEqual([]);
    expect(region.holder(allocationId)).toBeUndefined();
    expect(hook).toBeUndefined();
    expect(JSON.parse(run.stdout)).toMatchObject({
      outcome: "would",
      lifecycleHook: { name: HOOK, outcome: "would", result: "CONTINUE" },
    });
  });

  // The look that finds the older holder is answered; those that are to confirm the take are not.
  test.each([
    ["accepted here", 1],
    ["shown here, and not a second time", 2],
  ])(
    "out of time with the address %s: the next run completes it, when it knows",
    async (_, answered) => {
      const { run, region, me, allocationId, wait, calls, hook } = await play({
        world: heldBy(older),
        environment: { EIP_HEAL_DEADLINE: "4s" },
        before: (region) =>
          region.faults.add({
            service: "ec2",
            action: "DescribeAddresses",
            skip: answered,
            effect: { do: "error", code: "InternalError", status: 500 },
          }),
      });
      expect(run.status, run.log.join("\n")).toBe(75);
      expect(region.holder(allocationId)?.instanceId).toBe(me.instanceId);
      expect(run.log.at(-1)).toBe(
        `the lifecycle hook ${HOOK} is left as it is: EC2 may have the address here, and time ran out before that was sure; run: eip-heal doctor`,
      );
      expect([calls, wait?.ended, hook?.["outcome"]]).toEqual([[], undefined, "left"]);
    },
  );

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
      new RegExp(`^the lifecycle hook ${HOOK} is left as it is: stopped by SIGTERM while waiting`),
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
