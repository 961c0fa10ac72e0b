/** Text of others, such as tags, names, states and messages of AWS, may hold anything; and text in lines. */

/**
 * The text as one line without control characters, terminal sequences and overrides of the writing direction: nobody else's
 * line ever stands in our log, and nothing that is printed changes the screen.
 */
export function oneLine(text: string): string {
  return text.replace(/[\s\p{C}]+/gu, " ").trim();
}

/**
 * UTF-16 units of a line in the log. Of a message of more than 48 KB (LineMax=, journald.conf(5)) journald makes several,
 * and the second one would begin with what others have written; a unit is three bytes at most.
 */
export const MAX_LINE = 8_000;

/** UTF-16 units of somebody else's words in a message; no message of EC2 comes near. */
const MAX_WORDS = 2_000;

/** Words of others as they stand in a message: on one line, and of a length that a log can hold. */
export function shortened(text: string, max = MAX_WORDS): string {
  const line = oneLine(text);
  // Not through the middle of a character.
  return line.length <= max ? line : `${line.slice(0, max).replace(/\p{Cs}$/u, "")}…`;
}

/**
 * JSON that is safe to be looked at: what changes the screen, and any line break but those of the layout, is escaped.
 * Nothing is lost, unlike in a line.
 */
export function jsonOf(value: unknown, indent?: number): string {
  const json = JSON.stringify(value, undefined, indent);
  return json.replace(/[^\P{C}\n]|[\p{Zl}\p{Zp}]/gu, (character) =>
    character.split("").map(escaped).join(""),
  );
}

function escaped(unit: string): string {
  return String.raw`\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/**
 * A URL for people, without the user and password that it may carry. What is no URL of a host is told from its last @ on,
 * since nobody knows what was meant.
 */
export function withoutPassword(text: string): string {
  const url = URL.parse(text);
  if (url === null || url.host === "") {
    return text.replace(/^([a-z]+:[/\\]+)?.*@/is, (_, scheme = "") => `${scheme}…@`);
  }
  if (url.username === "" && url.password === "") return text;
  const { protocol, host, pathname, search, hash } = url;
  return `${protocol}//…@${host}${pathname}${search}${hash}`;
}

/** Puts words into lines of at most `width` characters; a longer word has a line of its own. */
export function fill(words: readonly string[], width: number, space = " "): string[] {
  const [first = "", ...others] = words;
  const lines = [first];
  for (const word of others) {
    const line = lines.at(-1) ?? "";
    if (line.length + space.length + word.length <= width) {
      lines[lines.length - 1] = `${line}${space}${word}`;
    } else lines.push(word);
  }
  return lines;
}
