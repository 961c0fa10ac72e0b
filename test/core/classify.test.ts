import { describe, expect, it } from "vitest";
import { classify } from "../../src/core/classify.ts";

const ARN = "arn:aws:ec2:us-east-1:*:elastic-ip/eipalloc-00000000000000001";
const answer = (code: string, message = "", status = 400, action = "AssociateAddress") =>
  classify({
    code,
    message,
    status,
    action,
    service: "ec2",
    request: `ec2:${action} at ec2.example`,
    resource: ARN,
  });

describe("kinds by code", () => {
  it.each([
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
  ])("%s %s (%d) is %s", (code, message, status, kind, meaning) => {
    const failure = answer(code, message, status);
    expect(failure.kind).toBe(kind);
    expect(failure.details.meaning).toBe(meaning);
    expect(failure.message).toContain(code === "UnauthorizedOperation" ? "not allowed" : code);
  });
});

describe("a refusal names permission and resource", () => {
  it("as EC2 tells them", () => {
    const arn = "arn:aws:ec2:us-east-1:111122223333:instance/i-1";
    const { message } = answer(
      "UnauthorizedOperation",
      `You are not authorized to perform this operation. User: arn:aws:sts::111122223333:assumed-role/r/i-1 is not authorized to perform: ec2:AssociateAddress on resource: ${arn} because no identity-based policy allows the ec2:AssociateAddress action. Encoded authorization failure message: QUJD`,
      403,
    );
    expect(message).toBe(
      `ec2:AssociateAddress at ec2.example: not allowed: ec2:AssociateAddress on ${arn} (because no identity-based policy allows the ec2:AssociateAddress action); allow ec2:AssociateAddress on ${arn} in the policy of the instance role`.replace(
        "(because ",
        "(",
      ),
    );
  });

  it.each([
    ["with an explicit deny in a service control policy", /explicit deny.*no other policy/],
    [
      "because no VPC endpoint policy allows the ec2:X action",
      /; allow .* in the VPC endpoint policy$/,
    ],
  ])("and a cure that can help: %s", (because, expected) => {
    const refused = answer(
      "UnauthorizedOperation",
      `User: u is not authorized to perform: ec2:X on resource: ${ARN} ${because}. Encoded authorization failure message: QUJD`,
      403,
    );
    expect(refused.message).toMatch(expected);
    expect(refused.details.beyondRole).toBe(true);
  });

  it("or as the request implies them", () => {
    expect(
      answer("UnauthorizedOperation", "You are not authorized to perform this operation.", 403)
        .message,
    ).toContain(`not allowed: ec2:AssociateAddress on ${ARN}`);
  });
});
