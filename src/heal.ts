/**
 * The story of one run: who am I, may I act, what does EC2 show, what follows, act, look again. It goes
 * round until the address is settled, there is no hope, or time is up. No fact is carried from one try to
 * the next, only clocks, so a lost answer, a crash or a second copy does no harm.
 */
import { decide, describeState, gate } from "./core/decide.ts";
import { EXIT, Failure, inStep } from "./core/failure.ts";
import { isAllocationId } from "./core/ids.ts";
import { NO_TRAIL, pace, statusOf } from "./core/pacing.ts";
import { placeOn } from "./core/place.ts";
import {
  type Change,
  type End,
  type Facts,
  nameAddress,
  type Outcome,
  seconds,
} from "./core/report.ts";
import { allocationIdHint, type Settings } from "./core/settings.ts";
import type { HolderInstance, Place, Self, View } from "./core/view.ts";

/** EC2, over one connection. Every method throws Failures. */
export interface Ec2 {
  /** The value of a tag of this instance, or undefined. */
  tag(key: string): Promise<string | undefined>;
  look(allocationId: string, here: Place): Promise<View>;
  associate(allocationId: string, here: Place, reassociate: boolean): Promise<void>;
  close(): void;
}

/** What one try stands on: this instance, read afresh, and connections to EC2 in its name. */
export interface Footing {
  readonly self: Self;
  connect(): Ec2;
}

/** What the story needs from the world. */
export interface Ports {
  /** Reads who this instance is, with those of its tags; `signal` also ends whatever is done on this footing. */
  stand(tags: readonly string[], signal: AbortSignal): Promise<Footing>;
  readonly clock: {
    now: () => number;
    random: () => number;
    sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  };
  readonly log: Readonly<Record<"warn" | "debug", (line: string) => void>>;
}

/** Milliseconds from asking for a look to sending the take that rests on it. */
const FRESH_MS = 1_000;

/** The same once EC2 has been slower than that for SLOW_LOOKS looks in a row: everybody's looks are slow then. */
const FRESH_WHEN_SLOW_MS = 4_000;
const SLOW_LOOKS = 20;

/** After a take EC2 has to show us as the holder at once and once more after this, in milliseconds. */
const HOLD_MS = 3_000;

/** EC2 may show the old state for a while after it was changed: it is asked again after these milliseconds. */
const SETTLING_MS = [250, 500, 1_000, 2_000, 4_000];
/** When it is not sure that anything was changed, a shorter while. */
const UNSURE_MS = [1_000];

/** Lost races and moves by others within one try, before it is paced like any other failure. */
const ROUNDS = 12;

/** The same failure is logged again after this, in milliseconds. */
const QUIET_MS = 60_000;

/**
 * Brings the address here, or says why not.
 *
 * @param dryRun do everything but the write
 * @param stop aborted when somebody wants the run to end, with an Error that says who
 * @throws whatever is a bug; every foreseen failure is an Outcome
 */
export async function heal(
  settings: Settings,
  ports: Ports,
  dryRun: boolean,
  stop: AbortSignal,
): Promise<Outcome> {
  const { clock, log } = ports;
  const startedAt = clock.now();
  const deadline = startedAt + settings.deadlineMs;
  const limit = limitOf(ports, settings.deadlineMs, stop);
  const run: Run = {
    settings,
    ports,
    dryRun,
    signal: limit.signal,
    step: "starting",
    facts: {},
    slowLooks: 0,
  };
  const end = (how: End, tries: number): Outcome => ({
    ...how,
    facts: run.facts,
    tries,
    ms: clock.now() - startedAt,
  });

  let trail = NO_TRAIL;
  let last: Failure | undefined;
  let said: { message: string; at: number } | undefined;
  try {
    for (let tries = 1; ; tries++) {
      try {
        return end(await attempt(run), tries);
      } catch (error) {
        if (stop.aborted) {
          return end(
            { end: "stopped", because: `${(stop.reason as Error).message} while ${run.step}` },
            tries,
          );
        }
        if (limit.signal.aborted) {
          // The cause that was there before counts, not that time ran out in the middle of something.
          const failure =
            last ?? new Failure("unreachable", { why: "no answer before the deadline" }, run.step);
          return end(giveUp(failure), tries);
        }
        if (!(error instanceof Failure)) throw error;
        last = error;
      }

      const verdict = pace(last, trail, clock.now(), deadline, clock.random);
      if (!verdict.again) return end(giveUp(last, verdict.status), tries);
      trail = verdict.trail;
      const news = said?.message !== last.message || clock.now() - said.at >= QUIET_MS;
      if (news) said = { message: last.message, at: clock.now() };
      log[news ? "warn" : "debug"](`${last.message}; next try in ${seconds(verdict.afterMs)}`);
      try {
        await clock.sleep(verdict.afterMs, limit.signal);
      } catch {
        return stop.aborted
          ? end(
              {
                end: "stopped",
                because: `${(stop.reason as Error).message} while waiting: ${last.message}`,
              },
              tries,
            )
          : end(giveUp(last), tries);
      }
    }
  } finally {
    limit.release();
  }
}

/** What a run knows and carries along. */
interface Run {
  readonly settings: Settings;
  readonly ports: Ports;
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  /** What is being done now, a gerund phrase. */
  step: string;
  facts: Facts;
  /** What this run has done to the address, for its report and for the time it has to hold. */
  done?: Exclude<Change, { change: "none" }>;
  /** Since when EC2 has denied knowing the holder. */
  unknown?: { instanceId: string; since: number };
  /** Looks in a row that took longer than FRESH_MS. */
  slowLooks: number;
}

/** One try, from who am I to the end. */
async function attempt(run: Run): Promise<End> {
  const { settings, ports, signal } = run;
  const tags = settings.allocationId === undefined ? [settings.tag] : [];
  const footing = await during(run, "reading instance metadata", () => ports.stand(tags, signal));
  const { self } = footing;
  run.facts = { ...run.facts, instanceId: self.instanceId, region: self.region };

  const because = gate(self);
  if (because !== undefined) return { end: "idle", because };

  const here = placeOn(self, settings.interface, settings.privateIp);
  run.facts = { ...run.facts, interfaceId: here.interfaceId, privateIp: here.privateIp };

  const line = { ec2: footing.connect(), renew: () => {} };
  line.renew = () => {
    line.ec2.close();
    line.ec2 = footing.connect();
  };
  try {
    const allocationId = await nameAllocation(run, self, line.ec2);
    run.facts = { ...run.facts, allocationId };
    return await settle(run, self, here, allocationId, line);
  } finally {
    line.ec2.close();
  }
}

/** The allocation id by setting, by the tag in instance metadata, or by the tag that EC2 knows. */
async function nameAllocation(run: Run, self: Self, ec2: Ec2): Promise<string> {
  const { settings } = run;
  if (settings.allocationId !== undefined) return settings.allocationId;
  const { tag } = settings;
  const step = `reading the tag ${tag} of ${self.instanceId}`;
  const value = self.tags[tag] ?? (await during(run, step, () => ec2.tag(tag)));
  if (value === undefined) {
    throw new Failure(
      "not-yet",
      {
        why: `${self.instanceId} has no tag ${tag}, or not yet`,
        cure: `tag the Auto Scaling group with ${tag}=eipalloc-… (propagated to instances), or set EIP_HEAL_ALLOCATION_ID`,
        code: "NoTag",
        meaning: settings.optional ? EXIT.OK : EXIT.CONFIG,
      },
      step,
    );
  }
  if (!isAllocationId(value)) {
    throw new Failure("misconfigured", {
      why: `the tag ${tag} of ${self.instanceId} is ${JSON.stringify(value)}`,
      cure: `it takes ${allocationIdHint(value)}`,
    });
  }
  return value;
}

/** Looks, decides and acts until the address is where it belongs. Returns only what EC2 has shown. */
async function settle(
  run: Run,
  self: Self,
  here: Place,
  allocationId: string,
  line: Line,
): Promise<End> {
  const { settings, ports, signal } = run;
  const { clock } = ports;
  let seen = await look(run, here, allocationId, line);
  let heldSince: number | undefined;

  for (let round = 0; round < ROUNDS; round++) {
    const { view } = seen;
    const name = nameAddress(allocationId, view.publicIp);
    const decision = decide(here, self.zone, view, settings.takeover, unknownFor(run, view));

    switch (decision.do) {
      case "settled":
        if (run.done?.change === "taken" && heldSince === undefined) {
          // EC2 has no way to take an address only if nothing changed: another one's take that was under way
          // can still arrive. What holds after this wait is ours.
          heldSince = clock.now();
          run.step = `holding ${name}`;
          await clock.sleep(HOLD_MS, signal);
          seen = await look(run, here, allocationId, line);
          continue;
        }
        return { end: "settled", ...(run.done ?? { change: "none" }) };

      case "wait":
        throw new Failure("held", {
          why: `${name} is held by ${describe(decision.from)}: ${decision.because}`,
        });
      case "yield":
        throw new Failure("yielded", { why: `${name} stays where it is: ${decision.because}` });
      case "refuse":
        throw new Failure("misconfigured", { why: decision.because, cure: decision.cure });

      case "associate":
        if (run.dryRun) return { end: "would", change: "associated" };
        seen = await act(run, here, view, line, { change: "associated" });
        break;

      case "take":
        if (run.dryRun) return { end: "would", change: "taken", from: decision.from };
        if (isStale(run, seen)) seen = await look(run, here, allocationId, line);
        else seen = await act(run, here, view, line, { change: "taken", from: decision.from });
        break;
    }
    heldSince = undefined;
  }
  throw new Failure("held", {
    why: `others keep moving ${allocationId}, or EC2 is too slow to take it safely`,
  });
}

/** The connection in use; `renew` replaces it by another one. */
interface Line {
  ec2: Ec2;
  renew: () => void;
}

/** A view and when it was asked for. */
interface Seen {
  readonly view: View;
  readonly askedAt: number;
  readonly answeredAt: number;
}

async function look(run: Run, here: Place, allocationId: string, line: Line): Promise<Seen> {
  const { clock } = run.ports;
  const askedAt = clock.now();
  const view = await during(run, `looking at ${allocationId}`, () =>
    line.ec2.look(allocationId, here),
  );
  const answeredAt = clock.now();
  run.slowLooks = answeredAt - askedAt > FRESH_MS ? run.slowLooks + 1 : 0;
  if (view.publicIp !== undefined) run.facts = { ...run.facts, publicIp: view.publicIp };
  return { view, askedAt, answeredAt };
}

/** Is this look too old to take the address on? A newer instance may have come in between. */
function isStale(run: Run, { askedAt }: Seen): boolean {
  const limit = run.slowLooks < SLOW_LOOKS ? FRESH_MS : FRESH_WHEN_SLOW_MS;
  return run.ports.clock.now() - askedAt > limit;
}

/** Associates, and returns what EC2 shows then over a new connection: the answer itself proves nothing. */
async function act(
  run: Run,
  here: Place,
  before: View,
  line: Line,
  change: Exclude<Change, { change: "none" }>,
): Promise<Seen> {
  const { allocationId } = before;
  const name = nameAddress(allocationId, before.publicIp);
  const step = `associating ${name} with ${here.instanceId}`;
  let failure: Failure | undefined;
  try {
    await during(run, step, () =>
      line.ec2.associate(allocationId, here, change.change === "taken"),
    );
    run.done = change;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    // No answer does not mean that nothing happened: the answer may have been lost because our own public
    // address changed. And a lost race is no failure before we have seen who won it.
    if (error.kind !== "unreachable" && error.kind !== "held") throw error;
    failure = error;
    if (error.kind === "unreachable") run.done = change;
  }

  line.renew();
  for (const wait of [0, ...(failure === undefined ? SETTLING_MS : UNSURE_MS)]) {
    if (wait > 0) await run.ports.clock.sleep(wait, run.signal);
    const seen = await look(run, here, allocationId, line);
    if (holderKey(seen.view) !== holderKey(before)) return seen;
  }
  if (failure?.kind === "held") {
    throw new Failure(
      "held",
      {
        ...failure.details,
        cure: "nothing that this role may see holds it: allow ec2:DescribeAddresses to find out what does",
      },
      step,
    );
  }
  throw (
    failure ??
    new Failure(
      "not-yet",
      { why: "EC2 has accepted it and does not show it", code: "NotShown" },
      step,
    )
  );
}

/** How long EC2 has denied knowing the holder, in milliseconds; 0 while it does know it. */
function unknownFor(run: Run, { holder }: View): number {
  const now = run.ports.clock.now();
  if (holder.kind !== "instance" || holder.state !== "unknown") delete run.unknown;
  else if (run.unknown?.instanceId !== holder.instanceId) {
    run.unknown = { instanceId: holder.instanceId, since: now };
  }
  return run.unknown === undefined ? 0 : now - run.unknown.since;
}

function holderKey({ holder }: View): string {
  return holder.kind === "instance"
    ? `${holder.instanceId} ${holder.interfaceId ?? ""} ${holder.privateIp ?? ""}`
    : JSON.stringify(holder);
}

function describe(holder: HolderInstance): string {
  return `${holder.instanceId} (${describeState(holder)})`;
}

/** Does one step: names it for whoever interrupts it, and in the failures that come out of it. */
async function during<T>(run: Run, step: string, work: () => Promise<T>): Promise<T> {
  run.step = step;
  run.ports.log.debug(step);
  try {
    return await work();
  } catch (error) {
    throw error instanceof Failure ? inStep(error, step) : error;
  }
}

function giveUp(failure: Failure, status = statusOf(failure)): End {
  return status === EXIT.OK
    ? { end: "idle", because: failure.details.why }
    : { end: "failed", failure, status };
}

/** A signal that is aborted by `stop` or by the deadline. */
function limitOf({ clock }: Ports, ms: number, stop: AbortSignal) {
  const limit = new AbortController();
  const onStop = () => limit.abort(stop.reason);
  if (stop.aborted) onStop();
  stop.addEventListener("abort", onStop, { once: true });
  const timer = new AbortController();
  clock.sleep(ms, timer.signal).then(
    () => limit.abort(new Error("the deadline has passed")),
    () => {},
  );
  return {
    signal: limit.signal,
    release: () => {
      stop.removeEventListener("abort", onStop);
      timer.abort();
    },
  };
}
