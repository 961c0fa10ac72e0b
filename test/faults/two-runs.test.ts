/** Two runs of one instance agree, beside each other and one after the other: unit, recheck, somebody by hand, release. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { inPlace, TIMEOUT_MS } from "./folder.ts";

async function until(what: () => boolean): Promise<void> {
  while (!what()) await sleep(10);
}

describe("two runs of one instance", () => {
  test(
    "a recheck that fails in the end does not undo what a later look has found",
    () =>
      inPlace("first", async (place) => {
        place.region.faults.add({
          service: "ec2",
          action: "DescribeAddresses",
          count: 1,
          effect: { do: "silence" },
        });
        // It has to look, since there is no result yet, and is not answered.
        const recheck = place.begin(["recheck"], { EIP_HEAL_DEADLINE: "12s" });
        await until(() => place.region.calls.length > 0);
        place.region.faults.clear();
        expect((await place.agent()).status).toBe(0);
        const found = place.result();
        place.region.faults.add({ service: "ec2", effect: { do: "hang-up" } });
        expect((await recheck.ended).status).toBe(75);
        expect(place.result()).toEqual(found);
        expect(place.env()).toContain(place.first);
      }),
    TIMEOUT_MS,
  );

  test(
    "who has looked earlier and ends later does not tell others what is not so any more",
    () =>
      inPlace("first", async (place) => {
        const world = place.region.region;
        place.region.faults.add({
          service: "ec2",
          action: "DescribeAddresses",
          count: 1,
          effect: { do: "delay", afterMs: 10_000 } as never,
        });
        const slow = place.begin();
        await until(() => place.region.calls.some(({ action }) => action === "DescribeAddresses"));
        world.disassociate(place.first);
        place.region.faults.add({
          service: "ec2",
          action: "AssociateAddress",
          effect: { do: "error", code: "InvalidParameterValue", status: 400 } as never,
        });
        expect((await place.agent()).status).toBe(78);
        const { status, log } = await slow.ended;
        expect(status, log.join("\n")).not.toBe(0);
        expect(place.env()).toBeUndefined();
        expect(place.result()).toMatchObject({ outcome: "failed" });
      }),
    TIMEOUT_MS,
  );
});

describe("a release is obeyed", () => {
  test(
    "by a heal in its hold",
    () =>
      inPlace("nothing", async (place) => {
        const heal = place.begin();
        await until(() => place.holder() === place.me);
        const { status, log } = await place.agent(["release"]);
        expect(status, log.join("\n")).toBe(0);
        const healed = await heal.ended;
        expect(healed.status, healed.log.join("\n")).toBe(75);
        expect(healed.log.join("\n")).toContain("the address was given up on purpose");
        expect(place.holder()).toBeUndefined();
        expect(place.result()).toMatchObject({ outcome: "released" });
        expect(place.env()).toBeUndefined();
        expect((await place.agent(["recheck"])).status).toBe(0);
        expect(place.holder()).toBeUndefined();
      }),
    TIMEOUT_MS,
  );

  test(
    "by a heal whose association is under way: the release waits for it",
    () =>
      inPlace("nothing", async (place) => {
        place.region.faults.add({
          service: "ec2",
          action: "AssociateAddress",
          effect: { do: "delay", beforeMs: 1_200 },
        });
        const heal = place.begin();
        await until(() => heal.logged().includes("associating"));
        const { status, log } = await place.agent(["release"]);
        expect(status, log.join("\n")).toBe(0);
        expect(log.at(-1)).toContain(`released ${place.first}`);
        expect((await heal.ended).status).toBe(75);
        expect(place.holder()).toBeUndefined();
        expect(place.result()).toMatchObject({ outcome: "released" });
        expect(place.env()).toBeUndefined();
      }),
    TIMEOUT_MS,
  );

  test(
    "by a heal between its look and its association",
    () =>
      inPlace("nothing", async (place) => {
        const look = place.region.faults.add({
          service: "ec2",
          action: "DescribeAddresses",
          count: 1,
          effect: { do: "hold" },
        });
        const heal = place.begin();
        await until(() => look.hits > 0);
        expect((await place.agent(["release"])).status).toBe(0);
        place.region.faults.clear(look);
        expect((await heal.ended).status).toBe(75);
        expect(place.region.calls.some(({ action }) => action === "AssociateAddress")).toBe(false);
        expect(place.result()).toMatchObject({ outcome: "idle", idle: "not-holder" });
      }),
    TIMEOUT_MS,
  );

  test(
    "by a retry, and not by somebody who starts a heal afterwards",
    () =>
      inPlace("first", async (place) => {
        await place.agent();
        await place.agent(["release"]);
        const retry = await place.agent([], { TRIGGER_UNIT: "eip-heal-retry.timer" });
        expect(retry.status).toBe(75);
        expect(retry.log.at(-1)).toContain("the address was given up on purpose");
        expect(place.holder()).toBeUndefined();
        expect(place.result()).toMatchObject({ outcome: "released" });
        expect((await place.agent()).status).toBe(0);
        expect(place.holder()).toBe(place.me);
        expect(place.result()).toMatchObject({ outcome: "settled" });
      }),
    TIMEOUT_MS,
  );

  test(
    "by another release",
    () =>
      inPlace("first", async (place) => {
        await place.agent();
        const both = await Promise.all([place.agent(["release"]), place.agent(["release"])]);
        for (const { status, log } of both) expect(status, log.join("\n")).toBe(0);
        expect(place.holder()).toBeUndefined();
        expect(place.env()).toBeUndefined();
        expect(place.result()?.["outcome"]).toMatch(/^(?:released|idle)$/);
        const calls = place.region.calls.length;
        expect((await place.agent(["recheck"])).status).toBe(0);
        expect(place.region.calls.length).toBe(calls);
      }),
    TIMEOUT_MS,
  );
});
