/** `eip-heal status`: a systemd that does not answer, and somebody who does not want to wait any longer. */
import { describe, expect, test } from "vitest";
import { status, waitForRuns } from "../../src/commands/status.ts";
import type { Unit } from "../../src/model/unit.ts";
import { HEAL_UNIT } from "../../src/reconcile/drift.ts";
import { ALLOCATION } from "../reconcile/fixtures.ts";
import { inTime, scripted, SIGTERM } from "../run/scripted.ts";
import { settingsOf } from "../support/settings.ts";

const IDLE: Unit = {
  enablement: "enabled",
  activity: "active",
  isQueued: false,
  result: "success",
  needsReload: false,
  variables: [],
  environmentFiles: [],
  dropIns: [],
};
const RUNNING: Unit = { ...IDLE, activity: "activating" };

describe("waiting for a heal", () => {
  /** @param answers what systemd says of the heal in successive looks, and then again and again */
  async function wait(answers: readonly (Unit | undefined)[], stopAt?: number, isThere = true) {
    const { time, ports, log: logged } = scripted();
    const { clock, log } = ports;
    const stop = new AbortController();
    if (stopAt !== undefined) void time.sleep(stopAt).then(() => stop.abort(SIGTERM));
    let looks = 0;
    const unit = (name: string) =>
      Promise.resolve(name === HEAL_UNIT ? answers[Math.min(looks++, answers.length - 1)] : IDLE);
    const told: string[] = [];
    const hasSystemd = () => Promise.resolve(isThere);
    const context = { unit, hasSystemd, clock, log, stop: stop.signal };
    const waitedFor = await inTime(
      time,
      waitForRuns(context, 600_000, (run) => told.push(run)),
    );
    return { looks, told, waitedFor, logged, ms: clock.now() };
  }

  test("goes on over looks that systemd does not answer", async () => {
    const { looks, told, logged } = await wait([
      undefined,
      RUNNING,
      undefined,
      undefined,
      RUNNING,
      IDLE,
    ]);
    expect([looks, told, logged]).toEqual([6, ["heal", "heal"], []]);
  });

  test("ends where systemd has hung, and says so", async () => {
    const { looks, logged } = await wait([undefined]);
    expect(looks).toBe(5);
    expect(logged).toEqual([
      "warn systemd does not answer, so whether a heal is under way is not known, and none is waited for",
    ]);
  });

  test("ends at once where there is no systemd, and says so", async () => {
    const { looks, ms, logged } = await wait([undefined], undefined, false);
    expect([looks, ms]).toEqual([1, 0]);
    expect(logged).toEqual([
      "warn there is no systemd here, so whether a heal is under way is not known, and none is waited for",
    ]);
  });

  test("ends when somebody stops it, who is told what was waited for", async () => {
    const { looks, waitedFor } = await wait([RUNNING], 2_500);
    expect([looks, waitedFor]).toEqual([3, "heal"]);
  });

  test("ends in time if the heal does not", async () => {
    expect(await wait([RUNNING])).toMatchObject({ looks: 600, waitedFor: undefined });
  });
});

test.each([
  ["somebody who stops it is named", true, "stopped by SIGTERM while waiting for the heal"],
  ["a request that is not answered took too long", false, "this took too long: reading"],
])("%s", async (_, isStopped, message) => {
  const { time, ports } = scripted({ takes: () => 60_000 });
  const machine = { unit: () => Promise.resolve(IDLE) };
  const lastRun = { known: false, because: "none since boot" } as const;
  const stop = isStopped ? AbortSignal.abort(SIGTERM) : new AbortController().signal;
  const settings = settingsOf({ EIP_HEAL_ALLOCATION_ID: ALLOCATION });
  const step = isStopped ? "waiting for the heal" : undefined;
  const work = status(settings, { ...ports, machine, lastRun }, stop, step);
  expect(await inTime(time, work)).toMatchObject({
    here: false,
    exitStatus: 75,
    message: expect.stringMatching(`^${message}`),
  });
});
