import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = resolve(import.meta.dirname, "../..");
/** Everything in src/ itself but what wires it, and the commands. */
const WIRING = ["main.ts", "operator.ts", "command-line.ts"];
const files = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
    .map((name) => join(folder, name));
const STORY = [
  ...files("src/commands"),
  ...readdirSync(join(ROOT, "src"))
    .filter((name) => name.endsWith(".ts") && !WIRING.includes(name))
    .map((name) => join("src", name)),
];
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
  it.each(files("src/core"))("%s imports nothing outside core/", (file) => {
    expect(imports(file).filter((target) => !target.startsWith("src/core/"))).toEqual([]);
  });

  it.each(STORY)("%s, the story, imports nothing but core/ and itself", (file) => {
    const targets = imports(file);
    expect(targets.length).toBeGreaterThan(0);
    expect(
      targets.filter((target) => !target.startsWith("src/core/") && !STORY.includes(target)),
    ).toEqual([]);
  });

  it.each([...files("src/aws"), ...files("src/system")])(
    "%s knows neither the story nor main",
    (file) => {
      const folder = dirname(file);
      expect(
        imports(file).filter(
          (target) =>
            target.startsWith("src/") &&
            !target.startsWith("src/core/") &&
            !target.startsWith(folder),
        ),
      ).toEqual([]);
    },
  );
});

it("no file of src/ needs itself, by whatever way round", () => {
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
  expect(reachedFrom("src/main.ts").has("src/core/decide.ts")).toBe(true);
});

it("the core asks neither the clock nor the dice nor the process", () => {
  for (const file of [...files("src/core"), ...STORY]) {
    expect(readFileSync(join(ROOT, file), "utf8"), file).not.toMatch(
      /\bprocess\.|\bDate\.now\b|new Date\(\)|\bMath\.random\b|\bperformance\.|\bsetTimeout\b|\bfetch\(/,
    );
  }
});

it("no test replaces a module", () => {
  const own = relative(ROOT, import.meta.filename);
  for (const file of files("test").filter((name) => name !== own)) {
    expect(readFileSync(join(ROOT, file), "utf8"), file).not.toMatch(
      /\b(vi|jest)\.(mock|doMock|stub)/,
    );
  }
});
