/** `eip-heal doctor`: prints each check as soon as its result is known. */
import { type Check, type CheckId, CHECKS, doctorRecord, labelOf } from "../doctor/catalog.ts";
import { rowOf, rowOfSkipped } from "../doctor/rows.ts";
import { doctor } from "../doctor/doctor.ts";
import { linesOf, paragraph } from "../report/screen.ts";
import type { Completion, Context } from "./command.ts";

/** Runs it. */
export async function run(
  context: Context,
  { json }: { readonly json: boolean },
): Promise<Completion> {
  const { clock, stop } = context;
  const { screen, lines, progress } = await context.screen();
  const width = Math.max(...CHECKS.map(([id]) => labelOf(id).length));
  let skipped: Check[] = [];
  const printed = new Map<string, CheckId>();
  const print = (check: Check) => {
    const [first] = skipped;
    // Checks that were skipped for the same reason are printed as one row.
    if (first !== undefined && String(first.blockedBy) !== String(check.blockedBy)) {
      lines(linesOf(rowOfSkipped(skipped), screen, width));
      skipped = [];
    }
    if (check.mark === "skipped") skipped.push(check);
    else lines(linesOf(rowOf(withoutPrinted(check, printed)), screen, width));
  };
  const { checks, verdict } = await doctor(
    await context.doctorPorts(),
    (check, open) => {
      if (json) return;
      if (check !== undefined) print(check);
      progress(open.length === 0 ? "" : `  checking ${open.map(labelOf).join(", ")} ...`);
    },
    stop,
  );
  const { status } = verdict;
  if (json) return { status, json: doctorRecord(checks, clock.date()) };
  lines(["", ...paragraph(verdict.line, screen)]);
  return { status };
}

/** The check without commands that were printed already. One long role policy is the remedy for every missing permission. */
function withoutPrinted(check: Check, printed: Map<string, CheckId>): Check {
  const { id, remedy = "", commands = [] } = check;
  const [elsewhere] = commands.flatMap((command) => printed.get(command) ?? []);
  const fresh = commands.filter((command) => !printed.has(command));
  for (const command of fresh) printed.set(command, id);
  return elsewhere === undefined
    ? check
    : { ...check, remedy: `${remedy} (command: see ${labelOf(elsewhere)})`, commands: fresh };
}
