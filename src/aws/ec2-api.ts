/**
 * The calls of the EC2 API, through the AWS SDK, each one request with a limit of time, and whatever goes
 * wrong as a Failure. One client is one connection; it is closed after it has written, because the answer
 * may have changed the very public address that the connection runs over.
 */
import {
  AssociateAddressCommand,
  DescribeAddressesCommand,
  DescribeInstancesCommand,
  DisassociateAddressCommand,
  EC2Client,
} from "@aws-sdk/client-ec2";
import { classify } from "../core/classify.ts";
import { Failure } from "../core/failure.ts";
import { partitionOf } from "../core/ids.ts";
import { errorCode, networkTrouble } from "../core/network.ts";
import type { Self } from "../core/view.ts";
import type { Credentials } from "./credentials.ts";
import type { Ec2Api } from "./ec2.ts";

/** Milliseconds to connect, and for one request in all, body included. */
const CONNECT_MS = 3_000;
const REQUEST_MS = 6_000;

export interface ConnectOptions {
  readonly self: Self;
  readonly credentials: () => Promise<Credentials>;
  /** Another endpoint than the region's own. */
  readonly endpoint?: string;
  readonly dualStack: boolean;
  readonly fips: boolean;
  /** Ends every request when it is aborted. */
  readonly signal: AbortSignal;
  readonly version: string;
  /** By how much this machine's clock is off, in milliseconds, as EC2's answers have told: kept for the next connection. */
  readonly skew: { offsetMs: number };
}

/** Opens a connection of its own; the first call connects. */
export function connectApi(options: ConnectOptions): Ec2Api {
  const { self, signal, endpoint } = options;
  // The SDK reads profile files for a dozen settings, whatever it is given: point it at nothing.
  process.env["AWS_CONFIG_FILE"] = process.env["AWS_SHARED_CREDENTIALS_FILE"] = "/dev/null";
  const client = new EC2Client({
    region: self.region,
    credentials: options.credentials,
    ...(endpoint !== undefined && { endpoint }),
    // With an endpoint of its own the SDK refuses both: it is then taken as it is, as by the AWS CLI.
    useDualstackEndpoint: endpoint === undefined && options.dualStack,
    useFipsEndpoint: endpoint === undefined && options.fips,
    // Every retry is ours: it starts with a new look, and a take must not be sent again later by itself.
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      requestTimeout: REQUEST_MS,
      throwOnRequestTimeout: true,
      socketTimeout: REQUEST_MS,
    },
    systemClockOffset: options.skew.offsetMs,
    customUserAgent: [["eip-heal", options.version]],
  });
  const host = hostOf(options, client);

  /** Runs one action; `resource` is the ARN it works on, for a refusal that names none. */
  async function call<T>(
    action: string,
    resource: string,
    send: (limits: { abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    const request = `ec2:${action} at ${host}`;
    const limit = AbortSignal.timeout(REQUEST_MS);
    const limits = { abortSignal: AbortSignal.any([signal, limit]) };
    try {
      try {
        return await send(limits);
      } catch (error) {
        // A refusal because of a wrong clock tells the right time: signed with that, the request is another one.
        if (!isClockNews(error)) throw error;
        return await send(limits);
      } finally {
        options.skew.offsetMs = client.config.systemClockOffset;
      }
    } catch (error) {
      if (signal.aborted) throw signal.reason as Error;
      if (error instanceof Failure) throw error;
      throw translate(error, { action, request, resource, timedOut: limit.aborted, self });
    }
  }

  /** An answer without the list that was asked for is a page of somebody else: EC2 sends an empty one. */
  function listed<T>(action: string, list: T[] | undefined): T[] {
    if (list !== undefined) return list;
    throw new Failure("unreachable", {
      request: `ec2:${action} at ${host}`,
      why: "status 200 without an answer of EC2 in it",
    });
  }

  return {
    host,

    describeAddresses: (filter, values) =>
      call("DescribeAddresses", "*", async (limits) => {
        // By filter, not by id: an unknown id then is a missing row and not an error.
        const command = new DescribeAddressesCommand({
          Filters: [{ Name: filter, Values: [...values] }],
        });
        return listed("DescribeAddresses", (await client.send(command, limits)).Addresses);
      }),

    describeInstances: (filter, values) =>
      call("DescribeInstances", "*", async (limits) => {
        const command = new DescribeInstancesCommand({
          Filters: [{ Name: filter, Values: [...values] }],
        });
        const { Reservations } = await client.send(command, limits);
        return listed("DescribeInstances", Reservations).flatMap(({ Instances = [], OwnerId }) =>
          Instances.map((instance) => ({
            instance,
            ...(OwnerId !== undefined && { ownerId: OwnerId }),
          })),
        );
      }),

    associateAddress(input) {
      const resource = `arn:${partitionOf(self.region)}:ec2:${self.region}:*:elastic-ip/${input.allocationId}`;
      return call("AssociateAddress", resource, async (limits) => {
        await client.send(
          new AssociateAddressCommand({
            AllocationId: input.allocationId,
            InstanceId: input.instanceId,
            NetworkInterfaceId: input.networkInterfaceId,
            PrivateIpAddress: input.privateIpAddress,
            // Left out it means true.
            AllowReassociation: input.allowReassociation,
          }),
          limits,
        );
      });
    },

    disassociateAddress: (associationId) =>
      call("DisassociateAddress", "*", async (limits) => {
        await client.send(new DisassociateAddressCommand({ AssociationId: associationId }), limits);
      }),

    close: () => client.destroy(),
  };
}

function hostOf({ endpoint, self, dualStack, fips }: ConnectOptions, client: EC2Client): string {
  if (endpoint !== undefined) return new URL(endpoint).host;
  return client.config.endpointProvider({
    Region: self.region,
    UseDualStack: dualStack,
    UseFIPS: fips,
  }).url.host;
}

/** Has the SDK learnt from this error answer that the clock is off by minutes? */
function isClockNews(error: unknown): boolean {
  const { $metadata } = error as { $metadata?: { clockSkewCorrected?: boolean } };
  return $metadata?.clockSkewCorrected === true;
}

interface Context {
  readonly action: string;
  readonly request: string;
  readonly resource: string;
  readonly timedOut: boolean;
  readonly self: Self;
}

/** The failure that an exception of the SDK is: an answer of EC2, or none. */
function translate(
  error: unknown,
  { action, request, resource, timedOut, self }: Context,
): Failure {
  const { name, message, code, $metadata } = error as {
    name?: string;
    message?: string;
    code?: string;
    $metadata?: { httpStatusCode?: number };
  };
  const status = $metadata?.httpStatusCode;
  if (!timedOut && status !== undefined && name !== undefined && name !== "TimeoutError") {
    // "Unknown" is what the SDK calls an error without a code, "Error" one that it cannot parse.
    if (/^(Unknown|Error|SyntaxError|TypeError)$/.test(name)) {
      return new Failure(status === 503 ? "throttled" : "unreachable", {
        request,
        why: `status ${status} without an answer of EC2 in it`,
        cause: error,
      });
    }
    return classify({ code: name, message: message ?? "", status, action, request, resource });
  }
  // The SDK calls a connection that was reset a TimeoutError too, and one that was never made as well.
  const trouble = networkTrouble(errorCode(error) ?? "");
  const wasSlow =
    timedOut || (name === "TimeoutError" && (trouble === undefined || code === "ETIMEDOUT"));
  const isUnconnected = !timedOut && /did not establish a connection/.test(message ?? "");
  return new Failure("unreachable", {
    request,
    why: isUnconnected
      ? `no connection within ${CONNECT_MS / 1_000} s`
      : wasSlow
        ? `no complete answer within ${REQUEST_MS / 1_000} s`
        : (trouble?.why ?? message ?? "no answer"),
    cure: trouble?.cure ?? wayOut(self),
    cause: error,
  });
}

/** What people whose instance cannot reach EC2 lack most often. */
function wayOut(self: Self): string | undefined {
  if (self.interfaces.some(({ publicIps }) => Object.keys(publicIps).length > 0)) return undefined;
  return "this instance has no public IPv4 address: let its subnet assign one, add an interface endpoint for EC2 to the VPC, or give it IPv6";
}
