/** Standard output: whole, however slow its reader is, or the exit status says that it is not. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningRegion, startRegion } from "../../sim/server.ts";
import { aWorld } from "../../sim/world.ts";
import { run, runAgent } from "../support/agent.ts";

let region: RunningRegion;
let me: string;
let folder: string;

beforeAll(async () => {
  const world = aWorld();
  const { allocationId } = world.address();
  const tags = { "allocation-id": allocationId };
  const mine = world.instance({ tags, metadataTags: true });
  world.hold({ allocationId }, mine);
  me = mine.instanceId;
  region = await startRegion(world);
  folder = mkdtempSync(join(tmpdir(), "eip-heal-output-"));
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await region.close();
});

/** Runs it by a line of the shell, in which "$@" is the program with its arguments. */
const inShell = (line: string, ...flags: string[]) =>
  runAgent(region, me, { through: ["/bin/bash", "--norc", "-c", line, "bash"], flags });

/** Opens a pipe whose reader is gone before anything is written. */
const READERLESS = "exec 3> >(exec true); wait $!";

/** All that print something. */
const COMMANDS = [
  ["heal", "--json"],
  ["recheck", "--json"],
  ["status"],
  ["status", "--json"],
  ["doctor"],
  ["doctor", "--json"],
  ["policy"],
  ["check-config"],
  ["--help"],
  ["heal", "--help"],
  ["--version"],
];

describe.each(COMMANDS.map((command) => ({ command })))("$command", ({ command }) => {
  test("on a full disk: an exit status that is not 0, and why", async () => {
    const { status, log } = await inShell('"$@" >/dev/full', ...command);
    expect(log.at(-1)).toMatch(/^standard output is not complete: ENOSPC: no space left on device/);
    expect(status).toBe(75);
  });

  test("for a reader that has gone: ended by SIGPIPE, without a word of it", async () => {
    const { log } = await inShell(`${READERLESS}; "$@" >&3; echo $? >&2`, ...command);
    expect(log.at(-1)).toBe("141");
    expect(log.join("\n")).not.toMatch(/standard output|EPIPE/);
  });
});

test("what was to be done is done all the same, and others are told", async () => {
  const { result } = await inShell('"$@" >/dev/full', "heal", "--json");
  expect(result).toMatchObject({ outcome: "settled" });
});

test("the log is whole, where its pipe is full when the program ends", async () => {
  const line = '{ head -c 65536 /dev/zero; "$@" 2>&1; } | (sleep 1; tr -d "\\0")';
  const { stdout } = await inShell(line, "heal", "--takeover", "newst");
  expect(stdout).toMatch(/^--takeover is "newst"; .*\n$/);
});

test("an exit status that says something else stays", async () => {
  for (const line of ['"$@" >/dev/full', `${READERLESS}; "$@" >&3`]) {
    const { status } = await inShell(
      line,
      "doctor",
      "--allocation-id",
      "eipalloc-0fffffffffffffff0",
    );
    expect(status, line).toBe(78);
  }
});

describe("300 KB", () => {
  const MESSAGE = "x".repeat(300_000);
  /** `status --json` shows what is in result.json. */
  const record = { version: 1, outcome: "settled", exitStatus: 0, message: MESSAGE };
  const status = (line: string) => {
    writeFileSync(join(folder, "result.json"), JSON.stringify(record));
    return runAgent(region, me, {
      through: ["/bin/bash", "--norc", "-c", line, "bash", join(folder, "output")],
      flags: ["status", "--json"],
      runtime: folder,
    });
  };

  test("into a pipe whose reader comes late", async () => {
    const { stdout } = await status('shift; "$@" | (sleep 1; cat)');
    expect(JSON.parse(stdout)).toMatchObject({ lastRun: { message: MESSAGE } });
  });

  test("into a file", async () => {
    const ended = await status('file=$1; shift; "$@" >"$file"');
    expect(ended.status).toBe(0);
    const text = readFileSync(join(folder, "output"), "utf8");
    expect(JSON.parse(text)).toMatchObject({ lastRun: { message: MESSAGE } });
  });

  test("into a file that takes only a part of it", async () => {
    const ended = await status('file=$1; shift; ulimit -f 100; "$@" >"$file"');
    expect(ended.log.at(-1)).toMatch(/^standard output is not complete: EFBIG/);
    expect(ended.status).toBe(75);
  });

  test("into a pipe that nobody reads, until somebody ends it", async () => {
    // One byte shows that it has begun, and the shell keeps the reading end open.
    const line = 'shift; exec 3<> <(:); "$@" >&3 & head -c 1 <&3 >/dev/null; kill $!; wait $!';
    const ended = await status(line);
    expect(ended.log.at(-1)).toBe("standard output is not complete: stopped by SIGTERM");
    expect(ended.status).toBe(75);
  });
});

test("a log line longer than a pipe reaches a reader that comes late", async () => {
  const many = Array.from({ length: 40 }, (_, n) => `EIP_HEAL_X${n}=${"x".repeat(6_000)}`);
  const folder = mkdtempSync(join(tmpdir(), "eip-heal-output-"));
  try {
    writeFileSync(join(folder, "conf"), many.join("\n"));
    const { stdout } = await run(
      { AWS_EC2_METADATA_SERVICE_ENDPOINT: region.imdsUrl(me), AWS_ENDPOINT_URL: region.ec2Url },
      {
        through: ["/bin/bash", "--norc", "-c", '"$@" 2>&1 >/dev/null | (sleep 1; cat)', "bash"],
        flags: ["--config", join(folder, "conf"), "check-config"],
      },
    );
    expect(stdout.trimEnd().split("\n")).toHaveLength(many.length);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("no variable of the SDKs decides how it asks", async () => {
  for (const value of ["bogus", "auto", "legacy"]) {
    const environment = { AWS_DEFAULTS_MODE: value, AWS_RETRY_MODE: value, AWS_MAX_ATTEMPTS: "9x" };
    const { status, log } = await runAgent(region, me, { environment });
    expect(status, `${value}: ${log.join("\n")}`).toBe(0);
  }
});
