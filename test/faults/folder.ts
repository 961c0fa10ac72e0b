/** An instance with two addresses, and the folder in which its runs leave their result files. */
import { spawnSync } from "node:child_process";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { RunningRegion } from "../../sim/server.ts";
import { aWorld } from "../../sim/world.ts";
import { type AgentRun, runAgent } from "../support/agent.ts";
import { type Running, start } from "../support/process.ts";
import { inRegion } from "../support/region.ts";

export const TIMEOUT_MS = 240_000;

export interface Place {
  readonly region: RunningRegion;
  /** Of the settings and the result files. */
  readonly folder: string;
  readonly me: string;
  /** What the tag names, and another address. */
  readonly first: string;
  readonly second: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Runs the agent by its own, to its end. */
  readonly agent: (flags?: string[], more?: Readonly<Record<string, string>>) => Promise<AgentRun>;
  /** Starts it, so that it can be watched. */
  readonly begin: (flags?: string[], more?: Readonly<Record<string, string>>) => Running;
  /** From now on the tag names the second address. */
  readonly retag: () => void;
  readonly holder: (allocationId?: string) => string | undefined;
  readonly result: () => Record<string, unknown> | undefined;
  readonly env: () => string | undefined;
  readonly names: () => string[];
}

export async function inPlace(
  holds: "first" | "second" | "nothing",
  work: (place: Place) => Promise<void>,
) {
  const world = aWorld();
  world.role("releaser", { Statement: [{ Effect: "Allow", Action: "ec2:*", Resource: "*" }] });
  const first = world.address();
  const second = world.address();
  const tags = { "allocation-id": first.allocationId };
  const instance = world.instance({ tags, role: "releaser", metadataTags: true });
  const me = instance.instanceId;
  if (holds !== "nothing") world.hold(holds === "first" ? first : second, instance);
  await inRegion(world, async (region, folder) => {
    const environment = {
      AWS_EC2_METADATA_SERVICE_ENDPOINT: region.imdsUrl(me),
      AWS_ENDPOINT_URL_EC2: region.ec2Url,
      EIP_HEAL_DEADLINE: "60s",
    };
    const read = (name: string) => {
      const path = join(folder, name);
      return lstatSync(path, { throwIfNoEntry: false })?.isFile()
        ? readFileSync(path, "utf8")
        : undefined;
    };
    await work({
      region,
      folder,
      me,
      first: first.allocationId,
      second: second.allocationId,
      environment,
      agent: (flags = [], more = {}) =>
        runAgent(region, me, {
          flags,
          runtime: folder,
          environment: { ...environment, ...more },
        }),
      begin: (flags = [], more = {}) =>
        start({ ...environment, ...more }, folder, [...flags, "--log-level", "debug"]),
      retag: () => region.region.tag(me, { "allocation-id": second.allocationId }),
      holder: (allocationId = first.allocationId) => region.holder(allocationId)?.instanceId,
      result: () => {
        const text = read("result.json");
        return text === undefined ? undefined : (JSON.parse(text) as Record<string, unknown>);
      },
      env: () => read("env"),
      names: () => readdirSync(folder).filter((name) => name !== "eip-heal.conf"),
    });
  });
}

/** The address that other units are told; undefined if they are told none. */
export function addressIn({ env }: Place): string | undefined {
  const told = env();
  if (told === undefined) return undefined;
  return /^EIP_HEAL_ALLOCATION_ID=(\S+)$/m.exec(told)?.[1] ?? `none in ${JSON.stringify(told)}`;
}

/** Names under which something was written and not put in its place. */
export const litterOf = ({ names }: Place) => names().filter((name) => /\d$/.test(name));

const canMount = process.getuid?.() === 0 && spawnSync("unshare", ["--mount", "true"]).status === 0;
/** Why nothing can be mounted here. */
export const refused = canMount ? undefined : "nothing may be mounted here; root may";

/** Runs the rest of the command line in a mount namespace of its own, after and before what a shell does. */
export const mounted = (before: string, after = ""): string[] => [
  "/usr/bin/env",
  "unshare",
  "--mount",
  "sh",
  "-euc",
  `${before}\nset +e\n"$@"\nstatus=$?\nset -e\n${after}\nexit $status`,
  "sh",
];
