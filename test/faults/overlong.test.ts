/**
 * Answers that are far longer than they should be: the run says which limit they break, and neither time nor memory grows
 * with them. Without the limits a body of 300 MB took 5 GB.
 */
import { expect, test, vi } from "vitest";
import { CALLS, type OverlongCall, play, ROW } from "./overlong.ts";

const TIMEOUT_MS = 180_000;
/** Megabytes: a run without trouble has 66. A body of 50 MB has taken two thousand. */
const MOST_MB = 400;
/** A hook is worth so long to the agent, whatever the deadline. */
const GRACE_MS = 30_000;
/** For a machine that does many other things. */
const SLACK_MS = 15_000;

vi.setConfig({ maxConcurrency: 10 });

const ENDINGS = ["deadline", "SIGTERM"] as const;

test.concurrent.each(
  Object.entries(CALLS).flatMap(([name, call]) =>
    [1, 50, 300].flatMap((mb) => ENDINGS.map((ending) => [name, mb, ending, call] as const)),
  ),
)(
  "%s is answered with %d MB; %s",
  async (_, mb, ending, call) => {
    const { run, hits, peakMb, msAfter } = await play(call, mb * 1e6, ending);
    const log = run.log.join("\n");
    expect(hits, log).toBeGreaterThan(0);
    expect(run.signal).toBeNull();
    expect(ending === "SIGTERM" ? [75] : [75, 78], log).toContain(run.status);
    if (ending === "deadline") for (const words of call.told) expect(log).toContain(words);
    const grace = ending === "deadline" && call.waits ? GRACE_MS : 0;
    expect(msAfter).toBeLessThan(SLACK_MS + grace);
    expect(peakMb).toBeGreaterThan(20);
    expect(peakMb).toBeLessThan(MOST_MB);
  },
  TIMEOUT_MS,
);

/** What a run of 0.1.0 with a deadline of 4 s has come to, and what is to come of it now. */
const POOL = { rule: { service: "ec2", action: "DescribeAddresses" }, pool: 1 } as const;
const ADDRESS = CALLS["DescribeAddresses"] as OverlongCall;
const NOT_EC2 = "status 200 without an answer of EC2 in it";
const FOREIGN = [
  ["240 KB of document types: 4.2 s", 240_000, "<!DOCTYPE a>", ADDRESS, NOT_EC2],
  ["720 KB of document types: only kill -9 after 12 s", 720_000, "<!DOCTYPE a>", POOL, NOT_EC2],
  ["10 MB of entities", 10e6, "&amp;", POOL, NOT_EC2],
  ["10 MB of empty elements", 10e6, "<a/>", POOL, NOT_EC2],
  ["10 MB of text", 10e6, "x", POOL, NOT_EC2],
  [
    "50 MB of addresses",
    50e6,
    ROW,
    POOL,
    "longer than 10240 KB, which no answer of AWS to this is",
  ],
] as const;

test.concurrent.each(FOREIGN)(
  "%s",
  async (_, bytes, of, call, told) => {
    const { run, hits, peakMb, msAfter } = await play({ told: [], ...call }, bytes, "deadline", of);
    expect(hits).toBeGreaterThan(0);
    expect(run.status, run.log.join("\n")).toBe(75);
    expect(run.log.join("\n")).toContain(told);
    expect(msAfter).toBeLessThan(SLACK_MS);
    expect(peakMb).toBeLessThan(MOST_MB);
  },
  TIMEOUT_MS,
);

test(
  "3,400 network interfaces in instance metadata: 16.6 s past the deadline, 479 MB, 17,000 requests",
  async () => {
    const { run, peakMb, msAfter } = await play(
      // The list alone takes a busy machine seconds.
      { interfaces: 3_400, told: [], deadline: 15 },
      0,
      "deadline",
    );
    expect(run.status).toBe(75);
    expect(run.log.join("\n")).toContain(
      "instance metadata lists 3400 network interfaces, more than any instance has",
    );
    expect(msAfter).toBeLessThan(SLACK_MS);
    expect(peakMb).toBeLessThan(MOST_MB);
  },
  TIMEOUT_MS,
);

test(
  "a pool of 10,000 addresses heals",
  async () => {
    const { run, peakMb } = await play({ pool: 10_000, told: [], deadline: 60 }, 0, "deadline");
    expect(run.status, run.log.at(-1)).toBe(0);
    // 183 MB when this was written.
    expect(peakMb).toBeLessThan(MOST_MB);
  },
  TIMEOUT_MS,
);
