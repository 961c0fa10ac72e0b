/** An instance that waits under the lifecycle hook of its Auto Scaling group, and the real binary on it. */
import { HOOK_ROLE } from "../../sim/iam.ts";
import type { LifecycleAction } from "../../sim/model.ts";
import type { RegionOptions, RunningRegion } from "../../sim/server.ts";
import { aWorld, type BuiltInstance, type World } from "../../sim/world.ts";
import { type AgentOptions, type AgentRun, runAgent } from "../support/agent.ts";
import { inRegion } from "../support/region.ts";

export const HOOK = "web-launch";
export const GROUP = "web";
/** A hook is worth this long to the agent, whatever its deadline. */
export const GRACE_MS = 30_000;
export const PATIENCE_MS = GRACE_MS + 25_000;

export interface Scene {
  readonly run: AgentRun;
  readonly region: RunningRegion;
  readonly me: BuiltInstance;
  readonly allocationId: string;
  /** The wait of this instance under the hook. */
  readonly wait: LifecycleAction | undefined;
  /** Actions of the Auto Scaling API that were called, with their results or error codes, but for heartbeats. */
  readonly calls: readonly string[];
  /** The same of heartbeats: on a busy machine a heal may take long enough for one. */
  readonly heartbeats: readonly string[];
  /** What result.json says of the hook. */
  readonly hook: Record<string, unknown> | undefined;
}

export interface Setting extends Omit<AgentOptions, "stopWhen" | "runtime"> {
  /** Sent SIGTERM as soon as this is so. */
  readonly stopWhen?: (log: string, region: RunningRegion) => boolean;
  /** What else is in the world; the address is free. */
  readonly world?: (world: World, allocationId: string, me: BuiltInstance) => void;
  /** What happens between the beginning of the wait and the run; `runtime` is its /run/eip-heal. */
  readonly before?: (region: RunningRegion, me: BuiltInstance, runtime: string) => unknown;
  /** What happens while it runs. */
  readonly meanwhile?: (region: RunningRegion, me: BuiltInstance, allocationId: string) => unknown;
  readonly account?: string;
  readonly role?: "hook" | "full";
  readonly me?: Parameters<World["instance"]>[0];
  readonly hook?: { heartbeatTimeoutMs?: number; defaultResult?: "CONTINUE" | "ABANDON" };
  /** Does the instance wait? */
  readonly waits?: boolean;
  readonly options?: RegionOptions;
}

export async function play(setting: Setting = {}): Promise<Scene> {
  const world = aWorld({ ...(setting.account !== undefined && { account: setting.account }) });
  world.role("hook", HOOK_ROLE);
  world.group(GROUP, { name: HOOK, ...setting.hook });
  const { allocationId } = world.address();
  const me = world.instance({
    group: GROUP,
    role: setting.role ?? "hook",
    tags: { "allocation-id": allocationId },
    metadataTags: true,
    lifecycle: "InService",
    ...setting.me,
  });
  setting.world?.(world, allocationId, me);
  return inRegion(
    world,
    async (region, runtime) => {
      if (setting.waits !== false) region.region.waitUnderHook(me.instanceId, HOOK);
      await setting.before?.(region, me, runtime);
      const { stopWhen, ...options } = setting;
      const running = runAgent(region, me.instanceId, {
        ...options,
        runtime,
        ...(stopWhen && { stopWhen: (log) => stopWhen(log, region) }),
        environment: { EIP_HEAL_LIFECYCLE_HOOK: HOOK, ...setting.environment },
      });
      await setting.meanwhile?.(region, me, allocationId);
      const run = await running;
      region.region.elapse();
      const asked = region.calls
        .filter(({ service }) => service === "autoscaling")
        .map(
          ({ action, params, error, fault }) =>
            `${action} ${error ?? fault ?? params["LifecycleActionResult"] ?? "ok"}`,
        );
      const isHeartbeat = (call: string) => call.startsWith("RecordLifecycleActionHeartbeat");
      return {
        run,
        region,
        me,
        allocationId,
        wait: region.region.lifecycleActions()[0],
        calls: asked.filter((call) => !isHeartbeat(call)),
        heartbeats: asked.filter(isHeartbeat),
        hook: run.result?.["lifecycleHook"] as Record<string, unknown> | undefined,
      };
    },
    setting.options,
  );
}

export const CONTINUED = "CompleteLifecycleAction CONTINUE";
export const ABANDONED = "CompleteLifecycleAction ABANDON";
export const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
