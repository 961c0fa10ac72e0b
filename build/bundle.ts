/**
 * Bundles src/main.ts into CommonJS files for the binary, tree-shaken, and lists the packages that are in
 * them (for the copyright file). What the program imports only when it needs it is a file of its own, which
 * is not read before. rolldown, because it can shake the SDK's schemas without a plugin.
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown, type Plugin } from "rolldown";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** A package that is in the bundle. */
export interface BundledPackage {
  /** Its folder in the repository, which is its key in package-lock.json too. */
  readonly folder: string;
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

/** What is imported and never runs, or does the same with more, with what stands in for it. */
const STAND_INS: Readonly<Record<string, string>> = {
  // The default chain of credential providers (profiles, SSO, processes …): ours are passed explicitly.
  "@aws-sdk/credential-provider-node":
    'export const defaultProvider = () => () => Promise.reject(new Error("no credential chain in eip-heal"));',
  // Profile files, which every setting would be looked for in: on an image they are somebody else's business. Without
  // them the promises of node:fs and its pool of threads are not loaded either.
  "../shared-ini-file-loader/loadSharedConfigFiles":
    "export const loadSharedConfigFiles = async () => ({ configFile: {}, credentialsFile: {} });",
  // EC2 has no operation with a stream of events. Brings checksums and node:zlib.
  "@smithy/core/event-streams": "export {};",
  // Of this winston wants the colours of its levels; the formatter that is used is imported by itself.
  logform: "module.exports = { levels: (config) => config };",
  // Numbers the SDK's requests by the global `crypto`, and to ask for that is to load all of Web Cryptography.
  "./uuid/v4": 'import { randomUUID } from "node:crypto"; export const bindV4 = () => randomUUID;',
  // winston's own debugging output, in colour, and what it logs when a program crashes, which we do ourselves.
  "@dabh/diagnostics": "module.exports = () => () => {};",
  "./exception-handler": "module.exports = class {};",
  "./rejection-handler": "module.exports = class {};",
  // The format of those who give none.
  "logform/json": "module.exports = () => {};",
  // With one transport to wait for at the end, there is nothing to take turns.
  "async/forEach":
    "module.exports = (all, each, done) => all.length === 1 ? each(all[0], done) : done(new Error('one transport'));",
  // A copy of Node's own streams for old Nodes.
  "readable-stream": 'module.exports = require("node:stream");',
  "readable-stream/lib/_stream_writable.js": 'module.exports = require("node:stream").Writable;',
};

const standIns: Plugin = {
  name: "stand-ins",
  resolveId: (id) => (Object.hasOwn(STAND_INS, id) ? `\0stand-in:${id}` : undefined),
  load: (id) =>
    id.startsWith("\0stand-in:") ? STAND_INS[id.slice("\0stand-in:".length)] : undefined,
};

/** The file that the program starts with. */
const MAIN = "eip-heal.cjs";

/**
 * Writes the files into dist/bundle, each a function of (require, module, exports) for build/loader.cjs, and
 * dist/bundled-packages.json; returns the folder and the names of the files, by which they require each other.
 */
export async function bundle(): Promise<{ folder: string; files: string[] }> {
  const folder = join(ROOT, "dist/bundle");
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const build = await rolldown({
    input: join(ROOT, "src/main.ts"),
    platform: "node",
    // The SDK's ES modules can be shaken, its CommonJS cannot.
    resolve: { mainFields: ["module", "main"] },
    plugins: [standIns],
    preserveEntrySignatures: "allow-extension",
  });
  const { output } = await build.generate({
    format: "cjs",
    minify: true,
    entryFileNames: MAIN,
    chunkFileNames: "[name].cjs",
    // What the clients of AWS services have in common is one file, for each costs a little to load.
    codeSplitting: { groups: [{ name: "sdk", test: /node_modules/, minShareCount: 2 }] },
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
    const text = `(function (require, module, exports) {${ascii}\n})`;
    await writeFile(join(folder, chunk.fileName), text);
    files.push(chunk.fileName);
  }

  const modules = output.flatMap((chunk) => (chunk.type === "chunk" ? chunk.moduleIds : []));
  const folders = new Set(
    modules.flatMap(
      (id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id.replace(/^\0/, "")) ?? [],
    ),
  );
  // What it writes itself to hold the files together.
  if (modules.some((id) => id.startsWith("\0rolldown/")))
    folders.add(join(ROOT, "node_modules/rolldown"));
  const packages = await Promise.all([...folders].map(describePackage));
  packages.sort((a, b) => a.folder.localeCompare(b.folder, "en"));
  await writeFile(
    join(ROOT, "dist/bundled-packages.json"),
    `${JSON.stringify(packages, null, 2)}\n`,
  );
  return { folder, files };
}

async function describePackage(folder: string): Promise<BundledPackage> {
  const { name, version, license } = JSON.parse(
    await readFile(join(folder, "package.json"), "utf8"),
  ) as BundledPackage;
  return { folder: relative(ROOT, folder), name, version, license };
}
