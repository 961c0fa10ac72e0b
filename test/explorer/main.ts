/**
 * Explores everything, and goes random ways where there is too much of it: `make explore`.
 *
 *     --quick           what the tests explore too: half a minute
 *     --count           counts the states of each row anew, after the reconciler or the model has changed
 *     --seed N          goes the same random ways as a run that has printed N
 *     --schedules N     of each row that has too many states, from each seed
 *     --only TEXT       rows whose name has it
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { FIXED_SEED } from "../support/properties.ts";
import {
  BEYOND,
  BROKEN,
  QUICK,
  type Row,
  SAMPLED,
  SLOW,
  STATES,
  STATES_FILE,
} from "./scenarios.ts";
import { sample } from "./schedules.ts";
import { explore } from "./search.ts";
import { problemsOf, told, toldOf } from "./table.ts";
import { modelOf } from "./world.ts";

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    count: { type: "boolean", default: false },
    seed: { type: "string" },
    schedules: { type: "string", default: "50000" },
    only: { type: "string", default: "" },
  },
});
const rows = (all: readonly Row[]) => all.filter(({ name }) => name.includes(values.only));
let isAsExpected = true;

function report(story: string, problems: readonly string[], { wrong }: Row, startedAt: number) {
  console.log(`${story}\n  ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
  if (problems.join("\n") === wrong.join("\n")) return;
  isAsExpected = false;
  console.log(`  expected to go wrong: ${wrong.join("; ") || "nothing"}`);
}

const explored = [...QUICK, ...BEYOND, ...BROKEN, ...SLOW];
const states = new Map(explored.map(({ name }) => [name, STATES[name]]));
for (const row of rows(explored).filter((one) => !values.quick || !SLOW.includes(one))) {
  const { name, scenario } = row;
  const startedAt = performance.now();
  const found = explore(modelOf(scenario), 100_000_000);
  report(told(name, found), problemsOf(found), row, startedAt);
  if (values.count) {
    states.set(name, found.states);
    const counted = JSON.stringify(Object.fromEntries(states), null, 2);
    writeFileSync(STATES_FILE, `${counted}\n`);
  } else if (found.states !== STATES[name]) {
    isAsExpected = false;
    console.log(`  expected: ${STATES[name] ?? "not counted yet"} states`);
  }
}

const seeds =
  values.seed === undefined ? [FIXED_SEED, Date.now() % 2 ** 31] : [Number(values.seed)];
const sampled = SAMPLED.filter((row) => !SLOW.includes(row));
for (const row of values.count || values.quick ? [] : rows(sampled)) {
  for (const seed of seeds) {
    const startedAt = performance.now();
    const found = sample(modelOf(row.scenario), seed, Number(values.schedules));
    report(toldOf(`${row.name} (seed ${seed})`, found), problemsOf(found), row, startedAt);
  }
}
process.exitCode = isAsExpected ? 0 : 1;
