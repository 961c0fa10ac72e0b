/** Holders and places that few instances meet: interfaces without an instance, groups that do not show, carriers' addresses. */
import { describe, expect, test } from "vitest";
import type { FaultRule } from "../../sim/faults.ts";
import { INTERFACES_ROLE } from "../../sim/iam.ts";
import type { Manager } from "../../sim/model.ts";
import type { RunningRegion } from "../../sim/server.ts";
import { aWorld, type World } from "../../sim/world.ts";
import { type AgentOptions, runAgent } from "../support/agent.ts";
import { inRegion } from "../support/region.ts";

const MINE = Date.UTC(2026, 10, 1, 12);
const OLDER = MINE - 60_000;

interface Setting extends AgentOptions {
  readonly role?: "interfaces" | "full";
  readonly me?: Parameters<World["instance"]>[0];
  readonly address?: Parameters<World["address"]>[0];
  readonly hold?: (world: World, address: { allocationId: string }) => unknown;
  /** What goes wrong all the time. */
  readonly faults?: readonly FaultRule[];
  /** Commands that are run one after the other on the same boot; default: a heal. */
  readonly runs?: readonly (readonly string[])[];
}

async function play(setting: Setting) {
  const { role = "interfaces", me: spec, address, hold, faults = [], runs, ...options } = setting;
  const world = aWorld();
  world.role("interfaces", INTERFACES_ROLE);
  world.group("web");
  const { allocationId } = world.address(address);
  hold?.(world, { allocationId });
  const me = world.instance({
    role,
    launchTime: MINE,
    metadataTags: true,
    tags: { "allocation-id": allocationId },
    ...spec,
  });
  return inRegion(world, async (region, runtime) => {
    for (const fault of faults) region.faults.add(fault);
    const ended = [];
    for (const flags of runs ?? [["heal"]]) {
      ended.push(await runAgent(region, me.instanceId, { ...options, flags, runtime }));
    }
    const [first] = ended;
    if (first === undefined) throw new Error("nothing was run");
    const isHere = region.holder(allocationId)?.instanceId === me.instanceId;
    return { first, ended, isHere, writes: countOf(region, "AssociateAddress"), region };
  });
}

const failing = (action: string, code: string, status: number): FaultRule => ({
  service: "ec2",
  action,
  effect: { do: "error", code, status },
});
const countOf = (region: RunningRegion, name: string) =>
  region.calls.filter(({ action }) => action === name).length;
const deadline = (time: string) => ({ EIP_HEAL_DEADLINE: time });

describe.concurrent("an interface that belongs to no instance", () => {
  const left: Setting["hold"] = (world, address) => world.holdByOrphan(address);

  test.each(["if-gone", "newest", "always"])(
    "is taken from under %s, where it is seen",
    async (how) => {
      const { first, isHere } = await play({
        hold: left,
        environment: { ...deadline("60s"), EIP_HEAL_TAKEOVER: how },
      });
      expect(first.status, first.log.join("\n")).toBe(0);
      expect(first.log.at(-1)).toMatch(/, taken from eni-\w+ \(available\), /);
      expect(first.result).toMatchObject({
        change: "taken",
        takenFrom: { interfaceId: expect.stringMatching(/^eni-/) as string, state: "available" },
      });
      expect(isHere).toBe(true);
    },
  );

  test.each<[string, Setting, number, RegExp]>([
    [
      "keeps it under never",
      { hold: left, environment: { ...deadline("4s"), EIP_HEAL_TAKEOVER: "never" } },
      75,
      /held by eni-\w+ \(available\), and the takeover policy is never/,
    ],
    [
      "keeps it where the role may not see what it is",
      { hold: left, role: "full", environment: deadline("4s") },
      78,
      /that belongs to no instance/,
    ],
    ...(["nat-gateway", "load-balancer", "other-account"] as const satisfies Manager[]).map(
      (manager): [string, Setting, number, RegExp] => [
        `keeps it if it is of a service or of another account: ${manager}`,
        {
          hold: (world, address) => world.holdByService(address, manager),
          environment: deadline("4s"),
        },
        78,
        /eni-\w+/,
      ],
    ),
  ])("%s", async (_, setting, status, told) => {
    const { first, writes } = await play(setting);
    expect(first.status, first.log.join("\n")).toBe(status);
    expect(first.log.at(-1)).toMatch(told);
    expect(writes).toBe(0);
  });
});

describe.concurrent("always, where nothing shows whether the instance is in service", () => {
  const running: Setting["hold"] = (world, address) =>
    world.hold(address, world.instance({ launchTime: OLDER }));
  const always = (time: string) => ({ ...deadline(time), EIP_HEAL_TAKEOVER: "always" });

  test("takes nothing from a running instance for a minute if EC2 shows that it is in a group", async () => {
    const { first, writes } = await play({
      hold: running,
      me: { group: "web", lifecycleFrom: Infinity, metadataTags: false },
      environment: always("5s"),
    });
    expect(first.status, first.log.join("\n")).toBe(75);
    expect(first.log.at(-1)).toContain("does not show yet whether this instance is in service");
    expect(writes).toBe(0);
  });

  test.each<[string, Setting]>([
    ["is down", { faults: [failing("DescribeInstances", "InternalError", 500)] }],
    ["is throttled", { faults: [failing("DescribeInstances", "RequestLimitExceeded", 503)] }],
  ])("takes at once where DescribeInstances %s", async (_, setting) => {
    const { first, isHere } = await play({ ...setting, hold: running, environment: always("60s") });
    expect(first.status, first.log.join("\n")).toBe(0);
    expect(isHere).toBe(true);
  });

  test("takes at once if it is in none", async () => {
    const { first, isHere } = await play({
      hold: running,
      me: { metadataTags: false },
      environment: always("60s"),
    });
    expect(first.status, first.log.join("\n")).toBe(0);
    expect(isHere).toBe(true);
  });
});

test("what is not known of one address of a pool does not keep the others from being had", async () => {
  const tags = { "eip-pool": "web" };
  const { first, region } = await play({
    address: { tags },
    hold: (world, address) => {
      world.holdByService(address, "nat-gateway");
      world.hold(world.address({ tags }), world.instance({ state: "stopped" }));
    },
    me: { tags },
    faults: [failing("DescribeNetworkInterfaces", "InternalError", 500)],
    environment: deadline("60s"),
  });
  expect(first.status, first.log.join("\n")).toBe(0);
  expect(first.log.at(-1)).toContain("(stopped)");
  expect(countOf(region, "DescribeNetworkInterfaces")).toBeLessThanOrEqual(2);
});

test("an address of a carrier is not associated anew because instance metadata does not show it", async () => {
  const { ended, writes } = await play({
    address: { carrierIp: "155.146.10.111" },
    runs: [["heal"], ...Array.from({ length: 5 }, () => ["recheck"])],
  });
  expect(ended.map(({ status }) => status)).toEqual([0, 0, 0, 0, 0, 0]);
  expect(writes).toBe(1);
}, 120_000);

test("an address of a carrier may be named by its IP, which its zone's instances have no other of", async () => {
  const zone = "us-east-1-wl1-bos-wlz-1";
  const carrierIp = "155.146.10.111";
  const { first, isHere } = await play({
    me: { zone, tags: {} },
    address: { carrierIp, networkBorderGroup: zone },
    environment: { EIP_HEAL_ALLOCATION_ID: carrierIp },
  });
  expect(first.status, first.log.join("\n")).toBe(0);
  expect(isHere).toBe(true);
  expect(first.result).toMatchObject({ publicIp: carrierIp });
});
