/**
 * The data of the state machine: goal, memory, phase, events in, effects out. Plain data, with the few functions that
 * change it.
 */
import {
  type AddressState,
  type DesiredAddress,
  type ElasticIp,
  type FixedAddress,
  type InstanceFacts,
  isNameOf,
  nameAddress,
  type Observation,
} from "../model/address.ts";
import { Failure } from "../model/failure.ts";
import type { Change, End } from "../model/outcome.ts";
import type { Target } from "../model/target.ts";
import { type Displaced, type Displacement, NOTHING_DISPLACED } from "./displacement.ts";
import type { Takeover } from "./ownership.ts";
import type { PoolTakeover } from "./pool.ts";

/** What an attempt should achieve, and what it is allowed to do. */
export interface Goal {
  readonly target: Target;
  /** Availability Zone of this instance. */
  readonly zone: string;
  readonly desired: DesiredAddress;
  readonly takeover: Takeover;
  readonly poolTakeover: PoolTakeover;
  /** Whether another Elastic IP at the target may be displaced. */
  readonly mayDisplace: boolean;
  /** The further addresses of this instance, each of which a run of its own brings to its place. */
  readonly others?: readonly OtherAddress[];
  /** It is not known yet whether this instance is in service, should it be in a group: nothing is taken from a live instance. */
  readonly isServiceUnknown?: boolean;
  /** Do everything except the write. */
  readonly dryRun: boolean;
  /** Associate once even if EC2 already shows the address here. */
  readonly force: boolean;
}

/** Another one of several addresses of this instance, and its name in the setting or the tag. */
export interface OtherAddress {
  readonly name: string;
  readonly address: FixedAddress;
}

/** The name of this address if it is another one of this instance. */
function otherOwn(
  { others = [] }: Pick<Goal, "others">,
  address: Partial<ElasticIp>,
): string | undefined {
  const { allocationId = "", publicIp = "" } = address;
  return others.find((one) => isNameOf(one.address, { allocationId, publicIp }))?.name;
}

/** The failure if another name in the list of this instance's addresses is that of the same address. */
export function namedTwice(own: Pick<Goal, "others">, address: AddressState): Failure | undefined {
  const twin = otherOwn(own, address);
  if (twin === undefined) return undefined;
  return new Failure("misconfigured", {
    why: `${nameAddress(address.allocationId, address.publicIp)} is named twice, also by ${twin}`,
    remedy: "name it once, where it belongs",
  });
}

/** Whether this Elastic IP is another one of this instance: nothing is lost if it is displaced. */
export function isOwn(goal: Pick<Goal, "others">, elasticIp: ElasticIp): boolean {
  return elasticIp.isOwn === true || otherOwn(goal, elasticIp) !== undefined;
}

/** The allocation ids of this instance's addresses, if there are several; none is known of one that goes by another name. */
export function ownIds(
  { others = [] }: Pick<Goal, "others">,
  allocationId: string,
): readonly string[] {
  const more = others.flatMap(({ address }) =>
    address.kind === "address" ? [address.allocationId] : [],
  );
  return more.length === 0 ? [] : [allocationId, ...more];
}

/** A change that this run makes. */
export type Write = Exclude<Change, { change: "none" }>;

/**
 * What came of the writes of an attempt: none was sent, or none with effect; one was accepted or left unanswered; EC2 has
 * shown its effect.
 */
export type Written = "no" | "perhaps" | "shown";

/** What outlives an attempt: times, what the run itself has done, and facts that do not change within seconds. */
export interface Memory {
  /** What the run has done, for its report and for the hold. */
  readonly write?: Write;
  /** Whether a write may have succeeded since the last failure, which then does not explain how the run ends. */
  readonly written: Written;
  /** Allocation id of the address that EC2 accepted at the target, until EC2 shows it elsewhere. */
  readonly accepted?: string;
  /**
   * A claim of a free address that EC2 throttled. It is sent again without a new look: EC2 refuses it if somebody else has
   * claimed the address.
   */
  readonly throttledClaim?: Intent | undefined;
  /** EC2 accepted the last write but did not show its effect. The next read-back then takes less time. */
  readonly isUnshown?: true | undefined;
  /** The address may be at the target: a write was accepted or left unanswered, and EC2 has not shown it elsewhere since. */
  readonly mayBeHere: boolean;
  /** When the last write of this boot was sent, by this run or an earlier one, in milliseconds of the reconciler's clock (run/loop.ts). */
  readonly lastWriteAt?: number;
  /** EC2 has accepted a write of this boot, shown its effect, or shown elsewhere what one without an answer may have moved. */
  readonly wroteThisBoot?: boolean;
  /** The address that EC2 has shown here since the last write, and since when without interruption. */
  readonly shown?: { readonly allocationId: string; readonly since: number } | undefined;
  /**
   * Since when EC2 has said that a holder does not exist, or not answered for it, in milliseconds of the reconciler's clock (run/loop.ts). By
   * state and instance id: `unknown i-1`.
   */
  readonly unknownSince: Readonly<Record<string, number>>;
  /** When EC2 last showed holders. */
  readonly holdersSeenAt?: number;
  /** What EC2 has told about instances, by id. */
  readonly facts: Readonly<Record<string, KnownFacts>>;
  /** The Auto Scaling group of this instance, and since when that is known without its lifecycle state being known. */
  readonly group?: { readonly name: string; readonly since: number };
  /** The other instance that EC2 last showed as the holder. */
  readonly lastHolder?: string;
  readonly displacement: Displacement;
  /** It was logged that further addresses carry the tag of this one. */
  readonly isAlikeTold?: true;
  /** The address of the last decision, for the report. */
  readonly decidedOn?: { readonly allocationId: string; readonly publicIp?: string };
}

/** What EC2 told about an instance, and when it was asked, in milliseconds of the reconciler's clock (run/loop.ts). */
export interface KnownFacts extends InstanceFacts {
  readonly askedAt: number;
}

export const NOTHING_DONE: Memory = {
  written: "no",
  mayBeHere: false,
  unknownSince: {},
  facts: {},
  displacement: NOTHING_DISPLACED,
};

/** An observation, and when EC2 was asked, in milliseconds of the reconciler's clock (run/loop.ts). */
export interface TimedObservation extends Observation {
  readonly askedAt: number;
  /** Wall-clock time, in milliseconds since the epoch. */
  readonly date: number;
}

/** A write that was decided on, and the observation that it relies on. */
export interface Intent {
  readonly seen: TimedObservation;
  readonly address: AddressState;
  readonly write: Write;
}

/** What the machine is waiting for, with what it needs to continue. */
export type Phase =
  | { readonly at: "observing" }
  /** The address is here, and has to be here still after HOLD_MS. */
  | { readonly at: "holding" }
  /** Asking EC2 whether the public address at the target is an Elastic IP that the write would displace. */
  | { readonly at: "identifying"; readonly intent: Intent }
  | {
      readonly at: "writing";
      readonly intent: Intent;
      readonly displaced?: Displaced;
      /** The memory before this write, which is restored if EC2 refuses it. */
      readonly before: Pick<Memory, "written" | "lastWriteAt">;
    }
  /** Waiting for EC2 to show the write; with a `failure` the write itself was refused or left unanswered. */
  | {
      readonly at: "reading back";
      readonly intent: Intent;
      readonly failure?: Failure;
      readonly reads: number;
    }
  /** This instance holds the address, but EC2 does not show where: the write is refused if it is not at the target. */
  | {
      readonly at: "probing";
      readonly intent: Intent;
      readonly elasticIpHere: string;
      readonly before: Pick<Memory, "lastWriteAt">;
    }
  | { readonly at: "reading probe"; readonly elasticIpHere: string; readonly reads: number };

/** What is known within this attempt only. */
export interface Attempt {
  readonly decisions: number;
  /** The address was associated again, as `force` demands. */
  readonly isForced: boolean;
  /** How many observations in a row were too old to rely on for a take, and the holder that they showed. */
  readonly stale: { readonly looks: number; readonly shown: string };
  /** EC2 refused a claim although it shows the address as free; another Elastic IP at the target may be why. */
  readonly refusal?: { readonly allocationId: string; readonly failure: Failure } | undefined;
  /** Such a claim was sent again with AllowReassociation. Once is enough: if that is refused too, the place is not why. */
  readonly wasSentAgain?: true;
  /** A probe was refused: the address is on another interface of this instance. */
  readonly isElsewhere: boolean;
  /** Allocation ids of claims that others won. */
  readonly lostClaims: readonly string[];
  /** The Elastic IP at the target, once EC2 was asked for it. */
  readonly identified?: { readonly elasticIp: ElasticIp | undefined };
}

export const NO_ATTEMPT: Attempt = {
  decisions: 0,
  isForced: false,
  stale: { looks: 0, shown: "" },
  isElsewhere: false,
  lostClaims: [],
};

export interface State {
  readonly goal: Goal;
  readonly memory: Memory;
  readonly attempt: Attempt;
  readonly phase: Phase;
  /** To be logged now. */
  readonly warnings: readonly string[];
}

/** The result of an effect; `now` and `askedAt` are milliseconds of the reconciler's clock (run/loop.ts). */
export type Event =
  | {
      readonly type: "observed";
      readonly observation: Observation;
      readonly askedAt: number;
      /** Wall-clock time, in milliseconds since the epoch. */
      readonly date: number;
      readonly now: number;
    }
  | { readonly type: "identified"; readonly elasticIp: ElasticIp | undefined; readonly now: number }
  | { readonly type: "accepted"; readonly now: number }
  | { readonly type: "failed"; readonly failure: Failure; readonly now: number }
  | { readonly type: "slept"; readonly now: number };

/** What an observation has to find out about holders. */
export interface Question {
  /** The rule needs their states and launch times. */
  readonly needsStates: boolean;
  /** Instances about which enough is known, by id. */
  readonly known: Readonly<Record<string, InstanceFacts>>;
  /** Find out this instance's Auto Scaling group if another instance is the holder; only without `needsStates`. */
  readonly needsGroup?: boolean;
  /** Ids of instances to describe in parallel with the address rather than after it. */
  readonly alongside: readonly string[];
  /** Whether `publicIp`, which was at the target before `by` was associated, is an Elastic IP. */
  readonly displaced?: { readonly publicIp: string; readonly by: string };
}

/** What to do next; `step` says so as a gerund phrase. */
export type Effect =
  | {
      readonly do: "observe";
      readonly desired: DesiredAddress;
      /** Use a new connection: the old one may have broken when our public address changed. */
      readonly reconnect: boolean;
      readonly question: Question;
      readonly step: string;
    }
  | {
      readonly do: "identify";
      readonly publicIp: string;
      /** The allocation ids of this instance's addresses, if there are several. */
      readonly own: readonly string[];
      readonly step: string;
    }
  | {
      readonly do: "associate";
      readonly allocationId: string;
      /** AllowReassociation: true takes the address from whoever holds it. */
      readonly reassociate: boolean;
      /** False for a probe, which cannot move the address. */
      readonly isMove: boolean;
      readonly step: string;
    }
  /** Without a step, sleeping is part of the step before it. */
  | { readonly do: "sleep"; readonly ms: number; readonly step?: string }
  | { readonly do: "end"; readonly end: End }
  | { readonly do: "fail"; readonly failure: Failure };

export interface Step {
  readonly state: State;
  readonly effect: Effect;
}

/** The state, waiting for an observation to decide on. */
export function observing(state: State): State {
  return { ...state, phase: { at: "observing" } };
}

/** Changes what outlives the attempt. */
export function remember(state: State, changes: Partial<Memory>): State {
  return { ...state, memory: { ...state.memory, ...changes } };
}

/** Changes what is known within this attempt only. */
export function inAttempt(state: State, changes: Partial<Attempt>): State {
  return { ...state, attempt: { ...state.attempt, ...changes } };
}

/** Has a line logged before the next effect. */
export function warn(state: State, line: string): State {
  return { ...state, warnings: [...state.warnings, line] };
}

/** @param ms milliseconds; less than 0 counts as 0 */
export function sleep(state: State, ms: number, step?: string): Step {
  return {
    state,
    effect: { do: "sleep", ms: Math.max(0, ms), ...(step !== undefined && { step }) },
  };
}

/** Ends the attempt with a result. */
export function end(state: State, end: End): Step {
  return { state, effect: { do: "end", end } };
}

/** Ends the attempt with a failure, which may be retried. */
export function fail(state: State, failure: Failure): Step {
  return { state, effect: { do: "fail", failure } };
}
