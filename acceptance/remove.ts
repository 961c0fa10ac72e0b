/** Removes what runs have made, by its tag: of one run, or what any run in this region has left behind. */
import { type Aws, AwsError } from "./aws.ts";
import { type Clock, until } from "./clock.ts";
import { type Plan, TAG } from "./plan.ts";
import type { Leftover } from "./report.ts";

type Tags = readonly { Key: string; Value: string }[];

/**
 * Removes everything, in the order in which it depends on each other. What cannot be removed keeps nothing else from
 * being.
 *
 * @param run of which run; undefined: of all
 * @returns what is still there
 */
export async function remove(
  aws: Aws,
  clock: Clock,
  { account, limits }: Pick<Plan, "account" | "limits">,
  run: string | undefined,
  tell: (line: string) => void,
): Promise<Leftover[]> {
  const left: Leftover[] = [];
  const attempt = async (what: string, action: () => Promise<void>) => {
    tell(`removing ${what}`);
    try {
      await action();
    } catch (error) {
      left.push({ what, why: (error as Error).message });
    }
  };
  const ours = (tags: Tags | undefined) =>
    tags?.some(({ Key, Value }) => Key === TAG && (run === undefined || Value === run)) === true;

  const { StackNames: stacks } = await listed(
    left,
    "the stacks",
    async () => {
      const { Stacks } = (await aws.call("cloudformation describe-stacks")) as {
        Stacks: { StackName: string; Tags?: Tags }[];
      };
      return {
        StackNames: Stacks.filter(({ Tags }) => ours(Tags)).map(({ StackName }) => StackName),
      };
    },
    { StackNames: [] as string[] },
  );
  // Groups first: they are in the networks.
  for (const name of stacks.toSorted()) {
    await attempt(`the stack ${name}`, async () => {
      if (name.endsWith("-group")) await deleteWarmPool(aws, clock, name, limits.state * 1000);
      await deleteStack(aws, clock, name, limits.state * 1000);
    });
  }

  const { Addresses: addresses } = await listed(
    left,
    "the addresses",
    async () => {
      const filter = { Name: run === undefined ? "tag-key" : `tag:${TAG}`, Values: [run ?? TAG] };
      return (await aws.call("ec2 describe-addresses", { Filters: [filter] })) as {
        Addresses: { AllocationId: string; AssociationId?: string }[];
      };
    },
    { Addresses: [] },
  );
  for (const { AllocationId, AssociationId } of addresses) {
    await attempt(`the address ${AllocationId}`, async () => {
      if (AssociationId) await aws.call("ec2 disassociate-address", { AssociationId });
      await aws.call("ec2 release-address", { AllocationId });
    });
  }

  const { Buckets: buckets } = await listed(
    left,
    "the buckets",
    async () => {
      return (await aws.call("s3api list-buckets")) as { Buckets: { Name: string }[] };
    },
    { Buckets: [] },
  );
  const named = buckets.filter(
    ({ Name }) => Name.startsWith(run ?? `${TAG}-`) && Name.endsWith(`-${account}`),
  );
  for (const { Name } of named) {
    await attempt(`the bucket ${Name}`, () => deleteBucket(aws, Name));
  }
  return left;
}

// --- internal ---

/** What there is; if that cannot be told, nothing, and it is said so. */
async function listed<T>(
  left: Leftover[],
  what: string,
  list: () => Promise<T>,
  nothing: T,
): Promise<T> {
  try {
    return await list();
  } catch (error) {
    left.push({ what, why: `they cannot be listed: ${String(error)}` });
    return nothing;
  }
}

/** Deletes the warm pool with which a group cannot be deleted, if a run has left one. */
async function deleteWarmPool(
  aws: Aws,
  clock: Clock,
  stack: string,
  limitMs: number,
): Promise<void> {
  try {
    const { Stacks: stacks } = (await aws.call("cloudformation describe-stacks", {
      StackName: stack,
    })) as { Stacks: { Outputs?: { OutputKey: string; OutputValue: string }[] }[] };
    const name = stacks[0]?.Outputs?.find(({ OutputKey }) => OutputKey === "GroupName");
    if (name === undefined) return;
    const named = { AutoScalingGroupName: name.OutputValue };
    const there = async () =>
      (
        (await aws.call("autoscaling describe-warm-pool", named)) as {
          WarmPoolConfiguration?: object;
        }
      ).WarmPoolConfiguration !== undefined;
    if (!(await there())) return;
    await aws.call("autoscaling delete-warm-pool", { ...named, ForceDelete: true });
    await until(clock, limitMs, 10_000, async () => ((await there()) ? undefined : true));
  } catch {
    // Whatever it was, the deletion of the stack will say.
  }
}

/** Deletes a stack and waits until it is gone; a second time where the first has failed, as a late interface may make it. */
async function deleteStack(aws: Aws, clock: Clock, name: string, limitMs: number): Promise<void> {
  for (const last of [false, true]) {
    await aws.call("cloudformation delete-stack", { StackName: name });
    const end = await until(clock, limitMs, 10_000, async () => {
      try {
        const { Stacks } = (await aws.call("cloudformation describe-stacks", {
          StackName: name,
        })) as { Stacks: { StackStatus: string; StackStatusReason?: string }[] };
        const [stack] = Stacks;
        if (stack?.StackStatus === "DELETE_FAILED") return stack;
        return stack === undefined || stack.StackStatus === "DELETE_COMPLETE" ? "gone" : undefined;
      } catch (error) {
        // So it says of a stack that does not exist.
        if (error instanceof AwsError && error.code === "ValidationError") return "gone";
        throw error;
      }
    });
    if (end?.found === "gone") return;
    if (end === undefined) throw new Error("it was not deleted in time");
    if (last) throw new Error(`DELETE_FAILED: ${end.found.StackStatusReason ?? "no reason given"}`);
  }
}

async function deleteBucket(aws: Aws, name: string): Promise<void> {
  const { Contents = [] } = (await aws.call("s3api list-objects-v2", { Bucket: name })) as {
    Contents?: { Key: string }[];
  };
  for (const { Key } of Contents) await aws.call("s3api delete-object", { Bucket: name, Key });
  await aws.call("s3api delete-bucket", { Bucket: name });
}
