/**
 * Formats findings for people: marks, colours and line breaks. Pure. If the output is not a terminal, each finding is one
 * plain line that begins with a word, for logs, grep and screen readers.
 */
import { fill, oneLine } from "../model/text.ts";

/** The result of a finding, shown as a mark. */
export type Mark = "ok" | "warning" | "failed" | "skipped";

/** The capabilities of the output. */
export interface Screen {
  /** Width of the terminal; undefined for a pipe or a file, where lines are not wrapped. */
  readonly columns?: number;
  readonly colour: boolean;
  /** Whether characters outside ASCII can be shown. */
  readonly unicode: boolean;
}

/** A row of a table. */
export interface Row {
  readonly mark?: Mark;
  readonly label: string;
  readonly text: string;
  /** What to do, and commands that do it. */
  readonly remedy?: string | undefined;
  readonly commands?: readonly string[] | undefined;
}

const SIGNS: Readonly<Record<Mark, { sign: string; ascii: string; colour: string }>> = {
  ok: { sign: "✓", ascii: "ok", colour: "\x1b[32m" },
  warning: { sign: "!", ascii: "warning", colour: "\x1b[33m" },
  failed: { sign: "✗", ascii: "failed", colour: "\x1b[31m" },
  skipped: { sign: "-", ascii: "skipped", colour: "\x1b[2m" },
};
const PLAIN = "\x1b[0m";

/** Terminals narrower than this, in columns, get no second column. */
const NARROW = 60;
const NARROWEST = 20;

/**
 * Formats one row.
 *
 * @param labelWidth length of the longest label in the table
 */
export function linesOf(row: Row, screen: Screen, labelWidth: number): string[] {
  const { columns } = screen;
  const text = printable(row.text, screen);
  const remedy = row.remedy && printable(row.remedy, screen);
  // In commands only control characters are changed, not even spaces: people copy them.
  const commands = (row.commands ?? []).map((command) =>
    command.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?"),
  );
  if (columns === undefined) {
    const word = row.mark === undefined ? "" : `${SIGNS[row.mark].ascii.padEnd(7)} `;
    return [
      `${word}${row.label}: ${text}`,
      ...(remedy ? [`        cure: ${remedy}`] : []),
      ...commands.map((command) => `        run: ${command}`),
    ];
  }

  const signs = screen.unicode ? 1 : "warning".length;
  const narrow = columns < NARROW;
  const indent = narrow ? 2 : signs + 1 + labelWidth + 2;
  const width = Math.max(NARROWEST, columns) - indent;
  const label = row.label.padEnd(narrow ? 0 : labelWidth + 2);
  const head = `${sign(row.mark, screen)}${label}`;
  const body = wrap(text, width);
  const lines = narrow
    ? [head, ...body.map(pad)]
    : [`${head}${body[0] ?? ""}`, ...body.slice(1).map(pad)];
  const arrow = screen.unicode ? "→ " : "-> ";
  if (remedy) {
    const [first = "", ...more] = wrap(remedy, width - arrow.length);
    lines.push(
      pad(`${arrow}${first}`),
      ...more.map((line) => pad(" ".repeat(arrow.length) + line)),
    );
  }
  for (const command of commands) {
    const [first = "", ...more] = wrapCommand(command, Math.max(NARROWEST, columns) - 4);
    lines.push(`  $ ${first}`, ...more.map((line) => `    ${line}`));
  }
  return lines;

  function pad(line: string): string {
    return `${" ".repeat(indent)}${line}`;
  }
}

/** Formats text without a label, such as the verdict. */
export function paragraph(text: string, screen: Screen): string[] {
  const clean = printable(text, screen);
  return screen.columns === undefined ? [clean] : wrap(clean, Math.max(NARROWEST, screen.columns));
}

function sign(mark: Mark | undefined, { unicode, colour }: Screen): string {
  if (mark === undefined) return " ".repeat((unicode ? 1 : "warning".length) + 1);
  const { sign, ascii, colour: on } = SIGNS[mark];
  const shown = unicode ? sign : ascii.padEnd("warning".length);
  return `${colour ? `${on}${shown}${PLAIN}` : shown} `;
}

/** Text from outside may contain terminal sequences. */
function printable(text: string, { unicode }: Screen): string {
  const line = oneLine(text);
  return unicode ? line : line.replace(/…/g, "...").replace(/[^ -~]/gu, "?");
}

/** Breaks a text at its spaces into lines of at most `width` characters; longer words are split. */
function wrap(text: string, width: number): string[] {
  const parts = text.split(" ").flatMap((word) => {
    const pieces: string[] = [];
    let rest = word;
    for (; rest.length > width; rest = rest.slice(pieces.at(-1)?.length)) {
      pieces.push(rest.slice(0, breakIn(rest, width)));
    }
    return [...pieces, rest];
  });
  return fill(parts, width);
}

/**
 * Breaks a command so that it can still be copied and run: at spaces, with a backslash at the end of the line, and within
 * JSON after commas and brackets, where a line break has no meaning.
 */
function wrapCommand(command: string, width: number): string[] {
  // A space within quotes is part of the word.
  const words = command.match(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g) ?? [];
  const lines = fill(words, width - 2);
  return lines.flatMap((line, index) => {
    const end = index < lines.length - 1 ? " \\" : "";
    if (!line.startsWith("'{")) return [`${line}${end}`];
    return fill(`${line}${end}`.match(JSON_PARTS) ?? [], width, "");
  });
}

/** JSON up to the next comma or opening bracket; strings stay whole. */
const JSON_PARTS = /(?:"(?:[^"\\]|\\.)*"|[^",[{])*[,[{]|.+/g;

/** Where to split a word: after the last `:`, `/` or `,` that fits, if that fills more than half of the line. */
function breakIn(word: string, width: number): number {
  const cut = Math.max(
    ...[":", "/", ","].map((character) => word.lastIndexOf(character, width - 1) + 1),
  );
  return cut > width / 2 ? cut : width;
}
