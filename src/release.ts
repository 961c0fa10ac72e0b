/**
 * The story of giving the address up on purpose: only if this instance is its holder at that moment. The
 * association is named, not the address, so that whoever has got it in between keeps it.
 */
import { isAt } from "./core/decide.ts";
import { Failure } from "./core/failure.ts";
import type { End, Outcome } from "./core/outcome.ts";
import { placeOn } from "./core/place.ts";
import { nameAddress } from "./core/report.ts";
import type { Settings } from "./core/settings.ts";
import { nameWanted } from "./heal.ts";
import type { Ports } from "./ports.ts";
import { during, endBy, limitOf, type Run } from "./run.ts";

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
  announce: (outcome: Outcome) => () => void,
  stop: AbortSignal,
): Promise<Outcome> {
  const startedAt = ports.clock.now();
  const limit = limitOf(ports.clock, DEADLINE_MS, stop);
  const { signal } = limit;
  const run: Run = {
    settings,
    ports,
    dryRun: false,
    insist: false,
    signal,
    acted: "no",
    step: "starting",
    facts: {},
  };
  const end = (how: End): Outcome => ({
    ...how,
    facts: run.facts,
    tries: 1,
    ms: ports.clock.now() - startedAt,
  });
  try {
    return end(await giveUp(run, (how) => announce(end(how))));
  } catch (error) {
    if (error instanceof Failure) return end(endBy(error));
    if (!signal.aborted) throw error;
    const why = stop.aborted ? (stop.reason as Error).message : "out of time";
    return end({ end: "stopped", because: `${why} while ${run.step}` });
  } finally {
    limit.release();
  }
}

async function giveUp(run: Run, announce: (how: End) => () => void): Promise<End> {
  const { settings, ports, signal } = run;
  const tags = (settings.allocationId ?? settings.pool) ? [] : [settings.tag, settings.poolTag];
  const footing = await during(run, "reading instance metadata", () => ports.stand(tags, signal));
  const { self } = footing;
  run.facts = { instanceId: self.instanceId, region: self.region };
  const here = placeOn(self, settings.interface, settings.privateIp);
  let ec2 = await footing.connect();
  try {
    const wanted = await nameWanted(run, self, ec2);
    const { views } = await during(run, "looking for the address", () => ec2.look(wanted, here));
    for (const { holder, allocationId, publicIp } of views) {
      if (holder.kind !== "instance" || holder.instanceId !== self.instanceId) continue;
      // Of a pool this instance may hold several, each on a place of its own.
      if (wanted.kind === "pool" && !isAt(here, holder)) continue;
      const name = nameAddress(allocationId, publicIp);
      run.facts = { ...run.facts, allocationId, ...(publicIp !== undefined && { publicIp }) };
      if (holder.associationId === undefined) {
        throw new Failure("denied", {
          why: `${name} is here, and by which association only ec2:DescribeAddresses tells`,
          cure: "allow ec2:DescribeAddresses on * in the policy of the instance role",
        });
      }
      const { associationId } = holder;
      const takeBack = announce({ end: "released", name });
      try {
        await during(run, `releasing ${name}`, () => ec2.release(associationId));
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (error.kind !== "unreachable") {
          takeBack();
          // Somebody was quicker to move it.
          if (error.code === "InvalidAssociationID.NotFound") continue;
          throw error;
        }
        // The answer may have been lost because it travelled over the very address that was given up.
        ec2.close();
        ec2 = await footing.connect();
        const now = await during(run, `looking for ${name}`, () =>
          ec2.look({ kind: "address", allocationId }, here),
        );
        const isHeld = now.views.some(
          (view) => view.holder.kind === "instance" && view.holder.associationId === associationId,
        );
        if (isHeld) {
          takeBack();
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
