/** What a run is about to do, and what that costs. */

/** Everything that belongs to a run carries this tag, with the name of the run. */
export const TAG = "eip-heal-acceptance";

export interface Plan {
  readonly account: string;
  readonly region: string;
  /** The name of the run: of its stacks, and in its tags. */
  readonly run: string;
  /** Path of the RPM. */
  readonly package: string;
  readonly arch: "x86_64" | "arm64";
  readonly limits: Limits;
}

/** How long to wait for what, in seconds. */
export interface Limits {
  /** For the address to be where it belongs. */
  readonly address: number;
  /** For a line on the console, which EC2 shows late. */
  readonly console: number;
  /** For a stack, an instance or a group to be in a state. */
  readonly state: number;
}

export const LIMITS: Limits = { address: 600, console: 600, state: 1200 };

/** The smallest instances of each architecture on which EC2 shows the latest console output. */
export const INSTANCE_TYPE = { x86_64: "t3.nano", arm64: "t4g.nano" } as const;

/** The public parameter that names the newest image of Amazon Linux 2023. */
export const IMAGE_PARAMETER = (arch: Plan["arch"]) =>
  `/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${arch}`;

/** List prices of us-east-1 in US dollars, of November 2026 as remembered: look them up for your region. */
export const PRICES = {
  instanceHour: { x86_64: 0.0052, arm64: 0.0042 },
  addressHour: 0.005,
  /** 8 GB of gp3 for an hour. */
  diskHour: 0.0009,
  /** Above the first 100 of a month. */
  remap: 0.1,
} as const;

/** What a run holds at most at the same time. */
const INSTANCES = 3;
const ADDRESSES = INSTANCES + 2;
/** How long a run lasts, as planned; nobody has measured it on AWS. */
export const PLANNED_HOURS = 1.5;

/**
 * The cost at most, as if the most were held all the time.
 *
 * @param hours how long
 * @param remaps associations beyond the free 100 of this month
 * @returns US dollars
 */
export function cost(arch: Plan["arch"], hours: number, remaps: number): number {
  const instances = INSTANCES * (PRICES.instanceHour[arch] + PRICES.diskHour);
  return hours * (instances + ADDRESSES * PRICES.addressHour) + remaps * PRICES.remap;
}

/** What is about to happen, for somebody to read before anything does. */
export function announce(plan: Plan): string {
  const most = cost(plan.arch, PLANNED_HOURS, 20);
  return `acceptance of ${plan.package} on account ${plan.account}, region ${plan.region}, as ${plan.run}

It makes: a VPC with two subnets, an Auto Scaling group of one ${INSTANCE_TYPE[plan.arch]} (for minutes of two or three),
a role, two Elastic IPs and a private bucket, all tagged ${TAG}=${plan.run}, and removes them at the end, or when
interrupted. What is left for any reason: make acceptance ARGS="--remove --account ${plan.account} --region ${plan.region}"

Planned: ${PLANNED_HOURS} h. Cost estimate: at most $${most.toFixed(2)}, by list prices of us-east-1, with 20 remaps of an address
that are not free any more. Other charges of your account (taxes, CloudTrail, Config) come on top.
`;
}
