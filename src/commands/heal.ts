/** `eip-heal heal`, which a boot runs, with the launch hook where there is one. */
import { HEAL_UNIT } from "../reconcile/drift.ts";
import type { Outcome } from "../model/outcome.ts";
import { heal, type HealOptions } from "../run/heal.ts";
import type { Completion, Context } from "./command.ts";
import { completionOf, hookLines, lineOf } from "./outcome.ts";
import { begin, refusedHeal } from "./refusal.ts";

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
    others: runtime.others,
    // Under a launch hook a second run is the last chance of this instance: it waits as long as the first.
    lastOnBoot: name === undefined ? last : undefined,
    lastOfUnit: runtime.unit === HEAL_UNIT ? last : undefined,
  };
  const work = () => heal(settings, ports, options, stop);
  const report = (outcome: Outcome) => context.say(lineOf(outcome, context));
  let outcome: Outcome;
  if (name === undefined) {
    outcome = await work();
    report(outcome);
  } else {
    const { underHook } = await import("../run/lifecycle.ts");
    // The line about the heal is written before the hook is completed, which may take a while.
    outcome = await underHook({ name, deadlineMs, dryRun }, ports, work, report, stop);
  }
  const { result, ...completion } = completionOf(outcome, context);
  return { ...completion, lines: hookLines(outcome, context), ...(!dryRun && { result }) };
}
