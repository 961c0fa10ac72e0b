/**
 * Runs all checks concurrently, each once. A check awaits the checks that it depends on by `resultOf`; if one of those has
 * failed, it is skipped and names that one.
 */
import type { Check, CheckId } from "./catalog.ts";
import { AWS_CODE, Failure } from "../model/failure.ts";
import { statusOf } from "../reconcile/retry.ts";

/** The result of a check function; `value` is for the checks that depend on it. */
export type Finding<T> =
  | (Pick<Check, "found" | "remedy" | "commands" | "idle" | "unseen"> & {
      readonly mark: "ok" | "warning";
      readonly value: T;
    })
  | (Required<Pick<Check, "found" | "status">> &
      Pick<Check, "remedy" | "commands"> & { readonly mark: "failed" });

/** The finding of a check that passed. */
export const ok = <T>(found: string, value: T): Finding<T> => ({ mark: "ok", found, value });

export type ResultOf<CheckResults> = <Id extends keyof CheckResults>(
  id: Id,
) => Promise<CheckResults[Id]>;

export type CheckFunctions<CheckResults> = {
  readonly [Id in keyof CheckResults]: (
    resultOf: ResultOf<CheckResults>,
  ) => Promise<Finding<CheckResults[Id]>>;
};

/** Thrown if a check cannot be made because others that it depends on have failed. */
export class Blocked extends Error {
  readonly by: readonly CheckId[];

  constructor(by: readonly CheckId[]) {
    super(`blocked by ${by.join(", ")}`);
    this.by = by;
  }
}

/**
 * Runs all checks.
 *
 * @param order in which they are reported
 * @param signal when it is aborted, checks that have not ended fail
 * @param report called with each check, in this order, once it and those before it are done, and with those still running
 * @throws only bugs
 */
export async function runChecks<CheckResults extends Record<CheckId, unknown>>(
  order: readonly CheckId[],
  checkFunctions: CheckFunctions<CheckResults>,
  signal: AbortSignal,
  report: (check: Check | undefined, open: readonly CheckId[]) => void,
): Promise<Check[]> {
  type Done = { readonly check: Check; readonly value?: CheckResults[keyof CheckResults] };
  const begun = new Map<keyof CheckResults, Promise<Done>>();
  const done = new Map<CheckId, Check>();

  const begin = (id: CheckId): Promise<Done> => {
    const known = begun.get(id);
    if (known !== undefined) return known;
    const fresh = make(id);
    begun.set(id, fresh);
    return fresh;
  };
  const resultOf: ResultOf<CheckResults> = async (id) => {
    const { check, value } = await begin(id as CheckId);
    if (check.mark === "failed" || check.mark === "skipped") {
      throw new Blocked(check.blockedBy ?? [check.id]);
    }
    return value as CheckResults[typeof id];
  };
  const make = async (id: CheckId): Promise<Done> => {
    try {
      const finding = await orAborted(checkFunctions[id](resultOf), signal);
      if (finding.mark === "failed") return { check: { id, ...finding } };
      const { value, ...rest } = finding;
      return { check: { id, ...rest }, value };
    } catch (error) {
      return { check: checkOf(id, error) };
    }
  };

  const checks: Check[] = [];
  const open = () => order.filter((id) => !done.has(id));
  report(undefined, open());
  await Promise.all(
    order.map(async (id) => {
      done.set(id, (await begin(id)).check);
      for (const next of order.slice(checks.length).map((one) => done.get(one))) {
        if (next === undefined) break;
        checks.push(next);
        report(next, open());
      }
      report(undefined, open());
    }),
  );
  return checks;
}

function checkOf(id: CheckId, error: unknown): Check {
  if (error instanceof Blocked) {
    return {
      id,
      mark: "skipped",
      found: `not checked, because of: ${error.by.join(", ")}`,
      blockedBy: error.by,
    };
  }
  if (!(error instanceof Failure)) throw error;
  return { id, ...failing(error) };
}

/** The finding of a check that failed. @param remedy, commands those of the check, if it knows better than the failure */
export function failing(
  failure: Failure,
  remedy: string | undefined = failure.details.remedy,
  commands: readonly string[] = [],
): Finding<never> {
  const { why } = failure.details;
  // The message of a denial names the request itself.
  const request = failure.code === AWS_CODE.unauthorized ? undefined : failure.details.request;
  return {
    mark: "failed",
    found: request === undefined ? why : `${request}: ${why}`,
    remedy: remedy ?? "look again: eip-heal doctor",
    ...(commands.length > 0 && { commands }),
    status: statusOf(failure),
  };
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const late = () => new Failure("unreachable", { why: "this took too long and was given up" });
  if (signal.aborted) throw late();
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(late());
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } catch (error) {
    // Work that was interrupted throws the signal's reason.
    if (signal.aborted && !(error instanceof Failure) && !(error instanceof Blocked)) throw late();
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
