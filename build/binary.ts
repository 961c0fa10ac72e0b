/**
 * Makes dist/eip-heal for this machine, or `node build/binary.ts arm64` dist/eip-heal-arm64: the bundle and its code
 * caches inside the pinned, stripped Node binary, as a single executable application (SEA) by @yao-pkg/pkg. The same
 * commit gives the same bytes. Run by the pinned Node; only another architecture's Node is fetched, from npm.
 */
import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import { bundle } from "./bundle.ts";
import { type Arch, HOST, toolchainFor } from "./node.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "..");
const ARCH = (process.argv[2] ?? HOST) as Arch;
const OUTPUT = join(ROOT, ARCH === HOST ? "dist/eip-heal" : `dist/eip-heal-${ARCH}`);

/**
 * V8 interprets its bytecode. To compile it asks for 512 MiB that are writable and executable at once, and dies at start
 * where that is refused: by systemd's MemoryDenyWriteExecute=, by SELinux, by strict overcommit, by a limit. There is no
 * WebAssembly then, and so no fetch. Code caches hold for a V8 with the same flags only.
 */
const NO_MACHINE_CODE = "--jitless";

/** The part of pkg that its command line does not reach: there `seaConfig` is accepted and ignored. */
interface PkgSea {
  default(
    entry: string,
    options: {
      targets: { platform: "linux"; arch: string; nodeRange: string; output: string }[];
      seaConfig: Record<string, unknown>;
    },
  ): Promise<void>;
}

process.umask(0o022);
const { node, emulator, strip } = await toolchainFor(ARCH);
const { folder, files } = await bundle();
await rm(OUTPUT, { force: true });

// What pkg takes for a Node that it has downloaded and unpacked; its home and its temporary folder are here.
const work = join(ROOT, "dist/.pkg", ARCH);
const download = join(work, ".pkg-cache/sea", `node-${process.version}-linux-${ARCH}`);
const base = join(download, "bin/node");
await rm(work, { recursive: true, force: true });
await mkdir(join(download, "bin"), { recursive: true });
for (const mark of [`${download}.tar.gz`, `${download}.tar.gz.ok`, `${base}.ok`]) {
  await writeFile(mark, "");
}
process.env["HOME"] = process.env["TMPDIR"] = work;
// Stripped before anything is injected: a binary that is stripped afterwards crashes at start.
try {
  await run(strip, ["-o", base, node]);
} catch (error) {
  // Enough for a demo on a machine without binutils.
  if ((error as NodeJS.ErrnoException).code !== "ENOENT" || ARCH !== HOST) throw error;
  console.warn(`${strip} (binutils) is not there: the binary keeps its symbols and is larger`);
  await copyFile(node, base);
}
await chmod(base, 0o755);

const assets: Record<string, string> = {};
for (const file of files) {
  const source = (assets[file] = join(folder, file));
  const cache = (assets[`${file}.cache`] = join(work, `${file}.cache`));
  // The same seed, or the order in which V8 writes its tables would be another one each time.
  await start([
    node,
    NO_MACHINE_CODE,
    "--random-seed=1",
    join(ROOT, "build/code-cache.cjs"),
    source,
    cache,
  ]);
}

const loader = join(ROOT, "build/loader.cjs");
const sea = createRequire(import.meta.url)("@yao-pkg/pkg/lib-es5/sea.js") as PkgSea;
await sea.default(loader, {
  targets: [
    { platform: "linux", arch: ARCH, nodeRange: `node${process.versions.node}`, output: OUTPUT },
  ],
  seaConfig: {
    // Its path gets into the binary: seen from pkg's folder in `work`, it is the same wherever the repository is.
    main: relative(join(work, "any"), loader),
    assets,
    disableExperimentalSEAWarning: true,
    // Nobody's NODE_OPTIONS run code in an agent with credentials, and no signal (--disable-sigusr1) opens its inspector.
    execArgvExtension: "none",
    execArgv: [
      NO_MACHINE_CODE,
      // Node reads the machine's openssl.cnf, or what OPENSSL_CONF names, before its first line of JavaScript, and
      // ends there if that is broken, closed to the unit's user or asks for what is not in its own OpenSSL.
      "--openssl-config=/dev/null",
      "--disable-sigusr1",
      // A run allocates less than three such spaces, MiB: it is over before the first garbage is collected, and there
      // is nothing for four threads to compile or to collect.
      "--min-semi-space-size=4",
      "--v8-pool-size=1",
      // Node reads on with the name that the program was called by, and takes one such as --require=evil.js (`exec -a`)
      // for an option of its own.
      "--",
    ],
  },
});
await chmod(OUTPUT, 0o755);
await rm(work, { recursive: true });

// Not "it was written" but "it runs, as what it should be": a word on standard error would be Node's about a code
// cache that it rejects.
const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as {
  version: string;
};
const { stdout, stderr } = await start([OUTPUT, "--version"], {
  NODE_OPTIONS: "--require=/nonexistent/must-be-ignored.cjs",
});
const name = relative(ROOT, OUTPUT);
if (stdout !== `eip-heal ${version}\n` || stderr !== "") {
  throw new Error(`${name} does not run as it should: ${JSON.stringify({ stdout, stderr })}`);
}
console.log(`${name}: eip-heal ${version}, ${ARCH}, ${(await stat(OUTPUT)).size} bytes`);

/** Runs a program of the architecture that is built for. */
function start(
  command: readonly string[],
  env: Record<string, string> = {},
): Promise<{ stdout: string; stderr: string }> {
  const [program, ...args] = [...emulator, ...command] as [string, ...string[]];
  return run(program, args, { env });
}
