/**
 * What the reconciler of one address works with: what it is to reach, what it remembers, what it waits for, what it
 * hears and what it has done. Plain data, with the few ways in which it changes.
 */
import type {
  AddressState,
  DesiredAddress,
  ElasticIp,
  InstanceFacts,
  Observation,
} from "../model/address.ts";
import type { Failure } from "../model/failure.ts";
import type { Change, End } from "../model/outcome.ts";
import type { Target } from "../model/target.ts";
import { type Displaced, type Displacement, NOTHING_DISPLACED } from "./displacement.ts";
import type { Takeover } from "./ownership.ts";
import type { PoolTakeover } from "./pool.ts";

/** What one attempt is to reach, and what it may do for it. */
export interface Goal {
  readonly target: Target;
  /** Availability zone of this instance. */
  readonly zone: string;
  readonly desired: DesiredAddress;
  readonly takeover: Takeover;
  readonly poolTakeover: PoolTakeover;
  /** May another Elastic IP be displaced at the target? */
  readonly mayDisplace: boolean;
  /** Is it in a group that does not show whether it is in service? Then nothing is taken from whoever may be. */
  readonly isServiceUnknown?: boolean;
  /** Do everything but the write. */
  readonly dryRun: boolean;
  /** Associate once even if EC2 shows the address here already. */
  readonly force: boolean;
}

/** A change that this run makes. */
export type Write = Exclude<Change, { change: "none" }>;

/** Not, or as far as EC2 has shown; in between it has accepted a write, or not answered. */
export type Written = "no" | "perhaps" | "shown";

/** What outlives an attempt: clocks, what the run itself has done, and facts that do not change within seconds. */
export interface Memory {
  /** What the run has done, for its report and for the hold. */
  readonly write?: Write;
  /** Whether a write may have succeeded since the last failure, which then does not explain how the run ends. */
  readonly written: Written;
  /** The allocation that EC2 has accepted at the target, until it shows it elsewhere. */
  readonly accepted?: string;
  /** A free address whose association EC2 has throttled: asked for again without a look, since EC2 refuses it if somebody was quicker. */
  readonly claim?: Intent | undefined;
  /** Has EC2 accepted the last write and not shown it? Then the next one is not waited for as long. */
  readonly isUnshown?: true | undefined;
  /** May the address be at the target: accepted or unanswered, and not shown elsewhere since? */
  readonly mayBeHere: boolean;
  /** When a write was sent last on this boot, by this run or an earlier one, in milliseconds of the run's clock. */
  readonly lastWriteAt?: number;
  /** Has EC2 accepted a write of this boot, or shown what one has done? */
  readonly hasWritten?: boolean;
  /** Which address EC2 has shown here, and since when without a break; from the last write on. */
  readonly shown?: { readonly allocationId: string; readonly since: number } | undefined;
  /** Since when EC2 has denied knowing a holder or not answered for it, in milliseconds of the run's clock. */
  readonly unknownSince: Readonly<Record<string, number>>;
  /** When EC2 has shown holders last. */
  readonly lookedAt?: number;
  readonly facts: Readonly<Record<string, KnownFacts>>;
  /** The Auto Scaling group that this instance is in, and since when that is known without its state being shown. */
  readonly group?: { readonly name: string; readonly since: number };
  /** The other instance that EC2 has shown as the holder last. */
  readonly holder?: string;
  readonly displacement: Displacement;
  /** Which address it is about, for the report. */
  readonly about?: { readonly allocationId: string; readonly publicIp?: string };
}

/** What EC2 has told of an instance, and when it was asked, in milliseconds of the run's clock. */
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

/** An observation, and when it was asked for. */
export interface TimedObservation extends Observation {
  readonly askedAt: number;
  /** Wall-clock time, in milliseconds since the epoch. */
  readonly date: number;
}

/** A write that was decided on, and what it rests on. */
export interface Intent {
  readonly seen: TimedObservation;
  readonly address: AddressState;
  readonly write: Write;
}

/** What the machine waits for, with what it needs to go on. */
export type Phase =
  | { readonly at: "observing" }
  /** The address is here, and has to be so after HOLD_MS. */
  | { readonly at: "holding" }
  /** Is what stands at the target an Elastic IP, so that the write would displace it? */
  | { readonly at: "identifying"; readonly intent: Intent }
  | {
      readonly at: "writing";
      readonly intent: Intent;
      readonly displaced?: Displaced;
      /** What was remembered before this write, which a refusal undoes. */
      readonly before: Pick<Memory, "written" | "lastWriteAt">;
    }
  /** Does EC2 show the write? `failure` is why that is not sure. */
  | {
      readonly at: "reading back";
      readonly intent: Intent;
      readonly failure?: Failure;
      readonly reads: number;
    }
  /** This instance holds the address, and EC2 does not show where: is it refused at the target? */
  | {
      readonly at: "probing";
      readonly intent: Intent;
      readonly elasticIpHere: string;
      readonly before: Pick<Memory, "lastWriteAt">;
    }
  | { readonly at: "reading probe"; readonly elasticIpHere: string; readonly reads: number };

/** What this attempt alone knows. */
export interface Attempt {
  readonly decisions: number;
  /** The association was made anew, as `force` asks. */
  readonly isForced: boolean;
  /** Observations in a row that were too old to take an address on, and what they showed. */
  readonly stale: { readonly looks: number; readonly shown: string };
  /** A claim was refused although EC2 shows the address as free: by whatever stands at the target, perhaps. */
  readonly refusal?: Failure | undefined;
  /** A probe was refused: the address is elsewhere on this instance. */
  readonly isElsewhere: boolean;
  /** Claims that somebody else was quicker with. */
  readonly lostClaims: readonly string[];
  /** The Elastic IP at the target, once that was asked. */
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
  /** What a person has to be told now. */
  readonly warnings: readonly string[];
}

/** What came of an effect; `now` and `askedAt` are milliseconds of the run's clock. */
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

/** What an observation is to tell of holders. */
export interface Question {
  /** Does the rule need their states and launch times? */
  readonly needsStates: boolean;
  /** Instances of which enough is known. */
  readonly known: Readonly<Record<string, InstanceFacts>>;
  /** Where states are not needed: is it to be told which Auto Scaling group this instance is in, if another one is the holder? */
  readonly needsGroup?: boolean;
  /** Instances to be asked about together with the address, and not after it. */
  readonly alongside: readonly string[];
  /** A public address that stood at the target before the one with that public address: is it an Elastic IP? */
  readonly displaced?: { readonly publicIp: string; readonly by: string };
}

/** What is to be done next; `step` says it in words, a gerund phrase. */
export type Effect =
  | {
      readonly do: "observe";
      readonly desired: DesiredAddress;
      /** On another connection: that of a write may have broken with the change of address. */
      readonly reconnect: boolean;
      readonly question: Question;
      readonly step: string;
    }
  | { readonly do: "identify"; readonly publicIp: string; readonly step: string }
  | {
      readonly do: "associate";
      readonly allocationId: string;
      /** AllowReassociation: true takes the address from whoever holds it. */
      readonly reassociate: boolean;
      /** May it move the address? A probe does not. */
      readonly isMove: boolean;
      readonly step: string;
    }
  /** Without a step, what was done before goes on. */
  | { readonly do: "sleep"; readonly ms: number; readonly step?: string }
  | { readonly do: "end"; readonly end: End }
  | { readonly do: "fail"; readonly failure: Failure };

export interface Step {
  readonly state: State;
  readonly effect: Effect;
}

export function observing(state: State): State {
  return { ...state, phase: { at: "observing" } };
}

export function remember(state: State, more: Partial<Memory>): State {
  return { ...state, memory: { ...state.memory, ...more } };
}

export function inAttempt(state: State, more: Partial<Attempt>): State {
  return { ...state, attempt: { ...state.attempt, ...more } };
}

export function warn(state: State, line: string): State {
  return { ...state, warnings: [...state.warnings, line] };
}

export function sleep(state: State, ms: number, step?: string): Step {
  return {
    state,
    effect: { do: "sleep", ms: Math.max(0, ms), ...(step !== undefined && { step }) },
  };
}

export function end(state: State, end: End): Step {
  return { state, effect: { do: "end", end } };
}

export function fail(state: State, failure: Failure): Step {
  return { state, effect: { do: "fail", failure } };
}
