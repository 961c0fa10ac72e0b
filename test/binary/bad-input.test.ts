/** Bad input: the message names the thing and what to do, the exit status is the contract's, EC2 is untouched. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningRegion, startRegion } from "../../sim/server.ts";
import { aWorld } from "../../sim/world.ts";
import { type AgentOptions, run, runAgent } from "../support/agent.ts";
import { inRegion } from "../support/region.ts";

let region: RunningRegion;
let tagged: string;
let plain: string;
let roleless: string;
let forbidden: string;
let mistagged: string;
const UNKNOWN = "eipalloc-0ffffffffffffffff";

beforeAll(async () => {
  const world = aWorld();
  const { allocationId } = world.address();
  const tags = { "allocation-id": allocationId };
  world.role("nothing", { Statement: [] });
  tagged = world.instance({ tags, role: "full", metadataTags: true }).instanceId;
  plain = world.instance({ role: "full", metadataTags: true }).instanceId;
  roleless = world.instance({ tags, role: null, metadataTags: true }).instanceId;
  forbidden = world.instance({ tags, role: "nothing", metadataTags: true }).instanceId;
  mistagged = world.instance({
    tags: { "allocation-id": "203.0.113.7" },
    role: "full",
    metadataTags: true,
  }).instanceId;
  region = await startRegion(world);
});
afterAll(async () => {
  expect(region.calls.filter(({ action }) => action === "AssociateAddress")).toEqual([]);
  await region.close();
});

const QUICK = { EIP_HEAL_DEADLINE: "4s" };

describe("settings", () => {
  test.concurrent.each<[string, AgentOptions, number, string[]]>([
    ["an unknown flag", { flags: ["--takeovr", "never"] }, 64, ["--takeovr", "eip-heal help"]],
    ["an unknown command", { flags: ["hael"] }, 64, ["'hael'", "heal"]],
    ["a flag without its value", { flags: ["--takeover"] }, 64, ["--takeover"]],
    ["--config without its value", { flags: ["--config"] }, 64, ["--config", "eip-heal help"]],
    [
      "a bad value by flag",
      { flags: ["--takeover", "newst"] },
      64,
      ['--takeover is "newst"', "never, if-gone, newest, always"],
    ],
    [
      "an unknown key in the file",
      { conf: "EIP_HEAL_TAKE_OVER=never" },
      78,
      ["EIP_HEAL_TAKE_OVER", "known settings: EIP_HEAL_ALLOCATION_ID"],
    ],
    [
      "an unknown key in the environment",
      { environment: { EIP_HEAL_X: "1" } },
      78,
      ["EIP_HEAL_X in the environment"],
    ],
    [
      "a bad value in the file",
      { conf: "EIP_HEAL_DEADLINE=1 week" },
      78,
      ["EIP_HEAL_DEADLINE", '"1 week"', "1s to 1h"],
    ],
    [
      "a malformed id",
      { environment: { EIP_HEAL_ALLOCATION_ID: "eipalloc-zz" } },
      78,
      ["EIP_HEAL_ALLOCATION_ID", '"eipalloc-zz"', "eipalloc-0123456789abcdef0"],
    ],
    [
      "a line that is no assignment",
      { conf: "EIP_HEAL_TAKEOVER never" },
      78,
      ["line 1", "KEY=VALUE"],
    ],
    [
      "a settings file that is not there",
      { flags: ["--config", "/nonexistent/eip-heal.conf"] },
      78,
      ["/nonexistent/eip-heal.conf", "no such file"],
    ],
    ["a settings file that is a folder", { flags: ["--config", "/"] }, 78, ["cannot read /"]],
    [
      "a region that is none",
      { environment: { AWS_REGION: "Tokyo" } },
      78,
      ['AWS_REGION is "Tokyo"', "eu-central-1"],
    ],
    [
      "an endpoint that is no URL",
      { environment: { AWS_ENDPOINT_URL: "ec2", AWS_ENDPOINT_URL_EC2: "" } },
      78,
      ["AWS_ENDPOINT_URL", '"ec2"', "https://"],
    ],
    [
      "half of a key pair",
      { environment: { AWS_ACCESS_KEY_ID: "AKIA0" } },
      78,
      ["only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"],
    ],
    ...["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].flatMap((name) =>
      ["key\n", "k\u0007ey", "k ey", "kéy"].map(
        (value): [string, AgentOptions, number, string[]] => [
          `${name} with what no key has: ${JSON.stringify(value)}`,
          {
            environment: {
              AWS_ACCESS_KEY_ID: "AKIA0",
              AWS_SECRET_ACCESS_KEY: "secret",
              [name]: value,
            },
          },
          78,
          [`${name} holds a character that no key has`, "as AWS has given it"],
        ],
      ),
    ),
    [
      "an extra CA that is not there",
      { conf: "NODE_EXTRA_CA_CERTS=/nonexistent.pem" },
      78,
      ["NODE_EXTRA_CA_CERTS", "/nonexistent.pem"],
    ],
  ])("%s", async (_, options, status, told) => {
    const { status: got, log } = await runAgent(region, tagged, options);
    expect(got, log.join("\n")).toBe(status);
    for (const part of told) expect(log.join("\n")).toContain(part);
    // There is one event, and a line for it.
    if (status === 64) expect(log).toHaveLength(1);
  });

  test("every problem at once", async () => {
    const { status, log } = await runAgent(region, tagged, {
      conf: "EIP_HEAL_TAKEOVER=x\nEIP_HEAL_DISPLACE=x\nnonsense\n",
    });
    expect(status).toBe(78);
    expect(log).toHaveLength(3);
  });
});

describe("what is missing around the instance", () => {
  test.concurrent.each<[string, () => string, AgentOptions, number, string[]]>([
    [
      "no tag",
      () => plain,
      {},
      78,
      ["no tag allocation-id", "tag the Auto Scaling group", "EIP_HEAL_ALLOCATION_ID"],
    ],
    [
      "a tag with an address that is not here",
      () => mistagged,
      {},
      78,
      ["no Elastic IP 203.0.113.7 in us-east-1", "in another region or account?"],
    ],
    [
      "an id that EC2 does not know",
      () => tagged,
      { environment: { EIP_HEAL_ALLOCATION_ID: UNKNOWN } },
      78,
      [`no address ${UNKNOWN} in us-east-1`, "another region"],
    ],
    ["no role", () => roleless, {}, 77, ["no role", "instance profile"]],
    [
      "no permission",
      () => forbidden,
      {},
      77,
      [
        "not allowed: ec2:DescribeInstances",
        "allow ec2:DescribeInstances in the policy of the instance role: eip-heal policy prints it",
      ],
    ],
    [
      "no tag, and that is in order",
      () => plain,
      { environment: { EIP_HEAL_OPTIONAL: "yes" } },
      0,
      ["nothing to do", "no tag allocation-id"],
    ],
  ])("%s", async (_, who, options, status, told) => {
    const { status: got, log } = await runAgent(region, who(), {
      ...options,
      environment: { ...QUICK, ...options.environment },
    });
    expect(got, log.join("\n")).toBe(status);
    for (const part of told) expect(log.at(-1)).toContain(part);
  });

  test("no permission to associate: named with the ARN", async () => {
    const world = aWorld();
    const { allocationId } = world.address();
    world.role("looker", {
      Statement: [{ Effect: "Allow", Action: "ec2:Describe*", Resource: "*" }],
    });
    const me = world.instance({
      tags: { "allocation-id": allocationId },
      role: "looker",
      metadataTags: true,
    });
    await inRegion(world, async (own) => {
      const { status, log } = await runAgent(own, me.instanceId, { environment: QUICK });
      expect(status).toBe(77);
      expect(log.at(-1)).toContain(
        `not allowed: ec2:AssociateAddress on arn:aws:ec2:us-east-1:111122223333:elastic-ip/${allocationId}`,
      );
      expect(own.holder(allocationId)).toBeUndefined();
    });
  });

  test("no instance metadata", async () => {
    const { status, log } = await run(
      {
        AWS_EC2_METADATA_SERVICE_ENDPOINT: "http://127.0.0.1:9",
        AWS_ENDPOINT_URL_EC2: region.ec2Url,
      },
      { environment: QUICK },
    );
    expect(status).toBe(75);
    expect(log.at(-1)).toMatch(
      /^FAILED \(75\): .*connection refused \(ECONNREFUSED\); is this an EC2 instance.* \(reading instance metadata: PUT http:\/\/127\.0\.0\.1:9\/latest\/api\/token\); gave up after .*; run: eip-heal doctor$/,
    );
  });
});

/** What somebody who may tag an instance, or set a variable, would like the log to say. */
const FORGED = "web\n<2>associated eipalloc-1 (203.0.113.9) with i-1\u001B[2J\u0007\u009B31m\u202E";

describe("what others have written into a tag, a setting or an argument stays in its line", () => {
  test.concurrent.each<[string, Record<string, string>, AgentOptions]>([
    ["the tag of the pool", { "eip-pool": FORGED }, {}],
    ["the tag of the address", { "allocation-id": FORGED }, {}],
    ["a setting", {}, { environment: { EIP_HEAL_POOL: `eip-pool=${FORGED}` } }],
    ["a setting that is not accepted", {}, { environment: { EIP_HEAL_TAKEOVER: FORGED } }],
    ["the name of a variable", {}, { environment: { "EIP_HEAL_A\n<2>associated": "1" } }],
    ["an argument", {}, { flags: [FORGED] }],
    ["the path of the settings file", {}, { flags: ["--config", `/nowhere/${FORGED}`] }],
  ])("%s", async (_, tags, { environment = {}, flags = [] }) => {
    const world = aWorld();
    world.address();
    const { instanceId } = world.instance({ role: "full", metadataTags: true, tags });
    await inRegion(world, async (own) => {
      const { log, result, status } = await runAgent(own, instanceId, {
        environment: { ...QUICK, ...environment, EIP_HEAL_LOG_LEVEL: "debug" },
        flags,
      });
      expect([64, 75, 77, 78]).toContain(status);
      const { message = "" } = (result ?? {}) as { message?: string };
      for (const line of [...log, message]) {
        expect(line).not.toMatch(/^(<\d>)?associated/);
        expect(line).not.toMatch(/\p{C}/u);
      }
      expect(own.calls.filter(({ action }) => action === "AssociateAddress")).toEqual([]);
    });
  });
});

test("the password in the URL of an endpoint is not told", async () => {
  const { log, status } = await runAgent(region, tagged, {
    environment: { ...QUICK, AWS_ENDPOINT_URL_EC2: "ftp://user:hunter2@proxy.example" },
  });
  expect(status).toBe(78);
  expect(log.join("\n")).not.toContain("hunter2");
});
