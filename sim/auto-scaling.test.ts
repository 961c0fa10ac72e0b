/** Auto Scaling's lifecycle hooks: what its API does, and what time alone does. */

import {
  AutoScalingClient,
  CompleteLifecycleActionCommand,
  DescribeAutoScalingInstancesCommand,
  RecordLifecycleActionHeartbeatCommand,
} from "@aws-sdk/client-auto-scaling";
import { expect, test } from "vitest";

import { ADMIN } from "./credentials.ts";
import { allow, HOOK_ROLE } from "./iam.ts";
import { Region } from "./region.ts";
import { afterwards, imds, outcome, start } from "./testing.ts";
import type { RunningRegion } from "./server.ts";
import { aWorld } from "./world.ts";
import type { HookSpec } from "./build.ts";

const HOUR = 3_600_000;

/** A region on a clock of its own with one instance that waits. */
function waiting(hook: Omit<HookSpec, "name"> = {}, target = "InService") {
  const world = aWorld();
  world.group("web", { name: "launch", ...hook });
  const { instanceId } = world.instance({ group: "web" });
  const clock = { now: 0 };
  const region = new Region(world.data, () => clock.now);
  region.waitUnderHook(instanceId, "launch", target);
  const input = { group: "web", hook: "launch", instanceId };
  const ended = () => {
    region.elapse();
    return region.lifecycleActions()[0]?.ended;
  };
  return { region, clock, instanceId, input, ended };
}

test("CONTINUE puts the instance into service, ABANDON ends it", () => {
  const on = waiting();
  on.region.completeLifecycleAction("admin", { ...on.input, result: "CONTINUE" });
  expect(on.ended()).toEqual({ result: "CONTINUE", by: "call", at: 0 });
  expect(on.region.instance(on.instanceId)).toMatchObject({
    state: "running",
    lifecycle: "InService",
  });

  const off = waiting();
  off.region.completeLifecycleAction("admin", { ...off.input, result: "ABANDON" });
  expect(off.region.instance(off.instanceId)).toMatchObject({
    state: "shutting-down",
    lifecycle: "Terminated",
  });
  expect(() => off.region.recordLifecycleActionHeartbeat("admin", off.input)).toThrow(
    `No active Lifecycle Action found with instance ID ${off.instanceId}`,
  );
});

test.each(["CONTINUE", "ABANDON"] as const)("after its timeout a hook does %s", (defaultResult) => {
  const { clock, ended } = waiting({ heartbeatTimeoutMs: 30_000, defaultResult });
  clock.now = 29_999;
  expect(ended()).toBeUndefined();
  clock.now = 30_000;
  expect(ended()).toEqual({ result: defaultResult, by: "timeout", at: 30_000 });
});

test("a heartbeat begins the timeout anew, and not for ever", () => {
  const { region, clock, input, ended } = waiting({ heartbeatTimeoutMs: 30_000 });
  const end = 100 * 30_000;
  for (; clock.now < end; clock.now += 20_000) {
    region.recordLifecycleActionHeartbeat("admin", input);
    expect(ended()).toBeUndefined();
  }
  expect(ended()).toMatchObject({ by: "timeout" });

  const long = waiting({ heartbeatTimeoutMs: HOUR });
  for (; long.clock.now < 48 * HOUR; long.clock.now += HOUR / 2) {
    long.region.recordLifecycleActionHeartbeat("admin", long.input);
  }
  expect(long.ended()).toMatchObject({ by: "timeout", at: 48 * HOUR });
});

test.each([
  ["InService", "Pending:Wait", "InService"],
  ["Warmed:Stopped", "Warmed:Pending:Wait", "Warmed:Stopped"],
])("on the way to %s the state is %s", (target, during, after) => {
  const { region, input, instanceId } = waiting({}, target);
  const state = () => region.describeAutoScalingInstances("admin")[0]?.lifecycleState;
  expect(region.instance(instanceId).lifecycle).toBe(target);
  expect(state()).toBe(during);
  region.completeLifecycleAction("admin", { ...input, result: "CONTINUE" });
  expect(state()).toBe(after);
});

test("another hook, another group, another instance: no action", () => {
  const { region, input } = waiting();
  const other = region.launch();
  const complete = (change: Partial<typeof input>) => () =>
    region.completeLifecycleAction("admin", { ...input, ...change, result: "CONTINUE" });
  expect(complete({ hook: "other" })).toThrow("No active Lifecycle Action");
  expect(complete({ instanceId: other.instanceId })).toThrow("No active Lifecycle Action");
  expect(complete({ group: "db" })).toThrow("Auto Scaling group db not found");
});

test("over HTTP, with a role: throttled, refused by ARN, done; IMDS shows what became of it", async () => {
  const world = aWorld({
    settings: { throttle: { CompleteLifecycleAction: { size: 3, refillPerSecond: 0 } } },
  });
  world.role("hook", HOOK_ROLE);
  world.role(
    "other",
    allow(
      ["autoscaling:CompleteLifecycleAction"],
      ["arn:aws:autoscaling:us-east-1:111122223333:autoScalingGroup:*:autoScalingGroupName/db"],
    ),
  );
  world.group("web", { name: "launch" });
  const me = world.instance({ group: "web", role: "other", metadataTags: true });
  const running = await start(world);
  running.region.waitUnderHook(me.instanceId, "launch");
  const client = clientOf(running, me.instanceId);
  const on = {
    AutoScalingGroupName: "web",
    LifecycleHookName: "launch",
    InstanceId: me.instanceId,
  };
  const complete = () =>
    client.send(new CompleteLifecycleActionCommand({ ...on, LifecycleActionResult: "ABANDON" }));

  await expect(complete()).rejects.toMatchObject({
    name: "AccessDenied",
    message: expect.stringMatching(
      /is not authorized to perform: autoscaling:CompleteLifecycleAction on resource: arn:aws:autoscaling:\S+:autoScalingGroupName\/web because/,
    ) as unknown,
  });
  running.region.setRole(me.instanceId, "hook");
  await client.send(new RecordLifecycleActionHeartbeatCommand(on));
  const shown = await client.send(
    new DescribeAutoScalingInstancesCommand({ InstanceIds: [me.instanceId] }),
  );
  expect(shown.AutoScalingInstances).toMatchObject([
    { AutoScalingGroupName: "web", LifecycleState: "Pending:Wait" },
  ]);
  await complete();
  expect(await outcome(complete())).toBe("ValidationError");
  expect(await outcome(complete())).toBe("Throttling");
  const read = await imds(running, me.instanceId);
  const text = async (path: string) => (await read(path)).text();
  expect(await text("meta-data/autoscaling/target-lifecycle-state")).toBe("Terminated");
  expect(await text("meta-data/tags/instance/aws:autoscaling:groupName")).toBe("web");
  expect(running.calls.map(({ service, error }) => `${service} ${error ?? "ok"}`)).toEqual([
    "autoscaling AccessDenied",
    "autoscaling ok",
    "autoscaling ok",
    "autoscaling ok",
    "autoscaling ValidationError",
    "autoscaling Throttling",
  ]);
  expect(running.bugs).toEqual([]);
});

test("a target lifecycle state that IMDS does not show yet, while Auto Scaling tells the truth", async () => {
  const world = aWorld();
  world.group("web");
  const hidden = { group: "web", metadataTags: true, lifecycle: "Warmed:Stopped" };
  const me = world.instance({ ...hidden, lifecycleFrom: "2026-06-01T00:00:05Z" });
  const never = world.instance({ ...hidden, lifecycleFrom: Infinity });
  const clock = { now: Date.UTC(2026, 5, 1) };
  const running = await start(world, { now: () => clock.now });
  const { region } = running;
  const shown = async (instanceId: string): Promise<string | number> => {
    const read = await imds(running, instanceId);
    const answer = await read("meta-data/autoscaling/target-lifecycle-state");
    return answer.status === 200 ? answer.text() : answer.status;
  };
  expect(await shown(me.instanceId)).toBe(404);
  expect(region.describeAutoScalingInstances("admin").map((one) => one.lifecycleState)).toEqual([
    "Warmed:Stopped",
    "Warmed:Stopped",
  ]);
  clock.now += 5000;
  expect(await shown(me.instanceId)).toBe("Warmed:Stopped");

  expect(await shown(never.instanceId)).toBe(404);
  region.showLifecycle(never.instanceId);
  expect(await shown(never.instanceId)).toBe("Warmed:Stopped");

  region.hideLifecycle(me.instanceId, 1000);
  region.setLifecycle(me.instanceId, "InService");
  expect(await shown(me.instanceId)).toBe(404);
  clock.now += 1000;
  expect(await shown(me.instanceId)).toBe("InService");
  region.hideLifecycle(me.instanceId);
  clock.now += HOUR;
  expect(await shown(me.instanceId)).toBe(404);
});

test("a request that is not rightly signed", async () => {
  const running = await start(aWorld());
  const client = clientOf(running, undefined, { secretAccessKey: "wrong" });
  expect(await outcome(client.send(new DescribeAutoScalingInstancesCommand({})))).toBe(
    "SignatureDoesNotMatch",
  );
  const stranger = clientOf(running, undefined, { accessKeyId: "AKIANOBODY" });
  expect(await outcome(stranger.send(new DescribeAutoScalingInstancesCommand({})))).toBe(
    "InvalidClientTokenId",
  );
});

function clientOf(
  running: RunningRegion,
  instanceId: string | undefined,
  change: Partial<typeof ADMIN | Record<string, string>> = {},
): AutoScalingClient {
  const issued = instanceId === undefined ? undefined : running.credentials.current(instanceId);
  const client = new AutoScalingClient({
    region: running.region.name,
    endpoint: running.autoScalingUrl,
    credentials: {
      accessKeyId: issued?.accessKeyId ?? ADMIN.accessKeyId,
      secretAccessKey: issued?.secretAccessKey ?? ADMIN.secretAccessKey,
      ...(issued && { sessionToken: issued.token }),
      ...change,
    },
    maxAttempts: 1,
  });
  afterwards(() => client.destroy());
  return client;
}
