/**
 * The instance metadata service, version 2 only, through `MetadataService` of the AWS SDK - contained,
 * because by itself that class has no time limit over a body, takes a new token for every read, falls
 * back to requests without a token and is dead for good after one refused token. So: one token for a try,
 * fetched by one object and handed to another that is told not to fetch; no retries inside; every request
 * cut off by us; 404 is "absent", everything else a Failure.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import type { ClientRequest } from "node:http";
import { MetadataService } from "@aws-sdk/ec2-metadata-service";
import { Failure, type FailureDetails } from "../core/failure.ts";
import { errorCode, networkTrouble } from "../core/network.ts";

/** Milliseconds for one request, body included. The service answers in single milliseconds or not at all. */
const REQUEST_MS = 2_000;

/** Seconds that a token is valid; one try is over long before. */
const TOKEN_TTL_S = 300;

/** More bytes than any answer we ask for: user data is limited to 16 KiB, and that is the longest there is. */
const LONGEST_BODY = 64 * 1024;

const IPV4_ENDPOINT = "http://169.254.169.254";
const IPV6_ENDPOINT = "http://[fd00:ec2::254]";

export interface Metadata {
  /**
   * Reads `/latest/<path>`: the text, or undefined if there is no such thing (404).
   *
   * @throws Failure `unreachable` for whatever else is not an answer
   */
  read(path: string): Promise<string | undefined>;
}

/**
 * The endpoint by the standard variables: AWS_EC2_METADATA_SERVICE_ENDPOINT, else by
 * AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE (IPv4 or IPv6), else IPv4.
 *
 * @throws Failure `misconfigured`
 */
export function metadataEndpoint(
  environment: Readonly<Record<string, string | undefined>>,
): string {
  const given = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"];
  if (given) {
    const url = URL.parse(given);
    if (url?.protocol === "http:" || url?.protocol === "https:") return url.origin;
    throw new Failure("misconfigured", {
      why: `AWS_EC2_METADATA_SERVICE_ENDPOINT is ${JSON.stringify(given)}; accepted: an http:// URL`,
    });
  }
  const mode = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"] ?? "";
  if (/^ipv6$/i.test(mode)) return IPV6_ENDPOINT;
  if (mode === "" || /^ipv4$/i.test(mode)) return IPV4_ENDPOINT;
  throw new Failure("misconfigured", {
    why: `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE is ${JSON.stringify(mode)}; accepted: IPv4, IPv6`,
  });
}

/**
 * Fetches a token and returns the metadata that can be read with it, for one try.
 *
 * @param endpoint origin of the service, without a path
 * @param signal ends every request when it is aborted
 * @throws Failure `unreachable` if there is no token to be had
 */
export async function openMetadata(endpoint: string, signal: AbortSignal): Promise<Metadata> {
  const options = { endpoint, retries: 0, httpOptions: { timeout: REQUEST_MS } };
  const request = `PUT ${endpoint}/latest/api/token`;
  const token = await bounded(request, signal, () =>
    new MetadataService({
      ...options,
      ec2MetadataV1Disabled: true,
      tokenTtl: TOKEN_TTL_S,
    }).fetchMetadataToken(),
  );
  // It is going into a header: an HTML page that was served with status 200 is not a token.
  if (token === undefined || !/^[\w+/=.-]{1,1024}$/.test(token)) {
    throw new Failure("unreachable", { request, why: "what was answered is not a token" });
  }

  // "v1 disabled" together with "do not fetch" makes the class refuse every request; the header is ours.
  const reader = new MetadataService({
    ...options,
    ec2MetadataV1Disabled: false,
    disableFetchToken: true,
  });
  return {
    read: (path) =>
      bounded(`GET ${endpoint}/latest/${path}`, signal, () =>
        // The class joins "/" and the path: a leading slash here would ask for //latest.
        reader.request(`latest/${path}`, { headers: { "x-aws-ec2-metadata-token": token } }),
      ),
  };
}

/** Runs one request of MetadataService under our own limits of time and size; undefined for a 404. */
async function bounded(
  request: string,
  signal: AbortSignal,
  work: () => Promise<string>,
): Promise<string | undefined> {
  const limit = new AbortController();
  const tooSlow = new Failure("unreachable", {
    request,
    why: `no complete answer within ${REQUEST_MS / 1_000} s`,
    cure: REACH,
    code: SILENT,
  });
  const timer = setTimeout(() => limit.abort(tooSlow), REQUEST_MS);
  const stop = () => limit.abort(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  const aborted = new Promise<never>((_, reject) =>
    limit.signal.addEventListener("abort", () => reject(limit.signal.reason as Error), {
      once: true,
    }),
  );
  aborted.catch(() => {});
  try {
    limit.signal.throwIfAborted();
    const text = await Promise.race([inFlight.run({ limit, request }, work), aborted]);
    if (text.length > LONGEST_BODY) throw tooLong(request);
    return text;
  } catch (error) {
    if (limit.signal.aborted) throw limit.signal.reason as Error;
    if (error instanceof Failure) throw error;
    const status = statusOf(error);
    // A token is never "absent": a 404 there means that the service is off.
    if (status === 404 && request.startsWith("GET")) return undefined;
    throw new Failure("unreachable", { request, cause: error, ...explain(status, error) });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    limit.abort(); // whatever of the request is still alive, such as an unread body
  }
}

/** Codes of failures that mean something to those who look for the cause. */
export const SILENT = "MetadataSilent";
export const SWITCHED_OFF = "MetadataOff";

const REACH =
  "is this an EC2 instance, is its metadata service on, and may this user reach it (firewall rules on 169.254.169.254)?";

function explain(
  status: number | undefined,
  error: unknown,
): Pick<FailureDetails, "why" | "cure" | "code"> {
  switch (status) {
    case undefined:
      return { why: networkCause(error), cure: REACH };
    case 401:
      return { why: "it refuses the token that it has just given (401)" };
    case 403:
    case 404:
    case 405:
      return {
        why: `it is switched off or does not allow this (${status})`,
        cure: "aws ec2 modify-instance-metadata-options --http-endpoint enabled",
        code: SWITCHED_OFF,
      };
    case 200:
      return { why: "the answer is empty" };
    default:
      return { why: `status ${status}` };
  }
}

function tooLong(request: string): Failure {
  return new Failure("unreachable", {
    request,
    why: `the answer is longer than ${LONGEST_BODY} bytes`,
  });
}

/** MetadataService keeps the HTTP status on some of its errors and only in the text of others. */
function statusOf(error: unknown): number | undefined {
  const { $metadata, message } = error as {
    $metadata?: { httpStatusCode?: number };
    message?: string;
  };
  const told = $metadata?.httpStatusCode ?? /status code (\d{3})/.exec(message ?? "")?.[1];
  return told === undefined ? undefined : Number(told);
}

/** It also wraps the network error into a sentence: the system's own code is the part worth telling. */
function networkCause(error: unknown): string {
  const message = error instanceof Error ? error.message : "";
  const code =
    errorCode(error) ??
    /\b(E[A-Z]{3,}[A-Z_]*)\b/.exec(message)?.[1] ??
    // Node's words for a connection that is closed in the middle of an answer.
    (/socket hang up|aborted/.test(message) ? "ECONNRESET" : "");
  return networkTrouble(code)?.why ?? message.replace(/^(?:\w*Error[^:]*: )+/i, "").slice(0, 200);
}

/**
 * MetadataService lets nobody in to end a request. Node announces every request on a diagnostics channel,
 * in the context it was made in: that is how an abort reaches the socket, and how a body without end is
 * noticed while it comes.
 */
const inFlight = new AsyncLocalStorage<{ limit: AbortController; request: string }>();

subscribe("http.client.request.start", (message) => {
  const bound = inFlight.getStore();
  if (bound === undefined) return;
  const { limit } = bound;
  const { request } = message as { request: ClientRequest };
  const watch = setInterval(() => {
    if ((request.socket?.bytesRead ?? 0) > 2 * LONGEST_BODY) limit.abort(tooLong(bound.request));
  }, 20);
  limit.signal.addEventListener(
    "abort",
    () => {
      clearInterval(watch);
      request.on("error", () => {}); // the end that we make ourselves is no news
      request.destroy();
      // Each request has a pool of its own, in which the connection would stay open for good.
      request.socket?.destroy();
    },
    { once: true },
  );
});
