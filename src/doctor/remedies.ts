/**
 * The commands that doctor names, for a shell. Pure. Words in capitals are to be filled in. What comes from
 * tags and settings is quoted: they may hold anything, and people paste what they are told.
 */
import type { Instance } from "../model/instance.ts";
import { partitionOf } from "../model/ids.ts";
import { jsonOf } from "../model/text.ts";

/** What stands for the allocation id of an address that somebody has to choose. */
export const ALLOCATION_ID = "ALLOCATION_ID";

/** Changes how instance metadata is offered. The instance may not know who it is. */
export function modifyMetadata(
  self: { readonly instanceId?: string | undefined; readonly region?: string },
  option: string,
): string {
  const where = self.region === undefined ? "" : ` --region ${self.region}`;
  return `aws ec2 modify-instance-metadata-options${where} --instance-id ${self.instanceId ?? "INSTANCE_ID"} ${option}`;
}

export function attachProfile({ instanceId, region }: Instance): string {
  return `aws ec2 associate-iam-instance-profile --region ${region} --instance-id ${instanceId} --iam-instance-profile Name=PROFILE`;
}

/**
 * The statement by which a role lets EC2 assume it, for people. China has a name of its own for EC2 (AWS China,
 * "Feature availability", IAM); elsewhere it is the same in all partitions, whatever their domains are.
 */
export function trustStatement(region: string): string {
  const Service = partitionOf(region) === "aws-cn" ? "ec2.amazonaws.com.cn" : "ec2.amazonaws.com";
  const statement = { Effect: "Allow", Principal: { Service }, Action: "sts:AssumeRole" };
  return JSON.stringify(statement, undefined, 1).replaceAll(/\s*\n\s*/g, " ");
}

/** Shows whom the role trusts now. */
export function showTrust(role: string): string {
  return `aws iam get-role --role-name ${role} --query Role.AssumeRolePolicyDocument`;
}

/** Gives the role this policy, in the place of what it has under the same name. */
export function grant(role: string, policy: object): string {
  return `aws iam put-role-policy --role-name ${role} --policy-name ${POLICY_NAME} --policy-document ${quotedJson(policy)}`;
}

/** The name of the policy that the role is given. */
export const POLICY_NAME = "eip-heal";

/** Shows administrators what AWS has said about a refusal in a form that only they can read. */
export function decode(region: string, encoded: string): string {
  return `aws sts decode-authorization-message --region ${region} --encoded-message ${encoded}`;
}

/** Gives an instance or an address this tag, in the place of its value. */
export function tagResource(region: string, resource: string, { key, value }: Tag): string {
  return `aws ec2 create-tags --region ${region} --resources ${resource} --tags ${structure({ Key: key, Value: value })}`;
}

/** Gives an Auto Scaling group this tag, which the instances have that it launches from now on. */
export function tagGroup(region: string, group: string, { key, value }: Tag): string {
  const tag = structure({
    ResourceId: group,
    ResourceType: "auto-scaling-group",
    Key: key,
    Value: value,
    PropagateAtLaunch: true,
  });
  return `aws autoscaling create-or-update-tags --region ${region} --tags ${tag}`;
}

interface Tag {
  readonly key: string;
  readonly value: string;
}

export function listAddresses(region: string): string {
  return `aws ec2 describe-addresses --region ${region}`;
}

/** Lists the addresses of the border group that nobody holds. */
export function listFreeAddresses(region: string, borderGroup: string): string {
  return `${listAddresses(region)} --filters Name=network-border-group,Values=${borderGroup} --query 'Addresses[?AssociationId==null]'`;
}

/** A list of one structure, for the AWS CLI: in its shorthand, unless a value has characters that mean something there. */
function structure(fields: Readonly<Record<string, string | boolean>>): string {
  const pairs = Object.entries(fields);
  return pairs.every(([, value]) => /^[\w@%+:./-]+$/.test(String(value)))
    ? pairs.map(([name, value]) => `${name}=${value}`).join(",")
    : quotedJson([fields]);
}

function quotedJson(value: object): string {
  // A shell ends its quotation at a ', whatever JSON makes of it.
  return quoted(jsonOf(value).replaceAll("'", String.raw`\u0027`));
}

/** One word of a shell command, whatever it holds. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}
