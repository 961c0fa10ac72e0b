/** What the exit statuses mean. `--help`, the manual and docs/reference.md are generated from this table (make docs). */
import type { EXIT } from "./failure.ts";

export interface StatusRow {
  /** Half a line, for `--help` and docs/reference.md. */
  readonly meaning: string;
  /** Sentences for the manual. */
  readonly explanation: string;
}

export const STATUSES: Readonly<Record<keyof typeof EXIT, StatusRow>> = {
  OK: {
    meaning: "the address is here, or nothing needs doing",
    explanation:
      "The address is here, or nothing needed doing; and the lifecycle hook, if there is one, is completed.",
  },
  USAGE: { meaning: "bad command line", explanation: "The command line is wrong." },
  UNAVAILABLE: {
    meaning: "a newer instance holds the address",
    explanation: "A newer instance holds the address, which was left to it.",
  },
  SOFTWARE: { meaning: "a bug", explanation: "A bug. Please report it with the log." },
  TEMPFAIL: {
    meaning: "out of time, out of reach, or stopped",
    explanation:
      "Out of time: EC2 or instance metadata could not be reached, throttled, or another instance kept the address. Or somebody stopped the run, or standard output could not be written.",
  },
  NOPERM: {
    meaning: "a permission or the role is missing; the log names which",
    explanation: "A permission or the instance role is missing.",
  },
  CONFIG: {
    meaning: "a setting, the tag or the address has to be corrected",
    explanation:
      "A setting or a tag is missing or wrong, or the address cannot be associated with this instance at all.",
  },
};
