/**
 * The log: one line per event on stderr. If stderr is the journal, each line begins with its priority as `<N>`
 * (sd-daemon(3)); on a terminal warnings and errors are coloured unless NO_COLOR is set.
 */
import { fstatSync } from "node:fs";
import printf from "logform/printf.js";
import createLogger from "winston/lib/winston/create-logger.js";
import Console from "winston/lib/winston/transports/console.js";
import { LOG_LEVELS, type LogLevel } from "../config/settings.ts";
import { MAX_LINE, shortened } from "../model/text.ts";
import type { Line } from "../report/report.ts";

/** syslog(3) priorities of winston's levels. */
const PRIORITY: Readonly<Record<LogLevel, number>> = {
  error: 3,
  warn: 4,
  info: 6,
  debug: 7,
};

const COLOUR: Partial<Record<LogLevel, string>> = { error: "\x1b[31m", warn: "\x1b[33m" };
const PLAIN = "\x1b[0m";

export type LogFormat = "journal" | "terminal" | "plain";

export type Log = Record<"error" | "warn" | "info" | "debug", (message: string) => void> & {
  /** Resolves when everything has been written. */
  close(): Promise<void>;
};

/** Formats an event as one line, whatever text from outside the message contains. */
export function formatEvent(level: LogLevel, message: string, logFormat: LogFormat): string {
  const line = shortened(message, MAX_LINE);
  switch (logFormat) {
    case "journal":
      return `<${PRIORITY[level]}>${line}`;
    case "terminal": {
      const colour = COLOUR[level];
      return colour === undefined ? line : `${colour}${line}${PLAIN}`;
    }
    case "plain":
      return line;
  }
}

/**
 * The format for what stderr is connected to. JOURNAL_STREAM names the device and inode of the stream that systemd connected
 * to the journal. Child processes inherit the variable, so it has to match stderr.
 */
export function logFormatOf(environment: Readonly<Record<string, string | undefined>>): LogFormat {
  const journal = environment["JOURNAL_STREAM"];
  if (journal !== undefined) {
    try {
      const { dev, ino } = fstatSync(2);
      if (journal === `${dev}:${ino}`) return "journal";
    } catch {
      // stderr is closed
    }
  }
  const hasColour = !environment["NO_COLOR"] && environment["TERM"] !== "dumb";
  return process.stderr.isTTY && hasColour ? "terminal" : "plain";
}

/**
 * Opens a log.
 *
 * @param stream where it writes: our units have stdout connected to the journal, stderr to journal and console
 */
export function openLog(
  level: LogLevel,
  logFormat: LogFormat,
  stream: "stdout" | "stderr" = "stderr",
): Log {
  const logger = createLogger({
    level,
    format: printf((event) =>
      formatEvent(event.level as LogLevel, String(event.message), logFormat),
    ),
    transports: [new Console({ stderrLevels: stream === "stderr" ? [...LOG_LEVELS] : [] })],
  });
  return {
    error: (message) => void logger.error(message),
    warn: (message) => void logger.warn(message),
    info: (message) => void logger.info(message),
    debug: (message) => void logger.debug(message),
    close: () =>
      new Promise((resolve) => {
        logger.once("finish", resolve);
        logger.end();
      }),
  };
}

let level: LogLevel = "info";
/** Both are opened on first use. */
let log: Log | undefined;
let journalLog: Log | undefined;

/** Sets the least urgent level that is written. */
export function setLevel(next: LogLevel): void {
  level = next;
  log = undefined;
}

/** Writes a line to the log of this process. */
export function say({ level: of, text, journalOnly = false }: Line): void {
  const logFormat = logFormatOf(process.env);
  if (journalOnly && logFormat === "journal") {
    (journalLog ??= openLog(level, logFormat, "stdout"))[of](text);
  } else {
    (log ??= openLog(level, logFormat))[of](text);
  }
}

/** Resolves when everything has been written. */
export async function closeLog(): Promise<void> {
  await log?.close();
  await journalLog?.close();
}
