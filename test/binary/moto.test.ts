/**
 * A second opinion on EC2: the scenario rows for which moto is faithful, the real binary with EC2 from moto's
 * server and instance metadata (moto's needs no token) from the simulated region with the same ids.
 *
 * Rows that moto cannot play, by name:
 * - every row of the old role: moto answers 500 to the filter by allocation id, and enforces no IAM here
 * - "stopping", "shutting-down": moto's instances are stopped and terminated at once
 * - a pool or an address of another border group: moto has no border groups
 * - two Elastic IPs in one place: moto keeps both there
 * - NAT gateways and load balancers as holders: moto does not show their interfaces on the address
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { unless } from "../support/skipping.ts";
import { TAKEOVERS } from "../../src/reconcile/ownership.ts";
import { hasMoto, type Moto, startMoto } from "../../sim/moto.ts";
import { type AgentRun, runAgent } from "../support/agent.ts";
import { inRegion } from "../support/region.ts";

describe("with moto as EC2", unless(hasMoto() ? undefined : "moto is not there"), () => {
  let moto: Moto;
  let allocationId: string;
  let me: string;
  let other: string;

  beforeAll(async () => {
    moto = await startMoto();
  });
  afterAll(() => moto.close());

  beforeEach(async () => {
    await moto.reset();
    allocationId = (await moto.allocate()).AllocationId;
    // Launched within one second of each other the higher id counts as the newer one.
    const ids = [await moto.launch(), await moto.launch()]
      .map(({ InstanceId }) => InstanceId)
      .toSorted();
    [other, me] = ids as [string, string];
    await moto.tag(me, { "allocation-id": allocationId });
  });

  async function run(who: string, takeover: string, deadline = "30s"): Promise<AgentRun> {
    return inRegion(await moto.world({ metadataTags: true }), async (region) => {
      return await runAgent(region, who, {
        ec2Url: moto.ec2Url,
        environment: {
          EIP_HEAL_TAKEOVER: takeover,
          EIP_HEAL_ALLOCATION_ID: allocationId,
          EIP_HEAL_DEADLINE: deadline,
        },
      });
    });
  }
  const holder = async () => (await moto.address(allocationId))?.InstanceId;

  test.each(TAKEOVERS)("nobody has it: associated (%s)", async (takeover) => {
    const { status, log } = await run(me, takeover);
    expect(status, log.join("\n")).toBe(0);
    expect(await holder()).toBe(me);
  });

  test.each([
    ["public IP", { EIP_HEAL_ALLOCATION_ID: "203.0.113.7" }],
    ["tag", { EIP_HEAL_ADDRESS_TAG: "Name=mail" }],
  ])("by its %s: found among others, and associated", async (_, environment) => {
    const { AllocationId } = await moto.allocate({ Name: "mail" }, "203.0.113.7");
    await moto.allocate({ Name: "mail-2" }, "203.0.113.8");
    await inRegion(await moto.world({ metadataTags: true }), async (region) => {
      const { ec2Url } = moto;
      const { status, result, log } = await runAgent(region, me, { ec2Url, environment });
      expect(status, log.join("\n")).toBe(0);
      expect(result).toMatchObject({ change: "associated", allocationId: AllocationId });
      expect((await moto.address(AllocationId))?.InstanceId).toBe(me);
    });
  });

  test("already ours: nothing is changed", async () => {
    await moto.associate(allocationId, me);
    const before = await moto.address(allocationId);
    const { status, result, log } = await run(me, "newest");
    expect(status, log.join("\n")).toBe(0);
    expect(result).toMatchObject({ change: "none" });
    // moto makes a new association id for each call.
    expect((await moto.address(allocationId))?.AssociationId).toBe(before?.AssociationId);
  });

  test.each([
    ["never", 75],
    ["if-gone", 75],
    ["always", 0],
  ])("a running instance has it (%s)", async (takeover, status) => {
    await moto.associate(allocationId, other);
    const run_ = await run(me, takeover, status === 0 ? "30s" : "4s");
    expect(run_.status, run_.log.join("\n")).toBe(status);
    expect(await holder()).toBe(status === 0 ? me : other);
  });

  test("an older or newer instance has it: of the two exactly one may (newest)", async () => {
    const ends: [number | null, string | undefined][] = [];
    for (const [claimant, has] of [
      [me, other],
      [other, me],
    ] as const) {
      await moto.associate(allocationId, has);
      const { status } = await run(claimant, "newest");
      ends.push([status, await holder()]);
      expect(await holder()).toBe(status === 0 ? claimant : has);
    }
    expect(new Set(ends.map(([status]) => status))).toEqual(new Set([0, 69]));
  });

  test.each(["stop", "terminate"] as const)(
    "an instance that has been ended has it (%s)",
    async (how) => {
      await moto.associate(allocationId, other);
      await moto[how](other);
      expect((await run(me, "never", "4s")).status).toBe(75);
      const { status, log } = await run(me, "if-gone");
      expect(status, log.join("\n")).toBe(0);
      expect(log.at(-1)).toContain(
        `taken from ${other} (${how === "stop" ? "stopped" : "terminated"})`,
      );
      expect(await holder()).toBe(me);
    },
  );

  test("a pool: free ones are claimed, each by one", async () => {
    await moto.tag(allocationId, { "eip-pool": "web" });
    const second = await moto.allocate({ "eip-pool": "web" });
    await moto.associate(second.AllocationId, other);
    await inRegion(await moto.world({ metadataTags: true }), async (region) => {
      const { status, result, log } = await runAgent(region, me, {
        ec2Url: moto.ec2Url,
        environment: { EIP_HEAL_POOL: "eip-pool=web" },
      });
      expect(status, log.join("\n")).toBe(0);
      expect(result).toMatchObject({ change: "associated", allocationId });
    });
  });
});
