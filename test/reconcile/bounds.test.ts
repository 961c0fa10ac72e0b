import { expect, test } from "vitest";
import { FLIGHT_MS, FRESH_MS, HOLD_MS, LAG_MS } from "../../src/reconcile/bounds.ts";

test("a hold outlasts every take that can be under way, seen through answers that are old on both sides", () => {
  expect(HOLD_MS).toBeGreaterThanOrEqual(FRESH_MS + FLIGHT_MS + 2 * LAG_MS + 1_000);
});
