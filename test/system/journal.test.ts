import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatEvent } from "../../src/system/journal.ts";
import { HOSTILE_TEXT } from "../support/hostile-texts.ts";
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
      fc.property(HOSTILE_TEXT, (text) => {
        expect(formatEvent("info", text, "journal")).toMatch(/^<6>[^\p{C}\p{Zl}\p{Zp}]*$/u);
        expect(formatEvent("info", text, "plain")).toMatch(/^[^\p{C}\p{Zl}\p{Zp}]*$/u);
        expect(formatEvent("warn", text, "terminal")).toMatch(
          // eslint-disable-next-line no-control-regex -- the colour
          /^\x1b\[33m[^\p{C}\p{Zl}\p{Zp}]*\x1b\[0m$/u,
        );
      }),
      trial,
    );
  });

  test("it stays one message of journald, which makes several of one that is too long", () => {
    const line = formatEvent("error", `EIP_HEAL_TAG is ${"€".repeat(100_000)}`, "journal");
    expect(Buffer.byteLength(line)).toBeLessThan(40_000);
    expect(line).toMatch(/^<3>EIP_HEAL_TAG is €+…$/);
  });
});
