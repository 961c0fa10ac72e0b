/** The command line: flags and commands in, a request out. Nothing is done here. */
import { parseArgs } from "node:util";
import { SETTINGS } from "./core/settings.ts";

export const COMMANDS = [
  ["heal", "bring this instance back under its Elastic IP (the default)"],
  ["recheck", "heal if the address is not where the last run has verified it; asks EC2 only then"],
  ["release", "give the address up, if this instance holds it"],
  ["status", "show in one look where the address is and what the last run did"],
  ["doctor", "check all that a heal needs, name what is wrong and its cure; changes nothing"],
] as const;
export type Command = (typeof COMMANDS)[number][0];

export interface CommandLine {
  readonly command: Command;
  readonly help: boolean;
  readonly version: boolean;
  readonly dryRun: boolean;
  readonly json: boolean;
  readonly verbose: boolean;
  /** Path of the settings file, if one was named. */
  readonly config?: string;
  /** Settings given as flags, by flag name without dashes. */
  readonly flags: Readonly<Record<string, string>>;
}

/** A command line that makes no sense; the message says what is wrong. */
export class UsageError extends Error {}

interface Switch {
  readonly type: "boolean" | "string";
  readonly short?: string;
  readonly placeholder?: string;
  readonly meaning: string;
}

/** The flags that are not settings. */
export const SWITCHES: Readonly<Record<string, Switch>> = {
  config: {
    type: "string",
    placeholder: "FILE",
    meaning: "settings file (default: /etc/eip-heal.conf)",
  },
  "dry-run": { type: "boolean", meaning: "say what would be done, change nothing" },
  json: { type: "boolean", meaning: "print the result as JSON on standard output" },
  verbose: { type: "boolean", meaning: "log each step; the same as --log-level debug" },
  version: { type: "boolean", meaning: "print the version" },
  help: { type: "boolean", short: "h", meaning: "print this help" },
};

/**
 * @param args the arguments without the program
 * @throws UsageError
 */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const options: Record<string, { type: "boolean" | "string"; short?: string }> = {};
  for (const [name, { type, short }] of Object.entries(SWITCHES)) {
    options[name] = { type, ...(short !== undefined && { short }) };
  }
  for (const { flag } of SETTINGS) options[flag] = { type: "string" };

  let values: Record<string, unknown>;
  let positionals: string[];
  try {
    ({ values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true }));
  } catch (error) {
    throw new UsageError((error as Error).message.replace(/\. To specify a positional.*/s, ""));
  }
  const [named = "heal", ...surplus] = positionals;
  const command = COMMANDS.map(([name]) => name).find((name) => name === named);
  if (command === undefined) {
    throw new UsageError(
      `Unknown command '${named}'; known: ${COMMANDS.map(([name]) => name).join(", ")}`,
    );
  }
  if (values["dry-run"] === true && command !== "heal") {
    throw new UsageError("--dry-run goes with heal only");
  }
  if (surplus.length > 0) throw new UsageError(`Unexpected argument '${surplus[0]}'`);

  const flags = Object.fromEntries(
    SETTINGS.flatMap(({ flag }) =>
      typeof values[flag] === "string" ? [[flag, values[flag]]] : [],
    ),
  );
  if (values["verbose"] === true) flags["log-level"] ??= "debug";
  return {
    command,
    help: values["help"] === true,
    version: values["version"] === true,
    dryRun: values["dry-run"] === true,
    json: values["json"] === true,
    verbose: values["verbose"] === true,
    ...(typeof values["config"] === "string" && { config: values["config"] }),
    flags,
  };
}

/** What `--help` prints. */
export function helpText(): string {
  const row = (left: string, right: string) => `  ${left.padEnd(34)} ${right}`;
  return [
    "Usage: eip-heal [COMMAND] [OPTION]...",
    "Brings this EC2 instance back under its Elastic IP and says whether it did.",
    "",
    "Commands:",
    ...COMMANDS.map(([name, meaning]) => row(name, meaning)),
    "",
    "Options:",
    ...Object.entries(SWITCHES).map(([name, { short, placeholder, meaning }]) =>
      row(
        `${short === undefined ? "" : `-${short}, `}--${name}${placeholder === undefined ? "" : ` ${placeholder}`}`,
        meaning,
      ),
    ),
    "",
    "Settings, each also a line of /etc/eip-heal.conf and an environment variable",
    "(--allocation-id is EIP_HEAL_ALLOCATION_ID); flags win over the environment, it over the file:",
    ...SETTINGS.map(({ flag, placeholder, meaning, default: value }) =>
      row(
        `--${flag} ${placeholder.length > 18 ? "VALUE" : placeholder}`,
        `${meaning}${details(placeholder, value)}`,
      ),
    ),
    "",
    "Exit status: 0 the address is here or there is nothing to do; 64 bad command line; 69 a newer",
    "instance holds the address; 70 bug; 75 try again later; 77 permission missing; 78 misconfigured.",
    "See eip-heal(8).",
    "",
  ].join("\n");
}

function details(placeholder: string, value: string | undefined): string {
  const parts = [
    ...(placeholder.length > 18 ? [placeholder.replaceAll("|", ", ")] : []),
    ...(value === undefined ? [] : [`default: ${value}`]),
  ];
  return parts.length === 0 ? "" : ` (${parts.join("; ")})`;
}
