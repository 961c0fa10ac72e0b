/** The command line: flags and commands in, a request out. Nothing is done here. */
import { parseArgs } from "node:util";
import type { Scope } from "./iam/permit.ts";
import { isAccount, isRegion, isVpc } from "./model/ids.ts";
import { SETTINGS } from "./config/settings.ts";

export const COMMANDS = [
  ["heal", "bring this instance back under its Elastic IP (the default)"],
  ["recheck", "heal if the address is not where the last run has verified it; asks EC2 only then"],
  ["release", "give the address up, if this instance holds it"],
  ["status", "show in one look where the address is and what the last run did"],
  ["doctor", "check all that a heal needs, name what is wrong and its cure; changes nothing"],
  ["policy", "print the smallest IAM policy for these settings"],
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
  /** Why each statement of the policy is there. */
  readonly explain: boolean;
  /** What the policy is for. */
  readonly scope: Scope;
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
  /** The only command it goes with. */
  readonly only?: Command;
  /** What a value has to be: what is accepted, and whether this one is. */
  readonly accepts?: readonly [accepted: string, fits: (text: string) => boolean];
}

/** The flags that are not settings. */
export const SWITCHES: Readonly<Record<string, Switch>> = {
  config: {
    type: "string",
    placeholder: "FILE",
    meaning: "settings file (default: /etc/eip-heal.conf)",
  },
  "dry-run": { type: "boolean", meaning: "say what would be done, change nothing", only: "heal" },
  json: { type: "boolean", meaning: "print the result as JSON on standard output" },
  verbose: { type: "boolean", meaning: "log each step; the same as --log-level debug" },
  version: { type: "boolean", meaning: "print the version" },
  help: { type: "boolean", short: "h", meaning: "print this help" },
  explain: {
    type: "boolean",
    meaning: "say on standard error why each statement is there",
    only: "policy",
  },
  required: { type: "boolean", meaning: "only what a heal cannot do without", only: "policy" },
  any: { type: "boolean", meaning: "for any address of the account", only: "policy" },
  hook: { type: "boolean", meaning: "with a launch hook of this instance's group", only: "policy" },
  release: { type: "boolean", meaning: "with eip-heal release", only: "policy" },
  region: {
    type: "string",
    placeholder: "REGION",
    meaning: "for this region; default: this instance's",
    only: "policy",
    accepts: ["a region such as eu-central-1", isRegion],
  },
  account: {
    type: "string",
    placeholder: "ACCOUNT",
    meaning: "for this account; default: this instance's",
    only: "policy",
    accepts: ["the twelve digits of an account", isAccount],
  },
  vpc: {
    type: "string",
    placeholder: "VPC",
    meaning: "for instances with several interfaces, in this VPC",
    only: "policy",
    accepts: ["a VPC id such as vpc-0123456789abcdef0", isVpc],
  },
  group: {
    type: "string",
    placeholder: "NAME",
    meaning: "with a launch hook of this Auto Scaling group",
    only: "policy",
    accepts: ["the name of an Auto Scaling group", (text) => text !== ""],
  },
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
  for (const [name, { only, accepts }] of Object.entries(SWITCHES)) {
    const value = values[name];
    if (value === undefined) continue;
    if (only !== undefined && command !== only) {
      throw new UsageError(`--${name} goes with ${only} only`);
    }
    if (typeof value === "string" && accepts !== undefined && !accepts[1](value)) {
      throw new UsageError(`--${name} is ${JSON.stringify(value)}; accepted: ${accepts[0]}`);
    }
  }
  if (surplus.length > 0) throw new UsageError(`Unexpected argument '${surplus[0]}'`);

  const flags = Object.fromEntries(
    SETTINGS.flatMap(({ flag }) =>
      typeof values[flag] === "string" ? [[flag, values[flag]]] : [],
    ),
  );
  if (values["verbose"] === true) flags["log-level"] ??= "debug";
  const isOn = (name: string) => values[name] === true;
  const given = <Name extends string>(name: Name) =>
    (typeof values[name] === "string" ? { [name]: values[name] } : {}) as { [K in Name]?: string };
  return {
    command,
    help: isOn("help"),
    version: isOn("version"),
    dryRun: isOn("dry-run"),
    json: isOn("json"),
    verbose: isOn("verbose"),
    explain: isOn("explain"),
    scope: {
      required: isOn("required"),
      any: isOn("any"),
      hook: isOn("hook"),
      release: isOn("release"),
      ...given("region"),
      ...given("account"),
      ...given("vpc"),
      ...given("group"),
    },
    ...given("config"),
    flags,
  };
}

/** What `--help` prints. */
export function helpText(): string {
  const row = (left: string, right: string) => `  ${left.padEnd(34)} ${right}`;
  const switches = (isMeant: (only: Command | undefined) => boolean) =>
    Object.entries(SWITCHES)
      .filter(([, { only }]) => isMeant(only))
      .map(([name, { short, placeholder, meaning }]) =>
        row(
          `${short === undefined ? "" : `-${short}, `}--${name}${placeholder === undefined ? "" : ` ${placeholder}`}`,
          meaning,
        ),
      );
  return [
    "Usage: eip-heal [COMMAND] [OPTION]...",
    "Brings this EC2 instance back under its Elastic IP and says whether it did.",
    "",
    "Commands:",
    ...COMMANDS.map(([name, meaning]) => row(name, meaning)),
    "",
    "Options:",
    ...switches((only) => only !== "policy"),
    "",
    "Options of policy:",
    ...switches((only) => only === "policy"),
    "",
    "Settings, each also a line of /etc/eip-heal.conf and an environment variable",
    "(--allocation-id is EIP_HEAL_ALLOCATION_ID); flags win over the environment, the environment over the file:",
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
