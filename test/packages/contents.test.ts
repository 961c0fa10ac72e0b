import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { globSync, readFileSync, statSync } from "node:fs";
import { basename, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { unless } from "../support/skipping.ts";
import {
  ALL_BUILT,
  attempt,
  type Built,
  missing,
  read,
  ROOT,
  run,
  SLOW,
  VERSION,
} from "./tools.ts";

const DOC = "/usr/share/doc/eip-heal";
/** Documentation as it is in the repository, in both: path → source. */
const PAPERS: Record<string, string> = Object.fromEntries([
  ...globSync("packaging/iam-policy*.json", { cwd: ROOT }).map((source) => [
    `${DOC}/${basename(source)}`,
    source,
  ]),
  ...globSync(["examples/**/*.{yaml,hcl,tf}", "examples/{dns,monitoring}/*"], { cwd: ROOT }).map(
    (source) => [`${DOC}/${source}`, source],
  ),
]);

const {
  homepage: HOMEPAGE,
  bugs: { url: BUGS },
} = JSON.parse(read("package.json")) as { homepage: string; bugs: { url: string } };

/** path → mode and owner, as in `ls -l`. */
type Listing = Record<string, string>;

/** Bytes: what is downloaded at each launch of an image that does not have it, and what each image carries. */
const DOWNLOADED = 36 * 2 ** 20;
const INSTALLED = 116_000_000;

const PROGRAM = "-rwxr-xr-x root/root";
const FILE = "-rw-r--r-- root/root";
const FOLDER = "drwxr-xr-x root/root";

const IN_BOTH: Listing = {
  "/etc/eip-heal.conf": FILE,
  "/usr/bin/eip-heal": PROGRAM,
  "/usr/lib/systemd/system/eip-heal-confirm.timer": FILE,
  "/usr/lib/systemd/system/eip-heal-preload.service": FILE,
  "/usr/lib/systemd/system/eip-heal-recheck.service": FILE,
  "/usr/lib/systemd/system/eip-heal-recheck.timer": FILE,
  "/usr/lib/systemd/system/eip-heal-retry.timer": FILE,
  "/usr/lib/systemd/system/eip-heal.service": FILE,
  "/usr/share/bash-completion/completions/eip-heal": FILE,
  [DOC]: FOLDER,
  [`${DOC}/examples`]: FOLDER,
  [`${DOC}/examples/ansible`]: FOLDER,
  [`${DOC}/examples/dns`]: FOLDER,
  [`${DOC}/examples/imagebuilder`]: FOLDER,
  [`${DOC}/examples/monitoring`]: FOLDER,
  [`${DOC}/examples/packer`]: FOLDER,
  [`${DOC}/examples/terraform`]: FOLDER,
  "/usr/share/doc/eip-heal/copyright": FILE,
  "/usr/share/fish/vendor_completions.d/eip-heal.fish": FILE,
  "/usr/share/man/man5/eip-heal.conf.5.gz": FILE,
  "/usr/share/man/man8/eip-heal.8.gz": FILE,
  ...Object.fromEntries(Object.keys(PAPERS).map((path) => [path, FILE])),
};

/** Files that are shipped as they are in the repository. */
const VERBATIM: Record<string, string> = {
  "/etc/eip-heal.conf": "packaging/eip-heal.conf",
  "/usr/lib/systemd/system/eip-heal-confirm.timer": "systemd/eip-heal-confirm.timer",
  "/usr/lib/systemd/system/eip-heal-preload.service": "systemd/eip-heal-preload.service",
  "/usr/lib/systemd/system/eip-heal-recheck.service": "systemd/eip-heal-recheck.service",
  "/usr/lib/systemd/system/eip-heal-recheck.timer": "systemd/eip-heal-recheck.timer",
  "/usr/lib/systemd/system/eip-heal-retry.timer": "systemd/eip-heal-retry.timer",
  "/usr/lib/systemd/system/eip-heal.service": "systemd/eip-heal.service",
  "/usr/share/bash-completion/completions/eip-heal": "packaging/completion/eip-heal.bash",
  "/usr/share/fish/vendor_completions.d/eip-heal.fish": "packaging/completion/eip-heal.fish",
  ...PAPERS,
};

/** Each family has a folder of its own for the completions of packages. */
const ZSH_DEB = "/usr/share/zsh/vendor-completions/_eip-heal";
const ZSH_RPM = "/usr/share/zsh/site-functions/_eip-heal";

const built = ALL_BUILT.map((each) => [each.arch, each] as const);
const sourcesOf = ({ binary }: Built, zsh: string) => ({
  ...VERBATIM,
  "/usr/bin/eip-heal": binary,
  [zsh]: "packaging/completion/_eip-heal",
});

describe.each(built)("deb for %s", (_, all) => {
  const { deb: DEB, binary: BINARY, debArch } = all;
  const absent = missing("dpkg-deb", DEB, BINARY);
  if (absent !== undefined) {
    test("not there", unless(absent), () => {});
    return;
  }

  test("installs exactly these files, owned by root", { timeout: SLOW }, () => {
    const listing: Listing = {};
    for (const line of run("dpkg-deb", "--contents", DEB).trimEnd().split("\n")) {
      const [mode, owner, , , , path = ""] = line.split(/\s+/);
      // nfpm's own changelog has the numbers of root and no name.
      const named = owner === "0/0" ? "root/root" : owner;
      listing[path.replace(/^\.|\/$/g, "")] = `${mode} ${named}`;
    }
    // A deb lists the folders of others that its files are in; dpkg counts their users.
    const foreign = Object.keys(listing).filter(
      (path) => listing[path] === FOLDER && !path.includes("/eip-heal"),
    );
    for (const path of foreign) delete listing[path];
    expect(listing).toEqual({
      ...IN_BOTH,
      "/etc/needrestart/conf.d/eip-heal.conf": FILE,
      "/usr/share/doc/eip-heal/CHANGELOG.md": FILE,
      "/usr/share/doc/eip-heal/changelog.Debian.gz": FILE,
      "/usr/share/lintian/overrides/eip-heal": FILE,
      [ZSH_DEB]: FILE,
    });
  });

  test("ships the bytes of the repository, the binary unstripped", { timeout: SLOW }, () => {
    const sums = new Map(
      run("dpkg-deb", "--info", DEB, "md5sums")
        .trimEnd()
        .split("\n")
        .map((line) => line.split(/ +/).toReversed() as [string, string]),
    );
    for (const [path, source] of Object.entries(sourcesOf(all, ZSH_DEB))) {
      if (path === "/etc/eip-heal.conf") continue; // dpkg keeps the sums of conffiles elsewhere
      expect(sums.get(path.slice(1)), path).toBe(digest("md5", source));
    }
  });

  test("has two conffiles, the settings and what needrestart is told", () => {
    const conffiles = run("dpkg-deb", "--info", DEB, "conffiles").trimEnd().split("\n");
    expect(conffiles.toSorted()).toEqual([
      "/etc/eip-heal.conf",
      "/etc/needrestart/conf.d/eip-heal.conf",
    ]);
  });

  test("says what it is", () => {
    const field = (name: string) => run("dpkg-deb", "--field", DEB, name).trimEnd();
    expect(field("Package")).toBe("eip-heal");
    expect(field("Version")).toBe(VERSION);
    expect(field("Architecture")).toBe(debArch);
    expect(field("Section")).toBe("admin");
    expect(field("Maintainer")).toMatch(/^eip-heal maintainers <.+@.+>$/);
    expect(field("Homepage")).toBe(HOMEPAGE);
    expect(field("Bugs")).toBe(BUGS);
    expect(field("Description")).toContain(`Problems: ${BUGS}`);
  });

  test("is compressed with what every dpkg reads", () => {
    expect(run("ar", "t", DEB).trimEnd().split("\n")).toEqual([
      "debian-binary",
      "control.tar.gz",
      "data.tar.xz",
    ]);
  });

  test(
    "unpacks in the memory of the smallest instance, beside its package manager",
    { timeout: SLOW },
    () => {
      const { status, output } = attempt(
        "sh",
        "-c",
        `ar p '${DEB}' data.tar.xz | xz --test --memlimit-decompress=16MiB`,
      );
      expect(status, output).toBe(0);
    },
  );

  test("is small, for what it is", { timeout: SLOW }, () => {
    expect(statSync(DEB).size).toBeLessThanOrEqual(DOWNLOADED);
    const sizes = run("dpkg-deb", "--contents", DEB)
      .trimEnd()
      .split("\n")
      .map((line) => Number(line.split(/\s+/)[2]));
    const installed = sizes.reduce((sum, size) => sum + size, 0);
    expect(installed).toBeGreaterThan(statSync(BINARY).size);
    expect(installed).toBeLessThanOrEqual(INSTALLED);
  });

  test("has a changelog that dpkg can parse", { timeout: SLOW }, () => {
    const text = run(
      "sh",
      "-c",
      `dpkg-deb --fsys-tarfile '${DEB}' | tar -xO ./usr/share/doc/eip-heal/changelog.Debian.gz | gzip -d`,
    );
    const { status, output } = parseChangelog(text);
    expect(status, output).toBe(0);
    expect(output).toContain(`Version: ${VERSION}\nDistribution: stable\nUrgency: medium\n`);
  });
});

describe("deb, by the Debian policy", unless(missing("lintian")), () => {
  test.each(built)("lintian finds no error and no warning: %s", { timeout: SLOW }, (_, { deb }) => {
    const { status, output } = attempt(
      "lintian",
      "--fail-on=error,warning",
      "--tag-display-limit=0",
      deb,
    );
    expect(status, output).toBe(0);
  });
});

describe("rpm, by the policy of Fedora and its kin", unless(missing("rpmlint")), () => {
  test.each(built)("rpmlint finds nothing: %s", { timeout: SLOW }, (_, { rpm }) => {
    const { output } = attempt("rpmlint", "--config", "packaging/rpmlint.toml", rpm);
    expect(output).toContain(" 0 errors, 0 warnings,");
  });
});

describe.each(built)("rpm for %s", (_, all) => {
  const { rpm: RPM, binary: BINARY, rpmArch } = all;
  const absent = missing("rpm", RPM, BINARY);
  if (absent !== undefined) {
    test("not there", unless(absent), () => {});
    return;
  }

  const query = (format: string) => run("rpm", "-qp", "--nosignature", "--qf", format, RPM);
  const files = () =>
    query(
      "[%{FILENAMES}\t%{FILEMODES:perms}\t%{FILEUSERNAME}/%{FILEGROUPNAME}\t%{FILEFLAGS:fflags}\t%{FILEDIGESTS}\n]",
    )
      .trimEnd()
      .split("\n")
      .map((line) => {
        const [path = "", mode = "", owner = "", flags = "", sum = ""] = line.split("\t");
        return { path, mode, owner, flags, sum };
      });

  test("installs exactly these files, owned by root", () => {
    expect(
      Object.fromEntries(files().map(({ path, mode, owner }) => [path, `${mode} ${owner}`])),
    ).toEqual({
      ...IN_BOTH,
      "/usr/share/doc/eip-heal/CHANGELOG.md": FILE,
      "/usr/share/licenses/eip-heal": FOLDER,
      "/usr/share/licenses/eip-heal/LICENSE": FILE,
      "/usr/share/fish": FOLDER,
      "/usr/share/fish/vendor_completions.d": FOLDER,
      "/usr/share/zsh": FOLDER,
      "/usr/share/zsh/site-functions": FOLDER,
      [ZSH_RPM]: FILE,
    });
  });

  test("ships the bytes of the repository, the binary unstripped", () => {
    const sums = Object.fromEntries(files().map(({ path, sum }) => [path, sum]));
    for (const [path, source] of Object.entries(sourcesOf(all, ZSH_RPM))) {
      expect(sums[path], path).toBe(digest("sha256", source));
    }
  });

  test("keeps changed settings on upgrade and removal, and knows its licence and its documentation", () => {
    const flagged = files().filter(({ flags }) => flags !== "");
    expect(Object.fromEntries(flagged.map(({ path, flags }) => [path, flags]))).toEqual({
      "/etc/eip-heal.conf": "cn",
      "/usr/share/licenses/eip-heal/LICENSE": "l",
      "/usr/share/doc/eip-heal/CHANGELOG.md": "d",
      "/usr/share/doc/eip-heal/copyright": "d",
      "/usr/share/man/man5/eip-heal.conf.5.gz": "d",
      "/usr/share/man/man8/eip-heal.8.gz": "d",
      ...Object.fromEntries(Object.keys(PAPERS).map((path) => [path, "d"])),
    });
  });

  test("says what it is, and nothing about the machine it was built on", () => {
    expect(query("%{NAME} %{VERSION}-%{RELEASE} %{ARCH} %{LICENSE} %{BUILDHOST} %{URL}")).toBe(
      `eip-heal ${VERSION}-1 ${rpmArch} Apache-2.0 eip-heal.example ${HOMEPAGE}`,
    );
    expect(query("%{DESCRIPTION}")).toContain(`Problems: ${BUGS}`);
  });

  test("has the release in its changelog", () => {
    expect(query("[%{CHANGELOGNAME}\n]").split("\n")[0]).toMatch(
      new RegExp(`^eip-heal maintainers <.+@.+> - ${VERSION.replaceAll(".", "\\.")}$`),
    );
  });

  test("is small, for what it is", () => {
    expect(statSync(RPM).size).toBeLessThanOrEqual(DOWNLOADED);
    const installed = Number(query("%{SIZE}"));
    expect(installed).toBeGreaterThan(statSync(BINARY).size);
    expect(installed).toBeLessThanOrEqual(INSTALLED);
  });

  test("is compressed with what the rpm of RHEL 8 reads, and whole", { timeout: SLOW }, () => {
    expect(query("%{PAYLOADCOMPRESSOR}")).toBe("zstd");
    const { status, output } = attempt("rpm", "-K", "--nosignature", RPM);
    expect(status, output).toBe(0);
  });
});

/** By dpkg itself. */
function parseChangelog(text: string): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync("dpkg-parsechangelog", ["--file", "-"], {
    encoding: "utf8",
    input: text,
  });
  return { status, output: stdout + stderr };
}

function digest(algorithm: string, source: string): string {
  return createHash(algorithm)
    .update(readFileSync(resolve(ROOT, source)))
    .digest("hex");
}
