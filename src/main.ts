/** Runs one command, from the command line to the exit status. The only place that catches unforeseen errors. */
import manifest from "../package.json" with { type: "json" };
import { parseCommandLine, UsageError } from "./cli.ts";
import type { CommandLine } from "./commands/command.ts";
import { EXIT, type ExitStatus } from "./model/failure.ts";
import { say, setLevel } from "./system/journal.ts";
import { end, type Ending, publish } from "./publish.ts";
import { prepareProcess, stopSignal } from "./system/process.ts";
import { contextOf, writeResult } from "./wiring.ts";

// The binary evaluates all of this when it is built, and starts from a snapshot of the heap: what is read from the
// process or begins something has to wait until it runs.
const { startupSnapshot } = process.getBuiltinModule("node:v8");
if (startupSnapshot.isBuildingSnapshot()) startupSnapshot.setDeserializeMainFunction(start);
else start();

function start(): void {
  // Unless set otherwise: if the event loop runs dry before a command has ended, that is a bug and never a success.
  process.exitCode = EXIT.SOFTWARE;
  prepareProcess();
  process.on("uncaughtException", (error) => void end(reportBug(error)));
  void main(process.argv.slice(2)).catch(reportBug).then(end);
}

async function main(args: string[]): Promise<Ending> {
  let commandLine: CommandLine;
  try {
    commandLine = parseCommandLine(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    say({ level: "error", text: `${error.message}; see eip-heal help` });
    return EXIT.USAGE;
  }
  const stop = stopSignal();
  const context = contextOf(commandLine, stop, say);
  if ("settings" in context.configuration) setLevel(context.configuration.settings.logLevel);
  const { command, options } = commandLine;
  const { run } = await command.load();
  return publish(await writeResult(await run(context, options), say), options, stop);
}

function reportBug(error: unknown): ExitStatus {
  const description = (error instanceof Error && error.stack) || String(error);
  const text = `this is a bug in eip-heal ${manifest.version}, please report it: ${description}`;
  // Only stack frames get lines of their own: the message may contain text from outside.
  for (const line of text.split(/\n(?= +at )/)) say({ level: "error", text: line });
  return EXIT.SOFTWARE;
}
