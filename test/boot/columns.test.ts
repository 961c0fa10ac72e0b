/**
 * What somebody at a terminal of 80 columns sees of a run that has failed: systemctl status and the journal show the cause,
 * and the line ends in the command to go on with.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { allow } from "../../sim/iam.ts";
import { aWorld } from "../../sim/world.ts";
import { tellOnFailure } from "../support/failing.ts";
import { Cloud, CONF, UNIT } from "../support/machine/cloud.ts";
import type { Machine } from "../support/machine/machine.ts";

const COLUMNS = 80;
/** Of a time stamp in the journal, with the blank after it: `Nov 27 00:24:16 `. */
const STAMP = 16;
/** What makes colours and links. */
const CONTROL = new RegExp(String.raw`\u001b(?:\[[0-9;]*[A-Za-z]|\]8;;[^\u001b]*\u001b\\)`, "g");

const world = aWorld();
world.role("look", allow(["ec2:DescribeInstances", "ec2:DescribeAddresses"]));
const { allocationId } = world.address();
const instance = world.instance({
  tags: { "allocation-id": allocationId },
  metadataTags: true,
  launchTime: Date.now() - 3_600_000,
});
/** Not the one that it has since its boot. */
const free = world.address();
const taken = world.address();
world.hold(taken, world.instance({ launchTime: Date.now() }));

let cloud: Cloud;
let machine: Machine;

const tagWith = (id: string) =>
  cloud.region.region.tag(instance.instanceId, { "allocation-id": id });

interface Failing {
  readonly name: string;
  readonly status: number;
  readonly breakIt: () => void;
  /** How its line begins: all of the cause. */
  readonly cause: string;
  /** What doctor begins with. */
  readonly first: string;
}

const FAILINGS: readonly Failing[] = [
  {
    name: "an address that is not there",
    status: 78,
    breakIt: () => tagWith("eipalloc-0fffffffffffffff0"),
    cause: "FAILED (78): no address eipalloc-0fffffffffffffff0",
    first: "address",
  },
  {
    name: "an association id instead of the address",
    status: 78,
    breakIt: () => tagWith("eipassoc-0123456789abcdef0"),
    cause: 'FAILED (78): the tag allocation-id is "eipassoc-0123456789abcdef0"',
    first: "desired",
  },
  {
    name: "a role that may not associate",
    status: 77,
    breakIt: () => {
      tagWith(free.allocationId);
      cloud.region.region.setRole(instance.instanceId, "look");
    },
    cause: "FAILED (77): not allowed: ec2:AssociateAddress",
    first: "associate",
  },
  {
    name: "an EC2 that nobody reaches",
    status: 75,
    breakIt: () => {
      cloud.region.region.setRole(instance.instanceId, "full");
      cloud.region.faults.add({ service: "ec2", effect: { do: "hang-up" } });
    },
    cause: "FAILED (75): EC2: connection reset (ECONNRESET)",
    first: "tls",
  },
  {
    name: "a newer instance that has it",
    status: 69,
    breakIt: () => {
      cloud.region.faults.clear();
      tagWith(taken.allocationId);
    },
    cause: `yielded: a newer instance has ${taken.allocationId}`,
    first: "holder",
  },
];

beforeAll(async () => {
  cloud = await Cloud.start(world);
  const ami = await cloud.bakeAmi(async (builder) => {
    await builder.must(["sh", "-c", `echo EIP_HEAL_DEADLINE=5s >>${CONF}`]);
  });
  machine = await cloud.machine(instance, ami);
  await machine.start();
  await machine.waitUnit(UNIT);
});

afterAll(async () => {
  await cloud?.close();
});

tellOnFailure(() => cloud.story());

/** On a terminal of 80 columns. */
async function shown(command: string): Promise<string[]> {
  const script = `stty cols ${COLUMNS} rows 50; ${command} || true`;
  const text = await machine.sh(`LC_ALL=C.UTF-8 script --quiet --command '${script}' /dev/null`);
  return text.replaceAll("\r", "").replaceAll(CONTROL, "").split("\n");
}

test.each(FAILINGS)("$name", { timeout: 120_000 }, async ({ status, breakIt, cause, first }) => {
  breakIt();
  expect((await machine.exec(["systemctl", "restart", UNIT])).status).not.toBe(0);

  const unit = await shown(`systemctl status --no-pager ${UNIT}`);
  expect(unit.join("\n")).toMatch(new RegExp(`Process: .*status=${status}`));
  const line = unit.findLast((one) => one.includes("eip-heal["));
  expect(line?.length).toBeLessThanOrEqual(COLUMNS);
  // The host name takes its part of it, and the end of the line is kept.
  const [, told = ""] = / eip-heal\[\d+\]: (.*?)(?:…|$)/.exec(line ?? "") ?? [];
  expect(told.length).toBeGreaterThan(20);
  expect(cause.startsWith(told) || told.startsWith(cause), line).toBe(true);

  const [said = ""] = (await machine.said(UNIT)).slice(-1);
  expect(said.startsWith(cause), said).toBe(true);
  expect(said).toMatch(/; run: eip-heal doctor$/);

  // The journal without its time stamps: but for what an id ends in, all of the cause is in the first columns.
  const read = `journalctl -u ${UNIT} -t eip-heal --no-pager`;
  const entry = (await shown(`${read} | cut -c${STAMP + 1}-${STAMP + COLUMNS}`)).at(-2) ?? "";
  expect(entry).toContain(" eip-heal[");
  expect(entry).toContain(`]: ${cause.replace(/[0-9a-f]{17}"?$/, "")}`);
  // And all of it where host and program are left out, too.
  const bare = (await shown(`${read} -o cat | cut -c1-${COLUMNS}`)).at(-2) ?? "";
  expect(bare.startsWith(cause), bare).toBe(true);

  const seen = await shown("eip-heal status");
  expect(seen.filter((one) => one.length > COLUMNS)).toEqual([]);
  expect(seen.join(" ")).toMatch(/last run .*run: +eip-heal +doctor/s);
  const mark = status === 69 ? "! status" : "✗ status";
  expect(seen.filter((one) => one.startsWith(mark))).toHaveLength(1);

  const checkup = await shown("eip-heal doctor");
  expect(checkup.find((one) => one.startsWith("✗"))).toMatch(new RegExp(`^✗ ${first} `));
});
