/**
 * The smallest IAM policy with which a heal succeeds, and optional permissions that improve it. Pure. For which actions
 * support which resources and condition keys see the Service Authorization Reference, "Actions, resources, and condition
 * keys for Amazon EC2" and "… for Amazon EC2 Auto Scaling".
 */
import type { DesiredAddresses } from "../model/several.ts";
import { isAllocationId, isIpv4 } from "../model/ids.ts";
import { fill, jsonOf, oneLine } from "../model/text.ts";

/** Stands in an ARN for what is not known: IAM's wildcard. */
export const ANY = "*";

/** What the policy has to allow, and where. */
export interface PolicyInput {
  /** `aws`, `aws-cn` … */
  readonly partition: string;
  /** Or ANY. */
  readonly region: string;
  /** Or ANY. */
  readonly account: string;
  readonly addresses: DesiredAddresses | { readonly kind: "any" };
  /**
   * On an instance with several interfaces AssociateAddress names the interface, otherwise the instance. The two resource
   * types support different condition keys.
   */
  readonly severalInterfaces: boolean;
  /** The VPC of the interfaces, or ANY. */
  readonly vpc: string;
  /** For completing a lifecycle hook. */
  readonly hook?: {
    /** The name of the Auto Scaling group, or ANY. */
    readonly group: string;
    /** The group has to be looked up in Auto Scaling, because instance metadata does not show it. */
    readonly lookUp: boolean;
  };
  /** With DisassociateAddress, for `eip-heal release`. */
  readonly release: boolean;
}

export interface Statement {
  readonly Sid: string;
  readonly Effect: "Allow";
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  readonly Condition?: Readonly<
    Record<string, Readonly<Record<string, string | readonly string[]>>>
  >;
}

/** A statement, and in words why it is needed. */
export interface ExplainedStatement {
  readonly statement: Statement;
  readonly because: string;
  /** A heal works without it; OPTIONAL says what is missing then. */
  readonly isOptional?: boolean;
}

/** Optional permissions, with what is missing without them as the end of a sentence that begins with "without it". */
export const OPTIONAL = {
  "ec2:DescribeNetworkInterfaces":
    "an address left on the interface of a terminated instance has to be disassociated by hand",
  "autoscaling:DescribeAutoScalingInstances":
    "nothing is taken from a running instance for a minute where instance metadata does not show yet whether this one is in service",
} as const;

/**
 * The statements of the policy, one for each resource type: a condition on a key that a resource type does not support
 * would deny the whole call (EC2 user guide, "Policy structure").
 */
export function statementsFor(input: PolicyInput): ExplainedStatement[] {
  const { severalInterfaces, hook, release } = input;
  return [
    look(input),
    ...addresses(input),
    ...(severalInterfaces ? [] : [ontoItself(input)]),
    ...(severalInterfaces || release ? [interfaces(input)] : []),
    ...(hook === undefined ? [] : [launchHook(input, hook.group)]),
    lookUpGroup(hook?.lookUp === true),
    lookAtInterfaces(input),
  ];
}

/** The policy document as an object. */
export function policyOf(statements: readonly ExplainedStatement[]) {
  return { Version: "2012-10-17", Statement: statements.map(({ statement }) => statement) };
}

/** The policy document as JSON text for `aws iam put-role-policy`. */
export function documentOf(statements: readonly ExplainedStatement[]): string {
  return `${jsonOf(policyOf(statements), 2)}\n`;
}

/** Why each statement is needed, in lines of at most 79 characters. */
export function explanationOf(statements: readonly ExplainedStatement[]): string {
  return statements
    .map(({ statement: { Sid, Action, Resource }, because, isOptional }) =>
      [
        `${Sid}: ${list(Action)}`,
        `  on ${oneLine(list(Resource))}${isOptional === true ? ", optional" : ""}`,
        ...fill(because.split(" "), 75).map((line) => `    ${line}`),
      ].join("\n"),
    )
    .join("\n")
    .concat("\n");
}

function look({ addresses, region }: PolicyInput): ExplainedStatement {
  return {
    statement: {
      Sid: "Look",
      Effect: "Allow",
      Action: ["ec2:DescribeAddresses", "ec2:DescribeInstances"],
      ...everythingIn(region),
    },
    because:
      "Who holds the address, in which state and since when: the rule decides by that, and only what " +
      "EC2 shows afterwards counts as success. Also the tags of this instance where instance metadata " +
      "does not show them. EC2 knows no resources for these two, so it is *; what can be said is the region. " +
      (addresses.kind === "address"
        ? "ec2:DescribeInstances alone would do for one address; with ec2:DescribeAddresses it takes " +
          "fewer calls and can name a NAT gateway that has the address."
        : addresses.kind === "public-ip" || addresses.kind === "tagged"
          ? "An address that is named by its public IP or its tag is found by ec2:DescribeAddresses alone; " +
            "by its allocation id it could do without."
          : addresses.kind === "several"
            ? "Of several addresses each is looked up by itself."
            : "The addresses of a pool are found by ec2:DescribeAddresses alone; ec2:DescribeInstances tells " +
              "which of their holders are gone, and which is the oldest."),
  };
}

function addresses(input: PolicyInput): ExplainedStatement[] {
  const { addresses: desired, release } = input;
  const Action = release
    ? ["ec2:AssociateAddress", "ec2:DisassociateAddress"]
    : "ec2:AssociateAddress";
  const everyone = ec2Arn(input, "elastic-ip/*");
  const arnOf = (allocationId: string) => ec2Arn(input, `elastic-ip/${allocationId}`);
  /** The address, or one of several. */
  const statement = (
    Sid: string,
    because: string,
    Resource: Statement["Resource"],
    condition?: Readonly<Record<string, string | readonly string[]>>,
  ): ExplainedStatement => ({
    statement: {
      Sid,
      Effect: "Allow",
      Action,
      Resource,
      ...(condition && { Condition: { StringEquals: condition } }),
    },
    because,
  });
  const tagged = ({ key, value }: { readonly key: string; readonly value: string }) => ({
    [`aws:ResourceTag/${key}`]: literal(value),
  });
  switch (desired.kind) {
    case "address":
      return [statement("ThisAddress", "The address, and no other.", arnOf(desired.allocationId))];
    case "public-ip":
      return [statement("ThisAddress", BY_IP, everyone, { [PUBLIC_IP]: desired.publicIp })];
    case "tagged":
      return [
        statement(
          "ThisAddress",
          `The address by its tag, and no other. ${TAGGING}`,
          everyone,
          tagged(desired),
        ),
      ];
    case "pool": {
      if (!("members" in desired)) {
        const because = `The addresses that carry the tag of the pool. ${TAGGING}`;
        return [statement("AddressesOfThePool", because, everyone, tagged(desired))];
      }
      const ids = desired.members.filter(isAllocationId);
      const ips = desired.members.filter(isIpv4);
      return [
        ...(ids.length > 0
          ? [statement("AddressesOfThePool", "The addresses of the pool.", ids.map(arnOf))]
          : []),
        ...(ips.length > 0
          ? [statement("AddressesOfThePoolByIp", BY_IP, everyone, { [PUBLIC_IP]: ips })]
          : []),
      ];
    }
    case "several": {
      const each = desired.entries.map(({ address }) => address);
      const ids = each.flatMap((one) => (one.kind === "address" ? [one.allocationId] : []));
      const ips = each.flatMap((one) => (one.kind === "public-ip" ? [one.publicIp] : []));
      return [
        ...(ids.length > 0
          ? [statement("TheseAddresses", "The addresses, and no others.", ids.map(arnOf))]
          : []),
        ...(ips.length > 0
          ? [statement("TheseAddressesByIp", BY_IP, everyone, { [PUBLIC_IP]: ips })]
          : []),
      ];
    }
    case "any": {
      const because =
        "Every address of the account, as asked for (--any): for a role that several groups share.";
      return [statement("AnyAddress", because, everyone)];
    }
  }
}

/** The condition key of an Elastic IP's public address. */
const PUBLIC_IP = "ec2:PublicIpAddress";

const BY_IP =
  "By the public IP, and no other. The name of the resource (ARN) contains the allocation id, which " +
  "the settings do not tell: so it is *, and the condition says which.";

const TAGGING = "Whoever may tag addresses can add to it: give ec2:CreateTags with care.";

function ontoItself(input: PolicyInput): ExplainedStatement {
  return {
    statement: {
      Sid: "OntoItself",
      Effect: "Allow",
      Action: "ec2:AssociateAddress",
      Resource: ec2Arn(input, "instance/*"),
      Condition: { StringLike: { "aws:userid": "*:${ec2:InstanceID}" } },
    },
    because:
      "Onto the instance that asks, and no other: the credentials of an instance role carry the instance " +
      "id in aws:userid. It names no instance, because the next one of the group has another id.",
  };
}

function interfaces(input: PolicyInput): ExplainedStatement {
  const { severalInterfaces, release, vpc } = input;
  return {
    statement: {
      Sid: "InterfacesOfTheVpc",
      Effect: "Allow",
      Action:
        severalInterfaces && release
          ? ["ec2:AssociateAddress", "ec2:DisassociateAddress"]
          : severalInterfaces
            ? "ec2:AssociateAddress"
            : "ec2:DisassociateAddress",
      Resource: ec2Arn(input, "network-interface/*"),
      ...(vpc !== ANY && {
        // Any account: the ARN of a shared VPC contains its owner's account, which cannot be found out on the instance.
        Condition: { ArnEquals: { "ec2:Vpc": ec2Arn({ ...input, account: ANY }, `vpc/${vpc}`) } },
      }),
    },
    because: severalInterfaces
      ? "On an instance with several interfaces EC2 has to be told which one, and about an interface IAM " +
        'does not know whose it is: the VPC is as near as it comes to "only onto itself". A tag that the ' +
        "launch template puts on the group's interfaces, as a condition on aws:ResourceTag, comes nearer."
      : "An association that is ended is one of an address and an interface; about the interface IAM " +
        "knows the VPC.",
  };
}

function launchHook(
  { partition, region, account }: PolicyInput,
  group: string,
): ExplainedStatement {
  const name = group === ANY ? ANY : literal(group);
  return {
    statement: {
      Sid: "CompleteTheLaunchHook",
      Effect: "Allow",
      Action: ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"],
      Resource: `arn:${partition}:autoscaling:${region}:${account}:autoScalingGroup:*:autoScalingGroupName/${name}`,
    },
    because:
      "Lets the instance go into service once the address is here, asks for more time before the hook " +
      "expires, and abandons the launch if there is no hope. Auto Scaling knows the group, not the instance.",
  };
}

function lookUpGroup(isForHook: boolean): ExplainedStatement {
  const Action = "autoscaling:DescribeAutoScalingInstances";
  return {
    statement: { Sid: "LookUpTheGroup", Effect: "Allow", Action, Resource: "*" },
    because:
      (isForHook
        ? "Of which group this instance is, for its lifecycle hook: not needed for that where instance metadata shows the " +
          "tags of the instance (InstanceMetadataTags=enabled in the launch template). "
        : "") +
      `Whether this instance is in service, too: without it ${OPTIONAL[Action]}. Auto Scaling knows no resources for it.`,
    ...(!isForHook && { isOptional: true }),
  };
}

function lookAtInterfaces({ region }: PolicyInput): ExplainedStatement {
  const Action = "ec2:DescribeNetworkInterfaces";
  return {
    statement: { Sid: "LookAtInterfaces", Effect: "Allow", Action, ...everythingIn(region) },
    because:
      `Whose interface it is that has the address and is on no instance: without it ${OPTIONAL[Action]}, such as one ` +
      "that was attached after the launch. EC2 knows no resources for it.",
    isOptional: true,
  };
}

/** For actions without resource-level permissions: they can only be limited to the region. */
function everythingIn(region: string): Pick<Statement, "Resource" | "Condition"> {
  return {
    Resource: "*",
    ...(region !== ANY && { Condition: { StringEquals: { "ec2:Region": region } } }),
  };
}

function ec2Arn({ partition, region, account }: PolicyInput, resource: string): string {
  return `arn:${partition}:ec2:${region}:${account}:${resource}`;
}

/** Escapes `*`, `?` and `${…}`, which have a meaning in IAM conditions (IAM user guide, "Policy variables"). */
function literal(text: string): string {
  return text.replace(/[*?$]/g, "${$&}");
}

function list(actions: string | readonly string[]): string {
  return typeof actions === "string" ? actions : actions.join(", ");
}
