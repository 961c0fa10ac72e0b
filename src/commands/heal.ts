/** `eip-heal heal`, which a boot runs, with the launch hook where there is one. */
import { HEAL_UNIT } from "../reconcile/drift.ts";
import { heal, type HealOptions } from "../run/heal.ts";
import type { Completion, Context } from "./command.ts";
import { completionOf, hookLines, lineOf } from "./outcome.ts";
import { begin, refusedHeal } from "./refusal.ts";

export async function run(context: Context): Promise<Completion> {
  const beginning = begin(context);
  if ("problems" in beginning) return refusedHeal(beginning, context);
  const { settings, ports } = beginning;
  const { runtime, stop } = context;
  const { dryRun } = context.commandLine;
  const { lifecycleHook: name, deadlineMs } = settings;
  const last = runtime.last();
  const options: HealOptions = {
    dryRun,
    // Under a launch hook a second run is the last chance of this instance: it waits as long as the first.
    lastOnBoot: name === undefined ? last : undefined,
    lastOfUnit: runtime.unit === HEAL_UNIT ? last : undefined,
  };
  const work = () => heal(settings, ports, options, stop);
  if (name === undefined) {
    const outcome = await work();
    const { result, ...completion } = completionOf(outcome, context);
    return { ...completion, lines: [lineOf(outcome, context)], ...(!dryRun && { result }) };
  }
  const { underHook } = await import("../run/lifecycle.ts");
  const hook = { name, deadlineMs, dryRun };
  const tell = (outcome: Parameters<typeof lineOf>[0]) => context.say(lineOf(outcome, context));
  const outcome = await underHook(hook, ports, work, tell, stop);
  const { result, ...completion } = completionOf(outcome, context);
  return { ...completion, lines: hookLines(outcome, context), ...(!dryRun && { result }) };
}
