/** An exploration in words: what was visited, and the shortest way to everything that is wrong. */
import type { Exploration } from "./search.ts";

export function told(name: string, { states, endings, isCutShort }: Exploration): string {
  const wrong = endings.filter((ending) => ending.wrong !== undefined);
  const visited = `${states.toLocaleString("en")} states${isCutShort ? ", not all" : ""}`;
  return [
    `${name}: ${visited}, ${endings.length} endings, ${wrong.length} of them wrong`,
    ...wrong.flatMap((ending) => [
      `  ${ending.wrong} (${ending.name}):`,
      ...ending.trace.map((what) => `    ${what}`),
    ]),
  ].join("\n");
}
