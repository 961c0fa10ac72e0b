/** The result files are true or absent, whatever becomes of the disk and whatever else is in their place. */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { runAgent } from "../support/agent.ts";
import { unless } from "../support/skipping.ts";
import { inPlace, litterOf, mounted, type Place, refused, TIMEOUT_MS } from "./folder.ts";

vi.setConfig({ maxConcurrency: 4 });

/** The folder is on a file system of its own on which nothing is free, with what was there before. */
const FULL = mounted(
  `kept=$(mktemp -d); cp -a "$RUNTIME_DIRECTORY"/. "$kept"; mount -t tmpfs -o size=64k tmpfs "$RUNTIME_DIRECTORY"
cp -a "$kept"/. "$RUNTIME_DIRECTORY"; dd if=/dev/zero of="$RUNTIME_DIRECTORY/full" bs=4k 2>/dev/null && exit 99 || :`,
  `rm "$RUNTIME_DIRECTORY/full"; rm -rf "$kept"; cp -a "$RUNTIME_DIRECTORY" "$kept"; umount "$RUNTIME_DIRECTORY"
find "$RUNTIME_DIRECTORY" -mindepth 1 -delete; cp -a "$kept"/. "$RUNTIME_DIRECTORY"; rm -rf "$kept"`,
);
const READ_ONLY = mounted(
  'mount --bind "$RUNTIME_DIRECTORY" "$RUNTIME_DIRECTORY"; mount -o remount,ro,bind "$RUNTIME_DIRECTORY"',
);

describe("nothing can be written", unless(refused), () => {
  const through = (place: Place, how: readonly string[], flags: string[] = []) =>
    runAgent(place.region, place.me, {
      flags,
      through: how,
      runtime: place.folder,
      environment: { ...place.environment, PATH: process.env["PATH"] ?? "" },
    });

  test("a full disk and another address than before: what is not true any more makes room for what is", () =>
    inPlace("first", async (place) => {
      expect((await place.agent()).status).toBe(0);
      place.retag();
      const { status, log } = await through(place, FULL);
      expect(status, log.join("\n")).toBe(0);
      expect(place.env()).toContain(place.second);
      expect(place.holder(place.second)).toBe(place.me);
      expect(litterOf(place)).toEqual([]);
    }));

  test("a full disk and the same address as before: others go on being told it, and the run succeeds", () =>
    inPlace("first", async (place) => {
      await place.agent();
      const { status, log } = await through(place, FULL);
      expect(status, log.join("\n")).toBe(0);
      expect(log.at(-1)).toMatch(/^ENOSPC: .*could not be written$/);
      expect(place.env()).toContain(place.first);
      expect(place.names()).toEqual(["env"]);
    }));

  test("a full disk: rechecks leave no litter, and forget rather than remember what is not so", () =>
    inPlace("first", async (place) => {
      await place.agent();
      await place.agent(["recheck"]);
      const { status } = await through(place, FULL, ["recheck"]);
      expect(status).toBe(0);
      expect(place.names().toSorted()).toEqual(["env", "result.json"]);
    }));

  test("a read-only folder and another address than before: the run fails, since others are told the old one", () =>
    inPlace("first", async (place) => {
      await place.agent();
      place.retag();
      const { status, log } = await through(place, READ_ONLY);
      expect(status, log.join("\n")).toBe(75);
      expect(log.at(-1)).toMatch(
        /^FAILED \(75\): EROFS: .*other units would be told an address that is not here/,
      );
    }));

  test.each([
    ["full", FULL, "ENOSPC"],
    ["read-only", READ_ONLY, "EROFS"],
  ])("a %s folder: what cannot be recorded as released is not released", (_, how, code) =>
    inPlace("first", async (place) => {
      await place.agent();
      const before = [place.env(), place.result()];
      const { status, log } = await through(place, how, ["release"]);
      expect(status, log.join("\n")).toBe(75);
      expect(log.at(-1)).toMatch(new RegExp(`^FAILED \\(75\\): ${code}: .*nothing is released`));
      expect(place.holder()).toBe(place.me);
      expect([place.env(), place.result()]).toEqual(before);
    }),
  );
});

describe("something else in the place of a file", () => {
  const things: [string, (path: string, victim: string) => void][] = [
    ["a folder", (path) => mkdirSync(join(path, "full"), { recursive: true })],
    ["a FIFO", (path) => void execFileSync("mkfifo", [path])],
    ["a link", (path, victim) => symlinkSync(victim, path)],
    ["a dangling link", (path, victim) => symlinkSync(`${victim}.not`, path)],
    ["a foreign file", (path) => writeFileSync(path, "\0".repeat(2_000_000))],
  ];
  const names = ["result.json", "env", "recheck.json", "last-write"];
  const cases = names.flatMap((name) => things.map(([what, lay]) => [what, name, lay] as const));

  test.concurrent.each(cases)(
    "%s as %s: it is replaced and not followed",
    (_, name, lay) =>
      inPlace("nothing", async (place) => {
        const victim = join(place.folder, "eip-heal.conf");
        writeFileSync(victim, "# precious\n");
        lay(join(place.folder, name), victim);
        const { status, log } = await place.agent(name === "recheck.json" ? ["recheck"] : []);
        expect(status, log.join("\n")).toBe(0);
        expect(readFileSync(victim, "utf8")).toBe("# precious\n");
        expect(existsSync(`${victim}.not`)).toBe(false);
        expect(place.result()).toMatchObject({ outcome: "settled" });
        expect(place.env()).toContain(place.first);
        for (const one of place.names()) {
          expect(lstatSync(join(place.folder, one)).isFile(), one).toBe(true);
        }
        expect(litterOf(place)).toEqual([]);
      }),
    TIMEOUT_MS,
  );
});

test("a link to the very same text is replaced by a file, too", () =>
  inPlace("first", async (place) => {
    await place.agent();
    for (const name of ["env", "result.json"]) {
      const path = join(place.folder, name);
      renameSync(path, `${path}-elsewhere`);
      symlinkSync(`${path}-elsewhere`, path);
    }
    expect((await place.agent()).status).toBe(0);
    for (const name of ["env", "result.json"])
      expect(lstatSync(join(place.folder, name)).isFile(), name).toBe(true);
  }));

test("what killed runs have left behind is removed, and what a living one is writing is not", () =>
  inPlace("first", async (place) => {
    const dead = Number(execFileSync("sh", ["-c", "echo $$"], { encoding: "utf8" }));
    const left = ["env", "result.json", "recheck.json", "last-write"].map(
      (name) => `${name}.${dead}`,
    );
    for (const name of [...left, `env.${process.pid}`]) {
      writeFileSync(join(place.folder, name), "half");
    }
    expect((await place.agent()).status).toBe(0);
    expect(place.names().toSorted()).toEqual(["env", `env.${process.pid}`, "result.json"]);
  }));

describe("by hand", unless(refused), () => {
  const byHand = ({ region, me, environment }: Place, before: string, out: string) =>
    runAgent(region, me, {
      through: mounted(`mount -t tmpfs tmpfs /run; ${before}`, `cp -a /run/. ${out}`),
      environment: { ...environment, RUNTIME_DIRECTORY: "", PATH: process.env["PATH"] ?? "" },
    });

  test.each<[string, string, string[]]>([
    ["the folder is never made", ":", []],
    [
      "it is written to where the link alone is gone",
      "mkdir -p /run/private/eip-heal",
      ["private"],
    ],
    [
      "and through the link",
      "mkdir -p /run/private/eip-heal; ln -s private/eip-heal /run/eip-heal",
      ["eip-heal", "private"],
    ],
  ])("%s", (_, before, names) =>
    inPlace("first", async (place) => {
      const out = mkdtempSync(join(tmpdir(), "eip-heal-run-"));
      try {
        const { status, log } = await byHand(place, before, out);
        expect(status, log.join("\n")).toBe(0);
        expect(log.length).toBe(1);
        expect(readdirSync(out).toSorted()).toEqual(names);
        if (names.includes("private")) {
          expect(readdirSync(join(out, "private/eip-heal")).toSorted()).toEqual([
            "env",
            "result.json",
          ]);
        }
      } finally {
        rmSync(out, { recursive: true });
      }
    }),
  );
});
