/**
 * Makes dist/eip-heal for this machine, or `node build/binary.ts arm64` dist/eip-heal-arm64: a snapshot of the bundle,
 * evaluated, inside the pinned, stripped Node binary, as a single executable application (SEA) by @yao-pkg/pkg. The same
 * commit gives the same bytes. Run by the pinned Node; only another architecture's Node is fetched, from npm.
 */
import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import { bundle } from "./bundle.ts";
import { type Arch, HOST, toolchainFor } from "./node.ts";
import { makeBlob } from "./snapshot.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "..");
const ARCH = (process.argv[2] ?? HOST) as Arch;
const OUTPUT = join(ROOT, ARCH === HOST ? "dist/eip-heal" : `dist/eip-heal-${ARCH}`);

/** A snapshot, and each code cache, holds for a V8 with the same flags only. */
const V8_FLAGS = [
  // V8 interprets its bytecode. To compile it asks for 512 MiB that are writable and executable at once, and dies at start
  // where that is refused: by systemd's MemoryDenyWriteExecute=, by SELinux, by strict overcommit, by a limit. There is no
  // WebAssembly then, and so no fetch.
  "--jitless",
  // The seed of V8's hash tables is that of the build. A new one takes 4 ms of processor time at each start, a tenth of a
  // recheck's. It would protect a server from those who fill its tables with what falls into one place; a run reads a few
  // answers of AWS, of limited length.
  "--no-rehash-snapshot",
  // A run allocates less than three such spaces, MiB: it is over before the first garbage is collected, and there is
  // nothing for four threads to compile or to collect.
  "--min-semi-space-size=4",
];

const EXEC_ARGV = [
  ...V8_FLAGS,
  "--v8-pool-size=1",
  // Node reads the machine's openssl.cnf, or what OPENSSL_CONF names, before its first line of JavaScript, and
  // ends there if that is broken, closed to the unit's user or asks for what is not in its own OpenSSL.
  "--openssl-config=/dev/null",
  "--disable-sigusr1",
  // Node reads on with the name that the program was called by, and takes one such as --require=evil.js (`exec -a`)
  // for an option of its own.
  "--",
];

/** The part of pkg that its command line does not reach. */
interface PkgSea {
  default(
    entry: string,
    options: {
      targets: { platform: "linux"; arch: string; nodeRange: string; output: string }[];
    },
  ): Promise<void>;
}

process.umask(0o022);
const { node, emulator, strip } = await toolchainFor(ARCH);
const { folder, files } = await bundle();
await rm(OUTPUT, { force: true });

const work = join(ROOT, "dist/.pkg", ARCH);
await rm(work, { recursive: true, force: true });
await mkdir(work, { recursive: true });
const base = join(work, "node");
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

const blob = await makeBlob({
  node: [...emulator, relative(ROOT, base)],
  flags: V8_FLAGS,
  execArgv: EXEC_ARGV,
  folder: relative(ROOT, folder),
  files,
  work: relative(ROOT, work),
});
// What pkg takes for a Node that it has downloaded and unpacked; its home and its temporary folder are in `work`. It has
// the blob made by that one, or for another architecture by the one that runs it, and passes no flags; so this is a program
// that hands over the blob, and then the Node that it goes into.
const download = join(work, ".pkg-cache/sea", `node-${process.version}-linux-${ARCH}`);
const downloaded = join(download, "bin/node");
await mkdir(join(download, "bin"), { recursive: true });
for (const mark of [`${download}.tar.gz`, `${download}.tar.gz.ok`, `${downloaded}.ok`]) {
  await writeFile(mark, "");
}
const handOver = `#!/bin/sh\ncp '${blob}' sea-prep.blob && mv '${base}' '${downloaded}'\n`;
await writeFile(downloaded, handOver, { mode: 0o755 });
process.env["HOME"] = process.env["TMPDIR"] = work;
process.execPath = downloaded;
const sea = createRequire(import.meta.url)("@yao-pkg/pkg/lib-es5/sea.js") as PkgSea;
const nodeRange = `node${process.versions.node}`;
await sea.default(blob, {
  targets: [{ platform: "linux", arch: ARCH, nodeRange, output: OUTPUT }],
});
await chmod(OUTPUT, 0o755);
await rm(work, { recursive: true });

// Not "it was written" but "it runs, as what it should be".
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
// Where nobody answers, it has loaded what it asks with.
const told = await start([OUTPUT, "heal", "--dry-run", "--deadline=1s", "--config=/dev/null"], {
  NODE_DEBUG_NATIVE: "code_cache",
  AWS_EC2_METADATA_SERVICE_ENDPOINT: "http://127.0.0.1:1",
}).catch((error: { stderr: string }) => error);
if (!/_http_client .* is accepted/.test(told.stderr) || /is rejected/.test(told.stderr)) {
  throw new Error(`${name} rejects code caches of Node's own files: ${told.stderr}`);
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
