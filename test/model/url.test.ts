/** Where a URL leads. */
import { expect, test } from "vitest";
import { hostOf, portOf } from "../../src/model/url.ts";

test.each([
  ["http://proxy.example", "proxy.example", 80],
  ["https://ec2.us-east-1.amazonaws.com", "ec2.us-east-1.amazonaws.com", 443],
  ["http://proxy.example:3128", "proxy.example", 3128],
  ["https://ec2.example:8443/path", "ec2.example", 8443],
  ["http://[fd00:ec2::254]", "fd00:ec2::254", 80],
  ["https://[::1]:4443", "::1", 4443],
])("%s is %s, port %i", (url, host, port) => {
  expect(hostOf(new URL(url))).toBe(host);
  expect(portOf(new URL(url))).toBe(port);
});
