/**
 * What the end of a heal means for the launch hook that holds this instance back from service. Pure.
 */
import { EXIT } from "../model/failure.ts";
import type { End, Facts, HookResult } from "../model/outcome.ts";

/** What is to become of the hook. */
export type Conclusion =
  | { readonly do: "complete"; readonly result: HookResult }
  /** Nothing: if it holds this instance back, its own timeout and default result decide. */
  | { readonly do: "leave"; readonly because: string };

/**
 * What follows from the end of a heal. CONTINUE when the address is here, and when this instance rightly
 * does without it; ABANDON when it will not come.
 */
export function conclude(end: End, { lifecycleState = "" }: Facts): Conclusion {
  switch (end.end) {
    case "settled":
    case "would":
      return { do: "complete", result: "CONTINUE" };
    case "failed":
      // The next run, which the retry timer starts a minute later, sees at its first look whether the address is here.
      return end.isPlaced === true && end.status === EXIT.TEMPFAIL
        ? {
            do: "leave",
            because: "EC2 may have the address here, and time ran out before that was sure",
          }
        : { do: "complete", result: "ABANDON" };
    case "stopped":
      // Whoever has stopped it starts it again or shuts the machine down: nothing is known about the address.
      return { do: "leave", because: end.because };
    case "released":
      return { do: "leave", because: "the address was given up on purpose" };
    case "idle":
      // An instance enters a warm pool through its launch hooks, and again later the service. There are none
      // on the way to Standby, Detached and Terminated.
      return end.why === "not-configured" || isEnteringWarmPool(lifecycleState)
        ? { do: "complete", result: "CONTINUE" }
        : { do: "leave", because: end.because };
  }
}

function isEnteringWarmPool(lifecycleState: string): boolean {
  return lifecycleState.startsWith("Warmed:") && lifecycleState !== "Warmed:Terminated";
}
