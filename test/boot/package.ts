/** The package under test. */
import { globSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { must } from "./run.ts";

const DIST = join(import.meta.dirname, "../../dist");

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

/** The same package under a higher version, in `folder`. */
export async function newerPackage(deb: string, version: string, folder: string): Promise<string> {
  const tree = join(folder, "newer");
  await must(["dpkg-deb", "--raw-extract", deb, tree]);
  const control = join(tree, "DEBIAN/control");
  await writeFile(
    control,
    (await readFile(control, "utf8")).replace(/^Version: .*$/m, `Version: ${version}`),
  );
  const target = join(folder, `eip-heal_${version}.deb`);
  await must(["dpkg-deb", "-Znone", "--root-owner-group", "--build", tree, target]);
  return target;
}
