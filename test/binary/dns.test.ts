/** The script of the DNS example: Route 53 by the real AWS CLI against moto, and what it says of wrong settings. */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Aws, awsCli } from "../../acceptance/aws.ts";
import { hasMoto, type Moto, startMoto } from "../../sim/moto.ts";
import { unless } from "../support/skipping.ts";

const SCRIPT = resolve(import.meta.dirname, "../../examples/dns/eip-heal-dns");
const AWS = (process.env["PATH"] ?? "")
  .split(delimiter)
  .map((folder) => join(folder, "aws"))
  .find((path) => existsSync(path));

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "eip-heal-dns-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** Runs the script as its unit does. */
function tell(environment: Record<string, string>) {
  const { status, stdout, stderr } = spawnSync(SCRIPT, {
    encoding: "utf8",
    env: {
      PATH: `${folder}:${process.env["PATH"]}`,
      RUNTIME_DIRECTORY: folder,
      DNS_NAME: "www.example.com",
      EIP_HEAL_PUBLIC_IP: "203.0.113.7",
      ...environment,
    },
  });
  return { status, stdout, stderr };
}

test("an unknown way to update is a mistake in the settings, and is not remembered as told", () => {
  expect(tell({ DNS_UPDATE: "dyndns" })).toMatchObject({
    status: 64,
    stderr: "DNS_UPDATE is nsupdate or route53, not dyndns\n",
  });
  expect(existsSync(join(folder, "told"))).toBe(false);
});

test("a setting that is missing is named", () => {
  const { status, stderr } = tell({});
  expect(status).not.toBe(0);
  expect(stderr).toContain("DNS_UPDATE");
});

const why = !hasMoto() ? "moto is not there" : AWS === undefined ? "missing: aws" : undefined;

describe("Route 53, with moto as AWS", { ...unless(why), timeout: 120_000 }, () => {
  let moto: Moto;
  let aws: Aws;
  let zone: string;
  const before = { ...process.env };

  beforeAll(async () => {
    moto = await startMoto();
    Object.assign(process.env, loopback(moto.ec2Url));
    aws = awsCli("us-east-1");
    const made = (await aws.call("route53 create-hosted-zone", {
      Name: "example.com.",
      CallerReference: "test",
    })) as { HostedZone: { Id: string } };
    zone = made.HostedZone.Id.replace("/hostedzone/", "");
  });
  afterAll(async () => {
    process.env = before;
    await moto?.close();
  });

  /** The AWS CLI as on an instance, but for where it goes: older ones read no variable for that. */
  function route53(environment: Record<string, string>) {
    const stub = join(folder, "aws");
    writeFileSync(stub, `#!/bin/sh\nexec '${AWS}' --endpoint-url '${moto.ec2Url}' "$@"\n`);
    chmodSync(stub, 0o755);
    return tell({
      ...loopback(moto.ec2Url),
      DNS_UPDATE: "route53",
      DNS_ZONE: zone,
      ...environment,
    });
  }

  async function records(): Promise<unknown> {
    const { ResourceRecordSets: all } = (await aws.call("route53 list-resource-record-sets", {
      HostedZoneId: zone,
    })) as { ResourceRecordSets: { Type: string }[] };
    return all.filter(({ Type }) => Type === "A");
  }
  const record = (Value: string) => [
    { Name: "www.example.com.", Type: "A", TTL: 60, ResourceRecords: [{ Value }] },
  ];

  test("the record follows the address, and is not written twice", async () => {
    const first = route53({});
    expect(first.status, first.stderr).toBe(0);
    expect(first.stdout).toContain("www.example.com is 203.0.113.7");
    expect(await records()).toEqual(record("203.0.113.7"));
    expect(route53({})).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(route53({ EIP_HEAL_PUBLIC_IP: "203.0.113.8" }).status).toBe(0);
    expect(await records()).toEqual(record("203.0.113.8"));
  });

  test("a refusal is a failure, and is not remembered as told", () => {
    expect(route53({ DNS_ZONE: "Z0000000000000000000" }).status).not.toBe(0);
    expect(existsSync(join(folder, "told"))).toBe(false);
  });
});

function loopback(url: string): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: url,
    AWS_ACCESS_KEY_ID: "testing",
    AWS_SECRET_ACCESS_KEY: "testing",
    AWS_REGION: "us-east-1",
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
  };
}
