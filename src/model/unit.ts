/** The state of a systemd unit, as `systemctl show` reports it. Plain data. */
export interface Unit {
  /** UnitFileState: `enabled`, `disabled`, `masked` …; empty for a unit that does not exist. */
  readonly enablement: string;
  /** ActiveState: `active`, `failed` … */
  readonly activity: string;
  /** Has systemd still to start it, or stop it? It may wait for another unit. */
  readonly isQueued: boolean;
  /** `success`, `exit-code` … */
  readonly result: string;
  /** Exit status of its last run, or the number of the signal that ended it; undefined if it has not run. */
  readonly exitStatus?: number;
  readonly needsReload: boolean;
  /** Names of the variables set by Environment=, in a drop-in for example. Their values may be secrets. */
  readonly variables: readonly string[];
  /** Those of EnvironmentFile=, with the names of the variables in them; without if this user cannot read the file. */
  readonly environmentFiles: readonly {
    readonly path: string;
    readonly variables?: readonly string[];
  }[];
  /** The files of its drop-ins. */
  readonly dropIns: readonly string[];
  /** Milliseconds that its last start has taken, or has taken so far; undefined if it has not been started on this boot. */
  readonly startMs?: number;
  /** For a timer: milliseconds until it next elapses. */
  readonly nextMs?: number;
}

/** Is a service that runs and ends under way, or about to? */
export function isUnderWay(unit: Unit | undefined): boolean {
  return unit !== undefined && (unit.isQueued || unit.activity.endsWith("ing"));
}

/** How a run was ended, so that it could neither say why nor record a result. */
export interface Ending {
  /** To follow "was". */
  readonly words: string;
  /** There may have been too little memory. */
  readonly mayLackMemory: boolean;
}

const BY_NODE = "as by Node if it has too little memory";

/** Signals by number (signal(7)), with who may have sent them. */
const SIGNALS: Readonly<Record<number, string>> = {
  4: "SIGILL",
  7: "SIGBUS",
  31: "SIGSYS, by the sandbox",
};
/** Those that may have been for lack of memory. */
const SIGNALS_FOR_MEMORY: Readonly<Record<number, string>> = {
  5: `SIGTRAP, ${BY_NODE}`,
  6: `SIGABRT, ${BY_NODE}`,
  9: "SIGKILL, by somebody or by the kernel for lack of memory",
  11: `SIGSEGV, ${BY_NODE}`,
};

/** How the last run of a failed unit was ended; undefined if it has ended by itself. */
export function howEnded({ activity, result, exitStatus = 0 }: Unit): Ending | undefined {
  if (activity !== "failed") return undefined;
  switch (result) {
    case "oom-kill":
      return { words: "ended by the kernel, for lack of memory (oom-kill)", mayLackMemory: true };
    case "signal":
    case "core-dump": {
      const forMemory = SIGNALS_FOR_MEMORY[exitStatus];
      const signal = forMemory ?? SIGNALS[exitStatus];
      return {
        words: `ended by signal ${exitStatus}${signal === undefined ? "" : ` (${signal})`}`,
        mayLackMemory: forMemory !== undefined,
      };
    }
    default:
      return undefined;
  }
}
