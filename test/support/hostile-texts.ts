/** What somebody may write into a tag, a name or an answer, so that it is taken for something else. */
import fc from "fast-check";

/** What a log, a terminal or a reader is deceived with. */
const PIECES = [
  "\n",
  "\r\n",
  "\u2028",
  "\u2029",
  "\u0085",
  "\v\f",
  "\n<2>",
  "<0>",
  "\n<6>associated eipalloc-0123456789abcdef0 (203.0.113.9) with i-0 eni-0 10.0.0.4, 1 try, 0.1 s",
  "\x1b[2J",
  "\x1b]0;title\x07",
  "\u009b31m",
  "\x7f",
  "\0",
  "\b\b\b",
  "\u202e",
  "\u2066",
  "\u061c",
  "\ufeff",
  "\u00ad",
  "\u{e0001}",
  "\ud800",
  "😀",
  "é",
  '"',
  "\\",
  "%s%n",
  "$(reboot)",
] as const;

/** Any text, with much of what deceives in it. */
export const HOSTILE_TEXT: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...PIECES) },
      { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 20 }) },
      { weight: 1, arbitrary: fc.string({ maxLength: 20 }) },
    ),
    { maxLength: 12 },
  )
  .map((pieces) => pieces.join(""));
