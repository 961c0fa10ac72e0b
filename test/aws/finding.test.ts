/** How addresses are found by the names that people give them, and what is said if they are not. */
import { describe, expect, test } from "vitest";
import {
  ambiguous,
  cannotBeFound,
  filterFor,
  filtersFor,
  isDesired,
  notFound,
  similarIps,
  theOneHere,
} from "../../src/aws/finding.ts";
import type { FixedAddress, Pool } from "../../src/model/address.ts";
import { EXIT } from "../../src/model/failure.ts";
import { statusOf } from "../../src/reconcile/retry.ts";
import { ALLOCATION, PUBLIC_IP } from "../reconcile/fixtures.ts";

const BY_ID: FixedAddress = { kind: "address", allocationId: ALLOCATION };
const BY_IP: FixedAddress = { kind: "public-ip", publicIp: PUBLIC_IP };
const BY_TAG = { kind: "tagged", key: "Name", value: "mail" } as const;
const WEB: Pool = { kind: "pool", key: "eip-pool", value: "web" };
const OTHER = "eipalloc-00000000000000002";
const LIST: Pool = { kind: "pool", members: [ALLOCATION, PUBLIC_IP, OTHER] };
const HOST = "ec2.us-east-1.amazonaws.com";

const ROW = { AllocationId: ALLOCATION, PublicIp: PUBLIC_IP };
const MAIL = { ...ROW, Tags: [{ Key: "Name", Value: "mail" }] };

test("one address is asked for by one filter, a list by one for each kind of name", () => {
  expect(filterFor(BY_ID)).toEqual(["allocation-id", [ALLOCATION]]);
  expect(filterFor(BY_IP)).toEqual(["public-ip", [PUBLIC_IP]]);
  expect(filterFor(BY_TAG)).toEqual(["tag:Name", ["mail"]]);
  expect(filtersFor(WEB)).toEqual([["tag:eip-pool", ["web"]]]);
  expect(filtersFor(LIST)).toEqual([
    ["allocation-id", [ALLOCATION, OTHER]],
    ["public-ip", [PUBLIC_IP]],
  ]);
  expect(filtersFor({ kind: "pool", members: [ALLOCATION] })).toHaveLength(1);
});

describe("what EC2 answers with is compared exactly, since it knows wildcards", () => {
  test.each([
    ["its allocation id", BY_ID, ROW, true],
    ["another allocation id", BY_ID, { ...ROW, AllocationId: OTHER }, false],
    ["its public IP", BY_IP, ROW, true],
    ["another public IP", BY_IP, { ...ROW, PublicIp: "203.0.113.70" }, false],
    ["its carrier IP", BY_IP, { AllocationId: OTHER, CarrierIp: PUBLIC_IP }, true],
    ["its customer-owned IP", BY_IP, { AllocationId: OTHER, CustomerOwnedIp: PUBLIC_IP }, true],
    ["its tag", BY_TAG, MAIL, true],
    ["a longer value", BY_TAG, { ...ROW, Tags: [{ Key: "Name", Value: "mail-2" }] }, false],
    ["another case", BY_TAG, { ...ROW, Tags: [{ Key: "name", Value: "mail" }] }, false],
    ["no tags", BY_TAG, ROW, false],
    [
      "a wildcard that matches",
      { ...BY_TAG, value: "ma*" },
      { ...ROW, Tags: [{ Key: "Name", Value: "mail" }] },
      false,
    ],
    ["the tag of a pool", WEB, { ...ROW, Tags: [{ Key: "eip-pool", Value: "web" }] }, true],
    ["a member by its id", LIST, { AllocationId: OTHER }, true],
    ["a member by its public IP", LIST, { AllocationId: "x", PublicIp: PUBLIC_IP }, true],
    ["a member by its carrier IP", LIST, { AllocationId: "x", CarrierIp: PUBLIC_IP }, true],
    ["not a member", LIST, { AllocationId: "eipalloc-9", PublicIp: "203.0.113.70" }, false],
    ["a row without names", LIST, {}, false],
  ] as const)("%s", (_, desired, row, expected) => {
    expect(isDesired({ ...row, Tags: "Tags" in row ? [...row.Tags] : [] }, desired)).toBe(expected);
  });
});

test("similar to an address are those with another number in one place", () => {
  expect(similarIps("203.0.113.7")).toEqual([
    "*.0.113.7",
    "203.*.113.7",
    "203.0.*.7",
    "203.0.113.*",
  ]);
});

describe("without DescribeAddresses", () => {
  test.each(["public-ip", "tagged"] as const)(
    "an address by its %s cannot be found, and by its allocation id it could",
    (kind) => {
      const failure = cannotBeFound(kind, HOST);
      expect(statusOf(failure)).toBe(EXIT.NOPERM);
      expect(failure.message).toMatch(/^not allowed: ec2:DescribeAddresses, and without it an/);
      expect(failure.message).toContain(kind === "tagged" ? "by its tag" : "by its public IP");
      expect(failure.message).toContain("eip-heal policy prints it");
      expect(failure.message).toContain("by its allocation id, which does without");
    },
  );

  test("nor can a pool, and no other name helps", () => {
    const { message } = cannotBeFound("pool", HOST);
    expect(message).toContain("the addresses of a pool cannot be found");
    expect(message).not.toContain("allocation id");
  });
});

describe("that EC2 does not show", () => {
  test.each([
    [BY_ID, `no address ${ALLOCATION} in us-east-1`, "InvalidAllocationID.NotFound"],
    [BY_IP, `no Elastic IP ${PUBLIC_IP} in us-east-1`, "InvalidAllocationID.NotFound"],
    [BY_TAG, "no address with the tag Name=mail in us-east-1", "NoTaggedAddress"],
  ])("%o is waited for, and then somebody has to act", (desired, why, code) => {
    const failure = notFound(desired, HOST, "us-east-1");
    expect(failure).toMatchObject({ kind: "not-yet", code, details: { why } });
    expect(failure.details.remedy).toContain("in another region or account?");
    expect(statusOf(failure)).toBe(EXIT.CONFIG);
    expect(notFound(desired, HOST, "us-east-1", "name another").message).toContain(
      `${why}; name another`,
    );
  });
});

test("several addresses with the tag of one are listed", () => {
  const rows = Array.from({ length: 8 }, (_, at) => ({
    AllocationId: `eipalloc-0000000${at}`,
    PublicIp: `203.0.113.${at}`,
  }));
  const failure = ambiguous(BY_TAG, rows, HOST);
  expect(failure).toMatchObject({ kind: "not-yet", code: "AmbiguousTag" });
  expect(statusOf(failure)).toBe(EXIT.CONFIG);
  expect(failure.message).toContain(
    "8 addresses carry the tag Name=mail: eipalloc-00000000 (203.0.113.0)",
  );
  expect(failure.message).toContain("eipalloc-00000005 (203.0.113.5) and 2 more");
  expect(failure.message).not.toContain("eipalloc-00000006");
});

describe("of several addresses with the tag of one", () => {
  const ME = "i-0000000000000005a";
  const row = (at: number, InstanceId?: string) => ({
    AllocationId: `eipalloc-0000000${at}`,
    PublicIp: `203.0.113.${at}`,
    ...(InstanceId !== undefined && { InstanceId }),
  });

  test("the only one that this instance has is kept, and the others are named", () => {
    const rows = [row(1), row(2, ME), row(3, "i-00000000000000007")];
    expect(theOneHere(BY_TAG, rows, ME, HOST)).toEqual({
      row: rows[1],
      alike: ["eipalloc-00000001 (203.0.113.1)", "eipalloc-00000003 (203.0.113.3)"],
    });
  });

  test.each([
    ["none of them", [row(1), row(2, "i-00000000000000007")]],
    ["several of them", [row(1, ME), row(2, ME), row(3)]],
  ])("which one is meant is not known if it has %s", (_, rows) => {
    expect(() => theOneHere(BY_TAG, rows, ME, HOST)).toThrow(ambiguous(BY_TAG, rows, HOST).message);
  });
});
