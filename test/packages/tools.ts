import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The repository. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

const { version } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8")) as { version: string };
export const BINARY = `${ROOT}dist/eip-heal`;
export const DEB = `${ROOT}dist/eip-heal_${version}_amd64.deb`;
export const RPM = `${ROOT}dist/eip-heal-${version}-1.x86_64.rpm`;

/** For what reads or compresses a package of this size. */
export const SLOW = 180_000;

/**
 * Is something that a test needs not there? On a developer's machine the test is then skipped, and says so;
 * in CI its absence is a failure.
 * @param needed names of programs, or absolute paths of files
 */
export function missing(...needed: string[]): boolean {
  const absent = needed.filter((name) =>
    name.startsWith("/")
      ? !existsSync(name)
      : spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0,
  );
  if (absent.length === 0) return false;
  const what = `missing: ${absent.join(", ")}`;
  if (process.env["CI"]) throw new Error(`${what} (not skipped, because CI is set)`);
  console.warn(`tests skipped, ${what}`);
  return true;
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
