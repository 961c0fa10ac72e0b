/**
 * What `eip-heal policy` prints, given to the simulated region's IAM: the heal succeeds with it, and fails
 * when any one statement of it is dropped.
 */
import { describe, expect, test } from "vitest";
import { firstDenied, type PolicyDocument } from "../../sim/iam.ts";
import type { RunningRegion } from "../../sim/server.ts";
import { aWorld, type BuiltInstance, type World } from "../../sim/world.ts";
import { type AgentRun, run, runAgent } from "../support/agent.ts";
import { inRegion } from "../support/region.ts";

/** A world in which a heal has something to do, and the instance that does it. */
interface Variant {
  readonly build: (world: World, role: string) => BuiltInstance;
  /** Options of `eip-heal policy`. */
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly world?: Parameters<typeof aWorld>[0];
  /** What happens between the beginning of the world and the run. */
  readonly before?: (region: RunningRegion, me: BuiltInstance) => void;
  /** Commands that the policy is for, one after the other. */
  readonly commands?: readonly string[];
  readonly sids: readonly string[];
}

const LAUNCHED = Date.UTC(2026, 10, 1, 12);

/** One address, held by an instance that was launched earlier, or by nobody. */
function oneAddress(
  world: World,
  spec: Parameters<World["instance"]>[0],
  isHeld = true,
): BuiltInstance {
  const { allocationId } = world.address();
  world.address(); // somebody else's
  const older = world.instance({ launchTime: LAUNCHED - 3_600_000 });
  if (isHeld) world.hold({ allocationId }, older);
  return world.instance({
    tags: { "allocation-id": allocationId },
    metadataTags: true,
    launchTime: LAUNCHED,
    ...spec,
  });
}

const HOOK = "wait-for-address";
const FIRST = "eipalloc-00000000000000001";
const SECOND = "eipalloc-00000000000000002";

/** One address, free, and an instance of a group with a lifecycle hook. */
function underHook(world: World, role: string, metadataTags: boolean): BuiltInstance {
  world.group("web", { name: HOOK });
  return oneAddress(world, { role, metadataTags, group: "web", lifecycle: "InService" }, false);
}

function waitUnderHook({ region }: RunningRegion, { instanceId }: BuiltInstance): void {
  region.waitUnderHook(instanceId, HOOK);
}

const TWO_ENIS = [{}, {}] as const;

const VARIANTS: Record<string, Variant> = {
  "one address": {
    build: (world, role) => oneAddress(world, { role }),
    sids: ["Look", "ThisAddress", "OntoItself"],
  },
  "one address, its tag not in instance metadata": {
    build: (world, role) => oneAddress(world, { role, metadataTags: false }),
    sids: ["Look", "ThisAddress", "OntoItself"],
  },
  "one address, in another partition": {
    build: (world, role) => oneAddress(world, { role }),
    world: { region: "cn-north-1" },
    sids: ["Look", "ThisAddress", "OntoItself"],
  },
  "one address, onto a secondary private address": {
    build: (world, role) =>
      oneAddress(world, { role, enis: [{ privateIps: ["10.0.0.5", "10.0.0.6"] }] }),
    environment: { EIP_HEAL_PRIVATE_IP: "10.0.0.6" },
    sids: ["Look", "ThisAddress", "OntoItself"],
  },
  "several interfaces": {
    build: (world, role) => oneAddress(world, { role, enis: TWO_ENIS }),
    environment: { EIP_HEAL_INTERFACE: "1" },
    sids: ["Look", "ThisAddress", "InterfacesOfTheVpc"],
  },
  "several interfaces in a VPC that another account shares": {
    build: (world, role) => oneAddress(world, { role, enis: TWO_ENIS }),
    world: { vpcOwner: "444455556666" },
    environment: { EIP_HEAL_INTERFACE: "1" },
    sids: ["Look", "ThisAddress", "InterfacesOfTheVpc"],
  },
  "a pool with a free address": {
    build: (world, role) => {
      world.address({ tags: { "eip-pool": "web" } });
      world.address();
      return world.instance({ tags: { "eip-pool": "web" }, metadataTags: true, role });
    },
    sids: ["Look", "AddressesOfThePool", "OntoItself"],
  },
  "a pool of which a stopped instance has the only address": {
    build: (world, role) => {
      const { allocationId } = world.address({ tags: { owner: "a*?${b}" } });
      const stopped = world.instance({ state: "stopped", keepsAssociation: true });
      world.hold({ allocationId }, stopped);
      return world.instance({ role });
    },
    environment: { EIP_HEAL_POOL: "owner=a*?${b}" },
    sids: ["Look", "AddressesOfThePool", "OntoItself"],
  },
  "an address by its public IP": {
    build: (world, role) => oneAddress(world, { role }),
    environment: { EIP_HEAL_ALLOCATION_ID: "203.0.113.1" },
    sids: ["Look", "ThisAddress", "OntoItself"],
  },
  "an address by its tag": {
    build: (world, role) => {
      world.address({ tags: { Name: "ma*il" } });
      world.address({ tags: { Name: "mail" } });
      return world.instance({ role });
    },
    environment: { EIP_HEAL_ADDRESS_TAG: "Name=ma*il" },
    sids: ["Look", "ThisAddress", "OntoItself"],
  },
  "a pool that is a list of ids": {
    build: (world, role) => {
      const stopped = world.instance({ state: "stopped", keepsAssociation: true });
      world.hold(world.address({ allocationId: FIRST }), stopped);
      world.hold(world.address({ allocationId: SECOND }), world.instance());
      return world.instance({ role });
    },
    environment: { EIP_HEAL_POOL: `${FIRST}, ${SECOND}` },
    sids: ["Look", "AddressesOfThePool", "OntoItself"],
  },
  "a pool that is a list of public IPs": {
    build: (world, role) => {
      world.hold(world.address({ allocationId: FIRST }), world.instance());
      world.address({ allocationId: SECOND });
      return world.instance({ role });
    },
    environment: { EIP_HEAL_POOL: "203.0.113.1 203.0.113.2" },
    sids: ["Look", "AddressesOfThePoolByIp", "OntoItself"],
  },
  "any address": {
    build: (world, role) => oneAddress(world, { role }),
    flags: ["--any"],
    sids: ["Look", "AnyAddress", "OntoItself"],
  },
  "a lifecycle hook": {
    build: (world, role) => underHook(world, role, true),
    before: waitUnderHook,
    environment: { EIP_HEAL_LIFECYCLE_HOOK: HOOK },
    sids: ["Look", "ThisAddress", "OntoItself", "CompleteTheLaunchHook"],
  },
  "a lifecycle hook of a group that is not in instance metadata": {
    build: (world, role) => underHook(world, role, false),
    before: waitUnderHook,
    environment: { EIP_HEAL_LIFECYCLE_HOOK: HOOK },
    flags: ["--group", "web"],
    sids: ["Look", "ThisAddress", "OntoItself", "CompleteTheLaunchHook", "LookUpTheGroup"],
  },
  "heal and release": {
    build: (world, role) => oneAddress(world, { role }, false),
    flags: ["--release"],
    commands: ["heal", "release"],
    sids: ["Look", "ThisAddress", "OntoItself", "InterfacesOfTheVpc"],
  },
  "heal and release with several interfaces": {
    build: (world, role) => oneAddress(world, { role, enis: TWO_ENIS }, false),
    flags: ["--release"],
    commands: ["heal", "release"],
    sids: ["Look", "ThisAddress", "InterfacesOfTheVpc"],
  },
};

/** Does something on the instance of a variant, whose role has this policy. */
async function on<T>(
  { build, before, world: spec }: Variant,
  policy: PolicyDocument,
  work: (region: RunningRegion, me: BuiltInstance) => Promise<T>,
): Promise<T> {
  const world = aWorld(spec);
  const me = build(world, world.role("web", policy));
  return inRegion(world, async (region) => {
    before?.(region, me);
    return await work(region, me);
  });
}

/** A missing permission shows at once; waiting for it to come into force is another test's business. */
const BRIEF = "8s";

/** Before there is a policy: just enough to read the tags. */
const READER: PolicyDocument = {
  Statement: [{ Effect: "Allow", Action: "ec2:DescribeInstances", Resource: "*" }],
};

/** With what a heal cannot do without, or with these flags instead of that. */
async function print(variant: Variant, ...flags: string[]): Promise<AgentRun> {
  return on(variant, READER, (region, { instanceId }) =>
    runAgent(region, instanceId, {
      flags: ["policy", ...(variant.flags ?? []), ...(flags.length === 0 ? ["--required"] : flags)],
      environment: variant.environment ?? {},
    }),
  );
}

/** The first command that fails, or the last one. */
async function perform(
  variant: Variant,
  policy: PolicyDocument,
  deadline = "20s",
): Promise<AgentRun> {
  return on(variant, policy, async (region, { instanceId }) => {
    let done: AgentRun | undefined;
    for (const command of variant.commands ?? ["heal"]) {
      done = await runAgent(region, instanceId, {
        flags: [command],
        environment: { EIP_HEAL_DEADLINE: deadline, ...variant.environment },
      });
      if (done.status !== 0) break;
    }
    if (done === undefined) throw new Error("the variant has no command");
    return done;
  });
}

describe.concurrent.each(Object.entries(VARIANTS))("the policy for %s", (_, variant) => {
  test.concurrent.each(variant.sids)("is sufficient, and not without %s", async (sid) => {
    const printed = await print(variant);
    expect(printed.status, printed.log.join("\n")).toBe(0);
    expect(printed.log).toEqual([]);
    const policy = JSON.parse(printed.stdout) as PolicyDocument;
    expect(policy.Statement.map(({ Sid }) => Sid)).toEqual(variant.sids);

    const less = { Statement: policy.Statement.filter(({ Sid }) => Sid !== sid) };
    expect(less.Statement).toHaveLength(variant.sids.length - 1);
    const both = [perform(variant, policy), perform(variant, less, BRIEF)] as const;
    const [whole, { status, log }] = await Promise.all(both);
    expect(whole.status, whole.log.join("\n")).toBe(0);
    expect(status, log.join("\n")).toBe(77);
    expect(log.join("\n")).toMatch(/; allow (?:ec2|autoscaling):/);
  });
});

describe("what is optional", () => {
  const sidsOf = (stdout: string) => (JSON.parse(stdout) as PolicyDocument).Statement;

  test.concurrent.each(Object.entries(VARIANTS))(
    "is printed for %s, after the rest",
    async (_, variant) => {
      const [required, whole] = await Promise.all([print(variant), print(variant, "--explain")]);
      const more = sidsOf(whole.stdout).slice(sidsOf(required.stdout).length);
      expect(sidsOf(whole.stdout)).toEqual([...sidsOf(required.stdout), ...more]);
      const optional = ["LookUpTheGroup", "LookAtInterfaces"];
      expect(more.map(({ Sid }) => Sid)).toEqual(
        optional.filter((sid) => !variant.sids.includes(sid)),
      );
      expect(more.map(({ Action }) => Action)).toContain("ec2:DescribeNetworkInterfaces");
      const marked = whole.log.filter((line) => line.endsWith(", optional"));
      expect(marked).toHaveLength(more.length);
    },
  );
});

describe("each action of the statement Look", () => {
  const without = (policy: PolicyDocument, action: string): PolicyDocument => ({
    Statement: policy.Statement.map((statement) => ({
      ...statement,
      Action: [statement.Action].flat().filter((one) => one !== action),
    })),
  });

  test.each([
    ["ec2:DescribeInstances", "one address"],
    ["ec2:DescribeInstances", "a pool of which a stopped instance has the only address"],
    ["ec2:DescribeAddresses", "a pool with a free address"],
  ])("%s is needed for %s", async (action, name) => {
    const variant = VARIANTS[name];
    if (variant === undefined) throw new Error(`no variant ${name}`);
    const policy = JSON.parse((await print(variant)).stdout) as PolicyDocument;
    expect((await perform(variant, without(policy, action), BRIEF)).status).toBe(77);
  });

  test("ec2:DescribeAddresses names the NAT gateway that has the address", async () => {
    const variant: Variant = {
      build: (world, role) => {
        const { allocationId } = world.address();
        world.holdByService({ allocationId }, "nat-gateway");
        const tags = { "allocation-id": allocationId };
        return world.instance({ tags, metadataTags: true, role });
      },
      sids: [],
    };
    const policy = JSON.parse((await print(variant)).stdout) as PolicyDocument;
    const named = await perform(variant, policy);
    expect(named.status).toBe(78);
    expect(named.log.at(-1)).toMatch(/held by an interface .*eni-\w+ \(a NAT gateway/);
    // Without it there is only EC2's refusal, which could have other causes and so is tried again.
    const refused = await perform(variant, without(policy, "ec2:DescribeAddresses"), BRIEF);
    expect(refused.status).toBe(77);
    expect(refused.log.at(-1)).toContain("AuthFailure");
  });
});

describe("the policy allows nothing else", () => {
  const US = "arn:aws:ec2:us-east-1:111122223333";
  const caller = { "ec2:Region": "us-east-1", "aws:userid": "AROAEXAMPLEROLEID0000:i-0000aaaa" };
  const instance = (id: string) => ({
    arn: `${US}:instance/${id}`,
    keys: { ...caller, "ec2:InstanceID": id },
  });
  const address = (id: string) => ({ arn: `${US}:elastic-ip/${id}`, keys: caller });

  test("not onto another instance, not another address, not for another region or account", async () => {
    const { stdout } = await run(
      {},
      {
        flags:
          "policy --allocation-id eipalloc-0000aaaa --region us-east-1 --account 111122223333".split(
            " ",
          ),
      },
    );
    const policy = JSON.parse(stdout) as PolicyDocument;
    const denied = (...resources: Parameters<typeof firstDenied>[2]) =>
      firstDenied([policy], "ec2:AssociateAddress", resources)?.arn;
    const own = address("eipalloc-0000aaaa");
    expect(denied(own, instance("i-0000aaaa"))).toBeUndefined();
    expect(denied(own, instance("i-0000bbbb"))).toBe(`${US}:instance/i-0000bbbb`);
    expect(denied(address("eipalloc-0000bbbb"))).toBeDefined();
    expect(denied({ ...own, arn: own.arn.replace("111122223333", "444455556666") })).toBeDefined();
    expect(denied({ ...own, arn: own.arn.replace("us-east-1", "us-east-2") })).toBeDefined();
  });
});

describe("the VPC of a policy for several interfaces", () => {
  const VPC = "vpc-0123456789abcdef0";
  const deniedIn = async (vpc: string): Promise<string | undefined> => {
    const { stdout } = await run(
      {},
      {
        flags: `policy --any --region us-east-1 --account 111122223333 --vpc ${VPC}`.split(" "),
      },
    );
    const arn = "arn:aws:ec2:us-east-1:111122223333:network-interface/eni-0000aaaa";
    const keys = { "ec2:Region": "us-east-1", "ec2:Vpc": `arn:aws:ec2:us-east-1:${vpc}` };
    const policy = JSON.parse(stdout) as PolicyDocument;
    return firstDenied([policy], "ec2:AssociateAddress", [{ arn, keys }])?.arn;
  };

  test("may be this account's or another one's that shares it, and is no other", async () => {
    expect(await deniedIn(`111122223333:vpc/${VPC}`)).toBeUndefined();
    expect(await deniedIn(`444455556666:vpc/${VPC}`)).toBeUndefined();
    expect(await deniedIn("111122223333:vpc/vpc-0fffffffffffffff0")).toContain("eni-0000aaaa");
  });
});

describe("off an EC2 instance", () => {
  /** Nobody listens there. */
  const NOWHERE = { AWS_EC2_METADATA_SERVICE_ENDPOINT: "http://127.0.0.1:1" };

  test("* stands for what is not known, and standard error says so", async () => {
    const { status, stdout, log } = await run(NOWHERE, {
      flags: ["policy", "--allocation-id", "eipalloc-0000aaaa", "--hook"],
    });
    expect(status, log.join("\n")).toBe(0);
    expect(log.join("\n")).toMatch(
      /not on an EC2 instance.*127\.0\.0\.1[^]*smaller with --region, --account, --group/,
    );
    const { Statement } = JSON.parse(stdout) as PolicyDocument;
    expect(Statement.map(({ Resource }) => Resource)).toEqual([
      "*",
      "arn:aws:ec2:*:*:elastic-ip/eipalloc-0000aaaa",
      "arn:aws:ec2:*:*:instance/*",
      "arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*",
      "*",
      "*",
    ]);
  });

  test("asks nobody when region and account are named", async () => {
    const { status, stdout, log } = await run(NOWHERE, {
      flags: ["policy", "--pool", "eip-pool=web", "--account", "111122223333"],
      environment: { AWS_REGION: "us-gov-west-1" },
    });
    expect({ status, log }).toEqual({ status: 0, log: [] });
    expect(stdout).toContain('"arn:aws-us-gov:ec2:us-gov-west-1:111122223333:elastic-ip/*"');
  });

  test("names the partition of a region that is named", async () => {
    const variant = VARIANTS["one address"];
    if (variant === undefined) throw new Error("no such variant");
    const { stdout } = await print(variant, "--region", "cn-north-1");
    expect(stdout).toContain('"arn:aws-cn:ec2:cn-north-1:111122223333:instance/*"');
  });

  test("--group is for its lifecycle hook", async () => {
    const { stdout, status } = await run(NOWHERE, {
      flags: "policy --any --region us-east-1 --account 111122223333 --group web*".split(" "),
    });
    expect(status).toBe(0);
    expect(stdout).toContain(':autoScalingGroupName/web${*}"');
  });

  test("prints no policy for every address to those who have not asked for it", async () => {
    const { status, stdout, log } = await run(NOWHERE, { flags: ["policy"] });
    expect(status).toBe(78);
    expect(stdout).toBe("");
    expect(log.at(-1)).toMatch(
      /for which address\?.*--allocation-id, --address-tag or --pool, or take --any/,
    );
  });

  test.each([
    [["policy", "--region", "Ohio"], '--region is "Ohio"; accepted: a region'],
    [["policy", "--account", "1"], '--account is "1"; accepted: the twelve digits'],
    [["heal", "--any"], "--any goes with policy only"],
  ])("%j is a usage error", async (flags, message) => {
    const { status, log } = await run(NOWHERE, { flags });
    expect(status).toBe(64);
    expect(log[0]).toContain(message);
  });
});

test("--explain says why each statement is there, on standard error, and leaves standard output to the policy", async () => {
  const variant = VARIANTS["heal and release with several interfaces"];
  if (variant === undefined) throw new Error("no such variant");
  const [plain, explained] = await Promise.all([
    print(variant),
    print(variant, "--required", "--explain"),
  ]);
  expect(explained.stdout).toBe(plain.stdout);
  const told = explained.log
    .filter((line) => !line.startsWith(" "))
    .map((line) => line.split(":")[0]);
  expect(told).toEqual(variant.sids);
  expect(Math.max(...explained.log.map((line) => line.length))).toBeLessThanOrEqual(100);
});

test("names the group of the hook by the tag that Auto Scaling gives its instances", async () => {
  const variant: Variant = {
    build: (world, role) => {
      const { allocationId } = world.address();
      const tags = { "allocation-id": allocationId, "aws:autoscaling:groupName": "web" };
      return world.instance({ tags, metadataTags: true, role });
    },
    flags: ["--hook"],
    sids: [],
  };
  const { stdout, log } = await print(variant);
  expect(log).toEqual([]);
  expect(stdout).toContain(
    '"arn:aws:autoscaling:us-east-1:111122223333:autoScalingGroup:*:autoScalingGroupName/web"',
  );
});
