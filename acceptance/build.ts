/** Makes what a run needs: the network, the package in a bucket, two addresses, and the group from examples/. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Aws } from "./aws.ts";
import { type Clock, until } from "./clock.ts";
import { IMAGE_PARAMETER, INSTANCE_TYPE, type Plan, TAG } from "./plan.ts";

const ROOT = join(import.meta.dirname, "..");
/** Seconds for which the links to the package work. */
const LINK_SECONDS = 6 * 3600;

export interface Built {
  /** The address of the group. */
  readonly address: Address;
  /** One that the role of the instances does not allow. */
  readonly spare: Address;
  readonly group: string;
}

export interface Address {
  readonly allocationId: string;
  readonly publicIp: string;
}

/**
 * Makes all of it.
 *
 * @throws AwsError, or Error if a stack fails; what has been made until then is found by its tag
 */
export async function build(
  aws: Aws,
  clock: Clock,
  plan: Plan,
  tell: (line: string) => void,
): Promise<Built> {
  tell("allocating two addresses");
  const address = await allocate(aws, plan);
  const spare = await allocate(aws, plan);

  tell("uploading the package");
  const link = await publish(aws, plan, spare);

  tell("creating the network");
  const network = await createStack(aws, clock, plan, "network", {
    template: "acceptance/network.yaml",
    parameters: {},
  });

  tell("creating the group, from examples/cloudformation.yaml");
  const { Parameter: image } = (await aws.call("ssm get-parameter", {
    Name: IMAGE_PARAMETER(plan.arch),
  })) as { Parameter: { Value: string } };
  const userData = `#!/bin/bash\ncurl --silent --show-error --fail --location --retry 5 '${link}' | bash\n`;
  const group = await createStack(aws, clock, plan, "group", {
    template: "examples/cloudformation.yaml",
    parameters: {
      VpcId: network("VpcId"),
      SubnetIds: network("SubnetIds"),
      ImageId: image.Value,
      InstanceType: INSTANCE_TYPE[plan.arch],
      AllocationId: address.allocationId,
      UserData: Buffer.from(userData).toString("base64"),
    },
  });
  return { address, spare, group: group("GroupName") };
}

/** The name of the bucket of a run: a name that nobody else in the world may have. */
export function bucketOf({ account, run }: Pick<Plan, "account" | "run">): string {
  return `${run}-${account}`;
}

// --- internal ---

const tagsOf = (plan: Plan) => [{ Key: TAG, Value: plan.run }];

async function allocate(aws: Aws, plan: Plan): Promise<Address> {
  const { AllocationId, PublicIp } = (await aws.call("ec2 allocate-address", {
    Domain: "vpc",
    TagSpecifications: [{ ResourceType: "elastic-ip", Tags: tagsOf(plan) }],
  })) as { AllocationId: string; PublicIp: string };
  return { allocationId: AllocationId, publicIp: PublicIp };
}

/** Puts the package and what the instances run into a bucket; a link to the latter. */
async function publish(aws: Aws, plan: Plan, spare: Address): Promise<string> {
  const bucket = bucketOf(plan);
  await aws.call("s3api create-bucket", {
    Bucket: bucket,
    // That region is the default, and may not be named.
    ...(plan.region !== "us-east-1" && {
      CreateBucketConfiguration: { LocationConstraint: plan.region },
    }),
  });
  await aws.call("s3api put-bucket-tagging", {
    Bucket: bucket,
    Tagging: { TagSet: tagsOf(plan) },
  });
  const put = async (key: string, body: string) => {
    await aws.call("s3api put-object", { Bucket: bucket, Key: key }, ["--body", body]);
    const seconds = ["--expires-in", String(LINK_SECONDS)];
    return String(await aws.call(`s3 presign s3://${bucket}/${key}`, undefined, seconds));
  };
  const link = await put(basename(plan.package), plan.package);
  const text = readFileSync(join(ROOT, "acceptance/instance.sh"), "utf8")
    .replaceAll("@PACKAGE@", () => link)
    .replaceAll("@SPARE@", spare.allocationId)
    .replaceAll("@REGION@", plan.region);
  return await withFile(text, (path) => put("instance.sh", path));
}

async function withFile<T>(text: string, use: (path: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "eip-heal-acceptance-"));
  try {
    const path = join(folder, "file");
    writeFileSync(path, text, { mode: 0o600 });
    return await use(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Creates a stack and waits for it; its outputs by their names. */
async function createStack(
  aws: Aws,
  clock: Clock,
  plan: Plan,
  part: "network" | "group",
  { template, parameters }: { template: string; parameters: Record<string, string> },
): Promise<(output: string) => string> {
  const name = `${plan.run}-${part}`;
  await aws.call("cloudformation create-stack", {
    StackName: name,
    TemplateBody: readFileSync(join(ROOT, template), "utf8"),
    Parameters: Object.entries(parameters).map(([ParameterKey, ParameterValue]) => ({
      ParameterKey,
      ParameterValue,
    })),
    Capabilities: ["CAPABILITY_IAM"],
    Tags: tagsOf(plan),
  });
  const ended = await until(clock, plan.limits.state * 1000, 10_000, async () => {
    const { Stacks } = (await aws.call("cloudformation describe-stacks", { StackName: name })) as {
      Stacks: {
        StackStatus: string;
        StackStatusReason?: string;
        Outputs?: { OutputKey: string; OutputValue: string }[];
      }[];
    };
    return Stacks[0]?.StackStatus.endsWith("_IN_PROGRESS") ? undefined : Stacks[0];
  });
  if (ended === undefined) throw new Error(`the stack ${name} was not ready in time`);
  const { StackStatus, StackStatusReason, Outputs = [] } = ended.found;
  if (StackStatus !== "CREATE_COMPLETE") {
    throw new Error(
      `the stack ${name} is ${StackStatus}: ${StackStatusReason ?? "no reason given"}`,
    );
  }
  return (output) => {
    const found = Outputs.find(({ OutputKey }) => OutputKey === output);
    if (found === undefined) throw new Error(`the stack ${name} has no output ${output}`);
    return found.OutputValue;
  };
}
