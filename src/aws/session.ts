/**
 * AWS as this instance reaches it, opened step by step: instance metadata, the identity of this instance, credentials, and
 * connections to EC2 and Auto Scaling. The standard AWS variables mean what they mean to the AWS CLI.
 */
import { GROUP_TAG, type Instance } from "../model/instance.ts";
import { connectAhead } from "./ahead.ts";
import { type Credentials, roleCredentials, roleName } from "./credentials.ts";
import { association, ec2Over } from "./ec2.ts";
import { type Metadata, openMetadata } from "./imds.ts";
import {
  firstTag,
  type Identity,
  readIdentity,
  readInstance,
  readInstanceContext,
  readSpotAction,
} from "./self.ts";
import type { ConnectOptions } from "./client.ts";
import type { ResettableAgents } from "./sockets.ts";
import type { Target } from "../model/target.ts";
import { type ReadFile, readAwsEnvironment } from "./environment.ts";
import type { Environment } from "../model/environment.ts";

type Variables = ReturnType<typeof readAwsEnvironment>;

/** What successive sessions of a run share. */
interface Shared {
  readonly skew: { offsetMs: number };
  readonly outage: { isOn: boolean };
  readonly hints: Map<string, string | undefined>;
  /** Whether a session tries the second endpoint of the service: see `connectionsIn`. */
  readonly takesTurn: { readonly ec2: () => boolean; readonly autoScaling: () => boolean };
  hasConnected: boolean;
  /** A connection to EC2 that was made ahead, until it is used. */
  ahead: ResettableAgents | undefined;
}

/**
 * AWS, for all attempts of a run.
 *
 * @param version of this program, for the user agent
 * @param readFile see readAwsEnvironment
 * @throws Failure `misconfigured` for AWS variables with invalid values
 */
export function awsIn(environment: Environment, version: string, readFile: ReadFile) {
  const variables = readAwsEnvironment(environment, readFile);
  const { metadataUrl, keys } = variables;
  const shared: Shared = {
    skew: { offsetMs: 0 },
    outage: { isOn: false },
    hints: new Map(),
    takesTurn: { ec2: alternation(), autoScaling: alternation() },
    hasConnected: false,
    ahead: undefined,
  };
  let hasConnectedAhead = false;

  /**
   * Opens a session by fetching an instance metadata token.
   *
   * @param signal aborts its requests
   * @param needsEc2 begin to connect to EC2 before the rest of instance metadata is read. That is done once: after a failure
   *   there is no hurry, and the other endpoint may be tried.
   * @throws Failure
   */
  async function open(signal: AbortSignal, needsEc2 = false) {
    const metadata = await openMetadata(metadataUrl, signal);
    let fetched: Promise<Credentials> | undefined;
    const credentials = () =>
      (fetched ??= keys === undefined ? roleCredentials(metadata) : Promise.resolve(keys));
    const identity = identityIn(metadata, variables, shared);
    if (needsEc2 && !hasConnectedAhead) {
      hasConnectedAhead = true;
      shared.ahead = await connectAhead(variables, identity.ownRegion);
    }
    return {
      ...identity,

      /** Fetches credentials. Only the first call in a session makes requests. */
      async credentials(): Promise<Pick<Credentials, "source" | "expiresAt">> {
        const { source, expiresAt } = await credentials();
        return { source, ...(expiresAt && { expiresAt }) };
      },

      ...connectionsIn(variables, shared, { credentials, version, signal }),
    };
  }

  return {
    metadataUrl: new URL(metadataUrl),
    hasKeys: keys !== undefined,
    open,
    /** Asks a URL that answers with the public address of whoever asks, over a new connection. @throws Failure `unreachable` */
    async publicIpBy(url: URL, signal: AbortSignal) {
      const { publicIpBy } = await import("./public-ip.ts");
      return publicIpBy(url, variables, signal);
    },
  };
}

/** The identity of this instance, read from its metadata. */
function identityIn(metadata: Metadata, { region }: Variables, shared: Shared) {
  let known: Promise<Identity> | undefined;
  const identity = () => (known ??= readIdentity(metadata));
  return {
    /**
     * Reads this instance, and the first of these tags that it has.
     *
     * @param also `group`: read its Auto Scaling group too if no lifecycle state is shown; `ipv6`: read whether it has IPv6,
     *   which only matters for the second endpoint; `ignored`: read the next of these tags, too
     */
    async instance(
      tags: readonly string[],
      {
        group = false,
        ipv6 = shared.hasConnected,
        ignored = false,
      }: { group?: boolean; ipv6?: boolean; ignored?: boolean } = {},
    ): Promise<Instance> {
      const self = await readInstance(metadata, identity(), tags, region, ipv6, ignored);
      if (!group || self.lifecycleState !== undefined) return self;
      const tag = await firstTag(metadata, [GROUP_TAG]);
      return { ...self, ...(tag && { group: tag.value }) };
    },

    /** The pending interruption of this spot instance, if any. */
    spotAction: () => readSpotAction(metadata),

    /** The region of this instance, even if AWS_REGION names another. */
    ownRegion: async () => (await identity()).region,
    hasTags: async () => (await metadata.read("meta-data/tags/instance")) !== undefined,
    group: async () => (await firstTag(metadata, [GROUP_TAG]))?.value,
    instanceContext: (self: Instance) => readInstanceContext(metadata, identity(), self.interfaces),
    role: () => roleName(metadata),
  };
}

/**
 * Connections to EC2 and Auto Scaling.
 *
 * An instance without a public IPv4 address may reach the default endpoint through NAT or a VPC endpoint, or only the
 * dual-stack endpoint over IPv6. Not every region has the latter, so successive sessions try the two in turn.
 */
function connectionsIn(
  { ec2Url, autoScalingUrl, dualStack, fips, proxyFor, ca }: Variables,
  shared: Shared,
  session: Pick<ConnectOptions, "credentials" | "version" | "signal">,
) {
  const denied = new Set<string>();
  let isSecondEc2: boolean | undefined;
  let isSecondAutoScaling: boolean | undefined;

  const options = (
    self: Instance,
    endpoint: string | undefined,
    toDualStack: boolean,
    signal = session.signal,
  ): ConnectOptions => ({
    ...session,
    self,
    ...(endpoint !== undefined && { endpoint }),
    dualStack: toDualStack,
    fips,
    proxyFor,
    ...(ca !== undefined && { ca }),
    signal,
    skew: shared.skew,
  });
  const usesDualStack = (self: Instance, isSecond: boolean) =>
    dualStack || (isSecond && hasOnlyIpv6(self));

  return {
    /** The endpoints of EC2, in the order in which sessions try them. */
    async endpoints(self: Instance) {
      const { connectApi } = await import("./ec2-api.ts");
      const both = !dualStack && ec2Url === undefined && hasOnlyIpv6(self);
      return [dualStack, ...(both ? [true] : [])].map((isDualStack) => {
        const api = connectApi(options(self, ec2Url, isDualStack));
        api.close();
        const { url, proxy, agent } = api;
        return { url, dualStack: isDualStack, agent, ...(proxy && { proxy }) };
      });
    },

    /** Opens a connection to EC2. */
    async ec2(self: Instance, toDualStack?: boolean) {
      // Imported on demand, as it is the largest part of the program and a recheck that finds nothing wrong needs none of it.
      const { connectApi } = await import("./ec2-api.ts");
      shared.hasConnected = true;
      isSecondEc2 ??= shared.takesTurn.ec2();
      const { ahead } = shared;
      shared.ahead = undefined;
      const api = connectApi(
        options(self, ec2Url, toDualStack ?? usesDualStack(self, isSecondEc2)),
        ahead,
      );
      return {
        ...ec2Over(api, self, denied, shared.outage, shared.hints),
        mayDescribeAddresses: () => api.tryDescribeAddresses(),
        mayDescribeInstances: () => api.tryDescribeInstances(),
        mayDescribeInterfaces: () => api.tryDescribeInterfaces(),
        mayAssociate: (allocationId: string, target: Target, reassociate: boolean) =>
          api.tryAssociateAddress(association(allocationId, target, reassociate)),
      };
    },

    /** Opens a connection to Auto Scaling. @param signal aborts its requests, instead of the session's signal */
    async autoScaling(self: Instance, signal?: AbortSignal) {
      // Imported on demand: a run without a lifecycle hook needs none of it.
      const { connectAutoScaling } = await import("./auto-scaling-api.ts");
      shared.hasConnected = true;
      isSecondAutoScaling ??= shared.takesTurn.autoScaling();
      return connectAutoScaling(
        options(self, autoScalingUrl, usesDualStack(self, isSecondAutoScaling), signal),
      );
    },
  };
}

/** False, true, false, true … */
function alternation(): () => boolean {
  let isSecond = true;
  return () => (isSecond = !isSecond);
}

/** Whether it has IPv6, but no public IPv4 address on any interface. */
function hasOnlyIpv6({ interfaces }: Instance): boolean {
  return (
    interfaces.every(({ publicIps }) => Object.keys(publicIps).length === 0) &&
    interfaces.some(({ hasIpv6 }) => hasIpv6)
  );
}
