/** The variables of the AWS CLI that say where AWS is. Nothing is connected to. */
import { expect, test } from "vitest";
import { readAwsEnvironment } from "../../src/aws/environment.ts";
import { readTextFile } from "../../src/system/text-file.ts";

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
