/** `eip-heal help`, and what `--help` prints. */
import { SETTINGS } from "../config/settings.ts";
import { STATUSES } from "../model/exit-status.ts";
import { EXIT } from "../model/failure.ts";
import { fill } from "../model/text.ts";
import {
  type CommandRow,
  type Completion,
  type Context,
  EVERYWHERE,
  type Option,
} from "./command.ts";

/** Columns of a standard terminal. */
const WIDTH = 80;
/** Column at which descriptions begin. */
const INDENT = 29;

/** Runs it. */
export function run({ commandLine, commands }: Context): Promise<Completion> {
  const { topic } = commandLine;
  return Promise.resolve({ status: EXIT.OK, output: topic ? helpOf(topic) : overview(commands) });
}

/** The help of the program: its purpose, its commands and exit statuses. */
export function overview(commands: readonly CommandRow[]): string {
  return text([
    "Usage: eip-heal [COMMAND] [OPTION]...",
    "Brings this EC2 instance back under its Elastic IP and says whether it did.",
    "",
    "Commands:",
    ...commands.flatMap(({ name, summary }) => entry(name, summary)),
    "",
    "eip-heal COMMAND --help has the options of a command.",
    "",
    "Exit status:",
    ...Object.entries(STATUSES).flatMap(([name, { meaning }]) =>
      entry(`${EXIT[name as keyof typeof EXIT]} ${name}`, meaning),
    ),
    "",
    "See eip-heal(8).",
  ]);
}

/** The help of one command: its options and settings. */
export function helpOf({ name, argument, summary, options, hasSettings }: CommandRow): string {
  const takes = hasSettings ? "[OPTION]..." : argument === undefined ? "" : `[${argument}]`;
  return text([
    `Usage: eip-heal ${name} ${takes}`.trimEnd(),
    ...wrap(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`, WIDTH),
    "",
    "Options:",
    ...Object.entries({ ...options, ...EVERYWHERE }).flatMap(([flag, option]) =>
      entry(flagOf(flag, option), option.meaning),
    ),
    ...(hasSettings
      ? [
          "",
          "Settings, each also a line of /etc/eip-heal.conf and an environment variable",
          "(--allocation-id is EIP_HEAL_ALLOCATION_ID); flags win over the environment,",
          "the environment over the file:",
          ...SETTINGS.flatMap(({ flag, placeholder, meaning, default: value }) => {
            const isChoice = placeholder.length > 12;
            const details = [
              ...(isChoice ? [placeholder.replaceAll("|", ", ")] : []),
              ...(value === undefined ? [] : [`default: ${value}`]),
            ].join("; ");
            return entry(
              `--${flag} ${isChoice ? "VALUE" : placeholder}`,
              details === "" ? meaning : `${meaning} (${details})`,
            );
          }),
        ]
      : []),
  ]);
}

function flagOf(name: string, { short, placeholder }: Option): string {
  const flag = short === undefined ? `--${name}` : `-${short}, --${name}`;
  return placeholder === undefined ? flag : `${flag} ${placeholder}`;
}

/** One entry of a list. If the name is too long, the description starts on the next line. */
function entry(name: string, meaning: string): string[] {
  const [first = "", ...others] = wrap(meaning, WIDTH - INDENT);
  const pad = " ".repeat(INDENT);
  const head = `  ${name}`;
  return head.length < INDENT
    ? [head.padEnd(INDENT) + first, ...others.map((line) => pad + line)]
    : [head, ...[first, ...others].map((line) => pad + line)];
}

const wrap = (line: string, width: number) => fill(line.split(" "), width);

const text = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join("");
