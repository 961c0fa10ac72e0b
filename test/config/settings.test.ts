import { describe, expect, test } from "vitest";
import { parseEnvironmentFile } from "../../src/config/environment-file.ts";
import { remedyForNotice, sentenceOf, sentenceOfNotice } from "../../src/config/problem.ts";
import { readSettings, type Sources } from "../../src/config/read.ts";
import { NAMING, namedBySetting, SETTINGS } from "../../src/config/settings.ts";

const ID = "eipalloc-0123456789abcdef0";
const FILE = "/etc/eip-heal.conf";

function read(sources: {
  flags?: Sources["flags"];
  environment?: Sources["environment"];
  file?: Record<string, string>;
}) {
  return readSettings({
    flags: sources.flags ?? {},
    environment: sources.environment ?? {},
    file: { path: FILE, variables: sources.file ?? {} },
  });
}
function settings(sources: Parameters<typeof read>[0]) {
  const result = read(sources);
  if ("problems" in result) throw new Error(result.problems.map(sentenceOf).join("\n"));
  return result.settings;
}
function problems(sources: Parameters<typeof read>[0]) {
  const result = read(sources);
  return "problems" in result ? result.problems.map(sentenceOf) : [];
}

test("defaults are those of the contract", () => {
  expect(settings({})).toEqual({
    tag: "allocation-id",
    poolTag: "eip-pool",
    poolTakeover: "no",
    takeover: "newest",
    displace: true,
    interface: 0,
    deadlineMs: 600_000,
    optional: false,
    logLevel: "info",
  });
});

test("flag over environment over file", () => {
  const file = { EIP_HEAL_TAKEOVER: "never" };
  const environment = { EIP_HEAL_TAKEOVER: "if-gone" };
  expect(settings({ file }).takeover).toBe("never");
  expect(settings({ file, environment }).takeover).toBe("if-gone");
  expect(settings({ file, environment, flags: { takeover: "always" } }).takeover).toBe("always");
});

test("an empty value is no value", () => {
  expect(
    settings({ environment: { EIP_HEAL_TAKEOVER: "" }, file: { EIP_HEAL_TAKEOVER: "never" } })
      .takeover,
  ).toBe("never");
});

describe("accepted", () => {
  test.each([
    ["90s", 90_000],
    ["10min", 600_000],
    ["1h", 3_600_000],
    ["1min 30s", 90_000],
    ["1min30s", 90_000],
    ["45", 45_000],
    ["1.5min", 90_000],
  ])("a deadline of %s", (text, ms) => {
    expect(settings({ environment: { EIP_HEAL_DEADLINE: text } }).deadlineMs).toBe(ms);
  });

  test.each([
    ["1", 1],
    ["ENI-0123456789ABCDEF0", "eni-0123456789abcdef0"],
    ["0A:00:00:00:00:01", "0a:00:00:00:00:01"],
  ])("an interface %s", (text, value) => {
    expect(settings({ environment: { EIP_HEAL_INTERFACE: text } }).interface).toBe(value);
  });

  test("a pool tag whose value holds an equals sign", () => {
    expect(settings({ environment: { EIP_HEAL_POOL: "a=b=c" } }).pool).toEqual({
      kind: "pool",
      key: "a",
      value: "b=c",
    });
  });

  test("variables of others, and the result variables in the environment", () => {
    expect(
      problems({
        environment: { PATH: "/bin", EIP_HEAL_PUBLIC_IP: "1.2.3.4" },
        file: { AWS_REGION: "x" },
      }),
    ).toEqual([]);
  });
});

test("what a full pool may be taken from", () => {
  expect(settings({ flags: { "pool-takeover": "oldest" } }).poolTakeover).toBe("oldest");
  expect(settings({ file: { EIP_HEAL_POOL_TAKEOVER: "oldest" } }).poolTakeover).toBe("oldest");
});

describe("an address in one place and a pool in another: the higher one is meant", () => {
  const allocationId = { kind: "address", allocationId: ID };
  const addressTag = { kind: "tagged", key: "Name", value: "mail" };
  const pool = { kind: "pool", key: "a", value: "b" };
  test.each<[string, Parameters<typeof settings>[0], object]>([
    [
      "flag over file",
      { flags: { "allocation-id": ID }, file: { EIP_HEAL_POOL: "a=b" } },
      { allocationId },
    ],
    [
      "flag over environment",
      { flags: { pool: "a=b" }, environment: { EIP_HEAL_ALLOCATION_ID: ID } },
      { pool },
    ],
    [
      "environment over file",
      { environment: { EIP_HEAL_ALLOCATION_ID: ID }, file: { EIP_HEAL_POOL: "a=b" } },
      { allocationId },
    ],
    [
      "the tag of an address over both",
      {
        flags: { "address-tag": "Name=mail" },
        environment: { EIP_HEAL_POOL: "a=b" },
        file: { EIP_HEAL_ALLOCATION_ID: ID },
      },
      { addressTag },
    ],
    [
      "a pool over the tag of an address",
      { environment: { EIP_HEAL_POOL: "a=b" }, file: { EIP_HEAL_ADDRESS_TAG: "Name=mail" } },
      { pool },
    ],
  ])("%s", (_, sources, expected) => {
    const found = settings(sources);
    const naming = NAMING.flatMap((field) => (found[field] ? [[field, found[field]]] : []));
    expect(Object.fromEntries(naming)).toEqual(expected);
    const [[, desired] = []] = Object.entries(expected);
    expect(namedBySetting(found)?.desired).toEqual(desired);
  });
});

test("what a run has found, in the environment of a unit that loads its file, is no setting", () => {
  const environment = {
    EIP_HEAL_PUBLIC_IP: "203.0.113.7",
    EIP_HEAL_ALLOCATION_ID: ID,
    EIP_HEAL_INSTANCE_ID: "i-0123456789abcdef0",
    EIP_HEAL_INTERFACE_ID: "eni-0123456789abcdef0",
    EIP_HEAL_PRIVATE_IP: "10.0.0.5",
  };
  const found = settings({ environment, file: { EIP_HEAL_POOL: "a=b" } });
  expect(found).toMatchObject({ pool: { key: "a", value: "b" } });
  expect(found).not.toHaveProperty("allocationId");
  expect(found).not.toHaveProperty("privateIp");
});

test("a level of the log that was offered once means debug, and that is told", () => {
  const result = read({ file: { EIP_HEAL_LOG_LEVEL: "silly" } });
  if ("problems" in result) throw new Error("refused");
  expect(result.settings.logLevel).toBe("debug");
  expect(result.notices?.map(sentenceOfNotice)).toEqual([
    'EIP_HEAL_LOG_LEVEL in /etc/eip-heal.conf is "silly", which is no longer offered and means debug',
  ]);
  expect(read({ file: { EIP_HEAL_LOG_LEVEL: "debug" } })).not.toHaveProperty("notices");
});

describe("ignored, with a notice", () => {
  const notices = (sources: Parameters<typeof read>[0]) => {
    const result = read(sources);
    return "settings" in result ? (result.notices ?? []).map(sentenceOfNotice) : ["refused"];
  };

  test.each([
    ["TAKEOVER", "EIP_HEAL_TAKEOVER"],
    ["takeover", "EIP_HEAL_TAKEOVER"],
    ["eip_heal_takeover", "EIP_HEAL_TAKEOVER"],
    ["EIPHEAL_TAKEOVER", "EIP_HEAL_TAKEOVER"],
    ["EIP_HEEL_PRIVATE_IP", "EIP_HEAL_PRIVATE_IP"],
  ])("%s in the file", (key, meant) => {
    expect(notices({ file: { [key]: "never" } })).toEqual([
      `${key} in ${FILE} is ignored; did you mean ${meant}?`,
    ]);
  });

  test("in the environment only what looks like ours: others have a TAG there too", () => {
    const environment = {
      eip_heal_takeover: "never",
      TAG: "v1",
      takeover: "x",
      EIP_HEALTHCHECK: "1",
    };
    expect(notices({ environment })).toEqual([
      "eip_heal_takeover in the environment is ignored; did you mean EIP_HEAL_TAKEOVER?",
    ]);
  });

  test("what is somebody else's is not told", () => {
    const file = { AWS_REGION: "us-east-1", HTTPS_PROXY: "http://a", NODE_EXTRA_CA_CERTS: "b" };
    expect(notices({ file })).toEqual([]);
  });

  test("a setting that is given twice", () => {
    const { variables, repeated } = parseEnvironmentFile(
      "EIP_HEAL_TAG=a\nAWS_REGION=us-east-1\nEIP_HEAL_TAG=b\nAWS_REGION=us-east-1\n",
    );
    const file = { path: FILE, variables, repeated };
    const result = readSettings({ flags: {}, environment: {}, file });
    if ("problems" in result) throw new Error("refused");
    expect(result.settings.tag).toBe("b");
    expect(result.notices?.map(sentenceOfNotice)).toEqual([
      `EIP_HEAL_TAG is given more than once in ${FILE}, and only the last one counts`,
    ]);
    expect(result.notices?.map(remedyForNotice)).toEqual([
      `keep one line with EIP_HEAL_TAG in ${FILE}: the last one, or the one that is meant`,
    ]);
  });
});

describe("refused, with what is accepted", () => {
  test.each([
    ["EIP_HEAL_ALLOCATION_ID", "eipalloc-xyz", "eipalloc-0123456789abcdef0"],
    [
      "EIP_HEAL_ALLOCATION_ID",
      "10.0.0.5",
      "the public IPv4 address itself, which 10.0.0.5 cannot be",
    ],
    ["EIP_HEAL_ADDRESS_TAG", "mail", "key=value, such as Name=mail"],
    ["EIP_HEAL_ADDRESS_TAG", "Name = mail", "such as Name=mail; without blanks around the ="],
    ["EIP_HEAL_ADDRESS_TAG", "Name =mail", "; without blanks around the ="],
    ["EIP_HEAL_ALLOCATION_ID", "eipassoc-0123456789abcdef0", "not an association id"],
    ["EIP_HEAL_TAKEOVER", "Newest", "never, if-gone, newest, always"],
    ["EIP_HEAL_POOL_TAKEOVER", "newest", "no, oldest"],
    ["EIP_HEAL_DISPLACE", "true", "yes, no"],
    ["EIP_HEAL_OPTIONAL", "1", "yes, no"],
    ["EIP_HEAL_DEADLINE", "2h", "1s to 1h"],
    ["EIP_HEAL_DEADLINE", "0", "1s to 1h"],
    ["EIP_HEAL_DEADLINE", "10 minutes", "1s to 1h"],
    ["EIP_HEAL_DEADLINE", "-5s", "1s to 1h"],
    ["EIP_HEAL_DEADLINE", "5constructor", "1s to 1h"],
    ["EIP_HEAL_INTERFACE", "eth0", "a device index"],
    ["EIP_HEAL_PRIVATE_IP", "10.0.0.256", "an IPv4 address"],
    ["EIP_HEAL_POOL", "web", "key=value"],
    ["EIP_HEAL_POOL", "eip-pool= web", "; without blanks around the ="],
    ["EIP_HEAL_POOL", "eipalloc-00000001 web", "web is neither"],
    ["EIP_HEAL_LOG_LEVEL", "trace", "error, warn, info"],
  ])("%s=%s", (key, value, accepted) => {
    const [problem, ...more] = problems({ file: { [key]: value } });
    expect(more).toEqual([]);
    expect(problem).toContain(`${key} in ${FILE} is ${JSON.stringify(value)}`);
    expect(problem).toContain(accepted);
  });

  test.each([
    ["EIP_HEAL_TAKEOVER", "newst", "newest"],
    ["EIP_HEAL_TAKEOVER", "ifgone", "if-gone"],
    ["EIP_HEAL_LOG_LEVEL", "warning", undefined],
  ])("%s=%s: what was meant", (key, value, meant) => {
    const [problem] = problems({ file: { [key]: value } });
    if (meant === undefined) expect(problem).not.toContain("did you mean");
    else expect(problem).toContain(`; did you mean ${meant}? accepted: `);
  });

  test("every problem at once", () => {
    expect(
      problems({
        flags: { takeover: "x" },
        environment: { EIP_HEAL_DISPLACE: "x", EIP_HEAL_WHAT: "" },
        file: { EIP_HEAL_OPTIONAL: "x", EIP_HEAL_TAKE_OVER: "never" },
      }),
    ).toHaveLength(5);
  });

  test("an unknown key, with the known ones", () => {
    const [problem] = problems({ file: { EIP_HEAL_TAKE_OVER: "never" } });
    expect(problem).toContain("unknown setting EIP_HEAL_TAKE_OVER in /etc/eip-heal.conf");
    for (const { key } of SETTINGS) expect(problem).toContain(key);
  });

  test("an address and a pool in the same place", () => {
    const both = { EIP_HEAL_ALLOCATION_ID: ID, EIP_HEAL_POOL: "a=b" };
    expect(problems({ environment: both })).toHaveLength(1);
    expect(problems({ file: both })).toHaveLength(1);
    expect(problems({ file: { ...both, EIP_HEAL_ADDRESS_TAG: "Name=mail" } })).toEqual([
      expect.stringContaining("an allocation id, an address tag and a pool are set"),
    ]);
    const tagged = { EIP_HEAL_POOL: "a=b", EIP_HEAL_ADDRESS_TAG: "Name=mail" };
    expect(problems({ environment: tagged })).toHaveLength(1);
    // A higher place decides.
    expect(problems({ flags: { pool: "a=b" }, environment: tagged })).toEqual([]);
    expect(read({ flags: { "allocation-id": ID, pool: "a=b" } })).toMatchObject({
      onlyFlags: true,
    });
  });

  test("is a matter of the command line only if all of it is", () => {
    expect(read({ flags: { takeover: "x" } })).toMatchObject({ onlyFlags: true });
    expect(read({ flags: { takeover: "x" }, file: { EIP_HEAL_DISPLACE: "x" } })).toMatchObject({
      onlyFlags: false,
    });
  });
});
