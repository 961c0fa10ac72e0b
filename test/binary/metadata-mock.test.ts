/**
 * Somebody else's word on both sides: instance metadata from AWS's own amazon-ec2-metadata-mock, EC2 from moto, and
 * nothing of our own between them but the real binary. What they cannot play is in moto.test.ts, and: the metadata does
 * not follow EC2, it has one interface, and of Auto Scaling's target states only InService and Terminated.
 */
import type { Instance } from "@aws-sdk/client-ec2";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { unless } from "../support/skipping.ts";
import { hasMoto, type Moto, startMoto } from "../../sim/moto.ts";
import { type AgentOptions, type AgentRun, run } from "../support/agent.ts";
import { hasMetadataMock, type Shown, startMetadataMock } from "./metadata-mock.ts";

const absent =
  hasMoto() && hasMetadataMock()
    ? undefined
    : "moto or AWS's metadata mock is not there (with Go: make .tools/bin/ec2-metadata-mock)";

/** What the mock plays, by its subcommand. */
const IN_SERVICE = ["asglifecycle", "--asg-termination-delay-sec", "3600"];
const TERMINATED = ["asglifecycle"];
const NO_STATES = ["events"];
const notice = (action: string, inS = 0) => ["spot", "--action", action, "-d", String(inS)];

describe("with AWS's metadata mock and moto", unless(absent), () => {
  let moto: Moto;
  let allocationId: string;
  let publicIp: string;
  let older: Instance;
  let me: Instance;

  beforeAll(async () => {
    moto = await startMoto();
  });
  afterAll(() => moto.close());

  beforeEach(async () => {
    await moto.reset();
    ({ AllocationId: allocationId, PublicIp: publicIp } = await moto.allocate());
    const tags = { "allocation-id": allocationId };
    const age = ({ LaunchTime, InstanceId }: Instance) =>
      `${LaunchTime?.toISOString()} ${InstanceId}`;
    [older, me] = [await moto.launch(tags), await moto.launch(tags)].toSorted((a, b) =>
      age(a) < age(b) ? -1 : 1,
    ) as [Instance, Instance];
  });

  /** One run on this instance, while its metadata tells of this event. */
  async function agent(
    event: readonly string[],
    {
      shown,
      instance = me,
      ...options
    }: AgentOptions & { shown?: Shown; instance?: Instance } = {},
  ): Promise<AgentRun> {
    const tags = { "allocation-id": allocationId };
    const metadata = await startMetadataMock(instance, event, { tags, ...shown });
    const ec2Url = options.ec2Url ?? moto.ec2Url;
    try {
      return await run(
        {
          AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.url,
          AWS_ENDPOINT_URL_EC2: ec2Url,
          AWS_ENDPOINT_URL_AUTO_SCALING: ec2Url,
          EIP_HEAL_DEADLINE: "30s",
        },
        options,
      );
    } finally {
      await metadata.close();
      expect(metadata.refused).toEqual([]);
    }
  }
  const holder = async () => (await moto.address(allocationId))?.InstanceId;
  const heldBy = (instance: Instance) => moto.associate(allocationId, instance.InstanceId ?? "");

  test("metadata answers nobody without a token, so that every heal here is one by IMDSv2", async () => {
    const metadata = await startMetadataMock(me, IN_SERVICE);
    const { status } = await fetch(`${metadata.url}/latest/meta-data/instance-id`);
    await metadata.close();
    expect(status).toBe(401);
    expect(metadata.refused).toHaveLength(1);
  });

  describe("in service", () => {
    test("free: associated with the interface that both tell of", async () => {
      const { status, result, env, log } = await agent(IN_SERVICE);
      expect(status, log.join("\n")).toBe(0);
      expect(result).toMatchObject({
        change: "associated",
        instanceId: me.InstanceId,
        interfaceId: me.NetworkInterfaces?.[0]?.NetworkInterfaceId,
        privateIp: me.PrivateIpAddress,
        lifecycleState: "InService",
        tries: 1,
      });
      expect(env).toContain(`EIP_HEAL_PUBLIC_IP=${publicIp}\n`);
      expect(await holder()).toBe(me.InstanceId);
    });

    test.each([true, false])(
      "already here: nothing is changed (metadata shows it: %s)",
      async (is) => {
        const association = await heldBy(me);
        const { status, result, log } = await agent(IN_SERVICE, is ? { shown: { publicIp } } : {});
        expect(status, log.join("\n")).toBe(0);
        expect(result).toMatchObject({ change: "none", tries: 1 });
        // moto makes a new association id for each call.
        expect((await moto.address(allocationId))?.AssociationId).toBe(association);
      },
    );

    test("held by an older one: taken", async () => {
      await heldBy(older);
      const { status, log } = await agent(IN_SERVICE);
      expect(status, log.join("\n")).toBe(0);
      expect(log.at(-1)).toContain(`taken from ${older.InstanceId} (running)`);
      expect(await holder()).toBe(me.InstanceId);
    });

    test("held by a newer one: left there", async () => {
      await heldBy(me);
      const { status, log } = await agent(IN_SERVICE, { instance: older });
      expect(status, log.join("\n")).toBe(69);
      expect(await holder()).toBe(me.InstanceId);
    });

    test("a recheck asks EC2 nothing while metadata shows the address, and heals once it does not", async () => {
      const runtime = mkdtempSync(join(tmpdir(), "eip-heal-run-"));
      const recheck = { flags: ["recheck"], runtime };
      try {
        expect((await agent(IN_SERVICE, { runtime })).status).toBe(0);
        const shown = { publicIp };
        const nobody = "http://127.0.0.1:9";
        const quiet = await agent(IN_SERVICE, { ...recheck, shown, ec2Url: nobody });
        expect(quiet).toMatchObject({ status: 0, log: [] });

        await heldBy(older);
        const { status, log } = await agent(IN_SERVICE, recheck);
        expect(status, log.join("\n")).toBe(0);
        expect(log[0]).toContain("instance metadata shows no public IPv4 address");
        expect(await holder()).toBe(me.InstanceId);
      } finally {
        rmSync(runtime, { recursive: true });
      }
    });
  });

  describe("a spot notice", () => {
    test.each(["terminate", "stop", "hibernate"])(
      "to %s: nothing is taken any more, exit status 0",
      async (action) => {
        await heldBy(older);
        const { status, log } = await agent(notice(action));
        expect({ status, log }).toEqual({
          status: 0,
          log: [`nothing to do: this spot instance is about to ${action}`],
        });
        expect(await holder()).toBe(older.InstanceId);
      },
    );

    test("that is not there yet (404) is none: healed", async () => {
      const { status, log } = await agent(notice("terminate", 3600));
      expect(status, log.join("\n")).toBe(0);
      expect(await holder()).toBe(me.InstanceId);
    });

    test("that comes while a run waits for the holder ends it", async () => {
      await heldBy(older);
      const environment = { EIP_HEAL_TAKEOVER: "if-gone" };
      const { status, log } = await agent(notice("terminate", 3), { environment });
      expect(status, log.join("\n")).toBe(0);
      expect(log.at(-1)).toBe("nothing to do: this spot instance is about to terminate");
      expect(await holder()).toBe(older.InstanceId);
    });
  });

  describe("termination by Auto Scaling", () => {
    test("nothing is taken, and what is here is left to whoever comes", async () => {
      for (const instance of [older, me]) {
        await heldBy(instance);
        expect(await agent(TERMINATED)).toMatchObject({
          status: 0,
          log: [
            "nothing to do: this instance is not in service (its Auto Scaling target state is Terminated)",
          ],
          result: { outcome: "idle", idle: "not-in-service" },
        });
        expect(await holder()).toBe(instance.InstanceId);
      }
    });

    test("that comes while a run waits for the holder ends it", async () => {
      await heldBy(older);
      const environment = { EIP_HEAL_TAKEOVER: "if-gone" };
      const event = ["asglifecycle", "--asg-termination-delay-sec", "3"];
      const { status, log } = await agent(event, { environment });
      expect(status, log.join("\n")).toBe(0);
      expect(log.at(-1)).toContain("its Auto Scaling target state is Terminated");
      expect(await holder()).toBe(older.InstanceId);
    });
  });

  describe("target state and spot notice that are 404", () => {
    test("in no group: taken from an older one", async () => {
      await heldBy(older);
      const { status, log, result } = await agent(NO_STATES);
      expect(status, log.join("\n")).toBe(0);
      expect(result).not.toHaveProperty("lifecycleState");
      expect(await holder()).toBe(me.InstanceId);
    });

    describe("in a group, so that the state is to be shown yet", () => {
      const inGroup = () => ({
        tags: { "allocation-id": allocationId, "aws:autoscaling:groupName": "web" },
      });

      test("free: associated", async () => {
        const { status, log } = await agent(NO_STATES, { shown: inGroup() });
        expect(status, log.join("\n")).toBe(0);
        expect(await holder()).toBe(me.InstanceId);
      });

      test("held by an older one that runs: not taken in the first minute", async () => {
        await heldBy(older);
        const environment = { EIP_HEAL_DEADLINE: "4s" };
        const { status, log } = await agent(NO_STATES, { shown: inGroup(), environment });
        expect(status, log.join("\n")).toBe(75);
        expect(await holder()).toBe(older.InstanceId);
      });
    });
  });

  test("no tag in metadata (404): the tag that EC2 shows is used", async () => {
    const { status, log } = await agent(IN_SERVICE, { shown: { tags: {} } });
    expect(status, log.join("\n")).toBe(0);
    expect(await holder()).toBe(me.InstanceId);
  });

  describe("the commands that only look", () => {
    test("doctor finds nothing in the way of a heal", async () => {
      const { status, stdout } = await agent(IN_SERVICE, { flags: ["doctor"] });
      expect(status, stdout).toBe(0);
      expect(stdout).toContain("holder: nobody: a heal would associate it");
    });

    test("policy names the account of the identity document", async () => {
      const account = "123456789012";
      const shown = { account };
      const { status, stdout, log } = await agent(IN_SERVICE, { flags: ["policy"], shown });
      expect(status, log.join("\n")).toBe(0);
      expect(stdout).toContain(`arn:aws:ec2:us-east-1:${account}:elastic-ip/${allocationId}`);
    });
  });
});
