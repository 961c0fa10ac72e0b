/**
 * An instance that waits under a lifecycle hook, on virtual time: it is let into service if and only if it has its
 * address. Where time runs out before that is certain, nobody decides: the next run does, or the hook's timeout. As
 * long as a run lasts the hook does not time out, however short its timeout is.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Outcome } from "../../src/model/outcome.ts";
import { HOOK_ROLE } from "../../sim/iam.ts";
import { Region } from "../../sim/region.ts";
import { aWorld } from "../../sim/world.ts";
import { runOnVirtualTime } from "./agent.ts";
import { trials } from "../support/properties.ts";
import { dice, VirtualTime } from "./time.ts";

const START = Date.UTC(2026, 10, 1);

const SECOND = 1_000;
/** From the end of the boot a hook lasts at least this long: a first heartbeat, or a second, has to arrive before. */
const LEFT_MS = 22 * SECOND;
/** The slowest way there, and back. */
const WAY_MS = 3 * SECOND;
/** Between two losses. */
const CALM_MS = 40 * SECOND;

const life = fc.record({
  /** AWS allows 30 s to 2 h. */
  heartbeatTimeoutMs: fc.oneof(
    fc.integer({ min: 30 * SECOND, max: 60 * SECOND }),
    fc.integer({ min: 30 * SECOND, max: 7_200 * SECOND }),
  ),
  defaultResult: fc.constantFrom("CONTINUE" as const, "ABANDON" as const),
  /** How much of the timeout the boot has used up. */
  boot: fc.double({ min: 0, max: 1, noNaN: true }),
  /** Nothing keeps a hook alive for longer than 100 timeouts, 50 min at the least. */
  deadline: fc.integer({ min: 10, max: 2_900 }),
  /** An older instance keeps the address for so long; undefined: for good. */
  freeAfter: fc.option(fc.integer({ min: 0, max: 4_000 * SECOND }), { nil: undefined, freq: 4 }),
  tagsInMetadata: fc.boolean(),
  /** One request or answer in so many is lost. */
  lossy: fc.integer({ min: 1, max: 20 }),
  seed: fc.integer(),
});

test.each(trials(300))(
  "the hook ends as the heal ends, and never by its timeout while the heal lasts (seed $seed)",
  async (trial) => {
    let heartbeats = 0;
    const ends = { CONTINUE: 0, ABANDON: 0, left: 0 };
    await fc.assert(
      fc.asyncProperty(life, async (given) => {
        const { heartbeatTimeoutMs, defaultResult } = given;
        const world = aWorld();
        world.role("hook", HOOK_ROLE);
        world.group("web", { name: "launch", heartbeatTimeoutMs, defaultResult });
        const { allocationId } = world.address();
        const older = world.instance();
        world.hold({ allocationId }, older);
        const me = world.instance({
          group: "web",
          role: "hook",
          metadataTags: given.tagsInMetadata,
          lifecycle: "InService",
        });
        const time = new VirtualTime(START);
        const region = new Region(world.data, time.now);
        const random = dice(given.seed);
        region.waitUnderHook(me.instanceId, "launch");

        let lastLoss = Number.NEGATIVE_INFINITY;
        const loss = () => {
          if (time.now() - lastLoss < CALM_MS || random() > 1 / given.lossy) return {};
          lastLoss = time.now();
          return { lose: random() < 0.5 ? ("request" as const) : ("answer" as const) };
        };

        let outcome: Outcome | undefined;
        void (async () => {
          await time.sleep(given.boot * (heartbeatTimeoutMs - LEFT_MS));
          outcome = await runOnVirtualTime({
            region,
            time,
            random,
            instanceId: me.instanceId,
            settings: {
              EIP_HEAL_ALLOCATION_ID: allocationId,
              EIP_HEAL_TAKEOVER: "if-gone",
              EIP_HEAL_DEADLINE: `${given.deadline}s`,
              EIP_HEAL_LIFECYCLE_HOOK: "launch",
            },
            passage: () => ({
              // Looking the group up is a second way there and back.
              thereMs: random() * (WAY_MS / (given.tagsInMetadata ? 1 : 3)),
              backMs: random() * (WAY_MS / (given.tagsInMetadata ? 1 : 3)),
              ...loss(),
            }),
            onApplied: (action) => {
              region.elapse();
              if (action === "RecordLifecycleActionHeartbeat") heartbeats++;
            },
          });
        })();
        if (given.freeAfter !== undefined) {
          void time.sleep(given.freeAfter).then(() => region.terminate(older.instanceId));
        }
        await time.run();

        const [action] = region.lifecycleActions();
        if (outcome?.end === "failed" && outcome.isPlaced === true) {
          // EC2 has accepted the address here, or not answered, and time ran out before it was shown for certain.
          expect(outcome.status).toBe(75);
          expect(outcome.hook).toMatchObject({ end: "left" });
          expect(action?.ended?.by).not.toBe("call");
          ends.left++;
          return;
        }
        const result = outcome?.end === "settled" ? "CONTINUE" : "ABANDON";
        expect(action?.ended).toMatchObject({ result, by: "call" });
        expect(outcome?.hook).toMatchObject({ end: "completed", result, group: "web" });
        ends[result]++;
      }),
      trial,
    );
    // Both have happened, and heartbeats were needed.
    expect(Math.min(ends.CONTINUE, ends.ABANDON)).toBeGreaterThan(trial.numRuns / 50);
    expect(heartbeats).toBeGreaterThan(trial.numRuns);
  },
);
