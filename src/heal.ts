/**
 * The story of one run: who am I, may I act, what does EC2 show, what follows, act, look again. It goes
 * round until the address is settled, there is no hope, or time is up. No fact is carried from one try to
 * the next, only clocks, so a lost answer, a crash or a second copy does no harm.
 */
import { gate } from "./core/decide.ts";
import { EXIT, Failure } from "./core/failure.ts";
import { isAllocationId } from "./core/ids.ts";
import type { End, Outcome } from "./core/outcome.ts";
import { placeOn } from "./core/place.ts";
import { allocationIdHint, type Settings } from "./core/settings.ts";
import type { Self, Wanted } from "./core/view.ts";
import type { Ec2, Ports } from "./ports.ts";
import { during, endBy, type Ended, limitOf, type Moves, persist, type Run } from "./run.ts";
import { type Line, settle } from "./settle.ts";

export interface HealOptions {
  /** Do everything but the write. */
  readonly dryRun?: boolean;
  /** Associate even if EC2 shows the address here already. */
  readonly insist?: boolean;
  /** Told of each request that moves the address here. */
  readonly moves?: Moves;
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
  { dryRun = false, insist = false, moves }: HealOptions,
  stop: AbortSignal,
): Promise<Outcome> {
  const { clock } = ports;
  const startedAt = clock.now();
  const limit = limitOf(clock, settings.deadlineMs, stop);
  const run: Run = {
    settings,
    ports,
    dryRun,
    insist,
    ...(moves && { moves }),
    signal: limit.signal,
    acted: "no",
    step: "starting",
    facts: {},
  };
  try {
    const deadline = startedAt + settings.deadlineMs;
    const ended = await persist(run, deadline, stop, beginAttempts(run));
    const { facts } = run;
    return { ...endOf(ended, run), facts, tries: ended.tries, ms: clock.now() - startedAt };
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
    const { instanceId, region, lifecycleState } = self;
    run.facts = {
      ...run.facts,
      instanceId,
      region,
      ...(lifecycleState !== undefined && { lifecycleState }),
    };
    const because = gate(self);
    if (because !== undefined) return { end: "idle", because, why: "not-in-service" };

    const here = placeOn(self, settings.interface, settings.privateIp);
    run.facts = { ...run.facts, interfaceId: here.interfaceId, privateIp: here.privateIp };
    const line: Line = {
      ec2: await footing.connect(),
      async renew() {
        line.ec2.close();
        line.ec2 = await footing.connect();
      },
    };
    try {
      return await settleOn(self, here, await nameWanted(run, self, line.ec2), line);
    } finally {
      line.ec2.close();
    }
  };
}

/** What is wanted: by setting, by a tag in instance metadata, or by a tag that only EC2 shows. */
export async function nameWanted(run: Run, self: Self, ec2: Pick<Ec2, "tags">): Promise<Wanted> {
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

function endOf(ended: Ended<End>, { isPlaced = false }: Run): End {
  if ("done" in ended) return ended.done;
  if ("stopped" in ended) return { end: "stopped", because: ended.stopped };
  const end = endBy(ended.failure, ended.status);
  return end.end === "failed" ? { ...end, isPlaced } : end;
}
