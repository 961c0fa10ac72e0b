/**
 * The middle of the story: look, decide, act and look again, until the address is where it belongs. What
 * is returned is what EC2 has shown, never what a call has answered.
 */
import { decide, type Decision, describeState } from "./core/decide.ts";
import { Failure } from "./core/failure.ts";
import { choose } from "./core/pool.ts";
import { type Change, type End, nameAddress } from "./core/report.ts";
import type { HolderInstance, Look, Place, Self, View, Wanted } from "./core/view.ts";
import type { Ec2 } from "./ports.ts";
import { during, type Run } from "./run.ts";

/** Milliseconds from asking for a look to sending the take that rests on it. */
const FRESH_MS = 1_000;

/** The same once EC2 has been slower than that for SLOW_LOOKS looks in a row: then everybody's looks are slow. */
const FRESH_WHEN_SLOW_MS = 4_000;
const SLOW_LOOKS = 20;

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
  renew: () => void;
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
  const { clock, log } = ports;
  let done: Deed | undefined;
  let slowLooks = 0;
  const unknownSince = new Map<string, number>();

  return async (self, here, wanted, line) => {
    const what =
      wanted.kind === "address" ? wanted.allocationId : `the pool ${wanted.key}=${wanted.value}`;
    const lost = new Set<string>();
    let seen = await look();
    let held = false;

    for (let round = 0; round < ROUNDS; round++) {
      const { view, decision } = decideOn(seen);
      const name = nameAddress(view.allocationId, view.publicIp);
      run.facts = {
        ...run.facts,
        allocationId: view.allocationId,
        ...(view.publicIp !== undefined && { publicIp: view.publicIp }),
      };
      switch (decision.do) {
        case "settled":
          if (run.insist && done === undefined && view.holder.kind === "instance") {
            seen = await insistOn(view, view.holder);
            continue;
          }
          if (done?.change !== "taken" || held)
            return { end: "settled", ...(done ?? { change: "none" }) };
          // EC2 cannot take an address only if nothing has changed: another one's take that was under way
          // can still arrive. What holds after this wait is ours.
          run.step = `holding ${name}`;
          await clock.sleep(HOLD_MS, signal);
          seen = await look();
          held = true;
          continue;

        case "associate":
        case "take": {
          const deed: Deed =
            decision.do === "take"
              ? { change: "taken", from: decision.from }
              : { change: "associated" };
          if (run.dryRun) return { end: "would", ...deed };
          if (deed.change === "taken" && isStale(seen)) seen = await look();
          else seen = await act(view, deed);
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

    function decideOn({ views }: Look): { view: View; decision: Decision } {
      if (wanted.kind === "pool") {
        const choice = choose(here, self.zone, views, lost, unknownFor);
        if (choice.view !== undefined) return choice;
        throw new Failure("held", { why: `${what}: ${choice.why}` });
      }
      const [view] = views;
      if (view === undefined) throw new Error(`a look at ${what} without a view`);
      return { view, decision: decide(here, self.zone, view, settings.takeover, unknownFor(view)) };
    }

    async function look(former?: { wanted: string; former: string }): Promise<Seen> {
      const askedAt = clock.now();
      const found = await during(run, `looking at ${what}`, () =>
        line.ec2.look(wanted, here, former),
      );
      slowLooks = clock.now() - askedAt > FRESH_MS ? slowLooks + 1 : 0;
      return { ...found, askedAt };
    }

    /** Is this look too old to take an address on it? A newer instance may have come in between. */
    function isStale({ askedAt }: Seen): boolean {
      return clock.now() - askedAt > (slowLooks < SLOW_LOOKS ? FRESH_MS : FRESH_WHEN_SLOW_MS);
    }

    /** Associates, and returns what EC2 shows then over a new connection: the answer itself proves nothing. */
    async function act(view: View, deed: Deed): Promise<Seen> {
      const { allocationId, publicIp } = view;
      const step = `associating ${nameAddress(allocationId, publicIp)} with ${here.instanceId}`;
      const former = await formerAddress(view);
      let failure: Failure | undefined;
      try {
        await during(run, step, () =>
          line.ec2.associate(allocationId, here, deed.change === "taken"),
        );
        done = deed;
      } catch (error) {
        // No answer does not mean that nothing happened: it may have been lost because our own public
        // address has changed. And a lost race is no failure before we have seen who won it.
        if (!(error instanceof Failure) || (error.kind !== "unreachable" && error.kind !== "held"))
          throw error;
        failure = error;
        if (error.kind === "unreachable") done = deed;
        else if (wanted.kind === "pool") {
          lost.add(allocationId); // there are others
          return seen;
        }
      }

      line.renew();
      for (const wait of [0, ...(failure === undefined ? SETTLING_MS : UNSURE_MS)]) {
        if (wait > 0) await clock.sleep(wait, signal);
        const after = await look(former);
        const now = after.views.find((one) => one.allocationId === allocationId);
        if (now !== undefined && holderKey(now) === holderKey(view)) continue;
        if (after.displaced !== undefined) warnOfDisplaced(after.displaced);
        return after;
      }
      if (failure?.kind === "held") {
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

    /** Associates what is associated: EC2 then makes the mapping anew that traffic does not use. */
    async function insistOn({ allocationId, publicIp }: View, from: HolderInstance): Promise<Seen> {
      const step = `associating ${nameAddress(allocationId, publicIp)} with ${here.instanceId} again`;
      await during(run, step, () => line.ec2.associate(allocationId, here, true));
      done = { change: "taken", from };
      line.renew();
      return look();
    }

    /**
     * The public address that associating pushes off our place. If it is an Elastic one and must stay, this
     * is where the run ends; if it may go, the look afterwards tells what it was, or else we ask before.
     */
    async function formerAddress(
      view: View,
    ): Promise<{ wanted: string; former: string } | undefined> {
      const { publicIp } = here;
      if (publicIp === undefined || publicIp === view.publicIp) return undefined;
      const place = { ...here, publicIp };
      if (settings.displace && view.publicIp !== undefined && wanted.kind === "address") {
        return { wanted: view.publicIp, former: publicIp };
      }
      const present = await during(run, `looking at ${publicIp}`, () => line.ec2.present(place));
      if (present === undefined) return undefined;
      if (settings.displace) {
        warnOfDisplaced(present);
        return undefined;
      }
      throw new Failure("misconfigured", {
        why: `${here.interfaceId} ${here.privateIp} carries another Elastic IP, ${nameElastic(present)}, and EIP_HEAL_DISPLACE is no`,
        cure: "disassociate it, give another place by EIP_HEAL_INTERFACE or EIP_HEAL_PRIVATE_IP, or set EIP_HEAL_DISPLACE=yes",
      });
    }

    function warnOfDisplaced(displaced: NonNullable<Look["displaced"]>): void {
      log.warn(
        `${nameElastic(displaced)} is pushed off ${here.instanceId} ${here.interfaceId} ${here.privateIp}; it stays allocated`,
      );
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

function holderKey({ holder }: View): string {
  return holder.kind === "instance"
    ? `${holder.instanceId} ${holder.interfaceId ?? ""} ${holder.privateIp ?? ""}`
    : JSON.stringify(holder);
}

function describe(holder: HolderInstance): string {
  return `${holder.instanceId} (${describeState(holder)})`;
}

function nameElastic({ allocationId, publicIp }: NonNullable<Look["displaced"]>): string {
  return allocationId === undefined ? publicIp : nameAddress(allocationId, publicIp);
}
