/**
 * A thousand texts that would like to be lines of their own, in tags, in answers of EC2 and in settings, on a machine that
 * has a journal: it holds a message for each line of eip-heal and nothing else, and none has what a terminal would obey.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { HOSTILE_TEXT } from "../support/hostile-texts.ts";
import { FIXED_SEED, freshSeed } from "../support/properties.ts";
import { Cloud, UNIT } from "../support/machine/cloud.ts";
import { tellOnFailure } from "../support/failing.ts";
import type { Machine } from "../support/machine/machine.ts";

const ROUNDS = 125;
/** Settings that take none of the texts, each in a line of its own. */
const SETTINGS = ["TAKEOVER", "PRIVATE_IP", "INTERFACE", "DISPLACE", "POOL_TAKEOVER"];
/** In the tag, in the message of EC2, in the settings and in the name of one. */
const TEXTS_PER_ROUND = 2 + SETTINGS.length + 1;
/** Bytes that one of the settings has now and then. */
const LONG = 100_000;

const FOLDER = "/etc/forged";
/** One run that comes to EC2, and one that its settings end. */
const SCRIPT = `
for round in ${FOLDER}/*; do
  eip-heal
  env ${SETTINGS.map((name) => `EIP_HEAL_${name}="$(cat $round/${name})"`).join(" ")} \\
    "EIP_HEAL_$(cat $round/name)=1" eip-heal
done
true
`;

const world = aWorld();
const instance = world.instance({ metadataTags: true });
let cloud: Cloud;
let machine: Machine;

beforeAll(async () => {
  cloud = await Cloud.start(world);
  // Only what is started below says anything.
  const ami = await cloud.bakeAmi(async (builder) => {
    await builder.must(["systemctl", "disable", UNIT]);
  });
  machine = await cloud.machine(instance, ami);
  await machine.start();
  await machine.waitRunning();
});

afterAll(async () => {
  await cloud?.close();
});

tellOnFailure(() => cloud.story());

test("the journal holds our lines and no other", async () => {
  const { faults } = cloud.region;
  const hits: { readonly hits: number }[] = [];
  const texts = [FIXED_SEED, freshSeed()].flatMap((seed) =>
    fc.sample(HOSTILE_TEXT, { seed, numRuns: (ROUNDS * TEXTS_PER_ROUND) / 2 }),
  );
  for (let round = 0; round < ROUNDS; round++) {
    const [tag = "", message = "", name = "", ...values] = texts
      .splice(0, TEXTS_PER_ROUND)
      // What no variable can have, and an empty value is none.
      .map((text) => `w${text}`.replaceAll("\0", " ").toWellFormed());
    const path = "/latest/meta-data/tags/instance/eip-pool";
    const body = tag.slice(0, 256).toWellFormed();
    const code = "InvalidParameterValue";
    hits.push(
      faults.add({ service: "imds", path, count: 1, effect: { do: "status", status: 200, body } }),
      faults.add({ service: "ec2", count: 1, effect: { do: "error", code, message } }),
    );
    const [first = ""] = values;
    if (round % 25 === 0) values[0] = first.repeat(Math.ceil(LONG / Buffer.byteLength(first)));
    const folder = join(machine.root, FOLDER, String(round).padStart(3, "0"));
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "name"), name);
    for (const [n, setting] of SETTINGS.entries()) {
      // An argument of a command has at most 128 KB.
      await writeFile(join(folder, setting), Buffer.from(values[n] ?? "w").subarray(0, 120_000));
    }
  }

  const unit = ["systemd-run", "--quiet", "--wait", "--unit=forged", "sh", "-c", SCRIPT];
  await machine.must(unit, { timeoutMs: 280_000 });
  await machine.must(["journalctl", "--sync"]);
  const from = ["_SYSTEMD_UNIT=forged.service", "_TRANSPORT=stdout"];
  const json = await machine.must(["journalctl", ...from, "-o", "json", "--all", "--no-pager"]);
  const entries = json
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

  // All of them were met.
  expect(hits.filter((fault) => fault.hits !== 1)).toEqual([]);
  for (const { MESSAGE, PRIORITY } of entries) {
    // What is not clean would be a list of bytes.
    expect(MESSAGE).toMatch(/^[^\p{C}\p{Zl}\p{Zp}]+$/u);
    expect(MESSAGE).toMatch(
      /^(?:FAILED \(78\): )?(?:InvalidParameterValue: |unknown setting EIP_HEAL_w|EIP_HEAL_[A-Z_]+ in the environment is "w)/,
    );
    expect(PRIORITY).toBe("3");
  }
  expect(entries).toHaveLength(ROUNDS * (1 + SETTINGS.length + 1));
}, 300_000);
