/**
 * The three calls of the EC2 API that the agent makes, through the AWS SDK: wire shapes in, core types and
 * Failures out. One client is one connection; a client is closed after it has written, because the answer
 * may have changed the very public address that the connection runs over.
 */
import {
  type Address,
  AssociateAddressCommand,
  DescribeAddressesCommand,
  DescribeInstancesCommand,
  EC2Client,
  type Instance,
} from "@aws-sdk/client-ec2";
import { classify } from "../core/classify.ts";
import { EXIT, Failure } from "../core/failure.ts";
import { partitionOf } from "../core/ids.ts";
import type { Holder, HolderInstance, InstanceState, Place, Self, View } from "../core/view.ts";
import type { Credentials } from "./credentials.ts";

/** Milliseconds to connect, and for one request in all, body included. */
const CONNECT_MS = 3_000;
const REQUEST_MS = 6_000;

/** Of EC2, for one try: where it is and who asks. */
export interface Ec2Options {
  readonly self: Self;
  readonly credentials: () => Promise<Credentials>;
  /** Another endpoint than the region's own. */
  readonly endpoint?: string;
  readonly dualStack: boolean;
  readonly fips: boolean;
  /** Ends every request when it is aborted. */
  readonly signal: AbortSignal;
  readonly version: string;
  /** What the role turned out not to allow in this try: shared by all connections of the try. */
  readonly denied: Set<string>;
}

export interface Ec2 {
  /** The value of an instance tag of this instance, as EC2 knows it. */
  tag(key: string): Promise<string | undefined>;
  /** The address and its holder. */
  look(allocationId: string, here: Place): Promise<View>;
  /** Associates; `reassociate` takes the address from whoever holds it, without it that is an error. */
  associate(allocationId: string, here: Place, reassociate: boolean): Promise<void>;
  close(): void;
}

/** Opens a connection of its own to EC2; the first call connects. All calls throw Failures. */
export function connectEc2(options: Ec2Options): Ec2 {
  const { self, signal, denied } = options;
  // The SDK reads profile files for a dozen settings, whatever it is given: point it at nothing.
  process.env["AWS_CONFIG_FILE"] = process.env["AWS_SHARED_CREDENTIALS_FILE"] = "/dev/null";
  const client = new EC2Client({
    region: self.region,
    credentials: options.credentials,
    ...(options.endpoint !== undefined && { endpoint: options.endpoint }),
    // With an endpoint of its own the SDK refuses both: the endpoint is then taken as it is, as by the AWS CLI.
    useDualstackEndpoint: options.endpoint === undefined && options.dualStack,
    useFipsEndpoint: options.endpoint === undefined && options.fips,
    // Every retry is ours: it starts with a new look, and a take must not be sent again later by itself.
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      requestTimeout: REQUEST_MS,
      throwOnRequestTimeout: true,
      socketTimeout: REQUEST_MS,
    },
    customUserAgent: [["eip-heal", options.version]],
  });
  const host = hostOf(options, client);

  /** Runs one action and turns whatever it throws into a Failure. */
  async function call<T>(
    action: string,
    resource: string,
    send: (limits: { abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    const request = `ec2:${action} at ${host}`;
    const limit = AbortSignal.timeout(REQUEST_MS);
    try {
      return await send({ abortSignal: AbortSignal.any([signal, limit]) });
    } catch (error) {
      if (signal.aborted) throw signal.reason as Error;
      if (error instanceof Failure) throw error;
      throw translate(error, { action, request, resource, timedOut: limit.aborted, self, host });
    }
  }

  async function describeInstances(filter: string, values: string[]): Promise<Instance[]> {
    const { Reservations = [] } = await call("DescribeInstances", "*", (limits) =>
      client.send(
        // By filter, not by id: an unknown id then is a missing row and not an error for the whole answer.
        new DescribeInstancesCommand({ Filters: [{ Name: filter, Values: values }] }),
        limits,
      ),
    );
    return Reservations.flatMap(({ Instances = [] }) => Instances);
  }

  /** The address by DescribeAddresses, or undefined where the role does not allow that. */
  async function describeAddress(allocationId: string): Promise<Address | undefined> {
    if (denied.has("DescribeAddresses")) return undefined;
    let answer;
    try {
      answer = await call("DescribeAddresses", "*", (limits) =>
        client.send(
          new DescribeAddressesCommand({
            Filters: [{ Name: "allocation-id", Values: [allocationId] }],
          }),
          limits,
        ),
      );
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== "UnauthorizedOperation") throw error;
      denied.add("DescribeAddresses");
      return undefined;
    }
    const address = answer.Addresses?.find(({ AllocationId }) => AllocationId === allocationId);
    if (address === undefined) {
      throw new Failure("not-yet", {
        request: `ec2:DescribeAddresses at ${host}`,
        why: `EC2 does not know ${allocationId} in ${self.region}`,
        cure: "is it released, in another region or in another account?",
        code: "InvalidAllocationID.NotFound",
        meaning: EXIT.CONFIG,
      });
    }
    return address;
  }

  /** The holder's state and both launch times, from one answer. */
  async function compare(
    view: Omit<View, "holder" | "selfLaunchedAt">,
    holder: Omit<HolderInstance, "kind" | "state" | "launchedAt">,
  ): Promise<View> {
    const instances = await describeInstances("instance-id", [holder.instanceId, self.instanceId]);
    const find = (id: string) => instances.find(({ InstanceId }) => InstanceId === id);
    const other = find(holder.instanceId);
    const launchedAt = other?.LaunchTime?.getTime();
    const selfLaunchedAt = find(self.instanceId)?.LaunchTime?.getTime();
    return {
      ...view,
      holder: {
        ...holder,
        kind: "instance",
        state: (other?.State?.Name as InstanceState | undefined) ?? "unknown",
        ...(launchedAt !== undefined && { launchedAt }),
      },
      ...(selfLaunchedAt !== undefined && { selfLaunchedAt }),
    };
  }

  return {
    async tag(key) {
      const [instance] = await describeInstances("instance-id", [self.instanceId]);
      return instance?.Tags?.find(({ Key }) => Key === key)?.Value?.trim() || undefined;
    },

    async look(allocationId, here) {
      const address = await describeAddress(allocationId);
      if (address !== undefined) {
        const view = {
          allocationId,
          ...(address.PublicIp && { publicIp: address.PublicIp }),
          ...(address.NetworkBorderGroup && { borderGroup: address.NetworkBorderGroup }),
        };
        const holder = holderOf(address);
        return holder.kind === "instance" && holder.instanceId !== self.instanceId
          ? compare(view, holder)
          : { ...view, holder };
      }

      const [instance] = await describeInstances(
        "network-interface.addresses.association.allocation-id",
        [allocationId],
      );
      if (instance?.InstanceId === undefined) return { allocationId, holder: { kind: "nobody" } };
      const { publicIp, ...place } = placeOf(instance, here);
      const view = { allocationId, ...(publicIp !== undefined && { publicIp }) };
      const holder = { instanceId: instance.InstanceId, ...place };
      return instance.InstanceId === self.instanceId
        ? { ...view, holder: { ...holder, kind: "instance", state: "running" } }
        : compare(view, holder);
    },

    async associate(allocationId, here, reassociate) {
      const arn = `arn:${partitionOf(self.region)}:ec2:${self.region}:*:elastic-ip/${allocationId}`;
      await call("AssociateAddress", arn, (limits) =>
        client.send(
          new AssociateAddressCommand({
            AllocationId: allocationId,
            ...(here.onlyInterface
              ? { InstanceId: here.instanceId }
              : { NetworkInterfaceId: here.interfaceId }),
            ...(!here.primaryIp && { PrivateIpAddress: here.privateIp }),
            // Left out it means true.
            AllowReassociation: reassociate,
          }),
          limits,
        ),
      );
    },

    close: () => client.destroy(),
  };
}

/** Who holds the address, as DescribeAddresses tells: by the association, since a NAT gateway has no instance id. */
function holderOf(address: Address): Holder {
  const { AssociationId, InstanceId, NetworkInterfaceId, PrivateIpAddress, ServiceManaged } =
    address;
  if (ServiceManaged !== undefined) {
    return {
      kind: "other",
      what: `${NetworkInterfaceId ?? "a service"}, managed by ${ServiceManaged}`,
    };
  }
  if (InstanceId) {
    return {
      kind: "instance",
      instanceId: InstanceId,
      state: "running",
      ...(NetworkInterfaceId && { interfaceId: NetworkInterfaceId }),
      ...(PrivateIpAddress && { privateIp: PrivateIpAddress }),
    };
  }
  if (AssociationId || NetworkInterfaceId) {
    return {
      kind: "other",
      what: `${NetworkInterfaceId ?? AssociationId}, which belongs to no instance (a NAT gateway, a load balancer or a detached interface)`,
    };
  }
  return { kind: "nobody" };
}

/**
 * Where on the instance the address is, as DescribeInstances tells. It does not say which allocation a
 * public address belongs to: with several, the one at our own place is meant if there is one.
 */
function placeOf(
  instance: Instance,
  here: Place,
): { interfaceId?: string; privateIp?: string; publicIp?: string } {
  const places = (instance.NetworkInterfaces ?? []).flatMap((networkInterface) =>
    (networkInterface.PrivateIpAddresses ?? []).flatMap(({ PrivateIpAddress, Association }) =>
      Association?.PublicIp && Association.IpOwnerId !== "amazon"
        ? [
            {
              interfaceId: networkInterface.NetworkInterfaceId ?? "",
              privateIp: PrivateIpAddress ?? "",
              publicIp: Association.PublicIp,
            },
          ]
        : [],
    ),
  );
  const own = places.find(
    ({ interfaceId, privateIp }) =>
      interfaceId === here.interfaceId && privateIp === here.privateIp,
  );
  return own ?? (places.length === 1 ? places[0] : undefined) ?? {};
}

function hostOf({ endpoint, self, dualStack, fips }: Ec2Options, client: EC2Client): string {
  if (endpoint !== undefined) return new URL(endpoint).host;
  return client.config.endpointProvider({
    Region: self.region,
    UseDualStack: dualStack,
    UseFIPS: fips,
  }).url.host;
}

interface Context {
  readonly action: string;
  readonly request: string;
  readonly resource: string;
  readonly timedOut: boolean;
  readonly self: Self;
  readonly host: string;
}

function translate(error: unknown, context: Context): Failure {
  const { action, request, resource, timedOut, self } = context;
  const { name, message, code, $metadata } = error as {
    name?: string;
    message?: string;
    code?: string;
    $metadata?: { httpStatusCode?: number };
  };
  const status = $metadata?.httpStatusCode;
  const isAnswer =
    status !== undefined && name !== undefined && name !== "Error" && name !== "TimeoutError";
  if (isAnswer && !timedOut) {
    if (name === "Unknown" || name === "SyntaxError") {
      return new Failure(status === 503 ? "throttled" : "unreachable", {
        request,
        why: `status ${status} without an answer of EC2 in it`,
        cause: error,
      });
    }
    return classify({ code: name, message: message ?? "", status, action, request, resource });
  }
  return new Failure("unreachable", {
    request,
    why:
      timedOut || name === "TimeoutError"
        ? `no complete answer within ${(code === "ETIMEDOUT" ? CONNECT_MS : REQUEST_MS) / 1_000} s`
        : (code ?? message ?? "no answer"),
    cure: wayOut(self),
    cause: error,
  });
}

/** What people whose instance cannot reach EC2 lack most often. */
function wayOut(self: Self): string | undefined {
  if (self.interfaces.some(({ publicIps }) => publicIps.length > 0)) return undefined;
  return "this instance has no public IPv4 address: let its subnet assign one, add an interface endpoint for EC2 to the VPC, or give it IPv6";
}
