/** What doctor says of the versions, and of a kernel in FIPS mode. */
import { expect, test } from "vitest";
import { findingOfVersions } from "../../src/doctor/checks/program.ts";

const versions = "eip-heal 1.2.3 (/usr/bin/eip-heal), Node v24.0.0, linux x64";

test("the versions are all there is to say", () => {
  expect(findingOfVersions({ versions, isInFipsMode: false })).toEqual({
    mark: "ok",
    found: versions,
    value: undefined,
  });
});

test("on a kernel in FIPS mode it warns that the program's cryptography is not validated", () => {
  const finding = findingOfVersions({ versions, isInFipsMode: true });
  expect(finding).toMatchObject({
    mark: "warning",
    found: expect.stringMatching(/^eip-heal 1\.2\.3 .*FIPS mode.*not a FIPS 140 validated module$/),
    remedy: expect.stringContaining("AWS_USE_FIPS_ENDPOINT"),
  });
});
