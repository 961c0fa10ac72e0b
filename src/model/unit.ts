/** The state of a systemd unit, as `systemctl show` reports it. Plain data. */
export interface Unit {
  /** UnitFileState: `enabled`, `disabled`, `masked` …; empty for a unit that does not exist. */
  readonly enablement: string;
  /** ActiveState: `active`, `failed` … */
  readonly activity: string;
  /** `success`, `exit-code` … */
  readonly result: string;
  /** Exit status of its last run; undefined if it has not run. */
  readonly exitStatus?: number;
  readonly needsReload: boolean;
  /** Names of the variables set by Environment=, in a drop-in for example. Their values may be secrets. */
  readonly variables: readonly string[];
  /** For a timer: milliseconds until it next elapses. */
  readonly nextMs?: number;
}
