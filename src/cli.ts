/** Parses the command line. */
import { parseArgs } from "node:util";
import type { CommandLine } from "./commands/command.ts";
import { commandOf, COMMANDS, goesWith, OPTIONS } from "./commands/index.ts";
import { SETTINGS } from "./config/settings.ts";
import { nearest } from "./model/nearest.ts";

/** An invalid command line; the message says what is wrong. */
export class UsageError extends Error {}

const FLAGS = SETTINGS.map(({ flag }) => flag);

/**
 * Parses the command line.
 *
 * @param args the arguments without the name of the program
 * @throws UsageError
 */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const options: Record<string, { type: "boolean" | "string"; short?: string }> = {};
  for (const [name, { type, short }] of Object.entries(OPTIONS)) {
    options[name] = { type, ...(short !== undefined && { short }) };
  }
  for (const flag of FLAGS) options[flag] = { type: "string" };

  let values: { [name: string]: unknown; config?: unknown };
  let positionals: string[];
  try {
    ({ values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true }));
  } catch (error) {
    const text = (error as Error).message.replace(/\. To specify a positional.*/s, "");
    const [, given = ""] = /^Unknown option '--?([^']*)'/.exec(text) ?? [];
    const meant = nearest(given, Object.keys(options));
    throw new UsageError(meant === undefined ? text : `${text}; did you mean --${meant}?`);
  }
  const [named = "heal", ...rest] = positionals;
  const command = commandNamed(named);
  for (const [name, value] of Object.entries(values)) {
    if (!goesWith(name, command)) {
      const others = COMMANDS.filter((row) => goesWith(name, row)).map((row) => row.name);
      throw new UsageError(`--${name} goes with ${others.join(", ")} only`);
    }
    const { accepts } = OPTIONS[name] ?? {};
    if (typeof value === "string" && accepts !== undefined && !accepts[1](value)) {
      throw new UsageError(`--${name} is ${JSON.stringify(value)}; accepted: ${accepts[0]}`);
    }
  }
  const isOn = (name: string) => values[name] === true;
  // `help COMMAND` and `COMMAND --help` are about that command, `--help` alone is about all of them.
  const topics = command.name === "help" ? rest.splice(0, 1) : isOn("help") ? positionals : [];
  if (rest.length > 0) throw new UsageError(`Unexpected argument '${rest[0]}'`);

  const [topic] = topics.map(commandNamed);
  const flags = Object.fromEntries(
    FLAGS.flatMap((flag) => (typeof values[flag] === "string" ? [[flag, values[flag]]] : [])),
  );
  if (isOn("verbose")) flags["log-level"] ??= "debug";
  const { config } = values;
  return {
    command: isOn("help")
      ? commandNamed("help")
      : isOn("version")
        ? commandNamed("version")
        : command,
    ...(topic !== undefined && { topic }),
    options: Object.fromEntries(
      Object.entries(command.options).flatMap(([name, { type }]) => {
        const value = type === "boolean" ? isOn(name) : values[name];
        return value === undefined ? [] : [[name, value as boolean | string]];
      }),
    ),
    ...(typeof config === "string" && { config }),
    flags,
  };
}

function commandNamed(name: string) {
  const row = commandOf(name);
  if (row !== undefined) return row;
  const known = COMMANDS.map((one) => one.name);
  const meant = nearest(name, known);
  const hint = meant === undefined ? `known: ${known.join(", ")}` : `did you mean ${meant}?`;
  throw new UsageError(`Unknown command '${name}'; ${hint}`);
}
