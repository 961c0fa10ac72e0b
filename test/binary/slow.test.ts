/** EC2 as slow as it is in large accounts, and two instances that boot at once: the real binary. */
import { describe, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { SLOWNESS } from "../support/slowness.ts";
import { runAgent } from "../support/agent.ts";
import { inRegion } from "../support/region.ts";

const OLDER = Date.UTC(2026, 0, 1);

describe.concurrent("a take from an older instance, however long EC2 takes to answer", () => {
  describe.each(["full", "old"])("with the %s role", (role) => {
    test.each(SLOWNESS)("$name", { timeout: 180_000 }, async ({ latencyMs, mostCalls }) => {
      const world = aWorld({ settings: { latencyMs } });
      const { allocationId } = world.address();
      world.hold({ allocationId }, world.instance({ launchTime: OLDER }));
      const me = world.instance({ role, launchTime: OLDER + 60_000 });
      await inRegion(world, async (region) => {
        const run = await runAgent(region, me.instanceId, {
          environment: { EIP_HEAL_ALLOCATION_ID: allocationId },
        });
        expect(run.status, run.log.join("\n")).toBe(0);
        expect(region.holder(allocationId)?.instanceId).toBe(me.instanceId);
        const actions = region.calls.map(({ action }) => action);
        expect(actions.length, actions.join(" ")).toBeLessThanOrEqual(mostCalls);
        expect(actions.filter((action) => action === "AssociateAddress")).toHaveLength(1);
      });
    });
  });
});

describe("two instances that boot at once on a free address", () => {
  const pairs = Number(process.env["EIP_HEAL_TEST_PAIRS"] ?? 10);
  const AT_ONCE = 10;

  test(
    `${pairs} pairs: the newer one has it, and never do both say so`,
    { timeout: 60_000 + pairs * 5_000 },
    async () => {
      const race = async (pair: number) => {
        const world = aWorld({ settings: { latencyMs: { "*": 20 + ((pair * 37) % 330) } } });
        const { allocationId } = world.address();
        const older = world.instance({ role: "full", launchTime: OLDER });
        const newer = world.instance({ role: "full", launchTime: OLDER + 1_000 });
        await inRegion(world, async (region) => {
          const begin = async (instanceId: string, afterMs: number) => {
            await new Promise((done) => setTimeout(done, afterMs));
            return runAgent(region, instanceId, {
              environment: { EIP_HEAL_ALLOCATION_ID: allocationId },
            });
          };
          const [first, second] = await Promise.all([
            begin(older.instanceId, (pair * 53) % 700),
            begin(newer.instanceId, (pair * 91) % 700),
          ]);
          expect([first.status, second.status]).toEqual([69, 0]);
          expect(region.holder(allocationId)?.instanceId).toBe(newer.instanceId);
        });
      };
      for (let pair = 0; pair < pairs; pair += AT_ONCE) {
        const some = Math.min(AT_ONCE, pairs - pair);
        await Promise.all(Array.from({ length: some }, (_, n) => race(pair + n)));
      }
    },
  );
});
