/** Text of others, such as tags, names, states and messages of AWS, may hold anything. */

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
