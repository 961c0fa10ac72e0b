import { describe, expect, test } from "vitest";
import {
  AWS_CODE,
  codeOf,
  Failure,
  type FailureDetails,
  inStep,
  isUnanswered,
  type Kind,
  lacksPermission,
  OWN_CODE,
} from "../../src/model/failure.ts";

const failing = (code: string) => new Failure("denied", { why: "no", code: codeOf(code) });

describe("a code", () => {
  test("is compared with one that there is: a misspelt one does not compile", () => {
    const { code } = failing("NoTag");
    expect(code === OWN_CODE.noTag).toBe(true);
    // @ts-expect-error neither a code of ours nor one of AWS that has a name here
    expect(code === "NoTagg").toBe(false);
    // @ts-expect-error the same for the cases of a switch and for what is thrown
    expect(new Failure("denied", { why: "no", code: "Unauthorised" }).code).toBe("Unauthorised");
  });

  test("is either ours or one of AWS", () => {
    const ours: readonly string[] = Object.values(OWN_CODE);
    expect(Object.values(AWS_CODE).filter((code) => ours.includes(code))).toEqual([]);
  });
});

test.each([
  ["UnauthorizedOperation", true],
  ["AccessDenied", true],
  ["AccessDeniedException", true],
  ["AuthFailure", false],
  ["AccessDeniedByNobody", false],
])("%s: a policy lacks it: %s", (code, expected) => {
  expect(lacksPermission(failing(code))).toBe(expected);
});

const KINDS: readonly Kind[] = [
  "unreachable",
  "throttled",
  "not-yet",
  "denied",
  "held",
  "misconfigured",
  "yielded",
];

describe("a request that may have been carried out all the same", () => {
  test.each(KINDS)("%s: only without an answer, or by one of a server that failed", (kind) => {
    const answered = (status?: number) =>
      isUnanswered(new Failure(kind, { why: "x", ...(status !== undefined && { status }) }));
    expect(answered()).toBe(kind === "unreachable");
    expect(answered(499)).toBe(kind === "unreachable");
    expect(answered(500)).toBe(true);
    expect(answered(503)).toBe(true);
  });
});

describe("a failure", () => {
  const full: FailureDetails = {
    why: "it is held",
    request: "ec2:AssociateAddress at https://ec2.example",
    requestId: "8f77",
    remedy: "wait",
  };

  test("names its cause, cure, step and request, the cause first", () => {
    const { message } = new Failure("held", full, "associating");
    expect(message.startsWith("it is held; wait")).toBe(true);
    for (const part of ["associating", "ec2:AssociateAddress", "8f77"])
      expect(message).toContain(part);
  });

  test.each<[string, FailureDetails, string | undefined]>([
    ["a cause alone", { why: "it is held" }, undefined],
    ["no request", { why: "it is held", remedy: "wait" }, "looking"],
    ["no step", { why: "it is held", request: "GET http://metadata" }, undefined],
    ["no request id", { why: "it is held", request: "GET http://metadata" }, "looking"],
  ])("names nothing that it does not have: %s", (_, details, step) => {
    const { message } = new Failure("held", details, step);
    expect(message).not.toMatch(/undefined|\(\)|\(request/);
    expect(message.includes("(")).toBe((step ?? details.request) !== undefined);
  });

  test("shortens what others have said", () => {
    expect(new Failure("held", { why: "x".repeat(3_000) }).message.length).toBeLessThan(2_100);
  });

  test("has the error that it comes from as its cause, if there is one", () => {
    const cause = new Error("socket hang up");
    expect(new Failure("unreachable", { why: "x", cause }).cause).toBe(cause);
    expect(new Failure("unreachable", { why: "x" })).not.toHaveProperty("cause");
  });

  test("is told the step that it came in, unless one is named already", () => {
    const plain = new Failure("held", full);
    expect(inStep(plain, "looking")).toMatchObject({
      kind: "held",
      details: full,
      step: "looking",
    });
    const named = new Failure("held", full, "associating");
    expect(inStep(named, "looking")).toBe(named);
  });

  test("is like another one of the same kind, step and cause, whatever the request", () => {
    const one = new Failure("held", full, "looking");
    expect(one.isLike(new Failure("held", { ...full, requestId: "9a00" }, "looking"))).toBe(true);
    expect(one.isLike(new Failure("denied", full, "looking"))).toBe(false);
    expect(one.isLike(new Failure("held", full, "associating"))).toBe(false);
    expect(one.isLike(new Failure("held", { ...full, why: "another" }, "looking"))).toBe(false);
  });
});
