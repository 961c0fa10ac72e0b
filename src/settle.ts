/**
 * The middle of the story: look, decide, act and look again, until the address is where it belongs. What
 * is returned is what EC2 has shown, never what a call has answered.
 */
import { decide, type Decision, describeState, isOwn } from "./core/decide.ts";
import { Failure } from "./core/failure.ts";
import type { Change, End } from "./core/outcome.ts";
import { choose, isFree } from "./core/pool.ts";
import { nameAddress } from "./core/report.ts";
import type { HolderInstance, Look, Place, Self, View, Wanted } from "./core/view.ts";
import { displacement, type Former, nameElastic } from "./displacement.ts";
import type { Ec2 } from "./ports.ts";
import { during, type Run } from "./run.ts";

/** Milliseconds from asking for a look to sending the take that rests on it. */
const FRESH_MS = 1_000;

/** After a take EC2 has to show us as the holder at once and once more after this, in milliseconds. */
const HOLD_MS = 3_000;

/** EC2 may show the old state for a while after it was changed: it is asked again after these milliseconds. */
const SETTLING_MS = [250, 500, 1_000, 2_000, 4_000];
/** When it is not sure that anything was changed, a shorter while. */
const UNSURE_MS = [1_000];

/** Acts, lost races and moves by others within one try, before it is paced like any other failure. */
const ROUNDS = 25;

/** The connection in use; `renew` replaces it by another one. */
export interface Line {
  ec2: Ec2;
  renew(): Promise<void>;
}

/** A change that is not "none". */
type Deed = Exclude<Change, { change: "none" }>;

/** A look and when it was asked for. */
interface Seen extends Look {
  readonly askedAt: number;
}

/**
 * Prepares the tries of one run. Between them only clocks are kept, and what the run itself has done, for
 * its report and for the time that a take has to hold.
 */
export function settle(
  run: Run,
): (self: Self, here: Place, wanted: Wanted, line: Line) => Promise<End> {
  const { settings, ports, signal } = run;
  const { clock } = ports;
  let done: Deed | undefined;
  /** What EC2 has accepted at our place, until it is seen elsewhere. */
  let placed: string | undefined;
  /** Has EC2 shown the address here after this run had put it there? */
  let wasHere = false;
  const pushing = displacement(run);
  const unknownSince = new Map<string, number>();

  return async (self, here, wanted, line) => {
    const what = nameWanted(wanted);
    const lost = new Set<string>();
    const pushedOff = pushing(here, line);
    let isElsewhere = false;
    let hasInsisted = false;
    let seen = await look();
    let held = false;

    for (let round = 0; round < ROUNDS; round++) {
      const { view, decision } = decideOn(seen);
      if (!isOwn(view, here)) run.isPlaced = false;
      const name = nameAddress(view.allocationId, view.publicIp);
      run.facts = {
        ...run.facts,
        allocationId: view.allocationId,
        ...(view.publicIp !== undefined && { publicIp: view.publicIp }),
      };
      switch (decision.do) {
        case "settled":
          if (run.insist && done === undefined && !hasInsisted) {
            hasInsisted = true;
            seen = await dare(view, { change: "renewed" });
            continue;
          }
          if (done === undefined || done.change === "associated" || held)
            return { end: "settled", ...(done ?? { change: "none" }) };
          // EC2 cannot take an address only if nothing has changed: another one's take that was under way
          // can still arrive. What holds after this wait is ours.
          run.step = `holding ${name}`;
          await clock.sleep(HOLD_MS, signal);
          seen = await look();
          held = true;
          continue;

        case "confirm":
          if (run.dryRun) return rehearse(view, { change: "associated" });
          if (view.elasticHere !== undefined && !isElsewhere) {
            isElsewhere = !(await isAtPlace(view, view.elasticHere));
            if (!isElsewhere) continue;
          }
          seen = await dare(view, { change: "taken", from: decision.holder });
          held = false;
          continue;

        case "associate":
        case "take": {
          const deed: Deed =
            decision.do === "take"
              ? { change: "taken", from: decision.from }
              : { change: "associated" };
          if (run.dryRun) return rehearse(view, deed);
          seen = await dare(view, deed);
          held = false;
          continue;
        }

        case "wait":
          if (decision.soonMs !== undefined) {
            run.step = `making sure of ${describe(decision.from)}`;
            await clock.sleep(decision.soonMs, signal);
            seen = await look();
            continue;
          }
          throw new Failure("held", {
            why: `${name} is held by ${describe(decision.from)}: ${decision.because}`,
          });
        case "yield":
          throw new Failure("yielded", { why: `${name} stays where it is: ${decision.because}` });
        case "refuse":
          throw new Failure("misconfigured", { why: decision.because, cure: decision.cure });
      }
    }
    throw new Failure("held", {
      why: `others keep moving ${what}, or EC2 is too slow for it to be taken safely`,
    });

    /** All of it but the write: what stands in the way, and what would go. */
    async function rehearse(view: View, deed: Deed): Promise<End> {
      const { elastic } = (await pushedOff.before(view, false)) ?? {};
      if (elastic !== undefined) {
        ports.log.warn(
          `${nameElastic(elastic)} would be pushed off ${here.instanceId} ${here.interfaceId} ${here.privateIp}`,
        );
      }
      return { end: "would", ...deed };
    }

    function decideOn({ views }: Look): { view: View; decision: Decision } {
      if (wanted.kind === "pool") {
        const choice = choose(here, self.zone, views, lost, unknownFor);
        if (choice.view !== undefined) return choice;
        throw new Failure("held", { why: `${what}: ${choice.why}` });
      }
      const [view] = views;
      if (view === undefined) throw new Error(`a look at ${what} without a view`);
      // Two that always take would go on for ever: what was lost after a take is for the newest.
      const takeover = settings.takeover === "always" && wasHere ? "newest" : settings.takeover;
      return { view, decision: decide(here, self.zone, view, takeover, unknownFor(view)) };
    }

    /** Looks at what is wanted, or at one address of the pool. */
    async function look(at: Wanted = wanted): Promise<Seen> {
      const askedAt = clock.now();
      const found = await during(run, `looking at ${nameWanted(at)}`, () =>
        line.ec2.look(at, here, pushedOff.question(at)),
      );
      if (found.views.some((view) => view.allocationId === placed && !isOwn(view, here))) {
        placed = undefined;
      }
      const views = found.views.map((view) =>
        view.allocationId === placed ? locatedAt(here, view) : view,
      );
      pushedOff.seen({ ...found, views });
      return { ...found, views, askedAt };
    }

    /** Is this look too old to take an address on it? A newer instance may have come in between. */
    function isStale({ askedAt }: Seen): boolean {
      return clock.now() - askedAt > FRESH_MS;
    }

    /** Acts on what was seen last, or looks again if that has become too old meanwhile; returns what EC2 shows then. */
    async function dare(view: View, deed: Deed): Promise<Seen> {
      const former =
        deed.change === "renewed" ? undefined : await pushedOff.before(view, seen.direct);
      if (deed.change !== "associated" && isStale(seen)) return look();
      return act(view, deed, former);
    }

    /**
     * This instance holds the address, on one of several places of which EC2 does not say which: associating
     * it at our place is nothing new if it is there, and refused if it is not.
     *
     * @param elasticHere the Elastic IP at our place, perhaps this one
     */
    async function isAtPlace(
      { allocationId, publicIp }: View,
      elasticHere: string,
    ): Promise<boolean> {
      const step = `making sure that ${nameAddress(allocationId, publicIp)} is on ${here.interfaceId} ${here.privateIp}`;
      try {
        await during(run, step, () => line.ec2.associate(allocationId, here, false));
      } catch (error) {
        if (error instanceof Failure && error.kind === "held") return false;
        throw error;
      }
      placed = allocationId;
      // An old answer still shows what was here before: while EC2 and instance metadata do not agree, it is asked again.
      for (const wait of [0, ...SETTLING_MS]) {
        if (wait > 0) await clock.sleep(wait, signal);
        seen = await look();
        if (seen.views.every((view) => !isOwn(view, here) || view.publicIp === here.publicIp))
          break;
      }
      if (seen.views.some((view) => isOwn(view, here) && view.publicIp !== elasticHere)) {
        // It was let go just before, so that this was something new after all.
        done = { change: "associated" };
        const former = { publicIp: elasticHere, by: { allocationId } };
        pushedOff.happened({ ...former, elastic: { publicIp: elasticHere } }, true);
      }
      return true;
    }

    /** Associates, and returns what EC2 shows then over a new connection: the answer itself proves nothing. */
    async function act(view: View, deed: Deed, former: Former | undefined): Promise<Seen> {
      const { allocationId, publicIp } = view;
      const step = `associating ${nameAddress(allocationId, publicIp)} with ${here.instanceId}`;
      let failure: Failure | undefined;
      const { acted } = run;
      run.moves?.begin();
      signal.throwIfAborted();
      try {
        // Whatever interrupts it now, it may be here, and no refusal before this is the reason for that end.
        run.isPlaced = true;
        run.acted = "perhaps";
        await during(run, step, () =>
          line.ec2.associate(allocationId, here, deed.change === "taken"),
        );
        placed = allocationId;
      } catch (error) {
        if (error instanceof Failure && error.kind !== "unreachable") {
          run.moves?.refused();
          run.isPlaced = false;
          run.acted = acted;
        }
        // No answer does not mean that nothing happened: it may have been lost because our own public
        // address has changed. And a lost race is no failure before we have seen who won it.
        if (!(error instanceof Failure) || (error.kind !== "unreachable" && error.kind !== "held"))
          throw amongRivals(error, seen);
        failure = error;
      }
      if (failure?.kind === "held") {
        if (wanted.kind === "pool") {
          lost.add(allocationId); // there are others
          return seen;
        }
      } else {
        // Nothing shows whether it was made anew if the answer does not say so: the next recheck will see.
        if (failure === undefined || deed.change !== "renewed") done = deed;
        pushedOff.happened(former, failure === undefined);
      }

      await line.renew();
      for (const wait of [0, ...(failure === undefined ? SETTLING_MS : UNSURE_MS)]) {
        if (wait > 0) await clock.sleep(wait, signal);
        const after = await look({ kind: "address", allocationId });
        const now = after.views.find((one) => one.allocationId === allocationId);
        const isAsBefore = now !== undefined && holderKey(now) === holderKey(view);
        if (isAsBefore && deed.change !== "renewed") continue;
        const isHere = now !== undefined && isOwn(now, here);
        if (isHere) run.acted = "seen";
        wasHere ||= isHere;
        // One address is all that matters as long as it is here; the rest of a pool is looked at when it is not.
        return wanted.kind === "address" || isHere ? after : await look();
      }
      if (failure?.kind === "held" && !seen.direct) {
        const cure =
          "something that this role may not see holds it: allow ec2:DescribeAddresses to find out what";
        throw new Failure("held", { ...failure.details, cure }, step);
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

    /** Of a pool the look tells how many others may be claiming: each of them one of the free addresses. */
    function amongRivals(error: unknown, { views }: Look): unknown {
      if (wanted.kind !== "pool" || !(error instanceof Failure) || error.kind !== "throttled")
        return error;
      const rivals = views.filter(isFree).length;
      return new Failure(error.kind, { ...error.details, rivals }, error.step);
    }
  };

  /** How long EC2 has denied knowing the holder, in milliseconds; 0 while it does know it. */
  function unknownFor({ holder }: View): number {
    if (holder.kind !== "instance") return 0;
    if (holder.state !== "unknown") {
      unknownSince.delete(holder.instanceId);
      return 0;
    }
    const since = unknownSince.get(holder.instanceId) ?? clock.now();
    unknownSince.set(holder.instanceId, since);
    return clock.now() - since;
  }
}

function nameWanted(wanted: Wanted): string {
  return wanted.kind === "address" ? wanted.allocationId : `the pool ${wanted.key}=${wanted.value}`;
}

/** This view with the address at our place, if this instance holds it and EC2 shows one there, but not which. */
function locatedAt(here: Place, view: View): View {
  const { holder, elasticHere } = view;
  if (holder.kind !== "instance" || holder.interfaceId !== undefined || elasticHere === undefined)
    return view;
  const { interfaceId, privateIp } = here;
  return { ...view, publicIp: elasticHere, holder: { ...holder, interfaceId, privateIp } };
}

function holderKey({ holder, elasticHere = "" }: View): string {
  return holder.kind === "instance"
    ? `${holder.instanceId} ${holder.interfaceId ?? ""} ${holder.privateIp ?? ""} ${elasticHere}`
    : JSON.stringify(holder);
}

function describe(holder: HolderInstance): string {
  return `${holder.instanceId} (${describeState(holder)})`;
}
