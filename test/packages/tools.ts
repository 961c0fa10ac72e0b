import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { NO_CLOUD_INIT } from "../support/skipping.ts";

/** The repository. */
export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export const { version: VERSION } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8")) as {
  version: string;
};

/** What is built for one architecture. */
export interface Built {
  /** As Node names it: the other names are in the file names. */
  readonly arch: "x64" | "arm64";
  readonly binary: string;
  /** What goes before the binary to run it here. */
  readonly emulator: readonly string[];
  readonly deb: string;
  readonly rpm: string;
  readonly debArch: string;
  readonly rpmArch: string;
}

/** What is built for this machine. */
export const HERE = built(process.arch as Built["arch"]);
export const { binary: BINARY, deb: DEB, rpm: RPM } = HERE;

/** What is built: for this machine, and for arm64 too after `make packages-all`. */
export const ALL_BUILT: readonly Built[] = [HERE, ...crossBuilt()];

function built(arch: Built["arch"]): Built {
  const native = arch === process.arch;
  const [debArch, rpmArch] = arch === "arm64" ? ["arm64", "aarch64"] : ["amd64", "x86_64"];
  return {
    arch,
    binary: `${ROOT}dist/eip-heal${native ? "" : `-${arch}`}`,
    emulator: native ? [] : ["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"],
    deb: `${ROOT}dist/eip-heal_${VERSION}_${debArch}.deb`,
    rpm: `${ROOT}dist/eip-heal-${VERSION}-1.${rpmArch}.rpm`,
    debArch,
    rpmArch,
  };
}

/** Not if it is older than what is built for this machine: that would be of another state of the sources. */
function crossBuilt(): Built[] {
  const [here, there] = ["dist/.packages", "dist/.packages-arm64"].map((stamp) =>
    statSync(`${ROOT}${stamp}`, { throwIfNoEntry: false }),
  );
  if (HERE.arch === "x64" && there !== undefined && here !== undefined && there.mtime >= here.mtime)
    return [built("arm64")];
  if (HERE.arch === "x64")
    console.warn("packages for arm64 are not tested: not built, or outdated (make packages-all)");
  return [];
}

/** For what reads or compresses a package of this size. */
export const SLOW = 180_000;

/**
 * What a test needs and is not there, for `unless`; undefined: all of it is there.
 *
 * @param needed names of programs, or absolute paths of files
 */
export function missing(...needed: string[]): string | undefined {
  const absent = needed.filter((name) =>
    name.startsWith("/")
      ? !existsSync(name)
      : spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0,
  );
  return absent.length === 0 ? undefined : `missing: ${absent.join(", ")}`;
}

/** The same for what "make .tools/.cloud-init" unpacks, if there is a package to be had. */
export function withoutCloudInit(path: string): string | undefined {
  const isMade = existsSync(`${ROOT}.tools/.cloud-init`);
  return isMade && !existsSync(`${ROOT}${path}`) ? NO_CLOUD_INIT : missing(`${ROOT}${path}`);
}

/** Standard output of a program; throws with its standard error if it fails. */
export function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, {
    cwd: ROOT,
    encoding: "utf8",
    maxBuffer: 1 << 28,
    stdio: "pipe",
  });
}

/** Status and all output of a program that may fail. */
export function attempt(
  program: string,
  ...args: string[]
): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: ROOT, encoding: "utf8" });
  return { status, output: stdout + stderr };
}

export function read(path: string): string {
  return readFileSync(`${ROOT}${path}`, "utf8");
}
