/** The types of a command: its row in the table, what it is given, and what it returns. */
import type { Configuration } from "../config/configuration.ts";
import type { Environment } from "../model/environment.ts";
import type { DoctorPorts } from "../doctor/ports.ts";
import type { ExitStatus } from "../model/failure.ts";
import type { Unit } from "../model/unit.ts";
import type { LastResult, RecheckState } from "../reconcile/drift.ts";
import type { Result } from "../reconcile/precedence.ts";
import type { Line } from "../report/report.ts";
import type { Screen } from "../report/screen.ts";
import type { Aws, HealPorts, SharedResult } from "../run/ports.ts";

/** The parsed command line. */
export interface CommandLine {
  readonly command: CommandRow;
  /** For `help`: the command to explain. */
  readonly topic?: CommandRow;
  /** The command's options, without settings. */
  readonly options: Options;
  /** Path of the settings file, if given. */
  readonly config?: string;
  /** Settings given as flags, by flag name without dashes. */
  readonly flags: Readonly<Record<string, string>>;
}

/** Options by name: for a boolean option whether it was given, for another one its value. */
export type Options = Readonly<Record<string, boolean | string>>;

/** How a command ended. wiring.ts writes the result files, publish.ts prints the rest. */
export interface Completion {
  readonly status: ExitStatus;
  /** For the log. */
  readonly lines?: readonly Line[];
  /** For standard output, with --json. */
  readonly json?: unknown;
  /** For standard output. */
  readonly output?: string;
  /** For standard error. */
  readonly explanation?: string;
  /** Without it the result files stay as they are. */
  readonly result?: Result;
}

/** The files in /run/eip-heal, which runs share. */
export interface Runtime {
  /** Our unit that started this run; undefined for a run by hand. */
  readonly unit: string | undefined;
  /** When this process was started, in milliseconds of the run's clock. */
  readonly began: number;
  readonly shared: SharedResult;
  readonly last: () => LastResult | undefined;
  /** The last result with all of its fields, or why it cannot be shown. */
  readonly record: () =>
    | { readonly known: true; readonly result: Record<string, unknown> }
    | { readonly known: false; readonly because: string };
  /**
   * Records a result before the command ends, because what it is about to do makes the recorded one untrue.
   *
   * @returns a function that restores the previous result
   * @throws Error if it cannot be written; then nothing has changed
   */
  readonly publishResult: (record: Result["record"]) => Promise<() => Promise<void>>;
  readonly rechecks: () => RecheckState;
  readonly saveRecheckState: (state: RecheckState) => void;
}

/** What a heal needs, with the richer sessions that `policy` needs. */
export type RunPorts = HealPorts & Pick<Aws, "open">;

/** What a command is given; wiring.ts provides access to this machine and to AWS. */
export interface Context {
  readonly commandLine: CommandLine;
  readonly configuration: Configuration;
  readonly version: string;
  readonly clock: HealPorts["clock"];
  readonly log: HealPorts["log"];
  /** Aborted when somebody wants the run to stop, with an Error that says who. */
  readonly stop: AbortSignal;
  /** The table of commands. */
  readonly commands: readonly CommandRow[];
  /** Logs a line immediately, not at the end of the command. */
  readonly say: (line: Line) => void;
  readonly runtime: Runtime;
  /** Instance metadata, EC2 and Auto Scaling. @throws Failure `misconfigured` for AWS variables with invalid values */
  readonly portsIn: (environment: Environment) => RunPorts;
  /** The state of a systemd unit; undefined without systemd, or if it does not answer. */
  readonly unit: (name: string, signal: AbortSignal) => Promise<Unit | undefined>;
  /** Whether this machine was booted with systemd. */
  readonly hasSystemd: (signal: AbortSignal) => Promise<boolean>;
  /** Whether this timer is enabled, according to the file system: in the units' sandbox systemd cannot be asked. */
  readonly isTimerOn: (name: string) => boolean;
  /** Stops the timer that retries a failed heal; returns a function that starts it again. */
  readonly endRetries: (signal: AbortSignal) => Promise<() => Promise<void>>;
  readonly doctorPorts: () => Promise<DoctorPorts>;
  readonly screen: () => Promise<{
    readonly screen: Screen;
    readonly lines: (lines: readonly string[]) => void;
    /** Shows a progress line that the next output replaces; on a terminal only. */
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
  /** Validates a value: what is accepted, in words, and a test. */
  readonly accepts?: readonly [accepted: string, fits: (text: string) => boolean];
}

export interface CommandRow {
  readonly name: string;
  readonly summary: string;
  /** Further sentences for the manual, in the markup of docs/generate/text.ts. */
  readonly explanation?: string;
  /** Name of its positional argument, if it takes one. */
  readonly argument?: string;
  /** Its options, without settings. */
  readonly options: OptionTable;
  /** Whether it reads the settings; each setting is then an option too. */
  readonly hasSettings: boolean;
  /** Whether it logs notices about the settings. A recheck, for one, would log them every minute. */
  readonly logsNotices?: true;
  /** The systemd unit that runs it. */
  readonly unit?: string;
  readonly load: () => Promise<{ readonly run: Run<Options> }>;
}

export type OptionTable = Readonly<Record<string, Option>>;

export type Run<Given> = (context: Context, options: Given) => Promise<Completion>;

/** The type of the parsed options of a table. */
type OptionsOf<Table extends OptionTable> = {
  readonly [Name in keyof Table as Table[Name]["type"] extends "boolean" ? Name : never]: boolean;
} & {
  readonly [Name in keyof Table as Table[Name]["type"] extends "string" ? Name : never]?: string;
};

/** Makes a row of the table; the compiler checks that the options are those that the command's `run` expects. */
export function command<const Table extends OptionTable>(
  row: Omit<CommandRow, "options" | "load"> & {
    readonly options: Table;
    readonly load: () => Promise<{ readonly run: Run<OptionsOf<Table>> }>;
  },
): CommandRow {
  return row as unknown as CommandRow;
}

/** The options of every command. */
export const EVERYWHERE: Readonly<Record<string, Option>> = {
  version: { type: "boolean", meaning: "print the version" },
  help: { type: "boolean", short: "h", meaning: "print the help of this command" },
};
