/** One command, from its line to its exit status; and the one place that catches what nobody foresaw. */
import manifest from "../package.json" with { type: "json" };
import { parseCommandLine, UsageError } from "./cli.ts";
import type { CommandLine, Completion } from "./commands/command.ts";
import { commandOf } from "./commands/index.ts";
import { EXIT, type ExitStatus } from "./model/failure.ts";
import { jsonOf } from "./model/text.ts";
import { closeLog, say, setLevel } from "./system/journal.ts";
import { contextOf, writeResult } from "./wiring.ts";

// Until somebody says otherwise: an event loop that runs dry, with nobody left to answer, is a bug and never a success.
process.exitCode = EXIT.SOFTWARE;
// Of Node's own variables only NODE_EXTRA_CA_CERTS is the user's business: none of the others may change what we do.
for (const name of Object.keys(process.env)) {
  if (name.startsWith("NODE_") && name !== "NODE_EXTRA_CA_CERTS") delete process.env[name];
}
// The SDK tests `body instanceof ReadableStream`, and touching that global loads all of Node's web streams. None is one.
Reflect.deleteProperty(globalThis, "ReadableStream");
// A reader that has gone away (`eip-heal --help | head -1`) is no reason to fail.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
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
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
  }
  const context = contextOf(commandLine, stop.signal, say);
  if ("settings" in context.configuration) setLevel(context.configuration.settings.logLevel);
  const command = await commandOf(commandLine.command)?.load();
  if (command === undefined) throw new Error(`no command ${commandLine.command}`);
  return publish(await command.run(context), commandLine);
}

/** Does with the end of a command what is to be done, in one place. */
function publish(completion: Completion, { json }: CommandLine): ExitStatus {
  for (const line of completion.lines ?? []) say(line);
  if (completion.explanation !== undefined) process.stderr.write(completion.explanation);
  if (completion.output !== undefined) process.stdout.write(completion.output);
  if (json && completion.json !== undefined) {
    process.stdout.write(`${jsonOf(completion.json)}\n`);
  }
  if (completion.result !== undefined) writeResult(completion.result, say);
  return completion.status;
}

function reportBug(error: unknown): ExitStatus {
  const told = (error instanceof Error && error.stack) || String(error);
  const text = `this is a bug in eip-heal ${manifest.version}, please report it: ${told}`;
  // A line of its own for each frame only: the message may hold what others have written.
  for (const line of text.split(/\n(?= +at )/)) say({ level: "error", text: line });
  return EXIT.SOFTWARE;
}

/** Ends the process, explicitly: an answer that nobody read would keep it alive. */
async function end(status: ExitStatus): Promise<void> {
  await closeLog();
  process.exit(status);
}
