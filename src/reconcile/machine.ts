/**
 * The reconciler of one address as a pure state machine: the result of the last effect goes in, the next effect comes out.
 * It performs nothing and reads no clock; run/loop.ts performs the effects, as does the explorer in the tests.
 *
 *     observe ─→ decide ─→ identify what the write would displace ─→ write ─→ read back ─→ decide ─→ hold ─→ decide ─→ end
 *
 * Success means that EC2 has shown the address at the target, not that a call was answered with success.
 */
import {
  type AddressState,
  type DesiredAddress,
  type ElasticIp,
  type PreviousHolder,
  isFree,
  isHeldBySelf,
  isNameOf,
  nameAddress,
  nameDesired,
  nameHolder,
} from "../model/address.ts";
import { seconds } from "../model/duration.ts";
import { OWN_CODE, EXIT, Failure, isUnanswered } from "../model/failure.ts";
import { FRESH_MS, HOLD_MS, SLOWEST_LOOK_MS, STALE_LOOKS, SUSPECT_MS } from "./bounds.ts";
import { choiceOf, isPremature } from "./choice.ts";
import {
  afterWrite,
  type Displaced,
  displacedLine,
  mayNotDisplace,
  ipToDisplace,
  wouldDisplaceLine,
} from "./displacement.ts";
import { shortened } from "../model/text.ts";
import { learn, unknownHolders, warnDisplaced } from "./learn.ts";
import type { Decision } from "./ownership.ts";
import { questionOf } from "./question.ts";
import {
  end,
  type Event,
  fail,
  type Goal,
  type Attempt,
  inAttempt,
  type Intent,
  isOwn,
  ownIds,
  type Memory,
  namedTwice,
  NO_ATTEMPT,
  observing,
  type Phase,
  remember,
  type TimedObservation,
  sleep,
  type State,
  type Step,
  warn,
  type Write,
} from "./state.ts";

/** Pauses before each read-back, in milliseconds: EC2 is eventually consistent. */
const READ_BACK_MS = [0, 250, 500, 1_000, 2_000, 4_000] as const;
/** The same if the write may have changed nothing; together they are longer than LAG_MS. */
const READ_BACK_UNSURE_MS = [0, 500, 1_000] as const;
/** Most decisions in one attempt. Each follows a write, a lost claim or a move by others. */
const MAX_DECISIONS = 25;

/** The first step of an attempt. */
export function begin(goal: Goal, memory: Memory, now: number): Step {
  const { throttledClaim } = memory;
  const phase: Phase = { at: "observing" };
  const state = {
    goal,
    memory: { ...memory, throttledClaim: undefined },
    attempt: NO_ATTEMPT,
    phase,
    warnings: [],
  };
  // Looks count towards the account's request limit too, which a throttled fleet needs for its associations.
  return throttledClaim !== undefined && isNameOf(goal.desired, throttledClaim.address)
    ? prepare(state, throttledClaim, now)
    : observe(state, now);
}

/**
 * The next step.
 *
 * @throws Error if the event is not the result of the last effect, which is a bug
 */
export function next(before: State, event: Event): Step {
  const state: State = { ...before, warnings: [] };
  switch (event.type) {
    case "observed":
      return onObserved(
        state,
        { ...event.observation, askedAt: event.askedAt, date: event.date },
        event.now,
      );
    case "identified":
      return onIdentified(state, event.elasticIp, event.now);
    case "accepted":
      return onAccepted(state, event.now);
    case "failed":
      return onFailed(state, event.failure, event.now);
    case "slept":
      return onSlept(state, event.now);
  }
}

// --- Observing ---

function observe(state: State, now: number, desired = state.goal.desired, reconnect = false): Step {
  return {
    state,
    effect: {
      do: "observe",
      desired,
      reconnect,
      question: questionOf(state, desired, now),
      step: `looking at ${nameDesired(desired)}`,
    },
  };
}

function onSlept(state: State, now: number): Step {
  const { phase, goal } = state;
  // A connection opened right after the write may still use the old public address.
  if (phase.at === "holding") return observe(state, now, goal.desired, true);
  return phase.at === "reading back"
    ? observe(state, now, asDesired(phase.intent.address))
    : observe(state, now);
}

function onObserved(before: State, answer: TimedObservation, now: number): Step {
  const { state, seen } = learn(resolved(before, answer), answer);
  const { phase } = state;
  switch (phase.at) {
    case "observing":
    case "holding":
      return decideOn(observing(state), seen, now);
    case "reading back":
      return onReadBack(state, phase, seen, now);
    case "reading probe":
      return onReadProbe(state, phase, seen, now);
    default:
      throw unexpected("observed", phase);
  }
}

/** From the first look on, an address with another name goes by its allocation id: only that cannot change hands. */
function resolved(before: State, { addresses: [address], alike }: TimedObservation): State {
  const { goal, memory } = before;
  if (goal.desired.kind === "pool" || address === undefined) return before;
  const state = { ...before, goal: { ...goal, desired: asDesired(address) } };
  if (goal.desired.kind !== "tagged" || alike === undefined || memory.isAlikeTold) return state;
  const { allocationId, publicIp } = address;
  const { key, value } = goal.desired;
  return warn(
    remember(state, { isAlikeTold: true }),
    `${nameAddress(allocationId, publicIp)} is kept, because it is on this instance; but ${shortened(alike.join(", "))} ${alike.length === 1 ? "carries" : "carry"} the tag ${key}=${value}, too, and no other instance could tell which is meant: leave the tag on that one only`,
  );
}

// --- Deciding ---

function decideOn(before: State, seen: TimedObservation, now: number): Step {
  const { goal, attempt } = before;
  if (attempt.decisions >= MAX_DECISIONS) {
    const why = `others keep moving ${nameDesired(goal.desired)}`;
    return fail(before, new Failure("held", { why }));
  }
  const unknownSince = unknownHolders(before.memory, seen, now);
  const counted = inAttempt(before, { decisions: attempt.decisions + 1 });
  const choice = choiceOf(counted, seen, unknownSince, now);
  if (choice.address === undefined) {
    const elsewhere = remember(counted, {
      unknownSince,
      holdersSeenAt: now,
      mayBeHere: false,
      shown: undefined,
    });
    return fail(elsewhere, new Failure("held", { why: choice.why }));
  }
  const { address, decision } = choice;
  const twice = namedTwice(goal, address);
  if (twice !== undefined) return fail(counted, twice);
  const { allocationId, publicIp } = address;
  const state = remember(counted, {
    unknownSince,
    holdersSeenAt: now,
    decidedOn: {
      ...before.memory.decidedOn,
      allocationId,
      ...(publicIp !== undefined && { publicIp }),
    },
    ...(!isHeldBySelf(address, goal.target) && { mayBeHere: false }),
  });
  // The hold starts over if EC2 showed another holder in between, and continues if a look merely failed.
  const { shown } = before.memory;
  const shownNow = shown?.allocationId === allocationId ? shown : { allocationId, since: now };
  const isHere = decision.do === "settled";
  const updated = remember(state, {
    shown: isHere ? shownNow : undefined,
    // A write that was never answered, be it of a run that was killed, has arrived.
    ...(isHere && before.memory.lastWriteAt !== undefined && { wroteThisBoot: true }),
  });
  return carryOut(updated, decision, seen, address, now);
}

function carryOut(
  state: State,
  decision: Decision,
  seen: TimedObservation,
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
      return isPremature(state, decision.from, now)
        ? fail(state, serviceUnknown(name, decision.from))
        : prepared({ change: "taken", from: decision.from });
    case "probe": {
      const { elasticIpHere } = address;
      if (goal.dryRun) return prepared({ change: "associated" });
      const write: Write = { change: "taken", from: decision.holder };
      return elasticIpHere === undefined || attempt.isElsewhere
        ? prepared(write)
        : probe(state, { seen, address, write }, elasticIpHere, now);
    }
    case "wait":
      return decision.soonMs === undefined
        ? fail(
            state,
            new Failure("held", {
              why: `held by ${nameHolder(decision.from)}, and ${decision.because}: ${name}`,
            }),
          )
        : sleep(observing(state), decision.soonMs, `making sure of ${nameHolder(decision.from)}`);
    case "yield":
      return fail(
        state,
        new Failure("yielded", { why: `a newer instance has ${name}: ${decision.because}` }),
      );
    case "refuse": {
      const { because: why, remedy } = decision;
      // While an instance is being terminated, its interface has no instance for a moment.
      return decision.isOrphan === true
        ? fail(
            state,
            new Failure("not-yet", {
              why,
              remedy,
              code: OWN_CODE.orphaned,
              permanentStatus: EXIT.CONFIG,
            }),
          )
        : fail(state, new Failure("misconfigured", { why, remedy }));
    }
  }
}

function serviceUnknown(name: string, from: PreviousHolder): Failure {
  return new Failure("held", {
    why: `held by ${nameHolder(from)}, and instance metadata does not show yet whether this instance is in service: ${name}`,
    remedy:
      "it is waited for a minute; allow autoscaling:DescribeAutoScalingInstances to have it at once",
  });
}

/**
 * EC2 shows the address at the target. That is the end, unless this boot sent a write recently or instance metadata shows
 * another address: then EC2 has to show it here again after the hold.
 */
function onSettled(state: State, seen: TimedObservation, address: AddressState, now: number): Step {
  const { goal, memory, attempt } = state;
  const { write, lastWriteAt, shown } = memory;
  const shownSince = shown?.since ?? now;
  const { allocationId, publicIp } = address;
  // An address that instance metadata never shows cannot be missing there, so there is nothing to force.
  if (goal.force && address.isForeign !== true && write === undefined && !attempt.isForced) {
    const intent: Intent = { seen, address, write: { change: "renewed" } };
    return prepare(inAttempt(state, { isForced: true }), intent, now);
  }
  // Measured at `askedAt`, not `now`: a slow answer may show the state when EC2 was asked.
  const isRecent = lastWriteAt !== undefined && seen.askedAt - lastWriteAt < SUSPECT_MS;
  const isMissingInMetadata =
    publicIp !== undefined && publicIp !== goal.target.publicIp && address.isForeign !== true;
  const isHeld = seen.askedAt - shownSince >= HOLD_MS;
  if (!isHeld && !goal.dryRun && (write !== undefined || isRecent || isMissingInMetadata)) {
    const step = `holding ${nameAddress(allocationId, publicIp)}`;
    return sleep({ ...state, phase: { at: "holding" } }, shownSince + HOLD_MS - now, step);
  }
  return end(state, { end: "settled", ...(write ?? { change: "none" }) });
}

// --- Writing ---

/** Before a write: find out what it displaces, if that has to be known, and whether that is allowed. */
function prepare(state: State, intent: Intent, now: number): Step {
  const { goal, memory, attempt } = state;
  const { target, mayDisplace, dryRun } = goal;
  const { allocationId, publicIp } = intent.address;
  // Associating the address where it already is displaces nothing.
  const ipAtTarget =
    intent.write.change === "renewed"
      ? undefined
      : ipToDisplace(target, publicIp, memory.displacement);
  const refusal = refusalOf(attempt, allocationId);
  if (ipAtTarget === undefined) {
    return refusal ? fail(state, refusal) : commit(state, intent, undefined, now);
  }

  const by = { allocationId, ...(publicIp !== undefined && { publicIp }) };
  // If it may be displaced anyway, and the role may describe addresses, the observation after the write tells what it was.
  const isShownLater = publicIp !== undefined && intent.seen.direct && !refusal;
  if (mayDisplace && !dryRun && isShownLater) {
    return commit(state, intent, { publicIp: ipAtTarget, by }, now);
  }
  if (attempt.identified === undefined) {
    return {
      state: { ...state, phase: { at: "identifying", intent } },
      effect: {
        do: "identify",
        publicIp: ipAtTarget,
        own: ownIds(goal, allocationId),
        step: `looking at ${ipAtTarget}`,
      },
    };
  }
  const { elasticIp } = attempt.identified;
  if (elasticIp === undefined) {
    // No Elastic IP was in the way. If EC2 refused the claim, another holder that EC2 does not show yet has the address.
    return refusal ? fail(state, refusal) : commit(state, intent, undefined, now);
  }
  return mayDisplace || isOwn(goal, elasticIp)
    ? commit(state, intent, { publicIp: ipAtTarget, by, elasticIp }, now)
    : fail(state, mayNotDisplace(target, elasticIp));
}

/** Why EC2 refused the claim of this address; undefined if it has not. */
function refusalOf({ refusal }: Attempt, allocationId: string): Failure | undefined {
  return refusal?.allocationId === allocationId ? refusal.failure : undefined;
}

function onIdentified(state: State, elasticIp: ElasticIp | undefined, now: number): Step {
  const { phase } = state;
  if (phase.at !== "identifying") throw unexpected("identified", phase);
  return prepare(inAttempt(state, { identified: { elasticIp } }), phase.intent, now);
}

/** Sends the write, unless this is a dry run or the observation that it relies on has become too old. */
function commit(
  before: State,
  intent: Intent,
  displaced: Displaced | undefined,
  now: number,
): Step {
  const { goal, memory, attempt } = before;
  const { seen, address, write } = intent;
  if (goal.dryRun) {
    const state =
      displaced?.elasticIp && !isOwn(goal, displaced.elasticIp)
        ? warn(before, wouldDisplaceLine(displaced.elasticIp, goal.target))
        : before;
    return end(state, { end: "would", ...write });
  }
  const isRefused = refusalOf(attempt, address.allocationId) !== undefined;
  const isTake = write.change === "taken" || isRefused;
  const age = now - seen.askedAt;
  let state = before;
  if ((isTake || write.change === "renewed") && age > FRESH_MS) {
    if (age > SLOWEST_LOOK_MS) {
      const unmade = { stale: NO_ATTEMPT.stale, isForced: false };
      return observe(observing(inAttempt(state, unmade)), now);
    }
    const shown = holderKey(address);
    const looks = attempt.stale.shown === shown ? attempt.stale.looks + 1 : 1;
    state = inAttempt(state, { stale: { looks, shown } });
    // A renewal that was put off for a fresh observation is still to be made.
    if (looks < STALE_LOOKS) return observe(observing(inAttempt(state, { isForced: false })), now);
    const name = nameAddress(address.allocationId, address.publicIp);
    state = warn(
      state,
      `EC2 takes ${seconds(age)} to show who holds ${name}: it is ${isTake ? "taken" : "associated again"} on what was shown ${looks} times in a row`,
    );
  }
  return {
    state: {
      ...inAttempt(state, {
        stale: NO_ATTEMPT.stale,
        refusal: undefined,
        ...(isRefused && { wasSentAgain: true }),
      }),
      // From here on the address may be ours, even if the run is interrupted.
      memory: {
        ...memory,
        mayBeHere: true,
        written: "perhaps",
        lastWriteAt: now,
        shown: undefined,
      },
      phase: {
        at: "writing",
        intent,
        ...(displaced && { displaced }),
        before: { written: memory.written, ...lastWriteOf(memory) },
      },
    },
    effect: {
      do: "associate",
      allocationId: address.allocationId,
      reassociate: isTake,
      isMove: true,
      step: writingStep(state, intent),
    },
  };
}

function onAccepted(state: State, now: number): Step {
  const { phase } = state;
  switch (phase.at) {
    case "writing":
      return afterWriting(
        remember(state, {
          accepted: phase.intent.address.allocationId,
          write: phase.intent.write,
          wroteThisBoot: true,
        }),
        phase,
        undefined,
        now,
      );
    case "probing": {
      const { elasticIpHere, intent } = phase;
      const reading: Phase = { at: "reading probe", elasticIpHere, reads: 0 };
      const { allocationId } = intent.address;
      const accepted = remember(withoutLastWrite(state, phase.before), { accepted: allocationId });
      return observe({ ...accepted, phase: reading }, now);
    }
    default:
      throw unexpected("accepted", phase);
  }
}

function onFailed(state: State, failure: Failure, now: number): Step {
  const { phase } = state;
  switch (phase.at) {
    case "writing":
      return onWriteFailed(state, phase, writeFailure(failure), now);
    case "probing": {
      // If the address became free just before, an unanswered probe may have associated it: lastWriteAt stays.
      if (isUnanswered(failure)) return fail(state, writeFailure(failure));
      const unchanged = withoutLastWrite(state, phase.before);
      // Refused: the address is on another interface of this instance.
      return failure.kind === "held"
        ? prepare(inAttempt(unchanged, { isElsewhere: true }), phase.intent, now)
        : fail(unchanged, writeFailure(failure));
    }
    default:
      return fail(state, failure);
  }
}

/**
 * An unanswered write may have been carried out: its answer may be lost because it changed our own public address. And a
 * claim that was refused is a failure only once EC2 has shown who won it.
 */
function onWriteFailed(
  before: State,
  phase: Phase & { at: "writing" },
  failure: Failure,
  now: number,
): Step {
  const { intent } = phase;
  if (isUnanswered(failure)) {
    // Only the answer could have told whether an existing association was renewed.
    const state =
      intent.write.change === "renewed" ? before : remember(before, { write: intent.write });
    return afterWriting(state, phase, failure, now);
  }
  const state = remember(withoutLastWrite(before, phase.before), {
    mayBeHere: false,
    written: phase.before.written,
  });
  const { goal, attempt } = state;
  const isPool = goal.desired.kind === "pool";
  if (failure.kind === "held") {
    const { publicIp } = intent.address;
    const ipAtTarget = ipToDisplace(goal.target, publicIp, state.memory.displacement);
    if (!isPool || (ipAtTarget !== undefined && !attempt.wasSentAgain)) {
      return readBack(state, { at: "reading back", intent, failure, reads: 0 }, now);
    }
    const lostClaims = [...state.attempt.lostClaims, intent.address.allocationId];
    return decideOn(inAttempt(observing(state), { lostClaims }), intent.seen, now);
  }
  if (failure.kind === "throttled" && intent.write.change === "associated" && !isPool) {
    return fail(remember(state, { throttledClaim: intent }), failure);
  }
  if (failure.kind === "throttled" && isPool) {
    // At most one instance competes for each free address.
    const contenders = intent.seen.addresses.filter(isFree).length;
    const { kind, details, step } = failure;
    return fail(state, new Failure(kind, { ...details, contenders }, step));
  }
  return fail(state, failure);
}

/** The write was accepted or left unanswered. */
function afterWriting(
  before: State,
  { intent, displaced }: Phase & { at: "writing" },
  failure: Failure | undefined,
  now: number,
): Step {
  const { displacement, certain } = afterWrite(
    before.memory.displacement,
    displaced,
    failure === undefined,
  );
  const state = remember(before, { displacement });
  const reading = {
    at: "reading back" as const,
    intent,
    ...(failure && { failure }),
    reads: 0,
  };
  const described = certain ? warnDisplaced(state, certain) : state;
  return readBack(described, reading, now);
}

// --- Reading back ---

/** Looks whether EC2 shows the write, over a new connection: the old one may have broken with the change of address. */
function readBack(state: State, phase: Phase & { at: "reading back" }, now: number): Step {
  return observe({ ...state, phase }, now, asDesired(phase.intent.address), true);
}

function onReadBack(
  state: State,
  phase: Phase & { at: "reading back" },
  seen: TimedObservation,
  now: number,
): Step {
  const { intent, failure } = phase;
  const { target } = state.goal;
  const { allocationId } = intent.address;
  const shown = seen.addresses.find((address) => address.allocationId === allocationId);
  const isAsBefore = shown !== undefined && holderKey(shown) === holderKey(intent.address);
  if (isAsBefore && intent.write.change !== "renewed") {
    const isUnsure = failure !== undefined || state.memory.isUnshown === true;
    const ms = (isUnsure ? READ_BACK_UNSURE_MS : READ_BACK_MS)[phase.reads + 1];
    if (ms !== undefined) {
      return sleep({ ...state, phase: { ...phase, reads: phase.reads + 1 } }, ms);
    }
    const ipAtTarget = ipToDisplace(target, shown.publicIp, state.memory.displacement);
    const isRefusedAsFree = failure?.kind === "held" && isFree(shown);
    if (isRefusedAsFree && ipAtTarget !== undefined && !state.attempt.wasSentAgain) {
      // EC2 refused although the address is free, so another Elastic IP at the target may be the reason. Whether one is
      // there is asked before the next write, which needs a fresh observation.
      return observe(
        observing(inAttempt(state, { refusal: { allocationId, failure } })),
        now,
        asDesired(shown),
      );
    }
    return fail(
      remember(state, { isUnshown: failure === undefined ? true : undefined }),
      notShown(state, phase),
    );
  }
  const isHere = shown !== undefined && isHeldBySelf(shown, target);
  if (!isHere) {
    // The address has moved: a write without an answer may have arrived, and somebody else's after it.
    const mayHaveWritten = failure !== undefined && isUnanswered(failure);
    const moved = { mayBeHere: false, ...(mayHaveWritten && { wroteThisBoot: true }) };
    return observe(observing(remember(state, moved)), now);
  }
  const written = remember(state, { written: "shown", wroteThisBoot: true, isUnshown: undefined });
  return decideOn(observing(written), seen, now);
}

function notShown(state: State, { intent, failure }: Phase & { at: "reading back" }): Failure {
  const step = writingStep(state, intent);
  if (failure?.kind === "held" && !intent.seen.direct) {
    const remedy =
      "something that this role may not see holds it: allow ec2:DescribeAddresses to find out what";
    return new Failure("held", { ...failure.details, remedy }, step);
  }
  const why = "EC2 accepted the request but does not show the association";
  return failure ?? new Failure("not-yet", { why, code: OWN_CODE.notShown, isWrite: true }, step);
}

/** Marks the failure as that of a write, which is retried less often (retry.ts). */
function writeFailure({ kind, details, step }: Failure): Failure {
  return new Failure(kind, { ...details, isWrite: true }, step);
}

// --- Probing ---

/**
 * This instance holds several Elastic IPs, and EC2 does not show on which interface this one is. Associating it with the
 * target without AllowReassociation changes nothing if it is there, and is refused if it is not.
 */
function probe(state: State, intent: Intent, elasticIpHere: string, now: number): Step {
  const { allocationId, publicIp } = intent.address;
  const { interfaceId, privateIp } = state.goal.target;
  return {
    state: {
      ...remember(state, { lastWriteAt: now }),
      phase: { at: "probing", intent, elasticIpHere, before: lastWriteOf(state.memory) },
    },
    effect: {
      do: "associate",
      allocationId,
      reassociate: false,
      isMove: false,
      step: `making sure that ${nameAddress(allocationId, publicIp)} is on ${interfaceId} ${privateIp}`,
    },
  };
}

/** EC2's answer may be out of date: as long as it and instance metadata disagree about the target, EC2 is asked again. */
function onReadProbe(
  before: State,
  phase: Phase & { at: "reading probe" },
  seen: TimedObservation,
  now: number,
): Step {
  const { goal, memory } = before;
  const held = seen.addresses.filter((address) => isHeldBySelf(address, goal.target));
  const ms = READ_BACK_MS[phase.reads + 1];
  if (held.some(({ publicIp }) => publicIp !== goal.target.publicIp) && ms !== undefined) {
    return sleep({ ...before, phase: { ...phase, reads: phase.reads + 1 } }, ms);
  }
  const { elasticIpHere } = phase;
  if (held.every(({ publicIp }) => publicIp === elasticIpHere)) {
    return decideOn(observing(before), seen, now);
  }
  // The address had been disassociated just before, so the probe did associate it and displaced what was there.
  const { gone } = memory.displacement;
  const state = remember(before, {
    write: { change: "associated" },
    displacement: { gone: [...gone, elasticIpHere] },
  });
  const line = displacedLine({ publicIp: elasticIpHere }, goal.target);
  return decideOn(observing(warn(state, line)), seen, now);
}

// --- Helpers ---

function unexpected(event: Event["type"], { at }: Phase): Error {
  return new Error(`${event} while ${at}`);
}

function lastWriteOf({ lastWriteAt }: Memory): Pick<Memory, "lastWriteAt"> {
  return lastWriteAt === undefined ? {} : { lastWriteAt };
}

/** EC2 refused the last write, so the one before it is the last one again. */
function withoutLastWrite(state: State, { lastWriteAt: at }: Pick<Memory, "lastWriteAt">): State {
  const { lastWriteAt: _, ...memory } = state.memory;
  return { ...state, memory: { ...memory, ...(at !== undefined && { lastWriteAt: at }) } };
}

function asDesired({ allocationId }: AddressState): DesiredAddress {
  return { kind: "address", allocationId };
}

function writingStep({ goal }: State, { address }: Intent): string {
  const { allocationId, publicIp } = address;
  return `associating ${nameAddress(allocationId, publicIp)} with ${goal.target.instanceId}`;
}

/** Identifies the association, as far as EC2 shows it. If it has changed since the write was decided on, the write shows. */
function holderKey({ holder, elasticIpHere = "" }: AddressState): string {
  if (holder.kind !== "instance") return JSON.stringify(holder);
  const { associationId = "", instanceId, interfaceId = "", privateIp = "" } = holder;
  return [associationId, instanceId, interfaceId, privateIp, elasticIpHere].join(" ");
}
