/** What the loop makes of the reconciler's effects: requests, steps, and what is counted and remembered when. */
import { describe, expect, test } from "vitest";
import type { AddressState } from "../../src/model/address.ts";
import { Failure } from "../../src/model/failure.ts";
import { type Memory, NOTHING_DONE } from "../../src/reconcile/state.ts";
import { reconcile } from "../../src/run/loop.ts";
import type { Ec2, Moves, SentWrite } from "../../src/run/ports.ts";
import {
  A_GOAL,
  LAUNCHED,
  address,
  ALLOCATION,
  HERE,
  NOBODY,
  observation,
  other,
  TARGET,
} from "../reconcile/fixtures.ts";

interface Script {
  /** What EC2 shows, one observation after the other. */
  readonly shown: readonly AddressState[];
  /** What comes of the association, if it is not accepted. */
  readonly refusal?: Failure;
  readonly moves?: Moves;
  /** Is the address given up, given what was recorded of the last write? */
  readonly isGivenUp?: (sent: SentWrite | undefined) => boolean;
  readonly stop?: AbortController;
}

/** Runs the loop on a clock that jumps over every sleep. */
async function play({ shown, refusal, moves, isGivenUp, stop = new AbortController() }: Script) {
  const log: string[] = [];
  const memories: Memory[] = [];
  const left = [...shown];
  let now = 0;
  const ec2: Ec2 = {
    tags: () => Promise.reject(new Error("not asked")),
    observe: () => {
      log.push("observe");
      const next = left.shift();
      if (next === undefined) throw new Error("nothing is left to be shown");
      return Promise.resolve(observation(next));
    },
    elasticIpAt: () => Promise.resolve(undefined),
    associate: (allocationId, target, reassociate) => {
      log.push(`associate ${allocationId} ${target.interfaceId} ${reassociate}`);
      return refusal === undefined ? Promise.resolve() : Promise.reject(refusal);
    },
    release: () => Promise.reject(new Error("not asked")),
    close: () => {},
  };
  const context = {
    ports: {
      open: () => Promise.reject(new Error("not asked")),
      clock: {
        now: () => now,
        date: () => new Date(LAUNCHED),
        random: () => 0.5,
        sleep: (ms: number, signal: AbortSignal) => {
          log.push(`sleep ${ms}`);
          if (signal.aborted) return Promise.reject(signal.reason as Error);
          now += ms;
          return Promise.resolve();
        },
      },
      log: { warn: (line: string) => void log.push(`warn ${line}`), debug: () => {} },
    },
    signal: stop.signal,
    stop: stop.signal,
    deadline: 60_000,
    defer: (isDeferred: boolean) => void log.push(isDeferred ? "defer" : "due"),
    step: "starting",
  };
  const connection = {
    ec2,
    reconnect: () => {
      log.push("reconnect");
      return Promise.resolve();
    },
  };
  const writes: (SentWrite | undefined)[] = [undefined];
  const lastWrite = {
    read: () => writes.at(-1),
    record: (write: SentWrite | undefined) => void writes.push(write),
  };
  const remember = (memory: Memory) => void memories.push(memory);
  /** What others are told, and when that was found out. */
  const withdrawn: number[] = [];
  const requests: number[] = [];
  const givenUp = new Error("given up");
  const keeper = {
    moves,
    lastWrite,
    remember,
    onRequest: (at: number) => void requests.push(at),
    stopIfReleased: () => {
      if (isGivenUp?.(writes.at(-1)) === true) throw givenUp;
    },
    withdraw: (at: number) => {
      log.push("withdraw");
      withdrawn.push(at);
    },
  };
  const end = reconcile(A_GOAL, NOTHING_DONE, context, connection, keeper);
  return {
    end: await end.catch((error: unknown) => error as Error),
    log: log.filter((what) => what !== "due"),
    memories,
    writes,
    withdrawn,
    requests,
    context,
  };
}

const COUNTED = () => {
  const log: string[] = [];
  return { log, begin: () => void log.push("begin"), refused: () => void log.push("refused") };
};

describe("the loop", () => {
  test("reads back over another connection, and never that of the write", async () => {
    const { end, log } = await play({ shown: [address(NOBODY), address(HERE), address(HERE)] });
    expect(end).toMatchObject({ end: "settled", change: "associated" });
    expect(log).toEqual([
      "observe",
      "withdraw",
      `associate ${ALLOCATION} ${TARGET.interfaceId} false`,
      "reconnect",
      "observe",
      // Once the hold has begun, the deadline does not end it any more.
      "defer",
      "sleep 6000",
      "defer",
      "reconnect",
      "observe",
    ]);
  });

  test("says what it does, for whoever interrupts it", async () => {
    const { context, log } = await play({
      shown: [address(other("running", -60)), address(HERE), address(HERE)],
    });
    expect(log).toContain("sleep 6000");
    expect(context.step).toBe(`looking at ${ALLOCATION}`);
  });

  test("remembers before a write that the address may be here", async () => {
    const refusal = new Failure("denied", { why: "no" });
    const { memories } = await play({ shown: [address(NOBODY)], refusal });
    expect(memories.map(({ mayBeHere, written }) => [mayBeHere, written])).toEqual([
      [false, "no"],
      [true, "perhaps"],
      [false, "no"],
    ]);
  });

  test("fails with the failure of the step, named", async () => {
    const refusal = new Failure("denied", { why: "not allowed" });
    const { end } = await play({ shown: [address(NOBODY)], refusal });
    expect(end).toBeInstanceOf(Failure);
    expect((end as Failure).message).toMatch(
      /^not allowed \(associating eipalloc-\S+ \(203\.0\.113\.7\) with i-\S+\)$/,
    );
  });

  test("counts a move before the request, and takes back one that was refused", async () => {
    const accepted = COUNTED();
    await play({ shown: [address(NOBODY), address(HERE), address(HERE)], moves: accepted });
    expect(accepted.log).toEqual(["begin"]);
    const refused = COUNTED();
    await play({
      shown: [address(NOBODY)],
      moves: refused,
      refusal: new Failure("denied", { why: "no" }),
    });
    expect(refused.log).toEqual(["begin", "refused"]);
    const unanswered = COUNTED();
    const silence = new Failure("unreachable", { why: "no answer" });
    await play({
      shown: [address(NOBODY), address(HERE), address(HERE)],
      moves: unanswered,
      refusal: silence,
    });
    expect(unanswered.log).toEqual(["begin"]);
  });

  test("a move that is not to be made is not made, and nothing is remembered of it", async () => {
    const stop = new AbortController();
    const moves = { begin: () => stop.abort(new Error("moved too often")), refused: () => {} };
    const { end, log, memories } = await play({ shown: [address(NOBODY)], moves, stop });
    expect((end as Error).message).toBe("moved too often");
    expect(log).toEqual(["observe"]);
    expect(memories.map(({ mayBeHere }) => mayBeHere)).toEqual([false]);
  });

  test("records each write for the runs that come after it on this boot, but for one that was refused", async () => {
    const refusal = new Failure("denied", { why: "no" });
    const refused = await play({ shown: [address(NOBODY)], refusal });
    expect(refused.writes).toEqual([undefined, { at: 0, wroteThisBoot: false }, undefined]);
    const silence = new Failure("unreachable", { why: "no answer" });
    const shown = [address(NOBODY), address(HERE), address(HERE)];
    // And that EC2 shows what came of it.
    expect((await play({ shown, refusal: silence })).writes).toEqual([
      undefined,
      { at: 0, wroteThisBoot: false },
      { at: 0, wroteThisBoot: true },
    ]);
  });

  test("an address that is given up is not associated, and that is looked at once the write is recorded", async () => {
    const moves = COUNTED();
    const { end, log, writes } = await play({
      shown: [address(NOBODY)],
      moves,
      isGivenUp: (sent) => sent !== undefined,
    });
    expect((end as Error).message).toBe("given up");
    expect(log).toEqual(["observe"]);
    expect(writes).toEqual([undefined, { at: 0, wroteThisBoot: false }, undefined]);
    expect(moves.log).toEqual(["begin", "refused"]);
  });

  test("others are told no longer that it is here once EC2 has shown it with a newer instance", async () => {
    const { end, log, withdrawn } = await play({ shown: [address(other("running", 60))] });
    expect(end).toMatchObject({ kind: "yielded" });
    expect(log).toEqual(["observe", "withdraw"]);
    expect(withdrawn).toEqual([0]);
  });

  test("what it says rests on the last look, or on a write that no look has followed", async () => {
    const settled = await play({ shown: [address(NOBODY), address(HERE), address(HERE)] });
    // Asked, sent, read back, and asked once more after the hold.
    expect(settled.requests).toEqual([0, 0, 0, 6_000]);
    const refusal = new Failure("denied", { why: "no" });
    expect((await play({ shown: [address(NOBODY)], refusal })).requests).toEqual([0, 0]);
  });

  test("an error that nobody foresaw is not a failure of EC2's", async () => {
    const { end } = await play({ shown: [] });
    expect(end).not.toBeInstanceOf(Failure);
    expect((end as Error).message).toBe("nothing is left to be shown");
  });
});
