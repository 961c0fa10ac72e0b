/** The connection to EC2 that is made while instance metadata is read, over real sockets. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request as send } from "node:https";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type RunningRegion, startRegion } from "../../sim/server.ts";
import { aWorld } from "../../sim/world.ts";
import { usualUrl } from "../../src/aws/ahead.ts";
import { connectApi } from "../../src/aws/ec2-api.ts";
import { awsIn } from "../../src/aws/session.ts";
import { resettableAgents } from "../../src/aws/sockets.ts";
import { makeAuthority } from "../support/certificates.ts";
import { type Front, startFront } from "../support/front.ts";

const folder = mkdtempSync(join(tmpdir(), "eip-heal-ahead-"));
const world = aWorld();
const { instanceId } = world.instance({ metadataTags: true });
const signal = new AbortController().signal;
let tls: { cert: string; key: string };
let bundle: string;
let region: RunningRegion;
let ec2: Front;
beforeAll(async () => {
  const authority = await makeAuthority(folder);
  tls = await authority.issue("localhost");
  bundle = authority.file;
});
beforeEach(async () => {
  region = await startRegion(world, { tls });
  ec2 = await startFront(Number(new URL(region.ec2Url).port));
});
afterEach(async () => {
  ec2.close();
  await region.close();
});
afterAll(() => rmSync(folder, { recursive: true }));

function aws(environment: Record<string, string> = {}) {
  const all = {
    AWS_EC2_METADATA_SERVICE_ENDPOINT: region.imdsUrl(instanceId),
    AWS_ENDPOINT_URL_EC2: `https://localhost:${ec2.port}`,
    AWS_CA_BUNDLE: bundle,
    ...environment,
  };
  return awsIn(all, "test", (path) => readFileSync(path, "utf8"));
}

type Session = Awaited<ReturnType<ReturnType<typeof aws>["open"]>>;

/** Sends one request to EC2. */
async function ask(session: Session): Promise<unknown> {
  const api = await session.ec2(await session.instance([]));
  try {
    return await api.tags().catch((error: unknown) => error);
  } finally {
    api.close();
  }
}

test("it is there before anything but the region is known, and the first request goes over it", async () => {
  const session = await aws().open(signal, true);
  await ec2.first();
  expect(region.imdsRequests.map(({ path }) => path)).toEqual([
    "/latest/api/token",
    "/latest/dynamic/instance-identity/document",
  ]);
  expect(await ask(session)).toEqual({});
  expect(region.calls.map(({ action }) => action)).toEqual(["DescribeInstances"]);
  expect(ec2.sockets.length).toBe(1);
});

test("there is one in a run, and only for a session that needs EC2", async () => {
  const { open } = aws();
  await (await open(signal)).instance([]);
  expect(ec2.sockets.length).toBe(0);
  expect(await ask(await open(signal, true))).toEqual({});
  expect(ec2.sockets.length).toBe(1);
  await (await open(signal, true)).instance([]);
  expect(ec2.sockets.length).toBe(1);
});

test("it goes through the proxy as every request does, once", async () => {
  const targets: string[] = [];
  const proxy = createServer((socket) => {
    socket.once("data", (head) => {
      targets.push(head.toString().split("\r\n")[0] ?? "");
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      const forth = connect(ec2.port, "127.0.0.1");
      socket.pipe(forth).pipe(socket);
    });
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const { port } = proxy.address() as AddressInfo;
  const session = await aws({ HTTPS_PROXY: `http://127.0.0.1:${port}` }).open(signal, true);
  await ec2.first();
  expect(await ask(session)).toEqual({});
  expect(targets).toEqual([`CONNECT localhost:${ec2.port} HTTP/1.1`]);
  proxy.close();
});

test("closed while the proxy has yet to answer: no request that waits for it connects anew", async () => {
  const proxy = createServer((socket) => void socket.resume().on("error", () => {}));
  proxy.listen(0, "127.0.0.1");
  const connected = once(proxy, "connection");
  await once(proxy, "listening");
  const url = new URL(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
  const agents = resettableAgents({ proxyFor: () => ({ url, variable: "HTTPS_PROXY" }) });
  agents.connectAhead(new URL("https://ec2.example"));
  const [first] = (await connected) as [Socket];
  // Only an answer to the request of the tunnel is awaited now.
  await once(first, "data");
  const request = send({ host: "ec2.example", agent: agents.httpsAgent }).end();
  const failed = once(request, "error");
  const again = once(proxy, "connection").then(() => "it connects anew");
  agents.close();
  expect(await Promise.race([failed, again])).toEqual([new Error("closed")]);
  proxy.close();
});

describe("one that comes to nothing is silent", () => {
  test("refused: the request connects anew", async () => {
    const { port } = ec2;
    ec2.close();
    const session = await aws().open(signal, true);
    await session.instance([]);
    ec2 = await startFront(Number(new URL(region.ec2Url).port), port);
    expect(await ask(session)).toEqual({});
    expect(ec2.sockets.length).toBe(1);
  });

  test("closed before it is used: the request connects anew", async () => {
    const session = await aws().open(signal, true);
    const socket = await ec2.first();
    socket.resetAndDestroy();
    await session.instance([]);
    expect(await ask(session)).toEqual({});
    expect(ec2.sockets.length).toBe(2);
  });

  test("a certificate that nobody vouches for: the request says so", async () => {
    const other = await makeAuthority(join(folder, "other"));
    const session = await aws({ AWS_CA_BUNDLE: other.file }).open(signal, true);
    await ec2.first();
    expect(String(await ask(session))).toContain("certificate");
  });

  test("without an identity there is none, and who needs the identity says why", async () => {
    const rule = { service: "imds", path: "/latest/dynamic", effect: { do: "reset" } } as const;
    region.faults.add(rule);
    const session = await aws().open(signal, true);
    await expect(session.instance([])).rejects.toThrow("instance metadata");
    expect(ec2.sockets.length).toBe(0);
  });
});

test("until it is used it does not keep the process alive", async () => {
  const sockets = resolve(import.meta.dirname, "../../src/aws/sockets.ts");
  const script = `
    import { resettableAgents } from ${JSON.stringify(sockets)};
    resettableAgents().connectAhead(new URL("https://127.0.0.1:${ec2.port}"));
    process.stdin.once("data", () => {
      console.log(process.getActiveResourcesInfo().filter((one) => /TCP|TLS/.test(one)).join());
      process.exit();
    });`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
  let told = "";
  child.stdout.on("data", (text: Buffer) => (told += text.toString()));
  await ec2.first();
  child.stdin.write("now\n");
  expect(await once(child, "close")).toEqual([0, null]);
  expect(told).toBe("\n");
});

test.each(["us-east-1", "eu-central-2", "cn-north-1", "us-gov-west-1", "eusc-de-east-1"])(
  "%s: the name of EC2 there is the one that the SDK knows",
  (name) => {
    const api = connectApi({
      self: { instanceId, region: name, zone: `${name}a`, interfaces: [] },
      credentials: () => Promise.reject(new Error("nothing is asked")),
      dualStack: false,
      fips: false,
      signal,
      version: "test",
      skew: { offsetMs: 0 },
    });
    api.close();
    expect(usualUrl(name)).toBe(`https://${api.host}`);
  },
);
