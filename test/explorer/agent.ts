/**
 * One instance's runs as the explorer sees them: the real reconciler, a state of which is a number. Its clock stands at
 * nought, and what it remembers of the past moves back second by second.
 */
import { type Kind, Failure } from "../../src/model/failure.ts";
import type { ElasticIp, Observation } from "../../src/model/address.ts";
import { SUSPECT_MS } from "../../src/reconcile/bounds.ts";
import { begin, next } from "../../src/reconcile/machine.ts";
import {
  type Event,
  type Goal,
  type Memory,
  NO_ATTEMPT,
  NOTHING_DONE,
  type State,
  type Step,
} from "../../src/reconcile/state.ts";
import { type Associations, type Ranks, renamed } from "./associations.ts";
import { forgotten } from "./forgotten.ts";

const SECOND = 1_000;
/** An address that somebody else holds is looked at again after this, as reconcile/retry.ts has it. */
const HELD_SECONDS = 5;

/** What has come of a run: not yet anything, success, nothing to do, or the kind of its failure. */
export type Result = "running" | "settled" | "idle" | Kind;

/** Whether instance metadata shows it as in service: as far as it says so, "unknown" where it is in a group and that does not. */
export type Service = "in service" | "out of service" | "unknown";

/** What an agent does, and for how long it has done so. */
export interface Agent {
  readonly step: Step;
  /** Seconds since the effect was begun. */
  readonly age: number;
  readonly result: Result;
  /** Attempts of this run. */
  readonly tries: number;
  /** It waits before another attempt. */
  readonly isPausing?: boolean;
  /** EC2's answer to a write, which is still on its way back. */
  readonly answer?: "accepted" | Kind;
}

/** What is shown to an agent: the answer to its question. */
export type Shown =
  | { readonly observation: Observation }
  | { readonly elasticIp: ElasticIp | undefined };

/** The reconciler, or one that is broken on purpose. */
export interface Machine {
  readonly begin: typeof begin;
  readonly next: typeof next;
}

/** How the runs of one instance go. */
export interface Habits {
  readonly goal: Goal;
  /** Attempts after which a run ends with its failure. */
  readonly maxTries: number;
  /** Does it look again every few seconds, as often as it takes, while somebody else may keep the address? */
  readonly isPatient: boolean;
  /** Do observations that are too old add up until an address is taken on one? */
  readonly isSlow: boolean;
  /** Instances of which it makes a difference what is known: the others are as they are all the time. */
  readonly changing: readonly string[];
  /** Seconds that a write takes at most. */
  readonly flight: number;
  /** Seconds after which it makes no difference how long the answer to a question has taken. */
  readonly longestAnswer: number;
  readonly machine?: Machine;
  /** Is what makes no difference kept? Only to show that it makes none: the states then have no end. */
  readonly keepsAll?: boolean;
}

/** Runs of one instance, by number. */
export class Agents {
  readonly habits: Habits;
  readonly #machine: Machine;
  readonly #agents: Agent[] = [];
  readonly #used: number[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #known = new Map<string, Map<number, number>>();

  readonly #associations: Associations;

  constructor(habits: Habits, associations: Associations) {
    this.habits = habits;
    this.#associations = associations;
    this.#machine = habits.machine ?? { begin, next };
  }

  get(agent: number): Agent {
    const found = this.#agents[agent];
    if (found === undefined) throw new Error(`no agent ${agent}`);
    return found;
  }

  /** The associations that it remembers. */
  used(agent: number): number {
    return this.#used[agent] ?? 0;
  }

  /**
   * A run that begins.
   *
   * @param lastWrite seconds since a run on this boot has sent its last write
   */
  start(service: Service, lastWrite?: number): number {
    const memory: Memory =
      lastWrite === undefined
        ? NOTHING_DONE
        : { ...NOTHING_DONE, lastWriteAt: -lastWrite * SECOND, wroteThisBoot: true };
    return this.#number(this.#attempt(service, memory, 1));
  }

  /** The write is not answered. */
  hearsNothing(agent: number): number {
    return this.hears(this.answered(agent, "unreachable"));
  }

  /** EC2 has carried out a write or refused it, and its answer is on its way back. */
  answered(agent: number, answer: "accepted" | Kind): number {
    return this.#once(`answered ${answer}`, agent, (one) => ({ ...one, answer }));
  }

  /** The answer to a write arrives. */
  hears(agent: number): number {
    return this.#once("hears", agent, ({ answer, step, tries }) => {
      if (answer === undefined) throw new Error("there is no answer");
      const event: Event =
        answer === "accepted"
          ? { type: "accepted", now: 0 }
          : { type: "failed", failure: new Failure(answer, { why: "explored" }), now: 0 };
      return this.#settled(this.#machine.next(step.state, event), tries);
    });
  }

  /**
   * The answer to a question arrives.
   *
   * @param view what it was made from, by number
   */
  sees(agent: number, view: number, answer: () => Shown): number {
    return this.#once(`sees ${view}`, agent, ({ step, age, tries }) => {
      const shown = answer();
      const event: Event =
        "observation" in shown
          ? { type: "observed", ...shown, askedAt: -age * SECOND, date: 0, now: 0 }
          : { type: "identified", ...shown, now: 0 };
      return this.#settled(this.#machine.next(step.state, event), tries);
    });
  }

  /** Sleeping is over. */
  wakes(agent: number, service: Service): number {
    return this.#once(`wakes ${service}`, agent, ({ step, tries, isPausing = false }) =>
      isPausing
        ? this.#attempt(service, step.state.memory, tries)
        : this.#settled(this.#machine.next(step.state, { type: "slept", now: 0 }), tries),
    );
  }

  /** A second passes. */
  ages(agent: number): number {
    return this.#once("ages", agent, (one) => {
      if (one.result !== "running") return one;
      const { step } = one;
      const age = Math.min(one.age + 1, longest(one, this.habits));
      const state = aged(step.state);
      // How much earlier than the question the last write was remains as it is.
      const { lastWriteAt } = step.state.memory;
      const isKept = age === one.age && step.effect.do === "observe" && lastWriteAt !== undefined;
      const memory = isKept ? { ...state.memory, lastWriteAt } : state.memory;
      return { ...one, age, step: { ...step, state: { ...state, memory } } };
    });
  }

  /** Associations are numbered anew. */
  renamed(agent: number, ranks: Ranks): number {
    return this.#once(`renamed ${ranks.name}`, agent, (one) =>
      mapped(one, (leaf) => (typeof leaf === "string" ? renamed(leaf, ranks) : leaf)),
    );
  }

  #attempt(service: Service, memory: Memory, tries: number): Agent {
    const { goal } = this.habits;
    const step = this.#machine.begin(
      { ...goal, isServiceUnknown: service === "unknown" },
      { ...memory, written: "no" },
      0,
    );
    return service === "out of service" ? over("idle", step, tries) : this.#settled(step, tries);
  }

  /** Goes on where the run itself would: another attempt after a failure that is worth one. */
  #settled(step: Step, tries: number): Agent {
    const { effect, state } = step;
    if (effect.do === "end") return over("settled", step, tries);
    if (effect.do !== "fail") return { step, age: 0, result: "running", tries };
    const { kind } = effect.failure;
    if (kind === "held" && this.habits.isPatient) {
      const pause: Step = { state, effect: { do: "sleep", ms: HELD_SECONDS * SECOND } };
      return { step: pause, age: 0, result: "running", tries, isPausing: true };
    }
    if (kind === "yielded" || kind === "misconfigured" || tries >= this.habits.maxTries) {
      return over(kind, step, tries);
    }
    const service = state.goal.isServiceUnknown === true ? "unknown" : "in service";
    return this.#attempt(service, state.memory, tries + 1);
  }

  /** What only takes effect beyond the bounds does not add up: decisions, and looks that are too old. */
  #bounded(agent: Agent): Agent {
    const { step } = agent;
    const { attempt } = step.state;
    const stale = this.habits.isSlow ? attempt.stale : NO_ATTEMPT.stale;
    const state = { ...step.state, attempt: { ...attempt, decisions: 0, stale } };
    return { ...agent, step: { ...step, state } };
  }

  #once(what: string, agent: number, work: (one: Agent) => Agent): number {
    let known = this.#known.get(what);
    if (known === undefined) this.#known.set(what, (known = new Map<number, number>()));
    let found = known.get(agent);
    if (found === undefined) known.set(agent, (found = this.#number(work(this.get(agent)))));
    return found;
  }

  #number(agent: Agent): number {
    const bounded = this.#bounded(agent);
    const plain = this.habits.keepsAll === true ? bounded : forgotten(bounded, this.habits);
    const { goal, ...state } = plain.step.state;
    const key = JSON.stringify([
      { ...plain, step: { ...plain.step, state } },
      goal.isServiceUnknown,
    ]);
    let found = this.#numbers.get(key);
    if (found === undefined) {
      found = this.#agents.push(plain) - 1;
      this.#used[found] = this.#associations.usedIn(key);
      this.#numbers.set(key, found);
    }
    return found;
  }
}

function over(result: Result, step: Step, tries: number): Agent {
  // What is over remembers nothing.
  const state: State = {
    ...step.state,
    memory: NOTHING_DONE,
    phase: { at: "observing" },
    warnings: [],
  };
  return { step: { state, effect: { do: "sleep", ms: 0 } }, age: 0, result, tries };
}

/** How long it matters since when an effect has been under way, in seconds. */
function longest({ step, age }: Agent, { flight, longestAnswer }: Habits): number {
  const { effect, state } = step;
  if (effect.do === "sleep") return Math.ceil(effect.ms / SECOND);
  if (effect.do === "associate") return flight;
  const { write, lastWriteAt } = state.memory;
  const isSuspect =
    write === undefined && lastWriteAt !== undefined && -age * SECOND - lastWriteAt < SUSPECT_MS;
  return isSuspect ? Math.max(longestAnswer, SUSPECT_MS / SECOND) : longestAnswer;
}

/** Everything that it remembers, a second further back: whatever is called `…At` or `…Since`, but for dates. */
function aged(state: State): State {
  return mapped(state, (leaf, path) => {
    const isTime =
      typeof leaf === "number" &&
      !/launchedAt/i.test(path) &&
      (/(At|[sS]ince)$/.test(path) || path.includes(".unknownSince."));
    return isTime ? leaf - SECOND : leaf;
  });
}

/** The same, with other leaves; a failure is one of them. */
function mapped<T>(value: T, leafOf: (leaf: unknown, path: string) => unknown): T {
  const map = (one: unknown, path: string): unknown => {
    if (Array.isArray(one)) return one.map((each) => map(each, path));
    if (typeof one !== "object" || one === null || one instanceof Error) return leafOf(one, path);
    return Object.fromEntries(
      Object.entries(one).map(([key, each]) => [key, map(each, `${path}.${key}`)]),
    );
  };
  return map(value, "") as T;
}
