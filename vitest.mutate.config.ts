import { defineConfig } from "vitest/config";

// One seed, so that a mutant that one night has been noticed is noticed the next; and few cases, a thousand times over.
process.env["EIP_HEAL_TEST_SEED"] ??= "20261123";
process.env["EIP_HEAL_TEST_RUNS"] ??= "50";

/** The tests that `make mutate` runs: those of the project `unit` that are near what is mutated. */
export default defineConfig({
  test: {
    include: ["test/{commands,model,reconcile,report,run}/**/*.test.ts"],
    testTimeout: 30_000,
  },
});
