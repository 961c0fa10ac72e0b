/**
 * The story of a recheck: is the address still where it was verified? If so nobody is asked. If not, it is
 * healed by the same rules as at boot, but not more often than a handful of times an hour.
 */
import { gate } from "./core/decide.ts";
import { Failure } from "./core/failure.ts";
import { placeOn } from "./core/place.ts";
import { statusOf } from "./core/pacing.ts";
import { assess, isAtRest, type LastResult, type Memory, recentMoves } from "./core/recheck.ts";
import type { Outcome } from "./core/outcome.ts";
import type { Settings } from "./core/settings.ts";
import { heal } from "./heal.ts";
import type { Ports } from "./ports.ts";

export interface Recheck {
  /** What a heal has come to, if one was needed. */
  readonly outcome?: Outcome;
  /** Nothing was found out, so that the last result stays as it is. */
  readonly keepsResult?: true;
  /** To be remembered for the next one. */
  readonly memory: Memory;
}

/**
 * Looks for drift and heals it.
 *
 * @param last the last result, if one was recorded
 * @param wallClock milliseconds since the epoch
 * @param stop aborted when somebody wants it to end
 * @throws whatever is a bug
 */
export async function recheck(
  settings: Settings,
  ports: Ports,
  last: LastResult | undefined,
  memory: Memory,
  wallClock: () => number,
  stop: AbortSignal,
): Promise<Recheck> {
  const { log, clock } = ports;
  const startedAt = clock.now();
  let insist: boolean;
  try {
    const self = await ports.identify(stop);
    const idle = gate(self);
    if (idle !== undefined) {
      log.debug(`nothing to do: ${idle}`);
      return { memory };
    }
    // Before anything of the settings is used: they may be the mistake.
    if (isAtRest(last, self)) {
      log.debug(`nothing to do: the last run ended with ${last?.outcome}, and somebody has to act`);
      return { memory };
    }
    const here = placeOn(self, settings.interface, settings.privateIp);
    const finding = assess(last, self, here, memory, wallClock());
    if (finding.find === "well") {
      log.debug(finding.because);
      // Metadata that agrees again has only been slow.
      return { memory: { ...memory, disagreements: 0 } };
    }
    if (finding.find === "rest") {
      const { because } = finding;
      const { instanceId, region } = self;
      // Whoever waits for the address must not be told that it is here.
      const outcome = { end: "idle", because, why: "resting", tries: 1 } as const;
      const ms = clock.now() - startedAt;
      return { memory, outcome: { ...outcome, facts: { instanceId, region }, ms } };
    }
    // A drift is news; that a newer instance still has the address, or a failure goes on, is not.
    log[last?.outcome === "settled" ? "warn" : "debug"](finding.because);
    insist = finding.insist;
  } catch (error) {
    if (!(error instanceof Failure)) {
      if (!stop.aborted) throw error;
      const because = `${(stop.reason as Error).message} while reading instance metadata`;
      return {
        memory,
        keepsResult: true,
        outcome: { end: "stopped", because, facts: {}, tries: 1, ms: clock.now() - startedAt },
      };
    }
    // Who cannot tell whether there is drift leaves everything as it is; the next recheck is soon.
    const status = statusOf(error);
    return {
      memory,
      keepsResult: true,
      outcome: {
        end: "failed",
        failure: error,
        status,
        facts: {},
        tries: 1,
        ms: clock.now() - startedAt,
      },
    };
  }

  const outcome = await heal(settings, ports, { insist }, stop);
  const now = wallClock();
  const moves = recentMoves(memory, now);
  if (outcome.end !== "settled") return { outcome, memory: { moves, disagreements: 0 } };
  return outcome.change === "none"
    ? { outcome, memory: { moves, disagreements: memory.disagreements + 1 } }
    : { outcome, memory: { moves: [...moves, now], disagreements: 0 } };
}
