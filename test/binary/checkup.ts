/** What doctor --json prints, and a run of it. */
import type { Scene } from "../support/scenario.ts";

export interface Check {
  readonly id: string;
  readonly mark: "ok" | "warning" | "failed" | "skipped";
  readonly found: string;
  readonly cure?: string;
  readonly commands?: readonly string[];
  readonly blockedBy?: readonly string[];
}

export interface Checkup {
  readonly version: number;
  readonly at: string;
  readonly healthy: boolean;
  readonly exitStatus: number;
  readonly message: string;
  readonly first?: string;
  readonly checks: readonly Check[];
}

/** Runs doctor on the instance of a scene. */
export async function doctor(scene: Scene): Promise<Checkup & { status: number | null }> {
  const { stdout, status, log } = await scene.run("doctor", "--json");
  try {
    return { ...(JSON.parse(stdout) as Checkup), status };
  } catch {
    throw new Error(`doctor printed ${stdout}\n${log.join("\n")}`);
  }
}
