/** Every exit status is explained: in half a line for `--help`, in sentences for the manual. */
import { expect, test } from "vitest";
import { STATUSES } from "../../src/model/exit-status.ts";
import { EXIT } from "../../src/model/failure.ts";

test.each(Object.keys(EXIT) as (keyof typeof EXIT)[])("%s", (name) => {
  const { meaning, explanation } = STATUSES[name];
  expect(meaning).toMatch(/^[a-z].{2,60}[a-z]$/);
  expect(explanation).toMatch(/^[A-Z].+\.$/);
});
