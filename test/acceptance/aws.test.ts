/** The AWS CLI as the acceptance calls it: a program that stands in for it tells what it was given. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AwsError, awsCli, codeOf, latencyIn } from "../../acceptance/aws.ts";

const ENDPOINT = "http://127.0.0.1:5000";
const before = { ...process.env };
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "eip-heal-aws-"));
  process.env["PATH"] = `${folder}:${before["PATH"]}`;
  delete process.env["AWS_ENDPOINT_URL"];
});
afterEach(() => {
  process.env = { ...before };
  rmSync(folder, { recursive: true });
});

/** The AWS CLI is this shell script. */
function awsIs(script: string): void {
  writeFileSync(join(folder, "aws"), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, "aws"), 0o755);
}

describe("how it is called", () => {
  beforeEach(() => awsIs(`echo "$*; pager=$AWS_PAGER prompt=$AWS_CLI_AUTO_PROMPT"`));
  const REST = "--output json; pager= prompt=off";

  test("with its parameters as JSON, without a pager or a question", async () => {
    process.env["AWS_PAGER"] = "less";
    expect(await awsCli("eu-west-1").call("ec2 describe-addresses", { AllocationIds: ["a"] })).toBe(
      `ec2 describe-addresses --region eu-west-1 --cli-input-json {"AllocationIds":["a"]} ${REST}`,
    );
    expect(await awsCli("eu-west-1").call("sts get-caller-identity")).toBe(
      `sts get-caller-identity --region eu-west-1 ${REST}`,
    );
    expect(await awsCli("eu-west-1").call("s3api put-object", {}, ["--body", "a.rpm"])).toBe(
      `s3api put-object --region eu-west-1 --cli-input-json {} --output json --body a.rpm; pager= prompt=off`,
    );
  });

  test.each([
    ["eu-west-1", "https://s3.eu-west-1.amazonaws.com"],
    ["cn-north-1", "https://s3.cn-north-1.amazonaws.com.cn"],
  ])("a link is to the endpoint of the region: %s", async (region, url) => {
    expect(await awsCli(region).call("s3 presign s3://b/k")).toBe(
      `s3 presign s3://b/k --region ${region} --endpoint-url ${url} ${REST}`,
    );
  });

  test("everything goes to the endpoint of the environment", async () => {
    process.env["AWS_ENDPOINT_URL"] = ENDPOINT;
    for (const command of ["ec2 describe-addresses", "s3 presign s3://b/k"])
      expect(await awsCli("eu-west-1").call(command)).toContain(` --endpoint-url ${ENDPOINT} `);
  });
});

describe("what it answers", () => {
  test.each([
    ["JSON", `echo '{ "Addresses": [] }'`, { Addresses: [] }],
    ["nothing", "true", {}],
    ["text", "echo https://link", "https://link"],
  ])("%s", async (_, script, answer) => {
    awsIs(script);
    expect(await awsCli("eu-west-1").call("ec2 anything")).toEqual(answer);
  });

  test("a refusal, with its code", async () => {
    const said =
      "An error occurred (Resource.AlreadyAssociated) when calling the AssociateAddress operation: held";
    awsIs(`echo '${said}' >&2; exit 254`);
    const error: unknown = await awsCli("eu-west-1").call("ec2 associate-address").catch(String);
    expect(error).toBe(`Error: aws ec2 associate-address: ${said}`);
    expect(codeOf(new AwsError("ec2 associate-address", said))).toBe("Resource.AlreadyAssociated");
    expect(codeOf(new AwsError("ec2 associate-address", "Could not connect"))).toBe("");
  });

  test("nothing at all: how it ended is said", async () => {
    awsIs("kill -9 $$");
    const failed = awsCli("eu-west-1").call("ec2 anything");
    await expect(failed).rejects.toThrow(AwsError);
    await expect(failed).rejects.toThrow("aws ec2 anything: Command failed: aws ec2 anything ");
  });

  test("it is not there", async () => {
    process.env["PATH"] = folder;
    const failed = awsCli("eu-west-1").call("ec2 anything");
    await expect(failed).rejects.toThrow("the AWS CLI is not installed");
    // No refusal of AWS, which would be the answer to a question.
    await failed.catch((error: unknown) => expect(() => codeOf(error)).toThrow("not installed"));
  });

  const DEBUG = [
    "2026-11-26 19:29:49,876 - MainThread - botocore.endpoint - DEBUG - Sending http request: <AWSPreparedRequest>",
    "2026-11-26 19:29:50,101 - MainThread - botocore.parsers - DEBUG - Response headers: {}",
  ].join("\n");

  test("how long AWS took, by the log of --debug", async () => {
    awsIs(`case "$*" in *--debug*) echo '${DEBUG}' >&2 ;; esac`);
    expect(await awsCli("eu-west-1").timed("ec2 describe-instances", {})).toBe(225);
    expect(() => latencyIn("")).toThrow("did not log");
  });
});
