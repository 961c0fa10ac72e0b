/** Explores what takes minutes too: `make explore`. */
import { BEYOND, QUICK, SLOW } from "./scenarios.ts";
import { explore } from "./search.ts";
import { told } from "./table.ts";
import { modelOf } from "./world.ts";

let isAsExpected = true;
for (const { name, scenario, states, wrong } of [...QUICK, ...BEYOND, ...SLOW]) {
  const startedAt = performance.now();
  const found = explore(modelOf(scenario), 15_000_000);
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
  console.log(`${told(name, found)}\n  ${seconds} s`);
  const problems = [...new Set(found.endings.flatMap((ending) => ending.wrong ?? []))];
  if (found.states !== states || problems.join("\n") !== wrong.join("\n")) {
    isAsExpected = false;
    console.log(`  expected: ${states} states, wrong: ${wrong.join("; ") || "nothing"}`);
  }
}
process.exitCode = isAsExpected ? 0 : 1;
