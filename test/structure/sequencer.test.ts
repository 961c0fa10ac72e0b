/** How the files of tests are divided over the parts of `make test` (test/tools/sequencer.ts): none is forgotten. */
import { globSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { divide, longestFirst, SECONDS } from "../tools/sequencer.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const files = globSync("{test,sim}/**/*.test.ts", { cwd: ROOT });
const nameOf = (file: string) => file;

test("what takes long is there", () => {
  expect(Object.keys(SECONDS).filter((file) => !files.includes(file))).toEqual([]);
});

test.each([1, 2, 3])("each file is in one of %i parts", (count) => {
  const parts = divide(files, nameOf, count);
  expect(parts).toHaveLength(count);
  expect(parts.flat().toSorted()).toEqual(files.toSorted());
});

test("the two halves of the boots take about equally long", () => {
  const boots = files.filter((file) => file.startsWith("test/boot/"));
  const [a = 0, b = 0] = divide(boots, nameOf, 2).map((part) =>
    part.reduce((sum, file) => sum + (SECONDS[file] ?? 0), 0),
  );
  expect(Math.abs(a - b)).toBeLessThan((a + b) / 10);
});

test("the longest comes first, whatever the order was", () => {
  const [first, ...rest] = longestFirst(files, nameOf);
  expect(first).toBe("test/binary/recheck.test.ts");
  expect(longestFirst([...rest, first ?? ""].toReversed(), nameOf)[0]).toBe(first);
});
