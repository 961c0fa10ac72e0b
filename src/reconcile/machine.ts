/**
 * The reconciler of one address, as a pure state machine: what came of the last effect in, the next effect out. It
 * performs nothing and reads no clock; run/loop.ts performs the effects, and so do the simulation and the explorer.
 *
 *     observe ─→ decide ─→ identify what the write would displace ─→ write ─→ read back ─→ decide ─→ hold ─→ decide ─→ end
 *
 * What is returned in the end is what EC2 has shown, never what a call has answered.
 */
import {
  type AddressState,
  type DesiredAddress,
  type ElasticIp,
  isFree,
  isOwn,
  nameAddress,
  nameDesired,
  nameHolder,
} from "../model/address.ts";
import { Failure } from "../model/failure.ts";
import type { Target } from "../model/target.ts";
import {
  afterObservation,
  afterWrite,
  type Displaced,
  displacedLine,
  mayNotDisplace,
  questionAbout,
  standingAt,
  wouldDisplaceLine,
} from "./displacement.ts";
import { decide, type Decision } from "./ownership.ts";
import { type Choice, choose } from "./pool.ts";
import {
  end,
  type Event,
  fail,
  type Goal,
  inAttempt,
  type Intent,
  type Memory,
  NO_ATTEMPT,
  observing,
  type Phase,
  remember,
  type Seen,
  sleep,
  type State,
  type Step,
  warn,
  type Write,
} from "./state.ts";

/** Milliseconds from asking who holds an address to sending the take that rests on the answer: a newer instance may have come in between. */
export const FRESH_MS = 1_000;
/** Milliseconds after which EC2 has to show the address here once more: another one's take that was under way can still arrive. */
export const HOLD_MS = 3_000;
/** EC2 is eventually consistent: it is read back after these waits, in milliseconds. */
const READ_BACK_MS = [0, 250, 500, 1_000, 2_000, 4_000] as const;
/** The same where it is not sure that anything was changed. */
const READ_BACK_UNSURE_MS = [0, 1_000] as const;
/** Decisions within one attempt, each after a write, a lost claim or a move by others. */
const MAX_DECISIONS = 25;

/** The first step of an attempt. */
export function begin(goal: Goal, memory: Memory): Step {
  return observe({
    goal,
    memory,
    attempt: NO_ATTEMPT,
    phase: { at: "observing" },
    warnings: [],
  });
}

/**
 * The step that follows.
 *
 * @throws Error if the event is not the answer to the last effect: a bug
 */
export function next(before: State, event: Event): Step {
  const state: State = { ...before, warnings: [] };
  switch (event.type) {
    case "observed":
      return onObserved(state, { ...event.observation, askedAt: event.askedAt }, event.now);
    case "identified":
      return onIdentified(state, event.elasticIp, event.now);
    case "accepted":
      return onAccepted(state);
    case "failed":
      return onFailed(state, event.failure, event.now);
    case "slept":
      return onSlept(state);
  }
}

// --- Observing ---

function observe(state: State, desired = state.goal.desired, reconnect = false): Step {
  const displaced = questionAbout(state.memory.displacement, desired);
  return {
    state,
    effect: {
      do: "observe",
      desired,
      reconnect,
      ...(displaced && { displaced }),
      step: `looking at ${nameDesired(desired)}`,
    },
  };
}

function onSlept(state: State): Step {
  const { phase } = state;
  return phase.at === "reading back" ? observe(state, only(phase.intent.address)) : observe(state);
}

function onObserved(before: State, answer: Seen, now: number): Step {
  const { state, seen } = learn(before, answer);
  const { phase } = state;
  switch (phase.at) {
    case "observing":
      return decideOn(state, seen, now);
    case "holding":
      return decideOn(inAttempt(observing(state), { isHeld: true }), seen, now);
    case "reading back":
      return onReadBack(state, phase, seen, now);
    case "reading probe":
      return onReadProbe(state, phase, seen, now);
    default:
      throw outOfTurn("observed", phase);
  }
}

/** What an observation tells about what this run has done before. */
function learn(before: State, answer: Seen): { state: State; seen: Seen } {
  const { target } = before.goal;
  const { accepted: was, ...memory } = before.memory;
  const isElsewhere = answer.addresses.some(
    (address) => address.allocationId === was && !isOwn(address, target),
  );
  const accepted = isElsewhere ? undefined : was;
  const addresses = answer.addresses.map((address) =>
    address.allocationId === accepted ? locatedAt(target, address) : address,
  );
  const seen: Seen = { ...answer, addresses };
  const { displacement, certain } = afterObservation(memory.displacement, seen, target);
  const state: State = {
    ...before,
    memory: { ...memory, ...(accepted !== undefined && { accepted }), displacement },
  };
  return { state: certain ? warn(state, displacedLine(certain, target)) : state, seen };
}

// --- Deciding ---

function decideOn(before: State, seen: Seen, now: number): Step {
  const { goal, attempt } = before;
  if (attempt.decisions >= MAX_DECISIONS) {
    const why = `others keep moving ${nameDesired(goal.desired)}, or EC2 is too slow for it to be taken safely`;
    return fail(before, new Failure("held", { why }));
  }
  const unknownSince = unknownHolders(before.memory.unknownSince, seen, now);
  const counted = inAttempt(before, { decisions: attempt.decisions + 1 });
  const choice = choiceOf(counted, seen, unknownSince, now);
  if (choice.address === undefined) {
    return fail(remember(counted, { unknownSince }), new Failure("held", { why: choice.why }));
  }
  const { address, decision } = choice;
  const { allocationId, publicIp } = address;
  const state = remember(counted, {
    unknownSince,
    about: { ...before.memory.about, allocationId, ...(publicIp !== undefined && { publicIp }) },
    ...(!isOwn(address, goal.target) && { mayBeHere: false }),
  });
  return carryOut(state, decision, seen, address, now);
}

/** The address that it is about, and what the rule says; or why there is none. */
function choiceOf(
  { goal, memory, attempt }: State,
  { addresses }: Seen,
  unknownSince: Memory["unknownSince"],
  now: number,
): Choice {
  const { target, zone, desired, poolTakeover } = goal;
  const unknownForMs = ({ holder }: AddressState) =>
    holder.kind === "instance" ? now - (unknownSince[holder.instanceId] ?? now) : 0;
  if (desired.kind === "pool") {
    const choice = choose(target, zone, addresses, poolTakeover, attempt.lostClaims, unknownForMs);
    return choice.address === undefined
      ? { why: `${nameDesired(desired)}: ${choice.why}` }
      : choice;
  }
  const [address] = addresses;
  if (address === undefined)
    throw new Error(`an observation of ${desired.allocationId} without it`);
  // Two that always take would go on for ever: what was lost after a take is for the newest.
  const takeover = goal.takeover === "always" && memory.wasHere ? "newest" : goal.takeover;
  const decision = decide(target, zone, address, takeover, unknownForMs(address));
  return { address, decision };
}

function carryOut(
  state: State,
  decision: Decision,
  seen: Seen,
  address: AddressState,
  now: number,
): Step {
  const { goal, attempt } = state;
  const name = nameAddress(address.allocationId, address.publicIp);
  const prepared = (write: Write) => prepare(state, { seen, address, write }, now);
  switch (decision.do) {
    case "settled":
      return onSettled(state, seen, address, now);
    case "associate":
      return prepared({ change: "associated" });
    case "take":
      return prepared({ change: "taken", from: decision.from });
    case "probe": {
      const { elasticIpHere } = address;
      if (goal.dryRun) return prepared({ change: "associated" });
      const write: Write = { change: "taken", from: decision.holder };
      return elasticIpHere === undefined || attempt.isElsewhere
        ? prepared(write)
        : probe(state, { seen, address, write }, elasticIpHere);
    }
    case "wait":
      return decision.soonMs === undefined
        ? fail(
            state,
            new Failure("held", {
              why: `${name} is held by ${nameHolder(decision.from)}: ${decision.because}`,
            }),
          )
        : sleep(observing(state), decision.soonMs, `making sure of ${nameHolder(decision.from)}`);
    case "yield":
      return fail(
        state,
        new Failure("yielded", { why: `${name} stays where it is: ${decision.because}` }),
      );
    case "refuse":
      return fail(
        state,
        new Failure("misconfigured", { why: decision.because, cure: decision.cure }),
      );
  }
}

/** It is where it belongs: the end, unless it has to be shown again, because EC2 cannot take an address only if nothing has changed. */
function onSettled(state: State, seen: Seen, address: AddressState, now: number): Step {
  const { goal, memory, attempt } = state;
  const { write } = memory;
  if (goal.force && write === undefined && !attempt.isForced) {
    const intent: Intent = { seen, address, write: { change: "renewed" } };
    return prepare(inAttempt(state, { isForced: true }), intent, now);
  }
  if (write === undefined) return end(state, { end: "settled", change: "none" });
  if (write.change === "associated" || attempt.isHeld) {
    return end(state, { end: "settled", ...write });
  }
  const name = nameAddress(address.allocationId, address.publicIp);
  return sleep({ ...state, phase: { at: "holding" } }, HOLD_MS, `holding ${name}`);
}

// --- Writing ---

/** Before a write it has to be known what it displaces, at least whether it may. */
function prepare(state: State, intent: Intent, now: number): Step {
  const { goal, memory, attempt } = state;
  const { target, mayDisplace, dryRun } = goal;
  const { allocationId, publicIp } = intent.address;
  // What is associated anew displaces nothing.
  const there =
    intent.write.change === "renewed"
      ? undefined
      : standingAt(target, publicIp, memory.displacement);
  if (there === undefined) return commit(state, intent, undefined, now);

  const by = { allocationId, ...(publicIp !== undefined && { publicIp }) };
  // Where it may be displaced, the observation after the write tells what it was, if EC2 lets us see.
  if (mayDisplace && !dryRun && publicIp !== undefined && intent.seen.direct) {
    return commit(state, intent, { publicIp: there, by }, now);
  }
  if (attempt.identified === undefined) {
    return {
      state: { ...state, phase: { at: "identifying", intent } },
      effect: { do: "identify", publicIp: there, step: `looking at ${there}` },
    };
  }
  const { elasticIp } = attempt.identified;
  if (elasticIp === undefined) return commit(state, intent, undefined, now);
  return mayDisplace
    ? commit(state, intent, { publicIp: there, by, elasticIp }, now)
    : fail(state, mayNotDisplace(target, elasticIp));
}

function onIdentified(state: State, elasticIp: ElasticIp | undefined, now: number): Step {
  const { phase } = state;
  if (phase.at !== "identifying") throw outOfTurn("identified", phase);
  return prepare(inAttempt(state, { identified: { elasticIp } }), phase.intent, now);
}

/** Writes, unless it is a dry run or what the write rests on has become too old meanwhile. */
function commit(
  before: State,
  intent: Intent,
  displaced: Displaced | undefined,
  now: number,
): Step {
  const { goal, memory } = before;
  const { seen, address, write } = intent;
  if (goal.dryRun) {
    const state = displaced?.elasticIp
      ? warn(before, wouldDisplaceLine(displaced.elasticIp, goal.target))
      : before;
    return end(state, { end: "would", ...write });
  }
  const state = inAttempt(before, { isHeld: false });
  if (write.change !== "associated" && now - seen.askedAt > FRESH_MS) {
    return observe(observing(state));
  }
  return {
    state: {
      ...state,
      // Whatever interrupts it now, the address may be here.
      memory: { ...memory, mayBeHere: true, written: "perhaps" },
      phase: {
        at: "writing",
        intent,
        ...(displaced && { displaced }),
        written: memory.written,
      },
    },
    effect: {
      do: "associate",
      allocationId: address.allocationId,
      reassociate: write.change === "taken",
      isMove: true,
      step: writingStep(state, intent),
    },
  };
}

function onAccepted(state: State): Step {
  const { phase } = state;
  switch (phase.at) {
    case "writing":
      return afterWriting(
        remember(state, {
          accepted: phase.intent.address.allocationId,
          write: phase.intent.write,
        }),
        phase,
        undefined,
      );
    case "probing": {
      const { elasticIpHere, intent } = phase;
      const reading: Phase = { at: "reading probe", elasticIpHere, reads: 0 };
      const { allocationId } = intent.address;
      return observe({ ...remember(state, { accepted: allocationId }), phase: reading });
    }
    default:
      throw outOfTurn("accepted", phase);
  }
}

function onFailed(state: State, failure: Failure, now: number): Step {
  const { phase } = state;
  switch (phase.at) {
    case "writing":
      return onWriteFailed(state, phase, failure, now);
    case "probing":
      // Refused: it is elsewhere on this instance.
      return failure.kind === "held"
        ? prepare(inAttempt(state, { isElsewhere: true }), phase.intent, now)
        : fail(state, failure);
    default:
      return fail(state, failure);
  }
}

/**
 * No answer does not mean that nothing happened: it may have been lost because our own public address has changed.
 * And a lost race is no failure before EC2 has shown who won it.
 */
function onWriteFailed(
  before: State,
  phase: Phase & { at: "writing" },
  failure: Failure,
  now: number,
): Step {
  const { intent } = phase;
  if (failure.kind === "unreachable") {
    // Nothing shows whether an association was made anew if the answer does not say so.
    const isKnown = intent.write.change !== "renewed";
    return afterWriting(
      isKnown ? remember(before, { write: intent.write }) : before,
      phase,
      failure,
    );
  }
  const state = remember(before, { mayBeHere: false, written: phase.written });
  const isPool = state.goal.desired.kind === "pool";
  if (failure.kind === "held") {
    if (!isPool) return readBack(state, { at: "reading back", intent, failure, reads: 0 });
    const lostClaims = [...state.attempt.lostClaims, intent.address.allocationId];
    return decideOn(inAttempt(observing(state), { lostClaims }), intent.seen, now);
  }
  if (failure.kind === "throttled" && isPool) {
    // Each of those who may be claiming wants one of the free addresses.
    const contenders = intent.seen.addresses.filter(isFree).length;
    const { kind, details, step } = failure;
    return fail(state, new Failure(kind, { ...details, contenders }, step));
  }
  return fail(state, failure);
}

/** The write was accepted, or not answered. */
function afterWriting(
  before: State,
  { intent, displaced }: Phase & { at: "writing" },
  failure: Failure | undefined,
): Step {
  const { displacement, certain } = afterWrite(
    before.memory.displacement,
    displaced,
    failure === undefined,
  );
  const state = remember(before, { displacement });
  return readBack(certain ? warn(state, displacedLine(certain, state.goal.target)) : state, {
    at: "reading back",
    intent,
    ...(failure && { failure }),
    reads: 0,
  });
}

// --- Reading back ---

/** Over a new connection, because the answer to a write proves nothing. */
function readBack(state: State, phase: Phase & { at: "reading back" }): Step {
  return observe({ ...state, phase }, only(phase.intent.address), true);
}

function onReadBack(
  state: State,
  phase: Phase & { at: "reading back" },
  seen: Seen,
  now: number,
): Step {
  const { intent, failure } = phase;
  const { target, desired } = state.goal;
  const { allocationId } = intent.address;
  const shown = seen.addresses.find((one) => one.allocationId === allocationId);
  const isAsBefore = shown !== undefined && holderKey(shown) === holderKey(intent.address);
  if (isAsBefore && intent.write.change !== "renewed") {
    const ms = (failure ? READ_BACK_UNSURE_MS : READ_BACK_MS)[phase.reads + 1];
    return ms === undefined
      ? fail(state, notShown(state, phase))
      : sleep({ ...state, phase: { ...phase, reads: phase.reads + 1 } }, ms);
  }
  const isHere = shown !== undefined && isOwn(shown, target);
  const known = observing(isHere ? remember(state, { written: "shown", wasHere: true }) : state);
  // One address is all that matters while it is here; the rest of a pool is looked at when it is not.
  return desired.kind === "address" || isHere ? decideOn(known, seen, now) : observe(known);
}

function notShown(state: State, { intent, failure }: Phase & { at: "reading back" }): Failure {
  const step = writingStep(state, intent);
  if (failure?.kind === "held" && !intent.seen.direct) {
    const cure =
      "something that this role may not see holds it: allow ec2:DescribeAddresses to find out what";
    return new Failure("held", { ...failure.details, cure }, step);
  }
  const why = "EC2 has accepted it and does not show it";
  return failure ?? new Failure("not-yet", { why, code: "NotShown" }, step);
}

// --- Probing ---

/**
 * This instance holds the address, among several Elastic IPs, and EC2 does not say at which place: associating it at
 * the target without taking it changes nothing if it is there, and is refused if it is not.
 */
function probe(state: State, intent: Intent, elasticIpHere: string): Step {
  const { allocationId, publicIp } = intent.address;
  const { interfaceId, privateIp } = state.goal.target;
  return {
    state: { ...state, phase: { at: "probing", intent, elasticIpHere } },
    effect: {
      do: "associate",
      allocationId,
      reassociate: false,
      isMove: false,
      step: `making sure that ${nameAddress(allocationId, publicIp)} is on ${interfaceId} ${privateIp}`,
    },
  };
}

/** An old answer still shows what was at the target before: while EC2 and instance metadata do not agree, EC2 is asked again. */
function onReadProbe(
  before: State,
  phase: Phase & { at: "reading probe" },
  seen: Seen,
  now: number,
): Step {
  const { goal, memory } = before;
  const own = seen.addresses.filter((address) => isOwn(address, goal.target));
  const ms = READ_BACK_MS[phase.reads + 1];
  if (own.some(({ publicIp }) => publicIp !== goal.target.publicIp) && ms !== undefined) {
    return sleep({ ...before, phase: { ...phase, reads: phase.reads + 1 } }, ms);
  }
  const { elasticIpHere } = phase;
  if (own.every(({ publicIp }) => publicIp === elasticIpHere)) {
    return decideOn(observing(before), seen, now);
  }
  // It had been let go just before, so that this was something new after all.
  const { gone } = memory.displacement;
  const state = remember(before, {
    write: { change: "associated" },
    displacement: { gone: [...gone, elasticIpHere] },
  });
  const line = displacedLine({ publicIp: elasticIpHere }, goal.target);
  return decideOn(observing(warn(state, line)), seen, now);
}

// --- Small parts ---

function outOfTurn(event: Event["type"], { at }: Phase): Error {
  return new Error(`${event} while ${at}`);
}

function only({ allocationId }: AddressState): DesiredAddress {
  return { kind: "address", allocationId };
}

function writingStep({ goal }: State, { address }: Intent): string {
  const { allocationId, publicIp } = address;
  return `associating ${nameAddress(allocationId, publicIp)} with ${goal.target.instanceId}`;
}

/** Since when EC2 denies knowing each holder. */
function unknownHolders(
  before: Memory["unknownSince"],
  { addresses }: Seen,
  now: number,
): Memory["unknownSince"] {
  const since = { ...before };
  for (const { holder } of addresses) {
    if (holder.kind !== "instance") continue;
    if (holder.state === "unknown") since[holder.instanceId] ??= now;
    else delete since[holder.instanceId];
  }
  return since;
}

/** The address at the target, if this instance holds it and EC2 shows one there, but not which. */
function locatedAt(target: Target, address: AddressState): AddressState {
  const { holder, elasticIpHere } = address;
  if (holder.kind !== "instance" || holder.interfaceId !== undefined || elasticIpHere === undefined)
    return address;
  const { interfaceId, privateIp } = target;
  return { ...address, publicIp: elasticIpHere, holder: { ...holder, interfaceId, privateIp } };
}

/** Who holds the address, and where: does a write show? */
function holderKey({ holder, elasticIpHere = "" }: AddressState): string {
  return holder.kind === "instance"
    ? `${holder.instanceId} ${holder.interfaceId ?? ""} ${holder.privateIp ?? ""} ${elasticIpHere}`
    : JSON.stringify(holder);
}
