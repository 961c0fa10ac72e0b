/** Text of others, such as tags, names, states and messages of AWS, may hold anything; and text in lines. */

/**
 * The text as one line without control characters, terminal sequences and overrides of the writing direction: nobody else's
 * line ever stands in our log, and nothing that is printed changes the screen.
 */
export function oneLine(text: string): string {
  return text.replace(/[\s\p{C}]+/gu, " ").trim();
}

/** A URL for people, without the password that it may carry. */
export function withoutPassword(url: string): string {
  return url.replace(/(\/\/)[^/?#]*@/, "$1…@");
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
