/**
 * `eip-heal policy`: prints the smallest IAM policy for these settings and this instance. Outside EC2 the command line has
 * to say what instance metadata would.
 */
import { resolveTarget } from "../model/target.ts";
import type { Instance, InstanceContext } from "../model/instance.ts";
import { EXIT, Failure } from "../model/failure.ts";
import { statusOf } from "../reconcile/retry.ts";
import { policyInput, type Scope, type InstanceDetails } from "../iam/policy-input.ts";
import {
  ANY,
  type ExplainedStatement,
  statementsFor,
  documentOf,
  explanationOf,
  type PolicyInput,
} from "../iam/policy.ts";
import { namedBySetting, type Settings } from "../config/settings.ts";
import { desiredAddress, tagsToRead } from "../run/desired.ts";
import { contextFor, type RunContext, withStep } from "../run/retrying.ts";
import type { Session } from "../run/ports.ts";
import { openSession } from "../run/session.ts";
import type { Completion, Context, RunPorts } from "./command.ts";
import { begin, refused } from "./refusal.ts";

/** Milliseconds: a person at a terminal is waiting. */
const DEADLINE_MS = 15_000;

/**
 * Determines the statements of the policy.
 *
 * @param stop aborted when somebody wants it to stop
 * @throws Failure if the desired address cannot be determined
 */
export async function policy(
  settings: Settings,
  scope: Scope,
  ports: RunPorts,
  stop: AbortSignal,
): Promise<readonly ExplainedStatement[]> {
  const limit = contextFor(settings, ports, DEADLINE_MS, stop);
  const { context } = limit;
  try {
    const statements = statementsFor(await readPolicyInput(context, scope, ports));
    return scope.required ? statements.filter(({ isOptional }) => isOptional !== true) : statements;
  } catch (error) {
    if (error instanceof Failure || !context.signal.aborted) throw error;
    const why = stop.aborted ? (stop.reason as Error).message : "out of time";
    throw new Failure("unreachable", { why }, context.step);
  } finally {
    limit.release();
  }
}

async function readPolicyInput(
  context: RunContext,
  scope: Scope,
  ports: RunPorts,
): Promise<PolicyInput> {
  const { settings } = context;
  const found = await instanceDetails(context, scope, ports);
  const addresses = scope.any ? { kind: "any" as const } : found?.desired;
  const input = policyInput(settings, scope, found, addresses ?? namedAddresses(settings));
  const unknown = [
    ...(input.region === ANY ? ["--region"] : []),
    ...(input.account === ANY ? ["--account"] : []),
    ...(input.hook?.group === ANY ? ["--group"] : []),
  ];
  if (unknown.length > 0) {
    ports.log.warn(`* stands for what is not known here; smaller with ${unknown.join(", ")}`);
  }
  return input;
}

/** What this instance tells; undefined outside EC2, and if the command line names both region and account. */
async function instanceDetails(
  context: RunContext,
  { any, region, account }: Scope,
  ports: RunPorts,
): Promise<(InstanceDetails & { desired?: PolicyInput["addresses"] }) | undefined> {
  if (region !== undefined && account !== undefined) return undefined;
  const { settings, signal } = context;
  let opened: { session: Session; self: Instance };
  let instanceContext: InstanceContext;
  try {
    opened = await openSession(context, ports, any ? [] : tagsToRead(settings));
    const { session, self } = opened;
    instanceContext = await withStep(context, "reading instance metadata", () =>
      session.instanceContext(self),
    );
  } catch (error) {
    if (!(error instanceof Failure) || signal.aborted) throw error;
    ports.log.warn(`not on an EC2 instance, it seems: ${error.message}`);
    return undefined;
  }
  const { session, self } = opened;
  const target = resolveTarget(self, settings);
  const vpc = instanceContext.vpcs[target.interfaceId];
  const details = { self, instanceContext, ...(vpc !== undefined && { vpc }) };
  if (any) return details;
  const ec2 = await session.ec2(self);
  try {
    return { ...details, desired: await desiredAddress(context, self, ec2) };
  } catch (error) {
    throw error instanceof Failure ? unnamed(error.message) : error;
  } finally {
    ec2.close();
  }
}

function namedAddresses(settings: Settings): PolicyInput["addresses"] {
  const named = namedBySetting(settings);
  if (named === undefined) throw unnamed("the settings name no address");
  return named.desired;
}

/** The failure if no address is named: a policy for every address has to be asked for explicitly. */
function unnamed(why: string): Failure {
  return new Failure("misconfigured", {
    why: `for which address? ${why}`,
    remedy: "name it by --allocation-id, --address-tag or --pool, or take --any",
  });
}

/** Runs the command. */
export async function run(
  context: Context,
  options: Scope & { readonly explain: boolean },
): Promise<Completion> {
  const beginning = begin(context);
  if ("problems" in beginning) return refused(beginning, context);
  const { settings, environment, ports } = beginning;
  const region = environment["AWS_REGION"];
  const scope = { ...(region && { region }), ...options };
  try {
    const statements = await policy(settings, scope, ports, context.stop);
    return {
      status: EXIT.OK,
      output: documentOf(statements),
      ...(options.explain && { explanation: explanationOf(statements) }),
    };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { status: statusOf(error), lines: [{ level: "error", text: error.message }] };
  }
}
