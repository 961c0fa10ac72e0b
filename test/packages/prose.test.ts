/** What people read, by a spell checker: British English, and the words of the trade in words.txt. */
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { helpOf, overview } from "../../src/commands/help.ts";
import { COMMANDS } from "../../src/commands/index.ts";
import { unless } from "../support/skipping.ts";
import { missing, read, ROOT } from "./tools.ts";

const WORDS = `${ROOT}test/packages/words.txt`;

/** Markdown without code, links' targets and HTML. */
function proseOfMarkdown(text: string): string {
  return text
    .replaceAll(/<!-- (\w+) -->[^]*?<!-- \/\1 -->/g, "") // what was measured, and on which machine
    .replaceAll(/^ {4}.*$/gm, "")
    .replaceAll(/`[^`]*`/g, "")
    .replaceAll(/\]\([^)]*\)|^\[[^\]]+\]: .*$/gm, "]")
    .replaceAll(/https?:\S+/g, "");
}

/** A man page without its markup: the words of macros that name things are not prose. */
function proseOfPage(text: string): string {
  return text
    .replaceAll(/^\.Bd[^]*?^\.Ed$/gm, "")
    .replaceAll(/^\.(?:Nm|Pa|Ev|Va|Cm|Fl|Li|Sy|Xr|Dl|Lk|In|It|Op|Bl|Dt|Dd|Ar).*$/gm, "")
    .replaceAll(/^\.[A-Z][a-z] ?/gm, "")
    .replaceAll(/\\(?:\(..|.)/g, " ");
}

/** Comments and descriptions of a file of settings or of an example, without commented-out lines and paths. */
function proseOfComments(text: string): string {
  return [...text.matchAll(/^\s*(?:#+ ?|[Dd]escription *[:=] *)(.*)$/gm)]
    .map(([, comment = ""]) => comment)
    .filter((comment) => !/^[A-Z_]+=|^checkov:|^cloud-config/.test(comment))
    .join("\n")
    .replaceAll(/[\w.-]*[/=_:][\w./=:-]+|--[\w-]+/g, "");
}

const TEXTS: Record<string, string> = Object.fromEntries([
  ...[
    "README.md",
    "CHANGELOG.md",
    ...globSync(["docs/*.md", "examples/README.md", "acceptance/README.md"], { cwd: ROOT }),
  ].map((path) => [path, proseOfMarkdown(read(path))]),
  ...["packaging/eip-heal.8", "packaging/eip-heal.conf.5"].map((path) => [
    path,
    proseOfPage(read(path)),
  ]),
  ...[
    "packaging/eip-heal.conf",
    ...globSync(["examples/*.yaml", "examples/*/*"], { cwd: ROOT, exclude: ["**/versions.tf"] }),
    ...globSync("systemd/*", { cwd: ROOT }),
  ].map((path) => [path, proseOfComments(read(path))]),
  [
    "--help",
    [overview(COMMANDS), ...COMMANDS.map(helpOf)]
      .join("")
      .replaceAll(/--[\w-]+|check-config|[\w.-]*[/_][\w./-]+/g, ""),
  ],
]);

/** Words that the checker does not know. */
function unknownIn(text: string): string[] {
  const words = text
    .replaceAll(/[\w.+-]*\d[\w.-]*/g, " ") // ids, versions, amounts
    .replaceAll(
      /\w+(?:[-_.:]\w+)*…|\b\w+\.(?:service|timer|target|conf|json|md|tf|sh|yaml|txt)\b/g,
      " ",
    )
    .replaceAll("’", "'");
  const { status, stdout, stderr } = spawnSync(
    "aspell",
    ["list", "--lang=en_GB", "--encoding=utf-8", "--ignore=2", `--personal=${WORDS}`],
    { input: words, encoding: "utf8" },
  );
  if (status !== 0) throw new Error(stderr);
  return [...new Set(stdout.split("\n").filter((word) => word !== ""))];
}

describe("aspell knows every word", unless(missing("aspell")), () => {
  test.each(Object.entries(TEXTS))("of %s", (_, text) => {
    expect(text.trim()).not.toBe("");
    expect(unknownIn(text)).toEqual([]);
  });

  test("of the word list, once, in order, and it finds what is not there", () => {
    const [head, ...words] = read("test/packages/words.txt").trimEnd().split("\n");
    expect(head).toMatch(/^personal_ws-1\.1 en \d+ utf-8$/);
    expect(words).toEqual([...new Set(words)].toSorted((a, b) => a.localeCompare(b, "en")));
    // Words that nobody uses any more would hide mistakes.
    const used = Object.values(TEXTS).join("\n");
    expect(words.filter((word) => !used.toLowerCase().includes(word.toLowerCase()))).toEqual([]);
    expect(unknownIn("an adress is recieved")).toEqual(["adress", "recieved"]);
  });
});
