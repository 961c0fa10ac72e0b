/** What happens to instances, played on the group of the run. */
import type { Aws } from "./aws.ts";
import type { Built } from "./build.ts";
import { type Clock, until } from "./clock.ts";
import { type Told, read } from "./console.ts";
import type { Limits } from "./plan.ts";
import type { Row } from "./report.ts";

/** The group under test, as the scenes see it. */
export interface Stage {
  readonly aws: Aws;
  readonly clock: Clock;
  readonly built: Built;
  readonly limits: Limits;
}

export interface Member {
  readonly instanceId: string;
  readonly state: string;
}

export interface Association {
  readonly instanceId: string | undefined;
  readonly associationId: string | undefined;
}

/** The instances of the group. */
export async function members({ aws, built }: Stage): Promise<Member[]> {
  const { AutoScalingGroups: groups } = (await aws.call(
    "autoscaling describe-auto-scaling-groups",
    { AutoScalingGroupNames: [built.group] },
  )) as {
    AutoScalingGroups: { Instances?: { InstanceId: string; LifecycleState: string }[] }[];
  };
  return (groups[0]?.Instances ?? []).map(({ InstanceId, LifecycleState }) => ({
    instanceId: InstanceId,
    state: LifecycleState,
  }));
}

/** Who has the address. */
export async function association({ aws, built }: Stage): Promise<Association> {
  const { Addresses: addresses } = (await aws.call("ec2 describe-addresses", {
    AllocationIds: [built.address.allocationId],
  })) as { Addresses: { InstanceId?: string; AssociationId?: string }[] };
  const [found] = addresses;
  // An address that nobody has may have an empty one.
  return {
    instanceId: found?.InstanceId || undefined,
    associationId: found?.AssociationId || undefined,
  };
}

/** The first boot of the first instance, with an address that nobody has. */
export async function firstBoot(stage: Stage): Promise<Row> {
  const arrived = await onMember(stage, () => true);
  return await judged(stage, "the group is new: its instance gets the address", arrived);
}

/** A reboot: the address stays, and is not associated a second time. */
export async function reboot(stage: Stage): Promise<Row> {
  const what = "a reboot: the address stays, and no association is made";
  const before = await association(stage);
  if (before.instanceId === undefined) return { what, ok: false, seen: "nobody had the address" };
  const { instanceId } = before;
  const boots = (await read(stage.aws, instanceId)).boots.length;
  await stage.aws.call("ec2 reboot-instances", { InstanceIds: [instanceId] });
  const told = await consoleOf(stage, instanceId, (one) =>
    one.boots.length > boots ? lastLine(one) : undefined,
  );
  const after = await association(stage);
  const same = after.associationId === before.associationId;
  const line = told ?? "the console shows no second boot";
  return {
    what,
    // Without the console nobody can tell whether it has rebooted at all.
    ok: same ? (told === undefined ? undefined : true) : false,
    seen: same
      ? line
      : `the association changed from ${before.associationId} to ${after.associationId}; ${line}`,
  };
}

/** Somebody takes it off by hand: the recheck of every minute brings it back. */
export async function movedByHand(stage: Stage): Promise<Row> {
  const what = "taken off by hand: the recheck brings it back";
  const before = await association(stage);
  if (before.associationId === undefined)
    return { what, ok: false, seen: "nobody had the address" };
  await stage.aws.call("ec2 disassociate-address", { AssociationId: before.associationId });
  return await judged(
    stage,
    what,
    await onMember(stage, (instanceId) => instanceId === before.instanceId),
  );
}

/** A replacement that comes before the old instance goes: it takes the address from a running one. */
export async function newFirst(stage: Stage): Promise<Row> {
  const what = "replaced, the new one first: it takes the address from the old one, which runs";
  const old = (await association(stage)).instanceId;
  const group = { AutoScalingGroupName: stage.built.group };
  await stage.aws.call("autoscaling set-desired-capacity", {
    ...group,
    DesiredCapacity: 2,
    HonorCooldown: false,
  });
  const row = await judged(stage, what, await onMember(stage, (instanceId) => instanceId !== old));
  // The old one goes, whether or not it still has the address: one instance is what the next scene starts from.
  if (old !== undefined) await end(stage, old, true);
  return row;
}

/** The instance that has the address ends, and Auto Scaling launches another one. */
export async function oldFirst(stage: Stage): Promise<Row> {
  const what = "replaced, the old one ended first: the new one gets the address";
  const old = (await association(stage)).instanceId;
  if (old === undefined) return { what, ok: false, seen: "nobody had the address" };
  await end(stage, old, false);
  return await judged(stage, what, await onMember(stage, (instanceId) => instanceId !== old));
}

/** Ends a member of the group, and waits until it is one no more. */
export async function end(stage: Stage, instanceId: string, shrink: boolean): Promise<void> {
  await stage.aws.call("autoscaling terminate-instance-in-auto-scaling-group", {
    InstanceId: instanceId,
    ShouldDecrementDesiredCapacity: shrink,
  });
  await until(stage.clock, stage.limits.state * 1000, 5000, async () =>
    (await members(stage)).some((one) => one.instanceId === instanceId) ? undefined : true,
  );
}

/** Waits for the console of an instance to show something. */
export async function consoleOf<T>(
  stage: Stage,
  instanceId: string,
  find: (told: Told) => T | undefined,
): Promise<T | undefined> {
  const seen = await until(stage.clock, stage.limits.console * 1000, 15_000, async () =>
    find(await read(stage.aws, instanceId)),
  );
  return seen?.found;
}

// --- internal ---

interface Arrived {
  readonly instanceId: string;
  readonly ms: number;
}

/** Waits until a member of the group in service has the address, one that it should be. */
async function onMember(
  stage: Stage,
  wanted: (instanceId: string) => boolean,
): Promise<Arrived | undefined> {
  const seen = await until(stage.clock, stage.limits.address * 1000, 2000, async () => {
    const { instanceId } = await association(stage);
    if (instanceId === undefined || !wanted(instanceId)) return undefined;
    const all = await members(stage);
    return all.some((one) => one.instanceId === instanceId) ? instanceId : undefined;
  });
  return seen && { instanceId: seen.found, ms: seen.ms };
}

/** The row of a scene, with what the instance itself said. */
async function judged(stage: Stage, what: string, arrived: Arrived | undefined): Promise<Row> {
  if (arrived === undefined) {
    const { instanceId } = await association(stage);
    const who = instanceId === undefined ? "nobody has it" : `${instanceId} has it`;
    return { what, ok: false, seen: `not within ${stage.limits.address} s; ${who}` };
  }
  const line = await consoleOf(stage, arrived.instanceId, lastLine);
  return {
    what,
    ok: true,
    seen: `${arrived.instanceId} after ${(arrived.ms / 1000).toFixed(0)} s; ${line ?? "its console shows no line of the heal"}`,
  };
}

/** What the heal of the latest boot said last. */
function lastLine({ boots }: Told): string | undefined {
  return boots.at(-1)?.log.at(-1);
}
