/** The shapes of what reaches us from outside: everything else is refused before it is used. */
import { describe, expect, test } from "vitest";
import {
  borderGroupOf,
  isAccount,
  isAllocationId,
  isGroupName,
  isHookName,
  isInstanceId,
  isInterfaceId,
  isIpv4,
  isMac,
  isRegion,
  isVpc,
  isZone,
} from "../../src/model/ids.ts";

const IDS = [
  ["eipalloc-", isAllocationId],
  ["i-", isInstanceId],
  ["eni-", isInterfaceId],
  ["vpc-", isVpc],
] as const;

describe.each(IDS)("an id %s…", (prefix, fits) => {
  test.each(["01234567", "0123456789abcdef0", "f".repeat(32)])("%s fits", (digits) => {
    expect(fits(prefix + digits)).toBe(true);
  });

  test.each([
    "",
    "0123456",
    "0".repeat(33),
    "0123456g",
    "0123456789ABCDEF0",
    "01234567\n",
    "01234567 ",
  ])("%j does not", (digits) => {
    expect(fits(prefix + digits)).toBe(false);
  });

  test("nothing may stand before it", () => {
    expect(fits(`x${prefix}01234567`)).toBe(false);
    expect(fits("01234567")).toBe(false);
  });
});

const SHAPES: [string, (text: string) => boolean, fit: string[], doNot: string[]][] = [
  [
    "an account",
    isAccount,
    ["000000000000", "123456789012"],
    ["", "12345678901", "1234567890123", "12345678901a"],
  ],
  [
    "a MAC address",
    isMac,
    ["0a:00:00:00:00:ff"],
    [
      "",
      "0a:00:00:00:00",
      "0a:00:00:00:00:00:00",
      "0A:00:00:00:00:00",
      "0a-00-00-00-00-00",
      "0g:00:00:00:00:00",
    ],
  ],
  [
    "a region",
    isRegion,
    [
      "us-east-1",
      "eu-central-12",
      "us-gov-west-1",
      "ap-southeast-2",
      "eusc-de-east-1",
      "us-isob-east-1",
    ],
    [
      "",
      "us-east",
      "us-east-123",
      "US-EAST-1",
      "u-east-1",
      "abcdef-east-1",
      "useast-1-",
      "us1-east-1",
      "us-east-1a",
      "-us-east-1",
      "us--east-1",
      "us-1",
    ],
  ],
  [
    "a zone",
    isZone,
    ["us-east-1a", "us-west-2-lax-1a", "us-east-1-wl1-bos-wlz-1", "us-gov-west-1a"],
    [
      "",
      "us",
      "us-",
      "US-EAST-1A",
      "us-east-1a!",
      "u-east-1a",
      "abcdef-east-1a",
      "us-east-1a ",
      "-east-1a",
    ],
  ],
  [
    "an IPv4 address",
    isIpv4,
    ["0.0.0.0", "10.0.0.5", "203.0.113.7", "255.255.255.255", "199.249.250.99", "1.19.100.200"],
    [
      "",
      "1.2.3",
      "1.2.3.4.5",
      "256.1.1.1",
      "1.256.1.1",
      "1.1.1.256",
      "1.1.1.260",
      "01.2.3.4",
      "1.2.3.4 ",
      "a.b.c.d",
      "1.2.3.",
      "::1",
      "1,2,3,4",
    ],
  ],
  [
    "the name of a hook",
    isHookName,
    ["a", "web-launch_2/x", "A".repeat(255)],
    ["", "a b", "ü", "a.b", "A".repeat(256), "a\n"],
  ],
  [
    "the name of a group",
    isGroupName,
    ["a", "web 1 (blue)", "ü", "x".repeat(255)],
    ["", "a:b", "a\nb", "a\u202eb", "x".repeat(256)],
  ],
];

describe.each(SHAPES)("%s", (_, fits, fit, doNot) => {
  test.each(fit)("%j fits", (text) => {
    expect(fits(text)).toBe(true);
  });

  test.each(doNot)("%j does not", (text) => {
    expect(fits(text)).toBe(false);
  });
});

describe("the network border group of a zone", () => {
  test.each([
    ["of a region", "us-east-1a", "us-east-1"],
    ["of a region with two digits", "ap-south-12b", "ap-south-12"],
    ["that is a Local Zone", "us-west-2-lax-1a", "us-west-2-lax-1"],
    ["that is a Wavelength Zone", "us-east-1-wl1-bos-wlz-1", "us-east-1-wl1-bos-wlz-1"],
    [
      "with a digit before a letter in its name",
      "us-east-1-5g-bos-wlz-1",
      "us-east-1-5g-bos-wlz-1",
    ],
  ])("%s: %s is in %s", (_, zone, group) => {
    expect(borderGroupOf(zone)).toBe(group);
  });
});
