/**
 * The story of one run: who am I, may I act, which address is desired; then the reconciler. It goes round until the
 * address is settled, there is no hope, or time is up. Between attempts only clocks are kept and what the run itself
 * has done, so a lost answer, a crash or a second copy does no harm.
 */
import type { Settings } from "../config/settings.ts";
import type { End, Facts, Outcome } from "../model/outcome.ts";
import { resolveTarget } from "../model/target.ts";
import { SUSPECT_MS } from "../reconcile/bounds.ts";
import type { LastResult } from "../reconcile/drift.ts";
import { wasWaitedOut } from "../reconcile/repeated.ts";
import { type Memory, NOTHING_DONE } from "../reconcile/state.ts";
import { desiredAddress, tagsToRead } from "./desired.ts";
import { reconcile } from "./loop.ts";
import { type HealPorts, type Moves, NOBODY_ELSE, type Others } from "./ports.ts";
import { serviceState } from "./in-service.ts";
import { openSession } from "./session.ts";
import { deadlineSignal, endBy, type Ended, retry } from "./retrying.ts";

export interface HealOptions {
  /** Do everything but the write. */
  readonly dryRun?: boolean;
  /** Associate even if EC2 shows the address here already. */
  readonly force?: boolean;
  /**
   * Did a person ask for this run, with `always`? Then it takes the address as a first run after the boot would, though an
   * earlier one on this boot has written.
   */
  readonly isOrdered?: boolean;
  /** Told of each request that moves the address here. */
  readonly moves?: Moves;
  /** Who else is on this machine; by default nobody. */
  readonly others?: Others;
  /** How the last run on this boot has ended: what it has waited for in vain is not waited for again. */
  readonly lastOnBoot?: LastResult | undefined;
  /** How the last run of the same unit has ended: what has been told of it is debug now. */
  readonly lastOfUnit?: LastResult | undefined;
}

/**
 * Brings the address here, or says why not.
 *
 * @param somebody aborted when somebody wants the run to end, with an Error that says who
 * @throws whatever is a bug; every foreseen failure is an Outcome
 */
export async function heal(
  settings: Settings,
  ports: HealPorts,
  {
    dryRun = false,
    force = false,
    isOrdered = false,
    moves,
    others = NOBODY_ELSE,
    lastOnBoot,
    lastOfUnit,
  }: HealOptions,
  somebody: AbortSignal,
): Promise<Outcome> {
  const { clock } = ports;
  const givenUp = new AbortController();
  const stop = AbortSignal.any([somebody, givenUp.signal]);
  /** Ends the run if the address has been given up since it began. */
  const obey = () => {
    if (dryRun || !others.haveGivenUp()) return;
    givenUp.abort(new Error("the address was given up on purpose: stopped"));
    stop.throwIfAborted();
  };
  const startedAt = clock.now();
  const limit = deadlineSignal(clock, settings.deadlineMs, stop);
  const { signal, defer } = limit;
  const deadline = startedAt + settings.deadlineMs;
  const context = {
    settings,
    ports,
    signal,
    stop,
    deadline,
    defer,
    last: lastOfUnit,
    step: "starting",
  };
  let facts: Facts = {};
  const { lastWrite } = ports;
  const lastSent = lastWrite.read();
  // One that may still be under way is not forgotten: what it brings about has to be held.
  const sent = isOrdered && lastSent && startedAt - lastSent.at > SUSPECT_MS ? undefined : lastSent;
  let memory: Memory = {
    ...NOTHING_DONE,
    ...(sent && { lastWriteAt: sent.at, hasWritten: sent.hasWritten }),
  };

  let asOf: number | undefined;
  const learn = (at: number) => void (asOf = at);

  /** Is Auto Scaling worth asking, or has it refused? */
  let mayAsk = true;

  async function attempt(): Promise<End> {
    memory = { ...memory, written: "no" };
    obey();
    const { session, self } = await openSession(context, ports, tagsToRead(settings));
    const { instanceId, region, lifecycleState } = self;
    facts = {
      ...facts,
      instanceId,
      region,
      ...(lifecycleState !== undefined && { lifecycleState }),
    };
    const service = await serviceState(context, session, self, memory.group?.name, mayAsk, () => {
      mayAsk = false;
    });
    if (service.is === "out of service") {
      return { end: "idle", because: service.because, why: "not-in-service" };
    }
    const isServiceUnknown = service.is === "not shown";
    if (service.is === "not shown" && service.group !== undefined) {
      memory = { ...memory, group: memory.group ?? { name: service.group, since: clock.now() } };
    }

    const target = resolveTarget(self, settings.interface, settings.privateIp);
    facts = { ...facts, interfaceId: target.interfaceId, privateIp: target.privateIp };
    const connection = {
      ec2: await session.ec2(self),
      async reconnect() {
        connection.ec2.close();
        connection.ec2 = await session.ec2(self);
      },
    };
    try {
      const desired = await desiredAddress(context, self, connection.ec2);
      const { takeover, poolTakeover, displace: mayDisplace } = settings;
      const { zone } = self;
      const how = { takeover, poolTakeover, mayDisplace, isServiceUnknown, dryRun, force };
      const goal = { target, zone, desired, ...how };
      const remember = (known: Memory) => void (memory = known);
      return await reconcile(goal, memory, context, connection, {
        moves,
        lastWrite,
        remember,
        learn,
        obey,
        withdraw: others.withdraw,
      });
    } finally {
      connection.ec2.close();
    }
  }

  try {
    const ended = await retry(
      context,
      attempt,
      () => memory.written,
      (failure) => wasWaitedOut(failure, lastOnBoot, facts.instanceId),
    );
    return {
      ...endOf(ended, memory),
      facts: { ...facts, ...memory.about },
      tries: ended.tries,
      ms: clock.now() - startedAt,
      asOf,
    };
  } finally {
    limit.release();
  }
}

function endOf(ended: Ended<End>, { mayBeHere }: Memory): End {
  if ("done" in ended) return ended.done;
  if ("stopped" in ended) return { end: "stopped", because: ended.stopped };
  const { failure, status, isWaitedOut } = ended;
  const end = endBy(failure, status);
  return end.end === "failed"
    ? { ...end, isPlaced: mayBeHere, ...(isWaitedOut && { isWaitedOut }) }
    : end;
}
