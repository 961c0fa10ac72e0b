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
  // Not to be copied. With the configuration of the type checker Stryker would ask that for an API that it does not have.
  ignorePatterns: ["dist", ".tools", ".cache", "tsconfig.json"],
  // A constant of a module is read before a test begins; to change one, the tests are loaded again.
  ignoreStatic: false,
  // What has not changed since the last run, code and tests, keeps its verdict.
  incremental: true,
  incrementalFile: ".cache/mutation.json",
  tempDirName: ".cache/stryker",
  reporters: ["progress-append-only", "clear-text", "html", "json"],
  htmlReporter: { fileName: "dist/mutation.html" },
  jsonReporter: { fileName: "dist/mutation.json" },
  // The words of messages are not what these tests are about, and a misspelt kind, code or state does not compile.
  mutator: { excludedMutations: ["StringLiteral"] },
  // What loops for ever has been noticed.
  timeoutMS: 10_000,
  thresholds: { high: 92, low: 80, break: 80 },
};
