/** Auto Scaling as functions on the region's state: the actions of its API, and the waits of instances under lifecycle hooks. */

import * as errors from "./errors.ts";
import { accessDenied } from "./iam.ts";
import type { Instance, LifecycleAction, LifecycleHook, LifecycleResult } from "./model.ts";
import { deniedOn } from "./permission.ts";
import type { Caller } from "./permission.ts";
import { found } from "./state.ts";
import type { State } from "./state.ts";

/** Whatever heartbeats there are, a wait ends after 48 hours or 100 heartbeat timeouts. */
const LONGEST_WAIT_MS = 48 * 3_600_000;
const MOST_HEARTBEATS = 100;

export interface LifecycleInput {
  readonly group: string;
  readonly hook: string;
  readonly instanceId: string;
}

/** An instance as DescribeAutoScalingInstances shows it. */
export interface AutoScalingInstance {
  readonly instance: Instance;
  readonly group: string;
  readonly lifecycleState: string;
}

/** DescribeAutoScalingInstances: those of the ids that are in a group, all without ids. */
export function describeAutoScalingInstances(
  state: State,
  caller: Caller,
  instanceIds: readonly string[],
): AutoScalingInstance[] {
  admit(state, caller, "DescribeAutoScalingInstances");
  return state.instances().flatMap((instance) => {
    const { instanceId, group, state: ec2State } = instance;
    const isAsked = instanceIds.length === 0 || instanceIds.includes(instanceId);
    if (group === undefined || !isAsked || ec2State === "terminated") return [];
    return [{ instance, group, lifecycleState: lifecycleStateOf(state, instance) }];
  });
}

/** CompleteLifecycleAction. */
export function completeLifecycleAction(
  state: State,
  caller: Caller,
  input: LifecycleInput & { readonly result: LifecycleResult },
): void {
  admit(state, caller, "CompleteLifecycleAction", input.group);
  end(state, pending(state, input), input.result, "call");
}

/** RecordLifecycleActionHeartbeat: the timeout begins anew. */
export function recordLifecycleActionHeartbeat(
  state: State,
  caller: Caller,
  input: LifecycleInput,
): void {
  admit(state, caller, "RecordLifecycleActionHeartbeat", input.group);
  const action = pending(state, input);
  const timesOutAt = state.now() + action.hook.heartbeatTimeoutMs;
  state.putLifecycleAction({ ...action, timesOutAt });
}

/** An instance begins to wait under a hook of its group. */
export function beginWait(
  state: State,
  instanceId: string,
  hook: string,
  target: string,
): LifecycleAction {
  const { group = "" } = state.change(instanceId, undefined, { lifecycle: target });
  const known = found(hookOf(state, group, hook), `${hook} of group ${group}`);
  const now = state.now();
  const action: LifecycleAction = {
    instanceId,
    hook: known,
    timesOutAt: now + known.heartbeatTimeoutMs,
    endsAt: now + Math.min(LONGEST_WAIT_MS, MOST_HEARTBEATS * known.heartbeatTimeoutMs),
  };
  state.putLifecycleAction(action);
  return action;
}

/** Ends the waits whose time is up, as their hooks say. */
export function endWaits(state: State): void {
  const now = state.now();
  for (const action of state.lifecycleActions()) {
    if (action.ended === undefined && Math.min(action.timesOutAt, action.endsAt) <= now) {
      end(state, action, action.hook.defaultResult, "timeout");
    }
  }
}

// --- internal ---

/** Throttled before authorized, as in EC2. Only the actions on a group have resource-level permissions. */
function admit(state: State, caller: Caller, action: string, group?: string): void {
  if (caller === "admin") return;
  if (!state.takeToken(action)) throw errors.rateExceeded();
  const arn =
    group &&
    `arn:${state.partition}:autoscaling:${state.name}:${state.account}:autoScalingGroup:8d1a9a7e-2c4f-4c55-9f0b-4e8b0c6d7a11:autoScalingGroupName/${group}`;
  const touched = arn === undefined ? [] : [{ arn, keys: {} }];
  if (deniedOn(state, caller.instanceId, `autoscaling:${action}`, touched) !== undefined) {
    throw accessDenied(state.principalOf(caller.instanceId), `autoscaling:${action}`, arn);
  }
}

function pending(state: State, { group, hook, instanceId }: LifecycleInput): LifecycleAction {
  if (state.group(group) === undefined) throw errors.noSuchGroup(group);
  endWaits(state);
  const action = state
    .lifecycleActions()
    .find((one) => one.instanceId === instanceId && one.hook.name === hook && !one.ended);
  const isOfGroup = state.hasInstance(instanceId) && state.instance(instanceId).group === group;
  if (action === undefined || !isOfGroup) throw errors.noLifecycleAction(instanceId);
  return action;
}

function end(
  state: State,
  action: LifecycleAction,
  result: LifecycleResult,
  by: "call" | "timeout",
): void {
  state.putLifecycleAction({ ...action, ended: { result, by, at: state.now() } });
  if (result === "CONTINUE" || !state.hasInstance(action.instanceId)) return;
  state.change(action.instanceId, undefined, { lifecycle: "Terminated", state: "shutting-down" });
}

function hookOf(state: State, group: string, name: string): LifecycleHook | undefined {
  return state.group(group)?.hooks.find((hook) => hook.name === name);
}

function lifecycleStateOf(state: State, { instanceId, lifecycle = "InService" }: Instance): string {
  endWaits(state);
  const waits = state
    .lifecycleActions()
    .some((action) => action.instanceId === instanceId && action.ended === undefined);
  if (waits) return lifecycle.startsWith("Warmed:") ? "Warmed:Pending:Wait" : "Pending:Wait";
  return lifecycle === "Terminated" ? "Terminating" : lifecycle;
}
