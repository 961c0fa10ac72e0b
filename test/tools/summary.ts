/** Closes a test run with one plain line, for whoever reads the end of a long log. */
import type { Reporter, TestModule } from "vitest/node";
import { FIXED_SEED, freshSeed } from "../support/properties.ts";

export default class Summary implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const count = { passed: 0, failed: 0, skipped: 0, pending: 0 };
    for (const module of modules) {
      // A file that could not even be loaded has no tests to count.
      if (module.errors().length > 0) count.failed++;
      for (const test of module.children.allTests()) count[test.result().state]++;
    }
    console.log(
      `properties were tried from the seeds ${FIXED_SEED} and ${freshSeed()}; EIP_HEAL_TEST_SEED=… tries one of them again`,
    );
    console.log(
      `${count.passed} passed, ${count.failed} failed, ${count.skipped + count.pending} skipped`,
    );
  }
}
