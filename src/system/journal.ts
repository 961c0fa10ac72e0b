/**
 * The log: one line per event to stderr. When stderr is the journal each line carries its priority as
 * `<N>` (sd-daemon(3)); on a terminal warnings and errors are coloured, unless NO_COLOR says otherwise.
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

/** One event as it is written: one line, whatever others have put into it, and marked as the manner wants it. */
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
 * How stderr wants its lines. systemd tells by JOURNAL_STREAM which file it has connected to the journal
 * (device:inode); the variable is inherited, so it only counts if stderr still is that file.
 */
export function logFormatOf(environment: Readonly<Record<string, string | undefined>>): LogFormat {
  const journal = environment["JOURNAL_STREAM"];
  if (journal !== undefined) {
    try {
      const { dev, ino } = fstatSync(2);
      if (journal === `${dev}:${ino}`) return "journal";
    } catch {
      // no stderr at all
    }
  }
  const hasColour = !environment["NO_COLOR"] && environment["TERM"] !== "dumb";
  return process.stderr.isTTY && hasColour ? "terminal" : "plain";
}

/** @param stream where its lines go: the units have the journal at stdout, and at stderr the console too */
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

const logFormat = logFormatOf(process.env);
let level: LogLevel = "info";
let log = openLog(level, logFormat);
/** Opened when it is needed. */
let journalLog: Log | undefined;

/** From which level on lines are written. */
export function setLevel(next: LogLevel): void {
  level = next;
  log = openLog(level, logFormat);
}

/** Writes a line to the log of this process. */
export function say({ level: of, text, journalOnly = false }: Line): void {
  const isForJournalAlone = journalOnly && logFormat === "journal";
  if (isForJournalAlone) journalLog ??= openLog(level, logFormat, "stdout");
  (isForJournalAlone ? journalLog : log)?.[of](text);
}

/** Resolves when everything has been written. */
export async function closeLog(): Promise<void> {
  await log.close();
  await journalLog?.close();
}
