/**
 * What the clients of AWS services have in common: each call is one request with a limit of time, and
 * whatever goes wrong is a Failure.
 */
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
 * Milliseconds for one request in all, body included. EC2's DescribeInstances has been seen to take seconds in accounts
 * with many instances (hashicorp/vault#2767: p95 up to 6 s), and one that is given up is asked again all the same. With
 * Auto Scaling a lifecycle hook must not time out meanwhile.
 */
const LIMIT_MS: Readonly<Record<Service, number>> = { ec2: 15_000, autoscaling: 6_000 };

export interface ConnectOptions {
  readonly self: Instance;
  readonly credentials: () => Promise<Keys>;
  /** Another endpoint than the region's own. */
  readonly endpoint?: string;
  readonly dualStack: boolean;
  readonly fips: boolean;
  /** What requests to a URL go through; without it they go straight there. */
  readonly proxyFor?: ((url: URL) => Proxy | undefined) | undefined;
  /** Certificates, in PEM, that are trusted instead of the system's. */
  readonly ca?: string;
  /** Ends every request when it is aborted. */
  readonly signal: AbortSignal;
  readonly version: string;
  /** By how much this machine's clock is off, in milliseconds, as AWS's answers have told: kept for the next connection. */
  readonly skew: { offsetMs: number };
}

/** The configuration of a client of the SDK, with agents for its connections alone. */
export function clientConfig(options: ConnectOptions, { httpAgent, httpsAgent }: ResettableAgents) {
  // The SDK reads profile files for a dozen settings, whatever it is given: point it at nothing.
  process.env["AWS_CONFIG_FILE"] = process.env["AWS_SHARED_CREDENTIALS_FILE"] = "/dev/null";
  const { endpoint } = options;
  return {
    region: options.self.region,
    credentials: options.credentials,
    ...(endpoint !== undefined && { endpoint }),
    // With an endpoint of its own the SDK refuses both: it is then taken as it is, as by the AWS CLI.
    useDualstackEndpoint: endpoint === undefined && options.dualStack,
    useFipsEndpoint: endpoint === undefined && options.fips,
    // Every retry is ours: it starts with a new look, and a take must not be sent again later by itself.
    maxAttempts: 1,
    // What AWS_RETRY_MODE and AWS_DEFAULTS_MODE would decide; the SDK throws for a value that it does not know.
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

/** The part of the SDK's clients that is the same for all services. */
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

/** Where the client's requests go. */
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
 * @param maxBytes that the body of the answer may have, if it is not about one thing
 */
export type Call = <T>(
  action: string,
  send: (limits: Limits) => Promise<T>,
  maxBytes?: number,
) => Promise<T>;

/** What the SDK is given with each request. */
export interface Limits {
  readonly abortSignal: AbortSignal;
  /** For the body of the answer: see bodies.ts. */
  readonly maxBytes?: number;
}

/** What moves an address, and must not arrive later than it counts as unanswered. */
const isWrite = (action: string) => /^(Dis)?[Aa]ssociateAddress$/.test(action);

/** How the client's actions are run: within our limits, and with our Failures. */
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
    // Before the SDK hears of it and closes the connection in an orderly way, by which the request would still arrive.
    const onAbort = () => agents.reset();
    if (isWrite(action)) limits.abortSignal.addEventListener("abort", onAbort, { once: true });
    try {
      try {
        return await send(limits);
      } catch (error) {
        // A refusal because of a wrong clock tells the right time: signed with that, the request is another one.
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

/** An answer with status 200 that is somebody else's page. */
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

/** Has the SDK learnt from this error answer that the clock is off by minutes? */
function hasClockSkewCorrected(error: unknown): boolean {
  const { $metadata } = error as { $metadata?: { clockSkewCorrected?: boolean } };
  return $metadata?.clockSkewCorrected === true;
}

interface CallContext {
  readonly service: Service;
  readonly action: string;
  readonly request: string;
  readonly timedOut: boolean;
  /** Milliseconds that the request could take. */
  readonly limitMs: number;
  readonly self: Instance;
  readonly proxy: Proxy | undefined;
}

/** What the SDK throws, as far as it matters; of an error answer it has the code as the body has it. */
interface SdkError {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly Code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string };
}

/** AWS makes them from digits, letters and hyphens; whatever else is there is somebody's joke. */
const isRequestId = (id: unknown): id is string =>
  typeof id === "string" && /^[\w-]{8,64}$/.test(id);

/** The failure that an exception of the SDK is: an answer of the service, or none. */
function translate(
  error: unknown,
  { service, action, request, timedOut, limitMs, self, proxy }: CallContext,
): Failure {
  const { name, message, code, Code, $metadata } = error as SdkError;
  const status = $metadata?.httpStatusCode;
  if (!timedOut && status !== undefined && name !== "TimeoutError") {
    const requestId = isRequestId($metadata?.requestId) ? $metadata.requestId : undefined;
    // The code in the body, not the name that the SDK gives the error: without a body it has names of its own.
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
  // The SDK calls a connection that was reset a TimeoutError too, and one that was never made as well.
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
    // What has connected has a way out.
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
