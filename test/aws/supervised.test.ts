/** Calls that nobody can end, over real sockets: what they come to, and that nothing is left of their connections. */
import { once } from "node:events";
import { Agent, createServer, type RequestListener, request as send } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { afterEach, expect, test } from "vitest";
import { LimitReached, type Limits, supervised } from "../../src/aws/supervised.ts";

const servers: Server[] = [];
afterEach(() => servers.splice(0).forEach((server) => server.close()));

async function listen(server: Server) {
  servers.push(server);
  const closed: Promise<unknown>[] = [];
  server.on("connection", (socket) => {
    socket.on("error", () => {});
    closed.push(new Promise((resolve) => void socket.once("close", resolve)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    /** Waits until no connection is open, of as many as there were. */
    allClosed: async () => (await Promise.all(closed)).length,
  };
}
/** A server that leaves connections open. */
const serve = (answer: RequestListener) => listen(createServer({ keepAliveTimeout: 0 }, answer));

/** As a library does it: over a pool of its own, refuses what is not 200, and cannot be ended. */
async function call(url: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  // Some of them do something else first.
  await Promise.resolve();
  const sent = send(url, { agent: new Agent({ keepAlive: true }) }, (response) => {
    if (response.statusCode !== 200) return reject(new Error("refused"));
    let text = "";
    response.on("data", (chunk: Buffer) => (text += chunk.toString()));
    // Not at once: the connection is in the pool by then.
    response.on("end", () => setImmediate(resolve, text));
    response.on("error", () => reject(new Error("something went wrong")));
  });
  sent.on("error", () => reject(new Error("something went wrong")));
  sent.end();
  return promise;
}

const within = (limits: Partial<Limits> = {}): Limits => ({
  ms: 60_000,
  maxBytes: 1_000_000,
  signal: new AbortController().signal,
  ...limits,
});
const failureOf = (work: Promise<unknown>) => work.catch((error: unknown) => error);

test("what is answered is returned, and no connection is kept", async () => {
  const { url, allClosed } = await serve((_, response) => response.end("text"));
  expect(await supervised(() => call(url), within())).toEqual({ status: 200, value: "text" });
  expect(await allClosed()).toBe(1);
});

test("an answer that the library refuses is one, with its status, and its body is not waited for", async () => {
  const { url, allClosed } = await serve((_, response) => response.writeHead(403).write("no"));
  expect(await supervised(() => call(url), within())).toEqual({ status: 403 });
  expect(await allClosed()).toBe(1);
});

test("a body that does not end is ended", async () => {
  const { url, allClosed } = await serve((_, response) => response.writeHead(200).write("a"));
  const failure = await failureOf(supervised(() => call(url), within({ ms: 50 })));
  expect(failure).toBeInstanceOf(LimitReached);
  expect(failure).toMatchObject({ limit: "ms" });
  expect(await allClosed()).toBe(1);
});

test("a body that goes on and on is ended once it is too long", async () => {
  const { url, allClosed } = await serve((_, response) => {
    const more = () => {
      while (!response.destroyed && response.write("a".repeat(10_000)));
    };
    response.writeHead(200).on("drain", more);
    more();
  });
  const failure = await failureOf(supervised(() => call(url), within({ maxBytes: 100_000 })));
  expect(failure).toMatchObject({ limit: "maxBytes" });
  expect(await allClosed()).toBe(1);
});

test("the signal ends it, before and while it is under way", async () => {
  const stop = new AbortController();
  const reason = new Error("stopped");
  const { url, allClosed } = await serve(() => stop.abort(reason));
  const limits = within({ signal: stop.signal });
  expect(await failureOf(supervised(() => call(url), limits))).toBe(reason);
  expect(await allClosed()).toBe(1);
  expect(await failureOf(supervised(() => call(url), limits))).toBe(reason);
  expect(await allClosed()).toBe(1);
});

test("a request that the library makes only afterwards does not arrive", async () => {
  let arrived = 0;
  const { url } = await serve((_, response) => {
    arrived++;
    response.end("text");
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  let made: Promise<unknown> | undefined;
  const begin = () => (made = failureOf(promise.then(() => call(url))));
  const failure = await failureOf(supervised(begin as () => Promise<string>, within({ ms: 1 })));
  expect(failure).toMatchObject({ limit: "ms" });
  resolve();
  expect(await made).toMatchObject({ message: "something went wrong" });
  expect(arrived).toBe(0);
});

test.each([
  [
    "a reset in the middle of the body",
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na",
    "ECONNRESET",
  ],
  ["what is not HTTP", "SSH-2.0-OpenSSH_9.2\r\n", "HPE_INVALID_CONSTANT"],
  ["no answer", "", "ECONNRESET"],
])("%s has the code that Node gives it, whatever the library says", async (_, bytes, code) => {
  const { url } = await listen(
    createTcpServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.write(bytes, () => socket.resetAndDestroy()));
    }),
  );
  expect(await failureOf(supervised(() => call(url), within()))).toMatchObject({ code });
});

test("each of many calls at once is known by its own request", async () => {
  const { url } = await serve((request, response) => {
    if (request.url !== "/stalled") response.end(request.url);
  });
  const paths = Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? "/stalled" : `/${n}`));
  const answers = await Promise.all(
    paths.map((path) =>
      failureOf(
        supervised(() => call(`${url}${path}`), within({ ms: path === "/stalled" ? 1 : 60_000 })),
      ),
    ),
  );
  for (const [n, path] of paths.entries()) {
    expect(answers[n]).toMatchObject(
      path === "/stalled" ? { limit: "ms" } : { status: 200, value: path },
    );
  }
});
