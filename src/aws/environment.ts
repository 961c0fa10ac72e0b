/** Reads the standard AWS variables: endpoints, proxies, region, keys. They mean what they mean to the AWS CLI. */
import type { Environment } from "../model/environment.ts";
import { Failure } from "../model/failure.ts";
import { isRegion } from "../model/ids.ts";
import { withoutPassword } from "../model/text.ts";
import { environmentCredentials } from "./credentials.ts";
import { metadataEndpoint } from "./imds.ts";
import { proxiesIn } from "./proxy.ts";

/** Its errors say in words why; with `isLasting: false` the next try may succeed. */
export type ReadFile = (path: string) => string;

/**
 * Reads and validates the variables.
 *
 * @param readFile returns the content of a text file, or throws an error that says why it cannot be read
 * @throws Failure `misconfigured` for an invalid value, `unreachable` for a file that cannot be read this time
 */
export function readAwsEnvironment(environment: Environment, readFile: ReadFile) {
  const isOn = (name: string) => /^true$/i.test(environment[name] ?? "");
  // As with the AWS CLI, this does not apply to the endpoint of instance metadata.
  const endpoints = isOn("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") ? {} : environment;
  return {
    metadataUrl: metadataEndpoint(environment),
    keys: environmentCredentials(environment),
    region: regionOf(environment),
    ec2Url: endpointOf("EC2", endpoints),
    autoScalingUrl: endpointOf("AUTO_SCALING", endpoints),
    dualStack: isOn("AWS_USE_DUALSTACK_ENDPOINT"),
    fips: isOn("AWS_USE_FIPS_ENDPOINT"),
    proxyFor: proxiesIn(environment),
    ca: certificatesOf(environment, readFile),
  };
}

function regionOf(environment: Environment): string | undefined {
  const name = environment["AWS_REGION"] ? "AWS_REGION" : "AWS_DEFAULT_REGION";
  const region = environment[name] || undefined;
  if (region === undefined || isRegion(region)) return region;
  throw new Failure("misconfigured", {
    why: `${name} is ${JSON.stringify(region)}; accepted: a region such as eu-central-1`,
    variable: name,
  });
}

/** The endpoint that the variables set for a service, if any. @param service as in the name of the variable */
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

/** The certificates, in PEM, that are trusted instead of the system's. */
function certificatesOf(environment: Environment, readFile: ReadFile): string | undefined {
  const file = environment["AWS_CA_BUNDLE"];
  if (!file) return undefined;
  const refuse = (why: string, kind: "misconfigured" | "unreachable" = "misconfigured") =>
    new Failure(kind, {
      why: `AWS_CA_BUNDLE is ${JSON.stringify(file)}: ${why}`,
      variable: "AWS_CA_BUNDLE",
      ...(kind === "unreachable" && { remedy: "run it again: this may pass", isLocal: true }),
    });
  let text: string;
  try {
    text = readFile(file);
  } catch (error) {
    const { message, isLasting } = error as Error & { readonly isLasting?: boolean };
    throw refuse(message, isLasting === false ? "unreachable" : "misconfigured");
  }
  if (!text.includes("-----BEGIN CERTIFICATE-----")) throw refuse("there is no certificate in it");
  return text;
}
