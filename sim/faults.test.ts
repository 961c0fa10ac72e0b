import { AssociateAddressCommand, DescribeAddressesCommand } from "@aws-sdk/client-ec2";
import { expect, test } from "vitest";

import { Faults } from "./faults.ts";
import type { Effect } from "./faults.ts";
import { imds, outcome, sdk, start } from "./testing.ts";
import { aWorld } from "./world.ts";

/** What the SDK makes of the fault in AssociateAddress, and whether the address moved. */
test.each([
  [
    { do: "error", code: "RequestLimitExceeded", message: "Request limit exceeded.", status: 503 },
    "RequestLimitExceeded",
    false,
  ],
  [{ do: "error", code: "InternalError", status: 500 }, "InternalError", false],
  [{ do: "status", status: 503 }, /./, false],
  [{ do: "status", status: 502, body: "<html>bad gateway</html>" }, /./, false],
  [{ do: "reset" }, "ECONNRESET", false],
  [{ do: "hang-up" }, "ECONNRESET", false],
  [{ do: "silence" }, "ETIMEDOUT", false],
  [{ do: "stall" }, /TimeoutError/, true],
  [{ do: "lose-answer", how: "reset" }, "ECONNRESET", true],
  [{ do: "lose-answer", how: "silence" }, "ETIMEDOUT", true],
  [{ do: "html" }, /./, false],
  [{ do: "garbage" }, /./, false],
  [
    { do: "rewrite", body: (right: string) => right.replace(/eipassoc-\w+/, "forged") },
    "200 forged",
    true,
  ],
  [{ do: "no-association-id" }, "200 undefined", true],
  [{ do: "lie" }, /^200 eipassoc-0[0-9a-f]{16}$/, false],
  [{ do: "delay", beforeMs: 20, afterMs: 20 }, /^200 eipassoc-/, true],
  [{ do: "delay", afterMs: 1000 }, "ETIMEDOUT", true],
  [{ do: "delay", beforeMs: 1000 }, "ETIMEDOUT", false],
] as const satisfies [Effect, string | RegExp, boolean][])(
  "AssociateAddress: %o",
  async (effect, expected, moved) => {
    const world = aWorld();
    const a = world.address();
    const i = world.instance();
    const region = await start(world);
    const fault = region.faults.add({
      service: "ec2",
      action: "AssociateAddress",
      count: 1,
      effect,
    });
    const impatient = sdk(region, i.instanceId, { timeoutMs: 300 });
    const ask = new AssociateAddressCommand({
      AllocationId: a.allocationId,
      InstanceId: i.instanceId,
    });
    const seen = await impatient.send(ask).then(
      (done) => `200 ${done.AssociationId}`,
      (error: unknown) => (error as { code?: string }).code ?? (error as Error).name,
    );
    if (typeof expected === "string") expect(seen).toBe(expected);
    else expect(seen).toMatch(expected);
    expect(region.holder(a.allocationId) !== undefined).toBe(moved);
    expect(fault.hits).toBe(1);
    // Once only: the next call is as it should be.
    expect(await outcome(sdk(region, i.instanceId).send(ask))).toBe("ok");
    expect(region.bugs).toEqual([]);
  },
);

test("a body that is too long goes on until the reader hangs up", async () => {
  const world = aWorld();
  const i = world.instance();
  const region = await start(world);
  const get = await imds(region, i.instanceId);
  region.faults.add({
    service: "imds",
    path: "/latest/meta-data/instance-id",
    effect: { do: "overlong", bytes: 3_000_000 },
  });
  expect((await (await get("meta-data/instance-id")).text()).length).toBe(3_000_000);
  const cut = await get("meta-data/instance-id");
  await cut.body?.cancel();
  expect(await (await get("meta-data/placement/region")).text()).toBe("us-east-1");
});

test("stale answers on demand", async () => {
  const world = aWorld();
  const a = world.address();
  const i = world.instance();
  let now = Date.now();
  const region = await start(world, { now: () => now });
  region.region.associate(a.allocationId, i.instanceId);
  now += 1000;
  const ec2 = sdk(region, i.instanceId);
  const holder = async (): Promise<string | undefined> =>
    (await ec2.send(new DescribeAddressesCommand({}))).Addresses?.[0]?.InstanceId;
  region.faults.add({
    service: "ec2",
    action: "DescribeAddresses",
    count: 1,
    effect: { do: "stale", byMs: 5000 },
  });
  expect([await holder(), await holder()]).toEqual([undefined, i.instanceId]);
});

test("a request that is held back is applied when the fault is taken away, whether its sender waits for it or not", async () => {
  const world = aWorld();
  const [a, b] = [world.address(), world.address()];
  const i = world.instance({ enis: [{ privateIps: ["10.0.0.20", "10.0.0.21"] }] });
  const region = await start(world);
  const holder = (address: typeof a) => region.holder(address.allocationId)?.privateIp;
  const rule = { service: "ec2", action: "AssociateAddress", count: 1 } as const;
  const associate = (address: typeof a, PrivateIpAddress: string, timeoutMs: number) =>
    sdk(region, i.instanceId, { timeoutMs }).send(
      new AssociateAddressCommand({
        AllocationId: address.allocationId,
        InstanceId: i.instanceId,
        PrivateIpAddress,
      }),
    );

  const patient = region.faults.add({ ...rule, effect: { do: "hold" } });
  const answered = associate(a, "10.0.0.20", 4_000);
  while (patient.hits === 0) await new Promise((done) => setTimeout(done, 5));
  const impatient = region.faults.add({ ...rule, effect: { do: "hold" } });
  expect(await outcome(associate(b, "10.0.0.21", 300))).toBe("TimeoutError");
  expect([holder(a), holder(b)]).toEqual([undefined, undefined]);

  region.faults.clear(patient);
  await answered;
  expect([holder(a), holder(b)]).toEqual(["10.0.0.20", undefined]);
  region.faults.clear(impatient);
  while (holder(b) === undefined) await new Promise((done) => setTimeout(done, 5));
  expect(holder(b)).toBe("10.0.0.21");
});

test("which requests are hit: service, action, path, method, instance, time, how often", () => {
  let now = 1000;
  const faults = new Faults(() => now);
  const hit = (occasion: Parameters<Faults["judge"]>[0]): string | undefined =>
    faults.judge(occasion).effect?.do;
  const reset = { do: "reset" } as const;

  faults.add({ service: "imds", path: "/latest/meta-data/tags", instanceId: "i-1", effect: reset });
  expect(hit({ service: "imds", path: "/latest/meta-data/tags/instance", instanceId: "i-1" })).toBe(
    "reset",
  );
  expect(
    hit({ service: "imds", path: "/latest/meta-data/tags/instance", instanceId: "i-2" }),
  ).toBeUndefined();
  expect(
    hit({ service: "imds", path: "/latest/meta-data/mac", instanceId: "i-1" }),
  ).toBeUndefined();
  expect(hit({ service: "ec2", action: "DescribeAddresses", instanceId: "i-1" })).toBeUndefined();
  faults.clear();

  faults.add({ service: "ec2", action: "AssociateAddress", skip: 1, count: 2, effect: reset });
  const four = [1, 2, 3, 4].map(() => hit({ service: "ec2", action: "AssociateAddress" }));
  expect(four).toEqual([undefined, "reset", "reset", undefined]);
  faults.clear();

  faults.add({ service: "imds", method: "PUT", from: 2000, until: 3000, effect: reset });
  const times = [1000, 2000, 2999, 3000].map((at) => {
    now = at;
    return hit({ service: "imds", method: "PUT", path: "/latest/api/token" });
  });
  expect(times).toEqual([undefined, "reset", "reset", undefined]);
  faults.clear();

  const first = faults.add({ service: "ec2", effect: reset });
  faults.add({ service: "ec2", effect: { do: "silence" } });
  faults.add({ service: "ec2", effect: { do: "delay", beforeMs: 5 } });
  expect(faults.judge({ service: "ec2" })).toMatchObject({ effect: reset, beforeMs: 5 });
  faults.clear(first);
  expect(hit({ service: "ec2" })).toBe("silence");
});
