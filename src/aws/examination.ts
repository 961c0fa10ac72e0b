/**
 * The parts of a footing one by one, for those who look for what is wrong with it: the same functions that
 * a run stands on, and EC2's word on what the role may do.
 */
import type { Target } from "../model/target.ts";
import type { Instance } from "../model/instance.ts";
import { GROUP_TAG } from "../model/instance.ts";
import { roleCredentials, roleName } from "./credentials.ts";
import { connectApi } from "./ec2-api.ts";
import { association, ec2Over } from "./ec2.ts";
import { hasOnlyIpv6, readAwsEnvironment } from "./session.ts";
import { openMetadata } from "./imds.ts";
import { firstTag, readInstanceContext, readInstance } from "./self.ts";
import { type ConnectOptions, egressHint } from "./client.ts";

/** Who or what signs requests; the keys themselves stay in here. */
export interface Signer {
  /** `the environment`, or `the role web`. */
  readonly source: string;
  readonly expiresAt?: Date;
}

/**
 * Prepares the parts.
 *
 * @param version of this program, for the user agent
 * @throws Failure `misconfigured` for variables that make no sense
 */
export function partsOf(
  environment: Readonly<Record<string, string | undefined>>,
  version: string,
) {
  const { metadataUrl, fixed, region, ec2Url, autoScalingUrl, dualStack, fips } =
    readAwsEnvironment(environment);
  const keys = new WeakMap<Signer, Awaited<ReturnType<typeof roleCredentials>>>();
  const skew = { offsetMs: 0 };

  return {
    metadataUrl: new URL(metadataUrl),
    /** Are credentials set in the environment? */
    hasKeys: fixed !== undefined,

    async metadata(signal: AbortSignal) {
      const metadata = await openMetadata(metadataUrl, signal);
      const read = async (path: string, fits: RegExp) => {
        const text = (await metadata.read(path))?.trim();
        return text !== undefined && fits.test(text) ? text : undefined;
      };
      return {
        self: (tags: readonly string[]) => readInstance(metadata, tags, region, true),
        /** The region that the instance is in, whatever a variable says. */
        ownRegion: () => read("meta-data/placement/region", /^[a-z0-9-]{1,64}$/),
        group: async () => (await firstTag(metadata, [GROUP_TAG]))?.value,
        hasTags: async () => (await metadata.read("meta-data/tags/instance")) !== undefined,
        /** Where this instance belongs, for the ARNs of a policy. */
        instanceContext: (self: Instance) => readInstanceContext(metadata, self.interfaces),
        role: () => roleName(metadata),
        async signer(role: string | undefined): Promise<Signer> {
          const credentials = fixed ?? (await roleCredentials(metadata));
          const signer: Signer = {
            source: fixed ? "the environment" : `the role ${role}`,
            ...(credentials.expiresAt && { expiresAt: credentials.expiresAt }),
          };
          keys.set(signer, credentials);
          return signer;
        },
      };
    },

    /** The URLs of EC2 that a run would take turns with. */
    endpoints(self: Instance): readonly { url: URL; dualStack: boolean }[] {
      const both = !dualStack && ec2Url === undefined && hasOnlyIpv6(self);
      return [dualStack, ...(both ? [true] : [])].map((which) => {
        const { api } = connect(self, undefined, which, new AbortController().signal);
        api.close();
        return { url: api.url, dualStack: which };
      });
    },

    connect(self: Instance, signer: Signer, toDualStack: boolean, signal: AbortSignal) {
      const { api, ec2 } = connect(self, signer, toDualStack, signal);
      return {
        ...ec2,
        mayDescribeAddresses: () => api.tryDescribeAddresses(),
        mayDescribeInstances: () => api.tryDescribeInstances(),
        mayDescribeInterfaces: () => api.tryDescribeInterfaces(),
        mayAssociate: (allocationId: string, here: Target, reassociate: boolean) =>
          api.tryAssociateAddress(association(allocationId, here, reassociate)),
      };
    },

    async group(self: Instance, signer: Signer, signal: AbortSignal) {
      const { connectAutoScaling } = await import("./auto-scaling-api.ts");
      const api = connectAutoScaling(optionsOf(self, signer, autoScalingUrl, dualStack, signal));
      try {
        return (await api.member())?.group;
      } finally {
        api.close();
      }
    },

    egressHint: (self: Instance) => egressHint("ec2", self),
  };

  function connect(
    self: Instance,
    signer: Signer | undefined,
    toDualStack: boolean,
    signal: AbortSignal,
  ) {
    const api = connectApi(optionsOf(self, signer, ec2Url, toDualStack, signal));
    return { api, ec2: ec2Over(api, self, new Set()) };
  }

  function optionsOf(
    self: Instance,
    signer: Signer | undefined,
    endpoint: string | undefined,
    toDualStack: boolean,
    signal: AbortSignal,
  ): ConnectOptions {
    return {
      self,
      credentials: () => {
        const found = signer && keys.get(signer);
        return found ? Promise.resolve(found) : Promise.reject(new Error("no credentials"));
      },
      ...(endpoint !== undefined && { endpoint }),
      dualStack: toDualStack,
      fips,
      signal,
      version,
      skew,
    };
  }
}
