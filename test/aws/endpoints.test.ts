/** Where EC2 and Auto Scaling are: names come out as those of the AWS CLI. Nothing is connected to. */
import { describe, expect, test } from "vitest";
import { connectAutoScaling } from "../../src/aws/auto-scaling-api.ts";
import { connectApi } from "../../src/aws/ec2-api.ts";
import { metadataEndpoint } from "../../src/aws/imds.ts";

function hostOf(
  connect: typeof connectApi | typeof connectAutoScaling,
  region: string,
  options: { dualStack?: boolean; fips?: boolean; endpoint?: string } = {},
) {
  const api = connect({
    self: { instanceId: "i-00000000000000001", region, zone: `${region}a`, interfaces: [] },
    credentials: () => Promise.reject(new Error("nothing is asked")),
    dualStack: false,
    fips: false,
    signal: new AbortController().signal,
    version: "test",
    skew: { offsetMs: 0 },
    ...options,
  });
  api.close();
  return api.host;
}

describe("EC2", () => {
  test.each([
    ["us-east-1", {}, "ec2.us-east-1.amazonaws.com"],
    ["ap-northeast-1", { dualStack: true }, "ec2.ap-northeast-1.api.aws"],
    ["us-east-1", { fips: true }, "ec2-fips.us-east-1.amazonaws.com"],
    ["us-east-1", { fips: true, dualStack: true }, "ec2-fips.us-east-1.api.aws"],
    ["cn-north-1", {}, "ec2.cn-north-1.amazonaws.com.cn"],
    ["cn-north-1", { dualStack: true }, "ec2.cn-north-1.api.amazonwebservices.com.cn"],
    ["us-gov-west-1", {}, "ec2.us-gov-west-1.amazonaws.com"],
    ["us-gov-west-1", { fips: true }, "ec2.us-gov-west-1.amazonaws.com"],
    ["us-gov-west-1", { dualStack: true }, "ec2.us-gov-west-1.api.aws"],
    ["eusc-de-east-1", {}, "ec2.eusc-de-east-1.amazonaws.eu"],
    ["us-east-1", { endpoint: "https://vpce-1.ec2.example:8443" }, "vpce-1.ec2.example:8443"],
    // An endpoint of its own is taken as it is, whatever else is on.
    ["us-east-1", { endpoint: "http://127.0.0.1:1", dualStack: true, fips: true }, "127.0.0.1:1"],
  ])("%s %o", (region, options, host) => {
    expect(hostOf(connectApi, region, options)).toBe(host);
  });
});

describe("Auto Scaling", () => {
  test.each([
    ["us-east-1", {}, "autoscaling.us-east-1.amazonaws.com"],
    ["ap-northeast-1", { dualStack: true }, "autoscaling.ap-northeast-1.api.aws"],
    ["us-east-1", { fips: true }, "autoscaling-fips.us-east-1.amazonaws.com"],
    ["cn-north-1", {}, "autoscaling.cn-north-1.amazonaws.com.cn"],
    ["us-gov-west-1", {}, "autoscaling.us-gov-west-1.amazonaws.com"],
    ["eusc-de-east-1", {}, "autoscaling.eusc-de-east-1.amazonaws.eu"],
    ["us-east-1", { endpoint: "http://127.0.0.1:1", dualStack: true, fips: true }, "127.0.0.1:1"],
  ])("%s %o", (region, options, host) => {
    expect(hostOf(connectAutoScaling, region, options)).toBe(host);
  });
});

describe("instance metadata", () => {
  test.each([
    [{}, "http://169.254.169.254"],
    [{ AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: "IPv6" }, "http://[fd00:ec2::254]"],
    [{ AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: "ipv4" }, "http://169.254.169.254"],
    [
      {
        AWS_EC2_METADATA_SERVICE_ENDPOINT: "http://127.0.0.1:99/",
        AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: "IPv6",
      },
      "http://127.0.0.1:99",
    ],
  ])("%o", (environment, endpoint) => {
    expect(metadataEndpoint(environment)).toBe(endpoint);
  });

  test.each([
    [{ AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: "IPv5" }, "IPv4, IPv6"],
    [{ AWS_EC2_METADATA_SERVICE_ENDPOINT: "169.254.169.254" }, "http:// URL"],
  ])("refuses %o", (environment, accepted) => {
    expect(() => metadataEndpoint(environment)).toThrow(accepted);
  });
});
