/** Running other programs, and waiting for what they bring about. */
import { execFile } from "node:child_process";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

export interface Result {
  /** Exit status; 128 + n after signal n as in a shell, 124 when time was up. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** What the program reads from stdin; nothing by default. */
  readonly input?: string;
  /** Milliseconds after which it is killed. */
  readonly timeoutMs?: number;
}

/** Runs a program to its end. A status other than 0 is a result; only a program that cannot be started is an error. */
export function run(
  argv: readonly string[],
  { input = "", timeoutMs = 120_000 }: RunOptions = {},
): Promise<Result> {
  const [file = "", ...args] = argv;
  return new Promise((resolve, reject) => {
    const options = {
      timeout: timeoutMs,
      killSignal: "SIGKILL",
      maxBuffer: 64 * 1024 * 1024,
    } as const;
    const child = execFile(file, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve({ status: 0, stdout, stderr });
      if (typeof error.code === "number") return resolve({ status: error.code, stdout, stderr });
      if (error.signal) {
        const status = error.killed ? 124 : 128 + constants.signals[error.signal];
        return resolve({ status, stdout, stderr });
      }
      return reject(error);
    });
    // A program that does not read its input is no reason to fail.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}

/** Runs a program that must succeed; its standard output. */
export async function must(argv: readonly string[], options?: RunOptions): Promise<string> {
  const result = await run(argv, options);
  return succeeded(argv, result);
}

/** The standard output of a result; throws with all that is known when it is not one of success. */
export function succeeded(argv: readonly string[], { status, stdout, stderr }: Result): string {
  if (status !== 0) throw new Error(`${argv.join(" ")}: exit status ${status}\n${stdout}${stderr}`);
  return stdout;
}

/**
 * Asks again and again until the answer is neither undefined nor false; that answer. Machines are noisy: what takes
 * 100 ms here may take 10 s there, so `withinMs` is generous and only bounds how long a failure takes.
 */
export async function eventually<T>(
  what: string,
  ask: () => T | Promise<T>,
  { withinMs = 60_000, everyMs = 50 }: { withinMs?: number; everyMs?: number } = {},
): Promise<Exclude<T, undefined | false>> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>;
    if (Date.now() > deadline) throw new Error(`not within ${withinMs / 1000} s: ${what}`);
    await sleep(everyMs);
  }
}
