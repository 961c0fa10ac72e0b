/** A simulated region for a story that is played with the built binary, and nothing of it left afterwards. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RegionOptions, type RunningRegion, startRegion } from "../../sim/server.ts";
import type { World } from "../../sim/world.ts";

/**
 * Starts the region of a world, plays a story in it and closes it, however the story ends. Throws if the simulation itself
 * was at fault.
 *
 * @param story also gets an empty folder, for what outlives a run of the program, such as an instance's /run/eip-heal
 */
export function inRegion<T>(
  world: World,
  story: (region: RunningRegion, folder: string) => Promise<T>,
  options?: RegionOptions,
): Promise<T> {
  return inFolder(async (folder) => {
    const region = await startRegion(world, options);
    try {
      return await story(region, folder);
    } finally {
      await region.close();
      mustBeSound(region);
    }
  });
}

/** Does something with a new folder, which is removed afterwards. */
export async function inFolder<T>(story: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "eip-heal-"));
  try {
    return await story(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function mustBeSound({ bugs }: RunningRegion): void {
  if (bugs.length > 0) throw new Error(`the simulated region has bugs: ${bugs.join("; ")}`);
}
