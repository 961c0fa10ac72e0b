/** `eip-heal heal`, which runs at every boot. Completes the lifecycle hook if one is configured. */
import { HEAL_UNIT, type LastResult, RECHECK_TIMER } from "../reconcile/drift.ts";
import { deciding } from "../model/each.ts";
import { lastOf } from "../reconcile/each.ts";
import { isSameCause } from "../reconcile/repeated.ts";
import { lineOfEntry } from "../report/report.ts";
import { mayEnterServiceRunning } from "../reconcile/ownership.ts";
import type { OfEntry, Outcome } from "../model/outcome.ts";
import { heal, type HealOptions } from "../run/heal.ts";
import type { Completion, Context } from "./command.ts";
import { completionOf, hookLines, lineOf } from "./outcome.ts";
import { begin, refusedHeal } from "./refusal.ts";

/** Runs it. */
export async function run(
  context: Context,
  { "dry-run": dryRun }: { readonly "dry-run": boolean },
): Promise<Completion> {
  const beginning = begin(context);
  if ("problems" in beginning) return refusedHeal(beginning, context, dryRun);
  const { settings, ports } = beginning;
  const { commandLine, runtime, stop } = context;
  const { lifecycleHook: name, deadlineMs } = settings;
  const last = runtime.last();
  const lastOfUnit = runtime.unit === HEAL_UNIT ? last : undefined;
  const options: HealOptions = {
    dryRun,
    isOrdered: runtime.unit === undefined && commandLine.flags["takeover"] === "always",
    shared: runtime.shared,
    // A lifecycle hook is abandoned if the run fails, so under one every run waits with full patience.
    lastOnBoot: name === undefined ? last : undefined,
    lastOfUnit,
    onEnd: (ended) => {
      if (!isFailure(ended)) context.say(lineOfEntry(ended, false));
    },
  };
  const work = async () => withTimer(await heal(settings, ports, options, stop), context);
  const report = (outcome: Outcome) => {
    const { each = [] } = outcome;
    // The last line has the cause of the one that decides.
    for (const one of each) {
      if (isFailure(one) && one !== deciding(each)) {
        context.say(lineOfEntry(one, isKnown(one, lastOfUnit)));
      }
    }
    context.say(lineOf(outcome, context));
  };
  let outcome: Outcome;
  if (name === undefined) {
    outcome = await work();
    report(outcome);
  } else {
    const { underHook } = await import("../run/lifecycle.ts");
    // Completing the hook may take a while; the outcome of the heal is logged before that.
    outcome = await underHook({ name, deadlineMs, dryRun }, ports, work, report, stop);
  }
  const { result, ...completion } = completionOf(outcome, context);
  return { ...completion, lines: hookLines(outcome, context), ...(!dryRun && { result }) };
}

const isFailure = ({ outcome: { end } }: OfEntry) => end === "failed" || end === "stopped";

/** Whether the last run of the unit ended with the same cause for this one of several addresses. */
function isKnown({ name, outcome }: OfEntry, last: LastResult | undefined): boolean {
  return outcome.end === "failed" && isSameCause(outcome.failure, lastOf(last, name));
}

/** If the instance may enter service without a boot and the recheck timer is off: names that timer, which would then heal. */
function withTimer(outcome: Outcome, { isTimerOn }: Context): Outcome {
  const isMissed =
    outcome.end === "idle" &&
    outcome.why === "not-in-service" &&
    mayEnterServiceRunning(outcome.facts.lifecycleState) &&
    !isTimerOn(RECHECK_TIMER);
  if (!isMissed) return outcome;
  const because = `${outcome.because}; it may enter service without a boot, and ${RECHECK_TIMER}, which heals then, is off: systemctl enable --now ${RECHECK_TIMER}`;
  return { ...outcome, because };
}
