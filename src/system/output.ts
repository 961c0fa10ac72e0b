/** Standard output: all of it is written, or it is known why not. */
import { fstatSync, writeSync } from "node:fs";

/** Milliseconds that the log is waited for at the end. A journal that has stopped reading must not keep a run from ending. */
const LOG_PATIENCE_MS = 10_000;

export const SIGPIPE = "SIGPIPE";

/** Why something that was written has not arrived. */
let trouble: Error | undefined;

/** Keeps errors of standard output for the end, and ignores those of standard error: there is nobody left to tell. */
export function watchOutput(): void {
  process.stdout.on("error", (error) => (trouble ??= error));
  process.stderr.on("error", () => {});
}

/** Writes to standard output, which is not complete before `outputTrouble` has said so. */
export function write(text: string): void {
  if (trouble !== undefined) return;
  if (isFile()) writeToFile(text);
  else process.stdout.write(text);
}

/**
 * Waits until all of standard output has been written, however slow its reader is.
 *
 * @param stop ends the wait
 * @returns the error by which a part of it was lost, if one was
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

/** Resolves when the log has reached whoever reads it, or has been waited for long enough. */
export async function logWritten(): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise((resolve) => (timer = setTimeout(resolve, LOG_PATIENCE_MS)));
  // Units have a part of the log at standard output. What was given up there is not waited for again.
  const streams = trouble === undefined ? [process.stdout, process.stderr] : [process.stderr];
  await Promise.race([Promise.all(streams.map(flushed)), patience]);
  clearTimeout(timer);
}

/**
 * Is this how the kernel tells a program that the reader of its output has gone (`eip-heal help | head -1`)? Programs
 * are ended by that signal, and say nothing. We are told by an error instead, since the heal comes first.
 */
export function isReaderGone(error: Error): boolean {
  return "code" in error && error.code === "EPIPE";
}

/** Ends this process by SIGPIPE. */
export function endBySigpipe(): void {
  // Node ignores the signal, and the last listener that goes takes that back.
  const ignore = () => {};
  process.on(SIGPIPE, ignore).off(SIGPIPE, ignore);
  process.kill(process.pid, SIGPIPE);
}

// --- internal ---

/** Resolves when everything that was written to it so far has been written or lost. */
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

/** Node's own stream takes it for the whole if a disk that is almost full has had room for a part. */
function writeToFile(text: string): void {
  let rest = Buffer.from(text);
  try {
    while (rest.length > 0) rest = rest.subarray(writeSync(1, rest));
  } catch (error) {
    trouble = error as Error;
  }
}
