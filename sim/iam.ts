/**
 * IAM as far as an instance role of this project needs it: identity policies with actions, resource patterns and
 * string conditions. It evaluates real policy documents, so that the policies the project ships can be tried here.
 */

import { AutoScalingError, Ec2Error } from "./errors.ts";

type OneOrMore = string | readonly string[];

export interface Statement {
  readonly Sid?: string;
  readonly Effect: "Allow" | "Deny";
  readonly Action: OneOrMore;
  readonly Resource: OneOrMore;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, OneOrMore>>>>;
}

export interface PolicyDocument {
  readonly Version?: string;
  readonly Statement: readonly Statement[];
}

/** One thing a request touches, with the condition keys IAM knows about it. */
export interface Resource {
  readonly arn: string;
  readonly keys: Readonly<Record<string, string>>;
}

/** A policy that allows the actions, on everything unless resources are named. */
export function allow(
  actions: readonly string[],
  resources: readonly string[] = ["*"],
): PolicyDocument {
  return {
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Action: actions, Resource: resources }],
  };
}

/** The role of the old user-data script: all it needed. */
export const OLD_ROLE: PolicyDocument = allow(["ec2:DescribeInstances", "ec2:AssociateAddress"]);

/** The old role and DescribeAddresses. */
export const FULL_ROLE: PolicyDocument = allow([
  "ec2:DescribeInstances",
  "ec2:AssociateAddress",
  "ec2:DescribeAddresses",
]);

/** The full role, and a look at network interfaces. */
export const INTERFACES_ROLE: PolicyDocument = allow([
  "ec2:DescribeInstances",
  "ec2:AssociateAddress",
  "ec2:DescribeAddresses",
  "ec2:DescribeNetworkInterfaces",
]);

/** What a lifecycle hook needs besides. */
export const HOOK_ACTIONS = [
  "autoscaling:CompleteLifecycleAction",
  "autoscaling:RecordLifecycleActionHeartbeat",
  "autoscaling:DescribeAutoScalingInstances",
] as const;

/** The full role, and a lifecycle hook. */
export const HOOK_ROLE: PolicyDocument = allow([
  "ec2:DescribeInstances",
  "ec2:AssociateAddress",
  "ec2:DescribeAddresses",
  ...HOOK_ACTIONS,
]);

/**
 * The first resource on which the action is not allowed, or undefined when all are.
 * Every resource of a request needs its own allowing statement.
 */
export function firstDenied(
  policies: readonly PolicyDocument[],
  action: string,
  resources: readonly Resource[],
): Resource | undefined {
  const statements = policies.flatMap((policy) => policy.Statement);
  return resources.find((resource) => {
    const hits = statements.filter((statement) => applies(statement, action, resource));
    return hits.some((hit) => hit.Effect === "Deny") || !hits.some((hit) => hit.Effect === "Allow");
  });
}

/**
 * The error as EC2 words it today. A call without resource-level permissions names no resource. What is encoded, only AWS
 * can read.
 */
export function unauthorized(
  principal: string,
  action: string,
  resource: string | undefined,
): Ec2Error {
  const told = refusal(principal, action, resource);
  const encoded = Buffer.from(told).toString("base64url");
  return new Ec2Error(
    "UnauthorizedOperation",
    `You are not authorized to perform this operation. ${told}. Encoded authorization failure message: ${encoded}`,
    403,
  );
}

/** The error as Auto Scaling words it. */
export function accessDenied(
  principal: string,
  action: string,
  resource: string | undefined,
): AutoScalingError {
  return new AutoScalingError("AccessDenied", refusal(principal, action, resource), 403);
}

/** Whether a text fits a pattern with `*` and `?`. */
export function like(pattern: string, text: string, ignoreCase = false): boolean {
  if (!/[*?]/.test(pattern)) {
    return ignoreCase
      ? plain(pattern).toLowerCase() === text.toLowerCase()
      : plain(pattern) === text;
  }
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${plain(source, "\\")}$`, ignoreCase ? "is" : "s").test(text);
}

// --- internal ---

function refusal(principal: string, action: string, resource: string | undefined): string {
  const on = resource === undefined ? "" : ` on resource: ${resource}`;
  return (
    `User: ${principal} is not authorized to perform: ${action}${on} ` +
    `because no identity-based policy allows the ${action} action`
  );
}

function applies(statement: Statement, action: string, resource: Resource): boolean {
  return (
    many(statement.Action).some((pattern) => like(pattern, action, true)) &&
    many(statement.Resource).some((pattern) =>
      like(expandResource(pattern, resource.keys), resource.arn),
    ) &&
    Object.entries(statement.Condition ?? {}).every(([operator, tests]) =>
      Object.entries(tests).every(([key, values]) =>
        holds(operator, key, many(values), resource.keys),
      ),
    )
  );
}

function holds(
  operator: string,
  key: string,
  wanted: readonly string[],
  keys: Readonly<Record<string, string>>,
): boolean {
  const ifExists = operator.endsWith("IfExists");
  const actual = keyValue(keys, key);
  // A condition on a key that the resource lacks fails, unless it says IfExists.
  if (actual === undefined) return ifExists;
  const values = wanted.map((value) => expand(value, keys));
  switch (ifExists ? operator.slice(0, -"IfExists".length) : operator) {
    case "StringEquals":
      return values.some((value) => plain(value) === actual);
    case "StringNotEquals":
      return !values.some((value) => plain(value) === actual);
    case "StringLike":
      return values.some((value) => like(value, actual));
    case "StringNotLike":
      return !values.some((value) => like(value, actual));
    case "ArnLike":
    case "ArnEquals":
      return values.some((value) => likeArn(value, actual));
    default:
      throw new Error(`the simulated IAM knows no condition operator ${operator}`);
  }
}

/** The first six parts of an ARN are compared one by one, so that a `*` does not reach over a colon. */
function likeArn(pattern: string, arn: string): boolean {
  const split = (text: string): string[] => {
    const parts = text.split(":");
    return [...parts.slice(0, 5), parts.slice(5).join(":")];
  };
  const actual = split(arn);
  return split(pattern).every((part, at) => like(part, actual[at] ?? ""));
}

/**
 * In Resource, variables count only after the fifth colon, and ec2:SourceInstanceARN not at all (EC2 user
 * guide, "Policy structure").
 */
function expandResource(pattern: string, keys: Readonly<Record<string, string>>): string {
  const [, head = "", tail = ""] = /^((?:[^:]*:){5})(.*)$/s.exec(pattern) ?? [undefined, pattern];
  const others = Object.entries(keys).filter(([key]) => key !== "ec2:SourceInstanceARN");
  return head + expand(tail, Object.fromEntries(others));
}

/** `${*}`, `${?}` and `${$}` stand for the characters themselves, a variable for what it is worth, `*` and all. */
function expand(text: string, keys: Readonly<Record<string, string>>): string {
  return text.replace(/\$\{([^}]+)\}/g, (whole, key: string) => {
    const value = /^[*?$]$/.test(key) ? key : keyValue(keys, key);
    return value === undefined ? whole : value.replace(/[*?$]/g, (sign) => SELF[sign] ?? sign);
  });
}

/** Characters of the private use area, for signs that mean themselves. */
const SELF: Readonly<Record<string, string>> = { "*": "\uE000", "?": "\uE001", $: "\uE002" };

/** The text with those signs in place, each with a prefix. */
function plain(text: string, prefix = ""): string {
  return Object.entries(SELF).reduce(
    (done, [sign, mark]) => done.replaceAll(mark, prefix + sign),
    text,
  );
}

/** Condition keys are not case-sensitive. */
function keyValue(keys: Readonly<Record<string, string>>, key: string): string | undefined {
  const found = keys[key];
  if (found !== undefined) return found;
  const lower = key.toLowerCase();
  return Object.entries(keys).find(([name]) => name.toLowerCase() === lower)?.[1];
}

function many(value: OneOrMore): readonly string[] {
  return typeof value === "string" ? [value] : value;
}
