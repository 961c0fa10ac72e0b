/**
 * In which order test files run and how --shard divides them: the longest first, so that none is left running alone at the
 * end, and shards that take about equally long.
 */
import { relative } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Seconds of the files that take longest, on an idle machine with two cores. Whatever is not listed takes few. */
export const SECONDS: Readonly<Record<string, number>> = {
  "test/binary/acceptance.test.ts": 280,
  "test/binary/cure.test.ts": 44,
  "test/binary/doctor.test.ts": 192,
  "test/binary/holder.test.ts": 70,
  "test/binary/launch-hook-trouble.test.ts": 81,
  "test/binary/metadata-mock.test.ts": 81,
  "test/binary/mistakes.test.ts": 108,
  "test/binary/moto.test.ts": 76,
  "test/binary/patience.test.ts": 75,
  "test/binary/policy.test.ts": 145,
  "test/binary/recheck.test.ts": 290,
  "test/binary/scenarios.test.ts": 200,
  "test/binary/slow.test.ts": 81,
  "test/binary/status.test.ts": 50,
  "test/boot/alarm.test.ts": 115,
  "test/boot/boot.test.ts": 50,
  "test/boot/columns.test.ts": 56,
  "test/boot/confirm.test.ts": 46,
  "test/boot/environment-file.test.ts": 3,
  "test/boot/fleet.test.ts": 38,
  "test/boot/forged.test.ts": 60,
  "test/boot/hardened.test.ts": 60,
  "test/boot/hostile.test.ts": 81,
  "test/boot/keys.test.ts": 19,
  "test/boot/last.test.ts": 25,
  "test/boot/mistakes.test.ts": 57,
  "test/boot/operate.test.ts": 100,
  "test/boot/recheck.test.ts": 95,
  "test/boot/retry.test.ts": 160,
  "test/boot/runtime-directory.test.ts": 24,
  "test/boot/sandbox.test.ts": 55,
  "test/boot/several.test.ts": 31,
  "test/boot/waiting.test.ts": 70,
  "test/explorer/explorer.test.ts": 48,
  "test/faults/each-write.test.ts": 60,
  "test/faults/fuzz.test.ts": 185,
  "test/faults/killed.test.ts": 68,
  "test/faults/matrix.test.ts": 119,
  "test/faults/overlong.test.ts": 80,
  "test/faults/refused.test.ts": 152,
  "test/faults/results.test.ts": 48,
  "test/faults/two-runs.test.ts": 30,
  "test/install/dns.test.ts": 50,
  "test/install/life.test.ts": 150,
  "test/install/recipes.test.ts": 112,
  "test/packages/contents.test.ts": 41,
  "test/simulation/pool-race.test.ts": 57,
  "test/simulation/race.test.ts": 52,
};
/** Seconds of a file that is not listed. */
const FEW = 15;

/** The files by how long they take, the longest first; equally long ones by name. */
export function longestFirst<T>(files: readonly T[], nameOf: (file: T) => string): T[] {
  const seconds = (file: T) => SECONDS[nameOf(file)] ?? FEW;
  return files.toSorted((a, b) => seconds(b) - seconds(a) || (nameOf(a) < nameOf(b) ? -1 : 1));
}

/** Divides files into that many parts: each, from the longest on, goes to the part that is the shortest so far. */
export function divide<T>(
  files: readonly T[],
  nameOf: (file: T) => string,
  count: number,
): readonly T[][] {
  const parts = Array.from({ length: count }, () => ({ seconds: 0, files: [] as T[] }));
  for (const file of longestFirst(files, nameOf)) {
    const [shortest] = parts.toSorted((a, b) => a.seconds - b.seconds);
    if (shortest === undefined) break;
    shortest.files.push(file);
    shortest.seconds += SECONDS[nameOf(file)] ?? FEW;
  }
  return parts.map((part) => part.files);
}

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return longestFirst(files, (file) => this.#nameOf(file));
  }

  override async shard(files: TestSpecification[]): Promise<TestSpecification[]> {
    const { shard } = this.ctx.config;
    if (shard === undefined) return files;
    return divide(files, (file) => this.#nameOf(file), shard.count)[shard.index - 1] ?? [];
  }

  #nameOf({ moduleId }: TestSpecification): string {
    return relative(this.ctx.config.root, moduleId);
  }
}
