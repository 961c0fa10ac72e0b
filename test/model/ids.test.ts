/** The partitions of AWS, as its SDK knows them. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { isRegion, partitionOf } from "../../src/model/ids.ts";
import { aWorld } from "../../sim/world.ts";

interface Partition {
  readonly id: string;
  readonly regions: Readonly<Record<string, unknown>>;
}

/** The table by which the SDK finds the endpoints of a region. */
function partitionsOfSdk(): readonly Partition[] {
  const core = dirname(createRequire(import.meta.url).resolve("@aws-sdk/core/package.json"));
  const file = "dist-es/submodules/client/util-endpoints/lib/aws/partitions.js";
  const text = readFileSync(join(core, file), "utf8");
  const table = /^export const partitionsInfo = (\{[^]*?\n\});?$/m.exec(text)?.[1] ?? "";
  return (JSON.parse(table) as { partitions: Partition[] }).partitions;
}

const REGIONS = partitionsOfSdk().flatMap(({ id, regions }) =>
  Object.keys(regions)
    // Such as aws-cn-global: a name for what has no region.
    .filter((region) => !region.endsWith("-global"))
    .map((region) => [region, id] as const),
);

describe("the partition of a region", () => {
  test("is one of all that there are", () => {
    expect([...new Set(REGIONS.map(([, id]) => id))].toSorted()).toEqual([
      "aws",
      "aws-cn",
      "aws-eusc",
      "aws-iso",
      "aws-iso-b",
      "aws-iso-e",
      "aws-iso-f",
      "aws-us-gov",
    ]);
    expect(REGIONS.length).toBeGreaterThan(40);
  });

  test.each(REGIONS)("%s is in %s", (region, partition) => {
    expect(isRegion(region)).toBe(true);
    expect(partitionOf(region)).toBe(partition);
    expect(aWorld({ region }).data.partition, "of the simulated region").toBe(partition);
  });
});
