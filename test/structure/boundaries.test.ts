import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "../..");
const files = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
    .map((name) => join(folder, name));
/** What a file of each folder may import from others. The files of src/ itself wire it all. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  model: [],
  reconcile: ["model"],
  config: ["model", "reconcile"],
  report: ["model"],
  iam: ["model", "config"],
  run: ["model", "reconcile", "config"],
  doctor: ["model", "reconcile", "config", "report", "iam", "run"],
  commands: ["model", "reconcile", "config", "report", "iam", "doctor", "run"],
  aws: ["model", "reconcile"],
  system: ["model", "reconcile", "config", "report", "doctor", "run"],
};
/** Folders whose files perform nothing themselves: what they need of the world is handed to them. */
const PURE = ["model", "reconcile", "config", "report", "iam", "run", "doctor", "commands"];
const imports = (file: string): string[] =>
  [
    ...readFileSync(join(ROOT, file), "utf8").matchAll(
      /^(?:import|export)\b[^;]*?\bfrom "([^"]+)"|^import "([^"]+)"|\bimport\("([^"]+)"\)/gm,
    ),
  ].map(([, from, bare, dynamic]) => {
    const target = from ?? bare ?? dynamic ?? "";
    return target.startsWith(".") ? relative(ROOT, resolve(ROOT, dirname(file), target)) : target;
  });

describe("arrows point one way", () => {
  test("every folder has its own", () => {
    const folders = readdirSync(join(ROOT, "src"), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
    expect(Object.keys(ARROWS).toSorted()).toEqual(folders.toSorted());
  });

  test.each(Object.entries(ARROWS))("%s/ imports from %j only", (folder, allowed) => {
    const targets = new Set(
      files(join("src", folder))
        .flatMap(imports)
        .filter((target) => target.startsWith("src/"))
        .map((target) => dirname(relative("src", target)).split("/")[0]),
    );
    targets.delete(folder);
    expect([...targets].filter((target) => !allowed.includes(target ?? ""))).toEqual([]);
  });

  test.each(["model", "reconcile"])("%s/ imports no package", (folder) => {
    for (const file of files(join("src", folder))) {
      expect(
        imports(file).filter((target) => !target.startsWith("src/")),
        file,
      ).toEqual([]);
    }
  });
});

test("no file of src/ needs itself, by whatever way round", () => {
  const needs = new Map(
    files("src").map((file) => [
      file,
      imports(file).filter((to) => to.startsWith("src/") && !to.endsWith(".d.ts")),
    ]),
  );
  const reachedFrom = (file: string, reached = new Set<string>()): Set<string> => {
    for (const next of needs.get(file) ?? []) {
      if (!reached.has(next)) reachedFrom(next, reached.add(next));
    }
    return reached;
  };
  expect([...needs.keys()].filter((file) => reachedFrom(file).has(file))).toEqual([]);
  expect(reachedFrom("src/main.ts").has("src/reconcile/machine.ts")).toBe(true);
});

test("what decides asks neither the clock nor the dice nor the process, and waits for nobody", () => {
  for (const file of PURE.flatMap((folder) => files(join("src", folder)))) {
    expect(readFileSync(join(ROOT, file), "utf8"), file).not.toMatch(
      /\bprocess\.|\bDate\.now\b|new Date\(\)|\bMath\.random\b|\bperformance\.|\bsetTimeout\b|\bfetch\(/,
    );
  }
  for (const file of [...files("src/model"), ...files("src/reconcile")]) {
    expect(readFileSync(join(ROOT, file), "utf8"), file).not.toMatch(
      /\basync\b|\bawait\b|\bPromise\b/,
    );
  }
});

test("no test replaces a module", () => {
  const own = relative(ROOT, import.meta.filename);
  for (const file of files("test").filter((name) => name !== own)) {
    expect(readFileSync(join(ROOT, file), "utf8"), file).not.toMatch(
      /\b(vi|jest)\.(mock|doMock|stub)/,
    );
  }
});
