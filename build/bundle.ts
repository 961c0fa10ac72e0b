/**
 * Bundles src/main.ts into CommonJS files for the binary, tree-shaken, and lists the packages that are in
 * them (for the copyright file). What the program imports only when it needs it is a file of its own, which
 * is not read before. rolldown, because it can shake the SDK's schemas without a plugin.
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Plugin, rolldown } from "rolldown";
import plugin, { type Dependency } from "rollup-plugin-license";
import { standIns } from "./stand-ins.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** A package that is in the bundle, with what has to be passed on with it. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  /** Its authors, as package.json names them. */
  readonly author?: string;
  readonly licenseText?: string;
  readonly noticeText?: string;
}

/** CommonJS whose types tell of an ES module. */
const license = plugin as unknown as typeof plugin.default;

/** The file that the program starts with. */
const MAIN = "eip-heal.cjs";

/**
 * Writes the files into dist/bundle, as CommonJS that build/snapshot.cjs evaluates, and dist/bundled-packages.json; returns
 * the folder and the names of the files, by which they require each other.
 */
export async function bundle(): Promise<{ folder: string; files: string[] }> {
  const folder = join(ROOT, "dist/bundle");
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  let found: readonly Dependency[] = [];
  const build = await rolldown({
    input: join(ROOT, "src/main.ts"),
    platform: "node",
    // The SDK's ES modules can be shaken, its CommonJS cannot.
    resolve: { mainFields: ["module", "main"] },
    plugins: [
      standIns(),
      license({
        cwd: ROOT,
        thirdParty: { multipleVersions: true, output: (dependencies) => (found = dependencies) },
      }) as unknown as Plugin,
    ],
    preserveEntrySignatures: "allow-extension",
  });
  const { output } = await build.generate({
    format: "cjs",
    minify: true,
    entryFileNames: MAIN,
    chunkFileNames: "[name].cjs",
    // What the clients of AWS services have in common is one file, for each costs a little to load.
    // What instance metadata is read with stays out of it: a recheck that finds nothing wrong needs no more of the SDK.
    codeSplitting: {
      groups: [{ name: "sdk", test: /node_modules/, minShareCount: 2 }],
      includeDependenciesRecursively: false,
    },
    // The code cache knows no import(): it becomes a require().
    dynamicImportInCjs: false,
  });
  await build.close();
  const files: string[] = [];
  for (const chunk of output) {
    if (chunk.type !== "chunk") throw new Error(`${chunk.fileName} is no code`);
    // In ASCII V8 needs one byte for each character.
    const ascii = chunk.code.replaceAll(
      /[^\0-\x7f]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
    await writeFile(join(folder, chunk.fileName), ascii);
    files.push(chunk.fileName);
  }

  const packages = found.map(describe);
  // What it writes itself to hold the files together.
  if (output.some((chunk) => chunk.type === "chunk" && chunk.moduleIds.some(isRuntime))) {
    packages.push(await describeBundler());
  }
  const key = ({ name, version }: BundledPackage) => `${name} ${version}`;
  packages.sort((a, b) => (key(a) < key(b) ? -1 : 1));
  await writeFile(
    join(ROOT, "dist/bundled-packages.json"),
    `${JSON.stringify(packages, null, 2)}\n`,
  );
  return { folder, files };
}

function describe(dependency: Dependency): BundledPackage {
  const { name, version, license: spdx, author, licenseText, noticeText } = dependency;
  if (!name || !version || !spdx) throw new Error(`${dependency.text()}: without a licence`);
  return {
    name,
    version,
    license: spdx,
    ...(author && { author: author.name }),
    ...(licenseText && { licenseText }),
    ...(noticeText && { noticeText }),
  };
}

const isRuntime = (id: string): boolean => id.startsWith("\0rolldown/");

async function describeBundler(): Promise<BundledPackage> {
  const folder = join(ROOT, "node_modules/rolldown");
  const {
    name,
    version,
    license: spdx,
  } = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as BundledPackage;
  return {
    name,
    version,
    license: spdx,
    licenseText: await readFile(join(folder, "LICENSE"), "utf8"),
  };
}
