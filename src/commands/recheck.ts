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
  type CheckedState,
  type LastResult,
  type RecheckState,
  MAX_MOVES_PER_HOUR,
  NO_RECHECKS,
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
import { hasEndedAsBefore, isResting, lastFound, lastOf } from "../reconcile/each.ts";
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
  readonly several?: SeveralDrifted;
}

/**
 * Of several addresses, by name: those that differ from what the last run verified of them, not only because another one
 * failed then; and those to associate even if EC2 shows them here.
 */
interface SeveralDrifted {
  readonly differing: readonly string[];
  readonly forceOf: readonly string[];
}

/** Compares each of several addresses, or the only one, with what the last run verified of it. */
function assessAll(
  settings: Settings,
  last: LastResult | undefined,
  self: Instance,
  memory: RecheckState,
  now: number,
): Assessment & { readonly several?: SeveralDrifted } {
  const targetOf = (one: Settings) => resolveTarget(self, one);
  const entries = entriesOf(settings, last);
  if (entries === undefined) return assess(last, self, targetOf(settings), memory, now);
  const found = entries.map((entry) => {
    const name = nameEntry(entry);
    const target = targetOf(settingsFor(settings, entry));
    const assessBy = (one: LastResult | undefined) =>
      assess(one, self, target, stateOf(memory, name), now);
    const finding = assessBy(lastFound(last, name));
    return { name, finding, differs: assessBy(lastOf(last, name)).find !== "well" };
  });
  const changed = found.filter(({ finding }) => finding.find !== "well");
  const drifted = changed.filter(({ finding }) => finding.find === "drift");
  const [first = changed[0]] = drifted;
  if (first === undefined) return { find: "well", because: "nothing has changed" };
  const { because } = first.finding;
  // That these are left alone is known, and what became of the others as well.
  if (drifted.length === 0 && isResting(last)) return { find: "well", because };
  const namesOf = (some: typeof found) => some.map(({ name }) => name);
  const differing = changed.filter(({ differs }) => differs);
  const isForced = ({ finding }: (typeof found)[number]) =>
    finding.find === "drift" && finding.force;
  return {
    find: "drift",
    because,
    force: false,
    several: { differing: namesOf(differing), forceOf: namesOf(differing.filter(isForced)) },
  };
}

function stateOf({ addresses }: RecheckState, name: string): CheckedState {
  return addresses?.[name] ?? NO_RECHECKS;
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
        return { memory: agreeing(memory) };
      case "rest":
        // Recorded as idle, so that the result files do not claim that the address is here.
        return { memory, outcome: ended({ end: "idle", because, why: "resting" }) };
      case "drift": {
        const interrupted = whyInterrupted(await session.spotAction());
        if (interrupted !== undefined) return idle(interrupted);
        // Drift after a success is news. A newer instance that still holds the address, or a lasting failure, is not.
        log[last?.outcome === "settled" ? "warn" : "debug"](because);
        const { force, several } = finding;
        return { drift: facts, force, ...(several && { several }) };
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
  { drift, force, several }: Drift,
  settings: Settings,
  ports: HealPorts,
  { last, memory, shared }: EarlierRuns,
  wallClock: () => number,
  stop: AbortSignal,
): Promise<Recheck> {
  const counted = countMoves(memory, wallClock);
  // What the last run has verified is not asked for again.
  const mustShow = last?.outcome !== "settled";
  const options: HealOptions = {
    force,
    moves: counted.movesOf(),
    movesOf: counted.movesOf,
    shared,
    mustShow,
    lastOnBoot: last,
    ...(several && { forceOf: several.forceOf }),
  };
  const work = () => heal(settings, ports, options, stop);
  const { lifecycleHook } = settings;
  let outcome: Outcome;
  // From a warm pool into service an instance goes through its lifecycle hooks again, perhaps without a boot whose heal
  // would complete them.
  if (lifecycleHook !== undefined && isOutOfService(last, drift)) {
    const { underHook } = await import("../run/lifecycle.ts");
    const hook = { name: lifecycleHook, deadlineMs: settings.deadlineMs, dryRun: false };
    outcome = await underHook(hook, ports, work, () => {}, stop);
  } else outcome = await work();

  const after = memoryAfter(memory, counted.recent, outcome, several);
  if (shared.wasReleased()) {
    ports.log.debug("nothing to do: the address was given up on purpose meanwhile");
    return { memory: agreeing(after) };
  }
  return { outcome, memory: after };
}

/** What to keep of a heal: the moves of the last hour, and whether EC2 shows an address here that instance metadata denies. */
function memoryAfter(
  before: RecheckState,
  recent: (name?: string) => readonly number[],
  outcome: Outcome,
  several: SeveralDrifted | undefined,
): RecheckState {
  const after = (state: CheckedState, one: Outcome, name?: string): CheckedState => {
    const differed = name === undefined || several?.differing.includes(name) === true;
    const isDenied = differed && one.end === "settled" && one.change === "none";
    return { moves: recent(name), disagreements: isDenied ? state.disagreements + 1 : 0 };
  };
  if (outcome.each === undefined) return { ...before, ...after(before, outcome) };
  const addresses = outcome.each.map(({ name, outcome: one }) => [
    name,
    after(stateOf(before, name), one, name),
  ]);
  return {
    moves: recent(),
    disagreements: 0,
    addresses: Object.fromEntries(addresses) as Record<string, CheckedState>,
  };
}

/** Instance metadata agrees with EC2 again, so it was only slow. */
function agreeing(memory: RecheckState): RecheckState {
  const { addresses } = memory;
  const agree = (state: CheckedState): CheckedState => ({ ...state, disagreements: 0 });
  if (addresses === undefined) return agree(memory);
  const all = Object.entries(addresses).map(([name, state]) => [name, agree(state)]);
  return { ...agree(memory), addresses: Object.fromEntries(all) as Record<string, CheckedState> };
}

/** Whether the last run of this instance found that it was not in service. */
function isOutOfService(last: LastResult | undefined, { instanceId }: Facts): boolean {
  return last?.instanceId === instanceId && last?.idle === "not-in-service";
}

/**
 * Counts the moves of a heal, of each address by itself, and has an address left alone at MAX_MOVES_PER_HOUR: others may
 * take it away again and again.
 */
function countMoves(memory: RecheckState, wallClock: () => number) {
  const counted = new Map<string | undefined, number[]>();
  const recent = (name?: string): number[] => {
    const before = name === undefined ? memory : stateOf(memory, name);
    const moves = counted.get(name) ?? recentMoves(before, wallClock());
    counted.set(name, moves);
    return moves;
  };
  const movesOf = (name?: string): Moves => ({
    begin() {
      const [oldest = 0] = recent(name);
      if (recent(name).length >= MAX_MOVES_PER_HOUR) {
        return `others keep moving it away, so it is left alone until ${restsUntil(oldest)} UTC`;
      }
      recent(name).push(wallClock());
      return undefined;
    },
    refused: () => void recent(name).pop(),
  });
  return { recent, movesOf };
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

/** Whether the outcome is the same as that of the last run, for each of several addresses. */
function isUnchanged(
  outcome: Outcome,
  record: Readonly<Record<string, unknown>>,
  last: LastResult | undefined,
): boolean {
  return (
    last !== undefined &&
    last.outcome === record["outcome"] &&
    last.exitStatus === record["exitStatus"] &&
    !isMove(outcome) &&
    (outcome.each ?? []).every((one) => hasEndedAsBefore(one, last))
  );
}
