import {
  AssociateAddressCommand,
  DescribeAddressesCommand,
  DescribeInstancesCommand,
  DescribeNetworkInterfacesCommand,
} from "@aws-sdk/client-ec2";
import type { Address } from "@aws-sdk/client-ec2";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { unless } from "../test/support/skipping.ts";

import { afterwards, imds, outcome, sdk, signedPost, start } from "./testing.ts";
import { aWorld } from "./world.ts";

test("an instance looks at its address, takes it, and sees it", async () => {
  const world = aWorld();
  const a = world.address({ tags: { role: "web" } });
  const i = world.instance({ tags: { "allocation-id": a.allocationId } });
  const region = await start(world);
  const ec2 = sdk(region, i.instanceId);

  const before = await ec2.send(new DescribeAddressesCommand({ AllocationIds: [a.allocationId] }));
  expect(before.Addresses).toEqual([
    {
      AllocationId: a.allocationId,
      Domain: "vpc",
      NetworkBorderGroup: "us-east-1",
      PublicIp: a.publicIp,
      PublicIpv4Pool: "amazon",
      Tags: [{ Key: "role", Value: "web" }],
    },
  ]);

  const done = await ec2.send(
    new AssociateAddressCommand({
      AllocationId: a.allocationId,
      InstanceId: i.instanceId,
      AllowReassociation: false,
    }),
  );
  expect(region.holder(a.allocationId)).toEqual({
    associationId: done.AssociationId,
    instanceId: i.instanceId,
    networkInterfaceId: i.networkInterfaceId,
    networkInterfaceOwnerId: "111122223333",
    privateIp: i.privateIp,
  });

  const found = await ec2.send(
    new DescribeInstancesCommand({
      Filters: [
        { Name: "network-interface.addresses.association.allocation-id", Values: [a.allocationId] },
      ],
    }),
  );
  const [instance] = found.Reservations?.[0]?.Instances ?? [];
  expect(instance).toMatchObject({
    InstanceId: i.instanceId,
    State: { Name: "running", Code: 16 },
    LaunchTime: new Date("2026-01-01T00:00:00Z"),
    PublicIpAddress: a.publicIp,
    Placement: { AvailabilityZone: "us-east-1a" },
    Tags: [{ Key: "allocation-id", Value: a.allocationId }],
  });
  expect(instance?.NetworkInterfaces?.[0]).toMatchObject({
    NetworkInterfaceId: i.networkInterfaceId,
    Attachment: { DeviceIndex: 0, NetworkCardIndex: 0, Status: "attached" },
    PrivateIpAddresses: [
      {
        PrivateIpAddress: i.privateIp,
        Primary: true,
        Association: { PublicIp: a.publicIp, IpOwnerId: "111122223333" },
      },
    ],
  });

  expect(
    region.calls.map(({ action, instanceId, status, error }) => ({
      action,
      instanceId,
      status,
      error,
    })),
  ).toEqual(
    ["DescribeAddresses", "AssociateAddress", "DescribeInstances"].map((action) => ({
      action,
      instanceId: i.instanceId,
      status: 200,
      error: undefined,
    })),
  );
  expect(region.calls[1]?.params).toEqual({
    AllocationId: a.allocationId,
    InstanceId: i.instanceId,
    AllowReassociation: "false",
  });
  expect(region.bugs).toEqual([]);
});

const look = new DescribeAddressesCommand({});

test.each([
  ["the administrator's key", undefined, {}, "ok"],
  ["an unknown key", undefined, { accessKeyId: "AKIAUNKNOWNUNKNOWN00" }, "AuthFailure"],
  ["a wrong secret", undefined, { secretAccessKey: "wrong" }, "SignatureDoesNotMatch"],
  ["a wrong region in the signature", undefined, { region: "eu-west-1" }, "SignatureDoesNotMatch"],
  ["role credentials", 0, {}, "ok"],
  ["role credentials without their session token", 0, { sessionToken: undefined }, "AuthFailure"],
  ["role credentials with another's session token", 0, { sessionToken: "another" }, "AuthFailure"],
] as const)("credentials: %s", async (_, who, change, expected) => {
  const world = aWorld();
  const i = world.instance();
  const region = await start(world);
  const ec2 = sdk(region, who === undefined ? undefined : i.instanceId, change);
  expect(await outcome(ec2.send(look))).toBe(expected);
  expect(region.calls[0]?.error).toBe(expected === "ok" ? undefined : expected);
});

test("credentials: a request without any", async () => {
  const region = await start(aWorld());
  const answer = await fetch(region.ec2Url, {
    method: "POST",
    body: "Action=DescribeAddresses&Version=2016-11-15",
  });
  expect(answer.status).toBe(401);
  expect(await answer.text()).toMatch(
    /^<\?xml version="1.0" encoding="UTF-8"\?>\n<Response><Errors><Error><Code>AuthFailure<\/Code><Message>AWS was not able to validate the provided access credentials<\/Message><\/Error><\/Errors><RequestID>[0-9a-f-]{36}<\/RequestID><\/Response>$/,
  );
});

test("credentials: expired, and a clock that is off", async () => {
  const world = aWorld();
  const i = world.instance();
  let ahead = 0;
  const region = await start(world, { now: () => Date.now() + ahead });
  region.credentials.issue(i.instanceId, 10 * 60_000);
  const known = sdk(region, i.instanceId);
  expect(await outcome(known.send(look))).toBe("ok");
  ahead = 11 * 60_000;
  expect(await outcome(known.send(look))).toBe("RequestExpired");
  ahead = 20 * 60_000;
  const fresh = sdk(region);
  expect(await outcome(fresh.send(look))).toBe("RequestExpired");
  // The answer's Date header has told the SDK the time.
  expect(await outcome(fresh.send(look))).toBe("ok");
});

test("a body that was changed after signing", async () => {
  const region = await start(aWorld());
  const ec2 = sdk(region);
  ec2.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { body: string };
      request.body = request.body.replace("DescribeAddresses", "DescribeInstances");
      return next(args);
    },
    { step: "finalizeRequest", priority: "low" },
  );
  expect(await outcome(ec2.send(look))).toBe("SignatureDoesNotMatch");
});

test("DryRun over the wire: 412 when permitted, 403 when not", async () => {
  const world = aWorld();
  const a = world.address();
  const [full, none] = [world.instance(), world.instance({ role: undefined })];
  const region = await start(world);
  for (const { instanceId } of [full, none]) {
    const dry = new AssociateAddressCommand({
      AllocationId: a.allocationId,
      InstanceId: instanceId,
      DryRun: true,
    });
    await outcome(sdk(region, instanceId).send(dry));
  }
  expect(region.calls.map(({ status, error }) => [status, error])).toEqual([
    [412, "DryRunOperation"],
    [403, "UnauthorizedOperation"],
  ]);
  expect(region.holder(a.allocationId)).toBeUndefined();
});

test("what EC2 does not know is refused: actions, parameters, versions", async () => {
  const region = await start(aWorld());
  const code = async (params: Record<string, string>): Promise<string | undefined> =>
    /<Code>(.*)<\/Code>/.exec((await signedPost(region.ec2Url, params)).text)?.[1];
  expect(await code({ Action: "DescribeAddresses" })).toBeUndefined();
  expect(await code({ Action: "DescribeEverything" })).toBe("InvalidAction");
  expect(await code({ Action: "toString" })).toBe("InvalidAction");
  expect(await code({ Action: "DescribeAddresses", Version: "2010-01-01" })).toBe("NoSuchVersion");
  expect(await code({ Action: "DescribeAddresses", Color: "red" })).toBe("UnknownParameter");
  expect(await code({ Action: "AssociateAddress", InstanceId: "i-0123456789abcdef0" })).toBe(
    "MissingParameter",
  );
  expect(await code({ Action: "AssociateAddress", AllowReassociation: "yes" })).toBe(
    "InvalidParameterValue",
  );
});

test("DescribeInstances over the wire: by ids, and in pages that EC2 makes by itself", async () => {
  const world = aWorld();
  const ids = Array.from({ length: 5 }, () => world.instance().instanceId);
  const region = await start(world);
  const ec2 = sdk(region, ids[0]);
  const unknown = ["i-0123456789abcdef0", "i-0123456789abcdef1"];
  await expect(
    ec2.send(new DescribeInstancesCommand({ InstanceIds: [...ids, ...unknown] })),
  ).rejects.toMatchObject({
    name: "InvalidInstanceID.NotFound",
    message: `The instance IDs '${unknown.join(", ")}' do not exist`,
    $metadata: { httpStatusCode: 400 },
  });
  const both = { InstanceIds: ids, MaxResults: 5 };
  expect(await outcome(ec2.send(new DescribeInstancesCommand(both)))).toBe(
    "InvalidParameterCombination",
  );
  region.region.configure({ pageSize: 2 });
  const pages: (string | undefined)[][] = [];
  const Filters = [{ Name: "instance-id", Values: [ids[0] ?? "", ids[4] ?? ""] }];
  for (let NextToken: string | undefined; ;) {
    const page = await ec2.send(new DescribeInstancesCommand({ Filters, NextToken }));
    pages.push((page.Reservations ?? []).map((one) => one.Instances?.[0]?.InstanceId));
    NextToken = page.NextToken;
    if (NextToken === undefined) break;
  }
  expect(pages).toEqual([[ids[0]], [], [ids[4]]]);
  expect(region.bugs).toEqual([]);
});

test("instances launched while it runs have their IMDS; an unplugged listener refuses, and comes back", async () => {
  const region = await start(aWorld());
  const { instanceId } = await region.launch();
  const url = region.imdsUrl(instanceId);
  expect((await fetch(url)).status).toBe(401);
  await region.unplug(instanceId);
  await expect(fetch(url)).rejects.toMatchObject({ cause: { code: "ECONNREFUSED" } });
  await region.plug(instanceId);
  expect((await fetch(url)).status).toBe(401);
});

const withoutOpenssl = existsSync("/usr/bin/openssl") ? undefined : "openssl is not installed";

test("EC2 over TLS", unless(withoutOpenssl), async () => {
  const folder = mkdtempSync(join(tmpdir(), "eip-heal-region-"));
  afterwards(() => rmSync(folder, { recursive: true }));
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
  execFileSync(
    "/usr/bin/openssl",
    [
      "req",
      "-x509",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-days",
      "2",
      ...subject,
      "-keyout",
      key,
      "-out",
      cert,
    ],
    { stdio: "ignore" },
  );
  const tls = { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
  const region = await start(aWorld(), { tls });
  expect(region.ec2Url).toMatch(/^https:/);
  const status = await new Promise((resolve, reject) => {
    request(region.ec2Url, { ca: tls.cert, method: "POST", agent: false }, (response) => {
      resolve(response.resume().statusCode);
    })
      .on("error", reject)
      .end();
  });
  expect(status).toBe(401);
});

test("a zone that is down answers 503", async () => {
  const world = aWorld();
  const { instanceId } = world.instance();
  const region = await start(world);
  region.region.zoneDown("us-east-1a");
  const look = new DescribeInstancesCommand({ InstanceIds: [instanceId] });
  await expect(sdk(region).send(look)).rejects.toMatchObject({
    name: "Unavailable",
    $metadata: { httpStatusCode: 503 },
  });
  region.region.zoneUp("us-east-1a");
  expect(await outcome(sdk(region).send(look))).toBe("ok");
});

test.each([
  ["carrierIp", "CarrierIp"],
  ["customerOwnedIp", "CustomerOwnedIp"],
] as const)("an address that has a %s and no public one", async (field, shown) => {
  const world = aWorld();
  const a = world.address({ [field]: "192.0.2.7" });
  const i = world.instance();
  const region = await start(world);
  const ec2 = sdk(region, i.instanceId);
  const { allocationId: AllocationId } = a;
  const find = async (): Promise<Address | undefined> =>
    (await ec2.send(new DescribeAddressesCommand({ AllocationIds: [AllocationId] })))
      .Addresses?.[0];
  expect(await find()).toEqual({
    AllocationId,
    Domain: "vpc",
    NetworkBorderGroup: "us-east-1",
    PublicIpv4Pool: "amazon",
    [shown]: "192.0.2.7",
  });
  await ec2.send(new AssociateAddressCommand({ AllocationId, InstanceId: i.instanceId }));
  expect(await find()).toMatchObject({ [shown]: "192.0.2.7", InstanceId: i.instanceId });

  const { Reservations } = await ec2.send(
    new DescribeInstancesCommand({ InstanceIds: [i.instanceId] }),
  );
  const instance = Reservations?.[0]?.Instances?.[0];
  expect(instance?.PublicIpAddress).toBeUndefined();
  expect(instance?.NetworkInterfaces?.[0]?.Association).toEqual({
    [shown]: "192.0.2.7",
    IpOwnerId: "111122223333",
    PublicDnsName: "",
  });
  const interfaces = await sdk(region).send(new DescribeNetworkInterfacesCommand({}));
  const association = interfaces.NetworkInterfaces?.[0]?.Association;
  expect(association).toMatchObject({ [shown]: "192.0.2.7", AllocationId });
  expect(association?.PublicIp).toBeUndefined();
  // Nor does instance metadata know of any.
  const read = await imds(region, i.instanceId);
  expect((await read("meta-data/public-ipv4")).status).toBe(404);
  expect(await (await read(`meta-data/network/interfaces/macs/${i.mac}/`)).text()).not.toContain(
    "public-ipv4s",
  );
});

test.each([
  ["paused", { Name: "paused" }],
  ["", { Name: "" }],
  [null, undefined],
])("an instance whose state is shown as %j", async (shownState, State) => {
  const world = aWorld();
  const { instanceId } = world.instance({ shownState });
  const region = await start(world);
  const look = async (filter?: string) =>
    (
      await sdk(region).send(
        new DescribeInstancesCommand(
          filter === undefined
            ? {}
            : { Filters: [{ Name: "instance-state-name", Values: [filter] }] },
        ),
      )
    ).Reservations?.map((one) => one.Instances?.[0]?.State);
  expect(await look()).toEqual([State]);
  expect(await look("running")).toEqual([]);
  region.region.showState(instanceId);
  expect(await look("running")).toEqual([{ Code: 16, Name: "running" }]);
  region.region.showState(instanceId, shownState);
  expect(await look()).toEqual([State]);
});

test("an action may be slow for good, and that is no fault", async () => {
  const world = aWorld({ settings: { latencyMs: { DescribeAddresses: 60 } } });
  const region = await start(world);
  const ec2 = sdk(region);
  const timed = async (call: Promise<unknown>): Promise<number> => {
    const started = performance.now();
    await call;
    return performance.now() - started;
  };
  const addresses = () => timed(ec2.send(new DescribeAddressesCommand({})));
  const instances = () => timed(ec2.send(new DescribeInstancesCommand({})));
  region.faults.clear();
  // Timers may fire a millisecond early.
  for (let n = 0; n < 2; n++) expect(await addresses()).toBeGreaterThanOrEqual(58);
  region.region.configure({ latencyMs: { "*": 40, DescribeAddresses: 80 } });
  expect(await instances()).toBeGreaterThanOrEqual(38);
  expect(await addresses()).toBeGreaterThanOrEqual(78);
  expect(region.faults.list()).toEqual([]);
  expect(region.calls.filter((call) => call.fault !== undefined)).toEqual([]);
});

test("every answer takes its time if so set", async () => {
  const world = aWorld();
  const i = world.instance();
  const region = await start(world, { latency: { ec2Ms: 40, imdsMs: 40 } });
  for (const url of [region.ec2Url, region.imdsUrl(i.instanceId)]) {
    const started = performance.now();
    await fetch(url);
    // Timers may fire a millisecond early.
    expect(performance.now() - started).toBeGreaterThanOrEqual(38);
  }
});
