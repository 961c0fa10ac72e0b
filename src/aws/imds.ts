/**
 * The instance metadata service, version 2 only, by the SDK's `MetadataService`: one token for a try, every request under
 * limits of time and size, 404 is "absent", everything else a Failure. By itself that class takes a token for each read,
 * falls back to requests without one, reads profile files and waits for a body without end; so the token is fetched
 * once and sent by us, all that it would look up is given, and each call is supervised.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { MetadataService } from "@aws-sdk/ec2-metadata-service";
import { OWN_CODE, Failure, type FailureDetails } from "../model/failure.ts";
import { errorCode, networkTrouble } from "../model/network-error.ts";
import { withoutPassword } from "../model/text.ts";
import { type Answer, LimitReached, supervised } from "./supervised.ts";
import { turns } from "./turns.ts";

/** Milliseconds for one request, body included. The service answers in single milliseconds or not at all. */
const REQUEST_MS = 2_000;

/** Seconds that a token is valid; one try is over long before. */
const TOKEN_TTL_S = 300;

/** More bytes than any answer has: user data is limited to 16 KiB, and that is the longest there is. */
const MAX_ANSWER_BYTES = 64 * 1024;

/**
 * More reads than one try needs: an instance with 15 interfaces (most types; EC2 user guide) that have 50 addresses
 * each, all of them with an Elastic IP, needs 850.
 */
const MAX_READS = 2_000;

/** Requests at once: the files that a process may have open are limited (1,024). */
const MAX_REQUESTS = 64;

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
  const service = new MetadataService({
    endpoint,
    retries: 0,
    // Ours is shorter, and says more.
    httpOptions: { timeout: 2 * REQUEST_MS },
    tokenTtl: TOKEN_TTL_S,
    disableFetchToken: true,
    // Version 1 is what it is without a token in the header, which each read has; "disabled" would refuse them all.
    ec2MetadataV1Disabled: false,
  });
  // For this try alone: what a try that has failed still waits for does not hold up the next one.
  const how = { signal, inTurn: turns(MAX_REQUESTS) };
  const put = `PUT ${endpoint}/latest/api/token`;
  const { status, value: token } = await ask(put, how, () => service.fetchMetadataToken());
  if (status !== 200) throw failed(put, explainStatus(status));
  if (!token) throw failed(put, { why: "the answer is empty" });
  // It is going into a header: an HTML page that was served with status 200 is not a token.
  if (!/^[\w+/=.-]{1,1024}$/.test(token))
    throw failed(put, { why: "what was answered is not a token" });

  let reads = 0;
  return {
    async read(path) {
      if (++reads > MAX_READS) throw new Failure("unreachable", ENDLESS);
      const get = `GET ${endpoint}/latest/${path}`;
      const answer = await ask(get, how, () => {
        // Nobody waits any longer for what was queued before.
        if (reads > MAX_READS) throw new Failure("unreachable", ENDLESS);
        // It puts the slash of the root before the path.
        return service.request(`latest/${path}`, {
          headers: { "x-aws-ec2-metadata-token": token },
        });
      });
      if (answer.status === 404) return undefined;
      if (answer.status !== 200) throw failed(get, explainStatus(answer.status));
      return answer.value;
    },
  };
}

type Call = () => Promise<string>;
interface How {
  readonly signal: AbortSignal;
  readonly inTurn: ReturnType<typeof turns>;
}

/** One request, and once more if it is throttled. */
async function ask(request: string, how: How, call: Call): Promise<Answer<string>> {
  const answer = await askOnce(request, how, call);
  if (answer.status !== 429) return answer;
  const { signal } = how;
  await sleep(THROTTLED_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  return askOnce(request, how, call);
}

/** One request and the whole of its answer, when it is its turn. */
async function askOnce(
  request: string,
  { signal, inTurn }: How,
  call: Call,
): Promise<Answer<string>> {
  try {
    return await inTurn(() =>
      supervised(call, { ms: REQUEST_MS, maxBytes: MAX_ANSWER_BYTES, signal }),
    );
  } catch (error) {
    if (signal.aborted) throw signal.reason as Error;
    if (error instanceof Failure) throw error;
    if (error instanceof LimitReached) throw failed(request, LIMITS[error.limit]);
    throw failed(request, { cause: error, ...explainError(error) });
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

const LIMITS: Readonly<Record<LimitReached["limit"], Explanation>> = {
  ms: {
    why: `no complete answer within ${REQUEST_MS / 1_000} s`,
    remedy: REACH,
    code: OWN_CODE.metadataSilent,
  },
  maxBytes: {
    why: `an answer is longer than ${MAX_ANSWER_BYTES / 1024} KB, which none of it is`,
    remedy: IMPOSTOR,
  },
};

function failed(
  request: string,
  { isThrottled = false, why, ...details }: Explanation & Pick<FailureDetails, "cause">,
): Failure {
  return new Failure(isThrottled ? "throttled" : "unreachable", {
    request,
    // Said first: the end of the line, with the request, is often cut off.
    why: `instance metadata: ${why}`,
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
