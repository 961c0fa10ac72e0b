/** What a run has found, as Markdown that can be put into an issue or a file. */
import { cost, type Plan } from "./plan.ts";

export interface Row {
  /** What was played or asked. */
  readonly what: string;
  /** Undefined: it could not be told; a measurement is never wrong. */
  readonly ok: boolean | undefined;
  /** What was seen, with figures. */
  readonly seen: string;
}

export interface Leftover {
  readonly what: string;
  /** Why it is still there. */
  readonly why: string;
}

/**
 * The report.
 *
 * @param hours how long the run has lasted
 * @param trouble what ended the run early
 */
export function report(
  plan: Plan,
  rows: readonly Row[],
  left: readonly Leftover[],
  hours: number,
  trouble: string | undefined,
): string {
  const table = [
    ["", "what", "seen"],
    ["-", "-", "-"],
    ...rows.map(({ what, ok, seen }) => [mark(ok), what, seen]),
  ].map((cells) => `| ${cells.map(cell).join(" | ")} |`);
  const remains =
    left.length === 0
      ? "Everything has been removed."
      : `**Still there, and charged for:**\n${left.map(({ what, why }) => `- ${what}: ${why}`).join("\n")}`;
  return `# Acceptance ${plan.run}

${plan.package} on ${plan.arch}, region ${plan.region}, ${(hours * 60).toFixed(0)} min, at most $${cost(plan.arch, hours, 0).toFixed(2)} by list prices of us-east-1.

${table.join("\n")}
${trouble === undefined ? "" : `\n**It ended early:** ${trouble}\n`}
${remains}
`;
}

/** Whether the run is a success: all that was played went well, and nothing is left. */
export function succeeded(
  rows: readonly Row[],
  left: readonly Leftover[],
  trouble: string | undefined,
): boolean {
  const wrong = rows.some(({ ok }) => ok === false);
  return !wrong && rows.length > 0 && left.length === 0 && trouble === undefined;
}

function mark(ok: boolean | undefined): string {
  return ok === undefined ? "?" : ok ? "✓" : "✗";
}

/** One line, in which no character ends the cell. */
function cell(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll("|", "\\|");
}
