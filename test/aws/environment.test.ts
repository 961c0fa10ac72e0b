/** The variables of the AWS CLI that say where AWS is. Nothing is connected to. */
import { expect, test } from "vitest";
import { readAwsEnvironment } from "../../src/aws/environment.ts";
import { readTextFile, Unreadable } from "../../src/system/text-file.ts";

test("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS leaves those of services out, and not that of instance metadata", () => {
  const urls = {
    AWS_ENDPOINT_URL: "https://all.example",
    AWS_ENDPOINT_URL_EC2: "https://ec2.example",
    AWS_EC2_METADATA_SERVICE_ENDPOINT: "http://127.0.0.1:1",
  };
  expect(readAwsEnvironment(urls, readTextFile)).toMatchObject({
    ec2Url: "https://ec2.example",
    autoScalingUrl: "https://all.example",
  });
  const ignoring = readAwsEnvironment(
    { ...urls, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: "true" },
    readTextFile,
  );
  expect(ignoring.ec2Url).toBeUndefined();
  expect(ignoring.autoScalingUrl).toBeUndefined();
  expect(ignoring.metadataUrl).toBe("http://127.0.0.1:1");
});

test.each([
  [{ AWS_DEFAULT_REGION: "eu-central-1" }, "eu-central-1"],
  [{ AWS_REGION: "us-east-1", AWS_DEFAULT_REGION: "eu-central-1" }, "us-east-1"],
  [{ AWS_REGION: "", AWS_DEFAULT_REGION: "eu-central-1" }, "eu-central-1"],
  [{}, undefined],
])("%o", (environment, region) => {
  expect(readAwsEnvironment(environment, readTextFile).region).toBe(region);
});

test.each([
  ["there is no such file", true, "misconfigured"],
  ["EMFILE: too many open files", false, "unreachable"],
] as const)("a bundle of certificates that cannot be read: %s", (why, isLasting, kind) => {
  const readFile = () => {
    throw new Unreadable(why, isLasting);
  };
  const read = () => readAwsEnvironment({ AWS_CA_BUNDLE: "/ca.pem" }, readFile);
  expect(read).toThrow(`AWS_CA_BUNDLE is "/ca.pem": ${why}`);
  expect(read).toThrow(expect.objectContaining({ kind }));
});
