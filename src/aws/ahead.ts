/** A connection to EC2 that is made while instance metadata is read and the SDK is loaded: neither has to wait for the other. */
import { partitionOf } from "../model/ids.ts";
import type { readAwsEnvironment } from "./environment.ts";
import type { ResettableAgents } from "./sockets.ts";

/** Where the endpoints of AWS are, by partition; in others nothing is connected to ahead. */
const DOMAINS: Readonly<Record<string, string>> = {
  aws: "amazonaws.com",
  "aws-cn": "amazonaws.com.cn",
  "aws-us-gov": "amazonaws.com",
  "aws-eusc": "amazonaws.eu",
};

type Variables = Pick<
  ReturnType<typeof readAwsEnvironment>,
  "ec2Url" | "region" | "dualStack" | "fips" | "proxyFor" | "ca"
>;

/**
 * Begins to connect to EC2, only by TLS, which takes more than one round trip. A failure is told where the connection or
 * the region is used.
 *
 * @param ownRegion the region of this instance, which counts unless a variable names another
 * @returns the agents of that connection; undefined if there is none
 */
export async function connectAhead(
  { ec2Url, region, dualStack, fips, proxyFor, ca }: Variables,
  ownRegion: () => Promise<string>,
): Promise<ResettableAgents | undefined> {
  const isUsual = ec2Url === undefined && !dualStack && !fips;
  if (!isUsual && !ec2Url?.startsWith("https:")) return undefined;
  const asked = ownRegion().catch(() => undefined);
  // Imported on demand, as ec2-api.ts is, which needs it too; and while the region is asked for.
  const { resettableAgents } = await import("./sockets.ts");
  const own = await asked;
  if (own === undefined) return undefined;
  const url = ec2Url ?? usualUrl(region ?? own);
  if (url === undefined) return undefined;
  const agents = resettableAgents({ endpoint: ec2Url, proxyFor, ca });
  agents.connectAhead(new URL(url));
  return agents;
}

/** The endpoint by the rule of the SDK, which has yet to be loaded. Were it another one, the connection would not be used. */
export function usualUrl(region: string): string | undefined {
  const domain = DOMAINS[partitionOf(region)];
  return domain && `https://ec2.${region}.${domain}`;
}
