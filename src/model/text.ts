/** Makes text from outside (tags, names, states, messages of AWS) safe to print, and wraps text into lines. */

/**
 * The text as one line, without control characters, terminal sequences and overrides of the writing direction: text from
 * outside can neither forge a line of the log nor control the terminal.
 */
export function oneLine(text: string): string {
  return text.replace(/[\s\p{C}]+/gu, " ").trim();
}

/**
 * Longest line of the log, in UTF-16 units (of at most three bytes). journald splits messages over 48 KB (LineMax=,
 * journald.conf(5)), and the second part would begin with text from outside.
 */
export const MAX_LINE = 8_000;

/** Longest text from outside within a message, in UTF-16 units; no message of EC2 comes near. */
const MAX_WORDS = 2_000;

/** Text from outside for use in a message: on one line, and cut to a length that the log can hold. */
export function shortened(text: string, max = MAX_WORDS): string {
  const line = oneLine(text);
  // A surrogate pair is not cut in half.
  return line.length <= max ? line : `${line.slice(0, max).replace(/\p{Cs}$/u, "")}…`;
}

/**
 * JSON that is safe to print on a terminal: control characters, and line breaks other than those of the indentation, are
 * escaped. Unlike with `oneLine` nothing is lost.
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
 * A URL without user and password, for messages. Text that does not parse as the URL of a host loses everything up to its
 * last @, because any of that may be the password.
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

/** Wraps words into lines of at most `width` characters; a longer word gets a line of its own. */
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
