import { request } from "node:http";
import { expect, test } from "vitest";

import { TOKEN_NOT_HONOURED } from "./faults.ts";
import { imds, start } from "./testing.ts";
import { aWorld } from "./world.ts";

const TTL = "x-aws-ec2-metadata-token-ttl-seconds";

test.each([
  ["a token", "/latest/api/token", { [TTL]: "60" }, 200],
  ["the longest one", "/latest/api/token", { [TTL]: "21600" }, 200],
  ["too long", "/latest/api/token", { [TTL]: "21601" }, 400],
  ["no time at all", "/latest/api/token", { [TTL]: "0" }, 400],
  ["no number", "/latest/api/token", { [TTL]: "1h" }, 400],
  ["no TTL", "/latest/api/token", {}, 400],
  ["through a proxy", "/latest/api/token", { [TTL]: "60", "x-forwarded-for": "10.0.0.9" }, 403],
  ["a versioned path", "/2021-03-23/api/token", { [TTL]: "60" }, 403],
] as const)("PUT for a token: %s", async (_, path, headers, status) => {
  const world = aWorld();
  const i = world.instance();
  const region = await start(world);
  const answer = await fetch(region.imdsUrl(i.instanceId) + path, { method: "PUT", headers });
  const text = await answer.text();
  expect(answer.status).toBe(status);
  if (status === 200) expect(region.secrets).toEqual([text]);
});

test("reading: never without a token, with another instance's, or with an expired one", async () => {
  const world = aWorld();
  const [i, j] = [world.instance(), world.instance()];
  let now = Date.UTC(2026, 5, 1);
  const region = await start(world, { now: () => now });
  const url = `${region.imdsUrl(i.instanceId)}/latest/meta-data/instance-id`;
  const get = async (token?: string): Promise<number> =>
    (
      await fetch(
        url,
        token === undefined ? {} : { headers: { "x-aws-ec2-metadata-token": token } },
      )
    ).status;
  const tokenOf = async (instanceId: string): Promise<string> =>
    await (
      await fetch(`${region.imdsUrl(instanceId)}/latest/api/token`, {
        method: "PUT",
        headers: { [TTL]: "10" },
      })
    ).text();
  const [mine, others] = [await tokenOf(i.instanceId), await tokenOf(j.instanceId)];
  expect([await get(), await get("made-up"), await get(others), await get(mine)]).toEqual([
    401, 401, 401, 200,
  ]);
  now += 10_000;
  expect(await get(mine)).toBe(401);
  const reads = region.imdsRequests.filter((one) => one.method === "GET");
  expect(reads.map(({ token, status }) => `${token} ${status}`)).toEqual([
    "none 401",
    "invalid 401",
    "invalid 401",
    "valid 200",
    "invalid 401",
  ]);
});

/** Everything the project reads, for an instance with two interfaces, of which the second holds an Elastic IP. */
test("what is there, and what is not", async () => {
  const world = aWorld();
  const a = world.address();
  const i = world.instance({
    tags: { "allocation-id": a.allocationId, "aws:autoscaling:groupName": "web", "a=b": "ü" },
    metadataTags: true,
    lifecycle: "InService",
    role: "old",
    enis: [{}, { networkCardIndex: 1, privateIps: 2, ipv6s: ["2001:db8::7"] }],
    spotAction: { action: "terminate", time: "2026-06-01T00:02:00Z" },
  });
  const [first, second] = i.interfaces;
  const secondary = second?.addresses[1]?.privateIp ?? "";
  world.hold(a, { networkInterfaceId: second?.networkInterfaceId ?? "" }, secondary);
  const region = await start(world);
  const get = await imds(region, i.instanceId);
  const macs = "meta-data/network/interfaces/macs/";
  const expected: Record<string, string | number> = {
    "meta-data/instance-id": i.instanceId,
    "meta-data/mac": first?.mac ?? "",
    "meta-data/local-ipv4": i.privateIp,
    "meta-data/public-ipv4": 404,
    "meta-data/placement/region": "us-east-1",
    "meta-data/placement/availability-zone": "us-east-1a",
    "meta-data/services/partition": "aws",
    "meta-data/services/domain": "amazonaws.com",
    "meta-data/autoscaling/target-lifecycle-state": "InService",
    "meta-data/spot/instance-action": '{"action":"terminate","time":"2026-06-01T00:02:00Z"}',
    "meta-data/tags/instance": "allocation-id\naws:autoscaling:groupName\na=b",
    "meta-data/tags/instance/": "allocation-id\naws:autoscaling:groupName\na=b",
    "meta-data/tags/instance/allocation-id": a.allocationId,
    "meta-data/tags/instance/aws%3Aautoscaling%3AgroupName": "web",
    "meta-data/tags/instance/aws:autoscaling:groupName": "web",
    "meta-data/tags/instance/a%3Db": "ü",
    "meta-data/tags/instance/other": 404,
    "meta-data/tags/instance/constructor": 404,
    [macs]: `${first?.mac}/\n${second?.mac}/`,
    [`${macs}${first?.mac}/device-number`]: "0",
    [`${macs}${first?.mac}/public-ipv4s`]: 404,
    [`${macs}${first?.mac}/ipv6s`]: 404,
    [`${macs}${second?.mac}/device-number`]: "1",
    [`${macs}${second?.mac}/network-card-index`]: "1",
    [`${macs}${second?.mac}/interface-id`]: second?.networkInterfaceId ?? "",
    [`${macs}${second?.mac}/local-ipv4s`]:
      second?.addresses.map((at) => at.privateIp).join("\n") ?? "",
    [`${macs}${second?.mac}/public-ipv4s`]: a.publicIp,
    [`${macs}${second?.mac}/ipv4-associations/`]: a.publicIp,
    [`${macs}${second?.mac}/ipv4-associations/${a.publicIp}`]: secondary,
    [`${macs}${second?.mac}/ipv6s`]: "2001:db8::7",
    [`${macs}${second?.mac}/subnet-id`]: second?.subnetId ?? "",
    [`${macs}${second?.mac}/vpc-id`]: world.vpcId,
    [`${macs}${second?.mac}/owner-id`]: "111122223333",
    [`${macs}02:00:00:00:00:00/interface-id`]: 404,
    "meta-data/iam/security-credentials/": "old",
    "meta-data/nothing": 404,
    "meta-data/instance-id/": 404,
    "/meta-data/instance-id": 404,
    "": "dynamic\nmeta-data",
  };
  const got: Record<string, string | number> = {};
  for (const path of Object.keys(expected)) {
    const answer = await get(path);
    const text = await answer.text();
    got[path] = answer.status === 200 ? text : answer.status;
    if (answer.status === 404) expect(text).toContain("<title>404 - Not Found</title>");
  }
  expect(got).toEqual(expected);

  expect(await (await get("dynamic/instance-identity/document")).json()).toMatchObject({
    instanceId: i.instanceId,
    region: "us-east-1",
    accountId: "111122223333",
    availabilityZone: "us-east-1a",
    privateIp: i.privateIp,
    pendingTime: "2026-01-01T00:00:00Z",
  });
  expect(await (await get("meta-data/iam/info")).json()).toMatchObject({
    Code: "Success",
    InstanceProfileArn: "arn:aws:iam::111122223333:instance-profile/old",
  });
  const keys = (await (await get("meta-data/iam/security-credentials/old")).json()) as Record<
    string,
    string
  >;
  expect(keys).toMatchObject({ Code: "Success", Type: "AWS-HMAC" });
  expect(keys["AccessKeyId"]).toMatch(/^ASIA[A-Z2-7]{16}$/);
  expect(region.secrets).toContain(keys["SecretAccessKey"]);
  expect(region.secrets).toContain(keys["Token"]);
});

test("tags: 404 while switched off, and until they have propagated", async () => {
  const world = aWorld();
  let now = Date.UTC(2026, 5, 1);
  const i = world.instance({ tags: { a: "b" }, tagsFrom: now, metadataTagsFrom: now + 5000 });
  const region = await start(world, { now: () => now });
  const get = await imds(region, i.instanceId);
  const status = async (): Promise<number> => (await get("meta-data/tags/instance/a")).status;
  now += 5000;
  expect(await status()).toBe(404);
  region.region.setMetadata(i.instanceId, { tags: true });
  expect(await status()).toBe(200);
  now -= 1;
  expect(await status()).toBe(404);
});

test("outside an Auto Scaling group, without a role, without a spot action: 404; switched off: 403", async () => {
  const world = aWorld();
  const i = world.instance({ role: undefined });
  const region = await start(world);
  const get = await imds(region, i.instanceId);
  for (const path of [
    "autoscaling/target-lifecycle-state",
    "spot/instance-action",
    "iam/info",
    "iam/security-credentials/",
  ]) {
    expect([path, (await get(`meta-data/${path}`)).status]).toEqual([path, 404]);
  }
  region.region.setLifecycle(i.instanceId, "Warmed:Stopped");
  expect(await (await get("meta-data/autoscaling/target-lifecycle-state")).text()).toBe(
    "Warmed:Stopped",
  );
  region.region.setMetadata(i.instanceId, { metadata: "disabled" });
  expect((await get("meta-data/instance-id")).status).toBe(403);
});

test("broken credentials are a 200 with another code", async () => {
  const world = aWorld();
  const i = world.instance({ role: "old" });
  const region = await start(world);
  const get = await imds(region, i.instanceId);
  region.region.setCredentials("old", { broken: "AssumeRoleUnauthorizedAccess" });
  expect(await (await get("meta-data/iam/security-credentials/old")).json()).toMatchObject({
    Code: "AssumeRoleUnauthorizedAccess",
  });
  region.region.setCredentials("old", { broken: "InstanceProfileNotFound" });
  expect(await (await get("meta-data/iam/info")).json()).toMatchObject({
    Code: "InstanceProfileNotFound",
  });
});

test("the public address appears in IMDS when it has got there", async () => {
  const world = aWorld({ settings: { imdsStalenessMs: 3000 } });
  const a = world.address();
  const i = world.instance();
  let now = Date.UTC(2026, 5, 1);
  const region = await start(world, { now: () => now });
  const get = await imds(region, i.instanceId);
  now += 10_000;
  region.region.associate(a.allocationId, i.instanceId);
  now += 2999;
  expect((await get("meta-data/public-ipv4")).status).toBe(404);
  now += 1;
  expect(await (await get("meta-data/public-ipv4")).text()).toBe(a.publicIp);
});

test("a double slash is another path", async () => {
  const world = aWorld();
  const i = world.instance();
  const region = await start(world);
  const url = region.imdsUrl(i.instanceId);
  const token = await (
    await fetch(`${url}/latest/api/token`, { method: "PUT", headers: { [TTL]: "60" } })
  ).text();
  const headers = { "x-aws-ec2-metadata-token": token };
  expect((await fetch(`${url}//latest/meta-data/instance-id`, { headers })).status).toBe(404);
  expect((await fetch(`${url}/2021-03-23/meta-data/instance-id`, { headers })).status).toBe(200);
  expect(
    (await fetch(`${url}/latest/meta-data/instance-id`, { headers, method: "POST" })).status,
  ).toBe(405);
});

test("a good token that is not honoured for a while", async () => {
  const world = aWorld();
  const i = world.instance();
  let now = Date.UTC(2026, 5, 1);
  const region = await start(world, { now: () => now });
  region.faults.add({ ...TOKEN_NOT_HONOURED, until: now + 10_000 });
  const get = await imds(region, i.instanceId);
  expect((await get("meta-data/instance-id")).status).toBe(401);
  now += 10_000;
  expect((await get("meta-data/instance-id")).status).toBe(200);
});

test("one listener for all: instances are told apart by their address", async () => {
  const world = aWorld();
  // The loopback network stands in for the subnet, so that two source addresses exist here.
  const [i, j] = [
    world.instance({ privateIp: "127.0.0.11" }),
    world.instance({ privateIp: "127.0.0.12" }),
  ];
  const region = await start(world, { imdsBySource: { host: "127.0.0.1", port: 0 } });
  const send = (
    localAddress: string,
    method: string,
    path: string,
    headers: Record<string, string>,
  ): Promise<string> =>
    new Promise((resolve, reject) => {
      request(
        `${region.imdsBySourceUrl ?? ""}${path}`,
        { method, headers, localAddress },
        (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
          response.on("end", () => resolve(text));
        },
      )
        .on("error", reject)
        .end();
    });
  const tokenOf = (source: string): Promise<string> =>
    send(source, "PUT", "/latest/api/token", { [TTL]: "60" });
  const from = async (source: string): Promise<string> =>
    send(source, "GET", "/latest/meta-data/instance-id", {
      "x-aws-ec2-metadata-token": await tokenOf(source),
    });
  expect(await from("127.0.0.11")).toBe(i.instanceId);
  expect(await from("127.0.0.12")).toBe(j.instanceId);
  expect(await tokenOf("127.0.0.13")).toContain("no instance has the private address 127.0.0.13");
});
