/**
 * The story of a launch hook, which holds a new instance back from service until it is completed: while the
 * run lasts, the hook is kept from timing out; once the heal has ended, it is completed with what follows.
 */
import { EXIT, Failure } from "./core/failure.ts";
import { conclude, GROUP_TAG } from "./core/launch-hook.ts";
import type { End, Facts, HookEnd, Outcome } from "./core/outcome.ts";
import type { Settings } from "./core/settings.ts";
import { heal, type HealOptions } from "./heal.ts";
import type { AutoScaling, Ports } from "./ports.ts";
import { during, limitOf, persist, type Pursuit } from "./run.ts";

/**
 * Milliseconds between heartbeats: a hook times out after 30 s at the earliest (HeartbeatTimeout, API
 * reference, PutLifecycleHook), and every heartbeat begins that time anew. What it is for this hook only a
 * further permission would tell. So there is time for one that gets lost, and for its successor.
 */
const HEARTBEAT_MS = 15_000;
/** The first one: a heal that takes longer than this waits for something. The hook's time began before the boot. */
const FIRST_HEARTBEAT_MS = 5_000;
/**
 * Auto Scaling may begin the wait only after the machine has booted. Its first transition is what instance metadata
 * shows the target state from (the sample of the user guide waits for that before it completes a hook).
 */
const NOT_BEGUN = {
  why: "this instance does not wait under it, or not yet: instance metadata shows no target state",
  code: "NotBegun",
  meaning: EXIT.OK,
} as const;
/** After one that may not have arrived. */
const NEXT_HEARTBEAT_MS = 2_000;

/** A hook is worth this many milliseconds, even if the heal has used up its own time. */
const GRACE_MS = 30_000;

/**
 * Heals, and completes the hook.
 *
 * @param name of the hook
 * @param tell told how the heal itself has ended, before the hook is completed
 * @param stop aborted when somebody wants the run to end, with an Error that says who
 * @throws whatever is a bug: the hook is left as it is then
 */
export async function healUnderHook(
  name: string,
  settings: Settings,
  ports: Ports,
  options: HealOptions,
  tell: (outcome: Outcome) => void,
  stop: AbortSignal,
): Promise<Outcome> {
  const startedAt = ports.clock.now();
  const over = new AbortController();
  const heartbeats =
    options.dryRun === true
      ? undefined
      : keepAlive(name, ports, AbortSignal.any([over.signal, stop]));
  try {
    const outcome = await heal(settings, ports, options, stop);
    tell(outcome);
    const left = startedAt + settings.deadlineMs - ports.clock.now();
    const hook = await completeHook(name, outcome, outcome.facts, ports, left, options, stop);
    return { ...outcome, hook };
  } finally {
    over.abort();
    await heartbeats;
  }
}

/**
 * Completes the hook with what follows from the end of a heal.
 *
 * @param ms that it may take, if that is more than a moment
 * @throws whatever is a bug
 */
export async function completeHook(
  name: string,
  end: End,
  facts: Facts,
  ports: Ports,
  ms: number,
  { dryRun = false }: HealOptions,
  stop: AbortSignal,
): Promise<HookEnd> {
  const conclusion = conclude(end, facts);
  if (conclusion.do === "leave") return { name, end: "left", because: conclusion.because };
  const { result } = conclusion;
  if (dryRun) return { name, end: "would", result };

  const patience = Math.max(ms, GRACE_MS);
  const deadline = ports.clock.now() + patience;
  const limit = limitOf(ports.clock, patience, stop);
  const pursuit: Pursuit = { ports, signal: limit.signal, acted: "no", step: "starting" };
  const step = `completing the launch hook ${name} with ${result}`;
  /** An answer that is lost may have been one that said yes. */
  let mayBeDone = false;
  try {
    const ended = await persist(pursuit, deadline, stop, () =>
      withGroup(pursuit, async (autoScaling, group, hasBegun): Promise<HookEnd> => {
        if (group === undefined) return { name, end: "not-waiting" };
        try {
          const done = await during(pursuit, step, () => autoScaling.complete(group, name, result));
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
    if ("failure" in ended && ended.failure.code === NOT_BEGUN.code) {
      return { name, end: "not-waiting" };
    }
    if ("stopped" in ended) return { name, end: "stopped", result, because: ended.stopped };
    return { name, end: "failed", result, failure: ended.failure, status: ended.status };
  } finally {
    limit.release();
  }
}

/** Sends heartbeats until the signal is aborted, or there is nothing to keep alive. */
async function keepAlive(name: string, ports: Ports, signal: AbortSignal): Promise<void> {
  const { clock, log } = ports;
  const pursuit: Pursuit = { ports, signal, acted: "no", step: "starting" };
  const step = `keeping the launch hook ${name} from timing out`;
  let said: string | undefined;
  let wait = FIRST_HEARTBEAT_MS;
  try {
    for (;;) {
      await clock.sleep(wait, signal);
      wait = HEARTBEAT_MS;
      try {
        const alive = await withGroup(
          pursuit,
          async (autoScaling, group, hasBegun) =>
            group !== undefined &&
            ((await during(pursuit, step, () => autoScaling.heartbeat(group, name))) || !hasBegun),
        );
        if (!alive) {
          log.debug(`this instance does not wait under the launch hook ${name}`);
          return;
        }
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        log[error.message === said ? "debug" : "warn"](error.message);
        said = error.message;
        if (error.kind === "unreachable" || error.kind === "throttled") wait = NEXT_HEARTBEAT_MS;
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Does something with Auto Scaling, on a footing of its own; the group is undefined if this instance is in none. */
async function withGroup<T>(
  pursuit: Pursuit,
  work: (autoScaling: AutoScaling, group: string | undefined, hasBegun: boolean) => Promise<T>,
): Promise<T> {
  const { ports, signal } = pursuit;
  const footing = await during(pursuit, "reading instance metadata", () =>
    ports.stand([GROUP_TAG], signal),
  );
  const { instanceId, tag, lifecycleState } = footing.self;
  const autoScaling = await footing.autoScaling();
  try {
    const group =
      tag?.value ??
      (await during(pursuit, `looking up the Auto Scaling group of ${instanceId}`, () =>
        autoScaling.group(),
      ));
    return await work(autoScaling, group, lifecycleState !== undefined);
  } finally {
    autoScaling.close();
  }
}
