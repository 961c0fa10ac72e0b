/** Plays an attempt: what comes of each effect, in turn. An answer takes no time unless `after` says so. */
import { expect } from "vitest";
import type { AddressState, ElasticIp, Observation } from "../../src/model/address.ts";
import { Failure, type Kind } from "../../src/model/failure.ts";
import { HOLD_MS } from "../../src/reconcile/bounds.ts";
import { begin, next } from "../../src/reconcile/machine.ts";
import { type Event, type Goal, type Memory, NOTHING_DONE } from "../../src/reconcile/state.ts";
import {
  A_GOAL,
  address,
  HERE,
  LAUNCHED,
  NOBODY,
  observation,
  other,
  PUBLIC_IP,
  TARGET,
} from "./fixtures.ts";

// Instance metadata agrees with EC2, once the address is here.
export const GOAL: Goal = { ...A_GOAL, target: { ...TARGET, publicIp: PUBLIC_IP } };
export const POOL: Goal = {
  ...GOAL,
  target: TARGET,
  desired: { kind: "pool", key: "eip-pool", value: "web" },
};

/** What comes of an effect: what EC2 shows, that it accepts, or a failure of this kind. */
export type Answer =
  | { readonly shows: Observation; readonly after?: number }
  | { readonly identifies: ElasticIp | undefined; readonly after?: number }
  | "accepts"
  | Kind;
export const shows = (...addresses: AddressState[]): Answer => ({
  shows: observation(...addresses),
});
export const after = (ms: number, ...addresses: AddressState[]): Answer => ({
  shows: observation(...addresses),
  after: ms,
});

export const HERE_NOW = shows(address(HERE));
export const FREE = shows(address(NOBODY));
export const HELD_BY_OLDER = shows(address(other("running", -60)));
export const HELD_BY_NEWER = shows(address(other("running", 60)));

/** Plays the answers in turn; sleeps end by themselves. Returns what was done, how it ended, and what is remembered. */
export function play(goal: Goal, answers: readonly Answer[], memory: Memory = NOTHING_DONE) {
  let now = 0;
  let step = begin(goal, memory, now);
  const done: string[] = [];
  const warnings: string[] = [];
  const left = [...answers];
  for (;;) {
    const { state, effect } = step;
    warnings.push(...state.warnings);
    if (effect.do === "end" || effect.do === "fail") {
      expect(left, "answers that nobody asked for").toEqual([]);
      const end = effect.do === "end" ? effect.end : undefined;
      const failure = effect.do === "fail" ? effect.failure : undefined;
      return { done, end, failure, warnings, memory: state.memory };
    }
    if (effect.do === "sleep") {
      done.push(`sleep ${effect.ms}`);
      now += effect.ms;
      step = next(state, { type: "slept", now });
      continue;
    }
    // After the hold over a connection that is certain to belong to the public address of now.
    const isAfterHold = done.at(-1) === HOLD;
    if (isAfterHold) expect(effect).toMatchObject({ do: "observe", reconnect: true });
    done.push(isAfterHold ? "observe" : nameOf(effect));
    const answer = left.shift();
    if (answer === undefined) throw new Error(`no answer for ${done.join(", ")}`);
    const askedAt = now;
    if (typeof answer === "object") now += answer.after ?? 0;
    step = next(state, eventOf(answer, askedAt, now));
  }
}

function nameOf(effect: ReturnType<typeof begin>["effect"]): string {
  switch (effect.do) {
    case "observe":
      return `${effect.reconnect ? "observe anew" : "observe"}${effect.question.displaced ? " what was displaced" : ""}`;
    case "associate":
      return effect.reassociate ? "take" : effect.isMove ? "associate" : "probe";
    default:
      return effect.do;
  }
}

export function eventOf(answer: Answer, askedAt: number, now: number): Event {
  if (answer === "accepts") return { type: "accepted", now };
  if (typeof answer === "string") {
    return { type: "failed", failure: new Failure(answer, { why: "it did not work" }), now };
  }
  return "shows" in answer
    ? { type: "observed", observation: answer.shows, askedAt, date: LAUNCHED + now, now }
    : { type: "identified", elasticIp: answer.identifies, now };
}

export const HOLD = `sleep ${HOLD_MS}`;
export const READ_BACK_UNSURE = ["observe anew", "sleep 500", "observe", "sleep 1000", "observe"];
