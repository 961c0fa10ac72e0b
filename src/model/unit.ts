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
  /** Exit status of its last run; undefined if it has not run. */
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
