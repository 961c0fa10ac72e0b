/** What the region shows, to whom and when: pages, filters, propagation, a zone that is down. */
import { expect, test } from "vitest";
import type { DescribeInstancesInput } from "./actions.ts";
import type { Filter } from "./filters.ts";
import { as, at, said } from "./virtual.ts";
import { aWorld } from "./world.ts";

test("an unknown id is an error, an unknown filter too", () => {
  const { region } = at(aWorld());
  expect(
    said(() =>
      region.describeAddresses("admin", { allocationIds: ["eipalloc-0123456789abcdef0"] }),
    ),
  ).toBe(
    "InvalidAllocationID.NotFound: The allocation ID 'eipalloc-0123456789abcdef0' does not exist",
  );
  region.allocate();
  expect(
    said(() =>
      region.describeAddresses("admin", { filters: [{ name: "colour", values: ["red"] }] }),
    ),
  ).toBe("InvalidParameterValue: The filter 'colour' is invalid");
});

test("a zone with a disruption: no answer that could be about it", () => {
  const world = aWorld();
  const [i, j] = [world.instance(), world.instance({ zone: "us-east-1b" })];
  world.hold(world.address(), i);
  const { region } = at(world);
  const found = (instanceIds?: string[], filters: Filter[] = []): unknown =>
    said(() =>
      region
        .describeInstances("admin", { instanceIds, filters })
        .items.map((one) => one.instance.instanceId),
    );
  const filters = [{ name: "instance-id", values: [j.instanceId] }];
  const fails = "Unavailable: The service is unavailable. Please try again shortly.";
  region.zoneDown("us-east-1a");
  expect(found([j.instanceId])).toEqual([j.instanceId]);
  expect(found([i.instanceId])).toBe(fails);
  expect(found([i.instanceId, j.instanceId])).toBe(fails);
  expect(found([i.instanceId, j.instanceId], filters)).toBe(fails);
  expect(found(undefined, filters)).toBe(fails);
  expect(found()).toBe(fails);
  expect(region.describeAddresses("admin")).toHaveLength(1);
  region.zoneDown("us-east-1b");
  region.zoneUp("us-east-1a");
  expect([found([i.instanceId]), found([j.instanceId])]).toEqual([[i.instanceId], fails]);
  region.zoneUp("us-east-1b");
  expect(found(undefined, filters)).toEqual([j.instanceId]);
  expect(() => region.zoneDown("us-east-1f")).toThrow("has no zone us-east-1f");
});

test("a world may begin with a zone down", () => {
  const world = aWorld({ settings: { zonesDown: ["us-east-1c"] } });
  const { region } = at(world);
  expect(said(() => region.describeInstances("admin"))).toMatch(/^Unavailable/);
});

test("pages: by MaxResults, the first one empty if so set, never together with ids", () => {
  const world = aWorld();
  for (let n = 0; n < 12; n++) world.instance();
  const { region } = at(world);
  const all: string[] = [];
  const sizes: number[] = [];
  region.configure({ emptyFirstPage: true });
  for (let nextToken: string | undefined, n = 0; n < 9; n++) {
    const page = region.describeInstances("admin", { maxResults: 5, nextToken });
    sizes.push(page.items.length);
    all.push(...page.items.map((one) => one.instance.instanceId));
    nextToken = page.nextToken;
    if (nextToken === undefined) break;
  }
  expect(sizes).toEqual([0, 5, 5, 2]);
  expect(new Set(all).size).toBe(12);
  const instanceIds = all.slice(0, 1);
  expect(said(() => region.describeInstances("admin", { instanceIds, maxResults: 5 }))).toMatch(
    /^InvalidParameterCombination/,
  );
});

test("a page size: EC2 pages by itself, a page may be empty, and MaxResults makes it no larger", () => {
  const world = aWorld({ settings: { pageSize: 4 } });
  const all = Array.from({ length: 10 }, () => world.instance());
  const last = all.at(-1)?.instanceId ?? "";
  const { region } = at(world);
  const pages = (input: DescribeInstancesInput): number[] => {
    const sizes: number[] = [];
    for (let nextToken: string | undefined; ;) {
      const page = region.describeInstances("admin", { ...input, nextToken });
      sizes.push(page.items.length);
      nextToken = page.nextToken;
      if (nextToken === undefined) return sizes;
    }
  };
  const filters = [{ name: "instance-id", values: [last] }];
  expect(pages({})).toEqual([4, 4, 2]);
  expect(pages({ maxResults: 1000 })).toEqual([4, 4, 2]);
  expect(pages({ filters })).toEqual([0, 0, 1]);
  // Ids are not paged.
  expect(pages({ instanceIds: all.map((one) => one.instanceId) })).toEqual([10]);
  expect(() => region.configure({ pageSize: 0 })).toThrow("pageSize is 1 or more");
  region.configure({ pageSize: undefined });
  expect(pages({ filters })).toEqual([1]);
});

test("DescribeInstances by ids: each once, narrowed down by filters, refused if one of them is unknown", () => {
  const world = aWorld();
  const [i, j] = [world.instance(), world.instance({ state: "stopped" })];
  const { region } = at(world);
  const found = (instanceIds: string[], filters: Filter[] = []): unknown =>
    said(() =>
      region
        .describeInstances("admin", { instanceIds, filters })
        .items.map((one) => one.instance.instanceId),
    );
  const [one, two] = ["i-0123456789abcdef0", "i-0123456789abcdef1"];
  expect(found([j.instanceId, i.instanceId, j.instanceId])).toEqual([j.instanceId, i.instanceId]);
  const stopped = [{ name: "instance-state-name", values: ["stopped"] }];
  expect(found([i.instanceId, j.instanceId], stopped)).toEqual([j.instanceId]);
  expect(found([i.instanceId], stopped)).toEqual([]);
  expect(found([i.instanceId, one], stopped)).toBe(
    `InvalidInstanceID.NotFound: The instance ID '${one}' does not exist`,
  );
  expect(found([one, i.instanceId, two, one])).toBe(
    `InvalidInstanceID.NotFound: The instance IDs '${one}, ${two}' do not exist`,
  );
  region.terminate(i.instanceId);
  region.terminated(i.instanceId);
  expect(found([i.instanceId])).toEqual([i.instanceId]);
  region.forget(i.instanceId);
  expect(found([i.instanceId])).toMatch(/^InvalidInstanceID.NotFound/);
});

test.each([
  ["web*", ["web", "webmail", "web*", "web?x"]],
  ["web\\*", ["web*"]],
  ["web?", ["web*"]],
  ["web??", ["web?x"]],
  ["web\\?x", ["web?x"]],
  ["*\\\\*", ["a\\b"]],
  ["a\\b", ["a\\b"]],
  ["a\\\\b", ["a\\b"]],
  ["*", ["web", "webmail", "web*", "web?x", "a\\b", "(1.5$)", "x\ny", "🙂"]],
  ["(?.5$)", ["(1.5$)"]],
  ["?", ["🙂"]],
  ["x*y", ["x\ny"]],
  ["WEB", []],
])("a filter value with wildcards: %j", (wanted, expected) => {
  const values = ["web", "webmail", "web*", "web?x", "a\\b", "(1.5$)", "x\ny", "🙂"];
  const world = aWorld();
  for (const pool of values) world.address({ tags: { pool } });
  for (const pool of values) world.instance({ tags: { pool } });
  const { region } = at(world);
  const filters = [{ name: "tag:pool", values: [wanted] }];
  const addresses = region.describeAddresses("admin", { filters });
  expect(addresses.map((one) => one.tags["pool"])).toEqual(expected);
  const instances = region.describeInstances("admin", { filters }).items;
  expect(instances.map((one) => one.tags["pool"])).toEqual(expected);
});

test("an escaped id in a filter is that id", () => {
  const world = aWorld();
  const a = world.address();
  const { region } = at(world);
  const found = (id: string): number =>
    region.describeAddresses("admin", { filters: [{ name: "allocation-id", values: [id] }] })
      .length;
  const { allocationId } = a;
  expect([allocationId, `${allocationId.slice(0, -1)}?`, `${allocationId}\\?`].map(found)).toEqual([
    1, 1, 0,
  ]);
});

test("tags and ids show up when they have propagated", () => {
  const world = aWorld();
  const i = world.instance({
    tags: { a: "b" },
    knownFrom: "2026-06-01T00:00:05Z",
    tagsFrom: "2026-06-01T00:00:10Z",
  });
  const { region, clock } = at(world);
  const look = (): unknown =>
    said(() => region.describeInstances(as(i), { instanceIds: [i.instanceId] }).items[0]?.tags);
  expect(look()).toMatch(/^InvalidInstanceID.NotFound/);
  clock.now += 5000;
  expect(look()).toEqual({});
  clock.now += 5000;
  expect(look()).toEqual({ a: "b" });
});

test("describe calls can answer from the past, associating never does", () => {
  const world = aWorld({ settings: { describeStalenessMs: 3000 } });
  const a = world.address();
  const [i, j] = [world.instance(), world.instance()];
  world.hold(a, i);
  const { region, clock } = at(world);
  const holder = (backMs?: number): string | undefined =>
    region.describeAddresses("admin", {}, { backMs })[0]?.association?.instanceId;
  clock.now += 10_000;
  region.associate(a.allocationId, j.instanceId);
  clock.now += 2000;
  expect([holder(), holder(0), holder(5000)]).toEqual([i.instanceId, j.instanceId, i.instanceId]);
  expect(
    said(() =>
      region.associateAddress(as(i), {
        allocationId: a.allocationId,
        instanceId: i.instanceId,
        allowReassociation: false,
      }),
    ),
  ).toMatch(/^Resource.AlreadyAssociated/);
  clock.now += 1000;
  expect(holder()).toBe(j.instanceId);
  const filters = [
    { name: "network-interface.addresses.association.allocation-id", values: [a.allocationId] },
  ];
  const byInstance = (backMs: number): unknown =>
    region
      .describeInstances("admin", { filters }, { backMs })
      .items.map((one) => one.instance.instanceId);
  expect([byInstance(0), byInstance(6000)]).toEqual([[j.instanceId], [i.instanceId]]);
});

test("a launch is not there for who looks at the time before it", () => {
  const { region, clock } = at(aWorld());
  clock.now += 1000;
  const { instanceId } = region.launch();
  expect(region.describeInstances("admin", {}, { backMs: 500 }).items).toEqual([]);
  expect(region.describeInstances("admin", {}).items[0]?.instance.instanceId).toBe(instanceId);
});

test("DescribeTags", () => {
  const world = aWorld();
  const a = world.address({ tags: { pool: "web" } });
  const i = world.instance({ tags: { "allocation-id": a.allocationId, Name: "web-1" } });
  const { region } = at(world);
  const filters = [
    { name: "resource-id", values: [i.instanceId] },
    { name: "key", values: ["allocation-id"] },
  ];
  expect(region.describeTags("admin", { filters }).items).toEqual([
    {
      resourceId: i.instanceId,
      resourceType: "instance",
      key: "allocation-id",
      value: a.allocationId,
    },
  ]);
  expect(region.describeTags("admin").items).toHaveLength(3);
});
