/**
 * A hostile boot, line by line: what real instances meet in their first minutes, at the real binary, each for
 * a while, for good, with a newer instance that takes the address meanwhile, and with SIGTERM in the middle.
 */
import { describe, test, vi } from "vitest";
import { CREDENTIALS } from "./credential-rows.ts";
import { CODES, EC2, NO_WAY_OUT } from "./ec2-rows.ts";
import { IMDS } from "./metadata-rows.ts";
import { expectShown } from "./showing.ts";
import { coursesOf, play } from "./stage.ts";

const TIMEOUT_MS = 120_000;

// Each run sleeps and waits for most of its time: many at once cost little.
vi.setConfig({ maxConcurrency: 18 });

describe.each([
  ["instance metadata", IMDS],
  ["credentials", CREDENTIALS],
  ["EC2", EC2],
  ["EC2's error codes", CODES],
  ["no way out", NO_WAY_OUT],
])("%s", (_, rows) => {
  const cases = rows.flatMap((row) =>
    coursesOf(row).map((course) => [row.name, course, row] as const),
  );
  test.concurrent.each(cases)(
    "%s, %s",
    async (_, course, row) => expectShown(row, course, await play(row, course)),
    TIMEOUT_MS,
  );
});
