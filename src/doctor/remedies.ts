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
  // A shell ends its quotation at a ', whatever JSON makes of it.
  const document = jsonOf(policy).replaceAll("'", String.raw`\u0027`);
  return `aws iam put-role-policy --role-name ${role} --policy-name ${POLICY_NAME} --policy-document ${quoted(document)}`;
}

/** The name of the policy that the role is given. */
export const POLICY_NAME = "eip-heal";

/** Shows administrators what AWS has said about a refusal in a form that only they can read. */
export function decode(region: string, encoded: string): string {
  return `aws sts decode-authorization-message --region ${region} --encoded-message ${encoded}`;
}

export function tagInstance({ instanceId, region }: Instance, key: string): string {
  return `aws ec2 create-tags --region ${region} --resources ${instanceId} --tags ${quoted(`Key=${key},Value=${ALLOCATION_ID}`)}`;
}

export function listAddresses(region: string): string {
  return `aws ec2 describe-addresses --region ${region}`;
}

/** @param tag that the new address is to carry */
export function allocate(
  region: string,
  borderGroup: string,
  tag?: { readonly key: string; readonly value: string },
): string {
  const specification =
    tag === undefined
      ? ""
      : ` --tag-specifications ${quoted(`ResourceType=elastic-ip,Tags=[{Key=${tag.key},Value=${tag.value}}]`)}`;
  return `aws ec2 allocate-address --region ${region} --network-border-group ${borderGroup}${specification}`;
}

/** One word of a shell command, whatever it holds. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}
