/** Answers that are far longer than they should be, to every call there is: what a run of the real binary makes of them. */
import { HOOK_ROLE, INTERFACES_ROLE, OLD_ROLE } from "../../sim/iam.ts";
import type { FaultRule } from "../../sim/faults.ts";
import type { RunningRegion } from "../../sim/server.ts";
import { aWorld, type World } from "../../sim/world.ts";
import { peakOf } from "./memory.ts";
import { type Ended, start } from "../support/process.ts";
import { inRegion } from "../support/region.ts";

const HOOK = "web-launch";
const GROUP = "web";

/** A row of an answer of EC2: of many of them whatever parses them has the most to do. */
export const ROW = "<item><publicIp>203.0.113.1</publicIp><domain>vpc</domain></item>";

/** A call, and how a run comes to make it. */
export interface OverlongCall {
  /** Which call goes wrong, if one does. */
  readonly rule?: Pick<FaultRule, "service" | "action" | "path" | "method">;
  readonly role?: "old" | "interfaces" | "hook";
  readonly holder?: "older" | "orphan";
  /** The instance waits under a lifecycle hook. */
  readonly waits?: boolean;
  /** A pool is wanted, of that many addresses. */
  readonly pool?: number;
  /** How many network interfaces the instance has. */
  readonly interfaces?: number;
  /** Instance metadata does not show tags. */
  readonly isUntagged?: boolean;
  /** What else goes wrong, so that the run comes this far. */
  readonly besides?: FaultRule;
  /** What the log has to say: the limit, if the run cannot do without this answer. */
  readonly told: readonly string[];
  /** Seconds, if it takes longer to come to this call. */
  readonly deadline?: number;
}

/** Its limit, and what may be behind it. */
const longer = (kb: number) => [
  `answer is longer than ${kb} KB`,
  "does something else answer in its place",
];
const ec2 = (action: string) => ({ service: "ec2", action }) as const;
const autoScaling = (action: string) => ({ service: "autoscaling", action }) as const;

/** Every call of a heal, by name. */
export const CALLS: Readonly<Record<string, OverlongCall>> = {
  DescribeAddresses: { rule: ec2("DescribeAddresses"), told: longer(256) },
  "DescribeInstances, of two": {
    rule: ec2("DescribeInstances"),
    holder: "older",
    told: longer(384),
  },
  "DescribeInstances, in the place of DescribeAddresses": {
    rule: ec2("DescribeInstances"),
    role: "old",
    told: longer(320),
  },
  DescribeNetworkInterfaces: {
    rule: ec2("DescribeNetworkInterfaces"),
    role: "interfaces",
    holder: "orphan",
    told: ["that belongs to no instance"],
  },
  AssociateAddress: { rule: ec2("AssociateAddress"), told: longer(256) },
  DescribeAutoScalingInstances: {
    rule: autoScaling("DescribeAutoScalingInstances"),
    role: "hook",
    waits: true,
    isUntagged: true,
    told: longer(256),
  },
  CompleteLifecycleAction: {
    rule: autoScaling("CompleteLifecycleAction"),
    role: "hook",
    waits: true,
    told: longer(256),
  },
  RecordLifecycleActionHeartbeat: {
    rule: autoScaling("RecordLifecycleActionHeartbeat"),
    role: "hook",
    waits: true,
    // The first heartbeat is sent by a heal that takes eight seconds.
    besides: { ...ec2("DescribeAddresses"), effect: { do: "status", status: 500 } },
    deadline: 11,
    told: longer(256),
  },
  "the token of instance metadata": {
    rule: { service: "imds", method: "PUT" },
    told: longer(64),
  },
  "a leaf of instance metadata": {
    rule: { service: "imds", path: "/latest/dynamic/instance-identity/document" },
    told: longer(64),
  },
};

export interface Overlong {
  readonly run: Ended;
  /** How many answers were too long. */
  readonly hits: number;
  /** The most memory that the process has had, in megabytes. */
  readonly peakMb: number;
  /** Milliseconds from the deadline, or from SIGTERM, to the end of the process. */
  readonly msAfter: number;
}

/**
 * Runs the agent where one call is answered with that many bytes.
 *
 * @param ending what ends it: its deadline, or SIGTERM once the call was answered
 * @param of what the answer consists of
 */
export async function play(
  call: OverlongCall,
  bytes: number,
  ending: "deadline" | "SIGTERM",
  of = ROW,
): Promise<Overlong> {
  const { rule, besides, deadline = 4 } = call;
  const world = aWorld();
  const me = peopled(world, call);
  return inRegion(world, async (region, folder) => {
    if (call.waits) region.region.waitUnderHook(me, HOOK);
    const effect = { do: "overlong", bytes, of } as const;
    const fault = rule && region.faults.add({ ...rule, effect });
    if (besides !== undefined) region.faults.add(besides);
    return await measured(region, me, folder, {
      deadline: ending === "deadline" ? deadline : 90,
      hits: () => fault?.hits ?? 0,
      isHook: call.waits === true,
      ending,
    });
  });
}

function peopled(world: World, call: OverlongCall): string {
  const { role, holder, waits, isUntagged, pool, interfaces } = call;
  world.role("old", OLD_ROLE);
  world.role("interfaces", INTERFACES_ROLE);
  world.role("hook", HOOK_ROLE);
  world.group(GROUP, { name: HOOK });
  const inPool = { tags: { "eip-pool": "web" } };
  const address = world.address(inPool);
  for (let more = 1; more < (pool ?? 1); more++) world.address(inPool);
  if (holder === "older") world.hold(address, world.instance());
  if (holder === "orphan") world.holdByOrphan(address);
  return world.instance({
    tags: pool === undefined ? { "allocation-id": address.allocationId } : inPool.tags,
    ...(interfaces !== undefined && {
      enis: Array.from({ length: interfaces }, (_, deviceIndex) => ({ deviceIndex })),
    }),
    metadataTags: isUntagged !== true,
    ...(role !== undefined && { role }),
    ...(waits && { group: GROUP, lifecycle: "InService" }),
  }).instanceId;
}

async function measured(
  region: RunningRegion,
  me: string,
  folder: string,
  how: { deadline: number; hits: () => number; isHook: boolean; ending: "deadline" | "SIGTERM" },
): Promise<Overlong> {
  const agent = start(
    {
      AWS_EC2_METADATA_SERVICE_ENDPOINT: region.imdsUrl(me),
      AWS_ENDPOINT_URL_EC2: region.ec2Url,
      AWS_ENDPOINT_URL_AUTO_SCALING: region.autoScalingUrl,
      EIP_HEAL_DEADLINE: `${how.deadline}s`,
      ...(how.isHook && { EIP_HEAL_LIFECYCLE_HOOK: HOOK }),
    },
    folder,
  );
  const peak = peakOf(agent);
  let at: number | undefined;
  if (how.ending === "SIGTERM") {
    while (how.hits() === 0 && !(await peak.hasEnded(20)));
    at = performance.now();
    agent.kill("SIGTERM");
  }
  const run = await agent.ended;
  const msAfter = at === undefined ? run.ms - how.deadline * 1_000 : performance.now() - at;
  return { run, hits: how.hits(), peakMb: await peak.mb, msAfter };
}
