/**
 * The instance metadata service, version 2 only: one token for a try, every request under limits of time and
 * size, 404 is "absent", everything else a Failure. Not through the SDK's `MetadataService`: it lets nobody in to
 * end a request or a body that does not end, and a whole run with it takes 7 % more processor time.
 */
import { Agent, request as send } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { OWN_CODE, Failure, type FailureDetails } from "../model/failure.ts";
import { errorCode, networkTrouble } from "../model/network-error.ts";
import { withoutPassword } from "../model/text.ts";

/** Milliseconds for one request, body included. The service answers in single milliseconds or not at all. */
const REQUEST_MS = 2_000;

/** Seconds that a token is valid; one try is over long before. */
const TOKEN_TTL_S = 300;

/** More bytes than any answer we ask for: user data is limited to 16 KiB, and that is the longest there is. */
const MAX_BODY_BYTES = 64 * 1024;

/**
 * More reads than one try needs: an instance with 15 interfaces (most types; EC2 user guide) that have 50 addresses
 * each, all of them with an Elastic IP, needs 850.
 */
const MAX_READS = 2_000;

/** Requests at once: the files that a process may have open are limited (1,024). */
const MAX_SOCKETS = 64;

const IPV4_ENDPOINT = "http://169.254.169.254";
const IPV6_ENDPOINT = "http://[fd00:ec2::254]";

export interface Metadata {
  /**
   * Reads `/latest/<path>`: the text, or undefined if there is no such thing (404).
   *
   * @throws Failure `unreachable` for whatever else is not an answer, and after more reads than a try can need
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
    if (url?.protocol === "http:") return url.origin;
    throw new Failure("misconfigured", {
      why: `AWS_EC2_METADATA_SERVICE_ENDPOINT is ${JSON.stringify(withoutPassword(given))}; accepted: an http:// URL`,
      variable: "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    });
  }
  const mode = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"] ?? "";
  if (/^ipv6$/i.test(mode)) return IPV6_ENDPOINT;
  if (mode === "" || /^ipv4$/i.test(mode)) return IPV4_ENDPOINT;
  throw new Failure("misconfigured", {
    why: `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE is ${JSON.stringify(mode)}; accepted: IPv4, IPv6`,
    variable: "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
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
  const put = { method: "PUT", url: `${endpoint}/latest/api/token` };
  const ttl = { "x-aws-ec2-metadata-token-ttl-seconds": String(TOKEN_TTL_S) };
  const { status, body: token } = await askTwice(put, ttl, signal);
  if (status !== 200) throw failed(put, explainStatus(status));
  // It is going into a header: an HTML page that was served with status 200 is not a token.
  if (token === "") throw failed(put, { why: "the answer is empty" });
  if (!/^[\w+/=.-]{1,1024}$/.test(token))
    throw failed(put, { why: "what was answered is not a token" });

  let reads = 0;
  return {
    async read(path) {
      if (++reads > MAX_READS) throw new Failure("unreachable", ENDLESS);
      const get = { method: "GET", url: `${endpoint}/latest/${path}` };
      const answer = await askTwice(get, { "x-aws-ec2-metadata-token": token }, signal);
      if (answer.status === 404) return undefined;
      if (answer.status !== 200) throw failed(get, explainStatus(answer.status));
      return answer.body;
    },
  };
}

/** One request, and once more if it is throttled. */
async function askTwice(
  ...[request, headers, signal]: Parameters<typeof ask>
): ReturnType<typeof ask> {
  const answer = await ask(request, headers, signal);
  if (answer.status !== 429) return answer;
  await sleep(THROTTLED_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  return ask(request, headers, signal);
}

interface Request {
  readonly method: string;
  readonly url: string;
}

/** The service ends every connection after one answer, whatever it is asked for. */
const agent = new Agent({ keepAlive: false, maxSockets: MAX_SOCKETS });

/** One request and the whole of its answer. */
async function ask(
  request: Request,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly body: string }> {
  const { method, url } = request;
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise((resolve, reject) => {
      const sent = send(url, { method, headers, agent, signal }, (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          chunks.push(chunk);
          bytes += chunk.length;
          if (bytes > MAX_BODY_BYTES)
            giveUp({
              why: `the answer is longer than ${MAX_BODY_BYTES / 1024} KB, which none of instance metadata is`,
              remedy: IMPOSTOR,
            });
        });
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
        );
        response.on("error", reject);
      });
      const giveUp = (details: Explanation) => {
        reject(failed(request, details));
        sent.destroy();
      };
      timer = setTimeout(giveUp, REQUEST_MS, TOO_SLOW);
      sent.on("error", reject);
      sent.end();
    });
  } catch (error) {
    if (error instanceof Failure) throw error;
    if (signal.aborted) throw signal.reason as Error;
    throw failed(request, { cause: error, ...explainError(error) });
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Milliseconds after which a read that was throttled is repeated, once: the service takes 1,024 packets a second from
 * all programs of an instance together (EC2 user guide), so that it is another one's storm, and short.
 */
const THROTTLED_MS = 500;

const REACH =
  "is this an EC2 instance, is its metadata service on, and may this user reach it (firewall rules on 169.254.169.254)?";

/** For answers that no instance has. */
export const IMPOSTOR = "does something else answer in its place (a proxy, an emulator)?";

const ENDLESS = {
  why: "instance metadata lists more interfaces and addresses than an instance can have",
  remedy: IMPOSTOR,
  isLocal: true,
};

const TOO_SLOW = {
  why: `no complete answer within ${REQUEST_MS / 1_000} s`,
  remedy: REACH,
  code: OWN_CODE.metadataSilent,
};

function failed(
  { method, url }: Request,
  { isThrottled = false, ...details }: Explanation & Pick<FailureDetails, "cause">,
): Failure {
  return new Failure(isThrottled ? "throttled" : "unreachable", {
    request: `${method} ${url}`,
    ...details,
    isLocal: true,
  });
}

type Explanation = Pick<FailureDetails, "why" | "remedy" | "code"> & {
  readonly isThrottled?: boolean;
};

function explainStatus(status: number): Explanation {
  switch (status) {
    case 401:
      return { why: "it refuses the token that it has just given (401)" };
    case 403:
    case 404: // of the token: it is never "absent"
    case 405:
      return {
        why: `it is switched off or does not allow this (${status})`,
        remedy: "aws ec2 modify-instance-metadata-options --http-endpoint enabled",
        code: OWN_CODE.metadataOff,
      };
    case 429:
      return { isThrottled: true, why: `it is asked too often (${status})` };
    default:
      return { why: `status ${status}` };
  }
}

function explainError(error: unknown): Explanation {
  const known = networkTrouble(errorCode(error) ?? "")?.why;
  return { why: known ?? (error as Error).message.slice(0, 200), remedy: REACH };
}
