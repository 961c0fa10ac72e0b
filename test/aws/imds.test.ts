/** Instance metadata that lists more than there can be, over real sockets: a try ends, and what it may open is bounded. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { openMetadata } from "../../src/aws/imds.ts";
import { readInstance } from "../../src/aws/self.ts";
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
    const read: unknown = await readInstance(metadata, [], undefined, false).catch(
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
