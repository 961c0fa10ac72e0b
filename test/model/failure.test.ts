import { describe, expect, test } from "vitest";
import { AWS_CODE, codeOf, Failure, lacksPermission, OWN_CODE } from "../../src/model/failure.ts";

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
