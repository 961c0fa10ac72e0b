/** Units of systemd: plain data. */

/** A unit, as `systemctl show` tells. */
export interface Unit {
  /** `enabled`, `disabled`, `masked` …; empty for a unit that is not there. */
  readonly enablement: string;
  readonly activity: string;
  /** `success`, `exit-code` … */
  readonly result: string;
  /** Exit status of its last run; undefined while there was none. */
  readonly exitStatus?: number;
  readonly needsReload: boolean;
  /** Names of the variables that it sets by itself, in a drop-in for example. Their values may be secrets. */
  readonly variables: readonly string[];
  /** For a timer: milliseconds until it elapses next. */
  readonly nextMs?: number;
}
