import { describe, expect, test } from "vitest";
import { classify } from "../../src/aws/classify.ts";

const answer = (code: string, message = "", status = 400, action = "AssociateAddress") =>
  classify({
    code,
    message,
    status,
    action,
    service: "ec2",
    request: `ec2:${action} at ec2.example`,
  });

describe("kinds by code", () => {
  test.each([
    [
      "InvalidInstanceID",
      "The pending instance 'i-1' is not in a valid state for this operation.",
      400,
      "not-yet",
      undefined,
    ],
    [
      "IncorrectInstanceState",
      "The pending-instance-creation instance …",
      400,
      "not-yet",
      undefined,
    ],
    ["InvalidInstanceID.NotFound", "", 400, "not-yet", undefined],
    ["InvalidNetworkInterfaceID.NotFound", "", 400, "not-yet", undefined],
    ["InvalidAllocationID.NotFound", "", 400, "not-yet", 78],
    ["Resource.AlreadyAssociated", "", 400, "held", undefined],
    ["UnauthorizedOperation", "", 403, "denied", undefined],
    ["AuthFailure", "", 401, "denied", undefined],
    ["SignatureDoesNotMatch", "", 403, "denied", undefined],
    ["RequestExpired", "", 400, "not-yet", 77],
    ["Gateway.NotAttached", "", 400, "not-yet", 78],
    ["RequestLimitExceeded", "", 503, "throttled", undefined],
    ["ServiceUnavailable", "", 503, "throttled", undefined],
    ["InternalError", "", 500, "unreachable", undefined],
    ["InternalFailure", "", 500, "unreachable", undefined],
    ["BadGateway", "", 502, "unreachable", undefined],
    ["InvalidParameterValue", "", 400, "misconfigured", undefined],
    ["InvalidParameterCombination", "", 400, "misconfigured", undefined],
    ["MissingParameter", "", 400, "misconfigured", undefined],
    ["UnknownParameter", "", 400, "misconfigured", undefined],
    ["InvalidInstanceID.Malformed", "", 400, "misconfigured", undefined],
    ["OperationNotPermitted", "", 400, "not-yet", undefined],
    ["IncorrectState", "", 400, "not-yet", undefined],
    ["InternalFailure", "", 400, "not-yet", undefined],
    ["constructor", "", 400, "not-yet", undefined],
    ["WhateverEc2ThinksOf.Next", "", 418, "not-yet", undefined],
  ])("%s %s (%d) is %s", (code, message, status, kind, permanentStatus) => {
    const failure = answer(code, message, status);
    expect(failure.kind).toBe(kind);
    expect(failure.details.permanentStatus).toBe(permanentStatus);
    expect(failure.message).toContain(code === "UnauthorizedOperation" ? "not allowed" : code);
  });
});

describe("a refusal", () => {
  const INSTANCE = "arn:aws:ec2:us-east-1:111122223333:instance/i-00000001";
  const USER = "arn:aws:sts::111122223333:assumed-role/r/i-00000001";
  const ENCODED = "Encoded authorization failure message: QUJD-_x1";
  const refused = (message: string, action = "AssociateAddress") =>
    answer("UnauthorizedOperation", message, 403, action);
  /** As EC2 words it today. */
  const because = (reason: string, action = "AssociateAddress") =>
    refused(
      `You are not authorized to perform this operation. User: ${USER} is not authorized to perform: ec2:${action} on resource: ${INSTANCE} ${reason}. ${ENCODED}`,
      action,
    );

  test("is told as EC2 tells it, and its cure names the permission and no instance", () => {
    const { message, details } = because(
      "because no identity-based policy allows the ec2:AssociateAddress action",
    );
    expect(message).toBe(
      `not allowed: ec2:AssociateAddress on ${INSTANCE} (no identity-based policy allows the ec2:AssociateAddress action); allow ec2:AssociateAddress in the policy of the instance role: eip-heal policy prints it (ec2:AssociateAddress at ec2.example)`,
    );
    expect(details.remedy).not.toMatch(/arn:|i-0/);
    expect(details.notFixableInRole).toBeUndefined();
  });

  test.each([
    ["DisassociateAddress", " --release"],
    ["DescribeNetworkInterfaces", ""],
  ])("ec2:%s: which option of policy prints it", (action, option) => {
    const reason = `because no identity-based policy allows the ec2:${action} action`;
    expect(because(reason, action).details.remedy).toBe(
      `allow ec2:${action} in the policy of the instance role: eip-heal policy${option} prints it`,
    );
  });

  test.each<[string, string]>([
    [
      "with an explicit deny in a service control policy",
      "have it taken out of what a service control policy denies: no other policy can allow it",
    ],
    [
      "with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o-1/p-1",
      "have it taken out of what a service control policy: arn:aws:organizations::1:policy/o-1/p-1 denies: no other policy can allow it",
    ],
    [
      "with an explicit deny in an identity-based policy",
      "have it taken out of what an identity-based policy denies: no other policy can allow it",
    ],
    [
      "because no VPC endpoint policy allows the ec2:AssociateAddress action",
      "have ec2:AssociateAddress allowed by the VPC endpoint policy as well: the policy of the role cannot do that",
    ],
    [
      "because no permissions boundary allows the ec2:AssociateAddress action",
      "have ec2:AssociateAddress allowed by the permissions boundary as well: the policy of the role cannot do that",
    ],
  ])("%s: nothing in the policy of the role helps", (reason, remedy) => {
    expect(because(reason).details).toMatchObject({ remedy, notFixableInRole: true });
  });

  test.each([
    "You are not authorized to perform this operation.",
    `You are not authorized to perform this operation. ${ENCODED}`,
    "",
  ])("without a reason: neither a resource nor a policy is made up (%j)", (text) => {
    const { message, details } = refused(text);
    expect(message).toBe(
      "not allowed: ec2:AssociateAddress; the answer does not say which policy lacks or denies it; if it is that of the instance role, eip-heal policy prints one that allows it (ec2:AssociateAddress at ec2.example)",
    );
    expect(details.notFixableInRole).toBeUndefined();
  });

  test("keeps what is encoded, and not in its message", () => {
    const kept = because("because no identity-based policy allows the ec2:AssociateAddress action");
    for (const { message, details } of [kept, refused(`You are not authorized. ${ENCODED}`)]) {
      expect(details.encoded).toBe("QUJD-_x1");
      expect(message).not.toContain("QUJD");
      expect(message).not.toContain("ncoded");
    }
    expect(refused("You are not authorized.").details).not.toHaveProperty("encoded");
  });
});
