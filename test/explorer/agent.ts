/**
 * One instance's run as the explorer sees it: the real reconciler, a state of which is a number. Its clock stands at
 * nought, and what it remembers of the past moves back second by second, up to where it makes no difference any more.
 */
import type { AddressState, InstanceFacts, Observation } from "../../src/model/address.ts";
import { Failure, type Kind } from "../../src/model/failure.ts";
import { FRESH_MS, HOLD_MS, SUSPECT_MS, UNKNOWN_FOR_MS } from "../../src/reconcile/bounds.ts";
import { begin, next } from "../../src/reconcile/machine.ts";
import {
  type Event,
  type Goal,
  type Intent,
  type Memory,
  NO_ATTEMPT,
  NOTHING_DONE,
  type Phase,
  type State,
  type Step,
} from "../../src/reconcile/state.ts";

const SECOND = 1_000;
/** Older than this, an observation is too old for every purpose. */
const OLDEST_MS = FRESH_MS + SECOND;

/** Shown for so long, it has been held whatever time the last look took. */
const LONGEST_MS = HOLD_MS + OLDEST_MS;

/** What has come of a run: not yet anything, success, or the kind of its failure. */
export type Result = "running" | "settled" | Kind;

/** What an agent does, and for how long it has done so. */
export interface Agent {
  readonly step: Step;
  /** Seconds since the effect was begun. */
  readonly age: number;
  readonly result: Result;
  /** Attempts of this run. */
  readonly tries: number;
  /** EC2's answer, which is still on its way back. */
  readonly answer?: Answer;
}

export type Answer =
  | {
      readonly kind: "observation";
      readonly addresses: readonly AddressState[];
      readonly instances: Readonly<Record<string, InstanceFacts>>;
    }
  | { readonly kind: "accepted" }
  | { readonly kind: "failed"; readonly failure: Kind };

/** Runs of one instance, by number. */
export class Agents {
  readonly goal: Goal;
  readonly #maxTries: number;
  readonly #isSlow: boolean;
  readonly #agents: Agent[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #known = new Map<string, number>();

  /**
   * @param maxTries attempts after which a run ends with its failure
   * @param isSlow whether observations that are too old add up until an address is taken on one
   */
  constructor(goal: Goal, maxTries: number, isSlow: boolean) {
    this.goal = goal;
    this.#maxTries = maxTries;
    this.#isSlow = isSlow;
  }

  get(agent: number): Agent {
    const found = this.#agents[agent];
    if (found === undefined) throw new Error(`no agent ${agent}`);
    return found;
  }

  /**
   * A run that begins.
   *
   * @param lastWrite seconds since a run on this boot has sent its last write
   */
  start(lastWrite?: number): number {
    const memory: Memory =
      lastWrite === undefined
        ? NOTHING_DONE
        : { ...NOTHING_DONE, lastWriteAt: -lastWrite * SECOND, hasWritten: true };
    return this.#number(this.#settled(begin(this.goal, memory, 0), 1));
  }

  /** The write is not answered. */
  hearsNothing(agent: number): number {
    return this.hears(this.answered(agent, { kind: "failed", failure: "unreachable" }));
  }

  /** EC2 has answered, and the answer is on its way back. */
  answered(agent: number, answer: Answer): number {
    return this.#once(`answered ${agent} ${JSON.stringify(answer)}`, () => ({
      ...this.get(agent),
      answer,
    }));
  }

  /** The answer arrives. */
  hears(agent: number): number {
    return this.#once(`hears ${agent}`, () => {
      const { answer, step, age, tries } = this.get(agent);
      if (answer === undefined) throw new Error("there is no answer");
      return this.#settled(next(step.state, eventOf(answer, age)), tries);
    });
  }

  /** Sleeping is over. */
  wakes(agent: number): number {
    return this.#once(`wakes ${agent}`, () => {
      const { step, tries } = this.get(agent);
      return this.#settled(next(step.state, { type: "slept", now: 0 }), tries);
    });
  }

  /** A second passes. */
  ages(agent: number): number {
    return this.#once(`ages ${agent}`, () => {
      const one = this.get(agent);
      if (one.result !== "running") return one;
      const { step } = one;
      const age = Math.min(one.age + 1, longest(step));
      return { ...one, age, step: { ...step, state: aged(step.state) } };
    });
  }

  /** Goes on where the run itself would: another attempt after a failure that is worth one. */
  #settled(step: Step, tries: number): Agent {
    const { effect, state } = step;
    if (effect.do === "end") return over("settled", step, tries);
    if (effect.do !== "fail") return { step, age: 0, result: "running", tries };
    const { kind } = effect.failure;
    if (kind === "yielded" || kind === "misconfigured" || tries >= this.#maxTries) {
      return over(kind, step, tries);
    }
    return this.#settled(begin(this.goal, { ...state.memory, written: "no" }, 0), tries + 1);
  }

  #once(what: string, work: () => Agent): number {
    let found = this.#known.get(what);
    if (found === undefined) this.#known.set(what, (found = this.#number(work())));
    return found;
  }

  #number(agent: Agent): number {
    const plain = without(agent, this.#isSlow);
    const key = JSON.stringify({
      ...plain,
      step: { ...plain.step, state: { ...plain.step.state, goal: 0 } },
    });
    let found = this.#numbers.get(key);
    if (found === undefined) {
      found = this.#agents.push(plain) - 1;
      this.#numbers.set(key, found);
    }
    return found;
  }
}

function over(result: Result, step: Step, tries: number): Agent {
  return { step, age: 0, result, tries };
}

/** How long it matters since when an effect has been under way, in seconds. */
function longest({ effect }: Step): number {
  return effect.do === "sleep" ? effect.ms / SECOND : OLDEST_MS / SECOND;
}

function eventOf(answer: Answer, age: number): Event {
  switch (answer.kind) {
    case "observation": {
      const { addresses, instances } = answer;
      const observation: Observation = { addresses, instances, direct: true };
      return { type: "observed", observation, askedAt: -age * SECOND, date: 0, now: 0 };
    }
    case "accepted":
      return { type: "accepted", now: 0 };
    case "failed":
      return { type: "failed", failure: new Failure(answer.failure, { why: "explored" }), now: 0 };
  }
}

/** Everything that it remembers, a second further back. */
function aged(state: State): State {
  const { memory, phase } = state;
  const unknownSince = Object.fromEntries(
    Object.entries(memory.unknownSince).map(([id, at]) => [
      id,
      Math.max(at - SECOND, -UNKNOWN_FOR_MS),
    ]),
  );
  const { lastWriteAt } = memory;
  const older =
    lastWriteAt === undefined ? {} : { lastWriteAt: Math.max(lastWriteAt - SECOND, -SUSPECT_MS) };
  const shown = memory.shown && {
    ...memory.shown,
    since: Math.max(memory.shown.since - SECOND, -LONGEST_MS),
  };
  const aging = { ...memory, ...older, unknownSince, shown };
  return { ...state, memory: aging, phase: agedPhase(phase) };
}

function agedPhase(phase: Phase): Phase {
  if (!("intent" in phase)) return phase;
  const { intent } = phase;
  const askedAt = Math.max(intent.seen.askedAt - SECOND, -OLDEST_MS);
  const older: Intent = { ...intent, seen: { ...intent.seen, askedAt } };
  return { ...phase, intent: older };
}

/** Without what only people read, and what only bounds how long a run goes round. */
function without(agent: Agent, isSlow: boolean): Agent {
  const { step } = agent;
  const { about: _, lookedAt: __, ...memory } = step.state.memory;
  if (agent.result !== "running") {
    // What is over remembers nothing.
    const state = {
      ...step.state,
      memory: NOTHING_DONE,
      phase: { at: "observing" } as const,
      warnings: [],
    };
    return { ...agent, step: { state, effect: { do: "sleep", ms: 0 } }, tries: 0 };
  }
  const { stale } = step.state.attempt;
  const attempt = {
    ...step.state.attempt,
    decisions: 0,
    stale: isSlow ? stale : NO_ATTEMPT.stale,
  };
  // What is known of instances is taken for granted for good, which is longer than the machine does.
  const facts = Object.fromEntries(
    Object.entries(memory.facts).map(([id, one]) => [id, { ...one, askedAt: 0 }]),
  );
  // Once the run has written itself, it holds whatever it finds, however long ago that was.
  const { lastWriteAt } = memory;
  const since =
    lastWriteAt === undefined ? {} : { lastWriteAt: memory.write === undefined ? lastWriteAt : 0 };
  const { phase } = step.state;
  return {
    ...agent,
    step: {
      ...step,
      state: {
        ...step.state,
        memory: { ...memory, ...since, facts },
        attempt,
        phase: "intent" in phase ? { ...phase, intent: bare(phase.intent) } : phase,
        warnings: [],
      },
    },
  };
}

/** What it told of instances is remembered elsewhere. */
function bare(intent: Intent): Intent {
  const { instances: _, ...seen } = intent.seen;
  return { ...intent, seen };
}
