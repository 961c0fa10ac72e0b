/** The simulated IAM, where a policy could be read in two ways. */
import { describe, expect, test } from "vitest";
import { firstDenied, type Statement } from "./iam.ts";

const ARN = "arn:aws:ec2:us-east-1:111122223333:instance/i-1";
const KEYS = {
  "ec2:SourceInstanceARN": ARN,
  "ec2:InstanceID": "i-1",
  "aws:userid": "AROA:i-1",
  "aws:ResourceTag/owner": "a*b",
  "ec2:Vpc": "arn:aws:ec2:us-east-1:111122223333:vpc/vpc-1",
};

const allows = (statement: Partial<Statement>): boolean =>
  firstDenied(
    [
      {
        Statement: [
          { Effect: "Allow", Action: "ec2:AssociateAddress", Resource: "*", ...statement },
        ],
      },
    ],
    "ec2:AssociateAddress",
    [{ arn: ARN, keys: KEYS }],
  ) === undefined;

describe("a resource", () => {
  test.each([
    [true, "arn:aws:ec2:us-east-1:111122223333:instance/${ec2:InstanceID}"],
    // A variable counts only after the fifth colon.
    [false, "arn:aws:ec2:${aws:RequestedRegion}:111122223333:instance/*"],
    [false, "${ec2:SourceInstanceARN}"],
    [false, "arn:aws:ec2:us-east-1:111122223333:${ec2:SourceInstanceARN}"],
    [true, "arn:aws:ec2:*:*:instance/*"],
  ])("%s: %s", (allowed, Resource) => {
    expect(allows({ Resource })).toBe(allowed);
  });
});

describe("a condition", () => {
  test.each<[boolean, string, string, string]>([
    [true, "StringLike", "aws:userid", "*:${ec2:InstanceID}"],
    [false, "StringLike", "aws:userid", "*:i-2"],
    [true, "StringEquals", "aws:ResourceTag/owner", "a*b"],
    [true, "StringEquals", "aws:ResourceTag/owner", "a${*}b"],
    [true, "StringLike", "aws:ResourceTag/owner", "a${*}b"],
    [false, "StringLike", "aws:ResourceTag/owner", "a${?}b"],
    // What a variable is worth is taken literally: the tag's * is no wildcard.
    [false, "StringLike", "aws:userid", "${aws:ResourceTag/owner}"],
    [false, "StringEquals", "aws:userid", "${aws:username}"],
    [true, "ArnEquals", "ec2:Vpc", "arn:aws:ec2:*:*:vpc/vpc-1"],
    [false, "ArnEquals", "ec2:Vpc", "arn:aws:ec2:*:vpc/vpc-1"],
    [false, "StringNotLike", "aws:userid", "AROA:*"],
    [false, "StringEquals", "ec2:Tenancy", "default"],
    [true, "StringEqualsIfExists", "ec2:Tenancy", "default"],
  ])("%s: %s %s %s", (allowed, operator, key, value) => {
    expect(allows({ Condition: { [operator]: { [key]: value } } })).toBe(allowed);
  });
});
