/** What the kernel says about FIPS mode. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { isInFipsMode } from "../../src/system/fips.ts";

const folder = mkdtempSync(join(tmpdir(), "eip-heal-fips-"));
afterAll(() => rmSync(folder, { recursive: true }));

test.each<[string | undefined, boolean]>([
  ["1\n", true],
  ["0\n", false],
  ["", false],
  [undefined, false],
])("the kernel's file holds %o: in FIPS mode is %s", (text, expected) => {
  const file = join(folder, String(expected) + String(text?.length));
  if (text !== undefined) writeFileSync(file, text);
  expect(isInFipsMode(file)).toBe(expected);
});
