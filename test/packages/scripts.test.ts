import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { unless } from "../support/skipping.ts";
import { DEB, missing, read, ROOT, RPM, run } from "./tools.ts";

interface Answers {
  /** Statuses of the stand-ins, by command line; 0 where nothing is said. */
  readonly [command: string]: number;
}

/**
 * Runs a maintainer script with stand-ins for all that it could change the machine with, and returns what it called.
 * Whether this machine runs systemd decides about daemon-reload, stop and reset-failed: those are left to the boot tests.
 */
function calls(script: string, args: string[], answers: Answers = {}): string[] {
  const folder = mkdtempSync(join(tmpdir(), "eip-heal-scripts-"));
  try {
    const log = join(folder, "log");
    writeFileSync(log, "");
    for (const name of ["systemctl", "deb-systemd-helper", "deb-systemd-invoke", "rm"]) {
      const failing = Object.entries(answers).map(
        ([command, status]) => `"${command}") exit ${status} ;;`,
      );
      writeFileSync(
        join(folder, name),
        `#!/bin/sh\necho "${name} $*" >>'${log}'\ncase "${name} $*" in\n${failing.join("\n")}\nesac\n`,
      );
      chmodSync(join(folder, name), 0o755);
    }
    const { status, stderr } = spawnSync("/bin/sh", [`${ROOT}packaging/${script}`, ...args], {
      encoding: "utf8",
      env: { PATH: folder },
    });
    expect(`${status} ${stderr}`).toBe("0 ");
    return readFileSync(log, "utf8")
      .split("\n")
      .filter(
        (line) =>
          line !== "" &&
          !/ daemon-reload$| reset-failed | stop eip-heal-retry\.timer .* eip-heal\.service$/.test(
            line,
          ),
      );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const ENABLE = "systemctl --no-reload enable eip-heal.service";
const DISABLE = "systemctl --no-reload disable eip-heal.service eip-heal-recheck.timer";
const WAS_ENABLED = "deb-systemd-helper --quiet was-enabled eip-heal.service";
const CLEAN = "rm -rf /run/eip-heal /run/private/eip-heal";
const TIMER_LINK = "/etc/systemd/system/timers.target.wants/eip-heal-recheck.timer";
const UNLINK = `rm -f /etc/systemd/system/multi-user.target.wants/eip-heal.service ${TIMER_LINK}`;

describe("rpm", () => {
  test.each([
    ["post.sh", "1", [ENABLE]],
    ["post.sh", "2", []],
    ["post.sh", "3", []],
    // An upgrade runs the new package's post script first, then the old one's preun and postun.
    ["preun.sh", "1", []],
    ["preun.sh", "0", [DISABLE]],
    ["postun.sh", "1", []],
    ["postun.sh", "0", [CLEAN, UNLINK]],
  ])("%s %s", (script, count, expected) => {
    expect(calls(`rpm/${script}`, [count])).toEqual(expected);
  });

  test("a failing systemctl does not fail the transaction", () => {
    expect(calls("rpm/post.sh", ["1"], { [ENABLE]: 1 })).toEqual([ENABLE]);
    expect(calls("rpm/preun.sh", ["0"], { [DISABLE]: 1 })).toEqual([DISABLE]);
  });

  test("these are the scripts of the package", unless(missing("rpm", RPM)), () => {
    const query = (tag: string) =>
      run("rpm", "-qp", "--nosignature", "--qf", `%{${tag}}`, RPM).trimEnd();
    expect(query("POSTIN")).toBe(read("packaging/rpm/post.sh").trimEnd());
    expect(query("PREUN")).toBe(read("packaging/rpm/preun.sh").trimEnd());
    expect(query("POSTUN")).toBe(read("packaging/rpm/postun.sh").trimEnd());
    for (const tag of ["PREIN", "PRETRANS", "POSTTRANS"]) expect(query(tag)).toBe("(none)");
  });
});

describe("deb", () => {
  const enable = "deb-systemd-helper enable eip-heal.service";
  const update = "deb-systemd-helper update-state eip-heal.service";
  const purge = "deb-systemd-helper purge eip-heal.service";

  test.each([
    ["installed", "postinst", ["configure", ""], {}, [WAS_ENABLED, enable]],
    ["upgraded", "postinst", ["configure", "0.0.9"], {}, [WAS_ENABLED, enable]],
    [
      "upgraded after a disable",
      "postinst",
      ["configure", "0.0.9"],
      { [WAS_ENABLED]: 1 },
      [WAS_ENABLED, update],
    ],
    ["not removed after all", "postinst", ["abort-remove"], {}, [WAS_ENABLED, enable]],
    ["old one before an upgrade", "prerm", ["upgrade", "0.2.0"], {}, []],
    ["before removal", "prerm", ["remove"], {}, []],
    ["old one after an upgrade", "postrm", ["upgrade", "0.2.0"], {}, []],
    ["removed", "postrm", ["remove"], {}, [WAS_ENABLED, purge]],
    ["removed after a disable", "postrm", ["remove"], { [WAS_ENABLED]: 1 }, [WAS_ENABLED]],
    ["purged", "postrm", ["purge"], {}, [purge, CLEAN, `rm -f ${TIMER_LINK}`]],
  ])("%s: %s %j", (_, script, args, answers, expected) => {
    expect(calls(`deb/${script}`, args, answers)).toEqual(expected);
  });

  test("a failing helper does not fail the transaction", () => {
    expect(calls("deb/postinst", ["configure", ""], { [enable]: 1 })).toEqual([
      WAS_ENABLED,
      enable,
    ]);
    expect(calls("deb/postrm", ["purge"], { [purge]: 1 })).toEqual([
      purge,
      CLEAN,
      `rm -f ${TIMER_LINK}`,
    ]);
  });

  test("these are the scripts of the package", unless(missing("dpkg-deb", DEB)), () => {
    for (const script of ["postinst", "prerm", "postrm"]) {
      expect(run("dpkg-deb", "--info", DEB, script)).toBe(read(`packaging/deb/${script}`));
    }
    expect(run("dpkg-deb", "--info", DEB)).not.toContain("preinst");
  });
});

/** What a script does, without its comments, each command on a line of its own. */
const commandsOf = (script: string) =>
  read(`packaging/${script}`)
    .replaceAll(/^\s*#.*$/gm, "")
    .replaceAll(/\\\n\s*/g, "");

test("no script starts or restarts anything", () => {
  const scripts = [
    "deb/postinst",
    "deb/prerm",
    "deb/postrm",
    "rpm/post.sh",
    "rpm/preun.sh",
    "rpm/postun.sh",
  ];
  for (const script of scripts) {
    expect(commandsOf(script), script).not.toMatch(/\b(re)?start\b|--now\b/);
  }
});

test.each(["deb/prerm", "rpm/preun.sh"])("%s stops every unit by its name", (script) => {
  const stopped = /^.* stop (.*?) *>/m.exec(commandsOf(script))?.[1]?.split(" ");
  expect(stopped?.toSorted()).toEqual(
    readdirSync(`${ROOT}systemd`)
      .filter((name) => /\.(?:service|timer)$/.test(name))
      .toSorted(),
  );
});

test("what has no [Install] section is neither enabled nor disabled", () => {
  for (const script of ["deb/postinst", "deb/postrm", "rpm/post.sh", "rpm/preun.sh"])
    expect(commandsOf(script).replaceAll(/^.* stop .*$/gm, ""), script).not.toMatch(
      /eip-heal-(?:confirm|retry)/,
    );
});
