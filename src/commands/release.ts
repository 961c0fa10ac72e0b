/**
 * `eip-heal release`: disassociates the address, only if this instance holds it. The request names the association, not the
 * address, so that another instance that takes the address meanwhile keeps it.
 */
import type { Settings } from "../config/settings.ts";
import { type DesiredAddress, isAt, nameAddress } from "../model/address.ts";
import { AWS_CODE, Failure } from "../model/failure.ts";
import type { End, Facts, Outcome } from "../model/outcome.ts";
import { allowing } from "../model/permission.ts";
import { nameDesiredAddresses } from "../model/several.ts";
import { resolveTarget, type Target } from "../model/target.ts";
import { FLIGHT_MS, LAG_MS } from "../reconcile/bounds.ts";
import { desiredAddress, settingsFor, severalKnown, tagsToRead } from "../run/desired.ts";
import type { HealPorts, LastWrite } from "../run/ports.ts";
import { openSession } from "../run/session.ts";
import { contextFor, endBy, type RunContext, withStep } from "../run/retrying.ts";
import type { Completion, Context } from "./command.ts";
import { completionOf, lineOf } from "./outcome.ts";
import { begin, refused } from "./refusal.ts";

/** Milliseconds: it runs while an instance is being shut down, so it does not wait for anything. */
const DEADLINE_MS = 10_000;

/**
 * Releases the address, without retries.
 *
 * @param publishResult called before the request with what is about to be done, so that a run in progress does not undo it;
 *   returns a function that takes that back. @throws Error if it cannot be written
 * @param stop aborted when somebody wants it to stop
 * @throws only bugs; every foreseen failure is part of the Outcome
 */
export async function release(
  settings: Settings,
  ports: HealPorts,
  publishResult: (outcome: Outcome) => Promise<() => Promise<void>>,
  stop: AbortSignal,
): Promise<Outcome> {
  const startedAt = ports.clock.now();
  const limit = contextFor(settings, ports, DEADLINE_MS, stop);
  const { context } = limit;
  let facts: Facts = {};
  const learn = (found: Facts) => void (facts = { ...facts, ...found });
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
    if (!context.signal.aborted) throw error;
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
  const targetOf = (one: Settings) => resolveTarget(self, one);
  const several = severalKnown(settings, self);
  if (several === undefined) targetOf(settings);
  const connection = {
    ec2: await session.ec2(self),
    async reconnect() {
      connection.ec2.close();
      connection.ec2 = await session.ec2(self);
    },
  };
  /** DisassociateAddress was sent and may have been carried out. */
  let mayBeDone = false;
  let rollback: (() => Promise<void>) | undefined;
  const released: string[] = [];
  const failures: Failure[] = [];
  try {
    const desired = several ?? (await desiredAddress(context, self, connection.ec2));
    rollback = await publishResult({
      end: "released",
      name: nameDesiredAddresses(desired),
      isUnderWay: true,
    });
    await untilLanded(context, ports, ports.lastWrite);
    if (desired.kind !== "several") {
      const end = await giveUpOne(desired, targetOf(settings), learn);
      return (
        end ?? {
          end: "idle",
          because: "this instance does not hold the address",
          why: "not-holder",
        }
      );
    }
    for (const entry of desired.entries) {
      try {
        const end = await giveUpOne(
          entry.address,
          targetOf(settingsFor(settings, entry)),
          () => {},
        );
        if (end !== undefined) released.push(end.name);
      } catch (error) {
        // The others are released all the same.
        if (!(error instanceof Failure)) throw error;
        failures.push(error);
      }
    }
    const [failure, ...more] = failures;
    if (failure !== undefined) throw besides(failure, more, released);
    return released.length > 0
      ? { end: "released", name: released.join(", ") }
      : { end: "idle", because: "this instance holds none of the addresses", why: "not-holder" };
  } catch (error) {
    if (!mayBeDone && released.length === 0) await rollback?.();
    throw error;
  } finally {
    connection.ec2.close();
  }

  /**
   * Releases one address; undefined if this instance does not hold it.
   *
   * @param found called with the address that is held
   */
  async function giveUpOne(
    desired: DesiredAddress,
    target: Target,
    found: (facts: Facts) => void,
  ): Promise<(End & { end: "released" }) | undefined> {
    const { addresses } = await withStep(context, "looking for the address", () =>
      connection.ec2.observe(desired, target),
    );
    for (const { holder, allocationId, publicIp } of addresses) {
      if (holder.kind !== "instance" || holder.instanceId !== self.instanceId) continue;
      // This instance may hold several addresses of the pool, at other targets.
      if (desired.kind === "pool" && !isAt(target, holder)) continue;
      const name = nameAddress(allocationId, publicIp);
      found({ allocationId, ...(publicIp !== undefined && { publicIp }) });
      if (holder.associationId === undefined) {
        throw new Failure("denied", {
          why: `${name} is here, and by which association only ec2:DescribeAddresses tells`,
          remedy: allowing("ec2:DescribeAddresses"),
        });
      }
      const { associationId } = holder;
      const before = mayBeDone;
      mayBeDone = true;
      try {
        await withStep(context, `releasing ${name}`, () => connection.ec2.release(associationId));
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (error.kind !== "unreachable") {
          mayBeDone = before;
          // Another instance has taken the address meanwhile.
          if (error.code === AWS_CODE.unknownAssociation) continue;
          throw error;
        }
        // The answer may be lost because the connection used the very address that was released.
        await connection.reconnect();
        const now = await withStep(context, `looking for ${name}`, () =>
          connection.ec2.observe({ kind: "address", allocationId }, target),
        );
        const isHeld = now.addresses.some(
          ({ holder: one }) => one.kind === "instance" && one.associationId === associationId,
        );
        if (isHeld) {
          mayBeDone = before;
          throw error;
        }
      }
      return { end: "released", name };
    }
    return undefined;
  }
}

/** The first failure, which says why the other ones were not released either, and what was. */
function besides(
  { kind, details, step }: Failure,
  others: readonly Failure[],
  released: readonly string[],
): Failure {
  const done = released.length === 0 ? [] : [`released ${released.join(", ")}`];
  const why = [details.why, ...others.map((one) => one.details.why), ...done].join("; ");
  return new Failure(kind, { ...details, why }, step);
}

/**
 * Waits until EC2 shows an association that another run of this instance sent before it could know of the release. Without
 * the wait a look might not show it, and it would not be released.
 */
async function untilLanded(
  context: RunContext,
  { clock }: HealPorts,
  lastWrite: LastWrite,
): Promise<void> {
  const sent = lastWrite.read();
  if (sent === undefined) return;
  const ms = sent.at + FLIGHT_MS + LAG_MS - clock.now();
  // A time further ahead was recorded on an earlier boot: the clock starts with the boot.
  if (ms <= 0 || ms > FLIGHT_MS + LAG_MS) return;
  await withStep(context, "waiting for an association that is under way", () =>
    clock.sleep(ms, context.signal),
  );
}

/** Runs the command. */
export async function run(context: Context): Promise<Completion> {
  const beginning = begin(context);
  if ("problems" in beginning) return refused(beginning, context);
  const { settings, ports } = beginning;
  const { runtime, stop } = context;
  const resumeRetries = await context.endRetries(stop);
  const publishResult = async (intended: Outcome) => {
    const { record } = completionOf(intended, context).result;
    let restore: () => Promise<void>;
    try {
      restore = await runtime.publishResult(record);
    } catch (error) {
      throw new Failure("not-yet", {
        why: `${(error as Error).message}: nothing is released, because a recheck that does not know of it would undo it`,
        remedy: "free space in /run, or run it as root: sudo eip-heal release",
      });
    }
    return async () => {
      try {
        await restore();
      } catch (error) {
        // Why nothing was released counts more.
        context.log.warn(
          `${(error as Error).message}: the result files could not be restored; free space in /run, then run: sudo eip-heal`,
        );
      }
    };
  };
  const outcome = await release(settings, ports, publishResult, stop);
  // A failed release keeps the last result: either nothing has changed, or it is unknown whether the address was released,
  // and the result that was published beforehand stands.
  const preserveResult = outcome.end !== "released" && outcome.end !== "idle";
  if (preserveResult) await resumeRetries();
  const { result, ...completion } = completionOf(outcome, context);
  return { ...completion, lines: [lineOf(outcome, context)], ...(!preserveResult && { result }) };
}
