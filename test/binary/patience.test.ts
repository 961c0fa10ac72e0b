/** What one run has waited for in vain, the next one on the same boot does not wait for again: the real binary, twice. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { type AgentRun, runAgent } from "../support/agent.ts";
import { inRegion } from "../support/region.ts";

const UNKNOWN = "eipalloc-0000000000000000f";

describe.concurrent("after a run that has waited for an address that EC2 does not know", () => {
  test("the next one says so at once, and one with another cause waits", async () => {
    await inScene(async (run, runtime) => {
      // It says once for how long it waits, and that is half a minute.
      const first = await run("90s");
      expect(first.status, first.log.join("\n")).toBe(78);
      const waiting = first.log.filter((line) => line.includes("waiting up to"));
      expect(waiting).toEqual([expect.stringContaining("waiting up to 30.0 s") as string]);
      expect(first.result).toMatchObject({
        outcome: "failed",
        code: "InvalidAllocationID.NotFound",
        waitedOut: true,
      });

      const second = await run("90s");
      expect(second.status, second.log.join("\n")).toBe(78);
      expect(second.result).toMatchObject({ tries: 1, waitedOut: true });
      expect(second.log.join("\n")).not.toContain("waiting up to");

      const elsewhere = await run("8s", "eipalloc-0000000000000000e");
      expect(elsewhere.log.join("\n")).toContain("waiting up to");

      // The last word of another instance, whose image this one was made of, is none.
      await run("90s");
      const path = join(runtime, "result.json");
      const record = JSON.parse(readFileSync(path, "utf8")) as object;
      writeFileSync(path, JSON.stringify({ ...record, instanceId: "i-0000000000000000f" }));
      expect(triesOf(await run("8s"))).toBeGreaterThan(1);
    });
  }, 200_000);

  test("one that its deadline has cut off has not waited it out", async () => {
    await inScene(async (run) => {
      const first = await run("8s");
      expect(first.status).toBe(78);
      expect(first.result).not.toHaveProperty("waitedOut");
      expect(triesOf(await run("8s"))).toBeGreaterThan(1);
    });
  }, 60_000);

  test("under a lifecycle hook the next one waits again: it is the last chance of this instance", async () => {
    await inScene(async (run) => {
      await run("90s");
      const second = await run("8s", UNKNOWN, { EIP_HEAL_LIFECYCLE_HOOK: "web-launch" });
      expect(triesOf(second)).toBeGreaterThan(1);
    });
  }, 200_000);
});

// Whether it waits, not whether it says so: what the run before has told is not told again.
const triesOf = ({ result }: AgentRun): unknown => result?.["tries"];

async function inScene(
  play: (
    run: (
      deadline: string,
      allocationId?: string,
      environment?: Record<string, string>,
    ) => ReturnType<typeof runAgent>,
    runtime: string,
  ) => Promise<void>,
) {
  const world = aWorld();
  const me = world.instance({ role: "full" });
  await inRegion(world, async (region, runtime) => {
    await play(
      (deadline, allocationId = UNKNOWN, environment = {}) =>
        runAgent(region, me.instanceId, {
          runtime,
          environment: {
            EIP_HEAL_DEADLINE: deadline,
            EIP_HEAL_ALLOCATION_ID: allocationId,
            ...environment,
          },
        }),
      runtime,
    );
  });
}
