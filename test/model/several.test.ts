/** Lists of addresses, each with its place. */
import { describe, expect, test } from "vitest";
import { isList, nameEntry, nameDesiredAddresses, readList } from "../../src/model/several.ts";

const [A, B, C] = [1, 2, 3].map((digit) => `eipalloc-0000000000000000${digit}`) as [
  string,
  string,
  string,
];
const hint = (name: string) => `no address: ${name}`;
const read = (text: string) => readList(text, hint).entries;

describe("a list", () => {
  test("is what has a blank, a comma or a place in it", () => {
    for (const text of [`${A} ${B}@1`, `${A},${B}@1`, `${A}@0`, `${A}\t${B}`]) {
      expect(isList(text), text).toBe(true);
    }
    for (const text of [A, ` ${A} `, "203.0.113.7", "", "eip-pool=web"]) {
      expect(isList(text), text).toBe(false);
    }
  });

  test("has blanks or commas between, and every kind of place", () => {
    expect(read(`${A}, ${B}@1,${C}@10.0.0.9  203.0.113.7@eni-0123456789abcdef0`)).toEqual([
      { address: { kind: "address", allocationId: A } },
      { address: { kind: "address", allocationId: B }, place: 1 },
      { address: { kind: "address", allocationId: C }, place: "10.0.0.9" },
      { address: { kind: "public-ip", publicIp: "203.0.113.7" }, place: "eni-0123456789abcdef0" },
    ]);
    expect(read(`${A}@0A:00:00:00:00:01`)[0]?.place).toBe("0a:00:00:00:00:01");
  });

  test.each([
    ["an unknown name", `${A} mail@1`, `in place of "mail@1" no address: mail`],
    ["control characters", `${A} \x1b[1m`, String.raw`in place of "\u001b[1m" no address: `],
    ["no name", `${A} @1`, `in place of "@1" no address: `],
    ["one name, an unknown one", "mail@1", /^no address: mail$/],
    ["a place that is none", `${A}@eth0`, `after the @ of ${A}`],
    ["an empty place", `${A}@`, `after the @ of ${A}`],
    ["two places", `${A}@1@2`, `after the @ of ${A}`],
    ["two without a place", `${A} ${B} ${C}@1`, `${A} and ${B} have none`],
    ["an address twice", `${A} ${A}@1`, `those with ${A}`],
    ["a place twice", `${A}@1 ${B}@1`, "two are for @1"],
    ["nothing", " , ", "1 to 20 addresses"],
    ["too many", Array.from({ length: 21 }, (_, n) => `203.0.113.${n}@${n}`).join(" "), "1 to 20"],
  ])("with %s is refused", (_, text, said) => {
    expect(() => read(text)).toThrow(said);
  });

  test("has up to 20 addresses", () => {
    const most = Array.from({ length: 20 }, (_, n) => `203.0.113.${n}@${n}`).join(" ");
    expect(read(most)).toHaveLength(20);
  });

  test("is read again from its names", () => {
    const list = readList(`${A} ${B}@1 203.0.113.7@10.0.0.9`, hint);
    expect(list.entries.map(nameEntry)).toEqual([A, `${B}@1`, "203.0.113.7@10.0.0.9"]);
    expect(readList(nameDesiredAddresses(list), hint)).toEqual(list);
  });
});
