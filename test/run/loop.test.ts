/** What the loop makes of the reconciler's effects: requests, steps, and what is counted and remembered when. */
import { describe, expect, test } from "vitest";
import type { AddressState, ElasticIp, Observation } from "../../src/model/address.ts";
import { Failure } from "../../src/model/failure.ts";
import { FRESH_MS } from "../../src/reconcile/bounds.ts";
import { type Goal, type Memory, NOTHING_DONE } from "../../src/reconcile/state.ts";
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
  PUBLIC_IP,
  TARGET,
} from "../reconcile/fixtures.ts";

interface Script {
  /** What EC2 shows, one observation after the other. */
  readonly shown: readonly (AddressState | Observation | Failure)[];
  /** Milliseconds that the machine is suspended while it waits for each of these answers. */
  readonly suspensions?: readonly number[];
  readonly goal?: Partial<Goal>;
  /** What an earlier run on this boot has recorded. */
  readonly sent?: SentWrite;
  /** What another run beside this one records while the association is under way. */
  readonly meanwhile?: SentWrite;
  /** The Elastic IP at the target. */
  readonly elasticIp?: ElasticIp;
  /** What comes of the association, if it is not accepted. */
  readonly refusal?: Failure;
  readonly moves?: Moves;
  /** Is the address given up, given what was recorded of the last write? */
  readonly isGivenUp?: (sent: SentWrite | undefined) => boolean;
  /** Nothing that is recorded of writes can be read. */
  readonly isForgetful?: boolean;
  readonly stop?: AbortController;
  /** Why this instance is about to be interrupted, given how often that has been asked, or why that is not known. */
  readonly interrupted?: string | Failure | ((asked: number) => string | undefined);
  /** How long it takes to find that out, in milliseconds. */
  readonly noticeMs?: number;
}

/** Runs the loop on a clock that jumps over every sleep. */
async function play(script: Script) {
  const { shown, goal, refusal, moves, isGivenUp, sent, meanwhile, elasticIp } = script;
  const { stop = new AbortController(), suspensions = [], interrupted, noticeMs = 0 } = script;
  const log: string[] = [];
  const memories: Memory[] = [];
  /** What is being done, by the time of each sleep. */
  const steps: string[] = [];
  const left = [...shown];
  let now = 0;
  let suspendedMs = 0;
  const ec2: Ec2 = {
    tags: () => Promise.reject(new Error("not asked")),
    observe: () => {
      log.push("observe");
      suspendedMs += suspensions[shown.length - left.length] ?? 0;
      const next = left.shift();
      if (next === undefined) throw new Error("nothing is left to be shown");
      if (next instanceof Failure) return Promise.reject(next);
      return Promise.resolve("addresses" in next ? next : observation(next));
    },
    elasticIpAt: ({ publicIp }) => {
      log.push(`elasticIpAt ${publicIp}`);
      return Promise.resolve(elasticIp);
    },
    associate: (allocationId, target, reassociate) => {
      log.push(`associate ${allocationId} ${target.interfaceId} ${reassociate}`);
      if (meanwhile !== undefined) writes.push(meanwhile);
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
        suspended: () => suspendedMs,
        date: () => new Date(LAUNCHED),
        random: () => 0.5,
        sleep: (ms: number, signal: AbortSignal) => {
          log.push(`sleep ${ms}`);
          steps.push(context.step);
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
  const writes: (SentWrite | undefined)[] = [sent];
  const lastWrite = {
    read: () => (script.isForgetful === true ? undefined : writes.at(-1)),
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
    whyInterrupted: () => {
      log.push("ask");
      now += noticeMs;
      if (interrupted instanceof Failure) return Promise.reject(interrupted);
      const asked = log.filter((what) => what === "ask").length;
      return Promise.resolve(typeof interrupted === "function" ? interrupted(asked) : interrupted);
    },
  };
  const end = reconcile({ ...A_GOAL, ...goal }, NOTHING_DONE, context, connection, keeper);
  return {
    end: await end.catch((error: unknown) => error as Error),
    log: log.filter((what) => what !== "due"),
    isDeferred: log.findLast((what) => what === "due" || what === "defer") === "defer",
    steps,
    memories,
    writes,
    withdrawn,
    requests,
    context,
  };
}

const COUNTED = () => {
  const log: string[] = [];
  const begin = () => {
    log.push("begin");
    return undefined;
  };
  return { log, begin, refused: () => void log.push("refused") };
};

describe("the loop", () => {
  test("reads back over another connection, and never that of the write", async () => {
    const { end, log } = await play({ shown: [address(NOBODY), address(HERE), address(HERE)] });
    expect(end).toMatchObject({ end: "settled", change: "associated" });
    expect(log).toEqual([
      "observe",
      "ask",
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

  test("looks again when the machine was suspended after a look; what others read stays on the clock of this boot", async () => {
    const OLDER = address(other("running", -60));
    const { end, log, requests, writes } = await play({
      shown: [OLDER, OLDER, address(HERE), address(HERE)],
      suspensions: [3_600_000],
    });
    expect(end).toMatchObject({ end: "settled", change: "taken" });
    expect(log.slice(0, 5)).toEqual([
      "observe",
      "observe",
      "ask",
      "withdraw",
      `associate ${ALLOCATION} ${TARGET.interfaceId} true`,
    ]);
    expect(requests).toEqual([0, 0, 0, 0, 6_000]);
    expect(writes.at(-1)).toEqual({ at: 0, wroteThisBoot: true });
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

  test("a move that is not to be made is not made, and only the address is remembered of it", async () => {
    const moves = { begin: () => "moved too often", refused: () => {} };
    const { end, log, memories } = await play({ shown: [address(NOBODY)], moves });
    expect(end).toEqual({ end: "idle", because: "moved too often", why: "resting" });
    expect(log).toEqual(["observe", "ask", "withdraw"]);
    const { decidedOn, ...rest } = memories.at(-1) ?? {};
    expect(decidedOn).toEqual({ allocationId: ALLOCATION, publicIp: PUBLIC_IP });
    expect(rest).toEqual(memories[0]);
  });

  test("others believe on in an address that is here and is not to be associated anew", async () => {
    const moves = { begin: () => "moved too often", refused: () => {} };
    const { end, withdrawn } = await play({
      shown: [address(HERE)],
      goal: { force: true },
      moves,
    });
    expect(end).toMatchObject({ end: "idle", why: "resting" });
    expect(withdrawn).toEqual([]);
  });

  test("a move is not counted if the run is stopped before it is sent", async () => {
    const stop = new AbortController();
    const moves = COUNTED();
    const interrupted = () => {
      stop.abort(new Error("stopped"));
      return undefined;
    };
    const { end, log } = await play({ shown: [address(NOBODY)], moves, stop, interrupted });
    expect((end as Error).message).toBe("stopped");
    expect(log).toEqual(["observe", "ask"]);
    expect(moves.log).toEqual([]);
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

  test("goes without the record of writes where it cannot be read", async () => {
    const free = { shown: [address(NOBODY), address(HERE), address(HERE)], isForgetful: true };
    expect((await play(free)).end).toMatchObject({ end: "settled" });
    const refusal = new Failure("denied", { why: "not allowed" });
    expect((await play({ ...free, refusal })).end).toMatchObject({ kind: "denied" });
  });

  test("an address that is given up is not associated, and that is looked at once the write is recorded", async () => {
    const moves = COUNTED();
    const { end, log, writes } = await play({
      shown: [address(NOBODY)],
      moves,
      isGivenUp: (sent) => sent !== undefined,
    });
    expect((end as Error).message).toBe("given up");
    expect(log).toEqual(["observe", "ask"]);
    expect(writes).toEqual([undefined, { at: 0, wroteThisBoot: false }, undefined]);
    expect(moves.log).toEqual(["begin", "refused"]);
    const uncounted = await play({
      shown: [address(NOBODY)],
      isGivenUp: (sent) => sent !== undefined,
    });
    expect((uncounted.end as Error).message).toBe("given up");
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

  test("whoever interrupts a hold is told of it, and the deadline is due again", async () => {
    const { steps, isDeferred, end } = await play({ shown: [address(NOBODY), address(HERE)] });
    expect(steps).toEqual([expect.stringContaining("holding")]);
    // Nothing is left to be shown after the hold.
    expect(end).toBeInstanceOf(Error);
    expect(isDeferred).toBe(false);
  });

  test("a pause before a read back belongs to the write", async () => {
    const shown = [address(NOBODY), address(NOBODY), address(HERE), address(HERE)];
    const { log, steps } = await play({ shown });
    expect(log).toContain("sleep 250");
    expect(steps[0]).toBe(`looking at ${ALLOCATION}`);
  });

  test("a write that was refused does not undo what another run has recorded meanwhile", async () => {
    const refusal = new Failure("denied", { why: "no" });
    const meanwhile = { at: 5, wroteThisBoot: false };
    const { writes } = await play({ shown: [address(NOBODY)], refusal, meanwhile });
    expect(writes.at(-1)).toEqual(meanwhile);
  });

  test("a write that was refused does not undo that another run's write has been carried out meanwhile", async () => {
    const refusal = new Failure("denied", { why: "no" });
    const sent = { at: -1_000, wroteThisBoot: false };
    // The other run sent its write before ours, and had its answer after ours was sent.
    const meanwhile = { at: 0, wroteThisBoot: true };
    const refused = await play({ shown: [address(NOBODY)], refusal, sent, meanwhile });
    expect(refused.writes.at(-1)).toEqual({ at: -1_000, wroteThisBoot: true });
    const first = await play({ shown: [address(NOBODY)], refusal, meanwhile });
    expect(first.writes.at(-1)).toEqual(meanwhile);
  });

  test("a write after an earlier one is one of a boot that has written", async () => {
    const sent = { at: -60_000, wroteThisBoot: true };
    const shown = [address(NOBODY), address(HERE), address(HERE)];
    expect((await play({ shown, sent })).writes).toEqual([sent, { at: 0, wroteThisBoot: true }]);
  });

  test("nobody is told anything by a dry run", async () => {
    const shown = [address(other("running", 60))];
    const { end, withdrawn } = await play({ shown, goal: { dryRun: true } });
    expect(end).toMatchObject({ kind: "yielded" });
    expect(withdrawn).toEqual([]);
  });

  test("others believe on in an address that EC2 has not shown elsewhere", async () => {
    const refused = new Failure("denied", { why: "no" });
    expect((await play({ shown: [refused] })).withdrawn).toEqual([]);
    const held = new Failure("held", { why: "no" });
    expect((await play({ shown: [held] })).withdrawn).toEqual([]);
    // That it is refused here says nothing of where it is.
    const later = await play({ shown: [address(NOBODY)], refusal: refused });
    expect(later.withdrawn).toEqual([0]);
  });

  describe("what stands at the target", () => {
    const OTHER = "203.0.113.9";
    const elasticIp = { allocationId: "eipalloc-00000000000000003", publicIp: OTHER };
    const target = { ...TARGET, publicIp: OTHER };

    test("is looked at, where nothing may be displaced", async () => {
      const goal = { target, mayDisplace: false };
      const { end, log } = await play({ shown: [address(NOBODY)], goal, elasticIp });
      expect(end).toMatchObject({ kind: "misconfigured" });
      expect(log).toEqual(["observe", `elasticIpAt ${OTHER}`]);
    });

    test("is told in a warning once it is displaced", async () => {
      const here = { ...observation(address(HERE)), displaced: elasticIp };
      const { log } = await play({ shown: [address(NOBODY), here, here], goal: { target } });
      const warnings = log.filter((line) => line.startsWith("warn "));
      expect(warnings).toEqual([expect.stringContaining(elasticIp.allocationId)]);
    });
  });

  describe("a probe", () => {
    const ELSEWHERE = "203.0.113.9";
    const holder = { kind: "instance", instanceId: TARGET.instanceId } as const;
    const unplaced = address(holder, { elasticIpHere: ELSEWHERE });
    const goal = { target: { ...TARGET, publicIp: ELSEWHERE } };

    test("cannot move anything, so that nobody counts it or is told", async () => {
      const moves = COUNTED();
      const refusal = new Failure("denied", { why: "no" });
      const { log, withdrawn, writes } = await play({ shown: [unplaced], goal, moves, refusal });
      expect(log).toEqual(["observe", `associate ${ALLOCATION} ${TARGET.interfaceId} false`]);
      expect([moves.log, withdrawn]).toEqual([[], []]);
      expect(writes).toEqual([undefined, { at: 0, wroteThisBoot: false }, undefined]);
    });

    test("is not made of an address that is given up", async () => {
      const moves = COUNTED();
      const isGivenUp = (sent: SentWrite | undefined) => sent !== undefined;
      const { log, writes } = await play({ shown: [unplaced], goal, moves, isGivenUp });
      expect(log).toEqual(["observe"]);
      expect(moves.log).toEqual([]);
      expect(writes.at(-1)).toBeUndefined();
    });
  });

  test("an error that nobody foresaw is not a failure of EC2's", async () => {
    const { end } = await play({ shown: [] });
    expect(end).not.toBeInstanceOf(Failure);
    expect((end as Error).message).toBe("nothing is left to be shown");
  });
});

describe("an instance that may be about to be interrupted", () => {
  const interrupted = "this spot instance is about to stop";
  const IDLE = { end: "idle", because: interrupted, why: "not-in-service" };

  test.each([
    ["brings no free address here", address(NOBODY), {}],
    ["takes none", address(other("running", -60)), {}],
    [
      "waits for none",
      address(other("running", -60)),
      { takeover: "if-gone" } satisfies Partial<Goal>,
    ],
    ["says so in a dry run", address(NOBODY), { dryRun: true }],
  ])("%s", async (_, shown, goal) => {
    const moves = COUNTED();
    const { end, log, memories, writes } = await play({ shown: [shown], goal, interrupted, moves });
    expect(end).toEqual(IDLE);
    expect(log).toEqual(["observe", "ask"]);
    expect(moves.log).toEqual([]);
    // Nothing was sent, and nothing is remembered of it.
    expect(memories.every(({ mayBeHere, written }) => !mayBeHere && written === "no")).toBe(true);
    expect(writes).toEqual([undefined]);
  });

  test("is not asked about where the address is here, and anew before each write", async () => {
    const settled = await play({ shown: [address(HERE), address(HERE)], interrupted });
    expect(settled.end).toMatchObject({ end: "settled", change: "none" });
    expect(settled.log).not.toContain("ask");
    // It is moved back meanwhile, to an older instance.
    const back = address(other("running", -60));
    const shown = [address(NOBODY), address(HERE), back, address(HERE), address(HERE)];
    const { log } = await play({ shown });
    const sent = log.filter((what) => /^(ask|associate)/.test(what));
    expect(sent.map((what) => what.split(" ", 1)[0])).toEqual([
      "ask",
      "associate",
      "ask",
      "associate",
    ]);
    // The notice comes while the address is held.
    const stopped = await play({
      shown,
      interrupted: (asked) => (asked > 1 ? interrupted : undefined),
    });
    expect(stopped.end).toEqual(IDLE);
    expect(stopped.log.filter((what) => what.startsWith("associate"))).toHaveLength(1);
  });

  test.each([
    ["an instance that may keep it", address(other("running", -60)), { takeover: "if-gone" }, 1],
    ["an instance that it is taken from", address(other("running", -60)), {}, 1],
    ["nobody", address(NOBODY), {}, 1],
    ["this instance, where it is renewed", address(HERE), { force: true }, 0],
    ["nobody, in a dry run", address(NOBODY), { dryRun: true }, 0],
  ] as const)(
    "is asked in vain, and EC2 shows the address with %s: others are told so",
    async (_, shown, goal, times) => {
      const failure = new Failure("unreachable", { why: "no answer" });
      const { end, withdrawn } = await play({ shown: [shown], goal, interrupted: failure });
      expect(end).toBe(failure);
      expect(withdrawn).toHaveLength(times);
    },
  );

  test("looks again where the answer has taken so long that the look is too old to take on", async () => {
    const before = address(other("running", -60));
    const shown = [before, before, address(HERE), address(HERE)];
    const { end, log } = await play({ shown, noticeMs: FRESH_MS + 1 });
    expect(end).toMatchObject({ end: "settled", change: "taken" });
    expect(log.slice(0, 4)).toEqual(["observe", "ask", "observe", "withdraw"]);
    // The same later in the run.
    const back = [address(NOBODY), address(NOBODY), address(HERE), ...shown];
    const twice = await play({ shown: back, noticeMs: FRESH_MS + 1 });
    expect(twice.end).toMatchObject({ end: "settled" });
    const done = twice.log.map((what) => what.split(" ", 1)[0]);
    expect(done.filter((what) => what === "observe" || what === "associate").join(" ")).toBe(
      "observe observe associate observe observe observe associate observe observe",
    );
    const quick = await play({ shown: shown.slice(1), noticeMs: FRESH_MS });
    expect(quick.log.slice(0, 3)).toEqual(["observe", "ask", "withdraw"]);
  });
});
