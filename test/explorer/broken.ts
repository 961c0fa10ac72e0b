/** The reconciler, broken on purpose: each of the rules that make a take safe is taken away in turn. */
import { HOLD_MS } from "../../src/reconcile/bounds.ts";
import { begin, next } from "../../src/reconcile/machine.ts";
import type { Event, State, Step } from "../../src/reconcile/state.ts";
import type { Machine } from "./agent.ts";

/** Another ending for each step. */
function changed(change: (step: Step) => Step): Machine {
  return {
    begin: (...args) => change(begin(...args)),
    next: (...args) => change(next(...args)),
  };
}

/** Other news for each step. */
function told(change: (event: Event, before: State) => Event): Machine {
  return { begin, next: (state, event) => next(state, change(event, state)) };
}

/** An address that was free is not held once it is associated. */
export const WITHOUT_HOLD_OF_FREE: Machine = {
  begin,
  next(before, event) {
    const step = next(before, event);
    const { phase } = before;
    if (event.type !== "accepted" || phase.at !== "writing") return step;
    if (phase.intent.write.change !== "associated") return step;
    const { write: _, lastWriteAt: __, ...memory } = step.state.memory;
    return { ...step, state: { ...step.state, memory } };
  },
};

/** Holds are of so many seconds. */
export function holdingFor(seconds: number): Machine {
  const lessMs = HOLD_MS - seconds * 1_000;
  return changed((step) => {
    const { state, effect } = step;
    const { shown } = state.memory;
    if (state.phase.at !== "holding" || effect.do !== "sleep" || shown === undefined) return step;
    const memory = { ...state.memory, shown: { ...shown, since: shown.since - lessMs } };
    return { state: { ...state, memory }, effect: { ...effect, ms: effect.ms - lessMs } };
  });
}

/** However long an answer has taken, it counts as fresh. */
export const TAKING_ON_OLD_LOOKS = told((event) =>
  event.type === "observed" ? { ...event, askedAt: event.now } : event,
);

/** What is known of an instance is not asked again, whatever its state. */
export const KEEPING_STATES = changed((step) => {
  const { state, effect } = step;
  if (effect.do !== "observe") return step;
  const question = { ...effect.question, known: state.memory.facts };
  return { state, effect: { ...effect, question } };
});

/** Whether a write shows is told by who holds the address, not by the association. */
export const READING_BACK_BY_HOLDER = told((event) => {
  if (event.type !== "observed") return event;
  const addresses = event.observation.addresses.map((address) => {
    const { holder } = address;
    if (holder.kind !== "instance") return address;
    const { associationId: _, ...rest } = holder;
    return { ...address, holder: rest };
  });
  return { ...event, observation: { ...event.observation, addresses } };
});

/** Takes from whoever is in service without knowing whether it is itself. */
export const WITHOUT_GATE: Machine = {
  begin: (goal, ...rest) => begin({ ...goal, isServiceUnknown: false }, ...rest),
  next,
};

/** A reboot makes it a replacement, for which the holder in a zone that is down has to make way. */
export const REPLACING_BY_REBOOT = told((event) => {
  if (event.type !== "observed") return event;
  const { observation } = event;
  const addresses = observation.addresses.map((one) => ({ ...one, selfLaunchedAt: event.date }));
  return { ...event, observation: { ...observation, addresses } };
});
