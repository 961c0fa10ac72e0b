/** The lines of a hostile boot that need a network of their own: no route, black holes, no DNS, IPv6 only. */
import { execFile, spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { unless } from "../support/skipping.ts";
import { ROWS } from "./cut-off-rows.ts";
import { expectShown } from "./showing.ts";
import { type Course, coursesOf, type Played, type Row } from "./stage.ts";

const TIMEOUT_MS = 120_000;

vi.setConfig({ maxConcurrency: 8 });

const NAMESPACE = ["--net", "--mount", "--map-root-user"];
const isPossible = spawnSync("unshare", [...NAMESPACE, "ip", "link"]).status === 0;
const refused = isPossible ? undefined : "no namespace of the network may be made here";

/** Plays a row in a new network, which has nothing but a loopback interface. */
async function playCutOff({ name }: Row, course: Course): Promise<Played> {
  const script = join(import.meta.dirname, "cut-off.ts");
  const command = 'ip link set lo up && exec "$@"';
  const stdout = await new Promise<string>((resolve, reject) => {
    execFile(
      "unshare",
      [...NAMESPACE, "sh", "-c", command, "sh", process.execPath, script, name, course],
      { maxBuffer: 64 * 1024 * 1024 },
      (error, out, err) =>
        error === null ? resolve(out) : reject(new Error(err || error.message)),
    );
  });
  return JSON.parse(stdout) as Played;
}

// Some machines for tests allow no namespaces; the boot tests then show what they can.
describe("cut off", unless(refused), () => {
  const cases = ROWS.flatMap((row) =>
    coursesOf(row).map((course) => [row.name, course, row] as const),
  );
  test.concurrent.each(cases)(
    "%s, %s",
    async (_, course, row) => {
      const played = await playCutOff(row, course);
      expectShown(row, course, played);
      expect(played.imdsRequests.length > 0 || played.run.status !== 0).toBe(true);
    },
    TIMEOUT_MS,
  );
});
