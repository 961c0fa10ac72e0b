/**
 * moto and this region, side by side: both are asked the same, and the answers have the same shape.
 * Every known difference is listed by name, so that a new one, in either, is noticed.
 */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { unless } from "../test/support/skipping.ts";

import { hasMoto, motoPython, startMoto } from "./moto.ts";
import type { Moto } from "./moto.ts";
import { startRegion } from "./server.ts";
import type { RunningRegion } from "./server.ts";
import { signedPost } from "./testing.ts";

const there = hasMoto();
const options = unless(
  there ? undefined : `${motoPython()} is not there (test/tools/requirements.txt)`,
);

/** What moto's answers have and the region's lack, because nothing here reads it. */
const ONLY_MOTO = [
  // Both: moto writes empty elements where EC2, and the region, write none.
  /^DescribeAddressesResponse\/addressesSet\/item\/(networkInterfaceId|instanceId|tagSet)$/,
  // A whole machine's description.
  /\/instancesSet\/item\/(blockDeviceMapping|clientToken|ebsOptimized|rootDevice\w+|sriovNetSupport|stateReason|hibernationOptions|metadataOptions|reason|kernelId)(\/|$)/,
  /\/networkInterfaceSet\/item\/privateDnsName$/,
  // moto gives every instance a public address, the region only those that ask.
  /\/instancesSet\/item\/ipAddress$/,
  /\/networkInterfaceSet\/item\/(privateIpAddressesSet\/item\/)?association\//,
  // One without security groups.
  /\/instancesSet\/item\/groupSet$/,
];

/** What the region's answers have, as EC2's, and moto's lack. */
const ONLY_HERE = [
  /^DescribeAddressesResponse\/addressesSet\/item\/(publicIpv4Pool|networkBorderGroup)$/,
  /\/instancesSet\/item\/groupSet\/item\/group(Id|Name)$/,
  /^(A|Disa)ssociateAddressResponse\/return$/,
];

describe("moto and the region agree", options, () => {
  let moto: Moto;
  let region: RunningRegion;
  let held: { AllocationId: string; PublicIp: string };
  let free: { AllocationId: string; PublicIp: string };
  let holder: { InstanceId: string };
  let other: { InstanceId: string };

  beforeAll(async () => {
    moto = await startMoto();
  }, 40_000);

  afterAll(() => moto.close());

  beforeEach(async () => {
    await moto.reset();
    held = await moto.allocate({ pool: "web" });
    free = await moto.allocate();
    holder = await moto.launch({ "allocation-id": held.AllocationId });
    other = await moto.launch();
    await moto.associate(held.AllocationId, holder.InstanceId);
    region = await startRegion(await moto.world());
    return () => region.close();
  });

  /** The same request to both, with `{names}` filled in, and what each answered. */
  async function both(
    params: Readonly<Record<string, string>>,
  ): Promise<{ theirs: Answer; ours: Answer }> {
    const ids = {
      held: held.AllocationId,
      free: free.AllocationId,
      ip: held.PublicIp,
      holder: holder.InstanceId,
    };
    // Each has made an association id of its own.
    const ask = (url: string, association: string | undefined): Promise<Answer> =>
      signedPost(
        url,
        fill(params, { ...ids, other: other.InstanceId, association: association ?? "" }),
      );
    const theirs = await ask(moto.ec2Url, (await moto.address(held.AllocationId))?.AssociationId);
    return {
      theirs,
      ours: await ask(region.ec2Url, region.holder(held.AllocationId)?.associationId),
    };
  }

  test("a region of moto's world has moto's ids, launch times and holders", () => {
    expect(region.holder(held.AllocationId)).toMatchObject({ instanceId: holder.InstanceId });
    expect(region.holder(free.AllocationId)).toBeUndefined();
    const launched = region.region.instance(holder.InstanceId).launchTime;
    expect(Math.abs(Date.now() - launched)).toBeLessThan(60_000);
  });

  test.each([
    ["DescribeAddresses", {}, 2],
    ["DescribeAddresses", { "AllocationId.1": "{held}" }, 1],
    ["DescribeAddresses", filter("allocation-id", "{held}"), 1],
    ["DescribeAddresses", filter("allocation-id", "eipalloc-0123456789abcdef0"), 0],
    ["DescribeAddresses", filter("public-ip", "{ip}"), 1],
    ["DescribeAddresses", filter("instance-id", "{holder}"), 1],
    ["DescribeAddresses", filter("tag:pool", "web"), 1],
    ["DescribeAddresses", filter("tag-key", "pool"), 1],
    ["DescribeInstances", {}, 2],
    ["DescribeInstances", { "InstanceId.1": "{holder}" }, 1],
    ["DescribeInstances", { "InstanceId.1": "{holder}", "InstanceId.2": "{other}" }, 2],
    ["DescribeInstances", { MaxResults: "5" }, 2],
    ["DescribeInstances", filter("instance-id", "{holder}"), 1],
    ["DescribeInstances", filter("instance-state-name", "running"), 2],
    ["DescribeInstances", filter("instance-state-name", "stopped"), 0],
    ["DescribeInstances", filter("ip-address", "{ip}"), 1],
    ["DescribeInstances", filter("tag:allocation-id", "{held}"), 1],
  ] as const)("%s %o", async (Action, params, count) => {
    const answers = await both({ Action, ...params });
    expect([answers.theirs.status, answers.ours.status]).toEqual([200, 200]);
    const [theirs, ours] = [paths(answers.theirs.text), paths(answers.ours.text)];
    const id =
      Action === "DescribeAddresses"
        ? "DescribeAddressesResponse/addressesSet/item/allocationId"
        : INSTANCE_ID;
    expect(theirs.get(id)?.toSorted()).toEqual(ours.get(id)?.toSorted());
    expect(ours.get(id)?.length ?? 0).toBe(count);
    expect(differences(theirs, ours)).toEqual([]);
    const values = (of: ReadonlyMap<string, string[]>, path: string): string[] | undefined =>
      of
        .get(path)
        ?.filter((value) => value !== "")
        .toSorted();
    for (const same of SAME_VALUES) {
      if (ours.has(same)) expect([same, values(ours, same)]).toEqual([same, values(theirs, same)]);
    }
  });

  test.each([
    [
      "claimed",
      {
        Action: "AssociateAddress",
        AllocationId: "{free}",
        InstanceId: "{other}",
        AllowReassociation: "false",
      },
      200,
    ],
    [
      "taken",
      {
        Action: "AssociateAddress",
        AllocationId: "{held}",
        InstanceId: "{other}",
        AllowReassociation: "true",
      },
      200,
    ],
    [
      "lost",
      {
        Action: "AssociateAddress",
        AllocationId: "{held}",
        InstanceId: "{other}",
        AllowReassociation: "false",
      },
      "400 Resource.AlreadyAssociated",
    ],
    [
      "the same again",
      {
        Action: "AssociateAddress",
        AllocationId: "{held}",
        InstanceId: "{holder}",
        AllowReassociation: "false",
      },
      200,
    ],
    [
      "dry",
      { Action: "AssociateAddress", AllocationId: "{free}", InstanceId: "{other}", DryRun: "true" },
      "412 DryRunOperation",
    ],
    [
      "no such address",
      {
        Action: "AssociateAddress",
        AllocationId: "eipalloc-0123456789abcdef0",
        InstanceId: "{other}",
      },
      "400 InvalidAllocationID.NotFound",
    ],
    [
      "no such instance",
      { Action: "AssociateAddress", AllocationId: "{free}", InstanceId: "i-0123456789abcdef0" },
      "400 InvalidInstanceID.NotFound",
    ],
    [
      "no such address",
      { Action: "DescribeAddresses", "AllocationId.1": "eipalloc-0123456789abcdef0" },
      "400 InvalidAllocationID.NotFound",
    ],
    [
      "no such instance",
      { Action: "DescribeInstances", "InstanceId.1": "i-0123456789abcdef0" },
      "400 InvalidInstanceID.NotFound",
    ],
    [
      "pages and ids",
      { Action: "DescribeInstances", "InstanceId.1": "{other}", MaxResults: "5" },
      "400 InvalidParameterCombination",
    ],
    ["taken off", { Action: "DisassociateAddress", AssociationId: "{association}" }, 200],
    [
      "no such association",
      { Action: "DisassociateAddress", AssociationId: "eipassoc-0123456789abcdef0" },
      "400 InvalidAssociationID.NotFound",
    ],
  ] as const)("%s: %o", async (_, params, expected) => {
    const { theirs, ours } = await both(params);
    expect([said(theirs), said(ours)]).toEqual([expected, expected]);
    expect(differences(paths(theirs.text), paths(ours.text))).toEqual([]);
  });
});

/** Where moto is not EC2, and the region therefore not moto. When one of these fails, moto has changed: look again. */
describe("known differences: moto is wrong", options, () => {
  let moto: Moto;

  beforeAll(async () => {
    moto = await startMoto();
  }, 40_000);

  afterAll(() => moto.close());

  const post = (params: Record<string, string>): Promise<Answer> => signedPost(moto.ec2Url, params);

  test("AllowReassociation absent is refused; EC2 takes the address", async () => {
    const a = await moto.allocate();
    await moto.associate(a.AllocationId, (await moto.launch()).InstanceId);
    const InstanceId = (await moto.launch()).InstanceId;
    expect(
      said(await post({ Action: "AssociateAddress", AllocationId: a.AllocationId, InstanceId })),
    ).toBe("400 Resource.AlreadyAssociated");
  });

  test("after a move both instances show the address; in EC2 only the new one", async () => {
    const a = await moto.allocate();
    const [i, j] = [await moto.launch(), await moto.launch()];
    await moto.associate(a.AllocationId, i.InstanceId);
    await moto.associate(a.AllocationId, j.InstanceId);
    const { text } = await post({
      Action: "DescribeInstances",
      ...filter("ip-address", a.PublicIp),
    });
    expect(paths(text).get(INSTANCE_ID)?.toSorted()).toEqual(
      [i.InstanceId, j.InstanceId].toSorted(),
    );
  });

  test("two addresses stay on one private address; EC2 displaces the first", async () => {
    const [a, b] = [await moto.allocate(), await moto.allocate()];
    const i = await moto.launch();
    await moto.associate(a.AllocationId, i.InstanceId);
    await moto.associate(b.AllocationId, i.InstanceId);
    expect((await moto.address(a.AllocationId))?.InstanceId).toBe(i.InstanceId);
    expect((await moto.address(b.AllocationId))?.InstanceId).toBe(i.InstanceId);
  });

  test("a terminated instance keeps its address, and gets another; EC2 frees and refuses", async () => {
    const [a, b] = [await moto.allocate(), await moto.allocate()];
    const i = await moto.launch();
    await moto.associate(a.AllocationId, i.InstanceId);
    await moto.terminate(i.InstanceId);
    expect((await moto.address(a.AllocationId))?.InstanceId).toBe(i.InstanceId);
    expect(await moto.associate(b.AllocationId, i.InstanceId)).toMatch(/^eipassoc-/);
  });

  test("the same target again gets a new association id; EC2's stays", async () => {
    const a = await moto.allocate();
    const i = await moto.launch();
    const first = await moto.associate(a.AllocationId, i.InstanceId);
    expect(await moto.associate(a.AllocationId, i.InstanceId)).not.toBe(first);
  });

  test("PrivateIpAddress is ignored; EC2 refuses one that the interface does not have", async () => {
    const a = await moto.allocate();
    const { InstanceId } = await moto.launch();
    const asked = { AllocationId: a.AllocationId, InstanceId, PrivateIpAddress: "10.99.99.99" };
    expect(said(await post({ Action: "AssociateAddress", ...asked }))).toBe(200);
  });

  test("DescribeInstances finds nothing by association: moto does not know these filters", async () => {
    await moto.launch();
    for (const name of ["allocation-id", "public-ip"].map(
      (end) => `network-interface.addresses.association.${end}`,
    )) {
      expect([
        name,
        (await post({ Action: "DescribeInstances", ...filter(name, "x") })).status,
      ]).toEqual([name, 500]);
    }
    await moto.allocate();
    const byGroup = filter("network-border-group", "us-east-1");
    expect((await post({ Action: "DescribeAddresses", ...byGroup })).status).toBe(500);
  });

  test("messages differ: the address is named in another way", async () => {
    const { text } = await post({
      Action: "DescribeAddresses",
      "AllocationId.1": "eipalloc-0123456789abcdef0",
    });
    expect(paths(text).get("Response/Errors/Error/Message")).toEqual([
      "Allocation ID '{'eipalloc-0123456789abcdef0'}' not found.",
    ]);
  });

  test("requests are neither authenticated nor authorized", async () => {
    const keys = { accessKeyId: "nobody", secretAccessKey: "nothing" };
    const answer = await signedPost(moto.ec2Url, { Action: "DescribeAddresses" }, keys);
    expect(answer.status).toBe(200);
  });
});

interface Answer {
  readonly status: number;
  readonly text: string;
}

const INSTANCE_ID = "DescribeInstancesResponse/reservationSet/item/instancesSet/item/instanceId";

/** Elements whose very values must be moto's. */
const SAME_VALUES = [
  ...[
    "publicIp",
    "domain",
    "privateIpAddress",
    "networkInterfaceId",
    "networkInterfaceOwnerId",
    "tagSet/item/key",
  ].map((name) => `DescribeAddressesResponse/addressesSet/item/${name}`),
  ...[
    "launchTime",
    "instanceState/code",
    "instanceState/name",
    "placement/availabilityZone",
    "privateIpAddress",
    "tagSet/item/value",
    "networkInterfaceSet/item/networkInterfaceId",
    "networkInterfaceSet/item/macAddress",
    "networkInterfaceSet/item/ownerId",
    "networkInterfaceSet/item/status",
    "networkInterfaceSet/item/attachment/deviceIndex",
    "networkInterfaceSet/item/attachment/status",
    "networkInterfaceSet/item/privateIpAddressesSet/item/privateIpAddress",
    "networkInterfaceSet/item/privateIpAddressesSet/item/primary",
  ].map((name) => `DescribeInstancesResponse/reservationSet/item/instancesSet/item/${name}`),
];

function filter(name: string, value: string): Record<string, string> {
  return { "Filter.1.Name": name, "Filter.1.Value.1": value };
}

function fill(
  params: Readonly<Record<string, string>>,
  names: Readonly<Record<string, string>>,
): Record<string, string> {
  const filled = Object.entries(params).map(([key, value]): [string, string] => [
    key,
    value.replace(/\{(\w+)\}/g, (_, name: string) => names[name] ?? ""),
  ]);
  return Object.fromEntries(filled);
}

/** `200`, or status and code of the error. */
function said(answer: Answer): string | number {
  const code = paths(answer.text).get("Response/Errors/Error/Code")?.[0];
  return code === undefined ? answer.status : `${answer.status} ${code}`;
}

/** Elements of one answer that the other lacks, but for the known ones. */
function differences(
  theirs: ReadonlyMap<string, unknown>,
  ours: ReadonlyMap<string, unknown>,
): string[] {
  const theirsOnly = [...theirs.keys()].filter(
    (path) => !ours.has(path) && !ONLY_MOTO.some((known) => known.test(path)),
  );
  const oursOnly = [...ours.keys()].filter(
    (path) => !theirs.has(path) && !ONLY_HERE.some((known) => known.test(path)),
  );
  return [
    ...theirsOnly.map((path) => `only moto: ${path}`),
    ...oursOnly.map((path) => `only here: ${path}`),
  ];
}

/** Every leaf element of an answer by its path, with its texts. Both write flat XML without comments or CDATA. */
function paths(xml: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const open: string[] = [];
  let text: string | undefined;
  const leaf = (content: string): void => {
    const path = open.join("/");
    found.set(path, [...(found.get(path) ?? []), content]);
  };
  for (const [, closing, name = "", empty, content = ""] of xml.matchAll(
    /<(\/?)([A-Za-z]\w*)[^>]*?(\/?)>([^<]*)/g,
  )) {
    if (closing === "/") {
      if (text !== undefined) leaf(text);
      open.pop();
      text = undefined;
    } else if (empty === "/") {
      open.push(name);
      leaf("");
      open.pop();
      text = undefined;
    } else {
      open.push(name);
      text = content;
    }
  }
  return found;
}
