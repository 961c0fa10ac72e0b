/** Which address is desired: the settings count before the tags, and the tag of an address before that of a pool. */
import { describe, expect, test } from "vitest";
import { EXIT, Failure } from "../../src/model/failure.ts";
import type { Instance } from "../../src/model/instance.ts";
import { statusOf } from "../../src/reconcile/retry.ts";
import {
  desiredAddress,
  nearTag,
  settingsFor,
  severalKnown,
  tagsToRead,
} from "../../src/run/desired.ts";
import { ALLOCATION, ME, PUBLIC_IP } from "../reconcile/fixtures.ts";
import { settingsOf } from "../support/settings.ts";
import { scripted, SELF } from "./scripted.ts";

type Variables = Readonly<Record<string, string>>;
const ADDRESS = { kind: "address", allocationId: ALLOCATION };
const WEB = { kind: "pool", key: "eip-pool", value: "web" };
const BY_IP = { kind: "public-ip", publicIp: PUBLIC_IP };
const MAIL = { kind: "tagged", key: "Name", value: "mail" };
const LIST = { kind: "pool", members: [ALLOCATION] };
const BY_ID = { EIP_HEAL_ALLOCATION_ID: ALLOCATION };
const BY_POOL = { EIP_HEAL_POOL: "eip-pool=web" };

/** What is desired, and whether EC2 was asked. */
async function desired(settings: Variables, shown: Instance["tag"], tags?: Variables | Failure) {
  const { ports, calls, asked } = scripted();
  const self: Instance = { ...SELF, ...(shown && { tag: shown }) };
  const ec2 = {
    tags: () => {
      calls.push("0 tags");
      return tags instanceof Failure ? Promise.reject(tags) : Promise.resolve(tags ?? {});
    },
  };
  const context = { settings: settingsOf(settings), ports, step: "starting" };
  const found = await desiredAddress(context, self, ec2).catch((error: unknown) => error);
  return { found, asked: asked() };
}

describe("the desired address", () => {
  test.each<[string, Variables, Instance["tag"], Variables | undefined, unknown, string[]]>([
    ["by setting", BY_ID, { key: "allocation-id", value: "x" }, {}, ADDRESS, []],
    ["a pool by setting", BY_POOL, { key: "allocation-id", value: "x" }, {}, WEB, []],
    ["by tag", {}, { key: "allocation-id", value: ALLOCATION }, {}, ADDRESS, []],
    ["by its public IP", { EIP_HEAL_ALLOCATION_ID: PUBLIC_IP }, undefined, {}, BY_IP, []],
    ["by its public IP in a tag", {}, { key: "allocation-id", value: PUBLIC_IP }, {}, BY_IP, []],
    ["by its own tag", { EIP_HEAL_ADDRESS_TAG: "Name=mail" }, undefined, {}, MAIL, []],
    ["a pool by a list", { EIP_HEAL_POOL: ALLOCATION }, undefined, {}, LIST, []],
    ["a pool by tag", {}, { key: "eip-pool", value: "web" }, {}, WEB, []],
    ["by a tag that EC2 shows", {}, undefined, { "allocation-id": ALLOCATION }, ADDRESS, ["tags"]],
    ["a pool by one", {}, undefined, { "eip-pool": "web" }, WEB, ["tags"]],
    [
      "by the tag of an address, whatever else there is",
      {},
      undefined,
      { Name: "web-1", "eip-pool": "web", "allocation-id": ALLOCATION },
      ADDRESS,
      ["tags"],
    ],
    [
      "a pool, where the tag of an address is empty",
      {},
      undefined,
      { "allocation-id": "", "eip-pool": "web" },
      WEB,
      ["tags"],
    ],
    [
      "by a tag of another name",
      { EIP_HEAL_TAG: "eip", EIP_HEAL_POOL_TAG: "eips" },
      undefined,
      { eip: ALLOCATION, "eip-pool": "web" },
      ADDRESS,
      ["tags"],
    ],
    [
      "a pool by a tag of another name",
      { EIP_HEAL_POOL_TAG: "eips" },
      { key: "eips", value: "web" },
      undefined,
      { kind: "pool", key: "eips", value: "web" },
      [],
    ],
  ])("%s", async (_, settings, shown, tags, expected, asked) => {
    expect(await desired(settings, shown, tags)).toEqual({ found: expected, asked });
  });

  test.each([
    ["to be corrected in the end", {}, EXIT.CONFIG],
    ["in order in the end, where none is needed", { EIP_HEAL_OPTIONAL: "yes" }, EXIT.OK],
  ])("no tag is not there yet, and %s", async (_, settings, status) => {
    const { found } = await desired(settings, undefined, { Name: "web-1" });
    expect(found).toMatchObject({ kind: "not-yet", code: "NoTag" });
    expect((found as Failure).step).toContain(`allocation-id of ${ME}`);
    expect(statusOf(found as Failure)).toBe(status);
  });

  test("an allocation id that is none has to be corrected", async () => {
    const { found } = await desired({}, { key: "allocation-id", value: "10.0.0.5" });
    expect(found).toMatchObject({ kind: "misconfigured" });
    for (const word of ["allocation-id", "10.0.0.5 cannot be", ME]) {
      expect((found as Failure).message).toContain(word);
    }
  });

  test.each([ALLOCATION, PUBLIC_IP, `${ALLOCATION}, ${PUBLIC_IP}`])(
    "a pool's tag that has addresses in it has to be corrected: %s",
    async (value) => {
      const { found } = await desired({}, { key: "eip-pool", value });
      expect(found).toMatchObject({ kind: "misconfigured" });
      expect((found as Failure).message).toContain(
        `the tag eip-pool is ${JSON.stringify(value)}, on ${ME}; it takes the value of the same tag`,
      );
    },
  );

  test("a pool's tag may have an address in it beside other words", async () => {
    const found = { kind: "pool", key: "eip-pool", value: `web ${PUBLIC_IP}` };
    const shown = { key: found.key, value: found.value };
    expect(await desired({}, shown)).toEqual({ found, asked: [] });
  });

  test("EC2 that does not tell the tags is a failure of that step", async () => {
    const denied = new Failure("denied", { why: "no" });
    const { found } = await desired({}, undefined, denied);
    expect(found).toMatchObject({ kind: "denied", step: `reading the tag allocation-id of ${ME}` });
  });
});

describe("the tag that seems to be meant", () => {
  test.each<[string, Variables, object | undefined]>([
    ["has a misspelt key", { allocation_id: "x" }, { key: "allocation_id", value: "x" }],
    [
      "or an allocation id as its value",
      { Name: "web", eip: ALLOCATION },
      { key: "eip", value: ALLOCATION },
    ],
    ["is none of AWS's own", { "aws:eip": ALLOCATION }, undefined],
    ["is none where none is near", { Name: "web", eipalloc: "x y" }, undefined],
    ["is none where there are none", {}, undefined],
  ])("%s", (_, tags, expected) => {
    expect(nearTag("allocation-id", tags)).toEqual(expected);
  });

  test("is named in the cure, with its value if that is an allocation id, and with the group", async () => {
    const cure = async (tags: Variables) =>
      ((await desired({}, undefined, tags)).found as Failure).details.remedy ?? "";
    const group = { "aws:autoscaling:groupName": "web-group" };
    const near = await cure({ ...group, eip: ALLOCATION });
    for (const word of ["web-group", "eip?", `allocation-id=${ALLOCATION}`]) {
      expect(near).toContain(word);
    }
    const misspelt = await cure({ allocation_id: "x" });
    expect(misspelt).toContain("allocation_id?");
    expect(misspelt).not.toContain("allocation-id=x");
    expect(misspelt).not.toMatch(/undefined/);
    expect(await cure({ Name: "web" })).not.toContain("?");
  });
});

describe("of the tags that instance metadata shows", () => {
  test.each<[string, Variables, readonly string[]]>([
    ["both are looked for", {}, ["allocation-id", "eip-pool"]],
    ["both, by their names", { EIP_HEAL_TAG: "a", EIP_HEAL_POOL_TAG: "b" }, ["a", "b"]],
    ["none, where a setting names the address", BY_ID, []],
    ["none, where a setting names the pool", BY_POOL, []],
    ["none, where a setting names the tag of the address", { EIP_HEAL_ADDRESS_TAG: "a=b" }, []],
  ])("%s", (_, settings, tags) => {
    expect(tagsToRead(settingsOf(settings))).toEqual(tags);
  });
});

describe("several addresses", () => {
  const SECOND = "eipalloc-00000000000000002";
  const TWO = `${ALLOCATION} ${SECOND}@1`;
  const SEVERAL = {
    kind: "several",
    entries: [{ address: ADDRESS }, { address: { ...ADDRESS, allocationId: SECOND }, place: 1 }],
  };
  const bySetting = settingsOf({ EIP_HEAL_ALLOCATION_ID: TWO });
  const tagged = (key: string, value: string): Instance => ({ ...SELF, tag: { key, value } });

  test("are named by a setting or by the tag, in instance metadata or at EC2", async () => {
    expect(severalKnown(bySetting, SELF)).toEqual(SEVERAL);
    expect(severalKnown(settingsOf({}), tagged("allocation-id", TWO))).toEqual(SEVERAL);
    expect((await desired({}, { key: "allocation-id", value: TWO })).found).toEqual(SEVERAL);
    expect((await desired({}, undefined, { "allocation-id": TWO })).found).toEqual(SEVERAL);
  });

  test("are not known as long as no tag shows, and are not one, nor a pool", () => {
    expect(severalKnown(settingsOf({}), SELF)).toBeUndefined();
    expect(severalKnown(settingsOf(BY_ID), tagged("allocation-id", TWO))).toBeUndefined();
    expect(severalKnown(settingsOf({}), tagged("allocation-id", ALLOCATION))).toBeUndefined();
    expect(severalKnown(settingsOf({}), tagged("eip-pool", TWO))).toBeUndefined();
  });

  test("in a list that is none: what it takes is said", async () => {
    const { found } = await desired({}, { key: "allocation-id", value: `${ALLOCATION} ${SECOND}` });
    expect(found).toMatchObject({ kind: "misconfigured" });
    expect((found as Failure).message).toMatch(
      /^the tag allocation-id is "eipalloc-\w+ eipalloc-\w+", on i-\w+; it takes at most one address without a place/,
    );
  });

  test("each has settings of its own: the place in the list, or that of the settings", () => {
    const settings = settingsOf({
      EIP_HEAL_INTERFACE: "2",
      EIP_HEAL_PRIVATE_IP: "10.0.2.9",
      EIP_HEAL_DEADLINE: "77s",
    });
    const address = { kind: "address", allocationId: SECOND } as const;
    const alone = settingsFor(settings, { address });
    expect(alone).toMatchObject({ allocationId: address, interface: 2, privateIp: "10.0.2.9" });
    expect(alone.deadlineMs).toBe(77_000);
    for (const place of [1, "eni-00000000000000007", "0a:00:00:00:00:01"]) {
      const placed = settingsFor(settings, { address, place });
      expect(placed).toMatchObject({ allocationId: address, interface: place });
      expect(placed).not.toHaveProperty("privateIp");
    }
    expect(settingsFor(settings, { address, place: "10.0.0.9" })).toMatchObject({
      interface: "10.0.0.9",
      privateIp: "10.0.0.9",
    });
    const { privateIp: _, ...elsewhere } = settings;
    expect(settingsFor(elsewhere, { address })).not.toHaveProperty("privateIp");
  });

  test("each is wanted by itself, whatever else the settings name", () => {
    const address = { kind: "address", allocationId: SECOND } as const;
    for (const named of [
      { EIP_HEAL_POOL: "eip-pool=web" },
      { EIP_HEAL_ADDRESS_TAG: "Name=mail" },
    ]) {
      const alone = settingsFor(settingsOf(named), { address });
      expect(alone.pool).toBeUndefined();
      expect(alone.addressTag).toBeUndefined();
    }
  });
});
