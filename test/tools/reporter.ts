/** Closes a run of tests with its summary, or leaves that to `make test`, which names a file for what the run came to. */
import { appendFileSync } from "node:fs";
import type { Reporter, TestCase, TestModule, Vitest } from "vitest/node";
import { FIXED_SEED, freshSeed } from "../support/properties.ts";
import { lineOf, type Run, type Skipped, summaryOf } from "./summary.ts";

interface Project {
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  endedAt: number;
  files: number;
  readonly tests: Record<"passed" | "failed" | "skipped" | "pending", number>;
}

export default class Closing implements Reporter {
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
    console.log(
      `properties were tried from the seeds ${FIXED_SEED} and ${freshSeed()}; EIP_HEAL_TEST_SEED=… tries one of them again`,
    );
    const run = this.#cameTo(modules);
    const file = process.env["EIP_HEAL_TEST_SUMMARY"];
    if (file) {
      appendFileSync(file, `${JSON.stringify(run)}\n`);
      console.log(run.projects.map(lineOf).join("\n"));
      return;
    }
    const { text, isRefused } = summaryOf([run], Boolean(process.env["CI"]));
    console.log(text);
    if (isRefused) process.exitCode = 1;
  }

  #cameTo(modules: readonly TestModule[]): Run {
    const { shard, testNamePattern } = this.#vitest?.config ?? {};
    const part = shard === undefined ? "" : ` ${shard.index}/${shard.count}`;
    return {
      projects: [...this.#projects].map(([name, { startedAt, endedAt, files, tests }]) => ({
        name: `${name}${part}`,
        // From the start of its first file to the end of its last one: projects of one run overlap.
        seconds: Math.round((endedAt - startedAt) / 1_000),
        files,
        tests: {
          passed: tests.passed,
          failed: tests.failed,
          skipped: tests.skipped + tests.pending,
        },
      })),
      // With a pattern of names all others are "skipped".
      skipped: testNamePattern === undefined ? modules.flatMap((module) => skippedIn(module)) : [],
    };
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

function skippedIn(module: TestModule): Skipped[] {
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
