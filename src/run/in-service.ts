/**
 * Whether this instance is in service. Instance metadata shows its target lifecycle state, but not right after the launch:
 * a 404 means "not yet" as well as "in no group" (amazon-ecs-agent polls it for up to two hours). If the instance is in a
 * group, Auto Scaling is therefore asked too, if the role allows that.
 */
import { Failure } from "../model/failure.ts";
import type { Instance } from "../model/instance.ts";
import { whyNotInService } from "../reconcile/ownership.ts";
import type { AutoScaling, RunSession } from "./ports.ts";
import { type StepContext, withStep } from "./retrying.ts";

export type ServiceState =
  | { readonly is: "in service" }
  | { readonly is: "out of service"; readonly because: string }
  /** Not in a group, or in one and the state is not known yet. */
  | { readonly is: "not shown"; readonly group?: string | undefined };

/**
 * Finds out whether this instance is in service.
 *
 * @param group the group according to the instance's tags in EC2, if those have been read
 * @param mayAsk false if Auto Scaling has refused before and is not to be asked again
 * @param onRefusal called when Auto Scaling refuses
 */
export async function serviceState(
  context: StepContext,
  session: RunSession,
  self: Instance,
  group: string | undefined,
  mayAsk: boolean,
  onRefusal: () => void,
): Promise<ServiceState> {
  const because = whyNotInService(self);
  if (because !== undefined) return { is: "out of service", because };
  if (self.lifecycleState !== undefined) return { is: "in service" };
  const inGroup = self.group ?? group;
  if (inGroup === undefined || !mayAsk) return { is: "not shown", group: inGroup };
  const api = await session.autoScaling(self);
  try {
    return await ask(context, self, api, inGroup);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.kind === "denied") onRefusal();
    return { is: "not shown", group: inGroup };
  } finally {
    api.close();
  }
}

async function ask(
  context: StepContext,
  self: Instance,
  api: AutoScaling,
  group: string,
): Promise<ServiceState> {
  const step = `looking up the lifecycle state of ${self.instanceId} in ${group}`;
  const member = await withStep(context, step, () => api.member());
  if (member?.lifecycleState === undefined) return { is: "not shown", group };
  // Pending, Pending:Wait and Pending:Proceed are on the way to InService.
  if (/^(InService|Pending(:Wait|:Proceed)?)$/.test(member.lifecycleState)) {
    return { is: "in service" };
  }
  const because = `this instance is not in service (its Auto Scaling lifecycle state is ${member.lifecycleState})`;
  return { is: "out of service", because };
}
