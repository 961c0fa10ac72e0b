/** Publishes what a command returned: log, standard output, and how the process ends. */
import type { Completion, Options } from "./commands/command.ts";
import { EXIT, type ExitStatus } from "./model/failure.ts";
import { jsonOf } from "./model/text.ts";
import { closeLog, say } from "./system/journal.ts";
import {
  endBySigpipe,
  isReaderGone,
  logWritten,
  outputTrouble,
  SIGPIPE,
  write,
} from "./system/output.ts";

/** How the process ends: by an exit status, or by SIGPIPE if nobody reads its output any more. */
export type Ending = ExitStatus | typeof SIGPIPE;

/**
 * Prints and logs what a command returned.
 *
 * @param stop aborts waiting for a slow reader of standard output
 */
export async function publish(
  { status, lines = [], explanation, output, json }: Completion,
  options: Options,
  stop: AbortSignal,
): Promise<Ending> {
  for (const line of lines) say(line);
  if (explanation !== undefined) process.stderr.write(explanation);
  if (output !== undefined) write(output);
  if (options["json"] === true && json !== undefined) write(`${jsonOf(json)}\n`);
  const trouble = await outputTrouble(stop);
  if (trouble === undefined) return status;
  if (isReaderGone(trouble)) return status === EXIT.OK ? SIGPIPE : status;
  say({ level: "error", text: `standard output is not complete: ${trouble.message}` });
  return status === EXIT.OK ? EXIT.TEMPFAIL : status;
}

/** Ends the process explicitly: a response body that was not read would keep it alive. */
export async function end(ending: Ending): Promise<void> {
  await closeLog();
  await logWritten();
  if (ending === SIGPIPE) endBySigpipe();
  process.exit(ending === SIGPIPE ? EXIT.TEMPFAIL : ending);
}
