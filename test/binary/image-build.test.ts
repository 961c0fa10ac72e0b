/** What an image build asks: no network, no instance metadata, no systemd, no privileges. */
import manifest from "../../package.json" with { type: "json" };
import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { ARGUMENTS, PROGRAM, run } from "../support/agent.ts";

/** As nobody in particular, and without any way out: not even the loopback interface is up. */
const OFFLINE = ["/usr/bin/unshare", "--user", "--net"] as const;

const offline = (flags: readonly string[], conf = "") =>
  run({ PATH: "/nonexistent" }, { flags, conf, through: OFFLINE });

test("check-config accepts settings that are in order", async () => {
  const checked = await offline(["check-config"], "EIP_HEAL_TAKEOVER=if-gone\n");
  expect(checked).toMatchObject({ status: 0, log: [], result: undefined });
});

test("and refuses what a heal would refuse, by the same words and status", async () => {
  const conf = "EIP_HEAL_TAKEOVER=newst\nEIP_HEAL_WHAT=1\n";
  const checked = await offline(["check-config"], conf);
  expect(checked).toMatchObject({ status: 78, result: undefined });
  expect(checked.log).toEqual([
    expect.stringMatching(/^unknown setting EIP_HEAL_WHAT in /),
    expect.stringMatching(/^EIP_HEAL_TAKEOVER in \S+ is "newst"; did you mean newest\? /),
  ]);
  const flag = await offline(["check-config", "--takeover", "newst"]);
  expect(flag).toMatchObject({
    status: 64,
    log: [expect.stringMatching(/^--takeover is "newst"/)],
  });
});

describe("without settings", () => {
  const started = (...args: string[]) =>
    spawnSync(OFFLINE[0], [...OFFLINE.slice(1), PROGRAM, ...ARGUMENTS, ...args], {
      env: {},
      encoding: "utf8",
    });

  test.each(["version", "--version"])("%s", (...args) => {
    const stdout = `eip-heal ${manifest.version}\n`;
    expect(started(...args)).toMatchObject({ status: 0, stdout, stderr: "" });
  });

  test.each([["help"], ["--help"], ["help", "doctor"]])("%s %s", (...args) => {
    const { status, stdout } = started(...args.filter((one) => one !== undefined));
    expect(status).toBe(0);
    expect(stdout).toMatch(/^Usage: eip-heal /);
  });
});
