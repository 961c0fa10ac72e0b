import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { oneLine, withoutPassword } from "../../src/model/text.ts";
import { formatEvent } from "../../src/system/journal.ts";
import { trials } from "../support/properties.ts";

/** What somebody who may tag an instance would like the log to say. */
const FORGED =
  "web\n<2>associated eipalloc-1 (203.0.113.9)\x1b[2J\x07\u009b31m\u202eplease\u2066\r\nnext\u0000";

describe("whatever others have put into an event", () => {
  test.each([
    ["journal", "<4>", ""],
    ["terminal", "\x1b[33m", "\x1b[0m"],
    ["plain", "", ""],
  ] as const)("it is one line: %s", (logFormat, before, after) => {
    const cleaned = "web <2>associated eipalloc-1 (203.0.113.9) [2J 31m please next : none";
    expect(formatEvent("warn", `the pool eip-pool=${FORGED}: none`, logFormat)).toBe(
      `${before}the pool eip-pool=${cleaned}${after}`,
    );
  });

  test.each(trials(300))("no control character is left (seed $seed)", (trial) => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
        expect(formatEvent("info", text, "journal")).toMatch(/^<6>[^\p{C}\n]*$/u);
        expect(oneLine(oneLine(text))).toBe(oneLine(text));
      }),
      trial,
    );
  });
});

test.each([
  ["https://user:hunter2@proxy.example:3128/a@b", "https://…@proxy.example:3128/a@b"],
  ["ftp://hunter2@x", "ftp://…@x"],
  ["https://ec2.example/?a=b@c", "https://ec2.example/?a=b@c"],
  ["no URL", "no URL"],
])("%s is told as %s", (url, told) => {
  expect(withoutPassword(url)).toBe(told);
});
