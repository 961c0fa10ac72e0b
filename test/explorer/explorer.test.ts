/** Every interleaving of two runs of the real reconciler, with what EC2 does in between. */
import { describe, expect, test } from "vitest";
import { FIXED_SEED, freshSeed } from "../support/properties.ts";
import { dice } from "../simulation/time.ts";
import { pairOf, type PairScenario } from "./pair.ts";
import { BEYOND, BROKEN, QUICK, type Row, SAMPLED, STATES } from "./scenarios.ts";
import { chooser, sample } from "./schedules.ts";
import { explore } from "./search.ts";
import { problemsOf, told, toldOf } from "./table.ts";
import { modelOf } from "./world.ts";

function expectExplored({ name, scenario, wrong }: Row): void {
  const exploration = explore(modelOf(scenario));
  console.log(told(name, exploration));
  expect(exploration.isCutShort).toBe(false);
  expect(problemsOf(exploration)).toEqual(wrong);
  // A model that has become smaller by mistake is seen by it; "make explore" says how they are counted anew.
  expect(exploration.states).toBe(STATES[name]);
}

describe("the newest ends as its holder, and nobody claims what it does not have", () => {
  test.each(QUICK)("$name", expectExplored);
});

describe("beyond the bounds", () => {
  test.each(BEYOND)("$name", expectExplored);
});

describe("without one of its rules", () => {
  test.each(BROKEN)("$name", expectExplored);
});

describe("two addresses of one instance end in their places, and both runs say so", () => {
  const WAYS = [
    {},
    { mayNotDisplace: true },
    { isStrict: true },
    { isStrict: true, mayNotDisplace: true },
  ];
  test.each<{ at: PairScenario["at"]; states: readonly number[] }>([
    { at: ["there", "there"], states: [17_434, 49_085, 17_434, 49_085] },
    { at: ["there", "nobody"], states: [13_836, 23_039, 35_245, 33_712] },
    { at: ["J", "there"], states: [14_314, 25_052, 14_314, 25_052] },
  ])("$at, and an answer is lost", ({ at, states }) => {
    const explorations = WAYS.map((way) => explore(pairOf({ at, ...way, losses: 1 })));
    for (const { endings } of explorations) {
      expect(endings.map(({ name }) => name)).toEqual(["0, 1; settled, settled"]);
    }
    expect(explorations.map((one) => one.states)).toEqual(states);
  });

  test("broken: neither run knows of the other address", () => {
    const broken = pairOf({ at: ["there", "there"], mayNotDisplace: true, areUnrelated: true });
    expect(problemsOf(explore(broken))).toEqual(["one is not in its place, or its run has failed"]);
  });
});

describe.each([FIXED_SEED, freshSeed()])(
  "more instances, on random schedules (seed %i)",
  (seed) => {
    test.each(SAMPLED)("$name", ({ name, scenario, wrong }) => {
      const found = sample(modelOf(scenario), seed, 200);
      console.log(toldOf(name, found));
      // Where nothing bounds how long an answer takes, one after the other may come too late.
      expect(found.endless).toBeLessThan(10);
      expect(problemsOf(found)).toEqual(wrong);
    });
  },
);

describe("the search", () => {
  test("takes no state for another one, although it keeps nothing but a hash of each", () => {
    const model = modelOf({ claimants: 2, holders: ["J"], atMost: { deaths: 1 } });
    const seen = new Set<string>();
    const left = [model.start];
    for (let world = left.pop(); world !== undefined; world = left.pop()) {
      const key = model.key(world).join();
      if (seen.has(key)) continue;
      seen.add(key);
      for (const { to } of model.moves(world)) left.push(to());
    }
    expect(explore(model).states).toBe(seen.size);
  });

  test("goes the same random ways from the same seed", () => {
    const scenario = { claimants: 3, holders: ["J"], atMost: { losses: 1 } } as const;
    const one = sample(modelOf(scenario), 7, 20);
    expect(sample(modelOf(scenario), 7, 20)).toEqual(one);
    expect(sample(modelOf(scenario), 8, 20)).not.toEqual(one);
  });
});

describe("what is forgotten makes no difference", () => {
  test.each([...QUICK, ...SAMPLED])("$name", ({ scenario }) => {
    for (let seed = 0; seed < 40; seed++) {
      const choose = chooser(dice(freshSeed() + seed));
      const forgetful = modelOf(scenario);
      const other = modelOf(scenario, { keepsAll: true });
      let [one, two] = [forgetful.start, other.start];
      for (let i = 0; i < 400; i++) {
        const moves = [...forgetful.moves(one)];
        const others = [...other.moves(two)];
        expect(moves.map(({ what }) => what)).toEqual(others.map(({ what }) => what));
        if (moves.length === 0) break;
        const move = choose(moves);
        one = move.to();
        two = (others[moves.indexOf(move)] ?? move).to();
      }
    }
  });
});
