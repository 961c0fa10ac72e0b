/**
 * The signed repository as it is published, made by the project's own packaging/repo.sh, with a past and a future:
 * versions below and above the one that is built. And the same in the states that nobody must believe.
 */
import { existsSync, globSync } from "node:fs";
import { appendFile, copyFile, cp, mkdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { place } from "../support/machine/place.ts";
import { must } from "../support/run.ts";
import { Signer } from "./signer.ts";
import { asFirst, changeConf, damaged, debAs, rpmAs, unpack, type Unpacked } from "./versions.ts";
import { HOST } from "./web.ts";

const PROJECT = join(import.meta.dirname, "../..");

/** Versions lower than whatever is built, with the units of 0.1.0; hardly compressed and thus quickly installed. */
export const OLDER = "0.0.0.8";
export const PREVIOUS = "0.0.0.9";
/** Higher than whatever is built, and with another configuration file. */
export const NEXT = "999.0";

/**
 * States of the repository: `now` has two old versions and the current one, `later` the next one too. In `unsigned` the
 * signatures of the metadata are missing, in `tampered` it is another than was signed, in `damaged` the packages are
 * others than those that the metadata tells of, in `stranger` it was signed by a key that nobody has been given, and in `bare` the packages for
 * dnf are not signed.
 */
export type Stage = "now" | "later" | "unsigned" | "tampered" | "damaged" | "stranger" | "bare";

export interface Repository {
  /** Folder for a web server. */
  readonly folder: string;
  /** Where the machines find it, without a slash at the end. */
  readonly url: string;
  /** The version that is built. */
  readonly current: string;
  /** Puts it into a state. */
  become(stage: Stage): Promise<void>;
}

/** The repository of this run; it is made once. */
export async function theRepository(): Promise<Repository> {
  const scratch = join(place().scratch, "repository");
  const folder = join(scratch, "web");
  const url = `http://${HOST}/packages`;
  const { version, deb, rpm } = await currentPackages();
  const signer = new Signer(join(scratch, "signer"), "vendor@eip-heal.example");
  if (!existsSync(scratch)) {
    try {
      await mkdir(scratch);
      await make(scratch, folder, url, { deb, rpm, version }, signer);
    } catch (error) {
      await rm(scratch, { recursive: true });
      throw error;
    }
  }
  return {
    folder,
    url,
    current: version,
    async become(stage) {
      await symlink(stage, join(folder, "packages.new"));
      await rename(join(folder, "packages.new"), join(folder, "packages"));
    },
  };
}

/** The packages that are built, for this machine, as they are: the .rpm is not signed. */
export async function currentPackages(): Promise<{ version: string; deb: string; rpm: string }> {
  const { version } = JSON.parse(await readFile(join(PROJECT, "package.json"), "utf8")) as {
    version: string;
  };
  const arch = (await must(["dpkg", "--print-architecture"])).trim();
  const [deb, rpm] = [
    `eip-heal_${version}_${arch}.deb`,
    `eip-heal-${version}-1.${arch === "arm64" ? "aarch64" : "x86_64"}.rpm`,
  ].map((name) => join(PROJECT, "dist", name)) as [string, string];
  for (const file of [deb, rpm]) {
    if (!existsSync(file)) throw new Error(`${file} is missing: build the packages first`);
  }
  return { version, deb, rpm };
}

// --- internal ---

async function make(
  scratch: string,
  folder: string,
  url: string,
  { deb, rpm, version }: { deb: string; rpm: string; version: string },
  signer: Signer,
): Promise<void> {
  await signer.make();
  const stage = (name: Stage) => join(folder, name);
  const [debTree, rpmTree] = await Promise.all([
    unpack(deb, join(scratch, "deb")),
    unpack(rpm, join(scratch, "rpm")),
  ]);
  const first = await Promise.all([asFirst(debTree), asFirst(rpmTree)]);
  await publish("now", [
    ...(await makeVersion(OLDER, ...first)),
    ...(await makeVersion(PREVIOUS, ...first)),
  ]);
  // The repository grows: old versions stay.
  await copyStage("now", "later");
  await changeConf(debTree);
  await changeConf(rpmTree);
  await publish("later", await makeVersion(NEXT, debTree, rpmTree));
  for (const { root } of [debTree, rpmTree, ...first]) await rm(root, { recursive: true });

  await copyStage("now", "unsigned");
  for (const file of [
    "deb/dists/stable/InRelease",
    "deb/dists/stable/Release.gpg",
    "rpm/repodata/repomd.xml.asc",
  ])
    await rm(join(stage("unsigned"), file));

  await copyStage("now", "tampered");
  const indexes = globSync("{deb/dists/*/main/**/*,rpm/repodata/repomd.xml}", {
    cwd: stage("tampered"),
    withFileTypes: true,
  }).filter((entry) => entry.isFile());
  for (const { parentPath, name } of indexes) await appendFile(join(parentPath, name), "\n");

  await copyStage("now", "damaged");
  for (const file of globSync("**/*.{deb,rpm}", { cwd: stage("damaged") })) {
    await rm(join(stage("damaged"), file));
    await damaged(join(stage("now"), file), join(stage("damaged"), file));
  }

  const stranger = new Signer(join(scratch, "stranger"), "stranger@eip-heal.example");
  await stranger.make();
  await copyStage("now", "stranger");
  const suite = join(stage("stranger"), "deb/dists/stable");
  await stranger.clearsign(join(suite, "Release"), join(suite, "InRelease"));
  await stranger.detach(join(suite, "Release"), join(suite, "Release.gpg"));
  const metadata = join(stage("stranger"), "rpm/repodata/repomd.xml");
  await stranger.detach(metadata, `${metadata}.asc`);

  const bare = join(stage("bare"), "rpm");
  await mkdir(bare, { recursive: true });
  const unsigned = join(bare, basename(rpm).replace(`-${version}-`, `-${OLDER}-`));
  await copyFile(join(stage("now"), "rpm/packages", basename(unsigned)), unsigned);
  await must(["rpmsign", "--delsign", unsigned]);
  await must(["createrepo_c", "--quiet", bare]);
  await signer.detach(join(bare, "repodata/repomd.xml"), join(bare, "repodata/repomd.xml.asc"));
  await cp(join(stage("now"), "rpm/RPM-GPG-KEY-eip-heal"), join(bare, "RPM-GPG-KEY-eip-heal"));

  async function makeVersion(version: string, ofDeb: Unpacked, ofRpm: Unpacked): Promise<string[]> {
    const files = await Promise.all([
      debAs(version, ofDeb, scratch),
      rpmAs(version, ofRpm, scratch),
    ]);
    await signer.signRpm(files[1]);
    return files;
  }

  /** Puts packages on the shelves of a stage, and runs the project's own program, which adds the current version. */
  async function publish(name: Stage, files: readonly string[]): Promise<void> {
    for (const file of files) {
      const shelf = join(stage(name), shelfOf(file));
      await mkdir(shelf, { recursive: true });
      await rename(file, join(shelf, basename(file)));
    }
    await must([
      "env",
      `EIP_HEAL_REPO=${stage(name)}`,
      `EIP_HEAL_REPO_URL=${url}`,
      `EIP_HEAL_SIGNING_KEY=${signer.secretKey}`,
      join(PROJECT, "packaging/repo.sh"),
    ]);
  }

  /** Hard links where nothing is written into a file, which is packages. */
  async function copyStage(from: Stage, to: Stage): Promise<void> {
    await cp(stage(from), stage(to), {
      recursive: true,
      filter: (path) => !/\.(deb|rpm)$/.test(path),
    });
    const packages = globSync("**/*.{deb,rpm}", { cwd: stage(from) });
    for (const path of packages) await must(["ln", join(stage(from), path), join(stage(to), path)]);
  }
}

function shelfOf(file: string): string {
  return file.endsWith(".deb") ? "deb/pool/main/e/eip-heal" : "rpm/packages";
}
