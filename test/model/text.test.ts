import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  fill,
  jsonOf,
  MAX_LINE,
  oneLine,
  shortened,
  withoutPassword,
} from "../../src/model/text.ts";
import { HOSTILE_TEXT } from "../support/hostile-texts.ts";
import { trials } from "../support/properties.ts";

test.each(trials(300))("a line stays what it is (seed $seed)", (trial) => {
  fc.assert(
    fc.property(HOSTILE_TEXT, (text) => {
      const line = oneLine(text);
      expect(line).toMatch(/^[^\p{C}\p{Zl}\p{Zp}]*$/u);
      expect(oneLine(line)).toBe(line);
      const short = shortened(text, 100);
      expect(short.length).toBeLessThanOrEqual(101);
      expect(short.isWellFormed()).toBe(true);
      expect(line.startsWith(short.replace(/…$/, ""))).toBe(true);
    }),
    trial,
  );
});

test("blanks, line breaks and what does not show are one blank, and none at either end", () => {
  expect(oneLine("\n\u202e eni-1\r\n\t\u0000is gone \u001b ")).toBe("eni-1 is gone");
});

test("what others have written is shortened, between two characters", () => {
  expect(shortened("a".repeat(2_000))).toBe("a".repeat(2_000));
  expect(shortened("a".repeat(2_001))).toBe(`${"a".repeat(2_000)}…`);
  expect(shortened("a😀", 2)).toBe("a…");
  // Three bytes a unit, in a message of journald that has 48 KB at most.
  expect(Buffer.byteLength(shortened("€".repeat(100_000), MAX_LINE))).toBeLessThan(40_000);
});

describe("JSON", () => {
  test.each(trials(300))("loses nothing and changes no screen (seed $seed)", (trial) => {
    fc.assert(
      fc.property(
        fc.dictionary(HOSTILE_TEXT, HOSTILE_TEXT),
        fc.constantFrom(0, 2),
        (record, indent) => {
          const json = jsonOf(record, indent);
          expect(json).not.toMatch(/[^\P{C}\n]|[\p{Zl}\p{Zp}]/u);
          expect(json.includes("\n")).toBe(indent === 2 && Object.keys(record).length > 0);
          expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(record)));
        },
      ),
      trial,
    );
  });

  test("says what stands there", () => {
    expect(jsonOf("a\u202e\u009b\u{e0001}é")).toBe(String.raw`"a\u202e\u009b\udb40\udc01é"`);
  });
});

describe("passwords", () => {
  test.each([
    ["https://user:hunter2@proxy.example:3128/a@b", "https://…@proxy.example:3128/a@b"],
    ["ftp://hunter2@x", "ftp://…@x/"],
    ["https:user:hunter2@ec2.example", "https://…@ec2.example/"],
    [String.raw`https:\\user:hunter2@ec2.example`, "https://…@ec2.example/"],
    ["user:hunter2@ec2.example", "…@ec2.example"],
    ["https://user:hun/ter2@ec2.example", "https://…@ec2.example"],
    ["https://user:hun#ter2@ec2 example", "https://…@ec2 example"],
    ["//user:hunter2@ec2.example", "…@ec2.example"],
    ["https://user:p@hunter2@ec2.example/", "https://…@ec2.example/"],
    ["https://user:hun\nter2@[::1", "https://…@[::1"],
    ["https://ec2.example/?a=b@c", "https://ec2.example/?a=b@c"],
    ["no URL", "no URL"],
  ])("%s is told as %s", (url, told) => {
    expect(withoutPassword(url)).toBe(told);
  });

  const PASSWORD = fc
    .string({ unit: "binary", maxLength: 20 })
    .filter((text) => !/[/\\?#]/.test(text))
    .map((text) => `${text}hunter2`);
  test.each(trials(500))("never show, whatever they are made of (seed $seed)", (trial) => {
    fc.assert(
      fc.property(
        fc.constantFrom("https://", "http:", "ftp://", "//", "", "https:\\\\", "HTTPS:///"),
        fc.constantFrom("", "user:", ":", "user@x:"),
        PASSWORD,
        fc.constantFrom("ec2.example", "ec2.example:443/path", "[::1]", "no host", ""),
        (scheme, user, password, host) => {
          expect(withoutPassword(`${scheme}${user}${password}@${host}`)).not.toContain("hunter2");
        },
      ),
      trial,
    );
  });
});

describe("words are put into lines", () => {
  test.each([
    ["as many as fit", ["a", "bb", "ccc"], 6, ["a bb", "ccc"]],
    ["to the last column", ["aaa", "bb"], 6, ["aaa bb"]],
    ["not beyond it", ["aaa", "bbb"], 6, ["aaa", "bbb"]],
    ["a longer one on a line of its own", ["a", "b".repeat(9), "c"], 6, ["a", "b".repeat(9), "c"]],
    ["none at all", [], 6, [""]],
  ])("%s", (_, words, width, lines) => {
    expect(fill(words, width)).toEqual(lines);
  });

  test("without a space between them, where that is asked for", () => {
    expect(fill(["aa", "bb", "cc"], 4, "")).toEqual(["aabb", "cc"]);
  });
});
