/** What a command is given, and what it comes to. */
import type { Configuration, Environment } from "../config/configuration.ts";
import type { DoctorPorts } from "../doctor/ports.ts";
import type { ExitStatus } from "../model/failure.ts";
import type { Unit } from "../model/unit.ts";
import type { LastResult, RecheckState } from "../reconcile/drift.ts";
import type { Line } from "../report/report.ts";
import type { Screen } from "../report/screen.ts";
import type { Aws, HealPorts, Others } from "../run/ports.ts";

/** What was asked for on the command line. */
export interface CommandLine {
  readonly command: CommandRow;
  /** For `help`: the command that it is about. */
  readonly topic?: CommandRow;
  /** Of the command, without those that are settings. */
  readonly options: Options;
  /** Path of the settings file, if one was named. */
  readonly config?: string;
  /** Settings given as flags, by flag name without dashes. */
  readonly flags: Readonly<Record<string, string>>;
}

/** Options by name: whether they were given, or their value if they were. */
export type Options = Readonly<Record<string, boolean | string>>;

/** What others read in /run/eip-heal. */
export interface Result {
  readonly record: Readonly<Record<string, unknown>>;
  /** Of the file `env`; without them there is none. */
  readonly variables: Readonly<Record<string, string>> | undefined;
}

/** How a command has ended; `publish` in main.ts does with it what is to be done. */
export interface Completion {
  readonly status: ExitStatus;
  readonly lines?: readonly Line[];
  /** For standard output, where JSON is asked for. */
  readonly json?: unknown;
  /** For standard output. */
  readonly output?: string;
  /** For standard error, where it explains the output. */
  readonly explanation?: string;
  /** Without it, what the last run has left stays as it is. */
  readonly result?: Result;
}

/** /run/eip-heal: what runs leave for each other. */
export interface Runtime {
  /** The unit of ours that this is a run of; undefined by hand. */
  readonly unit: string | undefined;
  /** When this process was started, in milliseconds of the clock. */
  readonly began: number;
  readonly others: Others;
  readonly last: () => LastResult | undefined;
  /** The last result as it stands there, or why there is none to be shown. */
  readonly record: () =>
    | { readonly known: true; readonly result: Record<string, unknown> }
    | { readonly known: false; readonly because: string };
  /**
   * Writes at once what is about to be done, which makes what is there untrue; returns how to write that back.
   *
   * @throws Error if that cannot be written; then nothing has changed
   */
  readonly publishResult: (record: Result["record"]) => Promise<() => Promise<void>>;
  readonly rechecks: () => RecheckState;
  readonly saveRecheckState: (state: RecheckState) => void;
}

/** What a heal needs, with sessions that tell `policy` more. */
export type RunPorts = HealPorts & Pick<Aws, "open">;

/** What a command works with. What it needs of this machine and of AWS comes from wiring.ts. */
export interface Context {
  readonly commandLine: CommandLine;
  readonly configuration: Configuration;
  readonly version: string;
  readonly clock: HealPorts["clock"];
  readonly log: HealPorts["log"];
  /** Aborted when somebody wants the run to end, with an Error that says who. */
  readonly stop: AbortSignal;
  /** All that there are. */
  readonly commands: readonly CommandRow[];
  /** Tells a line while the command goes on. */
  readonly say: (line: Line) => void;
  readonly runtime: Runtime;
  /** Instance metadata, EC2 and Auto Scaling. @throws Failure `misconfigured` for variables that make no sense */
  readonly portsIn: (environment: Environment) => RunPorts;
  /** What systemd knows of a unit; undefined without systemd. */
  readonly unit: (name: string, signal: AbortSignal) => Promise<Unit | undefined>;
  /** Keeps the unit of the heal from being started again; returns how to take that back. */
  readonly endRetries: (signal: AbortSignal) => Promise<() => Promise<void>>;
  /** What doctor looks at besides. */
  readonly doctorPorts: () => Promise<DoctorPorts>;
  readonly screen: () => Promise<{
    readonly screen: Screen;
    readonly lines: (lines: readonly string[]) => void;
    /** What is going on, where that can be taken back. */
    readonly progress: (text: string) => void;
  }>;
}

export interface Option {
  readonly type: "boolean" | "string";
  readonly short?: string;
  readonly placeholder?: string;
  readonly meaning: string;
  /** Further sentences for the manual, in the markup of docs/generate/text.ts. */
  readonly explanation?: string;
  /** What a value has to be: what is accepted, and whether this one is. */
  readonly accepts?: readonly [accepted: string, fits: (text: string) => boolean];
}

export interface CommandRow {
  readonly name: string;
  readonly summary: string;
  /** Further sentences for the manual, in the markup of docs/generate/text.ts. */
  readonly explanation?: string;
  /** Name of what may follow the command. */
  readonly argument?: string;
  /** Options that are no settings. */
  readonly options: OptionTable;
  /** Does it read the settings, which are options of it then? */
  readonly hasSettings: boolean;
  /** The unit that runs it. */
  readonly unit?: string;
  readonly load: () => Promise<{ readonly run: Run<Options> }>;
}

export type OptionTable = Readonly<Record<string, Option>>;

export type Run<Given> = (context: Context, options: Given) => Promise<Completion>;

/** The options of a table as its command is given them. */
type OptionsOf<Table extends OptionTable> = {
  readonly [Name in keyof Table as Table[Name]["type"] extends "boolean" ? Name : never]: boolean;
} & {
  readonly [Name in keyof Table as Table[Name]["type"] extends "string" ? Name : never]?: string;
};

/** A row whose options are those that its command expects, or the compiler says which is not. */
export function command<const Table extends OptionTable>(
  row: Omit<CommandRow, "options" | "load"> & {
    readonly options: Table;
    readonly load: () => Promise<{ readonly run: Run<OptionsOf<Table>> }>;
  },
): CommandRow {
  return row as unknown as CommandRow;
}

/** Of every command: the ways in which other programs are asked for help and version. */
export const EVERYWHERE: Readonly<Record<string, Option>> = {
  version: { type: "boolean", meaning: "print the version" },
  help: { type: "boolean", short: "h", meaning: "print the help of this command" },
};
