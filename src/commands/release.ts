/**
 * The story of giving the address up on purpose: only if this instance is its holder at that moment. The
 * association is named, not the address, so that whoever has got it in between keeps it.
 */
import type { Settings } from "../config/settings.ts";
import { isAt, nameAddress } from "../model/address.ts";
import { AWS_CODE, Failure } from "../model/failure.ts";
import type { End, Facts, Outcome } from "../model/outcome.ts";
import { allowing } from "../model/permission.ts";
import { resolveTarget } from "../model/target.ts";
import { desiredAddress, tagsToRead } from "../run/desired.ts";
import type { Ports } from "../run/ports.ts";
import { openSession } from "../run/session.ts";
import { deadlineSignal, endBy, type RunContext, withStep } from "../run/retrying.ts";
import type { Completion, Context } from "./command.ts";
import { completionOf, lineOf } from "./outcome.ts";
import { begin, refused } from "./refusal.ts";

/** Milliseconds; it runs while an instance is being stopped, so it does not wait for anything. */
const DEADLINE_MS = 10_000;

/**
 * Gives the address up, in one try.
 *
 * @param announce told what is about to be done, before it is: a recheck that runs meanwhile must not undo it;
 *   returns how to take that back
 * @param stop aborted when somebody wants it to end
 * @throws whatever is a bug; every foreseen failure is an Outcome
 */
export async function release(
  settings: Settings,
  ports: Ports,
  publishResult: (outcome: Outcome) => () => void,
  stop: AbortSignal,
): Promise<Outcome> {
  const startedAt = ports.clock.now();
  const limit = deadlineSignal(ports.clock, DEADLINE_MS, stop);
  const { signal } = limit;
  const context: RunContext = { settings, ports, signal, step: "starting" };
  let facts: Facts = {};
  const learn = (more: Facts) => void (facts = { ...facts, ...more });
  const end = (how: End): Outcome => ({
    ...how,
    facts,
    tries: 1,
    ms: ports.clock.now() - startedAt,
  });
  try {
    return end(await giveUp(context, learn, (how) => publishResult(end(how))));
  } catch (error) {
    if (error instanceof Failure) return end(endBy(error));
    if (!signal.aborted) throw error;
    const why = stop.aborted ? (stop.reason as Error).message : "out of time";
    return end({ end: "stopped", because: `${why} while ${context.step}` });
  } finally {
    limit.release();
  }
}

async function giveUp(
  context: RunContext,
  learn: (facts: Facts) => void,
  publishResult: (how: End) => () => void,
): Promise<End> {
  const { settings, ports } = context;
  const { session, self } = await openSession(context, ports, tagsToRead(settings));
  learn({ instanceId: self.instanceId, region: self.region });
  const target = resolveTarget(self, settings.interface, settings.privateIp);
  let ec2 = await session.ec2(self);
  try {
    const desired = await desiredAddress(context, self, ec2);
    const { addresses } = await withStep(context, "looking for the address", () =>
      ec2.observe(desired, target),
    );
    for (const { holder, allocationId, publicIp } of addresses) {
      if (holder.kind !== "instance" || holder.instanceId !== self.instanceId) continue;
      // Of a pool this instance may hold several, each on a place of its own.
      if (desired.kind === "pool" && !isAt(target, holder)) continue;
      const name = nameAddress(allocationId, publicIp);
      learn({ allocationId, ...(publicIp !== undefined && { publicIp }) });
      if (holder.associationId === undefined) {
        throw new Failure("denied", {
          why: `${name} is here, and by which association only ec2:DescribeAddresses tells`,
          remedy: allowing("ec2:DescribeAddresses"),
        });
      }
      const { associationId } = holder;
      const rollback = publishResult({ end: "released", name });
      try {
        await withStep(context, `releasing ${name}`, () => ec2.release(associationId));
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (error.kind !== "unreachable") {
          rollback();
          // Somebody was quicker to move it.
          if (error.code === AWS_CODE.unknownAssociation) continue;
          throw error;
        }
        // The answer may have been lost because it travelled over the very address that was given up.
        ec2.close();
        ec2 = await session.ec2(self);
        const now = await withStep(context, `looking for ${name}`, () =>
          ec2.observe({ kind: "address", allocationId }, target),
        );
        const isHeld = now.addresses.some(
          ({ holder: one }) => one.kind === "instance" && one.associationId === associationId,
        );
        if (isHeld) {
          rollback();
          throw error;
        }
      }
      return { end: "released", name };
    }
    return { end: "idle", because: "this instance does not hold the address", why: "not-holder" };
  } finally {
    ec2.close();
  }
}

/** `eip-heal release` */
export async function run(context: Context): Promise<Completion> {
  const beginning = begin(context);
  if ("problems" in beginning) return refused(beginning, context);
  const { settings, ports } = beginning;
  const { runtime, stop } = context;
  const goOn = await context.endRetries(stop);
  const publishResult = (intended: Outcome) => {
    const { record } = completionOf(intended, context).result;
    return runtime.publishResult({ record, variables: undefined });
  };
  const outcome = await release(settings, ports, publishResult, stop);
  // One that has failed has changed nothing of what was verified, or nobody knows, and then it was meant.
  const preserveResult = outcome.end !== "released" && outcome.end !== "idle";
  if (preserveResult) await goOn();
  const { result, ...completion } = completionOf(outcome, context);
  return { ...completion, lines: [lineOf(outcome, context)], ...(!preserveResult && { result }) };
}
