/**
 * A role that may do nothing, and somebody who pastes what doctor prints, once, as all that the role may do: with that this
 * instance heals, and so does the next one of its group, which has another id.
 */
import { describe, expect, test } from "vitest";
import type { InstanceSpec } from "../../sim/build.ts";
import type { PolicyDocument } from "../../sim/iam.ts";
import { aWorld, type World } from "../../sim/world.ts";
import { type AgentRun, runAgent } from "../support/agent.ts";
import { inRegion } from "../support/region.ts";
import { wordsOf } from "../support/words.ts";

interface Group {
  readonly world?: Parameters<typeof aWorld>[0];
  /** Adds the addresses that are wanted; the tags by which the instances of the group want them. */
  readonly wanted: (world: World) => Readonly<Record<string, string>>;
  /** What the instances have besides. */
  readonly instance?: InstanceSpec;
  readonly environment?: Readonly<Record<string, string>>;
  /** The lifecycle hook that they wait under. */
  readonly hook?: string;
  /** How many addresses they have in the end. */
  readonly held?: number;
}

const oneAddress = (world: World) => ({ "allocation-id": world.address().allocationId });
const HOOK = "wait-for-address";
const IN_GROUP: InstanceSpec = { group: "web", lifecycle: "InService" };

const GROUPS: Record<string, Group> = {
  "one address": { wanted: oneAddress },
  "one address in China": { wanted: oneAddress, world: { region: "cn-north-1" } },
  "one address, by a tag that only EC2 shows": {
    wanted: oneAddress,
    instance: { metadataTags: false },
  },
  "two interfaces in a VPC that another account shares": {
    wanted: oneAddress,
    world: { vpcOwner: "444455556666" },
    instance: { enis: [{}, {}] },
    environment: { EIP_HEAL_INTERFACE: "1" },
  },
  "a pool": {
    wanted: (world) => {
      for (let i = 0; i < 2; i++) world.address({ tags: { "eip-pool": "it's, [web]" } });
      return { "eip-pool": "it's, [web]" };
    },
    held: 2,
  },
  "a lifecycle hook": {
    wanted: oneAddress,
    instance: IN_GROUP,
    environment: { EIP_HEAL_LIFECYCLE_HOOK: HOOK },
    hook: HOOK,
  },
  "a lifecycle hook, and tags that only EC2 shows": {
    wanted: oneAddress,
    instance: { ...IN_GROUP, metadataTags: false },
    environment: { EIP_HEAL_LIFECYCLE_HOOK: HOOK },
    hook: HOOK,
  },
};

/** The argument of an option in a command, as a shell gives it. */
function argument(command: string, option: string): string {
  const words = wordsOf(command);
  return words[words.indexOf(`--${option}`) + 1] ?? "";
}

async function play(
  { world: spec, wanted, instance, environment = {}, hook, held = 1 }: Group,
  paste: (run: (...flags: string[]) => Promise<AgentRun>, allocationId: string) => Promise<string>,
): Promise<void> {
  const world = aWorld(spec);
  const role = world.role("web", { Statement: [] });
  if (hook !== undefined) world.group("web", { name: hook });
  const tags = wanted(world);
  const each: InstanceSpec = { role, tags, metadataTags: true, autoPublicIp: true, ...instance };
  const first = world.instance(each);
  await inRegion(world, async (region) => {
    const run =
      (instanceId: string) =>
      (...flags: string[]) =>
        runAgent(region, instanceId, { flags, environment });
    const heal = async (instanceId: string) => {
      if (hook !== undefined) region.region.waitUnderHook(instanceId, hook);
      const healed = await run(instanceId)("--deadline", "30s");
      expect(healed.status, healed.log.join("\n")).toBe(0);
      expect(healed.result).toMatchObject({ outcome: "settled", instanceId });
      if (hook !== undefined) {
        expect(healed.result).toMatchObject({ lifecycleHook: { outcome: "completed" } });
      }
    };
    const policy = await paste(run(first.instanceId), tags["allocation-id"] ?? "");
    expect(policy).not.toContain(first.instanceId);
    region.region.setPolicy(role, JSON.parse(policy) as PolicyDocument);
    await heal(first.instanceId);
    const checkup = await run(first.instanceId)("doctor");
    expect(checkup.status, checkup.stdout).toBe(0);
    expect(checkup.stdout).not.toContain("not allowed");

    const next = await region.launch(each);
    region.region.running(next.instanceId);
    await heal(next.instanceId);
    const holders = world.data.addresses.flatMap(
      ({ allocationId }) => region.holder(allocationId)?.instanceId ?? [],
    );
    expect(holders).toHaveLength(held);
    expect(holders).toContain(next.instanceId);
  });
}

describe.concurrent.each(Object.entries(GROUPS))("%s", { timeout: 120_000 }, (_, group) => {
  test("by the command that doctor prints", () =>
    play(group, async (run, allocationId) => {
      const { stdout, status } = await run("doctor");
      expect(status, stdout).toBe(77);
      const [command = "", ...more] = stdout
        .split("\n")
        .flatMap((line) => /^ {8}run: (aws iam put-role-policy .*)$/.exec(line)?.[1] ?? []);
      expect(more).toEqual([]);
      expect(argument(command, "role-name")).toBe("web");
      return argument(command, "policy-document").replaceAll("ALLOCATION_ID", allocationId);
    }));

  test("by the one that the log names", () =>
    play(group, async (run, allocationId) => {
      const { log, status } = await run("--dry-run", "--deadline", "2s");
      expect(status, log.join("\n")).toBe(77);
      expect(log.join("\n")).toContain(
        " in the policy of the instance role: eip-heal policy prints it",
      );
      expect(log.join("\n")).not.toContain("Encoded");
      const printed = await run("policy");
      if (printed.status === 0) return printed.stdout;
      // Its tags may not be looked up yet: then somebody has to name the address.
      expect(printed.log.at(-1)).toContain("name it by --allocation-id");
      return (await run("policy", "--allocation-id", allocationId)).stdout;
    }));
});
