/** Whether all is as the rule wants it once it is over, and nobody has claimed what is not so. */
import type { Result } from "./agent.ts";
import type { Scenario } from "./scenario.ts";

/** How it has ended. */
export interface Outcome {
  /** Who holds each address. */
  readonly held: readonly (string | undefined)[];
  /** From the oldest to the newest; one that waits for the holder to let go is still running. */
  readonly claimants: readonly { readonly name: string; readonly result: Result }[];
  /** Is the newest one of those that are not in service? */
  readonly isNewestOut: boolean;
}

/** Is there anybody to whom the rule does not give the address while its holder lives? */
export function mayWaitForEver({ holders, takeover = ["newest"] }: Scenario): boolean {
  return holders.includes("Z") || takeover.every((one) => one === "never" || one === "if-gone");
}

/** What is wrong, if anything is. */
export function wrongIn(scenario: Scenario, outcome: Outcome): string | undefined {
  const { pool, holders, considerate = 0 } = scenario;
  const { held, claimants, isNewestOut } = outcome;
  const [holder] = held;
  if (pool !== undefined) return wrongInPool(pool === "oldest", outcome);
  if (holders.includes("Z")) return holder === "Z" ? undefined : "the newest does not hold it";
  if (mayWaitForEver(scenario)) {
    return claimants.some(({ name, result }) => result === "settled" && name !== holder)
      ? "one has said success and does not hold it"
      : undefined;
  }
  const newest = claimants[claimants.length - 1 - considerate - Number(isNewestOut)];
  if (newest === undefined) {
    return claimants.some(({ result }) => result === "settled")
      ? "one holds it that may not displace what was there"
      : undefined;
  }
  if (holder === newest.name) {
    return newest.result === "settled" ? undefined : "the newest holds it and its run has failed";
  }
  return newest.result === "settled"
    ? "the newest has said success and does not hold it"
    : "the newest does not hold it";
}

function wrongInPool(isReplacing: boolean, { held, claimants }: Outcome): string | undefined {
  for (const [index, { name, result }] of claimants.entries()) {
    const count = held.filter((holder) => holder === name).length;
    if (count > 1) return `${name} holds ${count}`;
    if (result !== "settled" && count > 0) return `${name} holds one and has failed`;
    // A newer one may have taken it since.
    const mayBeRobbed = isReplacing && index < claimants.length - held.length;
    if (mayBeRobbed || count > 0) continue;
    if (result === "settled") return `${name} has said success and holds none`;
    if (isReplacing) return `${name} is among the newest and holds none`;
  }
  return undefined;
}
