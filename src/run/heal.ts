/** Heals the address of this instance, or several: each by a run of its own, all at the same time. */
import type { Settings } from "../config/settings.ts";
import { isNameOf, nameDesired } from "../model/address.ts";
import type { OfEntry, Outcome } from "../model/outcome.ts";
import { nameEntry, type Placed, type Several } from "../model/several.ts";
import { together } from "../model/each.ts";
import { HOLD_MS } from "../reconcile/bounds.ts";
import type { LastResult } from "../reconcile/drift.ts";
import { isIncomplete, lastOf, outdated } from "../reconcile/each.ts";
import { settingsFor } from "./desired.ts";
import { type HealOptions as OneOptions, healOne } from "./heal-one.ts";
import { reconcilerTime } from "./loop.ts";
import type { HealPorts, Moves } from "./ports.ts";

/**
 * Most times that addresses which were here early are looked at again once the last one is here, too. What is found then
 * may take a while to heal, which makes the look at others old.
 */
const CONFIRMATIONS = 3;

export interface HealOptions extends OneOptions {
  /** Of several addresses: which of them to associate even if EC2 shows them here, by name. */
  readonly forceOf?: readonly string[];
  /** The same as `moves` for each of several addresses, by name. */
  readonly movesOf?: (name: string) => Moves;
  /** Called with the outcome of each of several addresses, as soon as it is there. */
  readonly onEnd?: (ended: OfEntry) => void;
}

/**
 * Brings the address here, or says why not. Of several addresses each is brought to its place by a run of its own; none
 * waits for another one.
 *
 * @param stop aborted when somebody wants the run to stop, with an Error that says who
 * @throws only bugs; every foreseen failure is part of the Outcome
 */
export async function heal(
  settings: Settings,
  ports: HealPorts,
  options: HealOptions,
  stop: AbortSignal,
): Promise<Outcome> {
  const startedAt = ports.clock.now();
  const done = await healOne(settings, ports, options, stop);
  if (!("kind" in done)) return done;
  return healEach(done, settings, ports, options, startedAt, stop);
}

/** @param startedAt when the run began; what it took to read the tag counts */
async function healEach(
  { entries }: Several,
  settings: Settings,
  ports: HealPorts,
  options: HealOptions,
  startedAt: number,
  stopRequest: AbortSignal,
): Promise<Outcome> {
  const spent = () => ports.clock.now() - startedAt;
  /** Stops all of them after a bug in one. */
  const broken = new AbortController();
  const stop = AbortSignal.any([stopRequest, broken.signal]);
  /** Milliseconds until the deadline, but at least these. */
  const left = (leastMs: number) => Math.max(leastMs, settings.deadlineMs - spent());
  const healEntry = async (entry: Placed, more: Partial<OneOptions> & { deadlineMs: number }) => {
    const { deadlineMs, ...override } = more;
    const name = nameEntry(entry);
    const others = entries.filter((one) => one !== entry);
    const own = settingsFor(settings, entry);
    const last = options.lastOnBoot ?? options.lastOfUnit;
    const isAdded = wasAnother(entry, last);
    const address = nameDesired(entry.address);
    const lastWrite = ports.lastWriteOf(address, namesOf(entry, last), isAdded);
    // The result of this run has all of them, so the next one cannot tell which of them was alone before.
    if (isAdded && options.dryRun !== true) lastWrite.record(lastWrite.read());
    const outcome = await healOne(
      {
        // Requests leave this instance by one address only: the first in the list is the one that they can show.
        ...(entry === entries[0] ? own : withoutReachable(own)),
        deadlineMs,
      },
      {
        ...ports,
        log: naming(name, ports.log),
        lastWrite,
      },
      {
        ...options,
        moves: options.movesOf?.(name),
        force: options.forceOf?.includes(name) ?? options.force ?? false,
        lastOnBoot: lastOf(options.lastOnBoot, name),
        lastOfUnit: lastOf(options.lastOfUnit, name),
        ...override,
        others: others.map((other) => {
          const { interface: at, privateIp } = settingsFor(settings, other);
          return { name: nameEntry(other), address: other.address, interface: at, privateIp };
        }),
      },
      stop,
    );
    // Its settings name one address.
    if ("kind" in outcome) throw new Error(`several addresses for ${name}`);
    return outcome;
  };
  /** Does this for each at the same time. None goes on after it has returned, not even after a bug in one of them. */
  const forEach = async (work: (entry: Placed, index: number) => Promise<OfEntry>) => {
    const runs = entries.map(async (entry, index) => {
      try {
        return await work(entry, index);
      } catch (bug) {
        broken.abort(new Error("a bug in the run of another address: stopped"));
        throw bug;
      }
    });
    await Promise.allSettled(runs);
    return Promise.all(runs);
  };
  let each = await forEach(async (entry) => {
    const outcome = await healEntry(entry, { deadlineMs: left(1_000) });
    const ended = { name: nameEntry(entry), outcome };
    options.onEnd?.(ended);
    return ended;
  });
  // Somebody may have moved an address away while this run waited for another one.
  for (let round = 0; round < CONFIRMATIONS; round++) {
    const before = each;
    const old = outdated(before, reconcilerTime(ports.clock));
    if (old.length === 0) break;
    const hasFailed = isIncomplete(before);
    // Past the deadline once: as a hold that has begun, what was said to be here is still looked at.
    if (round > 0 && (hasFailed || spent() > settings.deadlineMs)) break;
    const again = {
      // A run that has failed is not prolonged by more than a look, and what that brings back is held.
      deadlineMs: hasFailed ? HOLD_MS : left(HOLD_MS),
      // What was ordered has been done: from now on a newer instance has it rightly, even if this run took it before.
      force: false,
      isOrdered: false,
      mustShow: false,
      wasHere: true,
    };
    each = await forEach(async (entry, index) => {
      const ended = before[index] as OfEntry;
      if (!old.includes(ended)) return ended;
      const outcome = await healEntry(entry, again);
      const { asOf, seenAt } = outcome;
      const isStillHere = outcome.end === "settled" && outcome.change === "none";
      if (isStillHere) return { ...ended, outcome: { ...ended.outcome, asOf, seenAt } };
      // Success needs that look. A failure says what was shown last.
      if (hasFailed && seenAt === undefined) return ended;
      options.onEnd?.({ ...ended, outcome });
      return { ...ended, outcome };
    });
  }
  return { ...together(each), ms: spent() };
}

function withoutReachable(settings: Settings): Settings {
  const { waitReachable: _, ...rest } = settings;
  return rest;
}

/** The names of an address, as far as the last run has learned them. */
function namesOf({ address }: Placed, last: LastResult | undefined): readonly string[] {
  const found = last?.addresses?.find(({ allocationId = "", publicIp = "" }) =>
    isNameOf(address, { allocationId, publicIp }),
  );
  return [found?.allocationId, found?.publicIp].filter((name) => name !== undefined);
}

/**
 * Whether the last run was about another address, the only one then. Unless that is certain, what it wrote counts for this
 * one too: an address that wrote on this boot must not be taken from a newer instance again.
 */
function wasAnother({ address }: Placed, last: LastResult | undefined): boolean {
  const { addresses, allocationId, publicIp } = last ?? {};
  return (
    addresses === undefined &&
    allocationId !== undefined &&
    publicIp !== undefined &&
    !isNameOf(address, { allocationId, publicIp })
  );
}

/** A log whose every line says first which address it is about. */
function naming(name: string, log: HealPorts["log"]): HealPorts["log"] {
  return {
    warn: (line) => log.warn(`${name}: ${line}`),
    debug: (line) => log.debug(`${name}: ${line}`),
  };
}
