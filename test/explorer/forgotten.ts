/**
 * What makes no difference to what a run does from now on is forgotten, so that there are fewer states. That it makes
 * none is tried: explorer.test.ts goes random ways with and without, and the same has to be possible at each step.
 */
import {
  FACTS_MS,
  FRESH_MS,
  HOLD_MS,
  SERVICE_UNKNOWN_MS,
  SUSPECT_MS,
  UNANSWERED_FOR_MS,
  UNKNOWN_FOR_MS,
} from "../../src/reconcile/bounds.ts";
import {
  type Effect,
  type Intent,
  type Memory,
  NO_ATTEMPT,
  type Phase,
  type Question,
} from "../../src/reconcile/state.ts";
import type { Agent, Habits } from "./agent.ts";

const SECOND = 1_000;
/** Older than this, an observation is too old for every purpose. */
export const OLDEST_MS = FRESH_MS + SECOND;

export function forgotten(agent: Agent, habits: Habits): Agent {
  const { step, age, isPausing = false } = agent;
  const { attempt, phase } = step.state;
  return {
    ...agent,
    step: {
      effect: effectOf(step.effect, habits),
      state: {
        ...step.state,
        memory: memoryOf(step.state.memory, step.effect.do === "observe" ? age : 0, habits),
        attempt: isPausing ? NO_ATTEMPT : attempt,
        phase: isPausing ? { at: "observing" } : phaseOf(phase, habits),
        warnings: [],
      },
    },
  };
}

/** Nothing is as far in the past as that it would make a difference how far. */
function since(at: number, mostMs: number): number {
  return Math.max(at, -mostMs);
}

/** @param asked seconds since what the run waits for was asked: against that the last write is compared */
function memoryOf(memory: Memory, asked: number, habits: Habits): Memory {
  const { changing, longestAnswer } = habits;
  // For people; for questions that are asked at the same time or one after the other; for roles that see less.
  const {
    decidedOn: _,
    lastHolder: __,
    accepted: ___,
    holdersSeenAt,
    lastWriteAt,
    ...rest
  } = memory;
  const { write, shown, unknownSince, facts, group } = rest;
  const isUnknown = Object.keys(unknownSince).length > 0;
  return {
    ...rest,
    written: "no",
    mayBeHere: false,
    // Once the run has written itself, it holds whatever it finds, however long ago that was and whatever it was.
    ...(write !== undefined && { write: { change: "associated" } }),
    ...(lastWriteAt !== undefined && {
      lastWriteAt: write === undefined ? since(lastWriteAt, SUSPECT_MS + asked * SECOND) : 0,
    }),
    ...(shown !== undefined && {
      // An observation may be as old as the last write is still suspect.
      shown: {
        ...shown,
        since: since(shown.since, HOLD_MS + Math.max(longestAnswer, asked) * SECOND),
      },
    }),
    ...(isUnknown &&
      holdersSeenAt !== undefined && { holdersSeenAt: since(holdersSeenAt, FACTS_MS + SECOND) }),
    unknownSince: Object.fromEntries(
      Object.entries(unknownSince).map(([id, at]) => [
        id,
        since(at, id.startsWith("unknown") ? UNKNOWN_FOR_MS : UNANSWERED_FOR_MS),
      ]),
    ),
    // What is known of instances is taken for granted for good, which is longer than the machine does.
    facts: Object.fromEntries(
      Object.entries(facts)
        .filter(([id]) => changing.includes(id))
        .map(([id, one]) => [id, { ...one, askedAt: 0 }]),
    ),
    ...(group !== undefined && {
      group: { ...group, since: since(group.since, SERVICE_UNKNOWN_MS) },
    }),
  };
}

/** After it is sent, only what a write was to change and what it rested on is of interest. */
function phaseOf(phase: Phase, { goal }: Habits): Phase {
  switch (phase.at) {
    case "identifying":
      return { ...phase, intent: bare(phase.intent) };
    case "writing": {
      const { intent, before } = phase;
      const { lastWriteAt } = before;
      const written = { written: "no" as const };
      return {
        ...phase,
        intent: goal.desired.kind === "pool" ? bare(intent) : sent(intent),
        before:
          lastWriteAt === undefined
            ? written
            : { ...written, lastWriteAt: since(lastWriteAt, SUSPECT_MS) },
      };
    }
    case "reading back":
      return { ...phase, intent: sent(phase.intent) };
    default:
      return phase;
  }
}

/** What it told of instances is remembered elsewhere, and of whom it takes the address is for people. */
function bare(intent: Intent): Intent {
  const { instances: _, ...seen } = intent.seen;
  const askedAt = since(seen.askedAt, OLDEST_MS);
  return { ...intent, write: nameless(intent), seen: { ...seen, askedAt } };
}

function sent(intent: Intent): Intent {
  const { instances: _, ...seen } = intent.seen;
  const { holder, ...address } = intent.address;
  return {
    write: nameless(intent),
    seen: { ...seen, addresses: [], askedAt: 0 },
    address: {
      ...address,
      holder:
        holder.kind === "instance"
          ? { kind: "instance", instanceId: holder.instanceId, ...whereIs(holder) }
          : holder,
    },
  };
}

function whereIs(holder: { associationId?: string; interfaceId?: string; privateIp?: string }) {
  const { associationId, interfaceId, privateIp } = holder;
  return {
    ...(associationId !== undefined && { associationId }),
    ...(interfaceId !== undefined && { interfaceId }),
    ...(privateIp !== undefined && { privateIp }),
  };
}

function nameless({ write }: Intent): Intent["write"] {
  return write.change === "taken"
    ? { change: "taken", from: { kind: "instance", instanceId: "somebody" } }
    : write;
}

function effectOf(effect: Effect, { changing }: Habits): Effect {
  switch (effect.do) {
    case "observe": {
      const { question } = effect;
      const known = Object.fromEntries(
        Object.entries(question.known).filter(([id]) => changing.includes(id)),
      ) as Question["known"];
      const asked = { ...question, known, alongside: [] };
      return { ...effect, reconnect: false, step: "", question: asked };
    }
    case "sleep":
      return { do: "sleep", ms: effect.ms };
    case "identify":
    case "associate":
      return { ...effect, step: "" };
    default:
      return effect;
  }
}
