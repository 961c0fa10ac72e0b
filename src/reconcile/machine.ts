/**
 * The reconciler of one address, as a pure state machine: what came of the last effect in, the next effect out. It
 * performs nothing and reads no clock; run/loop.ts performs the effects, and so does the explorer.
 *
 *     observe ─→ decide ─→ identify what the write would displace ─→ write ─→ read back ─→ decide ─→ hold ─→ decide ─→ end
 *
 * What is returned in the end is what EC2 has shown, never what a call has answered.
 */
import {
  type AddressState,
  type DesiredAddress,
  type ElasticIp,
  type PreviousHolder,
  isFree,
  isHeldBySelf,
  nameAddress,
  nameDesired,
  nameHolder,
} from "../model/address.ts";
import { seconds } from "../model/duration.ts";
import { OWN_CODE, EXIT, Failure, isUnanswered } from "../model/failure.ts";
import type { Target } from "../model/target.ts";
import {
  afterObservation,
  afterWrite,
  type Displaced,
  displacedLine,
  mayNotDisplace,
  questionAbout,
  ipToDisplace,
  wouldDisplaceLine,
} from "./displacement.ts";
import {
  FACTS_MS,
  FRESH_MS,
  REPLACEMENT_MS,
  SERVICE_UNKNOWN_MS,
  HOLD_MS,
  STALE_LOOKS,
  SUSPECT_MS,
} from "./bounds.ts";
import { decide, type Decision, isLive, type Takeover, wasLaunchedBefore } from "./ownership.ts";
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
  type Question,
  remember,
  type TimedObservation,
  sleep,
  type State,
  type Step,
  warn,
  type Write,
} from "./state.ts";

/** EC2 is eventually consistent: it is read back after these waits, in milliseconds. */
const READ_BACK_MS = [0, 250, 500, 1_000, 2_000, 4_000] as const;
/** The same where it is not sure that anything was changed: longer than an answer of EC2 may be old. */
const READ_BACK_UNSURE_MS = [0, 500, 1_000] as const;
/** Decisions within one attempt, each after a write, a lost claim or a move by others. */
const MAX_DECISIONS = 25;

/** The first step of an attempt. */
export function begin(goal: Goal, memory: Memory, now: number): Step {
  const { claim } = memory;
  const phase: Phase = { at: "observing" };
  const state = {
    goal,
    memory: { ...memory, claim: undefined },
    attempt: NO_ATTEMPT,
    phase,
    warnings: [],
  };
  // A fleet that waits for its turn to associate does not spend its turns to look.
  return claim !== undefined && isDesired(goal.desired, claim.address)
    ? prepare(state, claim, now)
    : observe(state, now);
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
  // The connection that was made right after the write may belong to the public address of before.
  if (phase.at === "holding") return observe(state, now, goal.desired, true);
  return phase.at === "reading back"
    ? observe(state, now, only(phase.intent.address))
    : observe(state, now);
}

/** What has to be asked: nothing that the rule does not need, nothing that is known, and all of it at once. */
function questionOf(
  { goal, memory, phase }: State,
  desired: DesiredAddress,
  now: number,
): Question {
  const { target } = goal;
  const displaced = questionAbout(memory.displacement, desired);
  const takeover = takeoverOf(goal, memory);
  const isPool = goal.desired.kind === "pool";
  // Whether a write shows is told by the association; if it is somebody else's then, that is looked at by itself.
  const isReadBack = phase.at === "reading back";
  const needsStates = !isReadBack && (isPool || takeover === "newest" || takeover === "if-gone");
  const recent = Object.entries(memory.facts).filter(
    ([, facts]) => now - facts.askedAt <= FACTS_MS,
  );
  const self = recent.find(([id]) => id === target.instanceId)?.[1];
  const launched = { instanceId: target.instanceId, launchedAt: self?.launchedAt };
  // Whoever is ending goes on ending. When an older instance was launched decides only between running ones, and it stays
  // the older one for as long as it takes to stop and to start it.
  const isKnown = ([instanceId, { state, launchedAt }]: (typeof recent)[number]) =>
    state === "shutting-down" ||
    state === "terminated" ||
    (takeover === "newest" &&
      !isPool &&
      (state === "running" || state === "pending") &&
      wasLaunchedBefore({ instanceId, launchedAt }, launched));
  const known = Object.fromEntries(
    recent.filter((one) => one[0] === target.instanceId || isKnown(one)),
  );
  const { holder } = memory;
  // What this run has put here is expected to be here.
  const isExpected = phase.at === "observing" && !isPool && holder !== undefined;
  const alongside = needsStates && isExpected && !(holder in known) ? [holder] : [];
  // Whoever always takes needs no states, but may be a member of a warm pool.
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

/** Two that always take would go on for ever: once this boot has written, the newest has it. */
function takeoverOf({ takeover }: Goal, { lastWriteAt }: Memory): Takeover {
  return takeover === "always" && lastWriteAt !== undefined ? "newest" : takeover;
}

function onObserved(before: State, answer: TimedObservation, now: number): Step {
  const { state, seen } = learn(before, answer);
  const { phase } = state;
  switch (phase.at) {
    case "observing":
      return decideOn(state, seen, now);
    case "holding":
      return decideOn(observing(state), seen, now);
    case "reading back":
      return onReadBack(state, phase, seen, now);
    case "reading probe":
      return onReadProbe(state, phase, seen, now);
    default:
      throw outOfTurn("observed", phase);
  }
}

/** What an observation tells about what this run has done before. */
function learn(before: State, answer: TimedObservation): { state: State; seen: TimedObservation } {
  const { target } = before.goal;
  const { accepted: was, ...memory } = before.memory;
  const isElsewhere = answer.addresses.some(
    (address) => address.allocationId === was && !isHeldBySelf(address, target),
  );
  const accepted = isElsewhere ? undefined : was;
  const addresses = answer.addresses.map((address) =>
    address.allocationId === accepted ? locatedAt(target, address) : address,
  );
  const seen: TimedObservation = { ...answer, addresses };
  const { displacement, certain } = afterObservation(memory.displacement, seen, target);
  const [first] = addresses;
  const holder =
    first?.holder.kind === "instance" && !isHeldBySelf(first, target)
      ? first.holder.instanceId
      : memory.holder;
  const described = Object.entries(answer.instances ?? {}).map(([id, facts]) => [
    id,
    { ...facts, askedAt: answer.askedAt },
  ]);
  const state: State = {
    ...before,
    memory: {
      ...memory,
      ...(accepted !== undefined && { accepted }),
      ...(answer.group !== undefined &&
        memory.group === undefined && { group: { name: answer.group, since: answer.askedAt } }),
      ...(holder !== undefined && { holder }),
      facts: { ...memory.facts, ...(Object.fromEntries(described) as Memory["facts"]) },
      displacement,
    },
  };
  return { state: certain ? warn(state, displacedLine(certain, target)) : state, seen };
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
      lookedAt: now,
      mayBeHere: false,
      shown: undefined,
    });
    return fail(elsewhere, new Failure("held", { why: choice.why }));
  }
  const { address, decision } = choice;
  const { allocationId, publicIp } = address;
  const state = remember(counted, {
    unknownSince,
    lookedAt: now,
    about: { ...before.memory.about, allocationId, ...(publicIp !== undefined && { publicIp }) },
    ...(!isHeldBySelf(address, goal.target) && { mayBeHere: false }),
  });
  // A hold that somebody else has interrupted begins anew; one whose look was not answered goes on.
  const { shown = { allocationId, since: now } } = before.memory;
  const isSame = shown.allocationId === allocationId;
  const here = isSame ? shown : { allocationId, since: now };
  const known = remember(state, { shown: decision.do === "settled" ? here : undefined });
  return carryOut(known, decision, seen, address, now);
}

/** The address that it is about, and what the rule says; or why there is none. */
function choiceOf(
  { goal, memory, attempt }: State,
  { addresses, date }: TimedObservation,
  unknownSince: Memory["unknownSince"],
  now: number,
): Choice {
  const { target, zone, desired, poolTakeover } = goal;
  const unknownForMs = ({ holder }: AddressState) =>
    holder.kind === "instance"
      ? now - (unknownSince[`${holder.state} ${holder.instanceId}`] ?? now)
      : 0;
  if (desired.kind === "pool") {
    const choice = choose(target, zone, addresses, poolTakeover, attempt.lostClaims, unknownForMs);
    return choice.address === undefined
      ? { why: `${choice.why} (${nameDesired(desired)})` }
      : choice;
  }
  const [address] = addresses;
  if (address === undefined)
    throw new Error(`an observation of ${desired.allocationId} without it`);
  const takeover = takeoverOf(goal, memory);
  const { selfLaunchedAt } = address;
  const isReplacement =
    memory.hasWritten !== true &&
    selfLaunchedAt !== undefined &&
    Math.abs(date - selfLaunchedAt) < REPLACEMENT_MS;
  const unknownMs = unknownForMs(address);
  const decision = decide(target, zone, address, takeover, unknownMs, isReplacement);
  return { address, decision };
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
        ? fail(state, notShownInService(name, decision.from))
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
      // An interface is without an instance for a while when that is being terminated.
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

/**
 * A warm-pool member whose state is not shown yet must not rob production: as long as it may be one, nothing is taken from
 * a running instance. What is nobody's may be had.
 */
function isPremature({ goal, memory }: State, from: PreviousHolder, now: number): boolean {
  return (
    from.kind === "instance" &&
    goal.isServiceUnknown === true &&
    memory.group !== undefined &&
    now - memory.group.since < SERVICE_UNKNOWN_MS &&
    // Who always takes has not asked for its state.
    (from.state === undefined || isLive(from)) &&
    from.instanceId !== goal.target.instanceId
  );
}

function notShownInService(name: string, from: PreviousHolder): Failure {
  return new Failure("held", {
    why: `held by ${nameHolder(from)}, and instance metadata does not show yet whether this instance is in service: ${name}`,
    remedy:
      "it is waited for a minute; allow autoscaling:DescribeAutoScalingInstances to have it at once",
  });
}

/**
 * It is where it belongs. That is the end, unless a write of this boot may not have come to its end, or instance
 * metadata does not agree: then it has to be shown here again after the hold.
 */
function onSettled(state: State, seen: TimedObservation, address: AddressState, now: number): Step {
  const { goal, memory, attempt } = state;
  const { write, lastWriteAt, shown } = memory;
  const shownSince = shown?.since ?? now;
  const { allocationId, publicIp } = address;
  // What instance metadata cannot show says nothing about whether traffic arrives.
  if (goal.force && address.isForeign !== true && write === undefined && !attempt.isForced) {
    const intent: Intent = { seen, address, write: { change: "renewed" } };
    return prepare(inAttempt(state, { isForced: true }), intent, now);
  }
  // Counted to when it was asked: an answer that took long shows what was then.
  const isRecent = lastWriteAt !== undefined && seen.askedAt - lastWriteAt < SUSPECT_MS;
  const isDenied =
    publicIp !== undefined && publicIp !== goal.target.publicIp && address.isForeign !== true;
  const isHeld = seen.askedAt - shownSince >= HOLD_MS;
  if (!isHeld && !goal.dryRun && (write !== undefined || isRecent || isDenied)) {
    const step = `holding ${nameAddress(allocationId, publicIp)}`;
    return sleep({ ...state, phase: { at: "holding" } }, shownSince + HOLD_MS - now, step);
  }
  return end(state, { end: "settled", ...(write ?? { change: "none" }) });
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
      : ipToDisplace(target, publicIp, memory.displacement);
  if (there === undefined) {
    return attempt.refusal ? fail(state, attempt.refusal) : commit(state, intent, undefined, now);
  }

  const by = { allocationId, ...(publicIp !== undefined && { publicIp }) };
  // Where it may be displaced, the observation after the write tells what it was, if EC2 lets us see.
  const isToldLater = publicIp !== undefined && intent.seen.direct && !attempt.refusal;
  if (mayDisplace && !dryRun && isToldLater) {
    return commit(state, intent, { publicIp: there, by }, now);
  }
  if (attempt.identified === undefined) {
    return {
      state: { ...state, phase: { at: "identifying", intent } },
      effect: { do: "identify", publicIp: there, step: `looking at ${there}` },
    };
  }
  const { elasticIp } = attempt.identified;
  if (elasticIp === undefined) {
    // Nothing that could have been in the way stands there: somebody else has it, whom EC2 does not show yet.
    return attempt.refusal ? fail(state, attempt.refusal) : commit(state, intent, undefined, now);
  }
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
  const { goal, memory, attempt } = before;
  const { seen, address, write } = intent;
  if (goal.dryRun) {
    const state = displaced?.elasticIp
      ? warn(before, wouldDisplaceLine(displaced.elasticIp, goal.target))
      : before;
    return end(state, { end: "would", ...write });
  }
  const isTake = write.change === "taken" || attempt.refusal !== undefined;
  const age = now - seen.askedAt;
  let state = before;
  if ((isTake || write.change === "renewed") && age > FRESH_MS) {
    const shown = holderKey(address);
    const looks = attempt.stale.shown === shown ? attempt.stale.looks + 1 : 1;
    state = inAttempt(state, { stale: { looks, shown } });
    if (looks < STALE_LOOKS) return observe(observing(state), now);
    const name = nameAddress(address.allocationId, address.publicIp);
    state = warn(
      state,
      `EC2 takes ${seconds(age)} to show who holds ${name}: it is taken on what was shown ${looks} times in a row`,
    );
  }
  return {
    state: {
      ...inAttempt(state, { stale: NO_ATTEMPT.stale, refusal: undefined }),
      // Whatever interrupts it now, the address may be here.
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
          hasWritten: true,
        }),
        phase,
        undefined,
        now,
      );
    case "probing": {
      const { elasticIpHere, intent } = phase;
      const reading: Phase = { at: "reading probe", elasticIpHere, reads: 0 };
      const { allocationId } = intent.address;
      const known = remember(withoutLastWrite(state, phase.before), { accepted: allocationId });
      return observe({ ...known, phase: reading }, now);
    }
    default:
      throw outOfTurn("accepted", phase);
  }
}

function onFailed(state: State, failure: Failure, now: number): Step {
  const { phase } = state;
  switch (phase.at) {
    case "writing":
      return onWriteFailed(state, phase, ofWrite(failure), now);
    case "probing": {
      // Not answered, it may have associated the address after all, and is held like that.
      if (isUnanswered(failure)) return fail(state, ofWrite(failure));
      const known = withoutLastWrite(state, phase.before);
      // Refused: it is elsewhere on this instance.
      return failure.kind === "held"
        ? prepare(inAttempt(known, { isElsewhere: true }), phase.intent, now)
        : fail(known, ofWrite(failure));
    }
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
  if (isUnanswered(failure)) {
    // Nothing shows whether an association was made anew if the answer does not say so.
    const isKnown = intent.write.change !== "renewed";
    const known = isKnown ? remember(before, { write: intent.write }) : before;
    return afterWriting(known, phase, failure, now);
  }
  const state = remember(withoutLastWrite(before, phase.before), {
    mayBeHere: false,
    written: phase.before.written,
  });
  const { goal, attempt } = state;
  const isPool = goal.desired.kind === "pool";
  if (failure.kind === "held") {
    const { publicIp } = intent.address;
    const there = ipToDisplace(goal.target, publicIp, state.memory.displacement);
    if (!isPool || (there !== undefined && attempt.refusal === undefined)) {
      return readBack(state, { at: "reading back", intent, failure, reads: 0 }, now);
    }
    const lostClaims = [...state.attempt.lostClaims, intent.address.allocationId];
    return decideOn(inAttempt(observing(state), { lostClaims }), intent.seen, now);
  }
  if (failure.kind === "throttled" && intent.write.change === "associated" && !isPool) {
    return fail(remember(state, { claim: intent }), failure);
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
  const described = certain ? warn(state, displacedLine(certain, state.goal.target)) : state;
  return readBack(described, reading, now);
}

// --- Reading back ---

/** Over a new connection, because the answer to a write proves nothing. */
function readBack(state: State, phase: Phase & { at: "reading back" }, now: number): Step {
  return observe({ ...state, phase }, now, only(phase.intent.address), true);
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
  const shown = seen.addresses.find((one) => one.allocationId === allocationId);
  const isAsBefore = shown !== undefined && holderKey(shown) === holderKey(intent.address);
  if (isAsBefore && intent.write.change !== "renewed") {
    const isUnsure = failure !== undefined || state.memory.isUnshown === true;
    const ms = (isUnsure ? READ_BACK_UNSURE_MS : READ_BACK_MS)[phase.reads + 1];
    if (ms !== undefined) {
      return sleep({ ...state, phase: { ...phase, reads: phase.reads + 1 } }, ms);
    }
    const there = ipToDisplace(target, shown.publicIp, state.memory.displacement);
    const isRefusedAsFree = failure?.kind === "held" && isFree(shown);
    if (isRefusedAsFree && there !== undefined && state.attempt.refusal === undefined) {
      // Not the address may be taken, but the place: that is looked into, and it is associated on a fresh observation.
      return observe(observing(inAttempt(state, { refusal: failure })), now, only(shown));
    }
    return fail(
      remember(state, { isUnshown: failure === undefined || undefined }),
      notShown(state, phase),
    );
  }
  const isHere = shown !== undefined && isHeldBySelf(shown, target);
  if (!isHere) return observe(observing(remember(state, { mayBeHere: false })), now);
  const known = remember(state, { written: "shown", hasWritten: true, isUnshown: undefined });
  return decideOn(observing(known), seen, now);
}

function notShown(state: State, { intent, failure }: Phase & { at: "reading back" }): Failure {
  const step = writingStep(state, intent);
  if (failure?.kind === "held" && !intent.seen.direct) {
    const remedy =
      "something that this role may not see holds it: allow ec2:DescribeAddresses to find out what";
    return new Failure("held", { ...failure.details, remedy }, step);
  }
  const why = "EC2 has accepted it and does not show it";
  return failure ?? new Failure("not-yet", { why, code: OWN_CODE.notShown, isWrite: true }, step);
}

/** What EC2 refuses, loses or does not show is not asked for again at once: see reconcile/retry.ts. */
function ofWrite({ kind, details, step }: Failure): Failure {
  return new Failure(kind, { ...details, isWrite: true }, step);
}

// --- Probing ---

/**
 * This instance holds the address, among several Elastic IPs, and EC2 does not say at which place: associating it at
 * the target without taking it changes nothing if it is there, and is refused if it is not.
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

/** An old answer still shows what was at the target before: while EC2 and instance metadata do not agree, EC2 is asked again. */
function onReadProbe(
  before: State,
  phase: Phase & { at: "reading probe" },
  seen: TimedObservation,
  now: number,
): Step {
  const { goal, memory } = before;
  const own = seen.addresses.filter((address) => isHeldBySelf(address, goal.target));
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

function lastWriteOf({ lastWriteAt }: Memory): Pick<Memory, "lastWriteAt"> {
  return lastWriteAt === undefined ? {} : { lastWriteAt };
}

/** The last write has changed nothing: the one before it counts. */
function withoutLastWrite(state: State, { lastWriteAt: at }: Pick<Memory, "lastWriteAt">): State {
  const { lastWriteAt: _, ...memory } = state.memory;
  return { ...state, memory: { ...memory, ...(at !== undefined && { lastWriteAt: at }) } };
}

function isDesired(desired: DesiredAddress, { allocationId }: AddressState): boolean {
  return desired.kind === "address" && desired.allocationId === allocationId;
}

function only({ allocationId }: AddressState): DesiredAddress {
  return { kind: "address", allocationId };
}

function writingStep({ goal }: State, { address }: Intent): string {
  const { allocationId, publicIp } = address;
  return `associating ${nameAddress(allocationId, publicIp)} with ${goal.target.instanceId}`;
}

/** Since when EC2 denies knowing each holder, or does not answer for it. */
function unknownHolders(
  { unknownSince, lookedAt }: Memory,
  { addresses }: TimedObservation,
  now: number,
): Memory["unknownSince"] {
  // What was not looked at in between is not known to have been so all the time.
  const isGap = lookedAt !== undefined && now - lookedAt > FACTS_MS;
  const since = isGap ? {} : { ...unknownSince };
  for (const { holder } of addresses) {
    if (holder.kind !== "instance") continue;
    const { instanceId, state } = holder;
    for (const doubt of ["unknown", "unanswered"]) {
      if (state === doubt) since[`${doubt} ${instanceId}`] ??= now;
      else delete since[`${doubt} ${instanceId}`];
    }
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

/** The association, where EC2 shows it, else who holds the address and where: does a write show? */
function holderKey({ holder, elasticIpHere = "" }: AddressState): string {
  if (holder.kind !== "instance") return JSON.stringify(holder);
  const { associationId = "", instanceId, interfaceId = "", privateIp = "" } = holder;
  return [associationId, instanceId, interfaceId, privateIp, elasticIpHere].join(" ");
}
