/** A kernel in FIPS mode: the program works as anywhere else, and doctor says what that means. */
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { run } from "../support/agent.ts";
import { scenario } from "../support/scenario.ts";
import { unless } from "../support/skipping.ts";
import type { Checkup } from "./checkup.ts";

/** What starts a program as if the kernel said so. Its real file is there on few machines, and nobody can write to it. */
const saying = (text: string) => [
  "/usr/bin/unshare",
  "--user",
  "--map-root-user",
  "--mount",
  "/bin/sh",
  "-c",
  '/bin/mount -t tmpfs tmpfs /proc/sys && /bin/mkdir /proc/sys/crypto && echo "$0" >/proc/sys/crypto/fips_enabled && exec "$@"',
  text,
];
const [unshare = "", ...args] = saying("1");
const isPossible = spawnSync(unshare, [...args, "/bin/true"]).status === 0;
const options = unless(isPossible ? undefined : "this machine cannot be made like that");

test.concurrent.each([
  ["1", "warning", /FIPS mode.*not a FIPS 140 validated module$/],
  ["0", "ok", /, Node v\S+, linux \S+$/],
])("fips_enabled is %s: it heals, and the versions are %s", options, async (text, mark, found) => {
  await scenario({}, async (scene) => {
    const through = saying(text);
    const agent = (...command: string[]) => {
      const { environment, flags } = scene.prepare();
      return run(environment, { flags: [...flags, ...command], runtime: scene.runtime, through });
    };
    expect((await agent("heal")).status).toBe(0);
    const { status, stdout } = await agent("doctor", "--json");
    expect(status).toBe(0);
    const { checks, healthy } = JSON.parse(stdout) as Checkup;
    expect(healthy).toBe(true);
    const versions = checks.find(({ id }) => id === "versions");
    expect(versions).toMatchObject({ mark, found: expect.stringMatching(found) });
  });
});
