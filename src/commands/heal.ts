/** `eip-heal heal`, which runs at every boot. Completes the lifecycle hook if one is configured. */
import { HEAL_UNIT, RECHECK_TIMER } from "../reconcile/drift.ts";
import { mayEnterServiceRunning } from "../reconcile/ownership.ts";
import type { Outcome } from "../model/outcome.ts";
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
  const options: HealOptions = {
    dryRun,
    isOrdered: runtime.unit === undefined && commandLine.flags["takeover"] === "always",
    shared: runtime.shared,
    // A lifecycle hook is abandoned if the run fails, so under one every run waits with full patience.
    lastOnBoot: name === undefined ? last : undefined,
    lastOfUnit: runtime.unit === HEAL_UNIT ? last : undefined,
  };
  const work = async () => withTimer(await heal(settings, ports, options, stop), context);
  const report = (outcome: Outcome) => context.say(lineOf(outcome, context));
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
