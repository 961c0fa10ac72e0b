/** Six questions about EC2 and Auto Scaling that no document answers and no simulation can. */
import { type Aws, AwsError, codeOf } from "./aws.ts";
import { until } from "./clock.ts";
import { describeStates } from "./console.ts";
import { association, consoleOf, end, members, type Stage } from "./play.ts";
import type { Row } from "./report.ts";

/** What target-lifecycle-state says at the first boot of a plain member of the group. */
export async function statesOfMember(stage: Stage): Promise<Row> {
  return await states(
    stage,
    "a plain member at its first boot",
    (await association(stage)).instanceId,
  );
}

/** The same for a member of a warm pool, which boots and is stopped. */
export async function statesOfWarmPool(stage: Stage): Promise<Row> {
  const { aws, built, clock, limits } = stage;
  const group = { AutoScalingGroupName: built.group };
  await aws.call("autoscaling put-warm-pool", { ...group, MinSize: 1, PoolState: "Stopped" });
  try {
    const warm = await until(clock, limits.state * 1000, 5000, async () => {
      const { Instances = [] } = (await aws.call("autoscaling describe-warm-pool", group)) as {
        Instances?: { InstanceId: string }[];
      };
      return Instances[0]?.InstanceId;
    });
    return await states(stage, "a member of a warm pool at its first boot", warm?.found);
  } finally {
    await aws.call("autoscaling delete-warm-pool", { ...group, ForceDelete: true });
    // A group with a warm pool can neither be deleted nor changed further.
    await until(clock, limits.state * 1000, 10_000, async () => {
      const { WarmPoolConfiguration: there } = (await aws.call(
        "autoscaling describe-warm-pool",
        group,
      )) as { WarmPoolConfiguration?: object };
      return there === undefined ? true : undefined;
    });
  }
}

/** The same after a stop and start in standby, what people do to resize an instance. */
export async function statesInStandby(stage: Stage): Promise<Row> {
  const { aws, built, clock, limits } = stage;
  const { instanceId } = await association(stage);
  const who = "a member in standby, after a stop and a start";
  if (instanceId === undefined) return unknown(who, "nobody had the address");
  const these = { AutoScalingGroupName: built.group, InstanceIds: [instanceId] };
  const reach = async (wanted: string) =>
    await until(clock, limits.state * 1000, 5000, async () => {
      const all = await members(stage);
      return all.some((one) => one.instanceId === instanceId && one.state === wanted) || undefined;
    });
  // The group keeps its size of one, so another instance is launched meanwhile.
  await aws.call("autoscaling enter-standby", { ...these, ShouldDecrementDesiredCapacity: false });
  try {
    await reach("Standby");
    await aws.call("ec2 stop-instances", { InstanceIds: [instanceId] });
    await instance(stage, instanceId, "stopped");
    await aws.call("ec2 start-instances", { InstanceIds: [instanceId] });
    await instance(stage, instanceId, "running");
    const row = await states(stage, who, instanceId);
    const after = (await association(stage)).instanceId;
    return { ...row, seen: `${row.seen}; meanwhile ${after ?? "nobody"} has the address` };
  } finally {
    // Back in service it makes the group one larger, and goes with that.
    await aws.call("autoscaling exit-standby", these);
    await reach("InService");
    await end(stage, instanceId, true);
  }
}

/** AssociateAddress with AllowReassociation=false onto a place with another Elastic IP, and where it is already. */
export async function withoutReassociation(stage: Stage): Promise<Row[]> {
  const { aws, built } = stage;
  const { instanceId } = await association(stage);
  const ask = async (what: string, allocationId: string): Promise<Row> => {
    const seen = await answerOf(aws, "ec2 associate-address", {
      AllocationId: allocationId,
      InstanceId: instanceId,
      AllowReassociation: false,
    });
    return { what: `AllowReassociation=false ${what}`, ok: undefined, seen };
  };
  const rows = [await ask("onto the place where the address is", built.address.allocationId)];
  rows.push(await ask("onto a place with another Elastic IP", built.spare.allocationId));
  // If that went through, the address of the group has been displaced; the recheck puts it back, displacing this one.
  return rows;
}

/** What DescribeAddresses shows while its holder is terminated: of which interface, and for how long. */
export async function throughTermination(stage: Stage): Promise<Row> {
  const what = "DescribeAddresses every 200 ms through the termination of the holder";
  const { aws, built, clock, limits } = stage;
  const old = (await association(stage)).instanceId;
  if (old === undefined) return { what, ok: undefined, seen: "nobody had the address" };
  const begin = clock.now();
  const changes: string[] = [];
  let last = "";
  let going = true;
  let failed: unknown;
  const look = async () => {
    const { Addresses: addresses } = (await aws.call("ec2 describe-addresses", {
      AllocationIds: [built.address.allocationId],
    })) as {
      Addresses: { InstanceId?: string; NetworkInterfaceId?: string }[];
    };
    const [{ InstanceId = "", NetworkInterfaceId = "" } = {}] = addresses;
    const shown =
      InstanceId === old
        ? "the old instance"
        : InstanceId !== ""
          ? "the new instance"
          : NetworkInterfaceId !== ""
            ? "an interface without an instance"
            : "nobody";
    if (shown !== last)
      changes.push(`${shown} from ${((clock.now() - begin) / 1000).toFixed(1)} s`);
    last = shown;
    if (shown === "the new instance") going = false;
  };
  await aws.call("autoscaling terminate-instance-in-auto-scaling-group", {
    InstanceId: old,
    ShouldDecrementDesiredCapacity: false,
  });
  // A call of the command line lasts longer than the pause, so several are under way; no answer is older than they last.
  const waiting: Promise<void>[] = [];
  while (going && clock.now() - begin < limits.address * 1000) {
    // Nobody waits yet for a look that fails, and a failure that nobody waits for would end the whole program.
    const looking = look().catch((error: unknown) => {
      failed ??= error;
      going = false;
    });
    waiting.push(looking);
    if (waiting.length >= 4) await waiting.shift();
    await clock.sleep(200);
  }
  await Promise.all(waiting);
  if (failed !== undefined) throw failed;
  return { what, ok: undefined, seen: changes.join(", ") };
}

/** How long DescribeInstances takes by an id and by a filter, in an account with as many instances as this one. */
export async function latencies(stage: Stage): Promise<Row> {
  const rounds = 10;
  const { aws } = stage;
  const { instanceId = "i-00000000000000000" } = await association(stage);
  const byId: number[] = [];
  const byFilter: number[] = [];
  // In turn, so that what changes meanwhile changes both.
  for (let round = 0; round < rounds; round++) {
    byId.push(await aws.timed("ec2 describe-instances", { InstanceIds: [instanceId] }));
    const Filters = [{ Name: "instance-id", Values: [instanceId] }];
    byFilter.push(await aws.timed("ec2 describe-instances", { Filters }));
  }
  const told = (all: number[]) => `${median(all)} ms [${Math.min(...all)} to ${Math.max(...all)}]`;
  return {
    what: `DescribeInstances, median of ${rounds}, with a new connection each`,
    ok: undefined,
    seen: `by id ${told(byId)}, by filter ${told(byFilter)}`,
  };
}

/** What a dry run says of an address that is held, and of one that does not exist. */
export async function dryRuns(stage: Stage): Promise<Row[]> {
  const { aws, built } = stage;
  const { instanceId } = await association(stage);
  const ask = async (what: string, AllocationId: string, more: object): Promise<Row> => {
    const asked = { AllocationId, InstanceId: instanceId, DryRun: true, ...more };
    return {
      what: `dry run of AssociateAddress: ${what}`,
      ok: undefined,
      seen: await answerOf(aws, "ec2 associate-address", asked),
    };
  };
  const held = built.address.allocationId;
  return [
    await ask("held, AllowReassociation=false", held, { AllowReassociation: false }),
    await ask("held, AllowReassociation=true", held, { AllowReassociation: true }),
    await ask("an id that does not exist", "eipalloc-00000000000000000", {}),
  ];
}

/** The words in which EC2 refuses what the role does not allow, with and without DryRun. */
export async function denials(stage: Stage): Promise<Row> {
  const what = "what EC2 says to a request that the role does not allow";
  const { instanceId } = await association(stage);
  if (instanceId === undefined) return { what, ok: undefined, seen: "nobody had the address" };
  const denied = await consoleOf(stage, instanceId, ({ boots }) =>
    boots.map((boot) => boot.denied).find((one) => Object.keys(one).length >= 2),
  );
  const seen =
    denied === undefined
      ? "the console does not show it"
      : Object.entries(denied)
          .map(([flag, text]) => `${flag}: ${text}`)
          .join("; ");
  return { what, ok: undefined, seen };
}

/** The middle of an odd number of values, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low = 0, high = 0] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return (low + high) / 2;
}

// --- internal ---

const unknown = (who: string, why: string): Row => ({
  what: `target-lifecycle-state of ${who}`,
  ok: undefined,
  seen: why,
});

async function states(stage: Stage, who: string, instanceId: string | undefined): Promise<Row> {
  if (instanceId === undefined) return unknown(who, "there was no such instance in time");
  const line = await consoleOf(stage, instanceId, ({ boots }) => {
    const boot = boots.findLast((one) => one.states.length > 0);
    return boot && describeStates(boot);
  });
  return unknown(who, line ?? "the console does not show it");
}

async function instance({ aws, clock, limits }: Stage, id: string, state: string): Promise<void> {
  await until(clock, limits.state * 1000, 5000, async () => {
    const { Reservations } = (await aws.call("ec2 describe-instances", { InstanceIds: [id] })) as {
      Reservations: { Instances: { State: { Name: string } }[] }[];
    };
    return Reservations[0]?.Instances[0]?.State.Name === state || undefined;
  });
}

/** What AWS answers, refusals included. */
async function answerOf(aws: Aws, command: string, parameters: object): Promise<string> {
  try {
    return `accepted: ${JSON.stringify(await aws.call(command, parameters))}`;
  } catch (error) {
    const code = codeOf(error);
    return `${code}: ${(error as AwsError).message.replace(/^.*?operation: /s, "")}`;
  }
}
