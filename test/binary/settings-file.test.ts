/** What may lie in the settings file's place, and in it: a clear word, in bounded time, and never a secret. */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  constants,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { unless } from "../support/skipping.ts";
import { HOOK_ROLE } from "../../sim/iam.ts";
import { type RunningRegion, startRegion } from "../../sim/server.ts";
import { aWorld } from "../../sim/world.ts";
import { runAgent } from "../support/agent.ts";

const HOOK = "wait-for-address";
let folder: string;
let region: RunningRegion;
let instanceId: string;
let allocationId: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "eip-heal-settings-"));
  const world = aWorld();
  world.role("hook", HOOK_ROLE);
  world.group("web", { name: HOOK });
  ({ allocationId } = world.address());
  const me = world.instance({ group: "web", role: "hook", metadataTags: true });
  world.hold({ allocationId }, me);
  ({ instanceId } = me);
  region = await startRegion(world);
});
afterAll(async () => {
  await region.close();
  rmSync(folder, { recursive: true });
});

let made = 0;
/** Makes something in the settings file's place. */
function place(make: (path: string) => void): string {
  const path = join(folder, `${made++}.conf`);
  make(path);
  return path;
}
const file = (content: string | Buffer) => () => place((path) => writeFileSync(path, content));

const check = (config: string) =>
  runAgent(region, instanceId, { flags: ["check-config", "--config", config] });

describe("in the place of the settings file", () => {
  test.each<[string, () => string, string]>([
    [
      "a FIFO",
      () => place((path) => void spawnSync("mkfifo", [path])),
      "cannot read PATH: it is a pipe (FIFO)",
    ],
    ["a device", () => "/dev/zero", "cannot read PATH: it is a device"],
    ["a terminal", () => "/dev/ptmx", "cannot read PATH: it is a device"],
    ["a folder", () => place((path) => mkdirSync(path)), "cannot read PATH: it is a folder"],
    [
      "a link to itself",
      () => place((path) => symlinkSync(path, path)),
      "cannot read PATH: its links lead in a circle",
    ],
    [
      "a gigabyte",
      () =>
        place((path) => {
          const sparse = openSync(path, constants.O_CREAT | constants.O_WRONLY);
          ftruncateSync(sparse, 2 ** 30);
          closeSync(sparse);
        }),
      "cannot read PATH: it is longer than 1 MiB",
    ],
    [
      "a byte more than is read",
      file(`#${"x".repeat(2 ** 20)}`),
      "cannot read PATH: it is longer than 1 MiB",
    ],
    [
      "UTF-16 with a byte order mark",
      file(Buffer.from("\uFEFFEIP_HEAL_TAKEOVER=never\r\n", "utf16le")),
      "cannot read PATH: line 1: it is in UTF-16; save it as UTF-8",
    ],
    [
      "UTF-16 without one",
      file(Buffer.from("EIP_HEAL_TAKEOVER=never\r\n", "utf16le")),
      "PATH, line 1: a NUL character, which no text has; if it is in UTF-16, save it as UTF-8",
    ],
    [
      "a NUL character",
      file("EIP_HEAL_TAKEOVER=never\nEIP_HEAL_TAG=a\0b\n"),
      "PATH, line 2: a NUL character, which no text has; if it is in UTF-16, save it as UTF-8",
    ],
    [
      "a shell script",
      file("# settings\nexport EIP_HEAL_TAKEOVER=never\n"),
      "PATH, line 2: KEY=VALUE without export before it: this is no shell script",
    ],
  ])("%s", async (_, make, told) => {
    const path = make();
    const { status, log } = await check(path);
    expect(log).toEqual([told.replace("PATH", path)]);
    expect(status).toBe(78);
  });

  test("a socket", async () => {
    const path = join(folder, "socket");
    const server = createServer();
    await new Promise<void>((done) => server.listen(path, done));
    try {
      const { status, log } = await check(path);
      expect(log).toEqual([`cannot read ${path}: it is a socket or a device`]);
      expect(status).toBe(78);
    } finally {
      server.close();
    }
  });

  test.each<[string, () => string]>([
    ["nothing, by /dev/null", () => "/dev/null"],
    ["as much as is read", file(`#${"x".repeat(2 ** 20 - 1)}`)],
  ])("%s is in order", async (_, make) => {
    expect(await check(make())).toMatchObject({ status: 0, log: [] });
  });

  test("a byte order mark is no part of the first setting", async () => {
    const { status, log } = await check(file("\uFEFFEIP_HEAL_TAKEOVER=x\r\n")());
    expect(log).toEqual([expect.stringMatching(/^EIP_HEAL_TAKEOVER in \S+ is "x"; accepted: /)]);
    expect(status).toBe(78);
  });

  test("a FIFO in the place of certificates", async () => {
    const fifo = place((path) => void spawnSync("mkfifo", [path]));
    const { status, log } = await check(file(`NODE_EXTRA_CA_CERTS=${fifo}\n`)());
    expect(log).toEqual([expect.stringContaining("NODE_EXTRA_CA_CERTS")]);
    expect(log.join()).toContain("it is a pipe (FIFO)");
    expect(status).toBe(78);
  });
});

test("a value that is too long is told in part, and so is a file of mistakes", async () => {
  const long = await check(file(`EIP_HEAL_TAKEOVER=${"x".repeat(500_000)}\n`)());
  expect(long.status).toBe(78);
  expect(long.log).toHaveLength(1);
  expect(long.log.join("").length).toBeLessThan(1_000);

  const many = await check(file("EIP_HEAL_X=1\nnonsense\n".repeat(20_000))());
  expect(many.status).toBe(78);
  expect(many.log.length).toBeLessThan(60);
  expect(many.log.at(-1)).toMatch(/^there are \d+ more problems like these/);
});

test("doctor warns of keys in a file that everybody can read, and says where they belong", async () => {
  const config = file("AWS_ACCESS_KEY_ID=AKIA0\nAWS_SECRET_ACCESS_KEY=secret-words\n")();
  const { stdout } = await runAgent(region, instanceId, {
    flags: ["doctor", "--json", "--config", config],
    environment: { EIP_HEAL_DEADLINE: "20s" },
  });
  const { checks } = JSON.parse(stdout) as { checks: { id: string }[] };
  expect(checks.find(({ id }) => id === "settings")).toMatchObject({
    found: `every user can read the keys in ${config}`,
    cure: expect.stringMatching(/EnvironmentFile= in a drop-in of eip-heal.service/) as unknown,
  });
  expect(stdout).not.toContain("secret-words");
});

/** As on a machine whose disk or table of files is at fault: strace lets the system fail to open this file. */
const strace = (path: string, error: string, when = "") => [
  spawnSync("which", ["strace"], { encoding: "utf8" }).stdout.trim(),
  "--seccomp-bpf",
  "-f",
  "-qq",
  "-o/dev/null",
  `-P${path}`,
  "-etrace=openat",
  `-einject=openat:error=${error}${when}`,
];
const straced = spawnSync("strace", ["-qq", "-o/dev/null", "true"]).status === 0;
const refused = straced ? undefined : "strace is not installed, or may not trace";

describe("a file that cannot be read this time", unless(refused), () => {
  test.each(["EMFILE", "ENFILE", "EIO", "ENOMEM"])("%s", async (error) => {
    const config = file(`EIP_HEAL_ALLOCATION_ID=${allocationId}\n`)();
    const { status, log, result } = await runAgent(region, instanceId, {
      flags: ["--config", config],
      environment: { EIP_HEAL_LIFECYCLE_HOOK: HOOK },
      through: strace(config, error),
    });
    expect(log).toEqual([
      expect.stringMatching(`^FAILED \\(75\\): cannot read ${config}: ${error}: `),
      `the lifecycle hook ${HOOK} is left as it is: the settings could not be read this time; run: eip-heal doctor`,
    ]);
    expect(status).toBe(75);
    expect(result).toMatchObject({ outcome: "failed", exitStatus: 75 });
    expect(region.calls.filter(({ action }) => action.startsWith("Complete"))).toEqual([]);
  });

  test("nor a bundle of certificates", async () => {
    const bundle = file("-----BEGIN CERTIFICATE-----\n")();
    const { status, log } = await runAgent(region, instanceId, {
      flags: ["--allocation-id", allocationId],
      environment: { EIP_HEAL_LIFECYCLE_HOOK: HOOK, AWS_CA_BUNDLE: bundle },
      through: strace(bundle, "EMFILE"),
    });
    expect(log[0]).toMatch(`FAILED (75): AWS_CA_BUNDLE is "${bundle}": EMFILE: `);
    expect(status).toBe(75);
    expect(region.calls.filter(({ action }) => action.startsWith("Complete"))).toEqual([]);
  });

  test("EINTR, once, is no error", async () => {
    const config = file("EIP_HEAL_TAKEOVER=x\n")();
    const { status, log } = await runAgent(region, instanceId, {
      flags: ["check-config", "--config", config],
      through: strace(config, "EINTR", ":when=1"),
    });
    expect(log).toEqual([expect.stringContaining('is "x"; accepted: ')]);
    expect(status).toBe(78);
  });
});
