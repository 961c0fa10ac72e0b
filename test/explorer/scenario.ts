/** What a world is like: who is there, what holds what, and what may happen. */
import type { Takeover } from "../../src/reconcile/ownership.ts";
import type { PoolTakeover } from "../../src/reconcile/pool.ts";
import type { Machine } from "./agent.ts";

/** Instances that run no agent: J and K were launched before all claimants, Z after them. */
export const PASSIVE = ["J", "K", "Z"] as const;

export interface Scenario {
  /** Claimants: A was launched first, then B, C. */
  readonly claimants: number;
  /** Who holds each address at the start. "the newest" claimant is stopped then, and is started some time. */
  readonly holders: readonly ("nobody" | (typeof PASSIVE)[number] | "the newest")[];
  /** The addresses are a pool. */
  readonly pool?: PoolTakeover;
  /** Of each claimant in turn; the last one's counts for those after it. */
  readonly takeover?: readonly Takeover[];
  /** Seconds that a write takes at most. */
  readonly flight?: number;
  /** Seconds by which what EC2 shows of addresses may be behind. */
  readonly lag?: number;
  /** Attempts of a run: one more than the first, unless said otherwise. */
  readonly tries?: number;
  /** Does a run look again every few seconds, as often as it takes, while somebody else may keep the address? */
  readonly isPatient?: boolean;
  /** Do so many answers take too long that an address is taken on an old one? That is beyond the bounds. */
  readonly isSlow?: boolean;
  /** After everything is over each success is looked at once more, as eip-heal-confirm.timer does. */
  readonly isConfirmed?: boolean;
  /** EC2 does not know the newest claimant for so many seconds, but for itself. */
  readonly unknownFor?: number;
  /** EC2 does not answer for J: its zone is down. */
  readonly isUnanswered?: boolean;
  /** Claimants, from A on, that were launched long ago and are booted once more. */
  readonly rebooted?: number;
  /** The newest is in a group, and metadata shows within so many seconds whether it is in service; 0: never. */
  readonly shownWithin?: number;
  /** Every answer to a question is there within so many seconds, and who sleeps wakes up in time; else nothing bounds either. */
  readonly answeredWithin?: number;
  /** Another Elastic IP is at the place of each claimant: "strict" if EC2 then refuses AllowReassociation=false. */
  readonly taken?: "lax" | "strict";
  /** Claimants, from the newest on, that may not displace it. */
  readonly considerate?: number;
  /** How often what may happen does at most. */
  readonly atMost?: Partial<Incidents>;
  /** The reconciler, broken on purpose. */
  readonly machine?: Machine;
  /** Runs know nothing of writes before them: broken on purpose. */
  readonly isForgetful?: boolean;
}

/** What may happen at any moment. */
export interface Incidents {
  /** J shuts down, and lets go of what it holds when it is terminated. */
  readonly deaths: number;
  /** The answer to a write is lost, or the write itself. */
  readonly losses: number;
  /** A run is killed; systemd starts another one sooner or later. */
  readonly kills: number;
  /** A run that is over is started again: systemctl restart, a reboot without a stop. */
  readonly restarts: number;
}
