/** What a command is given, and what it comes to. */
import type { Configuration, Environment } from "../config/configuration.ts";
import type { DoctorPorts } from "../doctor/ports.ts";
import type { Scope } from "../iam/policy-input.ts";
import type { ExitStatus } from "../model/failure.ts";
import type { Unit } from "../model/unit.ts";
import type { LastResult, RecheckState } from "../reconcile/drift.ts";
import type { Line } from "../report/report.ts";
import type { Screen } from "../report/screen.ts";
import type { Aws, HealPorts, Others } from "../run/ports.ts";

export type Name =
  | "heal"
  | "recheck"
  | "release"
  | "status"
  | "doctor"
  | "policy"
  | "check-config"
  | "help"
  | "version";

/** What was asked for on the command line. */
export interface CommandLine {
  readonly command: Name;
  /** For `help`: the command that it is about. */
  readonly topic?: Name;
  readonly dryRun: boolean;
  readonly json: boolean;
  /** Path of the settings file, if one was named. */
  readonly config?: string;
  /** Why each statement of the policy is there. */
  readonly explain: boolean;
  /** What the policy is for. */
  readonly scope: Scope;
  /** Settings given as flags, by flag name without dashes. */
  readonly flags: Readonly<Record<string, string>>;
}

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

export type Run = (context: Context) => Promise<Completion>;

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
  readonly name: Name;
  readonly summary: string;
  /** Further sentences for the manual, in the markup of docs/generate/text.ts. */
  readonly explanation?: string;
  /** Name of what may follow the command. */
  readonly argument?: string;
  /** Options that are no settings. */
  readonly options: Readonly<Record<string, Option>>;
  /** Does it read the settings, which are options of it then? */
  readonly hasSettings: boolean;
  readonly load: () => Promise<{ readonly run: Run }>;
}

/** Of every command: the ways in which other programs are asked for help and version. */
export const EVERYWHERE: Readonly<Record<string, Option>> = {
  version: { type: "boolean", meaning: "print the version" },
  help: { type: "boolean", short: "h", meaning: "print the help of this command" },
};
