/**
 * Shell commands that doctor suggests. Pure. Words in capitals have to be replaced. Values from tags and settings are
 * quoted: they may contain anything, and people paste these commands.
 */
import type { Instance } from "../model/instance.ts";
import { partitionOf } from "../model/ids.ts";
import { jsonOf } from "../model/text.ts";

/** Placeholder for the allocation id of an address that a person has to choose. */
export const ALLOCATION_ID = "ALLOCATION_ID";

/** Changes the metadata options of this instance, whose id may not be known. */
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
 * The statement of a trust policy that lets EC2 assume the role. In China EC2's service principal has a name of its own (AWS
 * China, "Feature availability", IAM); in all other partitions it is the same, whatever their domains.
 */
export function trustStatement(region: string): string {
  const Service = partitionOf(region) === "aws-cn" ? "ec2.amazonaws.com.cn" : "ec2.amazonaws.com";
  const statement = { Effect: "Allow", Principal: { Service }, Action: "sts:AssumeRole" };
  return JSON.stringify(statement, undefined, 1).replaceAll(/\s*\n\s*/g, " ");
}

/** Shows the role's trust policy. */
export function showTrust(role: string): string {
  return `aws iam get-role --role-name ${role} --query Role.AssumeRolePolicyDocument`;
}

/** Puts this inline policy on the role, replacing one with the same name. */
export function grant(role: string, policy: object): string {
  return `aws iam put-role-policy --role-name ${role} --policy-name ${POLICY_NAME} --policy-document ${quotedJson(policy)}`;
}

/** The name of that inline policy. */
export const POLICY_NAME = "eip-heal";

/** Decodes an encoded authorization message, which only administrators may do. */
export function decode(region: string, encoded: string): string {
  return `aws sts decode-authorization-message --region ${region} --encoded-message ${encoded}`;
}

/** Sets this tag on an instance or an address. */
export function tagResource(region: string, resource: string, { key, value }: Tag): string {
  return `aws ec2 create-tags --region ${region} --resources ${resource} --tags ${structure({ Key: key, Value: value })}`;
}

/** Sets this tag on an Auto Scaling group and the instances that it launches from now on. */
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

/** Removes the tag of this key from an instance. */
export function untagResource(region: string, resource: string, key: string): string {
  return `aws ec2 delete-tags --region ${region} --resources ${resource} --tags ${structure({ Key: key })}`;
}

/** Removes the tag of this key from an Auto Scaling group; the instances that it has launched keep theirs. */
export function untagGroup(region: string, group: string, key: string): string {
  const tag = structure({ ResourceId: group, ResourceType: "auto-scaling-group", Key: key });
  return `aws autoscaling delete-tags --region ${region} --tags ${tag}`;
}

interface Tag {
  readonly key: string;
  readonly value: string;
}

export function listAddresses(region: string): string {
  return `aws ec2 describe-addresses --region ${region}`;
}

/** Lists the free addresses of a network border group. */
export function listFreeAddresses(region: string, borderGroup: string): string {
  return `${listAddresses(region)} --filters Name=network-border-group,Values=${borderGroup} --query 'Addresses[?AssociationId==null]'`;
}

/** A list of one structure for the AWS CLI: in shorthand syntax, or as JSON if a value contains its special characters. */
function structure(fields: Readonly<Record<string, string | boolean>>): string {
  const pairs = Object.entries(fields);
  return pairs.every(([, value]) => /^[\w@%+:./-]+$/.test(String(value)))
    ? pairs.map(([name, value]) => `${name}=${value}`).join(",")
    : quotedJson([fields]);
}

function quotedJson(value: object): string {
  // A single quote would end the shell's quoting, so it is escaped in the JSON.
  return quoted(jsonOf(value).replaceAll("'", String.raw`\u0027`));
}

/** Quotes a text as one word of a shell command. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}
