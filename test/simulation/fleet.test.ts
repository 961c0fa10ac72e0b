/** A fleet that boots at once comes to its addresses about as fast as EC2's request buckets allow. */
import { describe, expect, test } from "vitest";
import { bootFleet, type Supply } from "./fleet.ts";

const boot = (supply: Supply, size = 1_000) =>
  bootFleet({ supply, size, seed: 1, untilMs: supply === "short-pool" ? 120_000 : 600_000 });

/** Requests per instance, and those of them that EC2 has carried out. */
function perInstance({ calls }: Awaited<ReturnType<typeof boot>>, size: number) {
  const sum = (of: "sent" | "throttled") =>
    Object.values(calls).reduce((all, one) => all + one[of], 0) / size;
  return { sent: sum("sent"), carriedOut: sum("sent") - sum("throttled") };
}

describe("1,000 instances boot within ten seconds", () => {
  test("each its own address: all have one within 1.10 of the time that the buckets take", async () => {
    const result = await boot("own");
    expect(result.associatedAt).toHaveLength(1_000);
    expect(result.floorMs).toBe(190_000);
    expect(result.associatedAt.at(-1)).toBeLessThanOrEqual(1.1 * result.floorMs);
    expect(result.failures).toEqual({});
    expect(perInstance(result, 1_000).sent).toBeLessThan(13);
  });

  test("a pool as large as the fleet: all have one, and nearly no request is in vain that EC2 carries out", async () => {
    const result = await boot("pool");
    expect(result.associatedAt).toHaveLength(1_000);
    // What the free addresses of the pool tell makes it nearly as fast as can be.
    expect(result.associatedAt.at(-1)).toBeLessThanOrEqual(1.05 * result.floorMs);
    const { sent, carriedOut } = perInstance(result, 1_000);
    expect(carriedOut).toBeLessThanOrEqual(5); // look, associate, look, look after the hold is the least
    expect(sent).toBeLessThan(11);
    expect(result.failures).toEqual({});
  });

  test("one address for all: the newest instance has it, and the others yield", async () => {
    const result = await boot("shared");
    expect(result.associatedAt).toHaveLength(1);
    expect(result.newestHolds).toBe(true);
    expect(Object.keys(result.failures)).toEqual(["69"]);
  });
});

test("400 instances, a pool with one in ten missing: every address that is there is used", async () => {
  const result = await boot("short-pool", 400);
  expect(result.associatedAt).toHaveLength(360);
  expect(result.associatedAt.at(-1)).toBeLessThanOrEqual(1.1 * result.floorMs);
  expect(result.associatedAt.every((at) => at > 0)).toBe(true);
});
