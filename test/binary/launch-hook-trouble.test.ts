/** The lifecycle hook of an Auto Scaling group: waits that are short or over, and an Auto Scaling API that does not play along. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { FULL_ROLE, HOOK_ROLE, type PolicyDocument } from "../../sim/iam.ts";
import type { RunningRegion } from "../../sim/server.ts";
import { eventually } from "../support/run.ts";
import {
  CONTINUED,
  GRACE_MS,
  GROUP,
  HOOK,
  PATIENCE_MS,
  play,
  type Setting,
  sleep,
} from "./under-hook.ts";

/** Waits until Auto Scaling has refused a call with this code. */
const refused = ({ calls }: RunningRegion, code: string) =>
  eventually(code, () => calls.some(({ error }) => error === code));

describe.concurrent("time", () => {
  test(
    "heartbeats keep a hook from timing out while the heal waits",
    { timeout: PATIENCE_MS },
    async () => {
      const timeoutMs = 20_000;
      const { run, wait, calls, heartbeats } = await play({
        hook: { heartbeatTimeoutMs: timeoutMs },
        environment: { EIP_HEAL_TAKEOVER: "if-gone" },
        world: (world, allocationId) =>
          world.hold({ allocationId }, world.instance({ instanceId: "i-00000000000000001" })),
        meanwhile: async (region) => {
          await sleep(timeoutMs - 4_000);
          region.region.terminate("i-00000000000000001");
        },
      });
      expect(run.status, run.log.join("\n")).toBe(0);
      expect(run.ms).toBeGreaterThan(timeoutMs);
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

  test("a heal that finds the address here looks once and ends", async () => {
    const { calls, region } = await play({
      world: (world, allocationId, me) => world.hold({ allocationId }, me),
    });
    expect(calls).toEqual([CONTINUED]);
    const looks = region.calls.filter(({ service }) => service === "ec2");
    expect(looks.map(({ action }) => action)).toEqual(["DescribeAddresses"]);
  });
});

describe.concurrent("the instance does not wait", { timeout: PATIENCE_MS }, () => {
  test("yet: the heal at boot was faster than Auto Scaling", async () => {
    const { run, wait, calls, hook } = await play({
      waits: false,
      me: { group: GROUP, lifecycle: undefined },
      meanwhile: async (region, { instanceId }) => {
        await refused(region, "ValidationError");
        region.region.waitUnderHook(instanceId, HOOK);
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
      message: `this instance does not wait under the lifecycle hook ${HOOK} of ${GROUP}`,
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
      "; allow autoscaling:CompleteLifecycleAction in the policy of the instance role: eip-heal policy --hook prints it",
    );
    expect(last).toContain(`; the lifecycle hook ${HOOK} is not completed with CONTINUE`);
    expect(last).toMatch(/; run: eip-heal doctor$/);
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
      meanwhile: async (region) => {
        await refused(region, "AccessDenied");
        region.region.setPolicy("full", HOOK_ROLE);
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
      /^Auto Scaling: connection refused \(ECONNREFUSED\) \(.*: autoscaling:CompleteLifecycleAction at 127\.0\.0\.1:\d+\)/,
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
    expect(run.log.at(-1)).toMatch(/^completed the lifecycle hook/);
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
      `completed the lifecycle hook ${HOOK} of ${GROUP} with CONTINUE, it seems: the answer was lost, and the instance does not wait under it now`,
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
      },
      environment: { EIP_HEAL_TAKEOVER: "if-gone" },
      world: (world, allocationId) =>
        world.hold({ allocationId }, world.instance({ instanceId: "i-00000000000000001" })),
      meanwhile: async (region) => {
        await refused(region, "AccessDenied");
        region.region.setPolicy("hook", HOOK_ROLE);
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
    expect(run.log.join("\n")).toContain("Auto Scaling: connection refused");
  });

  test("one that makes no sense", async () => {
    const { run, hook } = await play({
      environment: { AWS_ENDPOINT_URL_AUTO_SCALING: "nowhere" },
    });
    const because =
      'AWS_ENDPOINT_URL_AUTO_SCALING is "nowhere"; accepted: an https:// or http:// URL';
    expect(run.status).toBe(78);
    expect(run.log).toEqual([
      `FAILED (78): ${because}; run: eip-heal doctor`,
      `the lifecycle hook ${HOOK} is left as it is: ${because}; run: eip-heal doctor`,
    ]);
    expect(hook).toMatchObject({ outcome: "left" });
  });
});
