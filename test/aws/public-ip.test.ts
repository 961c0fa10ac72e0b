/** Which address a URL shows: what counts as one, and what is said of everything else. */
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { addressIn, publicIpBy } from "../../src/aws/public-ip.ts";
import { proxiesIn } from "../../src/aws/proxy.ts";
import { Failure } from "../../src/model/failure.ts";

describe("an answer", () => {
  test.each([
    ["203.0.113.7", "203.0.113.7"],
    [" 203.0.113.7\r\n", "203.0.113.7"],
    ['{"ip":"203.0.113.7"}', "203.0.113.7"],
    ['{"origin":" 203.0.113.7 ","n":[1,{"x":"203.0.113.7"}],"ok":true}', "203.0.113.7"],
    ['"203.0.113.7"', "203.0.113.7"],
    ['{"ip":"203.0.113.7","via":"198.51.100.1"}', undefined],
    ['{"ip":"2001:db8::7"}', undefined],
    ["{}", undefined],
    ["203.0.113.7 198.51.100.1", undefined],
    ["203.0.113.07", undefined],
    ["<html>203.0.113.7</html>", undefined],
    ["", undefined],
    ["[".repeat(10_000), undefined],
  ])("%j shows %s", (body, expected) => expect(addressIn(body)).toBe(expected));
});

describe("a request", () => {
  const servers: ReturnType<typeof createServer>[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });
  async function serve(listener: RequestListener): Promise<URL> {
    const server = createServer(listener).listen(0, "127.0.0.1");
    servers.push(server);
    await new Promise((done) => server.once("listening", done));
    return new URL(
      `http://user:geheim@127.0.0.1:${(server.address() as AddressInfo).port}/ip?a=geheim`,
    );
  }
  const ask = (
    url: URL,
    environment: Record<string, string> = {},
    signal = AbortSignal.timeout(60_000),
  ) => publicIpBy(url, { proxyFor: proxiesIn(environment) }, signal);
  const failureOf = async (work: Promise<unknown>): Promise<Failure> => {
    const failure: unknown = await work.catch((error: unknown) => error);
    if (!(failure instanceof Failure)) throw new Error(`it has not failed: ${String(failure)}`);
    expect(failure.kind).toBe("unreachable");
    expect(failure.message).not.toContain("geheim");
    return failure;
  };

  test("goes over a connection of its own each time, with the user and password of the URL", async () => {
    const requests: IncomingMessage[] = [];
    const url = await serve((request, response) => {
      requests.push(request);
      response.end("203.0.113.7\n");
    });
    expect(await ask(url)).toEqual({ publicIp: "203.0.113.7" });
    await ask(url);
    const [first, second] = requests;
    expect(first?.url).toBe("/ip?a=geheim");
    expect(first?.headers["cache-control"]).toBe("no-cache");
    expect(first?.headers.authorization).toBe(
      `Basic ${Buffer.from("user:geheim").toString("base64")}`,
    );
    expect(first?.socket.remotePort).not.toBe(second?.socket.remotePort);
  });

  test("goes through the proxy for its protocol, and says by which variable", async () => {
    const asked: (string | undefined)[] = [];
    const proxy = await serve((request, response) => {
      asked.push(request.url);
      response.end("198.51.100.1");
    });
    const target = new URL("http://checkip.example.com/");
    const environment = { HTTP_PROXY: `http://127.0.0.1:${proxy.port}` };
    expect(await ask(target, environment)).toEqual({
      publicIp: "198.51.100.1",
      proxyVariable: "HTTP_PROXY",
    });
    expect(asked).toEqual(["http://checkip.example.com/"]);
    const url = await serve((_, response) => response.end("203.0.113.7"));
    expect(await ask(url, { ...environment, NO_PROXY: "127.0.0.1" })).toEqual({
      publicIp: "203.0.113.7",
    });
  });

  test.each<[string, RequestListener, RegExp]>([
    [
      "another status",
      (_, response) => void response.writeHead(503).end("203.0.113.7"),
      /status 503/,
    ],
    [
      "a page",
      (_, response) => response.end("<html>hello</html>"),
      /without an IPv4 address, or with several: "<html>hello<\/html>"/,
    ],
    [
      "a redirect",
      (_, response) => void response.writeHead(301, { location: "/x" }).end(),
      /status 301/,
    ],
    ["a body without an end", (_, response) => endless(response), /"too long"/],
    [
      "a connection that breaks",
      (request) => request.socket.destroy(),
      /connection reset|socket hang up/,
    ],
    [
      "half a body",
      (_, response) => {
        response.writeHead(200, { "content-length": 50 });
        response.write("203.");
        setTimeout(() => response.destroy(), 50);
      },
      /aborted|reset/,
    ],
  ])("that is answered with %s is a failure", async (_, listener, said) => {
    const url = await serve(listener);
    const { message } = await failureOf(ask(url));
    expect(message).toMatch(said);
    expect(message).toContain(`GET http://${url.host}/ip`);
  });

  test("to where nobody listens is one, and so is one that nobody answers", async () => {
    const url = await serve(() => {});
    const stop = new AbortController();
    const stopped = new Error("stopped by SIGTERM");
    const pending = ask(url, {}, stop.signal).catch((error: unknown) => error);
    stop.abort(stopped);
    expect(await pending).toBe(stopped);
    expect((await failureOf(ask(url))).message).toContain("no complete answer within 5 s");
    const [server] = servers.splice(0);
    server?.closeAllConnections();
    await new Promise((done) => server?.close(done));
    expect((await failureOf(ask(url))).message).toContain("connection refused (ECONNREFUSED)");
  });
});

/** Sends more and more of a body, at the speed at which it is read. */
function endless(response: {
  write(text: string): boolean;
  once(event: string, then: () => void): unknown;
  destroyed: boolean;
}): void {
  while (!response.destroyed && response.write("x".repeat(1_024)));
  response.once("drain", () => endless(response));
}
