/** Error codes of Node's network functions, in words, and what an instance lacks that reaches nothing. */
import { describe, expect, test } from "vitest";
import { egressHint, errorCode, networkTrouble } from "../../src/model/network-error.ts";
import { SELF } from "../run/scripted.ts";

describe("trouble on the way", () => {
  test.each([
    ["ECONNREFUSED", undefined],
    ["ECONNRESET", undefined],
    ["EPIPE", undefined],
    ["ETIMEDOUT", undefined],
    ["EPROTO", undefined],
    // On this machine or with its resolver: it costs nobody anything to look again.
    ["ENOTFOUND", true],
    ["EAI_AGAIN", true],
    ["ENETUNREACH", true],
    ["EHOSTUNREACH", true],
    ["EADDRNOTAVAIL", true],
    ["EACCES", true],
    ["EPERM", true],
    ["EMFILE", true],
    ["ENFILE", true],
  ])("%s is said in words, with the code; on this machine: %s", (code, isLocal) => {
    const trouble = networkTrouble(code);
    expect(trouble?.why).toMatch(new RegExp(`^[a-zA-Z ]+ \\(${code}\\)$`));
    expect(trouble?.isLocal).toBe(isLocal);
    expect(trouble).not.toHaveProperty("remedy");
  });

  test.each([
    "CERT_HAS_EXPIRED",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "ERR_TLS_CERT_ALTNAME_INVALID",
    "HOSTNAME_MISMATCH",
    "INVALID_CA",
  ])("%s is one of trust, which can be cured", (code) => {
    const trouble = networkTrouble(code);
    expect(trouble?.why).toContain(code);
    expect(trouble?.remedy).toContain("NODE_EXTRA_CA_CERTS");
    expect(trouble).not.toHaveProperty("isLocal");
  });

  test("of a parser is an answer that is not HTTP", () => {
    const trouble = networkTrouble("HPE_INVALID_CONSTANT");
    expect(trouble?.why).toContain("HTTP (HPE_INVALID_CONSTANT)");
  });

  test.each(["ENOSPC", "", "toString", "XCERT_HAS_EXPIRED", "NOT_HPE_X"])(
    "%j is none that we know",
    (code) => {
      expect(networkTrouble(code)).toBeUndefined();
    },
  );
});

describe("the code of an error", () => {
  const coded = (code: string) => Object.assign(new Error("x"), { code });
  test.each<[string, unknown, string | undefined]>([
    ["is its own", coded("A"), "A"],
    ["is its own before that of its cause", Object.assign(coded("A"), { cause: coded("B") }), "A"],
    ["is that of its cause", new Error("x", { cause: coded("B") }), "B"],
    [
      "is that of one of its parts",
      new AggregateError([new Error("y"), coded("C"), coded("D")]),
      "C",
    ],
    [
      "is that of its cause before that of its parts",
      new AggregateError([coded("C")], "x", { cause: coded("B") }),
      "B",
    ],
    ["is no number", { code: 7 }, undefined],
    ["is none of a text", "A", undefined],
    ["is none of nothing", null, undefined],
    ["is none of nothing at all", undefined, undefined],
    ["is none of parts that are no list", { errors: "A" }, undefined],
    ["is found three causes deep", { cause: { cause: { cause: coded("E") } } }, "E"],
    [
      "and no deeper, whatever refers to itself",
      { cause: { cause: { cause: { cause: coded("F") } } } },
      undefined,
    ],
  ])("%s", (_, error, code) => {
    expect(errorCode(error)).toBe(code);
  });
});

describe("an instance that reaches no AWS", () => {
  test("has no public IPv4 address, perhaps", () => {
    const without = SELF.interfaces.map((one) => ({ ...one, publicIps: {} }));
    expect(egressHint("EC2", { ...SELF, interfaces: without })).toContain("EC2");
    expect(egressHint("EC2", { ...SELF, interfaces: [] })).toBeDefined();
  });

  test("with one lacks something else", () => {
    const second = { ...SELF.interfaces[0], publicIps: {} } as (typeof SELF.interfaces)[0];
    expect(
      egressHint("EC2", { ...SELF, interfaces: [second, ...SELF.interfaces] }),
    ).toBeUndefined();
  });
});
