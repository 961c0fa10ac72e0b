/** The end of `make test`: one list of what was skipped, and with CI set nothing else may be. */
import { describe, expect, test } from "vitest";
import { NO_CLOUD_INIT } from "../support/skipping.ts";
import { type Run, type Skipped, summaryOf } from "../tools/summary.ts";

const run = (name: string, ...skipped: Skipped[]): Run => ({
  projects: [
    { name, seconds: 9, files: 2, tests: { passed: 3, failed: 0, skipped: skipped.length } },
  ],
  skipped,
});
const ALLOWED = { name: "actionlint has nothing to say", reason: "needs actionlint, a Go module" };
const CLOUD_INIT = { name: "user data > is valid", reason: NO_CLOUD_INIT };
const OTHER = { name: "zizmor finds nothing", reason: "there is no zizmor" };

describe("the summary", () => {
  test("says of all runs together how long, how many, what was skipped and why", () => {
    const another = { ...OTHER, name: "zizmor is pinned" };
    const { text } = summaryOf([run("unit", OTHER), run("boot 1/2", ALLOWED, another)], false);
    expect(text.split("\n")).toEqual([
      "unit: 9 s, 2 files, 3 passed, 0 failed, 1 skipped",
      "boot 1/2: 9 s, 2 files, 3 passed, 0 failed, 2 skipped",
      "skipped:",
      "  there is no zizmor:",
      "    zizmor finds nothing",
      "    zizmor is pinned",
      "  needs actionlint, a Go module:",
      "    actionlint has nothing to say",
      "6 passed, 0 failed, 3 skipped",
    ]);
  });

  test("has no list where nothing was skipped", () => {
    expect(summaryOf([run("unit")], true)).toEqual({
      text: "unit: 9 s, 2 files, 3 passed, 0 failed, 0 skipped\n3 passed, 0 failed, 0 skipped",
      isRefused: false,
    });
  });

  test.each<[string, Skipped, boolean, boolean]>([
    ["what needs Go", ALLOWED, true, false],
    ["what needs an archive with cloud-init", CLOUD_INIT, true, false],
    ["anything else", OTHER, true, true],
    [
      "a test that only ends like one that may be",
      { ...ALLOWED, name: `x ${ALLOWED.name}` },
      true,
      true,
    ],
    ["anything else without CI", OTHER, false, false],
  ])("%s that is skipped (CI: %3$s): refused: %4$s", (_, skipped, isCi, isRefused) => {
    const summary = summaryOf([run("unit"), run("packages", skipped)], isCi);
    expect(summary.isRefused).toBe(isRefused);
    expect(summary.text.includes("may not be skipped")).toBe(isRefused);
  });
});
