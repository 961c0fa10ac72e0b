/** The package under test. */
import { globSync } from "node:fs";
import { chmod, copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Builder } from "./image.ts";
import type { Machine } from "./machine.ts";
import { must } from "../run.ts";

const DIST = join(import.meta.dirname, "../../../dist");

/** The built .deb for this machine; BOOT_DEB names another one. */
export async function builtPackage(): Promise<string> {
  const named = process.env["BOOT_DEB"];
  if (named) return named;
  const arch = (await must(["dpkg", "--print-architecture"])).trim();
  const found = globSync(`eip-heal_*_${arch}.deb`, { cwd: DIST });
  if (found.length !== 1) {
    throw new Error(
      `dist/ should hold one eip-heal_*_${arch}.deb, it holds ${found.length}: build the packages first`,
    );
  }
  return join(DIST, found[0] ?? "");
}

/** Installs a package file with apt, on a running machine or in an image that is being made. */
export async function install(on: Builder | Machine, file: string): Promise<void> {
  const inside = "/var/tmp/package.deb";
  await copyFile(file, join(on.root, inside));
  // apt reads it as a user of its own.
  await chmod(join(on.root, inside), 0o644);
  await on.must(["apt-get", "install", "--yes", inside]);
  await on.must(["rm", inside]);
}

/**
 * The same package under another version, in `folder`.
 *
 * @param change what else is different in it
 */
export async function packageAs(
  deb: string,
  version: string,
  folder: string,
  change: (tree: string) => Promise<void> = async () => {},
): Promise<string> {
  const tree = join(folder, `eip-heal_${version}`);
  await must(["dpkg-deb", "--raw-extract", deb, tree]);
  await change(tree);
  const control = join(tree, "DEBIAN/control");
  await writeFile(
    control,
    (await readFile(control, "utf8")).replace(/^Version: .*$/m, `Version: ${version}`),
  );
  const target = join(folder, `eip-heal_${version}.deb`);
  await must(["dpkg-deb", "-Znone", "--root-owner-group", "--build", tree, target]);
  return target;
}
