/** What a run comes to, as data: how it ended, what it found out, and what has become of the launch hook. */
import type { ExitStatus, Failure } from "./failure.ts";
import type { Previous } from "./address.ts";

/** What a run has found out, as far as it came. */
export interface Facts {
  readonly instanceId?: string;
  readonly region?: string;
  /** The target of this instance's transition in its Auto Scaling group; absent outside one. */
  readonly lifecycleState?: string;
  readonly allocationId?: string;
  readonly publicIp?: string;
  readonly interfaceId?: string;
  readonly privateIp?: string;
}

/** What was done to the address: nothing, given to us while free, associated anew where it was, or taken from elsewhere. */
export type Change =
  | { readonly change: "none" }
  | { readonly change: "associated" }
  | { readonly change: "renewed" }
  | { readonly change: "taken"; readonly from: Previous };

/** Why there is nothing to do. */
export type Idle = "not-in-service" | "not-configured" | "not-holder" | "resting";

export type End =
  /** EC2 shows the address at its place here. */
  | ({ readonly end: "settled" } & Change)
  /** A dry run: what a real one would do. */
  | ({ readonly end: "would" } & Change)
  /** There is rightly nothing to do. */
  | { readonly end: "idle"; readonly because: string; readonly why: Idle }
  /** The address was given up on purpose, or is about to be. */
  | { readonly end: "released"; readonly name: string; readonly isUnderWay?: true }
  | {
      readonly end: "failed";
      readonly failure: Failure;
      readonly status: ExitStatus;
      /** It was waited for until its patience was over. */
      readonly isWaitedOut?: true;
      /** EC2 has accepted the address at its place here, or not answered, and not shown it elsewhere since. */
      readonly isPlaced?: boolean;
    }
  /** Somebody ended the run. */
  | { readonly end: "stopped"; readonly because: string };

export type Outcome = End & {
  readonly facts: Facts;
  readonly tries: number;
  /** Milliseconds from start to end. */
  readonly ms: number;
  /** When EC2 was asked last, or asked to change something, in milliseconds of the run's clock; absent: not at all. */
  readonly asOf?: number | undefined;
  /** What has become of the launch hook, if one was to be completed. */
  readonly hook?: HookEnd;
};

/** How a lifecycle action is completed: on into service, or terminate and replace the instance. */
export type HookResult = "CONTINUE" | "ABANDON";

/** What has become of the hook. */
export type HookEnd = {
  /** Of the hook. */
  readonly name: string;
  /** Of the Auto Scaling group, if it came to be known. */
  readonly group?: string;
} & (
  | {
      readonly end: "completed";
      readonly result: HookResult;
      /** An answer was lost, and then there was nothing to be completed: any more, or had there never been? */
      readonly unsure?: true;
    }
  /** This instance did not wait under the hook: it has been in service before, or the hook has timed out. */
  | { readonly end: "not-waiting" }
  /** It was not for this run to complete it. */
  | { readonly end: "left"; readonly because: string }
  /** Somebody ended the run before it was completed. */
  | { readonly end: "stopped"; readonly result: HookResult; readonly because: string }
  /** A dry run: what a real one would do. */
  | { readonly end: "would"; readonly result: HookResult }
  | {
      readonly end: "failed";
      readonly result: HookResult;
      readonly failure: Failure;
      readonly status: ExitStatus;
    }
);
