/** Which requests go through a proxy: the same as with the AWS CLI, that is by the rules of Python's urllib.request. */
import { describe, expect, test } from "vitest";
import { proxiesIn } from "../../src/aws/proxy.ts";

const EC2 = "https://ec2.us-east-1.amazonaws.com";

const wayTo = (url: string, environment: Record<string, string>) =>
  proxiesIn(environment)(new URL(url))?.url.href;

describe("a request to EC2 goes", () => {
  test.each<[string, Record<string, string>, string | undefined]>([
    ["straight there without a variable", {}, undefined],
    ["by HTTPS_PROXY", { HTTPS_PROXY: "http://proxy:3128" }, "http://proxy:3128/"],
    ["by https_proxy", { https_proxy: "http://proxy:3128" }, "http://proxy:3128/"],
    [
      "by the lower-case name, if there are both",
      { HTTPS_PROXY: "http://upper:1", https_proxy: "http://lower:1" },
      "http://lower:1/",
    ],
    [
      "straight there if the lower-case name is empty",
      { HTTPS_PROXY: "http://upper:1", https_proxy: "" },
      undefined,
    ],
    ["straight there with an empty variable", { HTTPS_PROXY: "" }, undefined],
    ["by a proxy whose scheme is left out", { HTTPS_PROXY: "proxy:3128" }, "http://proxy:3128/"],
    ["by a proxy that speaks TLS", { HTTPS_PROXY: "https://proxy" }, "https://proxy/"],
    ["straight there with HTTP_PROXY alone", { HTTP_PROXY: "http://proxy:3128" }, undefined],
    ["straight there with ALL_PROXY alone", { ALL_PROXY: "http://proxy:3128" }, undefined],
  ])("%s", (_, environment, expected) => {
    expect(wayTo(EC2, environment)).toBe(expected);
  });

  test.each([
    ["*", false],
    ["ec2.us-east-1.amazonaws.com", false],
    ["EC2.us-east-1.amazonaws.com", false],
    ["amazonaws.com", false],
    [".amazonaws.com", false],
    ["localhost, .amazonaws.com", false],
    ["example.com,,", true],
    ["aws.com", true],
    ["us-east-1", true],
    ["*.amazonaws.com", true],
  ])("NO_PROXY=%s: by the proxy is %s", (list, isProxied) => {
    const environment = { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: list };
    expect(wayTo(EC2, environment)).toBe(isProxied ? "http://proxy:3128/" : undefined);
  });
});

test("NO_PROXY may name a port", () => {
  const environment = { HTTP_PROXY: "http://proxy:3128", no_proxy: "10.0.0.1:8080" };
  expect(wayTo("http://10.0.0.1:8080", environment)).toBeUndefined();
  expect(wayTo("http://10.0.0.1:8081", environment)).toBe("http://proxy:3128/");
});

test.each([
  ["HTTPS_PROXY", "socks5://proxy:1080"],
  ["https_proxy", "http://"],
  ["HTTP_PROXY", "http://user:50%@proxy:3128"],
  ["HTTPS_PROXY", "proxy:port"],
])("refuses %s=%s, without its password", (variable, value) => {
  const read = () => proxiesIn({ [variable]: value });
  expect(read).toThrow(`${variable} is `);
  expect(read).not.toThrow("50%");
});
