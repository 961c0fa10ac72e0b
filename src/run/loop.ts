/** Performs the effects of the reconciler, one after the other, and tells it what came of each. */
import { Failure, isUnanswered } from "../model/failure.ts";
import type { End } from "../model/outcome.ts";
import { begin, next } from "../reconcile/machine.ts";
import type { Effect, Event, Goal, Memory } from "../reconcile/state.ts";
import type { Ec2, LastWrite, Moves } from "./ports.ts";
import { type RetryContext, withStep } from "./retrying.ts";

/** The connection in use. */
export interface Connection {
  readonly ec2: Ec2;
  /** Replaces it by another one. */
  reconnect(): Promise<void>;
}

/** What a run keeps of an attempt, what is kept of it on this boot, who counts its moves, and who else has to do with it. */
export interface Recorders {
  readonly moves?: Moves | undefined;
  readonly lastWrite: LastWrite;
  /** Told what the machine remembers, before each of its effects. */
  readonly remember: (memory: Memory) => void;
  /** Told when EC2 was asked, once it has answered, and when it was asked to change something. */
  readonly learn: (at: number) => void;
  /** Throws if the address is given up meanwhile. */
  readonly obey: () => void;
  /** Takes back what others were told of the address: found out at that time. */
  readonly withdraw: (asOf: number) => void;
}

/**
 * One attempt at the goal.
 *
 * @throws Failure if it has come to nothing, the signal's reason if it was interrupted
 */
export async function reconcile(
  goal: Goal,
  memory: Memory,
  context: RetryContext,
  connection: Connection,
  { moves, lastWrite, remember, learn, obey, withdraw }: Recorders,
): Promise<End> {
  const { target } = goal;
  const { signal, ports } = context;
  const { clock, log } = ports;
  let { state, effect } = begin(goal, memory, clock.now());
  let lookedAt: number | undefined;
  try {
    for (;;) {
      // A hold that has begun is finished, even past the deadline: the address is here, and that is about to be certain.
      context.defer(state.phase.at === "holding");
      for (const line of state.warnings) log.warn(line);
      const isMove = effect.do === "associate" && effect.isMove;
      if (isMove) moves?.begin();
      if (isMove) signal.throwIfAborted();
      remember(state.memory);
      if (effect.do === "end") return effect.end;
      if (effect.do === "fail") {
        const { kind } = effect.failure;
        // Others were told that it is here, perhaps, and EC2 shows that it is not.
        const isElsewhere = kind === "held" || kind === "yielded";
        if (isElsewhere && lookedAt !== undefined && !goal.dryRun) withdraw(lookedAt);
        throw effect.failure;
      }
      ({ state, effect } = next(state, await perform(effect)));
      const sent = lastWrite.read();
      if (state.memory.hasWritten && sent?.hasWritten === false) {
        lastWrite.record({ ...sent, hasWritten: true });
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
          return { type: "slept", now: clock.now() };
        case "observe": {
          if (effect.reconnect) await connection.reconnect();
          const askedAt = clock.now();
          const observation = await withStep(context, effect.step, () =>
            connection.ec2.observe(effect.desired, target, effect.question),
          );
          lookedAt = askedAt;
          learn(askedAt);
          const date = clock.date().getTime();
          return { type: "observed", observation, askedAt, date, now: clock.now() };
        }
        case "identify": {
          const elasticIp = await withStep(context, effect.step, () =>
            connection.ec2.elasticIpAt({ ...target, publicIp: effect.publicIp }),
          );
          return { type: "identified", elasticIp, now: clock.now() };
        }
        case "associate":
          lastWrite.record({ at: sentAt, hasWritten: before?.hasWritten ?? false });
          // In this order: a release says that it is one, and then waits for what was recorded here before it looks.
          try {
            obey();
          } catch (givenUp) {
            lastWrite.record(before);
            if (effect.isMove) moves?.refused();
            throw givenUp;
          }
          if (effect.isMove) withdraw(sentAt);
          learn(sentAt);
          await withStep(context, effect.step, () =>
            connection.ec2.associate(effect.allocationId, target, effect.reassociate),
          );
          return { type: "accepted", now: clock.now() };
      }
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      if (effect.do === "associate" && !isUnanswered(failure)) {
        // Another run beside this one may have written meanwhile.
        if (lastWrite.read()?.at === sentAt) lastWrite.record(before);
        if (effect.isMove) moves?.refused();
      }
      return { type: "failed", failure, now: clock.now() };
    }
  }
}
