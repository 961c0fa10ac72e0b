import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { EXIT } from "../../src/core/failure.ts";
import { attempt, missing, read, SLOW } from "./tools.ts";

const UNIT = read("systemd/eip-heal.service");

/** All values of a directive, in order. */
function values(directive: string): string[] {
  return [...UNIT.matchAll(new RegExp(`^${directive}=(.*)$`, "gm"))].map(([, value = ""]) => value);
}

/** Runs a program on a copy of the unit whose program exists on this machine. */
function withUnit(program: string, ...args: string[]): { status: number | null; output: string } {
  const folder = mkdtempSync(join(tmpdir(), "eip-heal-unit-"));
  try {
    const path = join(folder, "eip-heal.service");
    writeFileSync(
      path,
      UNIT.replace("ExecStart=/usr/bin/eip-heal", `ExecStart=${process.execPath}`),
    );
    return attempt(program, ...args, path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe.skipIf(missing("systemd-analyze"))("systemd-analyze", () => {
  test("verify has nothing to say", { timeout: SLOW }, () => {
    expect(withUnit("systemd-analyze", "verify", "--man=no")).toEqual({ status: 0, output: "" });
  });

  test("security: exposure of 1.5 at most", { timeout: SLOW }, () => {
    const { status, output } = withUnit(
      "systemd-analyze",
      "security",
      "--no-pager",
      "--offline=true",
      "--threshold=15",
    );
    expect(status, output).toBe(0);
  });
});

describe("the unit", () => {
  test("restarts after what may pass, and after nothing else", () => {
    const passing: number[] = [EXIT.OK, EXIT.TEMPFAIL, EXIT.NOPERM];
    const lasting = Object.values(EXIT).filter((status) => !passing.includes(status));
    expect(values("RestartPreventExitStatus")).toEqual([lasting.join(" ")]);
    expect(values("Restart")).toEqual(["on-failure"]);
    expect(values("StartLimitIntervalSec")).toEqual(["0"]);
  });

  test("times out only after the longest deadline the program accepts, 1h", () => {
    expect(values("TimeoutStartSec")).toEqual(["65min"]);
  });

  test("holds nothing back, and is in no ordering cycle with cloud-init", () => {
    expect(values("DefaultDependencies")).toEqual(["no"]);
    expect(values("After").join(" ").split(" ").toSorted()).toEqual([
      "basic.target",
      "network-online.target",
      "sysinit.target",
    ]);
    expect(values("Before")).toEqual(["shutdown.target"]);
    expect(values("WantedBy")).toEqual(["multi-user.target"]);
  });

  test("leaves the settings file to the program, so that drop-ins go before it", () => {
    expect(values("EnvironmentFile")).toEqual([]);
  });
});

describe("the units of the recheck", () => {
  const recheck = read("systemd/eip-heal-recheck.service");
  const shared = "# The AWS SDK asks for the home directory";

  test("run in the same sandbox as the unit, to the letter", () => {
    const own = UNIT.slice(UNIT.indexOf(shared), UNIT.indexOf("[Install]")).trimEnd();
    expect(own).toContain("SystemCallFilter=");
    expect(recheck.slice(recheck.indexOf(shared)).trimEnd()).toBe(own);
  });

  test("are not started by anything but the timer, which nobody has enabled", () => {
    expect(recheck).not.toContain("[Install]");
    expect(read("systemd/eip-heal-recheck.timer")).toContain("WantedBy=timers.target");
  });
});
