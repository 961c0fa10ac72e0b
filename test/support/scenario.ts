/** The one way to set a scene for the built binary: an instance of a simulated region that wants an address, and its settings. */
import { chmodSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AddressSpec, InstanceSpec } from "../../sim/build.ts";
import type { RegionOptions, RunningRegion } from "../../sim/server.ts";
import { aWorld, type BuiltInstance, type World } from "../../sim/world.ts";
import { type AgentRun, run } from "./agent.ts";
import { inRegion } from "./region.ts";

/** What a scene starts from, when it is not simply healthy. */
export interface Start {
  readonly instance?: InstanceSpec;
  readonly address?: AddressSpec;
  /** Auto Scaling groups, each with its lifecycle hook. */
  readonly groups?: Readonly<Record<string, string>>;
  /** Before the region starts; the address is free and the instance wants it by its tag. */
  readonly build?: (world: World, me: BuiltInstance, allocationId: string) => void;
  readonly region?: RegionOptions;
  readonly world?: Parameters<typeof aWorld>[0];
}

export interface Setting {
  readonly start?: Start;
  /** What is done to the scene before the story begins. */
  readonly breakIt?: (scene: Scene) => unknown;
}

/** Plays a story with one instance of a simulated region, healthy unless it is broken, and leaves nothing of it. */
export function scenario<T>(
  { start = {}, breakIt }: Setting,
  story: (scene: Scene) => Promise<T>,
): Promise<T> {
  const { instance, address, groups, build, region } = start;
  const world = aWorld(start.world);
  for (const [name, hook] of Object.entries(groups ?? {})) world.group(name, { name: hook });
  const { allocationId } = world.address(address);
  const me = world.instance({
    role: "full",
    metadataTags: true,
    autoPublicIp: true,
    ...instance,
    tags: { "allocation-id": allocationId, ...instance?.tags },
  });
  build?.(world, me, allocationId);
  let scene: Scene | undefined;
  const now = () => Date.now() + (scene?.offsetMs ?? 0);
  return inRegion(
    world,
    async (running, folder) => {
      scene = new Scene(running, folder, me, allocationId);
      breakIt?.(scene);
      return await story(scene);
    },
    { now, ...region },
  );
}

/** One instance of a simulated region with its settings. */
export class Scene {
  readonly region: RunningRegion;
  /** Its /run/eip-heal. */
  readonly runtime: string;
  readonly me: BuiltInstance;
  readonly allocationId: string;
  /** By how much the region's clock differs from this machine's, in milliseconds. */
  offsetMs = 0;
  readonly environment: Record<string, string> = {};
  /** Lines of the settings file; undefined: there is none. */
  conf: string[] | undefined = [];
  ec2Url: string;

  constructor(region: RunningRegion, runtime: string, me: BuiltInstance, allocationId: string) {
    this.region = region;
    this.runtime = runtime;
    this.me = me;
    this.allocationId = allocationId;
    this.ec2Url = region.ec2Url;
  }

  get confFile(): string {
    return join(this.runtime, "eip-heal.conf");
  }

  /** Gives this machine a systemd that knows these units, by what `systemctl show` prints of them. */
  systemd(units: Readonly<Record<string, Readonly<Record<string, string>>>>): void {
    const cases = Object.entries(units).map(
      ([name, properties]) =>
        `${name}) ${Object.entries(properties)
          .map(([key, value]) => `echo '${key}=${value}'`)
          .join("; ")} ;;`,
    );
    const file = join(this.runtime, "systemctl");
    // Moved into its place whole: it may be running.
    const fresh = `${file}.new`;
    writeFileSync(
      fresh,
      `#!/bin/sh\ncase $2 in\n${cases.join("\n")}\n*) echo LoadState=not-found ;;\nesac\n`,
    );
    chmodSync(fresh, 0o755);
    renameSync(fresh, file);
  }

  /** The variables that eip-heal has here, and its settings file. */
  prepare(): { environment: Record<string, string>; flags: string[] } {
    rmSync(this.confFile, { force: true });
    if (this.conf !== undefined)
      writeFileSync(this.confFile, this.conf.map((line) => `${line}\n`).join(""));
    return {
      flags: ["--config", this.confFile],
      environment: {
        AWS_EC2_METADATA_SERVICE_ENDPOINT: this.region.imdsUrl(this.me.instanceId),
        AWS_ENDPOINT_URL_EC2: this.ec2Url,
        AWS_ENDPOINT_URL_AUTO_SCALING: this.region.autoScalingUrl,
        // No systemctl of this machine has a say.
        PATH: this.runtime,
        ...this.environment,
      },
    };
  }

  /** Runs eip-heal here. */
  run(...more: string[]): Promise<AgentRun> {
    const { environment, flags } = this.prepare();
    return run(environment, { flags: [...flags, ...more], runtime: this.runtime });
  }
}
