/**
 * What the end of a heal means for the launch hook that holds this instance back from service. Pure.
 */
import { EXIT, type ExitStatus, type Failure } from "./failure.ts";
import type { End, Facts, Report } from "./report.ts";

/** How a lifecycle action is completed: on into service, or terminate and replace the instance. */
export type HookResult = "CONTINUE" | "ABANDON";

/** What is to become of the hook. */
export type Conclusion =
  | { readonly do: "complete"; readonly result: HookResult }
  /** Nothing: if it holds this instance back, its own timeout and default result decide. */
  | { readonly do: "leave"; readonly because: string };

/** What has become of the hook. */
export type HookEnd = {
  /** Of the hook. */
  readonly name: string;
  /** Of the Auto Scaling group, if it came to be known. */
  readonly group?: string;
} & (
  | {
      readonly end: "completed";
      readonly result: HookResult;
      /** An answer was lost, and then there was nothing to be completed: any more, or had there never been? */
      readonly unsure?: true;
    }
  /** This instance did not wait under the hook: it has been in service before, or the hook has timed out. */
  | { readonly end: "not-waiting" }
  /** It was not for this run to complete it. */
  | { readonly end: "left"; readonly because: string }
  /** Somebody ended the run before it was completed. */
  | { readonly end: "stopped"; readonly result: HookResult; readonly because: string }
  /** A dry run: what a real one would do. */
  | { readonly end: "would"; readonly result: HookResult }
  | {
      readonly end: "failed";
      readonly result: HookResult;
      readonly failure: Failure;
      readonly status: ExitStatus;
    }
);

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
      // The next run, which systemd starts after this status, sees at its first look whether the address is here.
      return end.isPlaced === true && end.status === EXIT.TEMPFAIL
        ? {
            do: "leave",
            because: "EC2 has accepted the address here, and time ran out before that was sure",
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

/** The one line about the hook, and the exit status it asks for. */
export function reportHook(hook: HookEnd): Report {
  const name = `the launch hook ${hook.name}${hook.group === undefined ? "" : ` of ${hook.group}`}`;
  const { OK } = EXIT;
  switch (hook.end) {
    case "completed":
      return hook.unsure === true
        ? {
            level: "warn",
            status: OK,
            line: `completed ${name} with ${hook.result}, it seems: the answer was lost, and the instance does not wait under it now`,
          }
        : hook.result === "CONTINUE"
          ? { level: "info", status: OK, line: `completed ${name} with CONTINUE` }
          : {
              level: "warn",
              status: OK,
              line: `completed ${name} with ABANDON: Auto Scaling terminates this instance`,
            };
    case "not-waiting":
      return { level: "debug", status: OK, line: `this instance does not wait under ${name}` };
    case "left":
      return { level: "info", status: OK, line: `${name} is left as it is: ${hook.because}` };
    case "stopped": {
      const line = `${name} is not completed with ${hook.result}: ${hook.because}`;
      return { level: "warn", status: EXIT.TEMPFAIL, line };
    }
    case "would": {
      const line = `would complete ${name} with ${hook.result}; dry run, nothing was changed`;
      return { level: "info", status: OK, line };
    }
    case "failed": {
      const { failure, result, status } = hook;
      const line = `${failure.message}; ${name} is not completed with ${result}: once it times out, Auto Scaling does what is the hook's default`;
      return { level: "error", status, line };
    }
  }
}

/** The part about the hook of the record that `/run/eip-heal/result.json` holds. */
export function hookRecord(hook: HookEnd): Record<string, unknown> {
  return {
    name: hook.name,
    ...(hook.group !== undefined && { group: hook.group }),
    outcome: hook.end,
    ...("result" in hook && { result: hook.result }),
    ...(hook.end === "failed" && { failure: hook.failure.kind }),
    message: reportHook(hook).line,
  };
}

function isEnteringWarmPool(lifecycleState: string): boolean {
  return lifecycleState.startsWith("Warmed:") && lifecycleState !== "Warmed:Terminated";
}
