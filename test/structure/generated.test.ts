import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { documents } from "../../docs/generate/documents.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

test.each(documents(read))("%s is what the tables in the code say", (path, text) => {
  expect(read(path), "run: make docs").toBe(text);
});
