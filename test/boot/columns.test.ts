/**
 * What somebody at a terminal of 80 columns sees of a run that has failed: systemctl status and the journal show the cause,
 * and the line ends in the command to go on with. docs/failures.md shows some of these screens: `make screens` writes them.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { allow } from "../../sim/iam.ts";
import { aWorld } from "../../sim/world.ts";
import { replaceRegion } from "../../docs/generate/text.ts";
import { tellOnFailure } from "../support/failing.ts";
import { Cloud, CONF, EC2_ADDRESS, UNIT } from "../support/machine/cloud.ts";
import type { Machine } from "../support/machine/machine.ts";

const COLUMNS = 80;
const PAGE = resolve(import.meta.dirname, "../../docs/failures.md");
/** Of a time stamp in the journal, with the blank after it: `Nov 27 00:24:16 `. */
const STAMP = 16;
/** What makes colours and links. */
const CONTROL = new RegExp(String.raw`\u001b(?:\[[0-9;]*[A-Za-z]|\]8;;[^\u001b]*\u001b\\)`, "g");

const world = aWorld();
world.role("look", allow(["ec2:DescribeInstances", "ec2:DescribeAddresses"]));
world.group("web");
const { allocationId } = world.address();
const instance = world.instance({
  tags: { "allocation-id": allocationId },
  metadataTags: true,
  autoPublicIp: true,
  group: "web",
  lifecycle: "InService",
  launchTime: Date.UTC(2026, 10, 27, 2),
});
/** Not the one that it has since its boot. */
const free = world.address();
const taken = world.address();
world.hold(taken, world.instance({ launchTime: Date.UTC(2026, 10, 27, 3) }));

let cloud: Cloud;
let machine: Machine;

const tagWith = (id: string | null) =>
  cloud.region.region.tag(instance.instanceId, { "allocation-id": id });

interface Failing {
  readonly name: string;
  /** The part of the page that shows it. */
  readonly region?: string;
  readonly status: number;
  readonly breakIt: () => unknown;
  /** How its line begins: all of the cause. */
  readonly cause: string;
  /** What doctor begins with. */
  readonly first: string;
}

const FAILINGS: readonly Failing[] = [
  {
    name: "an address that is not there",
    region: "address",
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
    name: "no tag",
    region: "tag",
    status: 78,
    breakIt: () => tagWith(null),
    cause: "FAILED (78): no tag allocation-id or eip-pool (yet)",
    first: "desired",
  },
  {
    name: "a role that may not associate",
    region: "permission",
    status: 77,
    breakIt: () => {
      tagWith(free.allocationId);
      cloud.region.region.setRole(instance.instanceId, "look");
    },
    cause: "FAILED (77): not allowed: ec2:AssociateAddress",
    first: "associate",
  },
  {
    name: "no way to EC2",
    region: "route",
    status: 75,
    breakIt: () => {
      cloud.region.region.setRole(instance.instanceId, "full");
      return machine.must(["ip", "route", "add", "unreachable", `${EC2_ADDRESS}/32`]);
    },
    cause: "FAILED (75): EC2: no route to it (EHOSTUNREACH)",
    first: "route",
  },
  {
    name: "a newer instance that has it",
    region: "newer",
    status: 69,
    breakIt: () => {
      tagWith(taken.allocationId);
      return machine.must(["ip", "route", "del", "unreachable", `${EC2_ADDRESS}/32`]);
    },
    cause: `yielded: a newer instance has ${taken.allocationId}`,
    first: "holder",
  },
];

/** What the page shows, by the name of its part. */
const screens = new Map<string, string>();

beforeAll(async () => {
  cloud = await Cloud.start(world);
  const ami = await cloud.bakeAmi(async (builder) => {
    await builder.must(["sh", "-c", `echo EIP_HEAL_DEADLINE=10s >>${CONF}`]);
  });
  machine = await cloud.machine(instance, ami);
  await machine.start();
  await machine.waitUnit(UNIT);
  cloud.free(allocationId);
  // All process ids have as many digits from here on, as those of a machine that has run for some time.
  await machine.sh("until [ $(sh -c 'echo $$') -ge 1000 ]; do :; done");
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

test.each(FAILINGS)("$name", { timeout: 120_000 }, async (failing) => {
  const { status, cause, first, region } = failing;
  await failing.breakIt();
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

  if (region === undefined) return;
  const [run] = await machine.show(UNIT, "InvocationID");
  const journal = await shown(`journalctl _SYSTEMD_INVOCATION_ID=${run} --no-pager`);
  const shows: [string, string[]][] = [
    ["systemctl status eip-heal", unit],
    ["journalctl -u eip-heal -t eip-heal", journal.map(chopped)],
    ["eip-heal status", seen],
    ["sudo eip-heal doctor", withoutWhatIsWell(checkup)],
  ];
  screens.set(region, shows.map(([command, lines]) => screenOf(command, lines)).join("\n\n"));
});

test("docs/failures.md shows these screens", () => {
  const page = readFileSync(PAGE, "utf8");
  let now = page;
  for (const [name, content] of screens) now = replaceRegion(now, name, content, "make screens");
  if (process.env["EIP_HEAL_TEST_SCREENS"] === "write") {
    writeFileSync(PAGE, now);
    return;
  }
  expect([...page.matchAll(/\(make screens\)/g)]).toHaveLength(screens.size);
  // Where a line breaks depends on how long a run took.
  const words = (text: string) => text.replaceAll(/\s/g, "");
  if (words(now) !== words(page)) expect(now, "run: make screens").toBe(page);
});

/** A line as the pager shows it. */
function chopped(line: string): string {
  return line.length > COLUMNS ? `${line.slice(0, COLUMNS - 1)}>` : line;
}

/** What doctor shows without its ✓ checks. */
function withoutWhatIsWell(lines: readonly string[]): string[] {
  let isWell = false;
  return lines.filter((line) => {
    if (!line.startsWith(" ")) isWell = line.startsWith("✓");
    return !isWell;
  });
}

/** What differs from run to run, and what a page has instead: times, and ids that nobody chose. */
const VARYING: readonly (readonly [RegExp, string])[] = [
  [/\b[A-Z][a-z]{2} \d{2} \d{2}:\d{2}:\d{2}\b/g, "Nov 27 03:00:00"],
  [/\bsince .*; .* ago$/gm, "since Fri 2026-11-27 03:00:00 UTC; 5s ago"],
  [/(?<=\b(?:Duration|CPU): ).*$/gm, "200ms"],
  [/(?<=\b(?:eip-heal\[|PID: |Process: ))\d+/g, "2345"],
  [/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, "8f77c0de-5b1a-4c55-9f0e-3d2a1b4c5d6e"],
  [/[\w-]{100,}/g, "ENCODED"],
  [/(?<=^ +next try +in ).*$/gm, "55 s"],
  [/\b[\d.]+ s ago\b/g, "5 s ago"],
  [/(?<=\bafter\s+)(?:1 try|\d+ tries)(?=,)/g, "5 tries"],
  [/(?<=\btries,\s+)[\d.]+ s\b/g, "9 s"],
  [/(?<=\b1 try,\s+)[\d.]+ s\b/g, "0.1 s"],
  [/…[\d.]+ s$/gm, "…4 s"],
];

/** A command and what it has shown, as the page has them. */
function screenOf(command: string, lines: readonly string[]): string {
  let text = lines.join("\n").trimEnd();
  for (const [varying, instead] of VARYING) text = text.replaceAll(varying, instead);
  return [`$ ${command}`, ...text.split("\n")]
    .map((line) => (line === "" ? "" : `    ${line}`))
    .join("\n");
}
