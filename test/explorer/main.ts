/** Explores three instances that boot at once, which takes minutes: `make explore`. */
import { THREE, TWO } from "./scenarios.ts";
import { explore } from "./search.ts";
import { told } from "./table.ts";
import { modelOf } from "./world.ts";

let isAsExpected = true;
for (const [claimants, rows] of [TWO, THREE].entries()) {
  for (const { name, scenario, states, endings, wrong } of rows) {
    const startedAt = performance.now();
    const found = explore(modelOf(scenario), 20_000_000);
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    console.log(`${claimants + 2} instances, ${told(name, found)}\n  ${seconds} s`);
    const problems = [...new Set(found.endings.flatMap((ending) => ending.wrong ?? []))];
    const isSame =
      found.states === states &&
      found.endings.length === endings &&
      problems.join("\n") === wrong.join("\n");
    if (!isSame) {
      isAsExpected = false;
      console.log(`  expected: ${states} states, ${endings} endings, wrong: ${wrong.join("; ")}`);
    }
  }
}
process.exitCode = isAsExpected ? 0 : 1;
