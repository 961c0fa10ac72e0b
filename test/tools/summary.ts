/**
 * What closes a run of tests, for whoever reads the end of a long log: how long, how many, and one list of what was skipped
 * and why. `make test` has several runs side by side: each leaves what it came to in a file, and this closes all of them.
 *
 * usage: summary.ts FILE
 */
import { existsSync, readFileSync } from "node:fs";
import { NO_CLOUD_INIT } from "../support/skipping.ts";

/** What may be skipped with CI set, by the beginning of the full name: what needs Go, or a registry that not everybody reaches. */
const MAY_BE_SKIPPED = [
  "actionlint has nothing to say",
  "the Terraform module > is formatted as by terraform fmt",
  "the Terraform module > is valid, where the provider can be had",
  "with AWS's metadata mock and moto > ",
];

/** A test project, or the part of it that one run has. */
export interface Project {
  readonly name: string;
  readonly seconds: number;
  readonly files: number;
  readonly tests: Readonly<Record<"passed" | "failed" | "skipped", number>>;
}

export interface Skipped {
  /** The full name of the test. */
  readonly name: string;
  readonly reason: string;
}

/** What one run of tests came to: a line of the file. */
export interface Run {
  readonly projects: readonly Project[];
  readonly skipped: readonly Skipped[];
}

export interface Summary {
  readonly text: string;
  /** Something was skipped that may not be. */
  readonly isRefused: boolean;
}

/** @param isCi whether only what is named here may be skipped */
export function summaryOf(runs: readonly Run[], isCi: boolean): Summary {
  const projects = runs.flatMap((run) => run.projects);
  const skipped = runs.flatMap((run) => run.skipped);
  const refused = isCi ? skipped.filter((one) => !mayBeSkipped(one)) : [];
  const total = (state: keyof Project["tests"]) =>
    projects.reduce((sum, { tests }) => sum + tests[state], 0);
  const text = [
    ...projects.map(lineOf),
    ...(skipped.length > 0 ? ["skipped:"] : []),
    ...[...Map.groupBy(skipped, ({ reason }) => reason)].flatMap(([reason, tests]) => [
      `  ${reason}:`,
      ...tests.map(({ name }) => `    ${name}`),
    ]),
    ...(refused.length > 0 ? ["with CI set these may not be skipped:"] : []),
    ...refused.map(({ name }) => `  ${name}`),
    `${total("passed")} passed, ${total("failed")} failed, ${total("skipped")} skipped`,
  ].join("\n");
  return { text, isRefused: refused.length > 0 };
}

/** A line about one project. */
export function lineOf({ name, seconds, files, tests }: Project): string {
  const { passed, failed, skipped } = tests;
  return `${name}: ${seconds} s, ${files} files, ${passed} passed, ${failed} failed, ${skipped} skipped`;
}

function mayBeSkipped({ name, reason }: Skipped): boolean {
  return reason === NO_CLOUD_INIT || MAY_BE_SKIPPED.some((start) => name.startsWith(start));
}

if (import.meta.main) {
  const [file = ""] = process.argv.slice(2);
  // Without it no run has come to its end.
  const lines = existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n") : [];
  const runs = lines.map((line) => JSON.parse(line) as Run);
  const { text, isRefused } = summaryOf(runs, Boolean(process.env["CI"]));
  console.log(text);
  if (isRefused) process.exitCode = 1;
}
