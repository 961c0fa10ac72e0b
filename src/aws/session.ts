/**
 * AWS as this instance reaches it, opened step by step: instance metadata, who this instance is, credentials, and connections
 * to EC2 and Auto Scaling in its name. The standard AWS variables are read here, and mean what they mean to the AWS CLI.
 */
import { GROUP_TAG, type Instance } from "../model/instance.ts";
import { type Credentials, roleCredentials, roleName } from "./credentials.ts";
import { association, ec2Over } from "./ec2.ts";
import { type Metadata, openMetadata } from "./imds.ts";
import { firstTag, readInstance, readInstanceContext } from "./self.ts";
import type { ConnectOptions } from "./client.ts";
import type { Target } from "../model/target.ts";
import { type Environment, readAwsEnvironment } from "./environment.ts";

/**
 * AWS, for all attempts of a run.
 *
 * @param version of this program, for the user agent
 * @throws Failure `misconfigured` for variables that make no sense
 */
export function awsIn(environment: Environment, version: string) {
  const variables = readAwsEnvironment(environment);
  const { metadataUrl, keys, region, ec2Url, autoScalingUrl, dualStack, fips } = variables;
  const { proxyFor, ca } = variables;
  // Kept from one session to the next.
  const skew = { offsetMs: 0 };
  const outage = { isOn: false };
  const alternate = { ec2: alternation(), autoScaling: alternation() };
  let hasConnected = false;

  /** Opens a session: a token of instance metadata. `signal` ends whatever is done in it. @throws Failure */
  const open = async (signal: AbortSignal) =>
    sessionOver(await openMetadata(metadataUrl, signal), signal);

  function sessionOver(metadata: Metadata, signal: AbortSignal) {
    let fetched: Promise<Credentials> | undefined;
    const credentials = () =>
      (fetched ??= keys === undefined ? roleCredentials(metadata) : Promise.resolve(keys));
    const denied = new Set<string>();
    let isSecondEc2: boolean | undefined;
    let isSecondAutoScaling: boolean | undefined;

    const options = (
      self: Instance,
      endpoint: string | undefined,
      toDualStack: boolean,
      ends = signal,
    ): ConnectOptions => ({
      self,
      credentials,
      ...(endpoint !== undefined && { endpoint }),
      dualStack: toDualStack,
      fips,
      proxyFor,
      ...(ca !== undefined && { ca }),
      signal: ends,
      version,
      skew,
    });
    /**
     * An instance without public IPv4 may have a way to AWS all the same, or else only one over IPv6, which the ordinary
     * endpoint does not speak. Not every region has the other one: sessions take turns.
     */
    const isDualStack = (self: Instance, isSecond: boolean) =>
      dualStack || (isSecond && hasOnlyIpv6(self));

    return {
      /**
       * Reads who this instance is, and the first of these tags that it has.
       *
       * @param also `group`: its Auto Scaling group, where no lifecycle state is shown; `ipv6`: whether it has IPv6, which
       *   matters to the second endpoint only
       */
      async instance(
        tags: readonly string[],
        { group = false, ipv6 = hasConnected }: { group?: boolean; ipv6?: boolean } = {},
      ): Promise<Instance> {
        const self = await readInstance(metadata, tags, region, ipv6);
        if (!group || self.lifecycleState !== undefined) return self;
        const tag = await firstTag(metadata, [GROUP_TAG]);
        return { ...self, ...(tag && { group: tag.value }) };
      },

      /** The region that the instance is in, whatever a variable says. */
      async ownRegion(): Promise<string | undefined> {
        const text = (await metadata.read("meta-data/placement/region"))?.trim();
        return text !== undefined && /^[a-z0-9-]{1,64}$/.test(text) ? text : undefined;
      },
      hasTags: async () => (await metadata.read("meta-data/tags/instance")) !== undefined,
      group: async () => (await firstTag(metadata, [GROUP_TAG]))?.value,
      instanceContext: (self: Instance) => readInstanceContext(metadata, self.interfaces),
      role: () => roleName(metadata),

      /** Fetches credentials, once for the session. */
      async credentials(): Promise<Pick<Credentials, "source" | "expiresAt">> {
        const { source, expiresAt } = await credentials();
        return { source, ...(expiresAt && { expiresAt }) };
      },

      async endpoints(self: Instance) {
        const { connectApi } = await import("./ec2-api.ts");
        const both = !dualStack && ec2Url === undefined && hasOnlyIpv6(self);
        return [dualStack, ...(both ? [true] : [])].map((which) => {
          const api = connectApi(options(self, ec2Url, which));
          api.close();
          const { url, proxy, agent } = api;
          return { url, dualStack: which, agent, ...(proxy && { proxy }) };
        });
      },

      /** Opens a connection to EC2. */
      async ec2(self: Instance, toDualStack?: boolean) {
        // Loaded only here, as the largest part of all: a recheck that finds nothing wrong needs none of it.
        const { connectApi } = await import("./ec2-api.ts");
        hasConnected = true;
        isSecondEc2 ??= alternate.ec2();
        const api = connectApi(
          options(self, ec2Url, toDualStack ?? isDualStack(self, isSecondEc2)),
        );
        return {
          ...ec2Over(api, self, denied, outage),
          mayDescribeAddresses: () => api.tryDescribeAddresses(),
          mayDescribeInstances: () => api.tryDescribeInstances(),
          mayDescribeInterfaces: () => api.tryDescribeInterfaces(),
          mayAssociate: (allocationId: string, target: Target, reassociate: boolean) =>
            api.tryAssociateAddress(association(allocationId, target, reassociate)),
        };
      },

      /** Opens a connection to Auto Scaling; `ends` ends its requests, in place of the signal of the session. */
      async autoScaling(self: Instance, ends?: AbortSignal) {
        // A run without a lifecycle hook needs none of it.
        const { connectAutoScaling } = await import("./auto-scaling-api.ts");
        hasConnected = true;
        isSecondAutoScaling ??= alternate.autoScaling();
        return connectAutoScaling(
          options(self, autoScalingUrl, isDualStack(self, isSecondAutoScaling), ends),
        );
      },
    };
  }

  return { metadataUrl: new URL(metadataUrl), hasKeys: keys !== undefined, open };
}

/** False, true, false, true … */
function alternation(): () => boolean {
  let isSecond = true;
  return () => (isSecond = !isSecond);
}

/** Has it IPv6 and no public IPv4 address on any interface? */
function hasOnlyIpv6({ interfaces }: Instance): boolean {
  return (
    interfaces.every(({ publicIps }) => Object.keys(publicIps).length === 0) &&
    interfaces.some(({ hasIpv6 }) => hasIpv6)
  );
}
