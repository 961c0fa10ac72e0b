/**
 * The story of giving the address up on purpose: only if this instance is its holder at that moment. The
 * association is named, not the address, so that whoever has got it in between keeps it.
 */
import type { Settings } from "../config/settings.ts";
import { isAt, nameAddress, nameDesired } from "../model/address.ts";
import { AWS_CODE, Failure } from "../model/failure.ts";
import type { End, Facts, Outcome } from "../model/outcome.ts";
import { allowing } from "../model/permission.ts";
import { resolveTarget } from "../model/target.ts";
import { FLIGHT_MS, LAG_MS } from "../reconcile/bounds.ts";
import { desiredAddress, tagsToRead } from "../run/desired.ts";
import type { HealPorts } from "../run/ports.ts";
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
 * @param publishResult told what is about to be done, before it is: a run that is under way must not undo it; returns how to
 *   take that back. @throws Error if others cannot be told
 * @param stop aborted when somebody wants it to end
 * @throws whatever is a bug; every foreseen failure is an Outcome
 */
export async function release(
  settings: Settings,
  ports: HealPorts,
  publishResult: (outcome: Outcome) => Promise<() => Promise<void>>,
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
    asOf: ports.clock.now(),
  });
  try {
    return end(await giveUp(context, ports, learn, (how) => publishResult(end(how))));
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
  ports: HealPorts,
  learn: (facts: Facts) => void,
  publishResult: (how: End) => Promise<() => Promise<void>>,
): Promise<End> {
  const { settings } = context;
  const { session, self } = await openSession(context, ports, tagsToRead(settings));
  learn({ instanceId: self.instanceId, region: self.region });
  const target = resolveTarget(self, settings.interface, settings.privateIp);
  let ec2 = await session.ec2(self);
  /** Has EC2 been asked to do it without saying that it has not? */
  let mayBeDone = false;
  let rollback: (() => Promise<void>) | undefined;
  try {
    const desired = await desiredAddress(context, self, ec2);
    rollback = await publishResult({
      end: "released",
      name: nameDesired(desired),
      isUnderWay: true,
    });
    await untilLanded(context, ports);
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
      mayBeDone = true;
      try {
        await withStep(context, `releasing ${name}`, () => ec2.release(associationId));
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (error.kind !== "unreachable") {
          mayBeDone = false;
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
          mayBeDone = false;
          throw error;
        }
      }
      return { end: "released", name };
    }
    return { end: "idle", because: "this instance does not hold the address", why: "not-holder" };
  } catch (error) {
    if (!mayBeDone) await rollback?.();
    throw error;
  } finally {
    ec2.close();
  }
}

/**
 * Waits until an association has landed that another run of this instance has sent before it could know of the release:
 * what is looked at earlier does not show it.
 */
async function untilLanded(context: RunContext, { clock, lastWrite }: HealPorts): Promise<void> {
  const sent = lastWrite.read();
  if (sent === undefined) return;
  const ms = sent.at + FLIGHT_MS + LAG_MS - clock.now();
  // What lies further ahead is of a clock before the boot.
  if (ms <= 0 || ms > FLIGHT_MS + LAG_MS) return;
  await withStep(context, "waiting for an association that is under way", () =>
    clock.sleep(ms, context.signal),
  );
}

/** `eip-heal release` */
export async function run(context: Context): Promise<Completion> {
  const beginning = begin(context);
  if ("problems" in beginning) return refused(beginning, context);
  const { settings, ports } = beginning;
  const { runtime, stop } = context;
  const goOn = await context.endRetries(stop);
  const publishResult = async (intended: Outcome) => {
    const { record } = completionOf(intended, context).result;
    try {
      return await runtime.publishResult(record);
    } catch (error) {
      throw new Failure("not-yet", {
        why: `${(error as Error).message}: nothing is released, because a recheck that does not know of it would undo it`,
        remedy: "free space in /run, or run it as root: sudo eip-heal release",
      });
    }
  };
  const outcome = await release(settings, ports, publishResult, stop);
  // One that has failed has changed nothing of what was verified, or nobody knows, and then it was meant.
  const preserveResult = outcome.end !== "released" && outcome.end !== "idle";
  if (preserveResult) await goOn();
  const { result, ...completion } = completionOf(outcome, context);
  return { ...completion, lines: [lineOf(outcome, context)], ...(!preserveResult && { result }) };
}
