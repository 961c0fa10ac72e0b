/**
 * Whether a recheck has anything to do. Pure. As long as nothing has changed, a recheck only compares the address that
 * the last run verified with the one that instance metadata shows; EC2 is not asked.
 */
import type { Target } from "../model/target.ts";
import type { Instance } from "../model/instance.ts";

/** The fields of `/run/eip-heal/result.json` that later runs read. */
export interface LastResult {
  readonly outcome: string;
  readonly exitStatus: number;
  /**
   * When EC2 was last sent a request that this result rests on; without such a request, when the run began. Milliseconds
   * since boot.
   */
  readonly asOf?: number;
  readonly instanceId?: string;
  readonly interfaceId?: string;
  readonly privateIp?: string;
  readonly allocationId?: string;
  readonly publicIp?: string;
  /** For the outcome `idle`: why there was nothing to do. */
  readonly idle?: string;
  /** The systemd unit that ran it; absent for a run by hand. */
  readonly unit?: string;
  /** How the run ended, in one line. */
  readonly message?: string;
  /** If the run failed: the kind of the failure, its step, its cause in words, and its error code. */
  readonly failure?: string;
  readonly step?: string;
  readonly cause?: string;
  readonly code?: string;
  /** The run waited for this cause to go away until its patience ran out. */
  readonly waitedOut?: boolean;
  /** When this cause was last logged to the console. */
  readonly toldAt?: string;
  /** Of several addresses: the same of each, by its name in the setting or the tag (`eipalloc-2@1`). */
  readonly addresses?: readonly (Omit<LastResult, "addresses"> & { readonly wanted: string })[];
}

/** The unit that runs a heal. After a run that fails RETRY_TIMER starts it again. */
export const HEAL_UNIT = "eip-heal.service";
export const RETRY_TIMER = "eip-heal-retry.timer";
/** Starts a recheck after each success. */
export const CONFIRM_TIMER = "eip-heal-confirm.timer";
/** Starts a recheck every minute, if enabled. */
export const RECHECK_TIMER = "eip-heal-recheck.timer";
export const RECHECK_UNIT = "eip-heal-recheck.service";

/** What rechecks keep of an address from one to the next. */
export interface CheckedState {
  /** When rechecks moved the address here, in milliseconds since the epoch. */
  readonly moves: readonly number[];
  /** Rechecks in a row in which EC2 showed the address here and instance metadata did not. */
  readonly disagreements: number;
}

/** What rechecks keep from one to the next (recheck.json). */
export interface RecheckState extends CheckedState {
  /** Of several addresses: the same of each, by its name in the setting or the tag. */
  readonly addresses?: Readonly<Record<string, CheckedState>>;
}

export const NO_RECHECKS: RecheckState = { moves: [], disagreements: 0 };

/** More moves than this within an hour mean that others keep taking the address; moving it again will not end that. */
export const MAX_MOVES_PER_HOUR = 5;
export const HOUR_MS = 3_600_000;

/** Instance metadata follows EC2 within seconds. After this many disagreements the address is associated again. */
export const MAX_DISAGREEMENTS = 2;

export type Assessment =
  /** Nothing to do, and no reason to ask EC2. */
  | { readonly find: "well"; readonly because: string }
  /** Something differs from what was verified: heal. `force`: associate even if EC2 shows the address here. */
  | { readonly find: "drift"; readonly because: string; readonly force: boolean }
  /** The address was moved too often: do nothing for a while. */
  | { readonly find: "rest"; readonly because: string };

/**
 * Why a recheck is skipped, judging by the last result of this instance; undefined if it is not. Either eip-heal.service
 * has failed and its own timer starts it again, or the last run ended in a way that repeating it does not change:
 * released on purpose, not configured, or a mistake that somebody has to correct.
 */
export function whySkipped(last: LastResult | undefined, self: Instance): string | undefined {
  if (last === undefined) return undefined;
  const { outcome, exitStatus, idle, unit, instanceId } = last;
  // A run of the unit that ended before it learned the instance id was on this boot, so it was this instance's.
  const isOurs = instanceId === self.instanceId || (unit !== undefined && instanceId === undefined);
  if (!isOurs) return undefined;
  if (unit === HEAL_UNIT && ["failed", "yielded", "stopped"].includes(outcome)) {
    return `${unit} has ended with ${outcome}, and a timer of its own starts it again`;
  }
  const isTerminal =
    outcome === "released" ||
    idle === "not-configured" ||
    idle === "not-holder" ||
    (outcome === "failed" && exitStatus !== 75 && exitStatus !== 77);
  return isTerminal ? `the last run ended with ${outcome}, and somebody has to act` : undefined;
}

/**
 * Compares the state that the last run verified with the current one.
 *
 * @param last the last result, if there is one
 * @param now milliseconds since the epoch
 */
export function assess(
  last: LastResult | undefined,
  self: Instance,
  target: Target,
  memory: CheckedState,
  now: number,
): Assessment {
  const because = reason(last, self, target);
  if (because === undefined) return { find: "well", because: "nothing has changed" };
  const recent = recentMoves(memory, now);
  const [oldest] = recent;
  if (oldest !== undefined && recent.length >= MAX_MOVES_PER_HOUR) {
    const until = restsUntil(oldest);
    return {
      find: "rest",
      because: `${because}; it was moved here ${recent.length} times within an hour, so it is left alone until ${until} UTC`,
    };
  }
  return { find: "drift", because, force: memory.disagreements >= MAX_DISAGREEMENTS };
}

/**
 * The UTC time, such as `21:07`, at which the address may be moved again.
 *
 * @param oldest when the oldest of the last MAX_MOVES_PER_HOUR moves was, in milliseconds since the epoch
 */
export function restsUntil(oldest: number): string {
  return new Date(oldest + HOUR_MS).toISOString().slice(11, 16);
}

/** The moves of the last hour, oldest first. Times in the future come from a wrong clock and are dropped. */
export function recentMoves({ moves }: CheckedState, now: number): number[] {
  return moves.filter((at) => at <= now && now - at < HOUR_MS).toSorted((a, b) => a - b);
}

/** What differs from the state that was verified; undefined if nothing does. */
function reason(last: LastResult | undefined, self: Instance, target: Target): string | undefined {
  if (last === undefined) return "there is no result of an earlier run";
  if (last.instanceId !== self.instanceId) return "the last result is of another instance";
  if (last.outcome !== "settled") return `the last run ended with ${last.outcome}`;
  if (last.interfaceId !== target.interfaceId || last.privateIp !== target.privateIp) {
    return `the address belongs on ${target.interfaceId} ${target.privateIp} now`;
  }
  if (last.publicIp === undefined) return "the last run did not learn the address";
  if (last.publicIp === target.publicIp) return undefined;
  return `${last.publicIp} was verified here, and instance metadata shows ${target.publicIp ?? "no public IPv4 address"}`;
}
