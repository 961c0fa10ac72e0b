/**
 * A thousand texts that would like to be lines of their own, in everything that comes from outside, on a machine that has
 * a journal: it holds our lines and nothing else, and none has what a terminal would obey.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RunningRegion } from "../../sim/server.ts";
import { aWorld } from "../../sim/world.ts";
import { HOSTILE_TEXT } from "../support/hostile-texts.ts";
import { FIXED_SEED, freshSeed } from "../support/properties.ts";
import { Cloud, EC2_ADDRESS, IMDS_ADDRESS, UNIT } from "../support/machine/cloud.ts";
import { tellOnFailure } from "../support/failing.ts";
import type { Machine } from "../support/machine/machine.ts";
import { inRegion } from "../support/region.ts";
import {
  type Field,
  fieldsIn,
  forging,
  isAction,
  leafOf,
  right,
  type Scene,
  SCENES,
  type Start,
  starts,
} from "./forged-fields.ts";

const TEXTS = 1_000;
/** Runs at once: most of their time they wait for the next try. */
const LANES = 10;
/** Bytes that the long texts, one in fifty, come close to. */
const LONG = 100_000;
/** What each text begins with, so that what begins otherwise is ours or forged. */
const MARK = "w-";
const FOLDER = "/etc/forged";
/** Runs a command line that is in a file, each of its parts ended by a NUL: what takes it there changes nothing in it. */
const EXEC = `mapfile -d "" -t argv <"$1"; exec env "\${argv[@]}"\n`;

const world = aWorld();
const instance = world.instance({ metadataTags: true });
let cloud: Cloud;
let machine: Machine;
let scenes: readonly Forgeries[];

beforeAll(async () => {
  cloud = await Cloud.start(world);
  // Only what is started below says anything.
  const ami = await cloud.bakeAmi(async (builder) => {
    await builder.must(["systemctl", "disable", UNIT]);
  });
  machine = await cloud.machine(instance, ami);
  await machine.start();
  await machine.waitRunning();
  await mkdir(join(machine.root, FOLDER));
  await writeFile(join(machine.root, FOLDER, "exec"), EXEC);
  scenes = await inLanes(Object.values(SCENES), fieldsOfScene);
});

afterAll(async () => {
  await cloud?.close();
});

tellOnFailure(() => cloud.story());

/** Texts without end; half of them are the same in every run of the test. */
function* texts(): Generator<string, never> {
  for (let round = 0; ; round++) {
    for (const seed of [FIXED_SEED, freshSeed()]) {
      const sampled = fc.sample(HOSTILE_TEXT, { seed: seed + round, numRuns: 50 });
      for (const [n, text] of sampled.entries()) {
        // Whole texts only: a cut could leave the first letters of a real line, which would then count as forged.
        const times = n === 0 ? Math.floor(LONG / Buffer.byteLength(`${text}\n`)) : 1;
        yield MARK + Array(times).fill(text).join("\n").toWellFormed();
      }
    }
  }
}
const source = texts();
const given: string[] = [];
function text(): string {
  const next = source.next().value;
  given.push(next);
  return next;
}

let runs = 0;
/** What result.json said, wherever there was one. */
const messages: unknown[] = [];

/** Runs it in a unit of its own. */
async function runIn(
  region: RunningRegion,
  me: string,
  { environment = {}, flags = [], conf }: Start,
): Promise<void> {
  const name = `forged-${++runs}`;
  const variables = {
    AWS_EC2_METADATA_SERVICE_ENDPOINT: region.imdsUrl(me),
    AWS_ENDPOINT_URL_EC2: region.ec2Url,
    AWS_ENDPOINT_URL_AUTO_SCALING: region.autoScalingUrl,
    EIP_HEAL_LOG_LEVEL: "debug",
    EIP_HEAL_DEADLINE: "1min",
    ...environment,
  };
  const file = join(FOLDER, name);
  const config = conf === undefined ? [] : ["--config", `${file}.conf`];
  if (conf !== undefined) await writeFile(join(machine.root, `${file}.conf`), conf);
  const set = Object.entries(variables).map((one) => one.join("="));
  const argv = [...set, "eip-heal", ...config, ...flags];
  // A NUL is what no variable and no argument can have.
  const line = argv.map((one) => `${one.replaceAll("\0", " ")}\0`).join("");
  await writeFile(join(machine.root, file), line);
  const properties = [
    "SyslogIdentifier=eip-heal",
    // By its name a run knows that it is its own.
    `RuntimeDirectory=${name}/eip-heal`,
    "RuntimeDirectoryPreserve=yes",
  ].map((one) => `--property=${one}`);
  const unit = ["systemd-run", "--quiet", "--wait", "--collect", `--unit=${name}`, ...properties];
  await machine.exec([...unit, "bash", join(FOLDER, "exec"), file]);
  const { status, stdout } = await machine.exec(["cat", `/run/${name}/eip-heal/result.json`]);
  if (status === 0) messages.push((JSON.parse(stdout) as { message: unknown }).message);
}

/** Plays a story in a region of its own, at addresses that the machine reaches. */
function inScene(scene: Scene, story: (region: RunningRegion, me: string) => Promise<void>) {
  const people = aWorld();
  const me = scene.people(people);
  const at = { host: EC2_ADDRESS, port: 0 };
  return inRegion(
    people,
    async (region) => {
      scene.before?.(region, me);
      await story(region, me);
    },
    { ec2: at, autoScaling: at, imdsHost: IMDS_ADDRESS },
  );
}

interface Forgeries {
  readonly scene: Scene;
  readonly fields: readonly Field[];
  /** What has been asked while nothing was forged. */
  readonly asked: readonly string[];
}

/** The fields of the answers that a scene forges. */
async function fieldsOfScene(scene: Scene): Promise<Forgeries> {
  const fields: Field[] = [];
  const asked = new Set<string>();
  await inScene(scene, async (region, me) => {
    const bodies = new Map<string, string>();
    const body = (given: string) => {
      const [, action = ""] = /<(\w+)Response\b/.exec(given) ?? [];
      bodies.set(action, given);
      return given;
    };
    for (const service of ["ec2", "autoscaling"] as const) {
      region.faults.add({ service, effect: { do: "rewrite", body } });
    }
    await runIn(region, me, scene);
    for (const [answer, which] of Object.entries(scene.forges)) {
      const given = isAction(answer) ? bodies.get(answer) : right(region, me, answer);
      const there = fieldsIn(answer, given ?? "");
      fields.push(
        ...there.filter(({ name = "" }) => typeof which === "string" || which.includes(name)),
      );
    }
    for (const { action } of region.calls) asked.add(action);
    for (const { method, path } of region.imdsRequests) {
      if (method === "GET") asked.add(leafOf(path));
    }
  });
  return { scene, fields, asked: [...asked] };
}

/** Runs a scene with a text in each of these fields; those that were not asked for. */
async function forge(scene: Scene, fields: readonly Field[]): Promise<readonly Field[]> {
  let missed: readonly Field[] = [];
  await inScene(scene, async (region, me) => {
    const faults = fields.map((field) =>
      region.faults.add(forging(region, me, field, text(), given.length)),
    );
    await runIn(region, me, scene);
    missed = fields.filter((_, n) => faults[n]?.hits === 0);
  });
  return missed;
}

/** One field of each action, and one of instance metadata, at a time: what goes wrong is tried again. */
function rounds({ scene, fields }: Forgeries) {
  const lists = Object.values(
    Object.groupBy(fields, ({ answer }) => (isAction(answer) ? answer : "instance metadata")),
  );
  const length = Math.max(...lists.map((list) => list?.length ?? 0));
  return Array.from({ length }, (_, turn) => ({
    scene,
    fields: lists.flatMap((list) => list?.[turn] ?? []),
  }));
}

/** A server that answers with a text, and as a proxy refuses with one. */
async function startServer() {
  const server = createServer((_, response) => response.end(text()));
  server.on("connect", (_, socket) => {
    socket.on("error", () => {});
    socket.end(`HTTP/1.1 403 ${text().replaceAll(/[\r\n]/g, " ")}\r\n\r\n`);
  });
  server.listen(0, EC2_ADDRESS);
  await once(server, "listening");
  return {
    url: `http://${EC2_ADDRESS}:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

test("every call of AWS, and all that a run reads of instance metadata, is forged", () => {
  const actions = ["ec2-api.ts", "auto-scaling-api.ts"].flatMap((name) => {
    const code = readFileSync(resolve(import.meta.dirname, "../../src/aws", name), "utf8");
    return [...code.matchAll(/^  (\w+)Command,$/gm)].map(([, action = ""]) => action);
  });
  const asked = new Set(scenes.flatMap((one) => one.asked));
  const forged = new Set(Object.values(SCENES).flatMap(({ forges }) => Object.keys(forges)));
  expect([...forged].toSorted()).toEqual([...asked].toSorted());
  expect([...forged].filter(isAction).toSorted()).toEqual(actions.toSorted());
});

test("the journal holds our lines and no other", async () => {
  const server = await startServer();
  try {
    const missed = await inLanes(scenes.flatMap(rounds), async ({ scene, fields }) => ({
      scene,
      fields: await forge(scene, fields),
    }));
    // What came before them has ended the run.
    const again = missed.flatMap(({ scene, fields }) => fields.map((field) => ({ scene, field })));
    const never = await inLanes(again, ({ scene, field }) => forge(scene, [field]));
    expect(never.flat()).toEqual([]);

    const start = async (of: (text: () => string) => Start) => {
      await inScene(SCENES["an address that is here"] as Scene, (region, me) =>
        runIn(region, me, of(text)),
      );
    };
    const all = Object.values(starts(server.url));
    await inLanes(all, start);
    const [settings = () => ({}), ...others] = all;
    expect(others.length).toBeGreaterThan(0);
    while (given.length < TEXTS)
      await inLanes(
        Array.from({ length: LANES }, () => settings),
        start,
      );
  } finally {
    server.close();
  }

  await machine.must(["journalctl", "--sync"]);
  const from = ["SYSLOG_IDENTIFIER=eip-heal", "_TRANSPORT=stdout"];
  const json = await machine.must(["journalctl", ...from, "-o", "json", "--all", "--no-pager"]);
  const units = new Map<unknown, Entry[]>();
  for (const line of json.trimEnd().split("\n")) {
    const entry = JSON.parse(line) as Entry;
    units.set(entry._SYSTEMD_UNIT, [...(units.get(entry._SYSTEMD_UNIT) ?? []), entry]);
  }

  expect(units.size).toBe(runs);
  const forged = new Set(given.flatMap(linesWithin));
  for (const entries of units.values()) {
    for (const { MESSAGE, PRIORITY } of entries) {
      // What is not clean would be a list of bytes.
      expect(MESSAGE).toMatch(CLEAN);
      expect(["3", "4", "6", "7"]).toContain(PRIORITY);
      expect([...forged].find((line) => MESSAGE.startsWith(line))).toBeUndefined();
    }
    const ends = entries.flatMap(({ MESSAGE, PRIORITY }) =>
      ENDS.flatMap(([words, priority]) => (words.test(MESSAGE) ? [[PRIORITY, priority]] : [])),
    );
    const [[priority, wanted] = []] = ends;
    const said = entries.map(({ MESSAGE }) => String(MESSAGE).slice(0, 200)).join("\n");
    expect(priority, said).toBe(wanted);
    expect(ends, said).toHaveLength(1);
  }
  expect(messages.length).toBeGreaterThan(runs / 4);
  for (const message of messages) expect(message).toMatch(CLEAN);
}, 600_000);

interface Entry {
  readonly _SYSTEMD_UNIT: string;
  readonly MESSAGE: string;
  readonly PRIORITY: string;
}

/** No control character, no break of a line, no override of the writing direction; and no line of ours is so short. */
const CLEAN = /^[^\p{C}\p{Zl}\p{Zp}]{10,}$/u;

/** How a run ends, once, and with which priority. */
const ENDS: readonly (readonly [words: RegExp, priority: string])[] = [
  [/^FAILED \(\d\d\): /, "3"],
  [/^yielded: /, "4"],
  [/^nothing to do: /, "6"],
  [/^eipalloc-\w+ (?:\([\d.]+\) )?is already associated /, "6"],
  [/^(?:associated|released|would associate) eipalloc-\w+ /, "6"],
  // Of a bad command line there is no more to say; the last one of the settings stands for all of them.
  [/^(?:Unknown (?:command|option)|Unexpected argument) '/, "3"],
  [/^--log-level is "/, "3"],
];

/** What a text would have as lines of its own. */
function linesWithin(text: string): string[] {
  return text
    .split(/[\n\r\v\f\u0085\u2028\u2029]+/)
    .slice(1)
    .map((line) =>
      line
        .replace(/^<\d>/, "")
        .replaceAll(/[\s\p{C}]+/gu, " ")
        .trim(),
    )
    .filter((line) => line.length >= 4);
}

/** Does all the work, as much of it at once as there are lanes. */
async function inLanes<T, R>(work: readonly T[], play: (task: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: LANES }, async () => {
      while (next < work.length) {
        const n = next++;
        results[n] = await play(work[n] as T);
      }
    }),
  );
  return results;
}
