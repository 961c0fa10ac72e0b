/**
 * Checks everything that has to be true for a heal to succeed, without changing anything. The same functions as in a heal
 * decide, so doctor does not have to guess. The checks are in checks/.
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
import { checkReachable } from "./checks/reachable.ts";
import { runChecks } from "./runner.ts";
import type { DoctorPorts } from "./ports.ts";

/** Milliseconds for all checks together. */
const LIMIT_MS = 12_000;

export interface Checkup {
  readonly checks: readonly Check[];
  readonly verdict: Verdict;
}

/**
 * Runs all checks.
 *
 * @param report called with each check, in order, as soon as possible, or with undefined; and with those still running
 * @param stop aborted when somebody wants it to stop
 * @throws only bugs
 */
export async function doctor(
  ports: DoctorPorts,
  report: (check: Check | undefined, open: readonly CheckId[]) => void,
  stop: AbortSignal,
): Promise<Checkup> {
  const limit = deadlineSignal(ports.clock, LIMIT_MS, stop);
  try {
    const order = CHECKS.map(([id]) => id);
    const context = checkContext(ports, limit.signal);
    const checkFunctions = {
      ...checkReachable(context),
      ...checkProgram(context),
      ...checkInstance(context),
      ...checkConnection(context),
      ...checkPermissions(context),
      ...checkAddress(context),
    };
    const checks = await runChecks<CheckResults>(order, checkFunctions, limit.signal, report);
    return { checks, verdict: summarize(checks) };
  } finally {
    limit.release();
  }
}
