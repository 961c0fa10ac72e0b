/** What a run through a trouble has to show, by course, and what has to hold whatever goes wrong. */
import { expect } from "vitest";
import { type Course, deadlineOf, type Played, type Row } from "./stage.ts";

/** Milliseconds that a machine with other work to do may add to anything. */
export const NOISE_MS = 15_000;

export function expectShown(row: Row, course: Course, played: Played): void {
  expectSound(played);
  const { run, felt, msAfter, me, newer, holder, calls } = played;
  const log = run.log.join("\n");
  const last = run.log.at(-1);
  expect(felt, `the trouble was never felt\n${log}`).toBe(true);

  switch (course) {
    case "for a while":
      expect(run.status, log).toBe(0);
      expect(holder).toBe(me);
      if (row.isHarmless !== true && row.isSilentAtFirst !== true) {
        for (const words of row.told) expect(log).toContain(words);
      }
      // It heals within 2 s and one pacing step.
      expect(msAfter, log).toBeLessThan(2_000 + (row.stepMs ?? 10_000) + NOISE_MS);
      break;

    case "for good":
      expect(run.status, log).toBe(row.status);
      for (const words of row.told) expect(row.status === 0 ? log : last).toContain(words);
      expect(run.ms, log).toBeLessThan(deadlineOf(row, course) * 1_000 + NOISE_MS);
      break;

    case "newer":
      if (row.isHealedBefore === true && run.status === 0) break;
      // Whoever came later keeps it, and is not asked for it: "false" makes EC2 refuse to take it.
      expect(run.status, log).toBe(69);
      expect(holder, log).toBe(newer);
      expect(last).toContain(newer);
      if (row.holder !== "older") {
        for (const { action, params } of calls) {
          if (action === "AssociateAddress") expect(params["AllowReassociation"]).toBe("false");
        }
      }
      break;

    case "SIGTERM":
      if (row.isHealedBefore === true && run.status === 0) break;
      expect(run.status, log).toBe(75);
      expect(last).toMatch(/^stopped by SIGTERM while \S/);
      expect(msAfter, log).toBeLessThan(2_000 + NOISE_MS);
      break;
  }
}

function expectSound({ run, holder, me, imdsRequests, secrets }: Played): void {
  const log = run.log.join("\n");
  expect(run.signal, log).toBeNull();
  expect(run.status, log).not.toBe(70);

  // No success that EC2 does not show, and no variables for other units without it.
  if (run.status === 0) expect(holder, log).toBe(me);
  expect(run.files.env !== undefined, log).toBe(run.status === 0);
  expect(JSON.parse(run.files.result ?? "null")).toMatchObject({ exitStatus: run.status });

  // Never a request without a token.
  for (const { method, path, token } of imdsRequests) {
    if (method === "GET") expect(token, path).not.toBe("none");
    else expect(`${method} ${path}`).toBe("PUT /latest/api/token");
  }

  const everything = [log, run.stdout, run.files.result, run.files.env].join("\n");
  for (const secret of secrets) expect(everything).not.toContain(secret);
}
