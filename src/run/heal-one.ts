/**
 * One run: which instance is this, is it in service, which address is desired; then the reconciler. Attempts are repeated
 * until the address is settled, trying again is pointless, or time is up. Between attempts only times and what the run
 * itself has done are kept, so a lost answer, a crash or a second copy does no harm.
 */
import type { Settings } from "../config/settings.ts";
import { Failure } from "../model/failure.ts";
import type { Instance } from "../model/instance.ts";
import type { End, Facts, Outcome } from "../model/outcome.ts";
import { type Several } from "../model/several.ts";
import { isAlsoPlaceOf, nameTarget, resolveTarget, type Target } from "../model/target.ts";
import { FRESH_MS, SUSPECT_MS } from "../reconcile/bounds.ts";
import type { LastResult } from "../reconcile/drift.ts";
import { whyInterrupted } from "../reconcile/ownership.ts";
import { wasWaitedOut } from "../reconcile/repeated.ts";
import { statusOf } from "../reconcile/retry.ts";
import { type Memory, NOTHING_DONE, type OtherAddress } from "../reconcile/state.ts";
import { desiredAddress, severalKnown, tagsToRead } from "./desired.ts";
import { reconcile, reconcilerTime } from "./loop.ts";
import { type HealPorts, type Moves, NOT_SHARED, type SharedResult } from "./ports.ts";
import { EVERY_MS, notConfirmed, unknownIp, whenReachable } from "./reachable.ts";
import { serviceState } from "./in-service.ts";
import { openSession } from "./session.ts";
import { deadlineSignal, endBy, type Ended, retry, withStep } from "./retrying.ts";

export interface HealOptions {
  /** Do everything except the write. */
  readonly dryRun?: boolean;
  /** Associate even if EC2 already shows the address here. */
  readonly force?: boolean;
  /**
   * A person asked for this run with `always`. It then takes the address as the first run after a boot would, even if an
   * earlier run on this boot has sent a write.
   */
  readonly isOrdered?: boolean;
  /** Counts the requests that move the address here. */
  readonly moves?: Moves | undefined;
  /** The result files that other runs on this machine read and write; by default none. */
  readonly shared?: SharedResult;
  /** EC2 has shown the address here before: a run that then learns nothing more has not missed it. */
  readonly wasHere?: boolean;
  /** Whether requests have to show the address (EIP_HEAL_WAIT_REACHABLE) even if it was here already; default: true. */
  readonly mustShow?: boolean;
  /** The last result of this boot: a cause that its run waited for in vain is not waited for again. */
  readonly lastOnBoot?: LastResult | undefined;
  /** The last result of the same unit: the cause that it logged is only logged as debug. */
  readonly lastOfUnit?: LastResult | undefined;
  /** The further addresses of this instance, if it should have several and this run is about one of them. */
  readonly others?: readonly Other[];
}

/** What the run of one of several addresses has to know of another one. */
export interface Other extends OtherAddress {
  readonly interface: number | string;
  readonly privateIp: string | undefined;
}

/**
 * Brings the address here, or says why not. If a setting or a tag names several it does nothing, and returns them.
 *
 * @param stopRequest aborted when somebody wants the run to stop, with an Error that says who
 * @throws only bugs; every foreseen failure is part of the Outcome
 */
export async function healOne(
  settings: Settings,
  ports: HealPorts,
  {
    dryRun = false,
    force = false,
    isOrdered = false,
    wasHere = false,
    moves,
    shared = NOT_SHARED,
    mustShow = true,
    lastOnBoot,
    lastOfUnit,
    others = [],
  }: HealOptions,
  stopRequest: AbortSignal,
): Promise<Outcome | Several> {
  const { clock } = ports;
  const released = new AbortController();
  const stop = AbortSignal.any([stopRequest, released.signal]);
  /** Stops the run if another one has released the address since this one began. */
  const stopIfReleased = () => {
    if (dryRun || !shared.wasReleased()) return;
    released.abort(new Error("the address was given up on purpose: stopped"));
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
  const sent = lastWrite.read();
  let memory: Memory = {
    ...NOTHING_DONE,
    mayBeHere: wasHere,
    // A write that may still be in flight has to be held, whoever ordered this run.
    ...(sent && { lastWriteAt: sent.at, wroteThisBoot: sent.wroteThisBoot && !isOrdered }),
  };

  let asOf: number | undefined;
  let seenAt: number | undefined;
  const onRequest = (at: number, atSeen: number) => {
    asOf = at;
    seenAt = atSeen;
  };

  let hasWarned = false;
  /** The last run of the unit has said so, too. */
  const warnOnce = (line: string) => {
    if (!hasWarned) ports.log[lastOfUnit === undefined ? "warn" : "debug"](line);
    hasWarned = true;
  };

  /** False once the address has been settled, and so renewed if that was asked for. */
  let mayForce = force;

  /** False once Auto Scaling has refused to tell the lifecycle state. */
  let mayAsk = true;

  async function attempt(): Promise<End | Several> {
    memory = { ...memory, written: "no" };
    stopIfReleased();
    const { session, self } = await openSession(context, ports, tagsToRead(settings), {
      ignored: true,
      needsEc2: true,
    });
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
      const since = reconcilerTime(clock);
      memory = { ...memory, group: memory.group ?? { name: service.group, since } };
    }

    const several = severalKnown(settings, self);
    if (several !== undefined) return several;
    const target = resolveTarget(self, settings);
    refuseSharedPlace(target, self, others);
    facts = { ...facts, interfaceId: target.interfaceId, privateIp: target.privateIp };
    const connection = {
      ec2: await session.ec2(self),
      async reconnect() {
        connection.ec2.close();
        connection.ec2 = await session.ec2(self);
      },
    };
    try {
      const desired = await desiredAddress(context, self, connection.ec2, warnOnce);
      if (desired.kind === "several") return desired;
      const { takeover, poolTakeover, displace: mayDisplace } = settings;
      const { zone } = self;
      const rules = { takeover, poolTakeover, mayDisplace, isServiceUnknown, dryRun };
      const goal = { target, zone, desired, ...rules, force: mayForce, others };
      const remember = (latest: Memory) => void (memory = latest);
      return await reconcile(goal, memory, context, connection, {
        moves,
        lastWrite,
        remember,
        onRequest,
        stopIfReleased,
        withdraw: shared.withdraw,
        whyInterrupted: () =>
          withStep(context, "reading instance metadata", async () =>
            whyInterrupted(await session.spotAction()),
          ),
      });
    } finally {
      connection.ec2.close();
    }
  }

  let tries = 1;
  /** Makes attempts until the address is settled, or cannot be; for `before` see `retry`. */
  async function settle(before?: Failure): Promise<End | Several> {
    const ended = await retry(
      context,
      attempt,
      () => memory.written,
      (failure) => wasWaitedOut(failure, lastOnBoot, facts.instanceId),
      before,
    );
    tries += ended.tries - 1;
    return "done" in ended ? ended.done : endOf(ended, memory);
  }

  /**
   * The same, and a success counts only once requests show the address, if a setting asks for that. While it is waited for
   * the address may go elsewhere, so EC2 is looked at again after a while, and all is decided as ever. If the deadline
   * leaves no time for that, success rests on the look before the wait, unless that is too long ago.
   *
   * @throws the reason of `stop`
   */
  async function settleAndShow(): Promise<End | Several> {
    const { waitReachable: url } = settings;
    const untilShown = url && whenReachable(context, ports, url, stopIfReleased);
    let end = await settle();
    for (;;) {
      if (untilShown === undefined || "kind" in end || end.end !== "settled") return end;
      if (!mustShow && end.change === "none") return end;
      mayForce = false;
      memory = { ...memory, mayBeHere: true };
      const { lastWriteAt } = memory;
      const { publicIp } = memory.decidedOn ?? {};
      const since = reconcilerTime(clock);
      const isWithin = (ms: number) => reconcilerTime(clock) - since <= ms;
      const failed = (failure: Failure) => endOf({ failure, status: statusOf(failure) }, memory);
      if (publicIp === undefined) return failed(unknownIp());
      const failure = await untilShown(publicIp);
      if (failure === undefined && isWithin(FRESH_MS)) return end;
      if (failure !== undefined && deadline - clock.now() <= EVERY_MS) return failed(failure);
      const seenAsOf = asOf;
      const before = failure ?? notConfirmed(publicIp);
      const again = await settle(before);
      if (failure === undefined) {
        const isCutShort = "failure" in again && again.failure === before && asOf === seenAsOf;
        if (isCutShort && isWithin(SUSPECT_MS)) return end;
        if (memory.lastWriteAt === lastWriteAt) return again;
      }
      end = again;
    }
  }

  try {
    const end = await settleAndShow().catch((error: unknown): End => {
      if (error !== stop.reason) throw error;
      return { end: "stopped", because: `${(stop.reason as Error).message} while ${context.step}` };
    });
    if ("kind" in end) return end;
    return {
      ...end,
      facts: { ...facts, ...memory.decidedOn },
      tries,
      ms: clock.now() - startedAt,
      asOf,
      seenAt,
    };
  } finally {
    limit.release();
  }
}

/** @throws Failure if another address of this instance belongs in the same place, where there can be only one */
function refuseSharedPlace(target: Target, self: Instance, others: readonly Other[]): void {
  const other = others.find((one) => isAlsoPlaceOf(target, self, one));
  if (other === undefined) return;
  throw new Failure("misconfigured", {
    why: `${other.name} belongs on ${nameTarget(target)} too`,
    remedy:
      "a private IPv4 address can have one Elastic IP: name another interface or a secondary private address after the @ of one of them",
  });
}

function endOf(ended: Exclude<Ended<End>, { done: End }>, { mayBeHere }: Memory): End {
  if ("stopped" in ended) return { end: "stopped", because: ended.stopped };
  const { failure, status, isWaitedOut } = ended;
  const end = endBy(failure, status);
  return end.end === "failed"
    ? { ...end, isPlaced: mayBeHere, ...(isWaitedOut && { isWaitedOut }) }
    : end;
}
