/** What was found in words: how much was visited, and a way to everything that is wrong. */
import { type Ending, type Exploration, A_SECOND } from "./search.ts";
import type { Sample } from "./schedules.ts";

const counted = (count: number) => count.toLocaleString("en");

export function told(name: string, { states, depth, endings, isCutShort }: Exploration): string {
  const visited = isCutShort ? `the first ${counted(states)}` : counted(states);
  return tale(`${name}: ${visited} states, ${depth} moves deep`, endings);
}

export function toldOf(name: string, { schedules, moves, endless, endings }: Sample): string {
  const gone = `${counted(schedules)} schedules of ${counted(Math.round(moves / schedules))} moves`;
  const left = endless === 0 ? "" : `, ${counted(endless)} of them without an end`;
  return tale(`${name}: ${gone}${left}`, endings);
}

function tale(visited: string, endings: readonly Ending[]): string {
  const wrong = endings.filter((ending) => ending.wrong !== undefined);
  return [
    `${visited}, ${endings.length} endings, ${wrong.length} of them wrong`,
    ...wrong.flatMap((ending) => [
      `  ${ending.wrong} (${ending.name}):`,
      ...shortened(ending.trace).map((what) => `    ${what}`),
    ]),
  ].join("\n");
}

/** Seconds in which nothing else happens are one line. */
function shortened(trace: readonly string[]): string[] {
  const lines: string[] = [];
  let seconds = 0;
  for (const what of [...trace, undefined]) {
    if (what === A_SECOND) {
      seconds++;
      continue;
    }
    if (seconds > 0) lines.push(seconds === 1 ? A_SECOND : `${seconds} seconds pass`);
    seconds = 0;
    if (what !== undefined) lines.push(what);
  }
  return lines;
}

/** Everything that goes wrong, once. */
export function problemsOf({ endings }: { readonly endings: readonly Ending[] }): string[] {
  return [...new Set(endings.flatMap((ending) => ending.wrong ?? []))].toSorted();
}
