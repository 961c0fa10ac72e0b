/** Debian's real aws client against the region: a client that this project did not write understands it. */

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import { expect, test } from "vitest";

import { unless } from "../test/support/skipping.ts";
import { HOOK_ROLE } from "./iam.ts";
import { start } from "./testing.ts";
import type { RunningRegion } from "./server.ts";
import { aWorld } from "./world.ts";

const AWS = "/usr/bin/aws";
const there = existsSync(AWS);
/** The client takes a second to start, and longer on a busy machine. */
const PATIENCE_MS = 60_000;
const options = {
  ...unless(there ? undefined : `${AWS} is not installed (Debian package awscli)`),
  timeout: PATIENCE_MS,
};

const run = promisify(execFile);

/** Runs `aws ec2 …` with the credentials of the instance; its JSON, or the error it prints. */
function aws(region: RunningRegion, instanceId: string, ...args: string[]): Promise<unknown> {
  return awsOf("ec2", region.ec2Url, region, instanceId, args);
}

async function awsOf(
  service: "ec2" | "autoscaling",
  url: string,
  region: RunningRegion,
  instanceId: string,
  args: readonly string[],
): Promise<unknown> {
  const keys = region.credentials.current(instanceId);
  const env = {
    PATH: "/usr/bin:/bin",
    HOME: "/nonexistent",
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    AWS_REGION: region.region.name,
    AWS_ACCESS_KEY_ID: keys.accessKeyId,
    AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
    AWS_SESSION_TOKEN: keys.token,
    AWS_PAGER: "",
  };
  try {
    const { stdout } = await run(
      AWS,
      [service, ...args, "--endpoint-url", url, "--output", "json"],
      { env },
    );
    return stdout === "" ? undefined : JSON.parse(stdout);
  } catch (error) {
    return (error as { stderr?: string }).stderr?.trim();
  }
}

test("describe-addresses and describe-instances", options, async () => {
  const world = aWorld();
  const [a, b] = [world.address({ tags: { pool: "web" } }), world.address()];
  const i = world.instance({ tags: { "allocation-id": b.allocationId }, autoPublicIp: true });
  const j = world.instance({ autoPublicIp: true, state: "pending" });
  world.hold(b, i);
  const region = await start(world);
  const ask = (...args: string[]): Promise<unknown> => aws(region, i.instanceId, ...args);
  const common = { PublicIpv4Pool: "amazon", NetworkBorderGroup: "us-east-1", Domain: "vpc" };
  const free = {
    PublicIp: a.publicIp,
    AllocationId: a.allocationId,
    Tags: [{ Key: "pool", Value: "web" }],
    ...common,
  };
  const held = {
    PublicIp: b.publicIp,
    AllocationId: b.allocationId,
    InstanceId: i.instanceId,
    AssociationId: region.holder(b.allocationId)?.associationId,
    NetworkInterfaceId: i.networkInterfaceId,
    NetworkInterfaceOwnerId: "111122223333",
    PrivateIpAddress: i.privateIp,
    ...common,
  };

  const [all, one, pool, unknown, missing] = await Promise.all([
    ask("describe-addresses"),
    ask("describe-addresses", "--allocation-ids", b.allocationId),
    ask("describe-addresses", "--filters", "Name=tag:pool,Values=web,db"),
    ask("describe-addresses", "--filters", "Name=allocation-id,Values=eipalloc-0123456789abcdef0"),
    ask("describe-addresses", "--allocation-ids", "eipalloc-0123456789abcdef0"),
  ]);
  expect(all).toEqual({ Addresses: [free, held] });
  expect(one).toEqual({ Addresses: [held] });
  expect(pool).toEqual({ Addresses: [free] });
  expect(unknown).toEqual({ Addresses: [] });
  expect(missing).toBe(
    "An error occurred (InvalidAllocationID.NotFound) when calling the DescribeAddresses operation: The allocation ID 'eipalloc-0123456789abcdef0' does not exist",
  );

  const byHolder =
    "Name=network-interface.addresses.association.allocation-id,Values=" + b.allocationId;
  const [mine, other, nobody] = await Promise.all([
    ask("describe-instances", "--filters", byHolder, "Name=instance-state-name,Values=running"),
    ask("describe-instances", "--instance-ids", j.instanceId),
    ask("describe-instances", "--instance-ids", "i-0123456789abcdef0"),
  ]);
  expect(mine).toMatchObject({
    Reservations: [
      {
        Instances: [
          {
            InstanceId: i.instanceId,
            LaunchTime: "2026-01-01T00:00:00+00:00",
            State: { Code: 16, Name: "running" },
            PublicIpAddress: b.publicIp,
            Tags: [{ Key: "allocation-id", Value: b.allocationId }],
            NetworkInterfaces: [
              { Association: { IpOwnerId: "111122223333", PublicIp: b.publicIp } },
            ],
          },
        ],
      },
    ],
  });
  expect(other).toMatchObject({
    Reservations: [
      {
        Instances: [
          {
            State: { Name: "pending" },
            NetworkInterfaces: [{ Association: { IpOwnerId: "amazon" } }],
          },
        ],
      },
    ],
  });
  expect(nobody).toMatch(
    /\(InvalidInstanceID\.NotFound\).*The instance ID 'i-0123456789abcdef0' does not exist$/,
  );
  expect(region.bugs).toEqual([]);
});

test(
  "associate-address: taken by default, not with --no-allow-reassociation; by interface and private address; --dry-run",
  options,
  async () => {
    const world = aWorld();
    const a = world.address();
    const i = world.instance();
    const j = world.instance({ enis: [{}, { privateIps: 2 }] });
    const region = await start(world);
    const eni = j.interfaces[1];
    const privateIp = eni?.addresses[1]?.privateIp ?? "";
    const associate = (...args: string[]): Promise<unknown> =>
      aws(region, i.instanceId, "associate-address", "--allocation-id", a.allocationId, ...args);
    const holder = (): unknown => region.holder(a.allocationId);
    const onI = ["--instance-id", i.instanceId];
    const onJ = [
      "--network-interface-id",
      eni?.networkInterfaceId ?? "",
      "--private-ip-address",
      privateIp,
    ];

    expect(await associate(...onI, "--dry-run")).toBe(
      "An error occurred (DryRunOperation) when calling the AssociateAddress operation: Request would have succeeded, but DryRun flag is set.",
    );
    expect(holder()).toBeUndefined();

    expect(await associate(...onI, "--no-allow-reassociation")).toEqual({
      AssociationId: region.holder(a.allocationId)?.associationId,
    });
    expect(holder()).toMatchObject({ instanceId: i.instanceId, privateIp: i.privateIp });
    const first = region.holder(a.allocationId)?.associationId ?? "";

    expect(await associate(...onJ, "--no-allow-reassociation")).toBe(
      "An error occurred (Resource.AlreadyAssociated) when calling the AssociateAddress operation: " +
        `resource ${a.allocationId} is already associated with associate-id ${first}`,
    );
    expect(holder()).toMatchObject({ instanceId: i.instanceId });

    expect(await associate(...onJ)).toMatchObject({
      AssociationId: expect.stringMatching(/^eipassoc-/) as unknown,
    });
    expect(holder()).toMatchObject({
      instanceId: j.instanceId,
      networkInterfaceId: eni?.networkInterfaceId,
      privateIp,
    });

    expect(await associate("--instance-id", j.instanceId)).toMatch(
      /\(InvalidInstanceID\).*There are multiple interfaces/,
    );
    expect(region.calls.map(({ params }) => params["AllowReassociation"])).toEqual([
      undefined,
      "false",
      "false",
      undefined,
      undefined,
    ]);
    expect(region.bugs).toEqual([]);
  },
);

test(
  "autoscaling: describe-auto-scaling-instances, record-lifecycle-action-heartbeat, complete-lifecycle-action",
  options,
  async () => {
    const world = aWorld();
    world.role("hook", HOOK_ROLE);
    world.group("web", { name: "launch", heartbeatTimeoutMs: 600_000 });
    const i = world.instance({ group: "web", role: "hook" });
    const j = world.instance({ group: "web", lifecycle: "Standby" });
    const alone = world.instance();
    const region = await start(world);
    const ask = (...args: string[]): Promise<unknown> =>
      awsOf("autoscaling", region.autoScalingUrl, region, i.instanceId, args);
    const on = [
      "--auto-scaling-group-name=web",
      "--lifecycle-hook-name=launch",
      `--instance-id=${i.instanceId}`,
    ];
    const complete = ["complete-lifecycle-action", "--lifecycle-action-result", "CONTINUE", ...on];
    const shown = (instanceId: string, LifecycleState: string) => ({
      InstanceId: instanceId,
      InstanceType: "t3.micro",
      AutoScalingGroupName: "web",
      AvailabilityZone: "us-east-1a",
      LifecycleState,
      HealthStatus: "HEALTHY",
      ProtectedFromScaleIn: false,
    });

    expect(await ask(...complete)).toBe(
      `An error occurred (ValidationError) when calling the CompleteLifecycleAction operation: No active Lifecycle Action found with instance ID ${i.instanceId}`,
    );
    const began = region.region.waitUnderHook(i.instanceId, "launch");
    expect(await ask("describe-auto-scaling-instances")).toEqual({
      AutoScalingInstances: [shown(i.instanceId, "Pending:Wait"), shown(j.instanceId, "Standby")],
    });
    expect(
      await ask("describe-auto-scaling-instances", "--instance-ids", alone.instanceId),
    ).toEqual({ AutoScalingInstances: [] });

    expect(await ask("record-lifecycle-action-heartbeat", ...on)).toBeUndefined();
    const [alive] = region.region.lifecycleActions();
    expect(alive?.timesOutAt).toBeGreaterThan(began.timesOutAt);
    expect(alive?.endsAt).toBe(began.endsAt);

    expect(await ask(...complete)).toBeUndefined();
    expect(region.region.lifecycleActions()).toMatchObject([
      { ended: { result: "CONTINUE", by: "call" } },
    ]);
    expect(await ask("describe-auto-scaling-instances", "--instance-ids", i.instanceId)).toEqual({
      AutoScalingInstances: [shown(i.instanceId, "InService")],
    });
    expect(await ask("describe-lifecycle-hooks", "--auto-scaling-group-name", "web")).toMatch(
      /\(InvalidAction\)/,
    );
    expect(region.bugs).toEqual([]);
  },
);

test("the aws client gets its credentials from the instance's IMDS", options, async () => {
  const world = aWorld();
  const a = world.address();
  const i = world.instance({ role: "old" });
  const region = await start(world);
  const env = {
    PATH: "/usr/bin:/bin",
    HOME: "/nonexistent",
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    AWS_REGION: "us-east-1",
    AWS_EC2_METADATA_SERVICE_ENDPOINT: `${region.imdsUrl(i.instanceId)}/`,
  };
  const args = [
    "associate-address",
    "--allocation-id",
    a.allocationId,
    "--instance-id",
    i.instanceId,
  ];
  await run(AWS, ["ec2", ...args, "--endpoint-url", region.ec2Url], { env });
  expect(region.holder(a.allocationId)?.instanceId).toBe(i.instanceId);
  expect(
    region.imdsRequests.map(({ method, token, status }) => `${method} ${token} ${status}`),
  ).toEqual(["PUT none 200", "GET valid 200", "GET valid 200"]);
});
