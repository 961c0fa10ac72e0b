/** What the next observation has to find out: only what the rule needs and is not known yet, in as few requests as possible. Pure. */
import type { DesiredAddress } from "../model/address.ts";
import { FACTS_MS } from "./bounds.ts";
import { effectiveTakeover } from "./choice.ts";
import { questionAbout } from "./displacement.ts";
import { wasLaunchedBefore } from "./ownership.ts";
import type { KnownFacts, Question, State } from "./state.ts";

/** The question for a look at `desired`. @param now milliseconds of the reconciler's clock (run/loop.ts) */
export function questionOf(
  { goal, memory, phase }: State,
  desired: DesiredAddress,
  now: number,
): Question {
  const { target } = goal;
  const { lastHolder } = memory;
  const displaced = questionAbout(memory.displacement, desired);
  const takeover = effectiveTakeover(goal, memory);
  const isPool = goal.desired.kind === "pool";
  // A read-back compares associations; if it shows another holder, the next look asks for states.
  const isReadBack = phase.at === "reading back";
  const needsStates = !isReadBack && (isPool || takeover === "newest" || takeover === "if-gone");
  const recent = Object.entries(memory.facts).filter(
    ([, facts]) => now - facts.askedAt <= FACTS_MS,
  );
  const self = recent.find(([id]) => id === target.instanceId)?.[1];
  const launched = { instanceId: target.instanceId, launchedAt: self?.launchedAt };
  // An instance that is shutting down never comes back. An older one that is live stays the older one for FACTS_MS at
  // least: a stop and start, which gives it a later launch time, takes longer.
  const isKnown = ([instanceId, { state, launchedAt }]: [string, KnownFacts]) =>
    state === "shutting-down" ||
    state === "terminated" ||
    (takeover === "newest" &&
      !isPool &&
      (state === "running" || state === "pending") &&
      wasLaunchedBefore({ instanceId, launchedAt }, launched));
  const known = Object.fromEntries(
    recent.filter((entry) => entry[0] === target.instanceId || isKnown(entry)),
  );
  // After a write by this run the holder is expected to be this instance.
  const isExpected = phase.at === "observing" && !isPool && lastHolder !== undefined;
  const alongside = needsStates && isExpected && !(lastHolder in known) ? [lastHolder] : [];
  // `always` needs no states, but this instance may belong to a warm pool.
  const needsGroup =
    !isReadBack &&
    !needsStates &&
    takeover === "always" &&
    goal.isServiceUnknown === true &&
    memory.group === undefined &&
    self === undefined;
  return {
    needsStates,
    known,
    alongside,
    ...(needsGroup && { needsGroup }),
    ...(displaced && { displaced }),
  };
}
