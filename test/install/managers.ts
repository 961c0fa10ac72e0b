/** The package managers that a machine is given the package by: what each of them is told, and where they differ. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { CONF } from "../support/machine/cloud.ts";
import type { Machine } from "../support/machine/machine.ts";
import { OLDER, PREVIOUS, type Repository, type Stage } from "./repository.ts";
import { DPKG, HELPER, type Manager, RPM } from "./state.ts";

export interface PackageManager extends Manager {
  readonly name: "apt" | "dnf";
  /** What is refused, in which state of the repository, and what is said then. */
  readonly refusals: readonly (readonly [what: string, stage: Stage, why: RegExp])[];
  /** What it keeps on the machine while the package is installed, besides the link that enables the unit. */
  readonly keeps: readonly string[];
  /** Where it puts settings that a new version brings, if somebody has changed those that are there. */
  readonly newSettings: string;
  /** What subscribing leaves on the machine, in its places for such files. */
  readonly subscription: readonly string[];
  /** Subscribes a machine to the repository, as the repository's page tells users to. */
  subscribe(machine: Machine, repository: Repository): Promise<void>;
  /** Tries to install out of the repository as it is now. The exit status, and all that was said. */
  attempt(machine: Machine): Promise<{ status: number; said: string }>;
  /** These must succeed; each sees what the repository has by now. */
  install(machine: Machine, version: string): Promise<void>;
  reinstall(machine: Machine, version: string): Promise<void>;
  /** To the newest version, or to this one. */
  upgrade(machine: Machine, version?: string): Promise<void>;
  downgrade(machine: Machine, version: string): Promise<void>;
  remove(machine: Machine): Promise<void>;
}

const KEYRING = "/usr/share/keyrings/eip-heal.gpg";
const APT_SOURCE = "/etc/apt/sources.list.d/eip-heal.list";
const DNF_SOURCE = "/etc/yum.repos.d/eip-heal.repo";

/** Runs apt-get on the newest index. */
async function apt(machine: Machine, ...args: string[]): Promise<void> {
  await machine.must(["apt-get", "update"]);
  // Somebody has changed the settings, and keeps them.
  await machine.must(["apt-get", "--yes", "-o", "Dpkg::Options::=--force-confold", ...args]);
}

export const APT: PackageManager = {
  ...DPKG,
  name: "apt",
  refusals: [
    [
      "a repository that nobody has signed",
      "unsigned",
      /is not signed[^]*update: 100\n[^]*Unable to locate package eip-heal/,
    ],
    [
      "a repository that a stranger has signed",
      "stranger",
      /(?:NO_PUBKEY|Missing key)[^]*update: 100\n[^]*Unable to locate package eip-heal/,
    ],
    [
      "a repository that has another index than was signed",
      "tampered",
      /(?:unexpected size|Hash Sum mismatch)[^]*update: 100\n[^]*Unable to locate package eip-heal/,
    ],
    [
      "a package that is another than was signed for",
      "damaged",
      /update: 0\n[^]*Hash Sum mismatch/,
    ],
  ],
  keeps: HELPER,
  newSettings: `${CONF}.dpkg-dist`,
  subscription: [APT_SOURCE, KEYRING],
  async subscribe(machine, repository) {
    const now = join(repository.folder, "now");
    const page = await readFile(join(now, "index.md"), "utf8");
    const line = /echo '(deb .*)' \| sudo tee (\S+)/.exec(page);
    expect(line?.[2]).toBe(APT_SOURCE);
    expect(line?.[1]).toContain(`[signed-by=${KEYRING}] ${repository.url}/deb `);
    await machine.copyIn(join(now, "deb/eip-heal.gpg"), KEYRING);
    await writeFile(join(machine.root, APT_SOURCE), `${line?.[1]}\n`);
    await machine.must(["sh", "-c", "rm -rf /var/lib/apt/lists/*"]);
  },
  async attempt(machine) {
    const update = await machine.exec(["apt-get", "update"]);
    const install = await machine.exec(["apt-get", "--yes", "install", `eip-heal=${PREVIOUS}`]);
    return {
      status: install.status,
      said: `${update.stdout}${update.stderr}\nupdate: ${update.status}\n${install.stdout}${install.stderr}`,
    };
  },
  install: (machine, version) => apt(machine, "install", `eip-heal=${version}`),
  reinstall: (machine, version) => apt(machine, "install", "--reinstall", `eip-heal=${version}`),
  upgrade: (machine, version) =>
    version === undefined
      ? apt(machine, "upgrade")
      : apt(machine, "install", `eip-heal=${version}`),
  downgrade: (machine, version) =>
    apt(machine, "install", "--allow-downgrades", `eip-heal=${version}`),
  remove: (machine) => apt(machine, "remove", "eip-heal"),
};

/** Runs dnf on the newest metadata. */
async function dnf(machine: Machine, ...args: string[]): Promise<void> {
  await machine.must(["dnf", "--assumeyes", "--refresh", ...args]);
}

export const DNF: PackageManager = {
  ...RPM,
  name: "dnf",
  refusals: [
    ["a repository that nobody has signed", "unsigned", /repomd\.xml\.asc/],
    [
      "a repository that a stranger has signed",
      "stranger",
      /repomd\.xml GPG signature verification error/,
    ],
    [
      "a repository that has another index than was signed",
      "tampered",
      /GPG signature verification error/,
    ],
    ["a package that is another than was signed for", "damaged", /checksum|digest/i],
    ["a package that nobody has signed", "bare", /is not signed|GPG check FAILED/],
  ],
  keeps: [],
  newSettings: `${CONF}.rpmnew`,
  subscription: [DNF_SOURCE],
  subscribe: (machine, repository) =>
    machine.copyIn(join(repository.folder, "now/rpm/eip-heal.repo"), DNF_SOURCE),
  async attempt(machine) {
    const install = ["dnf", "--assumeyes", "--refresh", "install", `eip-heal-${OLDER}`];
    const { status, stdout, stderr } = await machine.exec(install);
    await machine.must(["dnf", "clean", "all"]);
    return { status, said: stdout + stderr };
  },
  install: (machine, version) => dnf(machine, "install", `eip-heal-${version}`),
  reinstall: (machine, version) => dnf(machine, "reinstall", `eip-heal-${version}`),
  upgrade: (machine, version) =>
    dnf(machine, "upgrade", version === undefined ? "eip-heal" : `eip-heal-${version}`),
  downgrade: (machine, version) => dnf(machine, "downgrade", `eip-heal-${version}`),
  remove: (machine) => dnf(machine, "remove", "eip-heal"),
};
