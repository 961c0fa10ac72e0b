/** The records of the last writes of this boot, of one address and of several. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lastWriteIn } from "../../src/system/results.ts";

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "eip-heal-"))));
afterEach(() => rmSync(folder, { recursive: true }));

const ONE = "eipalloc-1";
const OTHER = "203.0.113.1";

test("none, and then what was recorded", () => {
  const last = lastWriteIn(folder);
  expect(last.read()).toBeUndefined();
  last.record({ at: 5, wroteThisBoot: false });
  expect(last.read()).toEqual({ at: 5, wroteThisBoot: false });
  last.record(undefined);
  expect(last.read()).toBeUndefined();
});

test("each of several has its own, and begins with that of the only one", () => {
  lastWriteIn(folder).record({ at: 5, wroteThisBoot: true });
  expect(lastWriteIn(folder, ONE).read()).toEqual({ at: 5, wroteThisBoot: true });
  lastWriteIn(folder, ONE).record({ at: 7, wroteThisBoot: true });
  expect(lastWriteIn(folder, OTHER).read()).toEqual({ at: 5, wroteThisBoot: true });
});

test("what the only one has carried out is not counted for another one, but may have been sent for it", () => {
  lastWriteIn(folder).record({ at: 5, wroteThisBoot: true });
  const last = lastWriteIn(folder, OTHER, [], true);
  expect(last.read()).toEqual({ at: 5, wroteThisBoot: false });
  last.record({ at: 7, wroteThisBoot: true });
  expect(last.read()).toEqual({ at: 7, wroteThisBoot: true });
});

test("once that is recorded of the other one it counts, though nothing tells any more that it was another", () => {
  lastWriteIn(folder).record({ at: 5, wroteThisBoot: true });
  const added = lastWriteIn(folder, OTHER, [], true);
  added.record(added.read());
  expect(lastWriteIn(folder, OTHER).read()).toEqual({ at: 5, wroteThisBoot: false });
  // Until it is the only one and writes.
  lastWriteIn(folder).record({ at: 9, wroteThisBoot: true });
  expect(lastWriteIn(folder, OTHER).read()).toEqual({ at: 9, wroteThisBoot: true });
});

test("the only one that is left knows what was written when there were several", () => {
  lastWriteIn(folder, ONE).record({ at: 9, wroteThisBoot: false });
  lastWriteIn(folder, OTHER).record({ at: 7, wroteThisBoot: true });
  expect(lastWriteIn(folder).read()).toEqual({ at: 9, wroteThisBoot: true });
});

test("after several, one and several again the latest counts, and that one was carried out", () => {
  lastWriteIn(folder, ONE).record({ at: 5, wroteThisBoot: true });
  lastWriteIn(folder).record({ at: 9, wroteThisBoot: false });
  expect(lastWriteIn(folder, ONE).read()).toEqual({ at: 9, wroteThisBoot: true });
});

test("one that goes by another name now has what was recorded of it before", () => {
  lastWriteIn(folder, ONE).record({ at: 5, wroteThisBoot: true });
  expect(lastWriteIn(folder, OTHER).read()).toBeUndefined();
  const renamed = lastWriteIn(folder, OTHER, [ONE, OTHER]);
  expect(renamed.read()).toEqual({ at: 5, wroteThisBoot: true });
  renamed.record({ at: 7, wroteThisBoot: true });
  expect(lastWriteIn(folder, ONE, [ONE, OTHER]).read()).toEqual({ at: 7, wroteThisBoot: true });
});

test("without a folder nothing is recorded", () => {
  const last = lastWriteIn(undefined, ONE);
  last.record({ at: 5, wroteThisBoot: true });
  expect(last.read()).toBeUndefined();
});
