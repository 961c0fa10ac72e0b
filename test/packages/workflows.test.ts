import { existsSync, readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { unless } from "../support/skipping.ts";
import { attempt, missing, read, ROOT, SLOW } from "./tools.ts";

const FOLDER = ".github/workflows/";
const workflows = readdirSync(`${ROOT}${FOLDER}`).map(
  (name) => [name, read(FOLDER + name)] as const,
);
const ACTIONLINT = `${ROOT}.tools/bin/actionlint`;
const ZIZMOR = `${ROOT}.tools/lint/bin/zizmor`;

/** A Go program, which not every machine can have. */
const withoutActionlint = existsSync(ACTIONLINT)
  ? undefined
  : "missing: actionlint (make lint-workflows installs it with Go)";

test("actionlint has nothing to say", { ...unless(withoutActionlint), timeout: SLOW }, () => {
  expect(attempt(ACTIONLINT, "-no-color")).toEqual({ status: 0, output: "" });
});

test("zizmor finds nothing", { ...unless(missing(ZIZMOR)), timeout: SLOW }, () => {
  const { status, output } = attempt(ZIZMOR, "--offline", "--no-progress", ".github");
  expect(status, output).toBe(0);
});

describe.each(workflows)("%s", (_, text) => {
  test("pins every action by the hash of a commit, and says which version it is", () => {
    const used = [...text.matchAll(/uses: (.+)$/gm)].map(([, action = ""]) => action);
    const foreign = used.filter((action) => !action.startsWith("./"));
    expect(foreign.length).toBeGreaterThan(0);
    for (const action of foreign)
      expect(action).toMatch(/^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  });

  test("permits nothing but what a job asks for", () => {
    expect(text).toMatch(/^permissions: \{\}$/m);
    const writes = [...text.matchAll(/^ +(\S+): write$/gm)].map(([, what]) => what);
    expect(writes.length).toBeLessThanOrEqual(1);
  });

  test("leaves no credentials behind in a checkout", () => {
    const checkouts = text.split("actions/checkout@").slice(1);
    for (const step of checkouts) {
      expect(step.split(/\n {6}- /)[0]).toContain("persist-credentials: false");
    }
  });

  test("calls only targets that make has", () => {
    const targets = new Set(
      [...read("Makefile").matchAll(/^([\w./-]+):/gm)].map(([, name]) => name),
    );
    for (const [, target] of text.matchAll(/^(?:[ -]*run: |\s+)(?:sudo \S+ )?make ([\w./-]+)/gm)) {
      expect(targets).toContain(target);
    }
  });
});
