/** The partitions of AWS, as its SDK knows them. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { isPublicIpv4, isRegion, partitionOf } from "../../src/model/ids.ts";
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

describe("a public IPv4 address", () => {
  test.each([
    "0.1.2.3",
    "10.9.9.9",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.19.0.1",
    "172.20.0.1",
    "172.29.0.1",
    "172.30.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "224.0.0.1",
    "229.0.0.1",
    "230.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
  ])("is not %s", (address) => {
    expect(isPublicIpv4(address)).toBe(false);
  });

  test.each([
    "1.10.2.3",
    "100.64.0.1",
    "11.0.0.10",
    "54.172.16.1",
    "18.192.168.9",
    "34.169.254.7",
    "172.15.0.1",
    "172.32.0.1",
    "172.100.0.1",
    "192.167.0.1",
    "169.253.0.1",
    "203.0.113.7",
    "223.255.255.255",
    "22.4.0.1",
    "23.0.0.1",
    "3.224.0.1",
  ])("is %s", (address) => {
    expect(isPublicIpv4(address)).toBe(true);
  });
});
