/**
 * The story of the smallest IAM policy for these settings: what is wanted, where this instance is, and what
 * follows for the role. Off an EC2 instance it does with what the command line says.
 */
import { resolveTarget } from "../model/target.ts";
import type { InstanceContext } from "../model/instance.ts";
import { EXIT, Failure } from "../model/failure.ts";
import { statusOf } from "../reconcile/retry.ts";
import { permitOf, type Scope, type Surroundings } from "../iam/permit.ts";
import {
  ANY,
  type Clause,
  clausesFor,
  documentOf,
  explanationOf,
  type Permit,
} from "../iam/policy.ts";
import type { Settings } from "../config/settings.ts";
import { desiredAddress, tagsToRead } from "../run/desired.ts";
import { withStep, deadlineSignal, type RunContext } from "../run/retrying.ts";
import type { Completion, Context, RunPorts } from "./command.ts";
import { begin, refused } from "./refusal.ts";

/** Milliseconds; somebody is waiting for it. */
const DEADLINE_MS = 15_000;

/**
 * Puts the policy together.
 *
 * @param stop aborted when somebody wants it to end
 * @throws Failure if it cannot be told which address is wanted
 */
export async function policy(
  settings: Settings,
  scope: Scope,
  ports: RunPorts,
  stop: AbortSignal,
): Promise<readonly Clause[]> {
  const limit = deadlineSignal(ports.clock, DEADLINE_MS, stop);
  const { signal } = limit;
  const context: RunContext = { settings, ports, signal, step: "starting" };
  try {
    const clauses = clausesFor(await permit(context, scope, ports));
    return scope.required ? clauses.filter(({ isOptional }) => isOptional !== true) : clauses;
  } catch (error) {
    if (error instanceof Failure || !signal.aborted) throw error;
    const why = stop.aborted ? (stop.reason as Error).message : "out of time";
    throw new Failure("unreachable", { why }, context.step);
  } finally {
    limit.release();
  }
}

async function permit(context: RunContext, scope: Scope, ports: RunPorts): Promise<Permit> {
  const { settings } = context;
  const found = await lookAround(context, scope, ports);
  const addresses = scope.any ? { kind: "any" as const } : found?.wanted;
  const permit = permitOf(settings, scope, found, addresses ?? namedAddresses(settings));
  const unknown = [
    ...(permit.region === ANY ? ["--region"] : []),
    ...(permit.account === ANY ? ["--account"] : []),
    ...(permit.hook?.group === ANY ? ["--group"] : []),
  ];
  if (unknown.length > 0) {
    ports.log.warn(`* stands for what is not known here; smaller with ${unknown.join(", ")}`);
  }
  return permit;
}

/** What this instance tells; undefined off EC2, and where the policy is said to be for somewhere else. */
async function lookAround(
  context: RunContext,
  { any, region, account }: Scope,
  ports: RunPorts,
): Promise<(Surroundings & { wanted?: Permit["addresses"] }) | undefined> {
  if (region !== undefined && account !== undefined) return undefined;
  const { settings, signal } = context;
  let footing: Awaited<ReturnType<RunPorts["stand"]>>;
  let home: InstanceContext;
  try {
    footing = await withStep(context, "reading instance metadata", () =>
      ports.stand(any ? [] : tagsToRead(settings), signal),
    );
    home = await withStep(context, "reading instance metadata", () => footing.home());
  } catch (error) {
    if (!(error instanceof Failure) || signal.aborted) throw error;
    ports.log.warn(`not on an EC2 instance, it seems: ${error.message}`);
    return undefined;
  }
  const { self } = footing;
  const here = resolveTarget(self, settings.interface, settings.privateIp);
  const vpc = home.vpcs[here.interfaceId];
  const around = { self, home, ...(vpc !== undefined && { vpc }) };
  if (any) return around;
  const ec2 = await footing.connect();
  try {
    return { ...around, wanted: await desiredAddress(context, self, ec2) };
  } catch (error) {
    throw error instanceof Failure ? unnamed(error.message) : error;
  } finally {
    ec2.close();
  }
}

function namedAddresses({ allocationId, pool }: Settings): Permit["addresses"] {
  if (allocationId !== undefined) return { kind: "address", allocationId };
  if (pool !== undefined) return { kind: "pool", ...pool };
  throw unnamed("the settings name no address");
}

/** A policy for every address is only for those who ask for it. */
function unnamed(why: string): Failure {
  return new Failure("misconfigured", {
    why: `for which address? ${why}`,
    cure: "name it by --allocation-id or --pool, or take --any",
  });
}

/** `eip-heal policy` */
export async function run(context: Context): Promise<Completion> {
  const beginning = begin(context);
  if ("problems" in beginning) return refused(beginning, context);
  const { settings, environment, ports } = beginning;
  const { commandLine, stop } = context;
  const region = environment["AWS_REGION"];
  const scope = { ...(region && { region }), ...commandLine.scope };
  try {
    const clauses = await policy(settings, scope, ports, stop);
    return {
      status: EXIT.OK,
      output: documentOf(clauses),
      ...(commandLine.explain && { explanation: explanationOf(clauses) }),
    };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { status: statusOf(error), lines: [{ level: "error", text: error.message }] };
  }
}
