/**
 * The story of a recheck: is the address still where it was verified? If so nobody is asked. If not, it is
 * healed by the same rules as at boot, but not more often than a handful of times an hour. While the unit of the heal
 * has failed it is left to that one's own retries.
 */
import { isNoSuchTarget, resolveTarget } from "../model/target.ts";
import { whyNotInService } from "../reconcile/ownership.ts";
import { EXIT, Failure } from "../model/failure.ts";
import type { End, Facts, Outcome } from "../model/outcome.ts";
import { statusOf } from "../reconcile/retry.ts";
import {
  assess,
  type LastResult,
  type RecheckState,
  MAX_MOVES_PER_HOUR,
  recentMoves,
  RECHECK_UNIT,
  restsUntil,
  whyLeft,
} from "../reconcile/drift.ts";
import type { Settings } from "../config/settings.ts";
import { isMove, type Line } from "../report/report.ts";
import { heal } from "../run/heal.ts";
import type { HealPorts, Moves, Others } from "../run/ports.ts";
import type { Completion, Context } from "./command.ts";
import { completionOf, hookLines, lineOf } from "./outcome.ts";
import { begin, refused } from "./refusal.ts";

/** What earlier runs have left. */
export interface Past {
  readonly last: LastResult | undefined;
  readonly memory: RecheckState;
  readonly others: Others;
}

export interface Recheck {
  /** What a heal has come to, if one was needed; or why there is none. */
  readonly outcome?: Outcome;
  /** Nothing was found out, so that the last result stays as it is. */
  readonly preserveResult?: true;
  /** To be remembered for the next one. */
  readonly memory: RecheckState;
}

/** Something is not as it was verified. */
interface Drift {
  readonly drift: Pick<Facts, "instanceId" | "region">;
  /** Associate even if EC2 shows the address here. */
  readonly force: boolean;
}

/**
 * Looks for drift and heals it.
 *
 * @param wallClock milliseconds since the epoch
 * @param stop aborted when somebody wants it to end
 * @throws whatever is a bug
 */
export async function recheck(
  settings: Settings,
  ports: HealPorts,
  past: Past,
  wallClock: () => number,
  stop: AbortSignal,
): Promise<Recheck> {
  const found = await lookForDrift(settings, ports, past, wallClock, stop);
  return "drift" in found ? healDrift(found, settings, ports, past, wallClock, stop) : found;
}

async function lookForDrift(
  settings: Settings,
  ports: HealPorts,
  { last, memory }: Past,
  wallClock: () => number,
  stop: AbortSignal,
): Promise<Drift | Recheck> {
  const { log, clock } = ports;
  const startedAt = clock.now();
  let facts: Drift["drift"] = {};
  const ended = (end: End): Outcome => ({ ...end, facts, tries: 1, ms: clock.now() - startedAt });
  try {
    const session = await ports.open(stop);
    const self = await session.instance([]);
    facts = { instanceId: self.instanceId, region: self.region };
    const left = whyLeft(last, self);
    const idle = whyNotInService(self);
    if (idle !== undefined) {
      if (left !== undefined || isOutOfService(last, facts)) {
        log.debug(`nothing to do: ${idle}`);
        return { memory };
      }
      // Told once, and recorded: nobody is to believe any longer that the address is here.
      return { memory, outcome: ended({ end: "idle", because: idle, why: "not-in-service" }) };
    }
    // Before anything of the settings is used: they may be the mistake.
    if (left !== undefined) {
      log.debug(`nothing to do: ${left}`);
      return { memory };
    }
    const target = resolveTarget(self, settings.interface, settings.privateIp);
    const finding = assess(last, self, target, memory, wallClock());
    const { because } = finding;
    switch (finding.find) {
      case "well":
        log.debug(because);
        // Metadata that agrees again has only been slow.
        return { memory: { ...memory, disagreements: 0 } };
      case "rest":
        // Whoever waits for the address must not be told that it is here.
        return { memory, outcome: ended({ end: "idle", because, why: "resting" }) };
      case "drift":
        // A drift is news; that a newer instance still has the address, or a failure goes on, is not.
        log[last?.outcome === "settled" ? "warn" : "debug"](because);
        return { drift: facts, force: finding.force };
    }
  } catch (error) {
    if (!(error instanceof Failure)) {
      if (!stop.aborted) throw error;
      const because = `${(stop.reason as Error).message} while reading instance metadata`;
      return { memory, preserveResult: true, outcome: ended({ end: "stopped", because }) };
    }
    // A place that is not there any more may be back in a moment: the heal waits for it.
    if (isNoSuchTarget(error)) {
      log[last?.outcome === "settled" ? "warn" : "debug"](error.message);
      return { drift: facts, force: false };
    }
    const outcome = ended({ end: "failed", failure: error, status: statusOf(error) });
    // Who cannot tell whether there is drift leaves everything as it is; the next recheck is soon.
    return error.kind === "misconfigured"
      ? { memory, outcome }
      : { memory, preserveResult: true, outcome };
  }
}

async function healDrift(
  { drift, force }: Drift,
  settings: Settings,
  ports: HealPorts,
  { last, memory, others }: Past,
  wallClock: () => number,
  stop: AbortSignal,
): Promise<Recheck> {
  const limit = limitMoves(memory, wallClock);
  const either = AbortSignal.any([stop, limit.signal]);
  const options = { force, moves: limit.moves, others, lastOnBoot: last };
  const work = () => heal(settings, ports, options, either);
  const { lifecycleHook } = settings;
  let outcome: Outcome;
  // On the way from a warm pool into service hooks hold an instance back once more, and no boot's heal completes them.
  if (lifecycleHook !== undefined && isOutOfService(last, drift)) {
    const { underHook } = await import("../run/lifecycle.ts");
    const hook = { name: lifecycleHook, deadlineMs: settings.deadlineMs, dryRun: false };
    outcome = await underHook(hook, ports, work, () => {}, either);
  } else outcome = await work();

  const { recent } = limit;
  if (others.haveGivenUp()) {
    ports.log.debug("nothing to do: the address was given up on purpose meanwhile");
    return { memory: { moves: recent, disagreements: 0 } };
  }
  if (limit.signal.aborted && outcome.end === "stopped" && !stop.aborted) {
    return {
      outcome: { ...outcome, end: "idle", why: "resting" },
      memory: { moves: recent, disagreements: 0 },
    };
  }
  const disagrees = outcome.end === "settled" && outcome.change === "none";
  return {
    outcome,
    memory: { moves: recent, disagreements: disagrees ? memory.disagreements + 1 : 0 },
  };
}

/** Did the last run of this instance find that it is not in service? */
function isOutOfService(last: LastResult | undefined, { instanceId }: Facts): boolean {
  return last?.instanceId === instanceId && last?.idle === "not-in-service";
}

/**
 * Ends a heal that moves the address too often: one whose address others take away goes round and round, and
 * each of its moves counts, however it ends.
 */
function limitMoves(memory: RecheckState, wallClock: () => number) {
  const recent = recentMoves(memory, wallClock());
  const enough = new AbortController();
  const moves: Moves = {
    begin() {
      if (recent.length < MAX_MOVES_PER_HOUR) recent.push(wallClock());
      else {
        const until = restsUntil(recent[0] ?? 0);
        const why = `others keep moving it away, so it is left alone until ${until} UTC: stopped`;
        enough.abort(new Error(why));
      }
    },
    refused: () => void recent.pop(),
  };
  return { moves, recent, signal: enough.signal };
}

/** `eip-heal recheck` */
export async function run(context: Context): Promise<Completion> {
  const beginning = begin(context);
  if ("problems" in beginning) return refused(beginning, context);
  const { settings, ports } = beginning;
  const { clock, runtime, stop } = context;
  const last = runtime.last();
  const past = { last, memory: runtime.rechecks(), others: runtime.others };
  const now = () => clock.date().getTime();
  const { outcome, preserveResult, memory } = await recheck(settings, ports, past, now, stop);
  runtime.saveRecheckState(memory);
  if (outcome === undefined) return { status: EXIT.OK, ...(last && { json: last }) };
  const { result, status, json } = completionOf(outcome, context);
  const line = lineOf(outcome, context);
  // The console need not hear that nothing was found out, nor the journal what it has heard.
  const isNew = preserveResult === true || !isAsBefore(outcome, result.record, last);
  const told: Line = {
    ...line,
    ...(!isNew && { level: "debug" }),
    journalOnly:
      runtime.unit === RECHECK_UNIT && outcome.end === "failed" && preserveResult === true,
  };
  return {
    // A newer instance has the address: as it should be, minute by minute.
    status: status === EXIT.UNAVAILABLE ? EXIT.OK : status,
    json,
    lines: [told, ...hookLines(outcome, context)],
    ...(preserveResult !== true && { result }),
  };
}

/** Has it only found what the last run has found? */
function isAsBefore(
  outcome: Outcome,
  record: Readonly<Record<string, unknown>>,
  last: LastResult | undefined,
): boolean {
  return (
    last !== undefined &&
    last.outcome === record["outcome"] &&
    last.exitStatus === record["exitStatus"] &&
    !isMove(outcome)
  );
}
