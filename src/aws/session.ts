/**
 * What one try stands on: this instance as its metadata shows it now, and connections to AWS in its name.
 * The standard AWS variables are read here, and mean what they mean to the AWS CLI.
 */
import { GROUP_TAG, type Instance } from "../model/instance.ts";
import { Failure } from "../model/failure.ts";
import { isRegion } from "../model/ids.ts";
import { withoutPassword } from "../model/text.ts";
import { environmentCredentials, roleCredentials } from "./credentials.ts";
import { ec2Over } from "./ec2.ts";
import { metadataEndpoint, openMetadata } from "./imds.ts";
import { firstTag, readInstanceContext, readInstance } from "./self.ts";
import type { ConnectOptions } from "./client.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Prepares the footing of all tries of a run: two of the story's ports.
 *
 * @param version of this program, for the user agent
 * @throws Failure `misconfigured` for variables that make no sense
 */
export function sessionsOf(environment: Environment, version: string) {
  const { metadataUrl, fixed, region, ec2Url, autoScalingUrl, dualStack, fips } =
    readAwsEnvironment(environment);
  const skew = { offsetMs: 0 };
  const outage = { isOn: false };
  let tries = 0;
  const takeTurns = { ec2: turns(), autoScaling: turns() };

  /** See Ports. @throws Failure */
  const identify = async (signal: AbortSignal) =>
    readInstance(await openMetadata(metadataUrl, signal), [], region, false);

  /** See Ports. @throws Failure */
  const openSession = async (tags: readonly string[], signal: AbortSignal) => {
    const metadata = await openMetadata(metadataUrl, signal);
    // Asked for at once with the rest; who needs them waits for them.
    const credentials = fixed ? Promise.resolve(fixed) : roleCredentials(metadata);
    credentials.catch(() => {});
    // Whether there is IPv6 matters to those who did not get through at first.
    const known = await readInstance(metadata, tags, region, tries++ > 0);
    // A state that is not shown means in no group, or not yet.
    const group = known.lifecycleState ? undefined : await firstTag(metadata, [GROUP_TAG]);
    const self = { ...known, ...(group && { group: group.value }) };
    const denied = new Set<string>();
    const options = (endpoint: string | undefined, isSecond: boolean): ConnectOptions => ({
      self,
      credentials: () => credentials,
      ...(endpoint !== undefined && { endpoint }),
      // An instance without public IPv4 may have a way to AWS all the same, or else only one over IPv6,
      // which the ordinary endpoint does not speak. Not every region has the other one: take turns.
      dualStack: dualStack || (isSecond && hasOnlyIpv6(self)),
      fips,
      signal,
      version,
      skew,
    });
    let ec2Turn: boolean | undefined;
    return {
      self,
      /** Where this instance belongs, which a heal does not ask. */
      instanceContext: () => readInstanceContext(metadata, self.interfaces),
      connect: async () => {
        // Loaded only here, as the largest part of all: a recheck that finds nothing wrong does without it.
        const { connectApi } = await import("./ec2-api.ts");
        ec2Turn ??= takeTurns.ec2();
        return ec2Over(connectApi(options(ec2Url, ec2Turn)), self, denied, outage);
      },
      autoScaling: async () => {
        // Whoever has no launch hook does without this one.
        const { connectAutoScaling } = await import("./auto-scaling-api.ts");
        return connectAutoScaling(options(autoScalingUrl, takeTurns.autoScaling()));
      },
    };
  };

  return { identify, openSession };
}

/**
 * What the standard AWS variables say about where things are.
 *
 * @throws Failure `misconfigured` for variables that make no sense
 */
export function readAwsEnvironment(environment: Environment) {
  const isOn = (name: string) => /^true$/i.test(environment[name] ?? "");
  return {
    metadataUrl: metadataEndpoint(environment),
    fixed: environmentCredentials(environment),
    region: regionOf(environment),
    ec2Url: endpointOf("EC2", environment),
    autoScalingUrl: endpointOf("AUTO_SCALING", environment),
    dualStack: isOn("AWS_USE_DUALSTACK_ENDPOINT"),
    fips: isOn("AWS_USE_FIPS_ENDPOINT"),
  };
}

/** False, true, false, true … */
function turns(): () => boolean {
  let isSecond = true;
  return () => (isSecond = !isSecond);
}

function regionOf(environment: Environment): string | undefined {
  const region = environment["AWS_REGION"] || undefined;
  if (region === undefined || isRegion(region)) return region;
  throw new Failure("misconfigured", {
    why: `AWS_REGION is ${JSON.stringify(region)}; accepted: a region such as eu-central-1`,
    variable: "AWS_REGION",
  });
}

/** The endpoint that the variables give a service, by its name in them. */
function endpointOf(service: "EC2" | "AUTO_SCALING", environment: Environment): string | undefined {
  const [name, url] =
    [`AWS_ENDPOINT_URL_${service}`, "AWS_ENDPOINT_URL"]
      .map((key) => [key, environment[key]])
      .find(([, value]) => value) ?? [];
  if (url === undefined || /^https?:$/.test(URL.parse(url)?.protocol ?? "")) return url;
  throw new Failure("misconfigured", {
    why: `${name} is ${JSON.stringify(withoutPassword(url))}; accepted: an https:// or http:// URL`,
    variable: name,
  });
}

/** Has it IPv6 and no public IPv4 address on any interface? */
export function hasOnlyIpv6({ interfaces }: Instance): boolean {
  return (
    interfaces.every(({ publicIps }) => Object.keys(publicIps).length === 0) &&
    interfaces.some(({ hasIpv6 }) => hasIpv6)
  );
}
