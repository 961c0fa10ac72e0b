/** What all checks of doctor come to: would a heal succeed, with which exit status, and where to begin. */
import { describe, expect, test } from "vitest";
import {
  type Check,
  CHECKS,
  doctorRecord,
  summarize,
  type Verdict,
} from "../../src/doctor/catalog.ts";
import { EXIT } from "../../src/model/failure.ts";

const ok = (id: Check["id"], more: Partial<Check> = {}): Check => ({
  id,
  mark: "ok",
  found: "in order",
  ...more,
});
const warning = (id: Check["id"], more: Partial<Check> = {}) =>
  ok(id, { mark: "warning", ...more });
const failed = (id: Check["id"], status?: Check["status"]) =>
  ok(id, { mark: "failed", remedy: "do this", ...(status !== undefined && { status }) });
const skipped = (id: Check["id"], ...blockedBy: Check["id"][]) =>
  ok(id, { mark: "skipped", blockedBy });

const ROWS: [name: string, checks: Check[], verdict: Omit<Verdict, "line">, says: RegExp][] = [
  ["all is well", [ok("settings"), ok("metadata")], { healthy: true, status: 0 }, /succeed$/],
  ["a warning", [warning("clock")], { healthy: true, status: 0 }, /succeed; 1 warning$/],
  [
    "warnings",
    [warning("clock"), ok("role"), warning("unit")],
    { healthy: true, status: 0 },
    /; 2 warnings$/,
  ],
  [
    "a failure, which is where to begin",
    [ok("settings"), failed("role", EXIT.NOPERM), skipped("ec2", "role")],
    { healthy: false, status: 77, first: "role" },
    /\b77 \(NOPERM\).*\brole$/,
  ],
  [
    "several: the first one explains the others",
    [warning("clock"), failed("wanted", EXIT.CONFIG), failed("associate", EXIT.NOPERM)],
    { healthy: false, status: 78, first: "wanted" },
    /\b78 \(CONFIG\).*\bdesired$/,
  ],
  [
    "one that no status of a heal follows from is a bug",
    [failed("versions")],
    { healthy: false, status: 70, first: "versions" },
    /\b70 \(SOFTWARE\)/,
  ],
  [
    "an instance that is not in service: nothing needs doing",
    [ok("in-service", { idle: true }), warning("clock")],
    { healthy: true, status: 0 },
    /nothing.*\(in-service\); 1 warning$/,
  ],
  [
    "the same with a failure, that will be one once it is in service",
    [ok("in-service", { idle: true }), failed("role", EXIT.NOPERM)],
    { healthy: false, status: 77, first: "role" },
    /in service.*\b77\b/,
  ],
  [
    "the same with what could not be checked because of it",
    [ok("in-service", { idle: true }), skipped("holder", "wanted")],
    { healthy: true, status: 0 },
    /\(in-service\)/,
  ],
  [
    "what was not checked, because of what turned out well in the end, is not known",
    [ok("wanted"), skipped("holder", "wanted")],
    { healthy: false, status: 75, first: "holder" },
    /\(holder\)/,
  ],
  [
    "what could not be looked at, is named",
    [warning("describe-addresses", { unseen: true }), ok("holder", { unseen: true })],
    { healthy: true, status: 0 },
    /\(describe-addresses\); 1 warning$/,
  ],
];

describe("a heal that is to be expected", () => {
  test.each(ROWS)("%s", (_, checks, verdict, says) => {
    const { line, ...rest } = summarize(checks);
    expect(rest).toEqual(verdict);
    expect(line).toMatch(says);
    expect(line).not.toContain("undefined");
  });
});

describe("doctor --json", () => {
  const at = new Date(Date.UTC(2026, 10, 23));

  test("has the verdict, and of each check what it has", () => {
    const checks = [
      ok("settings"),
      { ...failed("role", EXIT.NOPERM), commands: ["aws iam …"] },
      skipped("ec2", "role"),
    ];
    const { line } = summarize(checks);
    expect(doctorRecord(checks, at)).toEqual({
      version: 1,
      at: "2026-11-23T00:00:00.000Z",
      healthy: false,
      exitStatus: 77,
      message: line,
      first: "role",
      checks: [
        { id: "settings", mark: "ok", found: "in order" },
        {
          id: "role",
          mark: "failed",
          found: "in order",
          cure: "do this",
          commands: ["aws iam …"],
        },
        { id: "ec2", mark: "skipped", found: "in order", blockedBy: ["role"] },
      ],
    });
  });

  test("has nowhere to begin where all is well", () => {
    expect(doctorRecord([ok("settings")], at)).not.toHaveProperty("first");
  });
});

test("each check has a name of its own and a meaning", () => {
  const ids = CHECKS.map(([id]) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const [id, meaning] of CHECKS) expect(meaning, id).toMatch(/\w/);
});
