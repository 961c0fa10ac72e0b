/** Standard output as a screen: its width, its capabilities, and a progress line at the bottom. */
import type { Environment } from "../model/environment.ts";
import type { Screen } from "../report/screen.ts";
import { write } from "./output.ts";

/** Describes standard output. `live`: a progress line can be shown. */
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

/** Whether the locale is a UTF-8 one. */
function hasUnicode(environment: Environment): boolean {
  const locale = environment["LC_ALL"] || environment["LC_CTYPE"] || environment["LANG"] || "";
  return /utf-?8/i.test(locale);
}

/** Writes lines, and a progress line below them. */
export function writerTo(screen: Screen & { readonly live: boolean }) {
  const clear = "\r\x1b[K";
  let hasProgress = false;
  const clearProgress = () => {
    if (hasProgress) write(clear);
    hasProgress = false;
  };
  return {
    lines(lines: readonly string[]): void {
      clearProgress();
      write(lines.map((line) => `${line}\n`).join(""));
    },
    /** Shows a progress line, which the next output replaces; an empty text removes it. */
    progress(text: string): void {
      if (!screen.live) return;
      clearProgress();
      if (text === "") return;
      write(text.slice(0, (screen.columns ?? 80) - 1));
      hasProgress = true;
    },
  };
}
