/** How the lifecycle hook is completed when a heal has ended. Pure. */
import { EXIT } from "../model/failure.ts";
import type { End, Facts, HookResult, OfEntry } from "../model/outcome.ts";

/** What to do about the hook. */
export type Conclusion =
  | { readonly do: "complete"; readonly result: HookResult }
  /** Nothing: if the lifecycle action is pending, its own timeout and default result apply. */
  | { readonly do: "leave"; readonly because: string };

/**
 * What to do about the hook when a heal has ended this way. CONTINUE if the address is here or this instance need
 * not have one, ABANDON if it will not get it.
 *
 * @param end with several addresses also what became of each, whose order does not matter
 */
export function conclude(
  { each = [], ...end }: End & { readonly each?: readonly OfEntry[] },
  facts: Facts,
): Conclusion {
  if (each.length === 0) return concludeOne(end, facts);
  // ABANDON terminates the instance, so it is not sent while it is unsure what became of one address.
  const all = each.map(({ outcome }) => concludeOne(outcome, facts));
  return (
    all.find((one) => one.do === "leave") ??
    all.find((one) => one.do === "complete" && one.result === "ABANDON") ?? {
      do: "complete",
      result: "CONTINUE",
    }
  );
}

function concludeOne(end: End, { lifecycleState = "" }: Facts): Conclusion {
  switch (end.end) {
    case "settled":
    case "would":
      return { do: "complete", result: "CONTINUE" };
    case "failed":
      // The retry timer starts the next run within a minute, and its first look shows whether the address is here.
      return end.isPlaced === true && end.status === EXIT.TEMPFAIL
        ? {
            do: "leave",
            because: "EC2 may have the address here, and time ran out before that was sure",
          }
        : { do: "complete", result: "ABANDON" };
    case "stopped":
      // Whoever stopped the run starts it again or shuts the machine down; it says nothing about the address.
      return { do: "leave", because: end.because };
    case "released":
      return { do: "leave", because: "the address was given up on purpose" };
    case "idle":
      // Lifecycle hooks for launching run when an instance enters a warm pool, and again when it goes from there into service. On the
      // way to Standby, Detached and Terminated there are none.
      return end.why === "not-configured" || isEnteringWarmPool(lifecycleState)
        ? { do: "complete", result: "CONTINUE" }
        : { do: "leave", because: end.because };
  }
}

function isEnteringWarmPool(lifecycleState: string): boolean {
  return lifecycleState.startsWith("Warmed:") && lifecycleState !== "Warmed:Terminated";
}
