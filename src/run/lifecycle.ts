/**
 * The lifecycle hook, which keeps a new instance out of service until its lifecycle action is completed. During the heal
 * heartbeats keep it from timing out; after the heal it is completed according to the outcome.
 */
import { OWN_CODE, EXIT, Failure } from "../model/failure.ts";
import { GROUP_TAG } from "../model/instance.ts";
import { conclude } from "../reconcile/hook.ts";
import type { End, Facts, HookEnd, Outcome } from "../model/outcome.ts";
import type { AutoScaling, Ports } from "./ports.ts";
import { withStep, deadlineSignal, retry, type RetryContext } from "./retrying.ts";
import { openSession } from "./session.ts";

/**
 * Milliseconds between heartbeats. A hook's timeout is at least 30 s (HeartbeatTimeout, API reference, PutLifecycleHook),
 * and each heartbeat restarts it; reading the actual value would need another permission. One heartbeat may get lost.
 */
const HEARTBEAT_MS = 15_000;
/** Milliseconds until the first one: a heal that takes this long is waiting for something. The timeout started before the boot. */
const FIRST_HEARTBEAT_MS = 8_000;
/**
 * Auto Scaling may start the lifecycle action only after the instance has booted. Instance metadata shows the target
 * lifecycle state from then on; the user guide's sample waits for that before it completes a hook.
 */
const NOT_BEGUN = {
  why: "this instance does not wait under it, or not yet: instance metadata shows no target state",
  code: OWN_CODE.notBegun,
  permanentStatus: EXIT.OK,
} as const;
/** Milliseconds until the next heartbeat after one that may not have arrived. */
const NEXT_HEARTBEAT_MS = 2_000;

/** Completing the hook may take this many milliseconds even if the heal has used up its deadline. */
const GRACE_MS = 30_000;

/** The lifecycle hook to complete. */
export interface Hook {
  readonly name: string;
  /** Milliseconds that the whole run may take. */
  readonly deadlineMs: number;
  readonly dryRun: boolean;
}

/**
 * Runs a heal under a lifecycle hook: sends heartbeats meanwhile, and completes the hook afterwards.
 *
 * @param heal the run itself
 * @param report called with the outcome of the heal before the hook is completed
 * @param stop aborted when somebody wants the run to stop, with an Error that says who
 * @throws only bugs; the hook is then not completed
 */
export async function underHook(
  { name, deadlineMs, dryRun }: Hook,
  ports: Ports,
  heal: () => Promise<Outcome>,
  report: (outcome: Outcome) => void,
  stop: AbortSignal,
): Promise<Outcome> {
  const startedAt = ports.clock.now();
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, stop]);
  const heartbeats = dryRun ? undefined : keepAlive(name, ports, signal);
  try {
    const outcome = await heal();
    report(outcome);
    const left = startedAt + deadlineMs - ports.clock.now();
    const hook = { name, deadlineMs: left, dryRun };
    return { ...outcome, hook: await completeHook(hook, outcome, outcome.facts, ports, stop) };
  } finally {
    over.abort();
    await heartbeats;
  }
}

/**
 * Completes the hook according to how the heal ended, within the time left of `deadlineMs`, but at least GRACE_MS.
 *
 * @throws only bugs
 */
export async function completeHook(
  { name, deadlineMs, dryRun }: Hook,
  end: End & Pick<Outcome, "each">,
  facts: Facts,
  ports: Ports,
  stop: AbortSignal,
): Promise<HookEnd> {
  const conclusion = conclude(end, facts);
  if (conclusion.do === "leave") return { name, end: "left", because: conclusion.because };
  const { result } = conclusion;
  if (dryRun) return { name, end: "would", result };

  const patience = Math.max(deadlineMs, GRACE_MS);
  const deadline = ports.clock.now() + patience;
  const limit = deadlineSignal(ports.clock, patience, stop);
  const { signal, defer } = limit;
  const context: RetryContext = { ports, signal, stop, deadline, defer, step: "starting" };
  const step = `completing the lifecycle hook ${name} with ${result}`;
  /** A request was left unanswered, and may have completed the hook. */
  let mayBeDone = false;
  try {
    const ended = await retry(context, () =>
      withGroup(context, async (autoScaling, group, hasBegun): Promise<HookEnd> => {
        if (group === undefined) return { name, end: "not-waiting" };
        try {
          const done = await withStep(context, step, () =>
            autoScaling.complete(group, name, result),
          );
          if (done) return { name, group, end: "completed", result };
          if (mayBeDone) return { name, group, end: "completed", result, unsure: true };
          if (hasBegun) return { name, group, end: "not-waiting" };
          throw new Failure("not-yet", NOT_BEGUN, step);
        } catch (error) {
          mayBeDone ||= error instanceof Failure && error.kind === "unreachable";
          throw error;
        }
      }),
    );
    if ("done" in ended) return ended.done;
    if ("failure" in ended && ended.failure.code === OWN_CODE.notBegun) {
      return { name, end: "not-waiting" };
    }
    if ("stopped" in ended) return { name, end: "stopped", result, because: ended.stopped };
    return { name, end: "failed", result, failure: ended.failure, status: ended.status };
  } finally {
    limit.release();
  }
}

/** Sends heartbeats until the signal is aborted or there is no pending lifecycle action. */
async function keepAlive(name: string, ports: Ports, signal: AbortSignal): Promise<void> {
  const { clock, log } = ports;
  const context = { ports, signal, step: "starting" };
  const step = `keeping the lifecycle hook ${name} from timing out`;
  let lastLogged: string | undefined;
  let wait = FIRST_HEARTBEAT_MS;
  try {
    for (;;) {
      await clock.sleep(wait, signal);
      wait = HEARTBEAT_MS;
      try {
        const alive = await withGroup(
          context,
          async (autoScaling, group, hasBegun) =>
            group !== undefined &&
            ((await withStep(context, step, () => autoScaling.heartbeat(group, name))) ||
              !hasBegun),
        );
        if (!alive) {
          log.debug(`this instance does not wait under the lifecycle hook ${name}`);
          return;
        }
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        log[error.message === lastLogged ? "debug" : "warn"](error.message);
        lastLogged = error.message;
        if (error.kind === "unreachable" || error.kind === "throttled") wait = NEXT_HEARTBEAT_MS;
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Runs `work` with Auto Scaling in a session of its own; `group` is undefined if this instance is in none. */
async function withGroup<T>(
  context: Pick<RetryContext, "ports" | "signal" | "step">,
  work: (autoScaling: AutoScaling, group: string | undefined, hasBegun: boolean) => Promise<T>,
): Promise<T> {
  const { ports } = context;
  const { session, self } = await openSession(context, ports, [GROUP_TAG]);
  const { instanceId, tag, lifecycleState } = self;
  const autoScaling = await session.autoScaling(self);
  try {
    const group =
      tag?.value ??
      (
        await withStep(context, `looking up the Auto Scaling group of ${instanceId}`, () =>
          autoScaling.member(),
        )
      )?.group;
    return await work(autoScaling, group, lifecycleState !== undefined);
  } finally {
    autoScaling.close();
  }
}
