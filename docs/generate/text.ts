/**
 * The markup of the texts beside the tables, and what each kind of document makes of it: `backticks` for what is typed as it
 * stands, “quotes” for headings. Settings, options, paths and manual pages are recognised without any.
 */

import { fill } from "../../src/model/text.ts";

/** Columns of a line of mdoc. */
const MDOC_WIDTH = 78;

/** A word of a text: what it is, with the punctuation that belongs to the text around it. */
interface Word {
  readonly open: string;
  readonly core: string;
  readonly close: string;
}

function wordsOf(text: string): Word[] {
  return [...text.matchAll(/(\(*)(`[^`]+`|“[^”]+”|[\w.-]+\(\d\)|\S+?)([).,:;?]*)(?=\s|$)\s*/g)].map(
    ([, open = "", core = "", close = ""]) => ({ open, core, close }),
  );
}

/** For a text file: no markup, and the values of a setting in quotation marks. */
export function plain(text: string, choices: readonly string[] = []): string {
  return text
    .replaceAll(/`([^`]+)`/g, (_, code: string) => (choices.includes(code) ? `"${code}"` : code))
    .replaceAll(/[“”]/g, '"');
}

/** Lines of mdoc(7): each sentence begins a line, and so does each macro. */
export function mdoc(text: string, choices: readonly string[] = []): string {
  const lines: string[] = [];
  let line = "";
  const flush = () => {
    if (line !== "") lines.push(line);
    line = "";
  };
  for (const { open, core, close } of wordsOf(text)) {
    const macro = macroOf(core, choices);
    if (macro !== undefined) {
      flush();
      // A delimiter that is an argument by itself belongs to the text around it.
      lines.push(`.${[macro.name, ...open.split(""), macro.text, ...close.split("")].join(" ")}`);
      continue;
    }
    const word = `${open}${core}${close}`;
    if (line.length + 1 + word.length > MDOC_WIDTH) flush();
    line += line === "" ? word : ` ${word}`;
    if (/[.?]$/.test(close)) flush();
  }
  flush();
  return lines.join("\n");
}

/** The macro for a word that is more than a word. */
function macroOf(
  word: string,
  choices: readonly string[],
): { name: string; text: string } | undefined {
  const [, code = word] = /^`(.+)`$/.exec(word) ?? [];
  if (/^(EIP_HEAL|AWS|NODE)_\w*$/.test(code)) return { name: "Ev", text: code };
  if (/^--[a-z-]+$/.test(code)) return { name: "Fl", text: code.slice(1) };
  if (/^\/[\w./-]+$/.test(code)) return { name: "Pa", text: code };
  const [, page, section] = /^([\w.-]+)\((\d)\)$/.exec(code) ?? [];
  if (page !== undefined) return { name: "Xr", text: `${page} ${section}` };
  const [, heading] = /^“(.+)”$/.exec(word) ?? [];
  if (heading !== undefined) return { name: "Dq", text: heading };
  if (code === word) return undefined;
  return { name: choices.includes(code) ? "Cm" : "Li", text: code };
}

/** Lines of at most so many characters. */
export const wrap = (text: string, width: number): string[] => fill(text.split(" "), width);

/** Half a line as a sentence. */
export function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

/** "a, b and c" */
export function listed(words: readonly string[], last = "and"): string {
  return words.length < 2
    ? words.join("")
    : `${words.slice(0, -1).join(", ")} ${last} ${words.at(-1)}`;
}

/** A table of Markdown, aligned. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((name, column) =>
    Math.max(3, name.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const lineOf = (cells: readonly string[]) =>
    `| ${widths.map((width, column) => (cells[column] ?? "").padEnd(width)).join(" | ")} |`;
  return [lineOf(head), lineOf(widths.map((width) => "-".repeat(width))), ...rows.map(lineOf)].join(
    "\n",
  );
}

/**
 * Writes what a program makes between two comments of a file that somebody else writes:
 * `<!-- NAME (make docs) -->` and `<!-- /NAME -->`, or the same after `.\"` in a manual page.
 *
 * @param by what writes it
 * @throws Error where the comments are not there
 */
export function replaceRegion(
  text: string,
  name: string,
  content: string,
  by = "make docs",
): string {
  const lines = text.split("\n");
  const [start, end] = [`${name} (${by})`, `/${name}`].map((mark) =>
    lines.findIndex((line) => [`<!-- ${mark} -->`, `.\\" ${mark}`].includes(line)),
  );
  if (start === undefined || end === undefined || start < 0 || end < start) {
    throw new Error(`there is no region ${name}`);
  }
  const isMarkdown = lines[start]?.startsWith("<!--") === true;
  const body = isMarkdown ? ["", content, ""] : [content];
  return [...lines.slice(0, start + 1), ...body, ...lines.slice(end)].join("\n");
}
