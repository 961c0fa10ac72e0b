/** What a text has to be as the value of a setting, and what it then means. */
import { describe, expect, test } from "vitest";
import {
  addresses,
  addressTag,
  choice,
  duration,
  hookName,
  interfaceName,
  InvalidValue,
  pool,
  privateIp,
  tagKey,
  YES_OR_NO,
} from "../../src/config/values.ts";

type Parse = (text: string) => unknown;
const VALUES: [name: string, parse: Parse, means: [string, unknown][], doNot: string[]][] = [
  [
    "a time, in milliseconds",
    duration,
    [
      ["1", 1_000],
      ["90", 90_000],
      ["1s", 1_000],
      ["90sec", 90_000],
      ["1000ms", 1_000],
      ["2m", 120_000],
      ["10min", 600_000],
      ["1h", 3_600_000],
      ["1hr", 3_600_000],
      ["1min 30s", 90_000],
      ["1min30s", 90_000],
      ["1.5min", 90_000],
      ["1 min", 60_000],
    ],
    [
      "",
      "0",
      "999ms",
      "0.999s",
      "3601s",
      "1h 1s",
      "61min",
      "-1s",
      "1d",
      "abc",
      "1 s!",
      "s",
      "1.2345s",
      "12345678ms",
      "1toString",
    ],
  ],
  [
    "an address",
    addresses,
    [
      [
        "eipalloc-0123456789abcdef0",
        { kind: "address", allocationId: "eipalloc-0123456789abcdef0" },
      ],
      ["203.0.113.7", { kind: "public-ip", publicIp: "203.0.113.7" }],
      ["172.32.0.1", { kind: "public-ip", publicIp: "172.32.0.1" }],
    ],
    [
      "",
      "eipassoc-0123456789abcdef0",
      "eipalloc-",
      "203.0.113.07",
      "203.0.113",
      "10.0.0.5",
      "127.0.0.1",
      "172.16.0.1",
      "172.31.255.255",
      "192.168.1.1",
      "169.254.169.254",
      "0.0.0.0",
      "224.0.0.1",
      "255.255.255.255",
      "2001:db8::7",
    ],
  ],
  [
    "a tag key",
    tagKey,
    [
      ["a", "a"],
      ["x".repeat(128), "x".repeat(128)],
    ],
    ["", "x".repeat(129)],
  ],
  [
    "the tag of an address",
    addressTag,
    [
      ["Name=mail", { kind: "tagged", key: "Name", value: "mail" }],
      ["a=b=c", { kind: "tagged", key: "a", value: "b=c" }],
    ],
    ["", "a", "a=", "=b", `${"x".repeat(129)}=a`],
  ],
  [
    "a pool",
    pool,
    [
      ["eip-pool=web", { kind: "pool", key: "eip-pool", value: "web" }],
      ["a b=c, d", { kind: "pool", key: "a b", value: "c, d" }],
      ["eipalloc-00000001", { kind: "pool", members: ["eipalloc-00000001"] }],
      [
        "eipalloc-00000001, eipalloc-00000002 203.0.113.7,,eipalloc-00000001",
        { kind: "pool", members: ["eipalloc-00000001", "eipalloc-00000002", "203.0.113.7"] },
      ],
    ],
    [
      "",
      ",",
      "web",
      "a=",
      "=b",
      "eipalloc-00000001 web",
      "10.0.0.5",
      `${"x".repeat(129)}=a`,
      Array.from({ length: 201 }, (_, at) => `198.51.100.${at}`).join(" "),
    ],
  ],
  [
    "an interface",
    interfaceName,
    [
      ["0", 0],
      ["15", 15],
      ["eni-0123456789abcdef0", "eni-0123456789abcdef0"],
      ["ENI-0123456789ABCDEF0", "eni-0123456789abcdef0"],
      ["0A:00:00:00:00:FF", "0a:00:00:00:00:ff"],
    ],
    ["", "100", "-1", "eth0", "1 ", "a1"],
  ],
  ["a private address", privateIp, [["10.0.0.5", "10.0.0.5"]], ["", "10.0.0", "fd00::1"]],
  ["a hook", hookName, [["web-launch", "web-launch"]], ["", "a b"]],
  [
    "yes or no",
    YES_OR_NO.parse,
    [
      ["yes", true],
      ["no", false],
    ],
    ["", "true", "YES", "1"],
  ],
  [
    "one of a list",
    choice(["never", "always"] as const).parse,
    [
      ["never", "never"],
      ["always", "always"],
    ],
    ["", "Never", "sometimes"],
  ],
];

describe.each(VALUES)("%s", (_, parse, means, doNot) => {
  test.each(means)("%j is %j", (text, value) => {
    expect(parse(text)).toEqual(value);
  });

  test.each(doNot)("%j is none, and it is said what is", (text) => {
    expect(() => parse(text)).toThrow(InvalidValue);
    expect(() => parse(text)).toThrow(/\w/);
  });
});

test.each([
  ["10.0.0.5", "itself, which 10.0.0.5 cannot be"],
  ["eipassoc-0123456789abcdef0", "itself, not an association id, which changes with every move"],
  ["EIPALLOC-0123456789ABCDEF0", "; did you mean eipalloc-0123456789abcdef0?"],
  ["http://203.0.113.7/", "; did you mean 203.0.113.7?"],
  ["203.0.113.7/32", "; did you mean 203.0.113.7?"],
  ["::ffff:203.0.113.7", "; did you mean 203.0.113.7?"],
  ["ec2-203-0-113-7.compute-1.amazonaws.com", "; did you mean 203.0.113.7?"],
  ["203.0.113.7;203.0.113.8", "; several with blanks or commas between"],
  ["2001:db8::1", "; an IPv6 address cannot be moved"],
  ["Name=mail", "; its tag is named by EIP_HEAL_ADDRESS_TAG"],
  ["203.0.113.256", "itself"],
  ["1203.0.113.7.8", "itself"],
  ["ip-10-0-0-5.ec2.internal", "itself"],
])("what is no name of an address is told apart: %s", (text, ending) => {
  expect(() => addresses(text)).toThrow(
    new InvalidValue(
      `an allocation id such as eipalloc-0123456789abcdef0, or the public IPv4 address ${ending.startsWith("itself") ? "" : "itself"}${ending}`,
    ),
  );
});

test("what is in no pool is named", () => {
  expect(() => pool("eipalloc-00000001, web")).toThrow("web is neither");
});
