/**
 * Mutation testing (`make mutate`): what decides and what tells is changed in one place at a time, and the unit tests have
 * to notice. Minutes for a file and hours for all of them, so it is a nightly job and no part of `make test`.
 *
 * @type {import("@stryker-mutator/api/core").PartialStrykerOptions}
 */
export default {
  mutate: ["src/{model,reconcile,report,run}/**/*.ts"],
  testRunner: "vitest",
  vitest: { configFile: "vitest.mutate.config.ts" },
  // What no test of that project reads is not copied. The type checker of this project has no API that Stryker could use.
  ignorePatterns: ["dist", ".tools", ".cache", ".github", "docs", "examples", "tsconfig.json"],
  checkers: [],
  // A constant of a module is read before a test begins; to change one, the tests are loaded again.
  ignoreStatic: false,
  // What has not changed since the last run, code and tests, keeps its verdict.
  incremental: true,
  incrementalFile: ".cache/mutation.json",
  tempDirName: ".cache/stryker",
  reporters: ["progress-append-only", "clear-text", "html", "json"],
  htmlReporter: { fileName: "dist/mutation.html" },
  jsonReporter: { fileName: "dist/mutation.json" },
  // Nobody's words: that a sentence is another one is not to be noticed by these tests.
  mutator: { excludedMutations: ["StringLiteral"] },
  concurrency: 2,
  timeoutMS: 30_000,
  allowEmpty: true,
};
