import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { unless } from "../support/skipping.ts";
import { attempt, missing, read, ROOT, SLOW } from "./tools.ts";

const UNIT = read("systemd/eip-heal.service");
const RECHECK = read("systemd/eip-heal-recheck.service");
const CONFIRM = read("systemd/eip-heal-confirm.timer");
const RETRY = read("systemd/eip-heal-retry.timer");
const PRELOAD = read("systemd/eip-heal-preload.service");
const SANDBOX = read("docs/sandbox.md");
/** All of them, by their names. */
const UNITS = new Map(
  readdirSync(`${ROOT}systemd`)
    .filter((name) => /\.(?:service|timer)$/.test(name))
    .map((name) => [name, read(`systemd/${name}`)]),
);

/** All values of a directive, in order; of eip-heal.service unless told otherwise. */
function values(directive: string, unit = UNIT): string[] {
  return [...unit.matchAll(new RegExp(`^${directive}=(.*)$`, "gm"))].map(([, value = ""]) => value);
}

/** The unit with a program that exists on this machine. */
function runnable(unit: string): string {
  return unit.replace("ExecStart=/usr/bin/eip-heal", `ExecStart=${process.execPath}`);
}

/** Runs a program on a copy of a unit. */
function withUnit(
  unit: string,
  program: string,
  ...args: string[]
): { status: number | null; output: string } {
  const folder = mkdtempSync(join(tmpdir(), "eip-heal-unit-"));
  try {
    const path = join(folder, "eip-heal.service");
    writeFileSync(path, runnable(unit));
    return attempt(program, ...args, path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("systemd-analyze", unless(missing("systemd-analyze")), () => {
  test("verify has nothing to say", { timeout: SLOW }, () => {
    expect(withUnit(UNIT, "systemd-analyze", "verify", "--man=no")).toEqual({
      status: 0,
      output: "",
    });
  });

  test("nor about all of them together, in which there is no cycle", { timeout: SLOW }, () => {
    const folder = mkdtempSync(join(tmpdir(), "eip-heal-units-"));
    try {
      const paths = [...UNITS].map(([name, text]) => {
        writeFileSync(join(folder, name), runnable(text));
        return join(folder, name);
      });
      expect(attempt("systemd-analyze", "verify", "--man=no", ...paths)).toEqual({
        status: 0,
        output: "",
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("the unit", () => {
  test("is failed after every run without the address, and may be started any number of times", () => {
    // The first two are what systemd 239 refuses of a oneshot service, and does not merely ignore.
    const unwanted = ["Restart", "RestartForceExitStatus", "RestartSec"];
    for (const name of [...unwanted, "RestartPreventExitStatus", "SuccessExitStatus"])
      for (const unit of UNITS.values()) expect(values(name, unit), name).toEqual([]);
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
  const shared = "# The AWS SDK asks for the home directory";

  test("run in the same sandbox as the unit, to the letter", () => {
    const own = UNIT.slice(UNIT.indexOf(shared), UNIT.indexOf("[Install]")).trimEnd();
    expect(own).toContain("SystemCallFilter=");
    expect(RECHECK.slice(RECHECK.indexOf(shared)).trimEnd()).toBe(own);
  });

  test("are started by nothing but the two timers, of which one is for who enables it", () => {
    expect(RECHECK).not.toMatch(/^\[Install\]/m);
    const timer = UNITS.get("eip-heal-recheck.timer");
    expect(values("WantedBy", timer)).toEqual(["timers.target"]);
    for (const [name, unit] of UNITS) {
      const pulled = ["Wants", "Requires", "BindsTo", "Upholds"].flatMap((one) =>
        values(one, unit),
      );
      expect(pulled.join(" "), name).not.toContain("recheck");
    }
  });
});

describe("the unit that reads the program from the disk", () => {
  test("is waited for by nothing, and waits for no network", () => {
    expect(values("Wants").join(" ").split(" ")).toContain("eip-heal-preload.service");
    for (const [name, unit] of UNITS)
      expect(values("After", unit).join(" "), name).not.toContain("preload");
    expect(values("DefaultDependencies", PRELOAD)).toEqual(["no"]);
    expect(values("After", PRELOAD)).toEqual(["local-fs.target"]);
    expect(values("Before", PRELOAD)).toEqual(["shutdown.target"]);
  });

  test("fails nothing, and needs no privileges", () => {
    expect(values("ExecStart", PRELOAD)).toEqual([expect.stringMatching(/^-/)]);
    expect(values("DynamicUser", PRELOAD)).toEqual(["yes"]);
  });
});

/**
 * What the units have that came after systemd 239, the oldest that the packages allow, and the version that brought it: older
 * ones ignore it. Read in load-fragment-gperf of 239, 245 to 249 and RHEL 8's 239.
 */
const NEWER: Readonly<Record<string, number>> = {
  ProtectProc: 247,
  NoExecPaths: 248,
  ExecPaths: 248,
  SocketBindDeny: 249,
};

/** What they have besides, which 239 knows. */
const KNOWN = `
  AccuracySec After Before BindsTo CapabilityBoundingSet Conflicts DefaultDependencies Description Documentation DynamicUser
  Environment ExecStart InaccessiblePaths LimitCORE LockPersonality MemoryDenyWriteExecute MemoryMax OnActiveSec OnBootSec
  OnUnitInactiveSec PartOf PrivateDevices ProtectHome RandomizedDelaySec ReadOnlyPaths RemainAfterExit Requires
  RestrictAddressFamilies RestrictNamespaces RuntimeDirectory RuntimeDirectoryMode RuntimeDirectoryPreserve StandardError
  StandardOutput StartLimitIntervalSec SyslogIdentifier SystemCallArchitectures SystemCallErrorNumber SystemCallFilter
  TasksMax TimeoutStartSec TimeoutStopSec Type UMask Unit UnsetEnvironment User WantedBy Wants`
  .trim()
  .split(/\s+/);

describe("older versions of systemd", () => {
  test("know all that the units have, but for what is written down as newer", () => {
    const had = new Set(
      [...UNITS.values()].flatMap((unit) =>
        [...unit.matchAll(/^(\w+)=/gm)].map(([, name = ""]) => name),
      ),
    );
    expect([...had].toSorted()).toEqual([...KNOWN, ...Object.keys(NEWER)].toSorted());
  });

  test.each([239, 245, 247])(
    "what %i does not know are its gaps in the manual of the sandbox",
    (version) => {
      const row = new RegExp(`^\\| [^|]+ \\| ${version} +\\| (.*) \\|$`, "m").exec(SANDBOX)?.[1];
      const gaps = [...(row ?? "").matchAll(/`(\w+)=`/g)].map(([, name = ""]) => name);
      const newer = Object.entries(NEWER).flatMap(([name, since]) =>
        since > version ? [name] : [],
      );
      // Exceptions of NoExecPaths=, which are nothing without it.
      expect(gaps.toSorted()).toEqual(newer.filter((name) => name !== "ExecPaths").toSorted());
    },
  );
});

/** What the section says that makes it a timer. */
const timerOf = (unit: string) => (unit.split("[Timer]\n")[1] ?? "").match(/^\w+=.*$/gm);

describe.each([
  ["eip-heal-confirm.timer", CONFIRM],
  ["eip-heal-retry.timer", RETRY],
])("%s", (timer, text) => {
  test("is started by the unit alone", () => {
    expect(values("Wants").join(" ").split(" ")).toContain(timer);
    const named = new RegExp(`^\\w+=.*${timer.replace(".timer", "")}`, "m");
    for (const [name, unit] of UNITS)
      if (name !== "eip-heal.service") expect(unit, name).not.toMatch(named);
  });

  test("is nothing that could be enabled", () => {
    expect(text).not.toMatch(/^\[Install\]/m);
  });

  test("holds back neither timers.target nor anything else but the shutdown", () => {
    expect(values("DefaultDependencies", text)).toEqual(["no"]);
    expect(values("Conflicts", text)).toEqual(["shutdown.target"]);
    expect(values("Before", text)).toEqual(["shutdown.target"]);
  });
});

describe("the timer of the retries", () => {
  test("goes off a minute after each end of the unit", () => {
    expect(timerOf(RETRY)).toEqual([
      "OnUnitInactiveSec=1min",
      "AccuracySec=1s",
      "Unit=eip-heal.service",
    ]);
  });

  test("waits for nothing, and ends with the unit", () => {
    expect(values("PartOf", RETRY)).toEqual(["eip-heal.service"]);
    expect(values("After", RETRY)).toEqual([]);
  });
});

describe("the timer of the recheck after each success", () => {
  test("goes off once, 90 s after it has started", () => {
    expect(timerOf(CONFIRM)).toEqual([
      "OnActiveSec=90s",
      "AccuracySec=1s",
      "Unit=eip-heal-recheck.service",
    ]);
  });

  test("starts only with the unit, once that is active, and ends with it", () => {
    expect(values("BindsTo", CONFIRM)).toEqual(["eip-heal.service"]);
    expect(values("After", CONFIRM)).toEqual(["eip-heal.service"]);
  });
});
