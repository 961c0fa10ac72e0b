/**
 * The story of a checkup: everything that has to be true for a heal to work, looked at without changing
 * anything. What a heal would do is not guessed: the same functions decide. The checks are in checks/.
 */
import {
  type Check,
  type CheckId,
  type CheckResults,
  CHECKS,
  summarize,
  type Verdict,
} from "./catalog.ts";
import { deadlineSignal } from "../run/retrying.ts";
import { checkAddress } from "./checks/address.ts";
import { checkConnection } from "./checks/connection.ts";
import { checkContext } from "./context.ts";
import { checkInstance } from "./checks/instance.ts";
import { checkPermissions } from "./checks/permissions.ts";
import { checkProgram } from "./checks/program.ts";
import { runChecks } from "./runner.ts";
import type { DoctorPorts } from "./ports.ts";

/** Milliseconds that all checks together may take. */
const LIMIT_MS = 12_000;

export interface Checkup {
  readonly checks: readonly Check[];
  readonly verdict: Verdict;
}

/**
 * Makes all checks.
 *
 * @param tell is given each check in order as soon as it can be told, or undefined, with those that are still open
 * @param stop aborted when somebody wants it to end
 * @throws whatever is a bug
 */
export async function doctor(
  ports: DoctorPorts,
  report: (check: Check | undefined, open: readonly CheckId[]) => void,
  stop: AbortSignal,
): Promise<Checkup> {
  const limit = deadlineSignal(ports.clock, LIMIT_MS, stop);
  try {
    const order = CHECKS.map(([id]) => id);
    const enquiry = checkContext(ports, limit.signal);
    const checkFunctions = {
      ...checkProgram(enquiry),
      ...checkInstance(enquiry),
      ...checkConnection(enquiry),
      ...checkPermissions(enquiry),
      ...checkAddress(enquiry),
    };
    const checks = await runChecks<CheckResults>(order, checkFunctions, limit.signal, report);
    return { checks, verdict: summarize(checks) };
  } finally {
    limit.release();
  }
}
