/** `eip-heal doctor`: each check is told as soon as it can be. */
import { type Check, type CheckId, CHECKS, doctorRecord } from "../doctor/catalog.ts";
import { rowOf, rowOfSkipped } from "../doctor/rows.ts";
import { doctor } from "../doctor/doctor.ts";
import { linesOf, paragraph } from "../report/screen.ts";
import type { Completion, Context } from "./command.ts";

export async function run(
  context: Context,
  { json }: { readonly json: boolean },
): Promise<Completion> {
  const { clock, stop } = context;
  const { screen, lines, progress } = await context.screen();
  const width = Math.max(...CHECKS.map(([id]) => id.length));
  let skipped: Check[] = [];
  const told = new Map<string, CheckId>();
  const tell = (check: Check) => {
    const [one] = skipped;
    if (one !== undefined && String(one.blockedBy) !== String(check.blockedBy)) {
      lines(linesOf(rowOfSkipped(skipped), screen, width));
      skipped = [];
    }
    if (check.mark === "skipped") skipped.push(check);
    else lines(linesOf(rowOf(toldOnce(check, told)), screen, width));
  };
  const { checks, verdict } = await doctor(
    await context.doctorPorts(),
    (check, open) => {
      if (json) return;
      if (check !== undefined) tell(check);
      progress(open.length === 0 ? "" : `  checking ${open.join(", ")} ...`);
    },
    stop,
  );
  const { status } = verdict;
  if (json) return { status, json: doctorRecord(checks, clock.date()) };
  lines(["", ...paragraph(verdict.line, screen)]);
  return { status };
}

/** The check without the commands that an earlier one has shown: the policy of the role is long, and cures all that it lacks. */
function toldOnce(check: Check, told: Map<string, CheckId>): Check {
  const { id, remedy = "", commands = [] } = check;
  const known = commands.find((command) => told.has(command));
  const fresh = commands.filter((command) => !told.has(command));
  for (const command of fresh) told.set(command, id);
  return known === undefined
    ? check
    : { ...check, remedy: `${remedy} (command: see ${told.get(known)})`, commands: fresh };
}
