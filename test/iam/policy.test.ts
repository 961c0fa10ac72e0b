/** The policy that a role needs: which statements, for which actions, and on what. */
import { describe, expect, test } from "vitest";
import {
  documentOf,
  type ExplainedStatement,
  explanationOf,
  type PolicyInput,
  type Statement,
  statementsFor,
} from "../../src/iam/policy.ts";
import {
  DEFAULT_SCOPE,
  type InstanceDetails,
  policyInput,
  type Scope,
} from "../../src/iam/policy-input.ts";
import { ALLOCATION } from "../reconcile/fixtures.ts";
import { SELF } from "../run/scripted.ts";
import { settingsOf } from "../support/settings.ts";

const ADDRESS = { kind: "address", allocationId: ALLOCATION } as const;
const POOL = { kind: "pool", key: "eip-pool", value: "web" } as const;
const INPUT: PolicyInput = {
  partition: "aws",
  region: "us-east-1",
  account: "123456789012",
  addresses: ADDRESS,
  severalInterfaces: false,
  vpc: "vpc-0123456789abcdef0",
  release: false,
};
const statements = (more: Partial<PolicyInput> = {}) => statementsFor({ ...INPUT, ...more });
const sids = (some: readonly ExplainedStatement[]) => some.map(({ statement: { Sid } }) => Sid);
const named = (sid: string, more: Partial<PolicyInput> = {}): Statement | undefined =>
  statements(more).find(({ statement: { Sid } }) => Sid === sid)?.statement;

describe("the statements", () => {
  const OPTIONAL = ["LookUpTheGroup", "LookAtInterfaces"];
  const hook = { group: "web", lookUp: false };
  test.each<[string, Partial<PolicyInput>, string[]]>([
    ["for one address", {}, ["Look", "ThisAddress", "OntoItself"]],
    ["for a pool", { addresses: POOL }, ["Look", "AddressesOfThePool", "OntoItself"]],
    ["for any address", { addresses: { kind: "any" } }, ["Look", "AnyAddress", "OntoItself"]],
    [
      "on an instance with several interfaces",
      { severalInterfaces: true },
      ["Look", "ThisAddress", "InterfacesOfTheVpc"],
    ],
    [
      "with which it is given up, too",
      { release: true },
      ["Look", "ThisAddress", "OntoItself", "InterfacesOfTheVpc"],
    ],
    [
      "under a lifecycle hook",
      { hook },
      ["Look", "ThisAddress", "OntoItself", "CompleteTheLaunchHook"],
    ],
  ])("%s", (_, more, expected) => {
    expect(sids(statements(more))).toEqual([...expected, ...OPTIONAL]);
  });

  test("that a heal does without are marked, unless a lifecycle hook needs them", () => {
    const optional = (more: Partial<PolicyInput>) =>
      sids(statements(more).filter(({ isOptional }) => isOptional === true));
    expect(optional({})).toEqual(OPTIONAL);
    expect(optional({ hook })).toEqual(OPTIONAL);
    expect(optional({ hook: { ...hook, lookUp: true } })).toEqual(["LookAtInterfaces"]);
  });
});

describe("a statement is about", () => {
  const ASSOCIATE = "ec2:AssociateAddress";
  const BOTH = [ASSOCIATE, "ec2:DisassociateAddress"];

  test("the region, where its actions know no resources", () => {
    const Condition = { StringEquals: { "ec2:Region": "us-east-1" } };
    expect(named("Look")).toMatchObject({ Resource: "*", Condition });
    expect(named("LookAtInterfaces")).toMatchObject({ Resource: "*", Condition });
    expect(named("Look", { region: "*" })).not.toHaveProperty("Condition");
  });

  test("this address", () => {
    expect(named("ThisAddress")).toEqual({
      Sid: "ThisAddress",
      Effect: "Allow",
      Action: ASSOCIATE,
      Resource: `arn:aws:ec2:us-east-1:123456789012:elastic-ip/${ALLOCATION}`,
    });
    expect(named("ThisAddress", { release: true })?.Action).toEqual(BOTH);
  });

  test("the addresses with the tag of the pool, taken literally", () => {
    const addresses = { kind: "pool", key: "owner", value: "a*?${b}" } as const;
    expect(named("AddressesOfThePool", { addresses })).toMatchObject({
      Resource: "arn:aws:ec2:us-east-1:123456789012:elastic-ip/*",
      Condition: { StringEquals: { "aws:ResourceTag/owner": "a${*}${?}${$}{b}" } },
    });
  });

  test("the instance that asks", () => {
    expect(named("OntoItself")).toMatchObject({
      Action: ASSOCIATE,
      Resource: "arn:aws:ec2:us-east-1:123456789012:instance/*",
      Condition: { StringLike: { "aws:userid": "*:${ec2:InstanceID}" } },
    });
  });

  test.each<[string, Partial<PolicyInput>, unknown]>([
    ["associate", { severalInterfaces: true }, ASSOCIATE],
    ["give up", { release: true }, "ec2:DisassociateAddress"],
    ["do both", { severalInterfaces: true, release: true }, BOTH],
  ])("the interfaces of the VPC, whoever owns that, to %s", (_, more, Action) => {
    expect(named("InterfacesOfTheVpc", more)).toMatchObject({
      Action,
      Resource: "arn:aws:ec2:us-east-1:123456789012:network-interface/*",
      Condition: { ArnEquals: { "ec2:Vpc": "arn:aws:ec2:us-east-1:*:vpc/vpc-0123456789abcdef0" } },
    });
    expect(named("InterfacesOfTheVpc", { ...more, vpc: "*" })).not.toHaveProperty("Condition");
  });

  test("the group of the hook, taken literally, in its partition", () => {
    const resource = (group: string) =>
      named("CompleteTheLaunchHook", { partition: "aws-cn", hook: { group, lookUp: false } })
        ?.Resource;
    const arn =
      "arn:aws-cn:autoscaling:us-east-1:123456789012:autoScalingGroup:*:autoScalingGroupName/";
    expect(resource("web?")).toBe(`${arn}web\${?}`);
    expect(resource("*")).toBe(`${arn}*`);
  });
});

test("the document is what IAM takes, and the explanation has every statement and fits a terminal", () => {
  const all = statements({ release: true, hook: { group: "web", lookUp: true } });
  const { Version, Statement } = JSON.parse(documentOf(all)) as Record<string, unknown>;
  expect(Version).toBe("2012-10-17");
  expect(Statement).toEqual(all.map(({ statement }) => statement));
  const lines = explanationOf(all).split("\n");
  for (const sid of sids(all)) expect(lines.some((line) => line.startsWith(`${sid}: `))).toBe(true);
  const words = lines.filter((line) => line.startsWith("    "));
  expect(Math.max(...words.map((line) => line.length))).toBeLessThanOrEqual(79);
  expect(lines.filter((line) => line.endsWith(", optional"))).toHaveLength(1);
});

describe("what the policy is to allow follows from", () => {
  const instanceContext = {
    partition: "aws",
    account: "123456789012",
    vpcs: {},
  };
  const found: InstanceDetails = { self: SELF, instanceContext, vpc: "vpc-0123456789abcdef0" };
  const HOOK = { EIP_HEAL_LIFECYCLE_HOOK: "web-launch" };
  const input = (
    scope: Partial<Scope> = {},
    details: InstanceDetails | undefined = found,
    settings: Readonly<Record<string, string>> = {},
  ) => policyInput(settingsOf(settings), { ...DEFAULT_SCOPE, ...scope }, details, ADDRESS);

  test("the instance, where it is known", () => {
    expect(input()).toEqual(INPUT);
  });

  test("nothing, off EC2: any account and region", () => {
    expect(policyInput(settingsOf(), DEFAULT_SCOPE, undefined, ADDRESS)).toEqual({
      ...INPUT,
      region: "*",
      account: "*",
      vpc: "*",
    });
  });

  test("the command line, before the instance", () => {
    const scope = { region: "cn-north-1", account: "210987654321", vpc: "vpc-1", release: true };
    expect(input(scope)).toEqual({
      ...INPUT,
      partition: "aws-cn",
      region: "cn-north-1",
      account: "210987654321",
      vpc: "vpc-1",
      severalInterfaces: true,
      release: true,
    });
  });

  test("the partition of its region, where the instance does not tell it", () => {
    const self = { ...SELF, region: "us-gov-west-1" };
    expect(input({}, { self })).toMatchObject({ partition: "aws-us-gov", account: "*" });
  });

  test("whether it has several interfaces", () => {
    const [one] = SELF.interfaces;
    if (one === undefined) throw new Error("no interface");
    const self = { ...SELF, interfaces: [one, one] };
    expect(input({}, { self }).severalInterfaces).toBe(true);
  });

  test.each<
    [string, Partial<Scope>, Readonly<Record<string, string>>, string | undefined, unknown]
  >([
    ["none", {}, {}, undefined, undefined],
    ["one by setting", {}, HOOK, undefined, { group: "*", lookUp: true }],
    ["one that is asked for", { hook: true }, {}, undefined, { group: "*", lookUp: true }],
    ["of a group that is named", { group: "blue" }, {}, undefined, { group: "blue", lookUp: true }],
    ["of the group of the instance", {}, HOOK, "web", { group: "web", lookUp: false }],
    ["of another group", { group: "blue" }, {}, "web", { group: "blue", lookUp: false }],
  ])("a lifecycle hook: %s", (_, scope, settings, group, expected) => {
    const context = { ...instanceContext, ...(group !== undefined && { group }) };
    expect(input(scope, { ...found, instanceContext: context }, settings).hook).toEqual(expected);
  });
});
