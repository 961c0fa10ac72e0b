/** The report of a run about several addresses. */
import { describe, expect, test } from "vitest";
import { EXIT, type ExitStatus, Failure, type Kind } from "../../src/model/failure.ts";
import type { Change, OfEntry, Outcome } from "../../src/model/outcome.ts";
import { together } from "../../src/model/each.ts";
import {
  isMove,
  lineOfEntry,
  report,
  resultRecord,
  resultVariables,
} from "../../src/report/report.ts";

const here = (index: number, change: Change = { change: "none" }): OfEntry => ({
  name: `eipalloc-${index}@${index}`,
  outcome: {
    end: "settled",
    ...change,
    tries: index,
    ms: index * 1_000,
    facts: {
      instanceId: "i-1",
      allocationId: `eipalloc-${index}`,
      publicIp: `203.0.113.${index}`,
      interfaceId: `eni-${index}`,
      privateIp: `10.0.0.${index}`,
    },
  },
});
const away = (name: string, status: ExitStatus, kind: Kind, why = "it is gone"): OfEntry => ({
  name,
  outcome: {
    end: "failed",
    failure: new Failure(kind, { why }),
    status,
    facts: {},
    tries: 1,
    ms: 0,
  },
});
const lineOf = (...each: OfEntry[]) => report(together(each)).line;

describe("several addresses", () => {
  test("all here: one line that names each", () => {
    expect(lineOf(here(1), here(2))).toBe(
      "2 of 2 addresses are here: eipalloc-1 (203.0.113.1), eipalloc-2 (203.0.113.2), 2 tries, 2.0 s",
    );
  });

  test("one away: its cause first, with its name, and how many are here", () => {
    expect(lineOf(here(1), away("eipalloc-2@2", EXIT.CONFIG, "misconfigured"), here(3))).toBe(
      "FAILED (78): eipalloc-2@2: it is gone; 2 of 3 addresses are here; gave up after 3 tries, 3.0 s; run: eip-heal doctor",
    );
    expect(lineOf(here(1), away("eipalloc-2@2", EXIT.TEMPFAIL, "unreachable", "no route"))).toMatch(
      /^FAILED \(75\): eipalloc-2@2: no route; 1 of 2/,
    );
    expect(lineOf(here(1), away("eipalloc-2@2", EXIT.UNAVAILABLE, "yielded", "i-2 has it"))).toBe(
      "yielded: eipalloc-2@2: i-2 has it; 1 of 2 addresses are here, 1 try, 1.0 s; run: eip-heal doctor",
    );
  });

  test("a list of one is told like the only address", () => {
    expect(lineOf(here(1))).toBe(
      "eipalloc-1 (203.0.113.1) is already associated with i-1 eni-1 10.0.0.1, 1 try, 1.0 s",
    );
  });

  test("a dry run says of each what it would do, which is no line of its own", () => {
    const would = (index: number): OfEntry => {
      const { name, outcome } = here(index);
      return { name, outcome: { ...outcome, end: "would", change: "associated" } as Outcome };
    };
    expect(lineOf(would(1), would(2))).toBe(
      "would associate eipalloc-1 (203.0.113.1) with i-1 eni-1 10.0.0.1; dry run, nothing was changed; would associate eipalloc-2 (203.0.113.2) with i-1 eni-2 10.0.0.2; dry run, nothing was changed",
    );
    expect(lineOfEntry(would(1), false)).toEqual({ level: "debug", text: lineOf(would(1)) });
  });

  test("stopped: why, and how many are here", () => {
    const outcome: Outcome = { end: "stopped", because: "SIGTERM", facts: {}, tries: 1, ms: 0 };
    expect(lineOf(here(1), { name: "eipalloc-2@2", outcome })).toMatch(
      /SIGTERM.*; 1 of 2 addresses are here$/,
    );
  });

  test.each([
    ["not-in-service", "nothing to do: it is so; 0 of 2 addresses are here"],
    ["resting", "eipalloc-1: it is so; 0 of 2 addresses are here"],
  ] as const)(
    "nothing to do (%s): named only if it may be another matter for each",
    (why, line) => {
      const idle = (name: string): OfEntry => ({
        name,
        outcome: { end: "idle", because: "it is so", why, facts: {}, tries: 1, ms: 0 },
      });
      expect(lineOf(idle("eipalloc-1"), idle("eipalloc-2"))).toBe(line);
    },
  );

  test("what only looks like the status of the run stays", () => {
    const why = "it said FAILED (12): no";
    expect(lineOfEntry(away("eipalloc-2@2", EXIT.TEMPFAIL, "not-yet", why), false).text).toMatch(
      /^eipalloc-2@2: it said FAILED \(12\): no; gave up/,
    );
  });

  test("the line of one is a warning if it is away, without what only the last line says", () => {
    expect(lineOfEntry(away("eipalloc-2@2", EXIT.CONFIG, "misconfigured"), false)).toEqual({
      level: "warn",
      text: "eipalloc-2@2: it is gone; gave up after 1 try, 0.0 s",
    });
    expect(lineOfEntry(away("eipalloc-2@2", EXIT.CONFIG, "misconfigured"), true).level).toBe(
      "debug",
    );
    expect(lineOfEntry(here(1), false)).toEqual({ level: "info", text: lineOf(here(1)) });
  });

  test("it is a move if one was moved", () => {
    expect(isMove(together([here(1), here(2)]))).toBe(false);
    expect(isMove(together([here(1), here(2, { change: "associated" })]))).toBe(true);
  });

  test("the record has the first as before, and each", () => {
    const outcome: Outcome = together([here(1), away("eipalloc-2@2", EXIT.NOPERM, "denied")]);
    expect(resultRecord(outcome, new Date(0))).toMatchObject({
      version: 2,
      outcome: "failed",
      failure: "denied",
      exitStatus: 77,
      instanceId: "i-1",
      publicIp: "203.0.113.1",
      addresses: [
        { wanted: "eipalloc-1@1", outcome: "settled", exitStatus: 0, publicIp: "203.0.113.1" },
        { wanted: "eipalloc-2@2", outcome: "failed", exitStatus: 77, failure: "denied" },
      ],
    });
  });

  test("the record of one has its place as far as it is known, and nothing else", () => {
    const [one, other] = resultRecord(
      together([here(1), away("eipalloc-2@2", EXIT.NOPERM, "denied")]),
      new Date(0),
    )["addresses"] as Record<string, unknown>[];
    expect(one).toMatchObject({
      allocationId: "eipalloc-1",
      interfaceId: "eni-1",
      privateIp: "10.0.0.1",
    });
    expect(Object.keys(other ?? {}).toSorted()).toEqual(
      [
        "wanted",
        "outcome",
        "failure",
        "cause",
        "exitStatus",
        "message",
        "tries",
        "durationMs",
      ].toSorted(),
    );
  });

  test("no list of what is not known of each", () => {
    const { name, outcome } = here(2);
    const { publicIp: _, ...facts } = outcome.facts;
    const variables = resultVariables(
      together([here(1), { name, outcome: { ...outcome, facts } }]),
    );
    expect(variables).toHaveProperty("EIP_HEAL_ALLOCATION_IDS", "eipalloc-1 eipalloc-2");
    expect(variables).not.toHaveProperty("EIP_HEAL_PUBLIC_IPS");
  });

  test("variables for other units: all of them, or nothing", () => {
    expect(resultVariables(together([here(1), here(2)]))).toEqual({
      EIP_HEAL_PUBLIC_IP: "203.0.113.1",
      EIP_HEAL_ALLOCATION_ID: "eipalloc-1",
      EIP_HEAL_INSTANCE_ID: "i-1",
      EIP_HEAL_INTERFACE_ID: "eni-1",
      EIP_HEAL_PRIVATE_IP: "10.0.0.1",
      EIP_HEAL_PUBLIC_IPS: "203.0.113.1 203.0.113.2",
      EIP_HEAL_ALLOCATION_IDS: "eipalloc-1 eipalloc-2",
      EIP_HEAL_INTERFACE_IDS: "eni-1 eni-2",
      EIP_HEAL_PRIVATE_IPS: "10.0.0.1 10.0.0.2",
    });
    expect(
      resultVariables(together([here(1), away("eipalloc-2@2", EXIT.NOPERM, "denied")])),
    ).toBeUndefined();
  });
});
