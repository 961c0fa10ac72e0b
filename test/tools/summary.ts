/** Closes a test run with few plain lines, for whoever reads the end of a long log: how long, how many, what was skipped and why. */
import { appendFileSync } from "node:fs";
import type { Reporter, TestCase, TestModule, Vitest } from "vitest/node";
import { NO_CLOUD_INIT } from "../support/skipping.ts";
import { FIXED_SEED, freshSeed } from "../support/properties.ts";

/** What may be skipped with CI set, by the beginning of the full name: what needs Go, or a registry that not everybody reaches. */
const MAY_BE_SKIPPED = [
  "actionlint has nothing to say",
  "the Terraform module > is formatted as by terraform fmt",
  "the Terraform module > is valid, where the provider can be had",
  "with AWS's metadata mock and moto > ",
];

interface Project {
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  endedAt: number;
  files: number;
  readonly tests: Record<"passed" | "failed" | "skipped" | "pending", number>;
}

export default class Summary implements Reporter {
  readonly #projects = new Map<string, Project>();
  #vitest: Vitest | undefined;

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestModuleStart(module: TestModule): void {
    this.#projectOf(module);
  }

  onTestModuleEnd(module: TestModule): void {
    const project = this.#projectOf(module);
    project.endedAt = Date.now();
    project.files += 1;
    // A file that could not even be loaded has no tests to count.
    if (module.errors().length > 0) project.tests.failed += 1;
    for (const test of module.children.allTests()) project.tests[test.result().state] += 1;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    // With a pattern of names all others are "skipped".
    const isWhole = this.#vitest?.config.testNamePattern === undefined;
    const skipped = isWhole ? modules.flatMap((module) => skippedIn(module)) : [];
    const refused = process.env["CI"]
      ? skipped.filter(
          ({ name, reason }) =>
            reason !== NO_CLOUD_INIT && !MAY_BE_SKIPPED.some((start) => name.startsWith(start)),
        )
      : [];
    const total = (state: keyof Project["tests"]) =>
      [...this.#projects.values()].reduce((sum, { tests }) => sum + tests[state], 0);
    const shard = this.#vitest?.config.shard;
    const part = shard === undefined ? "" : ` ${shard.index}/${shard.count}`;
    const text = [
      ...[...this.#projects].map(([name, project]) => lineOf(`${name}${part}`, project)),
      ...(skipped.length > 0 ? ["skipped:"] : []),
      ...skipped.map(({ name, reason }) => `  ${name}: ${reason}`),
      ...(refused.length > 0 ? ["with CI set these may not be skipped:"] : []),
      ...refused.map(({ name }) => `  ${name}`),
      `${total("passed")} passed, ${total("failed")} failed, ${total("skipped") + total("pending")} skipped`,
    ].join("\n");
    console.log(
      `properties were tried from the seeds ${FIXED_SEED} and ${freshSeed()}; EIP_HEAL_TEST_SEED=… tries one of them again`,
    );
    console.log(text);
    const file = process.env["EIP_HEAL_TEST_SUMMARY"];
    if (file) appendFileSync(file, `${text}\n`);
    if (refused.length > 0) process.exitCode = 1;
  }

  #projectOf({ project }: TestModule): Project {
    const known = this.#projects.get(project.name);
    if (known !== undefined) return known;
    const startedAt = Date.now();
    const tests = { passed: 0, failed: 0, skipped: 0, pending: 0 };
    const fresh: Project = { startedAt, endedAt: startedAt, files: 0, tests };
    this.#projects.set(project.name, fresh);
    return fresh;
  }
}

/** From the start of its first file to the end of its last one: projects of one run overlap. */
function lineOf(name: string, { startedAt, endedAt, files, tests }: Project): string {
  const seconds = Math.round((endedAt - startedAt) / 1_000);
  const { passed, failed, skipped, pending } = tests;
  return `${name}: ${seconds} s, ${files} files, ${passed} passed, ${failed} failed, ${skipped + pending} skipped`;
}

function skippedIn(module: TestModule): { name: string; reason: string }[] {
  return [...module.children.allTests("skipped")].map((test) => ({
    name: test.fullName,
    reason: reasonOf(test),
  }));
}

/** Known before it would have started, or found out by the test itself. */
function reasonOf(test: TestCase): string {
  const result = test.result();
  const note = result.state === "skipped" ? result.note : undefined;
  return test.meta().skipped ?? note ?? "no reason is given";
}
