/** The instance metadata service, version 2 only, over HTTP: tokens, statuses and error pages of the real one. */

import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";

import { NO_ANSWER, answer } from "./answering.ts";
import type { Answer } from "./answering.ts";
import type { Credentials } from "./credentials.ts";
import type { Effect, Faults } from "./faults.ts";
import { imdsTree, lookUp } from "./imds-tree.ts";
import type { Region } from "./region.ts";

/** One request to IMDS as it arrived, and what became of it. */
export interface ImdsRequest {
  /** When it arrived, in the region's time. */
  readonly at: number;
  readonly instanceId: string;
  readonly method: string;
  readonly path: string;
  readonly token: "none" | "valid" | "invalid";
  readonly userAgent: string | undefined;
  /** HTTP status of the answer; 0: there was none, or there is none yet. */
  status: number;
  /** What the injected fault did. */
  fault?: Effect["do"];
}

export interface ImdsApi {
  readonly region: Region;
  readonly credentials: Credentials;
  readonly faults: Faults;
  readonly latencyMs: number;
  readonly tokens: Tokens;
  readonly requests: ImdsRequest[];
}

const VERSIONS = [
  "1.0",
  "2020-08-24",
  "2020-10-27",
  "2021-01-03",
  "2021-03-23",
  "2021-07-15",
  "2022-09-24",
  "latest",
];
const TTL_HEADER = "x-aws-ec2-metadata-token-ttl-seconds";
const MAX_TTL = 21_600;

/** It ends the connection after every answer, even if asked to keep it (github.com/jtblin/kube2iam, issue 222). */
const EVERY_ANSWER = { server: "EC2ws", connection: "close" };

/** IMDSv2 session tokens: each good for one instance, until it expires. */
export class Tokens {
  readonly #now: () => number;
  readonly #tokens = new Map<string, { instanceId: string; expires: number }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  issue(instanceId: string, ttlSeconds: number): string {
    const token = `AQAEA${randomBytes(37).toString("base64url")}==`;
    this.#tokens.set(token, { instanceId, expires: this.#now() + ttlSeconds * 1000 });
    return token;
  }

  /** Seconds the token is still good for on this instance; undefined: it is not. */
  secondsLeft(token: string, instanceId: string): number | undefined {
    const known = this.#tokens.get(token);
    if (known === undefined || known.instanceId !== instanceId || this.#now() >= known.expires)
      return undefined;
    return Math.ceil((known.expires - this.#now()) / 1000);
  }

  /** Every token ever issued. */
  secrets(): string[] {
    return [...this.#tokens.keys()];
  }
}

/** Serves one request of the instance. */
export async function serveImds(
  api: ImdsApi,
  instanceId: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = request.url ?? "/";
  const method = request.method ?? "";
  const token = headerOf(request, "x-aws-ec2-metadata-token");
  const left = token === undefined ? undefined : api.tokens.secondsLeft(token, instanceId);
  const record: ImdsRequest = {
    at: api.region.now(),
    instanceId,
    method,
    path,
    token: token === undefined ? "none" : left === undefined ? "invalid" : "valid",
    userAgent: request.headers["user-agent"],
    status: NO_ANSWER,
  };
  api.requests.push(record);
  request.resume();

  const verdict = api.faults.judge({ service: "imds", path, method, instanceId });
  if (verdict.effect !== undefined) record.fault = verdict.effect.do;
  record.status = await answer(response, verdict, api.latencyMs, () => {
    if (api.region.instance(instanceId).metadata === "disabled") return errorPage(403);
    if (method === "PUT") return grantToken(api, instanceId, path, request);
    if (method !== "GET" && method !== "HEAD") return errorPage(405);
    // Version 1, a request without a token, is never served.
    if (left === undefined) return errorPage(401);
    const body = read(api, instanceId, path, verdict.staleMs);
    if (body === undefined) return errorPage(404);
    return {
      status: 200,
      headers: { ...EVERY_ANSWER, "content-type": "text/plain", [TTL_HEADER]: String(left) },
      body: method === "HEAD" ? "" : body,
    };
  });
}

// --- internal ---

function grantToken(
  api: ImdsApi,
  instanceId: string,
  path: string,
  request: IncomingMessage,
): Answer {
  // Only this very path: "any versioned path" answers 403, and so does everything else one may PUT to.
  if (path !== "/latest/api/token") return errorPage(403);
  // A proxy between the instance and IMDS adds this header; such a request is not from the instance itself.
  if (request.headers["x-forwarded-for"] !== undefined) return errorPage(403);
  const ttl = headerOf(request, TTL_HEADER) ?? "";
  const seconds = Number(ttl);
  if (!/^\d+$/.test(ttl) || seconds < 1 || seconds > MAX_TTL) return errorPage(400);
  return {
    status: 200,
    headers: { ...EVERY_ANSWER, "content-type": "text/plain", [TTL_HEADER]: ttl },
    body: api.tokens.issue(instanceId, seconds),
  };
}

function read(
  api: ImdsApi,
  instanceId: string,
  path: string,
  backMs: number | undefined,
): string | undefined {
  if (path === "/") return VERSIONS.join("\n");
  const parts = /^\/([^/]+)(?:\/(.*))?$/s.exec(path.split("?")[0] ?? "");
  const version = parts?.[1];
  if (version === undefined || !VERSIONS.includes(version)) return undefined;
  const tree = imdsTree(api.region, api.credentials, instanceId, backMs);
  const below = parts?.[2] ?? "";
  if (below === "") return Object.keys(tree).join("\n");
  try {
    // Tag keys are part of the path and may hold anything that has to be encoded there.
    return lookUp(tree, below.split("/").map(decodeURIComponent).join("/"));
  } catch {
    return undefined;
  }
}

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
};

/** Real IMDS sends a page of HTML with its errors, which careless clients have taken for the value. */
function errorPage(status: number): Answer {
  const title = `${status} - ${TITLES[status] ?? "Error"}`;
  const body = `<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
\t"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>${title}</title>
 </head>
 <body>
  <h1>${title}</h1>
 </body>
</html>
`;
  return { status, headers: { ...EVERY_ANSWER, "content-type": "text/html" }, body };
}

function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
