/** Connections that are reset, and not merely closed: what a peer on loopback sees of them. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request as sendPlain } from "node:http";
import { createServer as createTlsServer, request as sendTls } from "node:https";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { resettableAgents } from "../../src/aws/sockets.ts";
import { Failure } from "../../src/model/failure.ts";
import { makeAuthority } from "../support/certificates.ts";
import { ec2At } from "../support/ec2-at.ts";

const folder = mkdtempSync(join(tmpdir(), "eip-heal-sockets-"));
let tls: { cert: string; key: string };
let byIp: { cert: string; key: string };
let ca: string;
beforeAll(async () => {
  const authority = await makeAuthority(folder);
  byIp = await authority.issue("127.0.0.1");
  tls = await authority.issue("localhost");
  ca = readFileSync(authority.file, "utf8");
});
afterAll(() => rmSync(folder, { recursive: true }));

async function listen(server: Server): Promise<number> {
  await new Promise<void>((done) => void server.listen(0, "127.0.0.1", done));
  return (server.address() as AddressInfo).port;
}

/** How the first connection to a server ends: `reset` or `closed`. */
function endingOf(server: Server): Promise<string> {
  return new Promise((done) => {
    server.once("connection", (socket) => {
      socket.resume();
      socket.once("error", ({ code }: NodeJS.ErrnoException) =>
        done(code === "ECONNRESET" ? "reset" : String(code)),
      );
      socket.once("end", () => done("closed"));
    });
  });
}

test("an association that is not answered in time resets its connection, so that it cannot arrive later", async () => {
  const server = createServer();
  const port = await listen(server);
  const ending = endingOf(server);
  const api = ec2At(port);
  const failure: unknown = await api
    .associateAddress({ allocationId: "eipalloc-00000001", allowReassociation: true })
    .catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(Failure);
  expect((failure as Failure).message).toContain("no complete answer within 2 s");
  expect(await ending).toBe("reset");
  api.close();
  server.close();
});

describe("over TLS", () => {
  test("a reset comes before the connection is closed in an orderly way", async () => {
    const server = createTlsServer(tls, () => {});
    const behind = await listen(server);
    // TLS would not say how its connection has ended.
    const front = createServer((socket) => {
      const forth = connect(behind, "127.0.0.1").on("error", () => {});
      socket.pipe(forth).pipe(socket);
    });
    const port = await listen(front);
    const ending = endingOf(front);
    const agents = resettableAgents();
    const options = {
      host: "127.0.0.1",
      servername: "localhost",
      port,
      ca,
      agent: agents.httpsAgent,
    };
    const request = sendTls({ ...options, method: "POST" });
    const failed = new Promise((done) => request.once("error", done));
    request.end("Action=AssociateAddress");
    await new Promise<void>((done) => void server.once("request", () => done()));
    agents.reset();
    request.destroy();
    await failed;
    expect(await ending).toBe("reset");
    front.close();
    server.close();
  });

  test("the next address of a name is tried where the first one refuses", async () => {
    const server = createTlsServer(tls, (_, response) => response.end("here"));
    const port = await listen(server);
    const addresses = ["127.0.0.2", "127.0.0.1"].map((address) => ({ address, family: 4 }));
    const status = await new Promise((done, reject) => {
      const request = sendTls({
        host: "localhost",
        port,
        ca,
        agent: resettableAgents().httpsAgent,
        lookup: (_host, _options, callback) => callback(null, addresses),
      });
      request.once("error", reject);
      request.once("response", (response) => done(response.resume().statusCode));
      request.end();
    });
    expect(status).toBe(200);
    server.close();
  });
});

test.each([
  ["localhost", "localhost"],
  ["127.0.0.1", false],
])("a proxy at https://%s is checked against that name and sent %s as it", async (host, sent) => {
  const names: unknown[] = [];
  const proxy = createTlsServer(host === "localhost" ? tls : byIp);
  proxy.on("secureConnection", ({ servername }) => names.push(servername));
  proxy.on("connect", (_, socket) => socket.end("HTTP/1.1 403 Forbidden\r\n\r\n"));
  const port = await listen(proxy);
  const url = new URL(`https://${host}:${port}`);
  const agents = resettableAgents({ ca, proxyFor: () => ({ url, variable: "HTTPS_PROXY" }) });
  const error = await new Promise<Error>((done) => {
    sendTls({ host: "ec2.example", agent: agents.httpsAgent }).once("error", done).end();
  });
  expect(error.message).toContain("answers 403 to CONNECT ec2.example:443");
  expect(names).toEqual([sent]);
  agents.close();
  proxy.close();
});

test.each(["http", "https"])(
  "%s: a refused connection is an error of the request",
  async (scheme) => {
    const server = createServer();
    const port = await listen(server);
    await new Promise((done) => server.close(done));
    const { httpAgent, httpsAgent } = resettableAgents();
    const code = await new Promise((done) => {
      const send = scheme === "http" ? sendPlain : sendTls;
      const agent = scheme === "http" ? httpAgent : httpsAgent;
      const request = send({ host: "127.0.0.1", port, agent });
      request.once("error", (error: NodeJS.ErrnoException) => done(error.code));
      request.end();
    });
    expect(code).toBe("ECONNREFUSED");
  },
);
