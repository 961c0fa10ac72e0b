import { expect, test } from "vitest";
import { parseEnvironmentFile } from "../../src/config/environment-file.ts";

// What systemd makes of the same text was checked with a unit and EnvironmentFile= (see test/boot).
export const CASES: [text: string, variables: Record<string, string>][] = [
  ["A=b", { A: "b" }],
  ["A=b\nC=d\n", { A: "b", C: "d" }],
  ["# A=b\n; C=d\n\n  E=f", { E: "f" }],
  ["A=b # not a comment", { A: "b # not a comment" }],
  ["A=  b c  \nD=e", { A: "b c", D: "e" }],
  [`A="b  # c"`, { A: "b  # c" }],
  [`A='b "c" d'`, { A: 'b "c" d' }],
  [`A="b \\"c\\" \\d \\$e"`, { A: 'b "c" \\d $e' }],
  [`A="b"'c'`, { A: "bc" }],
  ["A=b\\\nc", { A: "bc" }],
  ['A="b\nc"', { A: "b\nc" }],
  ["A=b\\ \\c", { A: "b c" }],
  ["A=b'c'd", { A: "b'c'd" }],
  ["A=", { A: "" }],
  ['A=""', { A: "" }],
  ["A=b=c", { A: "b=c" }],
  ["A=b\r\nC=d\r\n", { A: "b", C: "d" }],
  ["A=1\nA=2", { A: "2" }],
  ["A=b\rC=d\n", { A: "b", C: "d" }],
  ["A=b\u00a0c\u00a0", { A: "b\u00a0c\u00a0" }],
];

test("a comment ends with its line, whatever it ends with", () => {
  expect(parseEnvironmentFile("# path C:\\\nA=b")).toMatchObject({
    variables: { A: "b" },
    problems: [],
  });
});

test.each(CASES)("%j", (text, variables) => {
  expect(parseEnvironmentFile(text)).toMatchObject({ variables, problems: [] });
});

test.each([
  ["nonsense\nA=b", ["line 1: not KEY=VALUE: nonsense…"]],
  ["A=b\n\nexport C=d\n", ["line 3: KEY=VALUE without export before it: this is no shell script"]],
  ["exports\n", ["line 1: not KEY=VALUE: exports…"]],
  [
    "A=b\nC=\0d\n",
    ["line 2: a NUL character, which no text has; if it is in UTF-16, save it as UTF-8"],
  ],
  ["1A=b", ["line 1: not KEY=VALUE: 1A…"]],
  ['X=y\nA="b\n', ["line 2: a quote is opened and never closed: A"]],
])("says what is wrong with %j", (text, problems) => {
  const found = parseEnvironmentFile(text).problems;
  expect(found.map(({ line, why }) => `line ${line}: ${why}`)).toEqual(problems);
});
