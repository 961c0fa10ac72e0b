/** What a run tells: how loud, with which exit status, as a record for programs and as variables for other units. */
import { describe, expect, test } from "vitest";
import type { PreviousHolder } from "../../src/model/address.ts";
import { EXIT, type ExitStatus, Failure, type Kind, OWN_CODE } from "../../src/model/failure.ts";
import type { End, Facts, HookEnd, Outcome } from "../../src/model/outcome.ts";
import {
  isMove,
  report,
  reportHook,
  resultRecord,
  resultVariables,
} from "../../src/report/report.ts";
import { ALLOCATION, ME, mine, other, PUBLIC_IP, TARGET } from "../reconcile/fixtures.ts";

const { interfaceId, privateIp } = TARGET;
const FACTS: Facts = {
  instanceId: ME,
  region: "us-east-1",
  allocationId: ALLOCATION,
  publicIp: PUBLIC_IP,
  interfaceId,
  privateIp,
};
const OLDER = other("running", -60);
const outcome = (end: End, more: Partial<Outcome> = {}): Outcome =>
  ({ ...end, facts: FACTS, tries: 2, ms: 1_400, ...more }) as Outcome;
const taken = (from: PreviousHolder): End => ({ end: "settled", change: "taken", from });
const WHY = "it did not work";
const failed = (kind: Kind, status: ExitStatus, step?: string): End & { end: "failed" } => ({
  end: "failed",
  failure: new Failure(kind, { why: WHY }, step),
  status,
});

const ENDS: [name: string, end: End, level: string, status: ExitStatus, says: string[]][] = [
  ["it is here", { end: "settled", change: "none" }, "info", 0, [ALLOCATION, PUBLIC_IP, ME]],
  ["it came", { end: "settled", change: "associated" }, "info", 0, [PUBLIC_IP, interfaceId]],
  ["it was mapped again", { end: "settled", change: "renewed" }, "info", 0, [ALLOCATION]],
  ["it was taken", taken(OLDER), "info", 0, [`${OLDER.instanceId} (running)`, "2 tries, 1.4 s"]],
  [
    "it was taken from an interface",
    taken({ kind: "interface", interfaceId: "eni-9" }),
    "info",
    0,
    ["taken from eni-9 (available)"],
  ],
  [
    "it was moved within the instance",
    taken(mine("eni-2", "10.0.0.6")),
    "info",
    0,
    ["moved from eni-2 10.0.0.6"],
  ],
  [
    "it was moved from a place that EC2 did not show",
    taken({ kind: "instance", instanceId: ME }),
    "info",
    0,
    ["moved from another place"],
  ],
  ["it would stay", { end: "would", change: "none" }, "info", 0, [ALLOCATION, "nothing"]],
  ["it would come", { end: "would", change: "associated" }, "info", 0, [ALLOCATION, "dry run"]],
  [
    "it would be taken",
    { end: "would", change: "taken", from: OLDER },
    "info",
    0,
    [OLDER.instanceId, "dry run"],
  ],
  [
    "nothing to do",
    { end: "idle", because: "not in service", why: "not-in-service" },
    "info",
    0,
    ["nothing to do", "not in service"],
  ],
  [
    "too many moves",
    { end: "idle", because: "moved 5 times", why: "resting" },
    "warn",
    0,
    ["moved"],
  ],
  ["given up", { end: "released", name: ALLOCATION }, "info", 0, [`released ${ALLOCATION}`]],
  [
    "about to be given up",
    { end: "released", name: ALLOCATION, isUnderWay: true },
    "info",
    0,
    [`release ${ALLOCATION}`],
  ],
  [
    "stopped",
    { end: "stopped", because: "stopped by SIGTERM" },
    "warn",
    75,
    ["SIGTERM", "2 tries"],
  ],
  [
    "failed",
    failed("denied", 77, "looking"),
    "error",
    77,
    ["it did not work", "looking", "2 tries"],
  ],
  ["yielded", failed("yielded", 69), "warn", 69, ["it did not work", "2 tries"]],
];

describe("at the end of a run the journal has one line", () => {
  test.each(ENDS)("%s", (_, end, level, status, says) => {
    const told = report(outcome(end));
    expect(told).toMatchObject({ level, status });
    for (const word of says) expect(told.line).toContain(word);
    expect(told.line).not.toMatch(/undefined|\n/);
  });

  test("which differs by what was done, or would be", () => {
    const lines = ENDS.map(([, end]) => report(outcome(end)).line);
    expect(new Set(lines).size).toBe(lines.length);
  });

  test("with one try where it took one", () => {
    const end: End = { end: "settled", change: "none" };
    expect(report(outcome(end, { tries: 1 })).line).toMatch(/\b1 try\b/);
  });
});

test("the address was moved if a run has settled it by a change, and then only", () => {
  const moves = ENDS.filter(([, end]) => isMove(outcome(end))).map(([name]) => name);
  expect(moves).toEqual(
    ENDS.filter(([, end]) => end.end === "settled" && end.change !== "none").map(([name]) => name),
  );
  expect(moves).toHaveLength(6);
});

const HOOKS: [name: string, end: HookEnd, level: string, status: ExitStatus, says: string[]][] = [
  [
    "CONTINUE",
    { name: "h", group: "g", end: "completed", result: "CONTINUE" },
    "info",
    0,
    ["of g"],
  ],
  [
    "ABANDON",
    { name: "h", group: "g", end: "completed", result: "ABANDON" },
    "warn",
    0,
    ["ABANDON"],
  ],
  [
    "perhaps",
    { name: "h", group: "g", end: "completed", result: "CONTINUE", unsure: true },
    "warn",
    0,
    ["seems"],
  ],
  ["no wait", { name: "h", end: "not-waiting" }, "debug", 0, ["h"]],
  ["left", { name: "h", end: "left", because: "given up" }, "info", 0, ["given up"]],
  [
    "stopped",
    { name: "h", end: "stopped", result: "ABANDON", because: "stopped by SIGTERM" },
    "warn",
    75,
    ["ABANDON", "SIGTERM"],
  ],
  [
    "a dry run",
    { name: "h", end: "would", result: "CONTINUE" },
    "info",
    0,
    ["CONTINUE", "dry run"],
  ],
  [
    "failed",
    {
      name: "h",
      end: "failed",
      result: "CONTINUE",
      failure: new Failure("denied", { why: "not allowed" }),
      status: EXIT.NOPERM,
    },
    "error",
    77,
    ["not allowed", "CONTINUE"],
  ],
];

describe("the lifecycle hook has a line of its own", () => {
  test.each(HOOKS)("%s", (_, hook, level, status, says) => {
    const told = reportHook(hook);
    expect(told).toMatchObject({ level, status });
    for (const word of says) expect(told.line).toContain(word);
    expect(told.line).not.toContain("undefined");
  });

  test("and its failure is one of the run, whose line stays what it was", () => {
    const [, hook] = HOOKS.at(-1) as (typeof HOOKS)[0];
    const end: End = { end: "settled", change: "none" };
    expect(report(outcome(end, { hook }))).toStrictEqual({ ...report(outcome(end)), status: 77 });
    const denied = failed("misconfigured", 78);
    expect(report(outcome(denied, { hook }))).toEqual(report(outcome(denied)));
  });
});

describe("result.json", () => {
  const at = new Date(Date.UTC(2026, 10, 23));
  const record = (end: End, more?: Partial<Outcome>, by?: Parameters<typeof resultRecord>[2]) =>
    resultRecord(outcome(end, more), at, by);
  const EVERY = {
    version: 1,
    at: "2026-11-23T00:00:00.000Z",
    exitStatus: 0,
    message: expect.any(String) as string,
    tries: 2,
    durationMs: 1_400,
    ...FACTS,
  };

  test.each<[string, End, object]>([
    ["here", { end: "settled", change: "none" }, { outcome: "settled", change: "none" }],
    [
      "taken",
      taken(OLDER),
      {
        outcome: "settled",
        change: "taken",
        takenFrom: { instanceId: OLDER.instanceId, state: "running" },
      },
    ],
    [
      "taken from an interface",
      taken({ kind: "interface", interfaceId: "eni-9" }),
      {
        outcome: "settled",
        change: "taken",
        takenFrom: { interfaceId: "eni-9", state: "available" },
      },
    ],
    [
      "a dry run",
      { end: "would", change: "associated" },
      { outcome: "would", change: "associated" },
    ],
    [
      "nothing to do",
      { end: "idle", because: "no tag", why: "not-configured" },
      { outcome: "idle", idle: "not-configured" },
    ],
    ["released", { end: "released", name: ALLOCATION }, { outcome: "released" }],
    [
      "being released",
      { end: "released", name: ALLOCATION, isUnderWay: true },
      { outcome: "released", underWay: true },
    ],
    ["stopped", { end: "stopped", because: "SIGTERM" }, { outcome: "stopped", exitStatus: 75 }],
    [
      "failed",
      failed("denied", 77, "looking"),
      { outcome: "failed", exitStatus: 77, failure: "denied", step: "looking", cause: WHY },
    ],
    [
      "yielded",
      failed("yielded", 69),
      { outcome: "yielded", exitStatus: 69, failure: "yielded", cause: WHY },
    ],
    [
      "failed by a known cause, after its patience",
      {
        ...failed("not-yet", 78),
        failure: new Failure("not-yet", { why: "no tag", code: OWN_CODE.noTag }),
        isWaitedOut: true,
      },
      {
        outcome: "failed",
        exitStatus: 78,
        failure: "not-yet",
        cause: "no tag",
        code: "NoTag",
        waitedOut: true,
      },
    ],
  ])("has of a run that ended %s just these fields", (_, end, fields) => {
    expect(record(end)).toStrictEqual({ ...EVERY, ...fields });
  });

  test("has the line as its message, of bounded length", () => {
    const end: End = { end: "idle", because: "x".repeat(20_000), why: "not-configured" };
    expect(String(record(end)["message"]).length).toBeLessThan(8_100);
    const short: End = { end: "settled", change: "none" };
    expect(record(short)["message"]).toBe(report(outcome(short)).line);
  });

  test("has the unit, and when the console was told, if there are such", () => {
    const end: End = { end: "settled", change: "none" };
    expect(record(end, {}, { unit: "eip-heal.service", toldAt: "then" })).toStrictEqual({
      ...EVERY,
      outcome: "settled",
      change: "none",
      unit: "eip-heal.service",
      toldAt: "then",
    });
  });

  test("rests on when EC2 was asked last, else on when the run began, in whole milliseconds", () => {
    const end: End = { end: "stopped", because: "SIGTERM" };
    expect(record(end, { asOf: 12.6 }, { began: 5 })).toMatchObject({ asOf: 13 });
    expect(record(end, {}, { began: 5.2 })).toMatchObject({ asOf: 5 });
    expect(record(end)).not.toHaveProperty("asOf");
    expect(record(end, { ms: 1_400.6 })).toMatchObject({ durationMs: 1_401 });
  });

  test.each<[string, HookEnd, object]>([
    ["completed", HOOKS[0]?.[1] as HookEnd, { group: "g", result: "CONTINUE" }],
    ["not-waiting", HOOKS[3]?.[1] as HookEnd, {}],
    ["failed", HOOKS.at(-1)?.[1] as HookEnd, { result: "CONTINUE", failure: "denied" }],
  ])("has of a hook that was %s just these fields", (ended, hook, fields) => {
    const end: End = { end: "settled", change: "none" };
    expect(record(end, { hook })["lifecycleHook"]).toStrictEqual({
      name: "h",
      outcome: ended,
      message: reportHook(hook).line,
      ...fields,
    });
  });
});

describe("other units are told", () => {
  const settled: End = { end: "settled", change: "none" };

  test("the address and its place, while it is here", () => {
    expect(resultVariables(outcome(settled))).toStrictEqual({
      EIP_HEAL_PUBLIC_IP: PUBLIC_IP,
      EIP_HEAL_ALLOCATION_ID: ALLOCATION,
      EIP_HEAL_INSTANCE_ID: ME,
      EIP_HEAL_INTERFACE_ID: interfaceId,
      EIP_HEAL_PRIVATE_IP: privateIp,
    });
  });

  test("nothing of what was not found out", () => {
    const facts = { instanceId: ME, allocationId: ALLOCATION };
    expect(resultVariables(outcome(settled, { facts }))).toStrictEqual({
      EIP_HEAL_ALLOCATION_ID: ALLOCATION,
      EIP_HEAL_INSTANCE_ID: ME,
    });
  });

  test.each(ENDS.filter(([, { end }]) => end !== "settled"))("nothing where %s", (_, end) => {
    expect(resultVariables(outcome(end))).toBeUndefined();
  });
});
