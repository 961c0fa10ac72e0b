/**
 * `eip-heal recheck`: checks by instance metadata that the address is still where it was verified, without calling EC2. If
 * it is not, heals by the same rules as at boot, but moves the address only a few times an hour. While eip-heal.service is
 * failed, its own retry timer is responsible instead.
 */
import { isNoSuchTarget, resolveTarget } from "../model/target.ts";
import { whyInterrupted, whyNotInService } from "../reconcile/ownership.ts";
import { EXIT, Failure } from "../model/failure.ts";
import type { End, Facts, Outcome } from "../model/outcome.ts";
import { statusOf } from "../reconcile/retry.ts";
import {
  assess,
  type Assessment,
  type LastResult,
  type RecheckState,
  MAX_MOVES_PER_HOUR,
  recentMoves,
  RECHECK_UNIT,
  restsUntil,
  whySkipped,
} from "../reconcile/drift.ts";
import { namedBySetting, type Settings } from "../config/settings.ts";
import { isMove, type Line, lineOfEntry } from "../report/report.ts";
import { addressHint } from "../config/values.ts";
import type { Instance } from "../model/instance.ts";
import { InvalidList, nameEntry, type Placed, readList } from "../model/several.ts";
import { lastOf } from "../reconcile/each.ts";
import { settingsFor } from "../run/desired.ts";
import { heal, type HealOptions } from "../run/heal.ts";
import type { HealPorts, Moves, SharedResult } from "../run/ports.ts";
import type { Completion, Context } from "./command.ts";
import { completionOf, hookLines, lineOf } from "./outcome.ts";
import { begin, refused } from "./refusal.ts";

/** What earlier runs have recorded. */
export interface EarlierRuns {
  readonly last: LastResult | undefined;
  readonly memory: RecheckState;
  readonly shared: SharedResult;
}

export interface Recheck {
  /** The outcome of the heal if one was needed, or why the recheck could not tell; undefined if nothing has changed. */
  readonly outcome?: Outcome;
  /** The recheck could not tell whether there is drift, so the last result stays. */
  readonly preserveResult?: true;
  /** For the next recheck. */
  readonly memory: RecheckState;
}

/** Something differs from the state that the last run verified. */
interface Drift {
  readonly drift: Pick<Facts, "instanceId" | "region">;
  /** Associate even if EC2 shows the address here. */
  readonly force: boolean;
  /** Of several addresses: those about which something differs, by name. */
  readonly of?: readonly string[];
}

/** Compares each of several addresses, or the only one, with what the last run verified of it. */
function assessAll(
  settings: Settings,
  last: LastResult | undefined,
  self: Instance,
  memory: RecheckState,
  now: number,
): Assessment & { readonly of?: readonly string[] } {
  const targetOf = (one: Settings) => resolveTarget(self, one.interface, one.privateIp);
  const entries = entriesOf(settings, last);
  if (entries === undefined) return assess(last, self, targetOf(settings), memory, now);
  const found = entries.map((entry) => {
    const name = nameEntry(entry);
    // As long as not all of them are here, the whole run has failed.
    const before = last?.outcome === "settled" ? lastOf(last, name) : last;
    const target = targetOf(settingsFor(settings, entry));
    return { name, finding: assess(before, self, target, memory, now, entries.length) };
  });
  const [first, ...more] = found.filter(({ finding }) => finding.find !== "well");
  if (first === undefined) return { find: "well", because: "nothing has changed" };
  return { ...first.finding, of: [first, ...more].map(({ name }) => name) };
}

/** The several addresses that a setting names, or that the tag named when the last run read it. */
function entriesOf(
  settings: Settings,
  last: LastResult | undefined,
): readonly Placed[] | undefined {
  const named = namedBySetting(settings);
  if (named !== undefined) {
    return named.desired.kind === "several" ? named.desired.entries : undefined;
  }
  if (last?.addresses === undefined) return undefined;
  try {
    return readList(last.addresses.map(({ wanted }) => wanted).join(" "), addressHint).entries;
  } catch (error) {
    // The file was changed by somebody else: there is drift then, and the heal reads the tag.
    if (error instanceof InvalidList) return undefined;
    throw error;
  }
}

/**
 * Looks for drift and heals it.
 *
 * @param wallClock milliseconds since the epoch
 * @param stop aborted when somebody wants it to stop
 * @throws only bugs
 */
export async function recheck(
  settings: Settings,
  ports: HealPorts,
  earlier: EarlierRuns,
  wallClock: () => number,
  stop: AbortSignal,
): Promise<Recheck> {
  const found = await lookForDrift(settings, ports, earlier, wallClock, stop);
  return "drift" in found ? healDrift(found, settings, ports, earlier, wallClock, stop) : found;
}

async function lookForDrift(
  settings: Settings,
  ports: HealPorts,
  { last, memory }: EarlierRuns,
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
    const skipped = whySkipped(last, self);
    const idle = (because: string): Recheck => {
      if (skipped !== undefined || isOutOfService(last, facts)) {
        log.debug(`nothing to do: ${because}`);
        return { memory };
      }
      // Logged once and recorded, so that the result files do not claim any longer that the address is here.
      return { memory, outcome: ended({ end: "idle", because, why: "not-in-service" }) };
    };
    const outOfService = whyNotInService(self);
    if (outOfService !== undefined) return idle(outOfService);
    // Checked before the settings are used: they may be the mistake that somebody has to correct.
    if (skipped !== undefined) {
      log.debug(`nothing to do: ${skipped}`);
      return { memory };
    }
    const finding = assessAll(settings, last, self, memory, wallClock());
    const { because } = finding;
    switch (finding.find) {
      case "well":
        log.debug(because);
        // Instance metadata agrees with EC2 again, so it was only slow.
        return { memory: { ...memory, disagreements: 0 } };
      case "rest":
        // Recorded as idle, so that the result files do not claim that the address is here.
        return { memory, outcome: ended({ end: "idle", because, why: "resting" }) };
      case "drift": {
        const interrupted = whyInterrupted(await session.spotAction());
        if (interrupted !== undefined) return idle(interrupted);
        // Drift after a success is news. A newer instance that still holds the address, or a lasting failure, is not.
        log[last?.outcome === "settled" ? "warn" : "debug"](because);
        return { drift: facts, force: finding.force, ...(finding.of && { of: finding.of }) };
      }
    }
  } catch (error) {
    if (!(error instanceof Failure)) {
      if (!stop.aborted) throw error;
      const because = `${(stop.reason as Error).message} while reading instance metadata`;
      return { memory, preserveResult: true, outcome: ended({ end: "stopped", because }) };
    }
    // An interface or private address that is missing may come back in a moment: the heal waits for it.
    if (isNoSuchTarget(error)) {
      log[last?.outcome === "settled" ? "warn" : "debug"](error.message);
      return { drift: facts, force: false };
    }
    const outcome = ended({ end: "failed", failure: error, status: statusOf(error) });
    // If it cannot be told whether there is drift, the result stays as it is; the next recheck comes soon.
    return error.kind === "misconfigured"
      ? { memory, outcome }
      : { memory, preserveResult: true, outcome };
  }
}

async function healDrift(
  { drift, force, of }: Drift,
  settings: Settings,
  ports: HealPorts,
  { last, memory, shared }: EarlierRuns,
  wallClock: () => number,
  stop: AbortSignal,
): Promise<Recheck> {
  const limit = limitMoves(memory, wallClock, entriesOf(settings, last)?.length ?? 1);
  const either = AbortSignal.any([stop, limit.signal]);
  // What the last run has verified is not asked for again.
  const mustShow = last?.outcome !== "settled";
  const options: HealOptions = {
    force,
    moves: limit.moves,
    shared,
    mustShow,
    lastOnBoot: last,
    ...(of && { forceOf: force ? of : [] }),
  };
  const work = () => heal(settings, ports, options, either);
  const { lifecycleHook } = settings;
  let outcome: Outcome;
  // From a warm pool into service an instance goes through its lifecycle hooks again, perhaps without a boot whose heal
  // would complete them.
  if (lifecycleHook !== undefined && isOutOfService(last, drift)) {
    const { underHook } = await import("../run/lifecycle.ts");
    const hook = { name: lifecycleHook, deadlineMs: settings.deadlineMs, dryRun: false };
    outcome = await underHook(hook, ports, work, () => {}, either);
  } else outcome = await work();

  const { recent } = limit;
  if (shared.wasReleased()) {
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

/** Whether the last run of this instance found that it was not in service. */
function isOutOfService(last: LastResult | undefined, { instanceId }: Facts): boolean {
  return last?.instanceId === instanceId && last?.idle === "not-in-service";
}

/**
 * Counts the moves of a heal, and stops it at MAX_MOVES_PER_HOUR for each address, counted together: others may take them
 * away again and again.
 */
function limitMoves(memory: RecheckState, wallClock: () => number, addresses: number) {
  const recent = recentMoves(memory, wallClock());
  const limit = new AbortController();
  const moves: Moves = {
    begin() {
      if (recent.length < MAX_MOVES_PER_HOUR * addresses) recent.push(wallClock());
      else {
        const until = restsUntil(recent[0] ?? 0);
        const why = `others keep moving it away, so it is left alone until ${until} UTC: stopped`;
        limit.abort(new Error(why));
      }
    },
    refused: () => void recent.pop(),
  };
  return { moves, recent, signal: limit.signal };
}

/** Runs the command. */
export async function run(context: Context): Promise<Completion> {
  const beginning = begin(context);
  if ("problems" in beginning) return refused(beginning, context);
  const { settings, ports } = beginning;
  const { clock, runtime, stop } = context;
  const last = runtime.last();
  const earlier = { last, memory: runtime.rechecks(), shared: runtime.shared };
  const now = () => clock.date().getTime();
  const { outcome, preserveResult, memory } = await recheck(settings, ports, earlier, now, stop);
  runtime.saveRecheckState(memory);
  if (outcome === undefined) return { status: EXIT.OK, ...(last && { json: last }) };
  const { result, status, json } = completionOf(outcome, context);
  const line = lineOf(outcome, context);
  // An outcome that is already in the journal is only logged as debug, and a recheck that could not tell anything is not
  // logged to the console.
  const isNew = preserveResult === true || !isUnchanged(outcome, result.record, last);
  const logged: Line = {
    ...line,
    ...(!isNew && { level: "debug" }),
    journalOnly:
      runtime.unit === RECHECK_UNIT && outcome.end === "failed" && preserveResult === true,
  };
  return {
    // That a newer instance holds the address is as it should be, so the recheck succeeds.
    status: status === EXIT.UNAVAILABLE ? EXIT.OK : status,
    json,
    lines: [...movedLines(outcome), logged, ...hookLines(outcome, context)],
    ...(preserveResult !== true && { result }),
  };
}

/** Of several addresses: the lines about those that were moved. */
function movedLines({ each = [] }: Outcome): Line[] {
  return each.filter(({ outcome }) => isMove(outcome)).map((one) => lineOfEntry(one, false));
}

/** Whether the outcome is the same as that of the last run. */
function isUnchanged(
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
