/** Standard output as a screen: how wide it is, what it can show, and a line at its foot that is rewritten. */
import type { Screen } from "../report/screen.ts";
import { write } from "./output.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** What standard output is. */
export function screenOf(environment: Environment): Screen & { readonly live: boolean } {
  const { stdout } = process;
  const isTerminal = stdout.isTTY;
  const isDumb = environment["TERM"] === "dumb" || Boolean(environment["NO_COLOR"]);
  return {
    ...(isTerminal && { columns: stdout.columns > 0 ? stdout.columns : 80 }),
    colour: isTerminal && !isDumb,
    unicode: hasUnicode(environment),
    live: isTerminal && !isDumb,
  };
}

/** By the locale, the way every program does. */
function hasUnicode(environment: Environment): boolean {
  const locale = environment["LC_ALL"] || environment["LC_CTYPE"] || environment["LANG"] || "";
  return /utf-?8/i.test(locale);
}

/** Writes lines, and below them one that stands for what is still going on. */
export function writerTo(screen: Screen & { readonly live: boolean }) {
  const clear = "\r\x1b[K";
  let hasProgress = false;
  const wipe = () => {
    if (hasProgress) write(clear);
    hasProgress = false;
  };
  return {
    lines(lines: readonly string[]): void {
      wipe();
      write(lines.map((line) => `${line}\n`).join(""));
    },
    /** Shows what is going on, where that can be taken back; an empty text takes it back. */
    progress(text: string): void {
      if (!screen.live) return;
      wipe();
      if (text === "") return;
      write(text.slice(0, (screen.columns ?? 80) - 1));
      hasProgress = true;
    },
  };
}
