/** What systemd makes of an EnvironmentFile= is what eip-heal makes of its configuration, case by case. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseEnvironmentFile } from "../../src/config/environment-file.ts";
// Its own tests come with the cases; they need nothing and take no time.
import { CASES } from "../config/environment-file.test.ts";
import { aWorld } from "../../sim/world.ts";
import { Cloud } from "../support/machine/cloud.ts";
import { baseImage } from "../support/machine/image.ts";
import type { Machine } from "../support/machine/machine.ts";

/** More that a person may write. Not a backslash at the end of a comment: older systemd goes on with the comment then. */
const MORE = [
  "\tA=b\n  C\t=\td\t\n",
  "A = b\nC= d\nE =f",
  'A="b" c',
  "A='b' 'c'",
  'A=b "c"',
  "A='b\\'\nC=d",
  "A='b\nc'\nD=e",
  "A=b \\\n  c",
  "A=b\\",
  "A=b \\ \nC=d",
  "A=#b\nC=;d",
  'A="#b"',
  'A="b\\\nc"',
  "A=\nB=\n\n\nC=d",
  "A==b",
  "A=$B ${B} `b` %h",
  "A=grüße 東京",
  'A="b" # c',
];

const world = aWorld();
let cloud: Cloud;
let machine: Machine;

describe("systemd reads the same", () => {
  beforeAll(async () => {
    cloud = await Cloud.start(world);
    machine = await cloud.machine(world.instance(), baseImage());
    await machine.start();
    await machine.waitRunning();
  });

  afterAll(async () => {
    await cloud?.close();
  });

  test.each([...CASES.map(([text]) => text), ...MORE])("%j", async (text) => {
    const { variables, problems } = parseEnvironmentFile(text);
    expect(problems).toEqual([]);
    expect(await environmentOf(text)).toEqual(variables);
  });
});

/** The variables that a service gets from systemd with this text as its EnvironmentFile=; their names have one letter. */
async function environmentOf(text: string): Promise<Record<string, string>> {
  // Not in /tmp, which machines mount anew.
  const file = "/etc/case.env";
  await writeFile(join(machine.root, file), text);
  const service = [
    "systemd-run",
    "--quiet",
    "--pipe",
    "--wait",
    `--property=EnvironmentFile=${file}`,
  ];
  const environment = await machine.must([...service, "env", "--null"]);
  const entries = environment.split("\0").map((entry) => entry.split(/=(.*)/s, 2));
  return Object.fromEntries(entries.filter(([name]) => name?.length === 1));
}
