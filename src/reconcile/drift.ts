/**
 * Whether a recheck has anything to do. Pure. While all is well it costs two looks at what this machine
 * knows anyway: the address that the last run has verified, and the one that instance metadata shows.
 */
import type { Target } from "../model/target.ts";
import type { Instance } from "../model/instance.ts";

/** The part of `/run/eip-heal/result.json` that later runs read. */
export interface LastResult {
  readonly outcome: string;
  readonly exitStatus: number;
  /**
   * What it rests on: when EC2 was asked last, or asked to change something; else when the run began. Milliseconds on the
   * clock that starts with the boot.
   */
  readonly asOf?: number;
  readonly instanceId?: string;
  readonly interfaceId?: string;
  readonly privateIp?: string;
  readonly publicIp?: string;
  /** For the outcome `idle`: why there was nothing to do. */
  readonly idle?: string;
  /** The unit that has run it; absent: somebody by hand. */
  readonly unit?: string;
  /** How it has ended, in a line. */
  readonly message?: string;
  /** For an end without the address: the kind of the failure, the step it came in, and the error code of AWS. */
  readonly failure?: string;
  readonly step?: string;
  readonly code?: string;
  /** It was waited for until its patience was over. */
  readonly waitedOut?: boolean;
  /** And when the console was told of it. */
  readonly toldAt?: string;
}

/** The unit of the heal. While that is failed, eip-heal-retry.timer starts it again and again. */
export const HEAL_UNIT = "eip-heal.service";
/** What starts it again. */
export const RETRY_TIMER = "eip-heal-retry.timer";
/** The unit of a recheck, which comes every minute, perhaps. */
export const RECHECK_UNIT = "eip-heal-recheck.service";

/** What rechecks remember from one to the next. */
export interface RecheckState {
  /** When rechecks moved the address here, in milliseconds since the epoch. */
  readonly moves: readonly number[];
  /** Rechecks in a row in which EC2 showed the address here and instance metadata did not. */
  readonly disagreements: number;
}

export const NO_RECHECKS: RecheckState = { moves: [], disagreements: 0 };

/** So many moves within an hour are a fight or a fault that moving does not end. */
export const MAX_MOVES_PER_HOUR = 5;
export const HOUR_MS = 3_600_000;

/** Instance metadata follows EC2 within seconds; after so many rounds the mapping itself must be made again. */
export const MAX_DISAGREEMENTS = 2;

export type Assessment =
  /** Nothing to do, and nothing to ask EC2. */
  | { readonly find: "well"; readonly because: string }
  /** Something is not as it was verified: heal. `force` associates even if EC2 shows the address here. */
  | { readonly find: "drift"; readonly because: string; readonly force: boolean }
  /** Moved too often: leave it alone for a while. */
  | { readonly find: "rest"; readonly because: string };

/**
 * Why the last run of this instance has left nothing for a recheck to do, or undefined: the unit of the heal has failed
 * and is started again by its own timer, or the run has come to what no repetition changes - given up on purpose, not
 * configured, or a mistake that somebody has to correct.
 */
export function whyLeft(last: LastResult | undefined, self: Instance): string | undefined {
  if (last === undefined) return undefined;
  const { outcome, exitStatus, idle, unit, instanceId } = last;
  // A run of the unit that did not get to know which instance this is was on this boot all the same.
  const isOurs = instanceId === self.instanceId || (unit !== undefined && instanceId === undefined);
  if (!isOurs) return undefined;
  if (unit === HEAL_UNIT && /^(?:failed|yielded|stopped)$/.test(outcome)) {
    return `${unit} has ended with ${outcome}, and a timer of its own starts it again`;
  }
  const isTerminal =
    outcome === "released" ||
    (outcome === "idle" && (idle === "not-configured" || idle === "not-holder")) ||
    (outcome === "failed" && exitStatus !== 75 && exitStatus !== 77);
  return isTerminal ? `the last run ended with ${outcome}, and somebody has to act` : undefined;
}

/**
 * Compares what was verified with what is.
 *
 * @param last the last result, if one was recorded
 * @param now milliseconds since the epoch
 */
export function assess(
  last: LastResult | undefined,
  self: Instance,
  target: Target,
  memory: RecheckState,
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

/** Until when it is left alone, `21:07`, if this was the oldest of too many moves. */
export function restsUntil(oldest: number): string {
  return new Date(oldest + HOUR_MS).toISOString().slice(11, 16);
}

/** The moves of the last hour, oldest first; times in the future are of a clock that was wrong. */
export function recentMoves({ moves }: RecheckState, now: number): number[] {
  return moves.filter((at) => at <= now && now - at < HOUR_MS).toSorted((a, b) => a - b);
}

/** What is not as it was verified, or undefined. */
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
