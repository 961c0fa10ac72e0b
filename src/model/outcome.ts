/** The outcome of a run as data: how it ended, what it found out, and what became of the lifecycle hook. */
import type { ExitStatus, Failure } from "./failure.ts";
import type { PreviousHolder } from "./address.ts";

/** What a run has found out by the time it ends. */
export interface Facts {
  readonly instanceId?: string;
  readonly region?: string;
  /** Auto Scaling's target lifecycle state of this instance; absent outside a group. */
  readonly lifecycleState?: string;
  readonly allocationId?: string;
  readonly publicIp?: string;
  readonly interfaceId?: string;
  readonly privateIp?: string;
}

/**
 * What the run did to the address: nothing, associated it while it was free, associated it again where it already was, or
 * took it from another holder.
 */
export type Change =
  | { readonly change: "none" }
  | { readonly change: "associated" }
  | { readonly change: "renewed" }
  | { readonly change: "taken"; readonly from: PreviousHolder };

/** Why there is nothing to do. */
export type IdleReason = "not-in-service" | "not-configured" | "not-holder" | "resting";

export type End =
  /** EC2 shows the address at the target. */
  | ({ readonly end: "settled" } & Change)
  /** A dry run: what a real run would do. */
  | ({ readonly end: "would" } & Change)
  /** Nothing needs doing. */
  | { readonly end: "idle"; readonly because: string; readonly why: IdleReason }
  /** The address was released on purpose, or is about to be. */
  | { readonly end: "released"; readonly name: string; readonly isUnderWay?: true }
  | {
      readonly end: "failed";
      readonly failure: Failure;
      readonly status: ExitStatus;
      /** The run waited for this cause to go away until its patience ran out. */
      readonly isWaitedOut?: true;
      /** The address may be at the target: EC2 accepted the write or did not answer, and has not shown it elsewhere since. */
      readonly isPlaced?: boolean;
    }
  /** Somebody stopped the run. */
  | { readonly end: "stopped"; readonly because: string };

export type Outcome = End & {
  readonly facts: Facts;
  readonly tries: number;
  /** Milliseconds from start to end. */
  readonly ms: number;
  /** When EC2 was last sent a request that this outcome rests on, in milliseconds of the run's clock; absent: never. */
  readonly asOf?: number | undefined;
  /** The same by the clock of the reconciler, which goes on while this machine is suspended: what tells how old it is. */
  readonly seenAt?: number | undefined;
  /** What became of the lifecycle hook, if one is configured. */
  readonly hook?: HookEnd;
  /** Of several addresses: what became of each. The rest is then as model/each.ts has put it together. */
  readonly each?: readonly OfEntry[];
};

/** What became of one of several addresses. */
export interface OfEntry {
  /** As it is named in the setting or the tag: `eipalloc-2@1`. */
  readonly name: string;
  readonly outcome: Outcome;
}

/** LifecycleActionResult: let the instance go into service, or terminate and replace it. */
export type HookResult = "CONTINUE" | "ABANDON";

/** What became of the lifecycle hook. */
export type HookEnd = {
  /** The name of the hook. */
  readonly name: string;
  /** The Auto Scaling group, if it is known. */
  readonly group?: string;
} & (
  | {
      readonly end: "completed";
      readonly result: HookResult;
      /** An answer was lost, and the next request found no pending action: completed by the lost one, or never pending. */
      readonly unsure?: true;
    }
  /** There was no pending lifecycle action: the instance has been in service before, or the hook has timed out. */
  | { readonly end: "not-waiting" }
  /** This run had no reason to complete it. */
  | { readonly end: "left"; readonly because: string }
  /** Somebody stopped the run before it was completed. */
  | { readonly end: "stopped"; readonly result: HookResult; readonly because: string }
  /** A dry run: what a real run would do. */
  | { readonly end: "would"; readonly result: HookResult }
  | {
      readonly end: "failed";
      readonly result: HookResult;
      readonly failure: Failure;
      readonly status: ExitStatus;
    }
);
