/**
 * The story of one run: who am I, may I act, what does EC2 show, what follows, act, look again. It goes
 * round until the address is settled, there is no hope, or time is up. No fact is carried from one try to
 * the next, only clocks, so a lost answer, a crash or a second copy does no harm.
 */
import { gate } from "./core/decide.ts";
import { EXIT, Failure } from "./core/failure.ts";
import { isAllocationId } from "./core/ids.ts";
import { NO_TRAIL, pace } from "./core/pacing.ts";
import { placeOn } from "./core/place.ts";
import { type End, type Outcome, seconds } from "./core/report.ts";
import { allocationIdHint, type Settings } from "./core/settings.ts";
import type { Self, Wanted } from "./core/view.ts";
import type { Ec2, Ports } from "./ports.ts";
import { during, endBy, limitOf, type Run } from "./run.ts";
import { settle } from "./settle.ts";

/** The same failure is logged again after this, in milliseconds. */
const QUIET_MS = 60_000;

export interface HealOptions {
  /** Do everything but the write. */
  readonly dryRun?: boolean;
  /** Associate even if EC2 shows the address here already. */
  readonly insist?: boolean;
}

/**
 * Brings the address here, or says why not.
 *
 * @param stop aborted when somebody wants the run to end, with an Error that says who
 * @throws whatever is a bug; every foreseen failure is an Outcome
 */
export async function heal(
  settings: Settings,
  ports: Ports,
  { dryRun = false, insist = false }: HealOptions,
  stop: AbortSignal,
): Promise<Outcome> {
  const { clock, log } = ports;
  const startedAt = clock.now();
  const deadline = startedAt + settings.deadlineMs;
  const limit = limitOf(ports.clock, settings.deadlineMs, stop);
  const run: Run = {
    settings,
    ports,
    dryRun,
    insist,
    signal: limit.signal,
    hasActed: false,
    step: "starting",
    facts: {},
  };
  const attempt = beginAttempts(run);

  let tries = 0;
  let trail = NO_TRAIL;
  let last: Failure | undefined;
  let said: { message: string; at: number } | undefined;
  const end = (how: End): Outcome => ({
    ...how,
    facts: run.facts,
    tries,
    ms: clock.now() - startedAt,
  });
  /** How the run ends when its signal was aborted. */
  const interrupted = (): Outcome => {
    if (stop.aborted)
      return end({
        end: "stopped",
        because: `${(stop.reason as Error).message} while ${run.step}`,
      });
    // The cause that was there before counts, not that time ran out in the middle of something.
    const cause = run.hasActed ? undefined : last;
    return end(
      endBy(
        cause ??
          new Failure("unreachable", { why: "the deadline came before this was done" }, run.step),
      ),
    );
  };

  try {
    for (;;) {
      tries++;
      const triedAt = clock.now();
      try {
        return end(await attempt());
      } catch (error) {
        if (limit.signal.aborted) return interrupted();
        if (!(error instanceof Failure)) throw error;
        last = error;
        run.hasActed = false;
      }

      const verdict = pace(last, trail, triedAt, clock.now(), deadline, clock.random);
      if (!verdict.again) return end(endBy(last, verdict.status));
      trail = verdict.trail;
      const news = said?.message !== last.message || clock.now() - said.at >= QUIET_MS;
      if (news) said = { message: last.message, at: clock.now() };
      log[news ? "warn" : "debug"](`${last.message}; next try in ${seconds(verdict.afterMs)}`);
      run.step = `waiting after: ${last.message}`;
      try {
        await clock.sleep(verdict.afterMs, limit.signal);
      } catch {
        return interrupted();
      }
    }
  } finally {
    limit.release();
  }
}

/** One try after the other, from who am I to the end. */
function beginAttempts(run: Run): () => Promise<End> {
  const { settings, ports, signal } = run;
  const named = settings.allocationId !== undefined || settings.pool !== undefined;
  const tags = named ? [] : [settings.tag, settings.poolTag];
  const settleOn = settle(run);

  return async () => {
    const footing = await during(run, "reading instance metadata", () => ports.stand(tags, signal));
    const { self } = footing;
    run.facts = { ...run.facts, instanceId: self.instanceId, region: self.region };
    const because = gate(self);
    if (because !== undefined) return { end: "idle", because, why: "not-in-service" };

    const here = placeOn(self, settings.interface, settings.privateIp);
    run.facts = { ...run.facts, interfaceId: here.interfaceId, privateIp: here.privateIp };
    const line = { ec2: footing.connect(), renew: () => {} };
    line.renew = () => {
      line.ec2.close();
      line.ec2 = footing.connect();
    };
    try {
      return await settleOn(self, here, await nameWanted(run, self, line.ec2), line);
    } finally {
      line.ec2.close();
    }
  };
}

/** What is wanted: by setting, by a tag in instance metadata, or by a tag that only EC2 shows. */
export async function nameWanted(run: Run, self: Self, ec2: Ec2): Promise<Wanted> {
  const { allocationId, pool, tag, poolTag, optional } = run.settings;
  if (allocationId !== undefined) return { kind: "address", allocationId };
  if (pool !== undefined) return { kind: "pool", ...pool };

  const step = `reading the tag ${tag} of ${self.instanceId}`;
  let found = self.tag;
  if (found === undefined) {
    const tags = await during(run, step, () => ec2.tags());
    const key = [tag, poolTag].find((name) => Object.hasOwn(tags, name) && tags[name]);
    found = key === undefined ? undefined : { key, value: tags[key] ?? "" };
  }
  if (found === undefined) {
    throw new Failure(
      "not-yet",
      {
        why: `${self.instanceId} has no tag ${tag} or ${poolTag}, or not yet`,
        cure: `tag the Auto Scaling group with ${tag}=eipalloc-… (propagated to instances), or set EIP_HEAL_ALLOCATION_ID`,
        code: "NoTag",
        meaning: optional ? EXIT.OK : EXIT.CONFIG,
      },
      step,
    );
  }
  if (found.key !== tag) return { kind: "pool", ...found };
  if (!isAllocationId(found.value)) {
    throw new Failure("misconfigured", {
      why: `the tag ${tag} of ${self.instanceId} is ${JSON.stringify(found.value)}`,
      cure: `it takes ${allocationIdHint(found.value)}`,
    });
  }
  return { kind: "address", allocationId: found.value };
}
