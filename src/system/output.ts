/** Standard output: writes all of it, or reports why that failed. */
import { fstatSync, writeSync } from "node:fs";

/** Milliseconds to wait for the log at the end. A journal that no longer reads must not keep a run from ending. */
const LOG_PATIENCE_MS = 10_000;

export const SIGPIPE = "SIGPIPE";

/** Why a part of the output was lost. */
let trouble: Error | undefined;

/** Records errors of standard output for `outputTrouble`, and ignores those of standard error, which cannot be reported. */
export function watchOutput(): void {
  process.stdout.on("error", (error) => (trouble ??= error));
  process.stderr.on("error", () => {});
}

/** Writes to standard output. Only `outputTrouble` tells whether all of it was written. */
export function write(text: string): void {
  if (trouble !== undefined) return;
  if (isFile()) writeToFile(text);
  else process.stdout.write(text);
}

/**
 * Waits until all of standard output has been written, however slow its reader is.
 *
 * @param stop aborts waiting
 * @returns the error if a part of the output was lost
 */
export async function outputTrouble(stop: AbortSignal): Promise<Error | undefined> {
  const stopped = new Promise<Error>((resolve) => {
    const tell = () => resolve(stop.reason as Error);
    if (stop.aborted && process.stdout.writableLength > 0) tell();
    stop.addEventListener("abort", tell, { once: true });
  });
  const interrupted = await Promise.race([flushed(process.stdout), stopped]);
  return (trouble ??= interrupted);
}

/** Resolves when the log has been written, or after LOG_PATIENCE_MS at most. */
export async function logWritten(): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise((resolve) => (timer = setTimeout(resolve, LOG_PATIENCE_MS)));
  // In our units a part of the log goes to standard output. If that was given up, it is not waited for again.
  const streams = trouble === undefined ? [process.stdout, process.stderr] : [process.stderr];
  await Promise.race([Promise.all(streams.map(flushed)), patience]);
  clearTimeout(timer);
}

/**
 * Whether the reader of our output has gone (`eip-heal help | head -1`). Other programs are then ended by SIGPIPE without a
 * message. We get EPIPE instead, so that the command can finish first.
 */
export function isReaderGone(error: Error): boolean {
  return "code" in error && error.code === "EPIPE";
}

/** Ends this process by SIGPIPE. */
export function endBySigpipe(): void {
  // Node ignores SIGPIPE; removing the last listener restores the default action.
  const ignore = () => {};
  process.on(SIGPIPE, ignore).off(SIGPIPE, ignore);
  process.kill(process.pid, SIGPIPE);
}

// --- internal ---

/** Resolves when everything sent to the stream so far has been written or lost. */
function flushed(stream: NodeJS.WriteStream): Promise<undefined> {
  return new Promise((resolve) => {
    stream.write("", () => resolve(undefined));
  });
}

function isFile(): boolean {
  try {
    return fstatSync(1).isFile();
  } catch {
    return false;
  }
}

/** Writes all bytes. On an almost full disk only a part may fit, which Node's own stream takes for the whole. */
function writeToFile(text: string): void {
  let rest = Buffer.from(text);
  try {
    while (rest.length > 0) rest = rest.subarray(writeSync(1, rest));
  } catch (error) {
    trouble = error as Error;
  }
}
