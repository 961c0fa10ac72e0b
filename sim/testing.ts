/** What the tests of the region itself have in common. */

import { EC2Client } from "@aws-sdk/client-ec2";
import { afterEach } from "vitest";

import { ADMIN } from "./credentials.ts";
import { startRegion } from "./server.ts";
import { sign } from "./sigv4.ts";
import type { RegionOptions, RunningRegion } from "./server.ts";
import type { World } from "./world.ts";

const toClose: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of toClose.splice(0).toReversed()) await close();
});

/** Does this when the test is over. */
export function afterwards(close: () => unknown): void {
  toClose.push(close);
}

/** A running region that ends with the test. */
export async function start(world: World, options?: RegionOptions): Promise<RunningRegion> {
  const running = await startRegion(world, options);
  afterwards(() => running.close());
  return running;
}

/** The real SDK with the credentials of the instance (default: the administrator's), or with others; one attempt per call. */
export function sdk(
  running: RunningRegion,
  instanceId?: string,
  change: { region?: string; timeoutMs?: number; [key: string]: unknown } = {},
): EC2Client {
  const { region = running.region.name, timeoutMs = 4000, ...keys } = change;
  const issued = instanceId === undefined ? undefined : running.credentials.current(instanceId);
  const ec2 = new EC2Client({
    region,
    endpoint: running.ec2Url,
    credentials: {
      accessKeyId: issued?.accessKeyId ?? ADMIN.accessKeyId,
      secretAccessKey: issued?.secretAccessKey ?? ADMIN.secretAccessKey,
      ...(issued && { sessionToken: issued.token }),
      ...keys,
    },
    maxAttempts: 1,
    requestHandler: {
      requestTimeout: timeoutMs,
      throwOnRequestTimeout: true,
      socketTimeout: timeoutMs,
    },
  });
  afterwards(() => ec2.destroy());
  return ec2;
}

/** What became of a call: "ok", or the name of the error. */
export async function outcome(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "ok";
  } catch (error) {
    return error instanceof Error ? error.name : String(error);
  }
}

/** A session with the instance's IMDS: a token, and reads with it. */
export async function imds(
  running: RunningRegion,
  instanceId: string,
): Promise<(path: string) => Promise<Response>> {
  const url = running.imdsUrl(instanceId);
  const headers = { "x-aws-ec2-metadata-token-ttl-seconds": "60" };
  const token = await (await fetch(`${url}/latest/api/token`, { method: "PUT", headers })).text();
  return (path) =>
    fetch(`${url}/latest/${path}`, { headers: { "x-aws-ec2-metadata-token": token } });
}

/** A signed request without the SDK, for what the SDK does not send or show: odd parameters, the answer's very text. */
export async function signedPost(
  url: string,
  params: Readonly<Record<string, string>>,
  keys: { accessKeyId: string; secretAccessKey: string } = ADMIN,
): Promise<{ status: number; text: string }> {
  const body = new URLSearchParams({ Version: "2016-11-15", ...params }).toString();
  const stamp = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const on = {
    date: stamp.slice(0, 8),
    region: "us-east-1",
    service: "ec2",
    stamp,
    signedHeaders: "host;x-amz-date",
  };
  const headers = { host: new URL(url).host, "x-amz-date": stamp };
  const signature = sign(
    { method: "POST", url: "/", headers, body: Buffer.from(body) },
    keys.secretAccessKey,
    on,
  );
  const scope = `${keys.accessKeyId}/${on.date}/${on.region}/${on.service}/aws4_request`;
  const answer = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/x-www-form-urlencoded; charset=utf-8",
      "x-amz-date": stamp,
      authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=${on.signedHeaders}, Signature=${signature}`,
    },
    body,
  });
  return { status: answer.status, text: await answer.text() };
}
