/** Bodies that are too long or not AWS's, over real sockets: they end a request, not the process. */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { Failure } from "../../src/model/failure.ts";
import { ec2At } from "../support/ec2-at.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** EC2 as something that answers everything so. */
async function answering(answer: (response: ServerResponse) => void) {
  const server = createServer((request, response) => {
    request.resume().once("end", () => answer(response));
  });
  servers.push(server);
  await new Promise<void>((done) => void server.listen(0, "127.0.0.1", done));
  return ec2At((server.address() as AddressInfo).port);
}

const failureOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "no failure",
    (error: unknown) => error,
  );

test.each([200, 400, 503])("a body of %d that does not end is given up early", async (status) => {
  let bytes = 0;
  const api = await answering((response) => {
    response.writeHead(status, { "content-type": "text/xml" });
    const chunk = Buffer.alloc(64 * 1024, "<a>");
    const more = () => {
      while (!response.destroyed && bytes < 300 * 1024 * 1024) {
        bytes += chunk.length;
        if (!response.write(chunk)) return void response.once("drain", more);
      }
      response.end();
    };
    more();
  });
  const failure = await failureOf(api.describeAddresses("allocation-id", ["eipalloc-1"]));
  expect(failure).toMatchObject({ kind: "unreachable", code: "NotOfAws" });
  expect((failure as Failure).message).toContain("the answer is longer than 256 KB");
  expect((failure as Failure).message).toContain("ec2:DescribeAddresses at 127.0.0.1");
  // What was under way in the sockets besides.
  expect(bytes).toBeLessThan(64 * 1024 * 1024);
  api.close();
});

const addresses = (count: number) => {
  const row = (n: number) =>
    `<item><publicIp>203.0.113.${n % 256}</publicIp><allocationId>eipalloc-${String(n).padStart(17, "0")}</allocationId><domain>vpc</domain><tagSet><item><key>eip-pool</key><value>web</value></item></tagSet></item>`;
  const rows = Array.from({ length: count }, (_, n) => row(n)).join("");
  return `<DescribeAddressesResponse><requestId>r</requestId><addressesSet>${rows}</addressesSet></DescribeAddressesResponse>`;
};

const answeringXml = (text: string) =>
  answering((response) => {
    response.writeHead(200, { "content-type": "text/xml" });
    response.end(text);
  });

/** Processor time that work takes, in microseconds. */
async function costOf(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  return process.cpuUsage(before).user;
}

test("a document type is somebody else's, and is not parsed: the parser takes quadratic time for many", async () => {
  const text = "<!DOCTYPE a>".repeat(15_000);
  const api = await answeringXml(text);
  const pool = await answeringXml(addresses(10_000));
  // Ten times as long, and parsed: still less work than the parser has with the other.
  const parsed = await costOf(() => pool.describeAddresses("tag:eip-pool", ["web"]));
  let failure: unknown;
  const refused = await costOf(async () => {
    failure = await failureOf(api.describeAddresses("allocation-id", ["eipalloc-1"]));
  });
  expect((failure as Failure).message).toContain("status 200 without an answer of EC2 in it");
  expect(refused).toBeLessThan(parsed / 4);
  api.close();
  pool.close();
});

test("the answer about a pool may have all of its addresses", async () => {
  const api = await answeringXml(addresses(10_000));
  expect(await api.describeAddresses("tag:eip-pool", ["web"])).toHaveLength(10_000);
  const failure = await failureOf(api.describeAddresses("allocation-id", ["eipalloc-1"]));
  expect((failure as Failure).message).toContain("longer than 256 KB");
  api.close();
});

describe("a body of a pool's length that is dear to parse is not parsed", () => {
  test.each([
    ["tags", "<a/>"],
    ["entities", "&amp;"],
    ["one text", "x"],
    ["line ends", "\r"],
  ])("%s", async (_, of) => {
    const body = `<DescribeAddressesResponse><addressesSet>${of.repeat(9e6 / of.length)}</addressesSet></DescribeAddressesResponse>`;
    const api = await answeringXml(body);
    const failure = await failureOf(api.describeAddresses("tag:eip-pool", ["web"]));
    expect((failure as Failure).message).toContain("status 200 without an answer of EC2 in it");
    api.close();
  });
});
