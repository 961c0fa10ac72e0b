/** Whether this machine was booted with systemd, by what systemctl says: the real program, or one that answers like it. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { hasSystemd } from "../../src/system/units.ts";

const PATH = process.env["PATH"];
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "eip-heal-"));
  process.env["PATH"] = folder;
});
afterEach(() => {
  process.env["PATH"] = PATH;
  rmSync(folder, { recursive: true });
});

function systemctl(script: string): void {
  writeFileSync(join(folder, "systemctl"), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, "systemctl"), 0o755);
}
const isThere = () => hasSystemd(new AbortController().signal);

test.each([
  ["it runs", "echo running", true],
  ["it is degraded, which is an exit status, too", "echo degraded; exit 1", true],
  ["it does not answer", "echo 'Failed to connect to bus' >&2; exit 1", true],
  ["the machine was booted with something else", "echo offline; exit 1", false],
])("%s", async (_, script, expected) => {
  systemctl(script);
  expect(await isThere()).toBe(expected);
});

test("there is none without systemctl", async () => {
  expect(await isThere()).toBe(false);
});
