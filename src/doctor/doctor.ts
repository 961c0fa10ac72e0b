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
import { nameEntry, type Placed } from "../model/several.ts";
import { runChecks } from "./runner.ts";
import type { DoctorPorts } from "./ports.ts";

/** Milliseconds for all checks together. */
const LIMIT_MS = 12_000;

/** The checks whose findings differ from one of several addresses to the next. */
const PER_ADDRESS: readonly CheckId[] = [
  "interface",
  "wanted",
  "associate",
  "address",
  "holder",
  "displaced",
];

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
    /** Runs all checks about one of several addresses; `several`: what the others are. */
    const checkOne = async (entry: number, tell: typeof report) => {
      let entries: readonly Placed[] = [];
      const context = checkContext(ports, limit.signal, entry);
      const address = checkAddress(context);
      const checkFunctions = {
        ...checkReachable(context),
        ...checkProgram(context),
        ...checkInstance(context),
        ...checkConnection(context),
        ...checkPermissions(context),
        ...address,
        async wanted(resultOf: Parameters<typeof address.wanted>[0]) {
          entries = (await context.several(resultOf))?.entries ?? [];
          return address.wanted(resultOf);
        },
      };
      const checks = await runChecks<CheckResults>(order, checkFunctions, limit.signal, tell);
      return { checks, entries };
    };
    const { checks, entries } = await checkOne(0, report);
    for (const [index, entry] of entries.entries()) {
      if (index === 0) continue;
      const tell: typeof report = (_, open) => report(undefined, open);
      const more = (await checkOne(index, tell)).checks
        .filter(({ id }) => PER_ADDRESS.includes(id))
        .map((check) => ({ ...check, found: `${nameEntry(entry)}: ${check.found}` }));
      for (const check of more) report(check, []);
      checks.push(...more);
    }
    return { checks, verdict: summarize(checks) };
  } finally {
    limit.release();
  }
}
