/** One command, from its line to its exit status; and the one place that catches what nobody foresaw. */
import manifest from "../package.json" with { type: "json" };
import { parseCommandLine, UsageError } from "./cli.ts";
import type { CommandLine, Completion, Options } from "./commands/command.ts";
import { EXIT, type ExitStatus } from "./model/failure.ts";
import { jsonOf } from "./model/text.ts";
import { closeLog, say, setLevel } from "./system/journal.ts";
import { prepareProcess, stopSignal } from "./system/process.ts";
import { contextOf, writeResult } from "./wiring.ts";

// Until somebody says otherwise: an event loop that runs dry, with nobody left to answer, is a bug and never a success.
process.exitCode = EXIT.SOFTWARE;
prepareProcess();
process.on("uncaughtException", (error) => void end(reportBug(error)));
void main(process.argv.slice(2)).catch(reportBug).then(end);

async function main(args: string[]): Promise<ExitStatus> {
  let commandLine: CommandLine;
  try {
    commandLine = parseCommandLine(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    say({ level: "error", text: `${error.message}; see eip-heal help` });
    return EXIT.USAGE;
  }
  const context = contextOf(commandLine, stopSignal(), say);
  if ("settings" in context.configuration) setLevel(context.configuration.settings.logLevel);
  const { command, options } = commandLine;
  const { run } = await command.load();
  return publish(await writeResult(await run(context, options), say), options);
}

/** Does with the end of a command what is to be done, in one place. */
function publish(completion: Completion, options: Options): ExitStatus {
  for (const line of completion.lines ?? []) say(line);
  if (completion.explanation !== undefined) process.stderr.write(completion.explanation);
  if (completion.output !== undefined) process.stdout.write(completion.output);
  if (options["json"] === true && completion.json !== undefined) {
    process.stdout.write(`${jsonOf(completion.json)}\n`);
  }
  return completion.status;
}

function reportBug(error: unknown): ExitStatus {
  const description = (error instanceof Error && error.stack) || String(error);
  const text = `this is a bug in eip-heal ${manifest.version}, please report it: ${description}`;
  // A line of its own for each frame only: the message may hold what others have written.
  for (const line of text.split(/\n(?= +at )/)) say({ level: "error", text: line });
  return EXIT.SOFTWARE;
}

/** Ends the process, explicitly: an answer that nobody read would keep it alive. */
async function end(status: ExitStatus): Promise<void> {
  await closeLog();
  process.exit(status);
}
