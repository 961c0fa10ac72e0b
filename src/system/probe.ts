/** Tests the network between this machine and a host step by step: DNS, TCP, TLS and HTTP. */
import { lookup, Resolver } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { type Agent, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { connect as connectTo } from "node:net";
import { Failure } from "../model/failure.ts";
import { errorCode, networkTrouble } from "../model/network-error.ts";
import { hostOf, portOf } from "../model/url.ts";

/** Milliseconds for each step. */
const STEP_MS = 3_000;

export const network = { resolve, connect, greet };

/**
 * Resolves a host name to its IP addresses.
 *
 * @throws Failure `unreachable`
 */
async function resolve(host: string, signal: AbortSignal): Promise<string[]> {
  const resolver = new Resolver({ timeout: 1_000, tries: 2 });
  return limited(`the name ${host}`, signal, async () => {
    // getaddrinfo(3) cannot be aborted and keeps the process alive while it waits for a dead DNS server, so it is only
    // called if a server answers or none is needed.
    const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
    if (found.length > 0) return found;
    const [first] = answers;
    const reason: unknown = first.status === "rejected" ? first.reason : undefined;
    const isMute = /^(ETIMEOUT|ECONNREFUSED)$/.test(errorCode(reason) ?? "");
    if (isMute && !isInHosts(host)) {
      throw Object.assign(new Error("no resolver"), { code: "EAI_AGAIN" });
    }
    return (await lookup(host, { all: true })).map(({ address }) => address);
  });
}

function isInHosts(host: string): boolean {
  try {
    const lines = readFileSync("/etc/hosts", "utf8").split("\n");
    return lines.some((line) => line.replace(/#.*/, "").split(/\s+/).slice(1).includes(host));
  } catch {
    return false;
  }
}

/**
 * Opens a TCP connection and closes it.
 *
 * @returns the IP address that it connected to
 * @throws Failure `unreachable`
 */
function connect(url: URL, signal: AbortSignal): Promise<string> {
  return limited(`a connection to ${url.host}`, signal, (limit) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const socket = connectTo({ host: hostOf(url), port: portOf(url), autoSelectFamily: true });
    const end = () => socket.destroy();
    limit.addEventListener("abort", end, { once: true });
    socket.once("connect", () => {
      resolve(socket.remoteAddress ?? "");
      end();
    });
    socket.once("error", reject);
    return promise;
  });
}

/**
 * Sends an unsigned HEAD request for `/`. Any HTTP answer counts as success.
 *
 * @param agent opens the connection
 * @returns the protocol, in words, and the time in the answer's `Date` header
 * @throws Failure `unreachable`
 */
function greet(
  url: URL,
  agent: Agent,
  signal: AbortSignal,
): Promise<{ protocol: string; date?: Date }> {
  return limited(`HEAD ${url.origin}/`, signal, (limit) => {
    const { promise, resolve, reject } = Promise.withResolvers<{ protocol: string; date?: Date }>();
    const isTls = url.protocol === "https:";
    const send = isTls ? requestHttps : requestHttp;
    const request = send(new URL("/", url), { method: "HEAD", agent, signal: limit });
    let tls: string | null = null;
    request.once("socket", (socket) => {
      socket.once("secureConnect", () => {
        tls = (socket as { getProtocol?: () => string | null }).getProtocol?.() ?? null;
      });
    });
    request.once("response", (response) => {
      const date = new Date(response.headers.date ?? "");
      resolve({
        protocol: isTls ? `${tls ?? "TLS"}, and its certificate is trusted` : "HTTP without TLS",
        ...(!Number.isNaN(date.getTime()) && { date }),
      });
      response.destroy();
    });
    request.once("error", reject);
    request.end();
    return promise;
  });
}

/** Limits work to STEP_MS, and throws every error as a Failure. */
async function limited<T>(
  request: string,
  signal: AbortSignal,
  work: (limit: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(STEP_MS)]);
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const stop = () => reject(limit.reason as Error);
  limit.addEventListener("abort", stop, { once: true });
  try {
    limit.throwIfAborted();
    return await Promise.race([work(limit), aborted]);
  } catch (error) {
    if (signal.aborted) throw signal.reason as Error;
    const trouble = networkTrouble(errorCode(error) ?? "");
    const why = limit.aborted
      ? `no answer within ${STEP_MS / 1_000} s`
      : (trouble?.why ?? (error as Error).message);
    const { remedy = trouble?.remedy } = error as { remedy?: string };
    throw new Failure("unreachable", { request, why, remedy, cause: error });
  } finally {
    limit.removeEventListener("abort", stop);
  }
}
