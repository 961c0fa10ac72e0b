/** Instance metadata over real sockets: what is asked of it and how, and what bounds a try that it would have go on. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { openMetadata } from "../../src/aws/imds.ts";
import { readIdentity, readInstance } from "../../src/aws/self.ts";
import { awsIn } from "../../src/aws/session.ts";
import { readTextFile } from "../../src/system/text-file.ts";
import { Failure } from "../../src/model/failure.ts";

const many = (count: number, row: (n: number) => string) =>
  Array.from({ length: count }, (_, n) => row(n)).join("\n");
const bytes = (n: number) => `${Math.floor(n / 256)}.${n % 256}`;
const mac = (n: number) => `02:00:00:00:00:${n.toString(16).padStart(2, "0")}`;

/** What reading an instance of so many interfaces comes to, and how often its metadata was asked for something. */
async function readOne(interfaces: number, addresses: number) {
  const leaves: readonly (readonly [RegExp, string])[] = [
    [/instance-id$/, "i-00000000000000001"],
    [/region$/, "us-east-1"],
    [/availability-zone$/, "us-east-1a"],
    [/macs\/$/, many(interfaces, (n) => `${mac(n)}/`)],
    [/interface-id$/, "eni-00000000000000001"],
    [/(device-number|card-index)$/, "0"],
    [/local-ipv4s$/, many(addresses, (n) => `10.0.${bytes(n)}`)],
    [/public-ipv4s$/, many(addresses, (n) => `198.18.${bytes(n)}`)],
    [/ipv4-associations/, "10.0.0.1"],
  ];
  let asked = 0;
  let open = 0;
  let mostOpen = 0;
  const server = createServer((request, response) => {
    asked++;
    const [, leaf] = leaves.find(([path]) => path.test(request.url ?? "")) ?? [];
    if (request.method === "PUT") response.end("token");
    else if (leaf === undefined) response.writeHead(404).end();
    else response.end(leaf);
  });
  server.on("connection", (socket) => {
    mostOpen = Math.max(mostOpen, ++open);
    socket.once("close", () => open--);
  });
  await new Promise<void>((done) => void server.listen(0, "127.0.0.1", done));
  try {
    const { port } = server.address() as AddressInfo;
    const { signal } = new AbortController();
    const metadata = await openMetadata(`http://127.0.0.1:${port}`, signal);
    const identity = readIdentity(metadata);
    const read: unknown = await readInstance(metadata, identity, [], undefined, false).catch(
      (error: unknown) => error,
    );
    return { read, asked, mostOpen };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test("15 interfaces with 50 Elastic IPs each are read", async () => {
  const { read, mostOpen } = await readOne(15, 50);
  expect(read).toMatchObject({ instanceId: "i-00000000000000001" });
  expect((read as { interfaces: unknown[] }).interfaces).toHaveLength(15);
  expect(mostOpen).toBeLessThanOrEqual(70);
});

test("more interfaces than an instance has are none", async () => {
  const { read } = await readOne(129, 1);
  expect(read).toBeInstanceOf(Failure);
  expect((read as Failure).message).toBe(
    "instance metadata lists 129 network interfaces, more than any instance has; does something else answer in its place (a proxy, an emulator)? (meta-data/network/interfaces/macs/)",
  );
});

test("each with thousands of addresses, a try ends after 2,000 reads", async () => {
  const { read, asked, mostOpen } = await readOne(100, 4_000);
  expect((read as Failure).message).toMatch(
    /^instance metadata lists more interfaces and addresses than an instance can have; does /,
  );
  expect(asked).toBeLessThanOrEqual(2_001);
  expect(mostOpen).toBeLessThanOrEqual(70);
});

const DOCUMENT = {
  instanceId: "i-00000000000000001",
  region: "us-east-1",
  availabilityZone: "us-east-1a",
  accountId: "111122223333",
};
const LEAVES: Readonly<Record<string, string>> = {
  "meta-data/instance-id": "i-00000000000000002",
  "meta-data/placement/region": "eu-west-1",
  "meta-data/placement/availability-zone": "eu-west-1b",
  "meta-data/services/partition": "aws",
  "meta-data/network/interfaces/macs/": `${mac(1)}/`,
  [`meta-data/network/interfaces/macs/${mac(1)}/interface-id`]: "eni-00000000000000001",
  [`meta-data/network/interfaces/macs/${mac(1)}/vpc-id`]: "vpc-00000000000000001",
};

/** Does something with instance metadata that shows these leaves: what comes of it, and the requests. */
async function reading<T>(
  leaves: Readonly<Record<string, string>>,
  work: (url: string) => Promise<T>,
) {
  const requests: Pick<IncomingMessage, "method" | "url" | "headers">[] = [];
  const server = createServer((request, response) => {
    const { method, url = "", headers } = request;
    requests.push({ method, url, headers });
    const leaf = leaves[url.replace("/latest/", "")];
    if (method === "PUT") response.end("token==");
    else if (leaf === undefined) response.writeHead(404).end();
    else response.end(leaf);
  });
  await new Promise<void>((done) => void server.listen(0, "127.0.0.1", done));
  try {
    const came = await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    return { came, requests, paths: requests.map(({ url }) => url?.replace("/latest/", "")) };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
const sessionAt = (url: string) =>
  awsIn({ AWS_EC2_METADATA_SERVICE_ENDPOINT: url }, "0", readTextFile).open(
    new AbortController().signal,
  );
const ALL = { ...LEAVES, "dynamic/instance-identity/document": JSON.stringify(DOCUMENT) };

describe("what is asked", () => {
  const before = { ...process.env };
  afterEach(() => void (process.env = { ...before }));

  test("a token, once, and nothing without it", async () => {
    const { requests } = await reading(ALL, async (url) => (await sessionAt(url)).instance(["a"]));
    const [put, ...gets] = requests;
    expect(put).toMatchObject({
      method: "PUT",
      url: "/latest/api/token",
      headers: { "x-aws-ec2-metadata-token-ttl-seconds": "300" },
    });
    expect(gets.length).toBeGreaterThan(5);
    for (const get of gets) {
      expect(get).toMatchObject({
        method: "GET",
        headers: { "x-aws-ec2-metadata-token": "token==" },
      });
    }
  });

  test("of two tags the second only matters where the first is absent: it may then not be unreadable", async () => {
    const tags = "meta-data/tags/instance/";
    const readTags = async (leaves: Record<string, string>) =>
      (
        await reading({ ...ALL, ...leaves }, async (url) => {
          const session = await sessionAt(url);
          const read = session.instance(["first", "second"], { ignored: true });
          return read.catch((error: unknown) => error);
        })
      ).came;
    const page = "<html>busy</html>";
    const both = await readTags({ [`${tags}first`]: "a", [`${tags}second`]: "b" });
    expect(both).toMatchObject({ tag: { value: "a" }, ignoredTag: { value: "b" } });
    const first = await readTags({ [`${tags}first`]: "a", [`${tags}second`]: page });
    expect(first).toMatchObject({ tag: { key: "first", value: "a" } });
    expect(first).not.toHaveProperty("ignoredTag");
    for (const leaves of [
      { [`${tags}first`]: page, [`${tags}second`]: "b" },
      { [`${tags}second`]: page },
    ]) {
      expect(await readTags(leaves as Record<string, string>)).toMatchObject({
        kind: "unreachable",
      });
    }
  });

  test("what the SDK would find in variables and profile files changes nothing", async () => {
    Object.assign(process.env, {
      AWS_EC2_METADATA_V1_DISABLED: "true",
      AWS_EC2_METADATA_SERVICE_ENDPOINT: "http://127.0.0.1:9",
      AWS_PROFILE: "other",
      AWS_CONFIG_FILE: "/nonexistent",
    });
    const { came } = await reading(ALL, async (url) => (await sessionAt(url)).instance([]));
    expect(came).toMatchObject({ instanceId: DOCUMENT.instanceId });
  });

  test("who the instance is, once in a session, by its identity document", async () => {
    const { came, paths } = await reading(ALL, async (url) => {
      const session = await sessionAt(url);
      const self = await session.instance([]);
      await session.instance([]);
      const [ownRegion, context] = [await session.ownRegion(), await session.instanceContext(self)];
      return { self, ownRegion, context };
    });
    const { instanceId, region, availabilityZone: zone, accountId: account } = DOCUMENT;
    expect(came).toMatchObject({
      self: { instanceId, region, zone },
      ownRegion: region,
      context: { account, partition: "aws" },
    });
    expect(paths.filter((path) => /document|instance-id|placement/.test(path ?? ""))).toEqual([
      "dynamic/instance-identity/document",
    ]);
  });

  test("where there is no document: the leaves, which have no account", async () => {
    const { came } = await reading(LEAVES, async (url) => {
      const session = await sessionAt(url);
      const self = await session.instance([]);
      const context = await session.instanceContext(self).catch((error: unknown) => error);
      return { self, context };
    });
    expect(came.self).toMatchObject({
      instanceId: "i-00000000000000002",
      region: "eu-west-1",
      zone: "eu-west-1b",
    });
    expect(came.context).toMatchObject({
      kind: "not-yet",
      details: { request: "dynamic/instance-identity/document" },
    });
  });

  test.each([
    ["no JSON", "<html>"],
    ["no object", '"i-00000000000000001"'],
    ["an id that is none", JSON.stringify({ ...DOCUMENT, instanceId: "i-1;id" })],
    ["a region that is none", JSON.stringify({ ...DOCUMENT, region: "us-east-1/" })],
    [
      "a zone that is too long",
      JSON.stringify({ ...DOCUMENT, availabilityZone: `us-east-1${"a".repeat(60)}` }),
    ],
    ["an account of ten digits", JSON.stringify({ ...DOCUMENT, accountId: "0123456789" })],
  ])("where the document is none, the leaves: %s", async (_, document) => {
    const leaves = { ...LEAVES, "dynamic/instance-identity/document": document };
    const { came } = await reading(leaves, async (url) => (await sessionAt(url)).instance([]));
    expect(came).toMatchObject({ instanceId: "i-00000000000000002", region: "eu-west-1" });
  });

  test("an account that is none is no answer", async () => {
    const document = JSON.stringify({ ...DOCUMENT, accountId: "0123456789" });
    const leaves = { ...LEAVES, "dynamic/instance-identity/document": document };
    const { came } = await reading(leaves, async (url) => {
      const session = await sessionAt(url);
      const self = await session.instance([]);
      return session.instanceContext(self).catch((error: unknown) => error);
    });
    expect(came).toMatchObject({
      kind: "unreachable",
      details: { request: "dynamic/instance-identity/document" },
    });
    expect((came as Failure).message).toContain("instance metadata answered with something else: ");
  });

  test.each([
    ["absent", undefined, undefined],
    ["a notice", '{"action": "hibernate", "time": "2026-01-01T00:00:00Z"}', "hibernate"],
  ])("what is about to happen to a spot instance: %s", async (_, notice, action) => {
    const leaves = notice === undefined ? {} : { "meta-data/spot/instance-action": notice };
    const { came } = await reading(leaves, async (url) => (await sessionAt(url)).spotAction());
    expect(came).toBe(action);
  });

  test("a notice that is none is no answer", async () => {
    const leaves = { "meta-data/spot/instance-action": '{"action": "<b>"}' };
    const { came } = await reading(leaves, async (url) =>
      (await sessionAt(url)).spotAction().catch((error: unknown) => error),
    );
    expect((came as Failure).details.request).toBe("meta-data/spot/instance-action");
  });
});
