import { expect, test } from "vitest";
import { seconds } from "../../src/model/duration.ts";

test.each([
  [0, "0.0 s"],
  [1_449, "1.4 s"],
  [59_949, "59.9 s"],
  [60_000, "1 min"],
  [60_499, "1 min"],
  [61_000, "1 min 1 s"],
  [119_500, "2 min"],
  [125_000, "2 min 5 s"],
  [3_600_000, "60 min"],
])("%d ms are %s", (ms, text) => {
  expect(seconds(ms)).toBe(text);
});
