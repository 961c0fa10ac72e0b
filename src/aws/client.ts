/** What the clients of AWS services have in common: each call is one request with a timeout, and every error is a Failure. */
import type { Instance } from "../model/instance.ts";
import { classify, type Service } from "./classify.ts";
import { OWN_CODE, Failure, type FailureDetails } from "../model/failure.ts";
import { egressHint, errorCode, networkTrouble } from "../model/network-error.ts";
import { FLIGHT_MS } from "../reconcile/bounds.ts";
import type { Keys } from "./credentials.ts";
import { type Proxy, ProxyRefusal } from "./proxy.ts";
import type { ResettableAgents } from "./sockets.ts";

/** Milliseconds to connect. */
const CONNECT_MS = 3_000;
/**
 * Milliseconds for a whole request, body included. EC2's DescribeInstances can take seconds in accounts with many instances
 * (hashicorp/vault#2767: p95 up to 6 s), and giving up early only means asking again. With Auto Scaling a lifecycle hook must
 * not time out meanwhile.
 */
const LIMIT_MS: Readonly<Record<Service, number>> = { ec2: 15_000, autoscaling: 6_000 };

export interface ConnectOptions {
  readonly self: Instance;
  readonly credentials: () => Promise<Keys>;
  /** Used instead of the region's default endpoint. */
  readonly endpoint?: string;
  readonly dualStack: boolean;
  readonly fips: boolean;
  /** The proxy for requests to a URL, if any. */
  readonly proxyFor?: ((url: URL) => Proxy | undefined) | undefined;
  /** Certificates, in PEM, that are trusted instead of the system's. */
  readonly ca?: string;
  /** Aborts all requests. */
  readonly signal: AbortSignal;
  readonly version: string;
  /** Offset of this machine's clock in milliseconds, learned from AWS's answers; shared by all connections. */
  readonly skew: { offsetMs: number };
}

/**
 * The configuration of an SDK client. The agents belong to this client only, and are required: the bundle leaves out what
 * the SDK would make its own with (build/stand-ins.ts).
 */
export function clientConfig(options: ConnectOptions, { httpAgent, httpsAgent }: ResettableAgents) {
  // The SDK looks up a dozen settings in profile files even if they are given here, so it gets empty ones.
  process.env["AWS_CONFIG_FILE"] = process.env["AWS_SHARED_CREDENTIALS_FILE"] = "/dev/null";
  const { endpoint } = options;
  return {
    region: options.self.region,
    credentials: options.credentials,
    ...(endpoint !== undefined && { endpoint }),
    // The SDK rejects both together with an explicit endpoint. Like the AWS CLI we use that one as it is.
    useDualstackEndpoint: endpoint === undefined && options.dualStack,
    useFipsEndpoint: endpoint === undefined && options.fips,
    // No retries by the SDK: a take must not be sent again without a new look.
    maxAttempts: 1,
    // Set explicitly, because the SDK throws for an unknown value in AWS_RETRY_MODE or AWS_DEFAULTS_MODE.
    retryMode: "standard",
    defaultsMode: "standard" as const,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      requestTimeout: LIMIT_MS.ec2,
      throwOnRequestTimeout: true,
      socketTimeout: LIMIT_MS.ec2,
      httpAgent,
      httpsAgent,
    },
    systemClockOffset: options.skew.offsetMs,
    customUserAgent: [["eip-heal", options.version]] as [string, string][],
  };
}

/** The part that the SDK's clients have in common. */
interface Client {
  readonly config: {
    readonly systemClockOffset: number;
    readonly endpointProvider: (parameters: {
      Region: string;
      UseDualStack: boolean;
      UseFIPS: boolean;
    }) => { readonly url: URL };
  };
}

/** The endpoint of a client. */
export function urlOf(
  { endpoint, self, dualStack, fips }: ConnectOptions,
  { config }: Client,
): URL {
  if (endpoint !== undefined) return new URL(endpoint);
  return config.endpointProvider({
    Region: self.region,
    UseDualStack: dualStack,
    UseFIPS: fips,
  }).url;
}

/**
 * Runs one action.
 *
 * @param maxBytes longest response body; default: that for an answer about one resource
 */
export type Call = <T>(
  action: string,
  send: (limits: Limits) => Promise<T>,
  maxBytes?: number,
) => Promise<T>;

/** The options of each request to the SDK. */
export interface Limits {
  readonly abortSignal: AbortSignal;
  /** Longest response body, see bodies.ts. */
  readonly maxBytes?: number;
}

/** Whether the action moves an address. It must not arrive at EC2 after it has timed out here. */
const isWrite = (action: string) => /^(Dis)?[Aa]ssociateAddress$/.test(action);

/** Wraps the actions of a client: with timeouts, and with Failures instead of the SDK's exceptions. */
export function callsOf(
  service: Service,
  client: Client,
  url: URL,
  { self, signal, skew, proxyFor }: ConnectOptions,
  agents: ResettableAgents,
): Call {
  const proxy = proxyFor?.(url);
  return async (action, send, maxBytes) => {
    const request = `${service}:${action} at ${url.host}`;
    const limitMs = isWrite(action) ? FLIGHT_MS : LIMIT_MS[service];
    const limit = AbortSignal.timeout(limitMs);
    const limits: Limits = {
      abortSignal: AbortSignal.any([signal, limit]),
      ...(maxBytes !== undefined && { maxBytes }),
    };
    // Reset before the SDK closes the connection in an orderly way, which would still deliver the request.
    const onAbort = () => agents.reset();
    if (isWrite(action)) limits.abortSignal.addEventListener("abort", onAbort, { once: true });
    try {
      try {
        return await send(limits);
      } catch (error) {
        // EC2 refused the signature because of a wrong clock, and the SDK has learned the right time from the answer.
        if (!hasClockSkewCorrected(error)) throw error;
        return await send(limits);
      } finally {
        limits.abortSignal.removeEventListener("abort", onAbort);
        skew.offsetMs = client.config.systemClockOffset;
      }
    } catch (error) {
      if (signal.aborted) throw signal.reason as Error;
      if (error instanceof Failure) {
        throw new Failure(error.kind, { request, ...error.details }, error.step);
      }
      const timedOut = limit.aborted;
      throw translate(error, { service, action, request, timedOut, limitMs, self, proxy });
    }
  };
}

/** The failure for an answer with status 200 that is not the service's, such as a page of a captive portal. */
export function foreignAnswer(service: Service, action: string, host: string): Failure {
  return notOfAws(service, `${service}:${action} at ${host}`, 200);
}

function notOfAws(
  service: Service,
  request: string,
  status: number,
  details: Pick<FailureDetails, "requestId" | "cause"> = {},
): Failure {
  const why = `status ${status} without an answer of ${NAMES[service]} in it`;
  return new Failure("unreachable", { request, why, code: OWN_CODE.notOfAws, ...details });
}

const NAMES: Readonly<Record<Service, string>> = { ec2: "EC2", autoscaling: "Auto Scaling" };

/** Whether the SDK has corrected the clock by this error answer. */
function hasClockSkewCorrected(error: unknown): boolean {
  const { $metadata } = error as { $metadata?: { clockSkewCorrected?: boolean } };
  return $metadata?.clockSkewCorrected === true;
}

interface CallContext {
  readonly service: Service;
  readonly action: string;
  readonly request: string;
  readonly timedOut: boolean;
  /** The timeout of the request, in milliseconds. */
  readonly limitMs: number;
  readonly self: Instance;
  readonly proxy: Proxy | undefined;
}

/** The fields of the SDK's exceptions that are used. `Code` is the code in the body of an error answer. */
interface SdkError {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly Code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string };
}

/** AWS's request ids consist of digits, letters and hyphens. */
const isRequestId = (id: unknown): id is string =>
  typeof id === "string" && /^[\w-]{8,64}$/.test(id);

/** Turns an exception of the SDK into a Failure. */
function translate(
  error: unknown,
  { service, action, request, timedOut, limitMs, self, proxy }: CallContext,
): Failure {
  const { name, message, code, Code, $metadata } = error as SdkError;
  const status = $metadata?.httpStatusCode;
  if (!timedOut && status !== undefined && name !== "TimeoutError") {
    const requestId = isRequestId($metadata?.requestId) ? $metadata.requestId : undefined;
    // The code in the body, not the exception's name: without a body the SDK makes up a name.
    if (typeof Code !== "string") {
      return notOfAws(service, request, status, { requestId, cause: error });
    }
    const common = { code: Code, message: message ?? "", status, requestId };
    return classify({ service, action, request, ...common });
  }
  if (error instanceof ProxyRefusal) {
    const { message: why, remedy } = error;
    return new Failure("unreachable", { request, why, remedy, cause: error });
  }
  // The SDK also throws TimeoutError for a connection that was reset or never established.
  const trouble = networkTrouble(errorCode(error) ?? "");
  const wasSlow =
    timedOut || (name === "TimeoutError" && (trouble === undefined || code === "ETIMEDOUT"));
  const peer = `${NAMES[service]}${proxy === undefined ? "" : ` by the proxy ${proxy.url.host}`}`;
  const isUnconnected = !timedOut && /did not establish a connection/.test(message ?? "");
  return new Failure("unreachable", {
    request,
    why: isUnconnected
      ? `no connection to ${peer} within ${CONNECT_MS / 1_000} s`
      : wasSlow
        ? `no complete answer within ${limitMs / 1_000} s from ${peer}`
        : `${peer}: ${trouble?.why ?? message ?? "no answer"}`,
    // No hint about routing if the connection was established.
    remedy:
      trouble?.remedy ??
      (wasSlow && !isUnconnected
        ? undefined
        : proxy === undefined
          ? egressHint(NAMES[service], self)
          : `is ${proxy.variable} right, and does the proxy let this instance pass?`),
    isLocal: trouble?.isLocal,
    cause: error,
  });
}
