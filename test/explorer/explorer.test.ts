/** Every interleaving of two runs of the real reconciler, with what EC2 does in between. */
import { describe, expect, it } from "vitest";
import { BEYOND, QUICK, type Row } from "./scenarios.ts";
import { explore } from "./search.ts";
import { told } from "./table.ts";
import { modelOf } from "./world.ts";

function expectExplored(row: Row): void {
  const exploration = explore(modelOf(row.scenario));
  console.log(told(row.name, exploration));
  expect(exploration.isCutShort).toBe(false);
  const wrong = new Set(exploration.endings.flatMap((ending) => ending.wrong ?? []));
  expect([...wrong]).toEqual(row.wrong);
  expect(exploration.states).toBe(row.states);
}

describe("the newest ends as its holder, and nobody claims what it does not have", () => {
  it.each(QUICK)("$name", expectExplored);
});

describe("beyond the bounds", () => {
  it.each(BEYOND)("$name", expectExplored);
});
