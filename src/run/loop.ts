/** Performs the effects of the state machine one after the other, and feeds the results back into it. */
import { Failure, isUnanswered } from "../model/failure.ts";
import type { End } from "../model/outcome.ts";
import { FRESH_MS } from "../reconcile/bounds.ts";
import { begin, next } from "../reconcile/machine.ts";
import {
  type Effect,
  type Event,
  type Goal,
  type Memory,
  observing,
  type State,
} from "../reconcile/state.ts";
import type { Ec2, LastWrite, Moves } from "./ports.ts";
import { type RetryContext, withStep } from "./retrying.ts";

/** The connection to EC2 in use. */
export interface Connection {
  readonly ec2: Ec2;
  /** Replaces it with a new one. */
  reconnect(): Promise<void>;
}

/** What the loop reports to while it performs effects, and what can stop it. Times are milliseconds of the run's clock. */
export interface Recorders {
  readonly moves?: Moves | undefined;
  readonly lastWrite: LastWrite;
  /** Called with the machine's memory before each effect. */
  readonly remember: (memory: Memory) => void;
  /**
   * Called with the time of each look that EC2 has answered, and of each write before it is sent; `seenAt`: the same by the
   * reconciler's clock.
   */
  readonly onRequest: (at: number, seenAt: number) => void;
  /** Throws if the address has been released meanwhile. */
  readonly stopIfReleased: () => void;
  /** Removes the published address; `asOf`: when that became untrue or was found to be. */
  readonly withdraw: (asOf: number) => void;
  /** Asks whether this instance is about to be interrupted: why it is to leave the address alone then. */
  readonly whyInterrupted: () => Promise<string | undefined>;
}

/**
 * The clock of the reconciler, in milliseconds. Unlike the run's clock it includes time during which this machine was
 * suspended, because observations become out of date meanwhile.
 */
export function reconcilerTime({ now, suspended }: RetryContext["ports"]["clock"]): number {
  return now() + suspended();
}

/**
 * Makes one attempt to reach the goal.
 *
 * @throws Failure if it fails, the reason of the context's signal if it is interrupted
 */
export async function reconcile(
  goal: Goal,
  memory: Memory,
  context: RetryContext,
  connection: Connection,
  recorders: Recorders,
): Promise<End> {
  const { moves, lastWrite, onRequest, stopIfReleased, withdraw, whyInterrupted } = recorders;
  const { target } = goal;
  const { signal, ports } = context;
  const { clock, log } = ports;
  const now = () => reconcilerTime(clock);
  let { state, effect } = begin(goal, memory, now());
  let lookedAt: number | undefined;
  let shownAsOf: number | undefined;
  const isStale = (at: number) => shownAsOf !== undefined && at - shownAsOf > FRESH_MS;
  /** When it was last answered whether this instance is about to be interrupted. */
  let answeredAt: number | undefined;
  let before = state;
  const withdrawIfElsewhere = () => {
    if (lookedAt !== undefined && !goal.dryRun && isElsewhere(state, effect)) withdraw(lookedAt);
  };
  try {
    for (;;) {
      // A hold that has begun is finished even past the deadline: the address is here, and only has to be confirmed. So is
      // what follows if it fails, unless that is another request to EC2.
      if (effect.do !== "fail") context.defer(state.phase.at === "holding");
      for (const line of state.warnings) log.warn(line);
      const isAnswered = answeredAt !== undefined && now() - answeredAt <= FRESH_MS;
      if (dependsOnService(effect) && !isAnswered) {
        const decidedAt = now();
        const because = await whyInterrupted().catch((error: unknown) => {
          withdrawIfElsewhere();
          throw error;
        });
        if (because !== undefined) return { end: "idle", because, why: "not-in-service" };
        answeredAt = now();
        if (!isStale(decidedAt) && isStale(answeredAt)) {
          // The look is now too old for a take: look again.
          ({ state, effect } = next(observing(before), { type: "slept", now: answeredAt }));
          continue;
        }
      }
      const isMove = effect.do === "associate" && effect.isMove;
      if (isMove) {
        // Counted only if it is sent.
        signal.throwIfAborted();
        const because = moves?.begin();
        if (because !== undefined) {
          withdrawIfElsewhere();
          // The rest of the state takes the write for sent.
          const { decidedOn } = state.memory;
          recorders.remember({ ...before.memory, ...(decidedOn && { decidedOn }) });
          return { end: "idle", because, why: "resting" };
        }
      }
      recorders.remember(state.memory);
      if (effect.do === "end") return effect.end;
      if (effect.do === "fail") {
        withdrawIfElsewhere();
        throw effect.failure;
      }
      before = state;
      ({ state, effect } = next(state, await perform(effect)));
      const sent = lastWrite.read();
      if (state.memory.wroteThisBoot && sent?.wroteThisBoot === false) {
        lastWrite.record({ ...sent, wroteThisBoot: true });
      }
    }
  } finally {
    context.defer(false);
  }

  async function perform(effect: Exclude<Effect, { do: "end" | "fail" }>): Promise<Event> {
    const before = lastWrite.read();
    const sentAt = Math.round(clock.now());
    try {
      switch (effect.do) {
        case "sleep":
          context.step = effect.step ?? context.step;
          await clock.sleep(effect.ms, signal);
          return { type: "slept", now: now() };
        case "observe": {
          if (effect.reconnect) await connection.reconnect();
          const lookSentAt = clock.now();
          const askedAt = now();
          const observation = await withStep(context, effect.step, () =>
            connection.ec2.observe(effect.desired, target, effect.question),
          );
          lookedAt = lookSentAt;
          shownAsOf = askedAt;
          onRequest(lookSentAt, askedAt);
          const date = clock.date().getTime();
          return { type: "observed", observation, askedAt, date, now: now() };
        }
        case "identify": {
          const elasticIp = await withStep(context, effect.step, () =>
            connection.ec2.elasticIpAt({ ...target, publicIp: effect.publicIp }, effect.own),
          );
          return { type: "identified", elasticIp, now: now() };
        }
        case "associate":
          lastWrite.record({ at: sentAt, wroteThisBoot: before?.wroteThisBoot ?? false });
          // Recorded before checking for a release: a release first publishes that it has begun, then waits for the
          // write recorded here, then looks. So either we see the release or it sees our write.
          try {
            stopIfReleased();
          } catch (stopped) {
            lastWrite.record(before);
            if (effect.isMove) moves?.refused();
            throw stopped;
          }
          if (effect.isMove) withdraw(sentAt);
          onRequest(sentAt, now());
          await withStep(context, effect.step, () =>
            connection.ec2.associate(effect.allocationId, target, effect.reassociate),
          );
          return { type: "accepted", now: now() };
      }
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      if (effect.do === "associate" && !isUnanswered(failure)) {
        // Another run may have recorded a write meanwhile, or that one before ours has been carried out.
        const recorded = lastWrite.read();
        if (recorded?.at === sentAt) {
          lastWrite.record(
            recorded.wroteThisBoot ? { ...recorded, ...before, wroteThisBoot: true } : before,
          );
        }
        if (effect.isMove) moves?.refused();
      }
      return { type: "failed", failure, now: now() };
    }
  }
}

/** Is the address brought here, or waited for? An instance that is about to be interrupted does neither. */
function dependsOnService(effect: Effect): boolean {
  switch (effect.do) {
    case "associate":
      return effect.isMove;
    case "end":
      return effect.end.end === "would";
    case "fail":
      return effect.failure.kind === "held";
    default:
      return false;
  }
}

/** Whether EC2 has shown that the address is not here, whatever the published result says. */
function isElsewhere({ phase }: State, effect: Effect): boolean {
  if (effect.do !== "fail")
    return phase.at === "writing" && phase.intent.write.change !== "renewed";
  const { kind } = effect.failure;
  return kind === "held" || kind === "yielded";
}
