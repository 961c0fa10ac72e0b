/** Every interleaving of two runs of the real reconciler, with what EC2 does in between. */
import { expect, it } from "vitest";
import { TWO } from "./scenarios.ts";
import { explore } from "./search.ts";
import { told } from "./table.ts";
import { modelOf } from "./world.ts";

it.each(TWO)(
  "$name: the newest ends as its holder, and nobody claims what it does not have",
  (row) => {
    const exploration = explore(modelOf(row.scenario));
    console.log(told(row.name, exploration));
    expect(exploration.isCutShort).toBe(false);
    const wrong = new Set(exploration.endings.flatMap((ending) => ending.wrong ?? []));
    expect([...wrong]).toEqual(row.wrong);
    expect(exploration.states).toBe(row.states);
    expect(exploration.endings).toHaveLength(row.endings);
  },
);
