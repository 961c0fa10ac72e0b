/**
 * The Node that goes into the binary, and how to run and strip it: for this machine the one that runs the build, for
 * another architecture the same version of it from npm, held against the integrity in package-lock.json.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "..");

export type Arch = "x64" | "arm64";

/** The architecture of the machine that builds. */
export const HOST = process.arch as Arch;

/** What it takes to handle programs of an architecture on a machine of another one. */
export interface Toolchain {
  /** The pinned Node of this architecture. */
  readonly node: string;
  /** What goes before a program of this architecture to run it: nothing, or an emulator with its libraries. */
  readonly emulator: readonly string[];
  readonly strip: string;
}

export async function toolchainFor(arch: Arch): Promise<Toolchain> {
  if (arch === HOST) return { node: process.execPath, emulator: [], strip: "strip" };
  if (arch !== "arm64") throw new Error(`${arch} is not cross-built: build it on such a machine`);
  const emulator = inPath("qemu-aarch64-static") ?? inPath("qemu-aarch64");
  const strip = inPath("aarch64-linux-gnu-strip");
  const libraries = "/usr/aarch64-linux-gnu";
  const absent = [
    ...(emulator === undefined ? ["qemu-aarch64-static"] : []),
    ...(strip === undefined ? ["aarch64-linux-gnu-strip"] : []),
    ...["libc.so.6", "libstdc++.so.6"]
      .map((library) => join(libraries, "lib", library))
      .filter((path) => !existsSync(path)),
  ];
  if (emulator === undefined || strip === undefined || absent.length > 0) {
    throw new Error(
      `to build for arm64 here ${absent.join(", ")} would be needed; on Debian and Ubuntu: ` +
        "test/tools/deps.sh arm64",
    );
  }
  return {
    node: await fetched(`node-linux-${arch}`),
    emulator: [emulator, "-L", libraries],
    strip,
  };
}

/** The program of an npm package that this machine's install leaves out, because it is for another architecture. */
async function fetched(name: string): Promise<string> {
  const { version, integrity } = await locked(name);
  if (version !== process.versions.node) {
    throw new Error(`${name} is locked at ${version}, the build runs ${process.versions.node}`);
  }
  const folder = join(ROOT, ".tools", `${name}-${version}`);
  const node = join(folder, "bin/node");
  if (existsSync(node)) return node;

  await mkdir(join(ROOT, ".tools"), { recursive: true });
  const work = await mkdtemp(join(ROOT, ".tools/fetching-"));
  try {
    await run("npm", ["pack", `${name}@${version}`, "--pack-destination", work, "--silent"], {
      cwd: ROOT,
    });
    const archive = join(work, `${name}-${version}.tgz`);
    const sum = `sha512-${createHash("sha512")
      .update(await readFile(archive))
      .digest("base64")}`;
    if (sum !== integrity) {
      throw new Error(
        `${name}@${version} is ${sum}, package-lock.json has ${integrity}: not the pinned one`,
      );
    }
    await run("tar", ["-xzf", archive, "-C", work, "package/bin/node", "package/LICENSE"]);
    await rm(folder, { recursive: true, force: true });
    await rename(join(work, "package"), folder);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return node;
}

async function locked(name: string): Promise<{ version: string; integrity: string }> {
  const { packages } = JSON.parse(await readFile(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, { version: string; integrity?: string }>;
  };
  const entry = packages[`node_modules/${name}`];
  if (entry?.integrity === undefined) throw new Error(`package-lock.json does not pin ${name}`);
  return { version: entry.version, integrity: entry.integrity };
}

function inPath(program: string): string | undefined {
  return (process.env["PATH"] ?? "")
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
