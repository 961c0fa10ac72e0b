/** How findings look: on a terminal, on a narrow one, and in a pipe. */
import { describe, expect, test } from "vitest";
import { linesOf, paragraph, type Row, type Screen } from "../../src/report/screen.ts";

const PIPE: Screen = { colour: false, unicode: true };
const TERMINAL: Screen = { columns: 60, colour: false, unicode: true };
const NARROW: Screen = { ...TERMINAL, columns: 59 };
const ASCII: Screen = { ...TERMINAL, unicode: false };
const COLOUR: Screen = { ...TERMINAL, colour: true };
const POLICY = `aws iam put-role-policy --role-name web --policy-name eip-heal --policy-document '{"Statement":[{"Action":["ec2:DescribeAddresses","ec2:DescribeInstances"],"Resource":"*"}]}'`;

const ROW: Row = {
  mark: "failed",
  label: "role",
  text: "this instance has no role, and no keys are set in its environment",
  remedy: "attach an instance profile whose role has the policy",
  commands: ["eip-heal policy --any"],
};
const show = (row: Row, screen: Screen, labelWidth = 6) => linesOf(row, screen, labelWidth);

describe("a row", () => {
  test("has the mark and the label in columns of their own", () => {
    expect(show(ROW, TERMINAL)).toEqual([
      "✗ role    this instance has no role, and no keys are set in",
      "          its environment",
      "          → attach an instance profile whose role has the",
      "            policy",
      "  $ eip-heal policy --any",
    ]);
  });

  test("has them in words without Unicode, and no character that others cannot show", () => {
    const row = { ...ROW, text: "„ok“ …", remedy: "…" };
    expect(show(row, ASCII)).toEqual([
      "failed  role    ?ok? ...",
      "                -> ...",
      "  $ eip-heal policy --any",
    ]);
  });

  test("is one above the other on a narrow terminal", () => {
    expect(show(ROW, NARROW)).toEqual([
      "✗ role",
      "  this instance has no role, and no keys are set in its",
      "  environment",
      "  → attach an instance profile whose role has the policy",
      "  $ eip-heal policy --any",
    ]);
  });

  test("is not made narrower than twenty columns", () => {
    const width = (columns: number) =>
      Math.max(
        ...show({ ...ROW, text: "x".repeat(50) }, { ...NARROW, columns }).map(
          (line) => line.length,
        ),
      );
    expect(width(5)).toBe(width(20));
  });

  test("is one plain line in a pipe, that begins with a word", () => {
    expect(show(ROW, PIPE)).toEqual([
      `failed  role: ${ROW.text}`,
      `        cure: ${ROW.remedy}`,
      "        run: eip-heal policy --any",
    ]);
  });

  test.each<[Row["mark"], string, string, string]>([
    ["ok", "✓ a", "\x1b[32m✓\x1b[0m a", "ok      a"],
    ["warning", "! a", "\x1b[33m!\x1b[0m a", "warning a"],
    ["failed", "✗ a", "\x1b[31m✗\x1b[0m a", "failed  a"],
    ["skipped", "- a", "\x1b[2m-\x1b[0m a", "skipped a"],
    [undefined, "  a", "  a", "        a"],
  ])("that is marked %s", (mark, plain, coloured, ascii) => {
    const row: Row = { ...(mark && { mark }), label: "a", text: "b" };
    expect(show(row, TERMINAL, 1)).toEqual([`${plain}  b`]);
    expect(show(row, COLOUR, 1)).toEqual([`${coloured}  b`]);
    expect(show(row, ASCII, 1)).toEqual([`${ascii}  b`]);
  });

  test("without a mark has none in a pipe either", () => {
    expect(show({ label: "a", text: "b" }, PIPE)).toEqual(["a: b"]);
  });

  test("without a remedy or commands is a row all the same", () => {
    expect(show({ mark: "ok", label: "role", text: "web" }, TERMINAL)).toEqual(["✓ role    web"]);
    expect(show({ mark: "ok", label: "role", text: "web" }, PIPE)).toEqual(["ok      role: web"]);
  });
});

describe("what others have written", () => {
  const hostile: Row = {
    label: "a",
    text: "red \x1b[31m and\na line",
    commands: ["echo 'two  spaces'\x07\u2028"],
  };

  test("does not change the screen, and is one line", () => {
    expect(show(hostile, PIPE)).toEqual([
      "a: red [31m and a line",
      "        run: echo 'two  spaces'??",
    ]);
    expect(paragraph("red \x1b[31m", PIPE)).toEqual(["red [31m"]);
  });
});

describe("what is longer than a line", () => {
  const width = 20;
  const wrapped = (text: string) => paragraph(text, { ...TERMINAL, columns: width });

  test.each<[string, string, string[]]>([
    ["is broken at its spaces", "a bb ccc dddd eeeee ffffff", ["a bb ccc dddd eeeee", "ffffff"]],
    ["fits to the last column", "x".repeat(20), ["x".repeat(20)]],
    ["is broken where it must be", "x".repeat(45), ["x".repeat(20), "x".repeat(20), "x".repeat(5)]],
    [
      "is broken after a colon, a slash or a comma, if that leaves more than half a line",
      "https://ec2.example/aaaaaaaaaaaaaaaaaa",
      ["https://ec2.example/", "aaaaaaaaaaaaaaaaaa"],
    ],
    [
      "is not broken there if it leaves no more than half a line",
      "123456789,bbbbbbbbbbbbbbbbbb",
      ["123456789,bbbbbbbbbb", "bbbbbbbb"],
    ],
    [
      "is broken after the last one of them that fits",
      "aaaaa:bbbbb/ccccc,dddddddd",
      ["aaaaa:bbbbb/ccccc,", "dddddddd"],
    ],
    [
      "is broken after one that is the last to fit",
      "aaaaaaaaaaaaaaaaaaa:bbbb",
      ["aaaaaaaaaaaaaaaaaaa:", "bbbb"],
    ],
    [
      "is not broken after one that does not fit any more",
      "aaaaaaaaaaaaaaaaaaaa:bbbb",
      ["aaaaaaaaaaaaaaaaaaaa", ":bbbb"],
    ],
  ])("%s", (_, text, lines) => {
    expect(wrapped(text)).toEqual(lines);
  });

  test("stays as it is in a pipe", () => {
    expect(paragraph("x ".repeat(100).trim(), PIPE)).toHaveLength(1);
  });

  test("is not put on lines of less than twenty columns", () => {
    expect(paragraph("x".repeat(20), { ...TERMINAL, columns: 3 })).toEqual(["x".repeat(20)]);
  });
});

describe("a command can be copied as it stands", () => {
  const commandIn = (screen: Screen, command: string) => {
    const lines = show({ label: "a", text: "b", commands: [command] }, screen, 1);
    return lines.slice(lines.findIndex((line) => line.startsWith("  $ ")));
  };

  test("broken at its spaces, with a backslash", () => {
    expect(
      commandIn(
        { ...TERMINAL, columns: 40 },
        "aws ec2 describe-addresses --public-ips 203.0.113.7",
      ),
    ).toEqual(["  $ aws ec2 describe-addresses \\", "    --public-ips 203.0.113.7"]);
  });

  test("not at a space inside quotes", () => {
    expect(commandIn({ ...TERMINAL, columns: 24 }, `echo 'a b c d e f g h' "i j k l m n"`)).toEqual(
      ["  $ echo \\", "    'a b c d e f g h' \\", `    "i j k l m n"`],
    );
    const list = "'a, b, c, d, e, f, g, h, i, j'";
    expect(commandIn({ ...TERMINAL, columns: 24 }, `echo ${list}`)).toEqual([
      "  $ echo \\",
      `    ${list}`,
    ]);
  });

  test("inside JSON after a comma or bracket that is in no string", () => {
    const lines = commandIn({ ...TERMINAL, columns: 60 }, POLICY);
    const pasted = lines
      .map((line) => line.slice(4))
      .join("\n")
      .replaceAll(" \\\n", " ");
    const json = /'(\{[^]*\})'/.exec(pasted)?.[1] ?? "";
    expect(JSON.parse(json)).toEqual({
      Statement: [{ Action: ["ec2:DescribeAddresses", "ec2:DescribeInstances"], Resource: "*" }],
    });
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(60);
    expect(pasted.split("\n")[0]).toMatch(/\[$|,$/);
  });

  test("on one line where that fits", () => {
    expect(commandIn({ ...TERMINAL, columns: 200 }, POLICY)).toEqual([`  $ ${POLICY}`]);
  });
});
