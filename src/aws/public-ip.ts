/**
 * Asks a URL which public IPv4 address requests from here come from. Such a URL answers with it as text, as
 * https://checkip.amazonaws.com does, or in JSON.
 */
import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { Failure } from "../model/failure.ts";
import { isIpv4 } from "../model/ids.ts";
import { errorCode, networkTrouble } from "../model/network-error.ts";
import { shortened } from "../model/text.ts";
import { nameUrl } from "../model/url.ts";
import { readAtMost } from "./bodies.ts";
import { ProxyRefusal } from "./proxy.ts";
import { type Connecting, resettableAgents } from "./sockets.ts";

/** Milliseconds for one request, body included. */
const LIMIT_MS = 5_000;
/** Longest body, in bytes. An address has fifteen. */
const MAX_BYTES = 16 * 1024;

/**
 * Sends a GET request over a connection of its own, by IPv4.
 *
 * @returns the address, and the variable that names a proxy if the request went through one
 * @throws Failure `unreachable`
 */
export async function publicIpBy(
  url: URL,
  { proxyFor, ca }: Pick<Connecting, "proxyFor" | "ca">,
  signal: AbortSignal,
): Promise<{ readonly publicIp: string; readonly proxyVariable?: string }> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]);
  const proxy = proxyFor?.(url);
  const agents = resettableAgents({ endpoint: url.href, proxyFor, ca });
  const request = `GET ${nameUrl(url)}`;
  try {
    const text = await bodyOf(url, agents, limit);
    const publicIp = text === undefined ? undefined : addressIn(text);
    if (publicIp !== undefined) {
      return { publicIp, ...(proxy && { proxyVariable: proxy.variable }) };
    }
    throw new Failure("unreachable", {
      request,
      why: `${url.host} answers without an IPv4 address, or with several: ${JSON.stringify(shortened(text ?? "too long", 40))}`,
      remedy: `EIP_HEAL_WAIT_REACHABLE takes a URL that answers with the address, such as ${EXAMPLE}`,
    });
  } catch (error) {
    if (signal.aborted) throw signal.reason as Error;
    if (error instanceof Failure) throw error;
    const trouble = networkTrouble(errorCode(error) ?? "");
    const why = limit.aborted
      ? `no complete answer within ${LIMIT_MS / 1_000} s`
      : (trouble?.why ?? (error as Error).message);
    const by = proxy === undefined ? "" : ` by the proxy ${proxy.url.host}`;
    const remedy = error instanceof ProxyRefusal ? error.remedy : trouble?.remedy;
    throw new Failure("unreachable", { request, why: `${url.host}${by}: ${why}`, remedy });
  } finally {
    agents.close();
  }
}

const EXAMPLE = "https://checkip.amazonaws.com";

/** The body of the answer; undefined if it is too long. */
async function bodyOf(
  url: URL,
  { httpAgent, httpsAgent }: ReturnType<typeof resettableAgents>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const stop = () => reject(signal.reason as Error);
  signal.addEventListener("abort", stop, { once: true });
  // What a cache has kept shows where an earlier request came from.
  const headers = { accept: "text/plain, application/json", "cache-control": "no-cache" };
  const options = { signal, family: 4, headers };
  const request =
    url.protocol === "https:"
      ? requestHttps(url, { ...options, agent: httpsAgent })
      : requestHttp(url, { ...options, agent: httpAgent });
  request.once("response", resolve);
  // Also after the answer: an error that nobody listens to would end the process.
  request.on("error", reject);
  request.end();
  const response = await promise;
  if (response.statusCode !== 200) {
    response.destroy();
    throw new Error(`it answers with status ${response.statusCode}`);
  }
  return (await readAtMost(response, MAX_BYTES))?.toString("utf8");
}

/** The IPv4 address that a text is, or the only one in a JSON text; undefined if there is none, or more than one. */
export function addressIn(body: string): string | undefined {
  const text = body.trim();
  if (isIpv4(text)) return text;
  const found = new Set<string>();
  try {
    JSON.parse(text, (_, value: unknown) => {
      if (typeof value === "string" && isIpv4(value.trim())) found.add(value.trim());
      return value;
    });
  } catch {
    return undefined;
  }
  const [first, ...others] = found;
  return others.length === 0 ? first : undefined;
}
