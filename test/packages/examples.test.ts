/** The examples and the IAM policies, by the tools of their own worlds, and against what eip-heal itself prints. */
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  statementsFor,
  documentOf,
  type PolicyInput,
  type Statement,
} from "../../src/iam/policy.ts";
import { unless } from "../support/skipping.ts";
import { attempt, missing, read, ROOT, run, SLOW, withoutCloudInit } from "./tools.ts";

const LINT = `${ROOT}.tools/lint/bin/`;
const PYTHON = `${LINT}python`;
const CFN_LINT = `${LINT}cfn-lint`;
const PARLIAMENT = `${LINT}parliament`;
const HCL2JSON = `${LINT}hcl2tojson`;
const CHECKOV = `${ROOT}.tools/checkov/bin/checkov`;
const CLOUD_INIT = ".tools/cloud-init/usr/lib/python3/dist-packages";
/** What reads Terraform's language: what "make lint-examples" has built, or what this machine has. */
const TERRAFORM = [`${ROOT}.tools/bin/tofu`, "terraform", "tofu"].find(
  (name) => attempt("sh", "-c", `command -v ${name}`).status === 0,
);

/** Not every machine can have one. */
const withoutTerraform =
  TERRAFORM === undefined
    ? "missing: terraform or tofu (make lint-examples builds it with Go)"
    : undefined;

const TEMPLATE = "examples/cloudformation.yaml";
const MODULE = "examples/terraform";

/** The policy of one address, with these words in the places that an example fills in. */
function printed(words: Partial<PolicyInput> & { allocationId: string }): Statement[] {
  const { allocationId, ...rest } = words;
  const clauses = statementsFor({
    partition: "aws",
    region: "us-east-1",
    account: "123456789012",
    addresses: { kind: "address", allocationId },
    severalInterfaces: false,
    vpc: "vpc-0123456789abcdef0",
    release: false,
    ...rest,
  });
  return (JSON.parse(documentOf(clauses)) as { Statement: Statement[] }).Statement;
}

describe("the CloudFormation template", () => {
  test("cfn-lint has nothing to say", { ...unless(missing(CFN_LINT)), timeout: SLOW }, () => {
    expect(attempt(CFN_LINT, TEMPLATE)).toEqual({ status: 0, output: "" });
  });

  test("has the policy that eip-heal prints", unless(missing(PYTHON)), () => {
    const load = `import cfnlint.decode.cfn_yaml as y, json; print(json.dumps(y.load(${JSON.stringify(TEMPLATE)})))`;
    const template = JSON.parse(run(PYTHON, "-c", load)) as {
      Resources: {
        Role: { Properties: { Policies: { PolicyDocument: { Statement: unknown } }[] } };
      };
    };
    const [policy] = template.Resources.Role.Properties.Policies;
    expect(substituted(policy?.PolicyDocument.Statement)).toEqual(
      printed({
        partition: "${AWS::Partition}",
        region: "${AWS::Region}",
        account: "${AWS::AccountId}",
        allocationId: "${Id}",
      }),
    );
  });
});

/** What the intrinsic functions of CloudFormation come to, its variables left as they are. */
function substituted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(substituted);
  if (typeof value !== "object" || value === null) return value;
  if ("Ref" in value) return `\${${String(value.Ref)}}`;
  if ("Fn::Sub" in value) return [value["Fn::Sub"]].flat()[0];
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, substituted(one)]));
}

describe("the Terraform module", () => {
  /** A file as JSON, without the quotes that python-hcl2 leaves around strings and labels. */
  const parsed = (path: string) =>
    JSON.parse(run(HCL2JSON, path).replace(/"\\"|\\""/g, '"')) as Record<string, unknown>;

  test("can be parsed, all of it", unless(missing(HCL2JSON)), () => {
    const files = readdirSync(`${ROOT}${MODULE}`).filter((name) => name.endsWith(".tf"));
    expect(files.toSorted()).toEqual(["main.tf", "outputs.tf", "variables.tf", "versions.tf"]);
    for (const name of files) expect(parsed(`${MODULE}/${name}`), name).not.toEqual({});
  });

  test("has the policy that eip-heal prints", unless(missing(HCL2JSON)), () => {
    type Document = {
      statement?: {
        sid: string;
        actions: string[];
        resources: string[];
        condition?: { test: string; variable: string; values: string[] }[];
      }[];
    };
    const { data } = parsed(`${MODULE}/main.tf`) as {
      data: { aws_iam_policy_document?: Record<string, Document> }[];
    };
    const heal = data
      .map(({ aws_iam_policy_document: documents }) => documents?.["heal"])
      .find((document) => document !== undefined);
    const statements = heal?.statement?.map(({ sid, actions, resources, condition }) => ({
      Sid: sid,
      Effect: "Allow",
      Action: actions.length === 1 ? actions[0] : actions,
      Resource: resources[0],
      ...(condition && {
        Condition: Object.fromEntries(
          condition.map(({ test: operator, variable, values }) => [
            operator,
            { [variable]: values[0]?.replaceAll("$${", "${") },
          ]),
        ),
      }),
    }));
    const local = printed({ region: "${local.region}", allocationId: "${local.allocation_id}" });
    const expected = JSON.stringify(local).replaceAll(
      "arn:aws:ec2:${local.region}:123456789012",
      "${local.arn}",
    );
    expect(statements).toEqual(JSON.parse(expected));
  });

  test(
    "is formatted as by terraform fmt, and so is the Packer template",
    unless(withoutTerraform),
    () => {
      for (const folder of [MODULE, "examples/packer"]) {
        for (const name of readdirSync(`${ROOT}${folder}`)) {
          const { status, output } = attempt(
            "sh",
            "-c",
            '"$0" fmt -check -diff - <"$1"',
            TERRAFORM ?? "",
            `${folder}/${name}`,
          );
          expect(status, output).toBe(0);
        }
      }
    },
  );

  test(
    "is valid, where the provider can be had",
    { ...unless(withoutTerraform), timeout: SLOW },
    ({ skip }) => {
      const folder = mkdtempSync(join(tmpdir(), "eip-heal-terraform-"));
      try {
        cpSync(`${ROOT}${MODULE}`, folder, { recursive: true });
        const terraform = (...args: string[]) =>
          attempt("timeout", "120", TERRAFORM ?? "", `-chdir=${folder}`, ...args, "-no-color");
        const { status, output } = terraform("init", "-backend=false", "-input=false");
        const [why] = /Error: .*/.exec(output) ?? [];
        skip(status !== 0, `the provider cannot be had here: ${why}`);
        expect(terraform("validate").output).toContain("The configuration is valid.");
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );

  test("the Packer template can be parsed", unless(missing(HCL2JSON)), () => {
    const template = parsed("examples/packer/eip-heal.pkr.hcl") as {
      source: Record<string, Record<string, unknown>>[];
    };
    expect(Object.keys(template)).toEqual(
      expect.arrayContaining(["packer", "variable", "source", "build"]),
    );
    expect(template.source.flatMap((one) => Object.keys(one["amazon-ebs"] ?? {}))).toEqual([
      "al2023",
      "debian",
    ]);
  });
});

test("checkov finds nothing in either", { ...unless(missing(CHECKOV)), timeout: SLOW }, () => {
  const { status, output } = attempt(
    CHECKOV,
    "--directory",
    "examples",
    "--framework",
    "cloudformation",
    "terraform",
    "--quiet",
    "--compact",
    "--skip-download",
  );
  expect(status, output).toBe(0);
  // Each skipped check says in its place why.
  expect(output).toMatch(
    /cloudformation scan results:\s+Passed checks: [1-9]\d*, Failed checks: 0, Skipped checks: 1\b/,
  );
  expect(output).toMatch(
    /terraform scan results:\s+Passed checks: [1-9]\d*, Failed checks: 0, Skipped checks: 2\b/,
  );
});

test(
  "the user data is valid by the schema of cloud-init",
  unless(missing(PYTHON) ?? withoutCloudInit(CLOUD_INIT)),
  () => {
    const check = (path: string) =>
      attempt(
        "env",
        `PYTHONPATH=${ROOT}${CLOUD_INIT}`,
        PYTHON,
        "-m",
        "cloudinit.cmd.main",
        "schema",
        "--config-file",
        path,
      );
    for (const path of ["examples/cloud-init.yaml", "examples/cloud-init-apt.yaml"]) {
      const { status, output } = check(path);
      expect(status, output).toBe(0);
      expect(output).toMatch(/^Valid (cloud-config|schema)/m);
    }
  },
);

/**
 * The document of a component as the EC2 Image Builder User Guide describes it ("Use the AWS Task Orchestrator and
 * Executor component document framework"), of its actions those that the component uses.
 */
const COMPONENT_SCHEMA = {
  type: "object",
  required: ["schemaVersion", "phases"],
  additionalProperties: false,
  properties: {
    name: { type: "string", maxLength: 128 },
    description: { type: "string" },
    schemaVersion: { const: 1 },
    parameters: {
      type: "array",
      items: {
        type: "object",
        minProperties: 1,
        maxProperties: 1,
        additionalProperties: {
          type: "object",
          required: ["type"],
          additionalProperties: false,
          properties: {
            type: { const: "string" },
            default: { type: "string" },
            description: { type: "string" },
            allowedValues: { type: "array", items: { type: "string" } },
          },
        },
      },
    },
    phases: {
      type: "array",
      minItems: 1,
      items: {
        type: "object",
        required: ["name", "steps"],
        additionalProperties: false,
        properties: {
          name: { enum: ["build", "validate", "test"] },
          steps: {
            type: "array",
            minItems: 1,
            items: {
              type: "object",
              required: ["name", "action", "inputs"],
              additionalProperties: false,
              properties: {
                name: { type: "string", pattern: "^[A-Za-z0-9_-]{1,100}$" },
                action: { enum: ["ExecuteBash", "S3Download"] },
                timeoutSeconds: { type: "integer" },
                maxAttempts: { type: "integer", minimum: 1 },
                onFailure: { enum: ["Abort", "Continue", "Ignore"] },
                inputs: {},
              },
              // Each action has inputs of its own.
              oneOf: [
                {
                  properties: {
                    action: { const: "ExecuteBash" },
                    inputs: {
                      type: "object",
                      required: ["commands"],
                      additionalProperties: false,
                      properties: { commands: { type: "array", items: { type: "string" } } },
                    },
                  },
                },
                {
                  properties: {
                    action: { const: "S3Download" },
                    inputs: {
                      type: "array",
                      items: {
                        type: "object",
                        required: ["source", "destination"],
                        properties: {
                          source: { type: "string" },
                          destination: { type: "string", pattern: "^/" },
                        },
                      },
                    },
                  },
                },
              ],
            },
          },
        },
      },
    },
  },
};

test(
  "the component is one by the documented schema of EC2 Image Builder",
  unless(missing(PYTHON)),
  () => {
    const check = `import json, sys, yaml, jsonschema
for path in sys.argv[2:]:
    for error in jsonschema.Draft202012Validator(json.loads(sys.argv[1])).iter_errors(yaml.safe_load(open(path))):
        print(error.json_path, error.message)`;
    const told = (path: string) => run(PYTHON, "-c", check, JSON.stringify(COMPONENT_SCHEMA), path);
    expect(told("examples/imagebuilder/component.yaml")).toBe("");
    // Another YAML file is none.
    expect(told("examples/cloud-init.yaml")).toContain("'schemaVersion' is a required property");
  },
);

describe("parliament finds nothing", { ...unless(missing(PARLIAMENT)), timeout: SLOW }, () => {
  const summarize = (policy: string) => attempt(PARLIAMENT, "--string", policy);

  test("in the policies of the package", () => {
    const names = readdirSync(`${ROOT}packaging`).filter((name) =>
      /^iam-policy.*\.json$/.test(name),
    );
    expect(names.length).toBeGreaterThan(3);
    for (const name of names) {
      expect(summarize(read(`packaging/${name}`)), name).toEqual({ status: 0, output: "" });
    }
  });

  test("in what eip-heal prints, and much in a policy that IAM would not understand", () => {
    const everything: Partial<PolicyInput> & { allocationId: string } = {
      allocationId: "eipalloc-0123456789abcdef0",
      hook: { group: "web", lookUp: true },
      release: true,
    };
    for (const severalInterfaces of [false, true]) {
      const Statement = printed({ ...everything, severalInterfaces });
      const policy = JSON.stringify({ Version: "2012-10-17", Statement });
      expect(summarize(policy)).toEqual({ status: 0, output: "" });
      const broken = policy.replace("ec2:AssociateAddress", "ec2:AssociateAdress");
      expect(summarize(broken).output).toContain("Unknown action ec2:AssociateAdress");
    }
  });
});
