/**
 * Makes dist/eip-heal: the bundle inside the pinned, stripped Node binary, as a single executable
 * application (SEA) by @yao-pkg/pkg. Nothing is downloaded. Run by the pinned Node: `node build/binary.ts`.
 */
import { execFile } from "node:child_process";
import { chmod, mkdir, readFile, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { bundle } from "./bundle.ts";

const run = promisify(execFile);
const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const ARCH = process.arch as "x64" | "arm64";

/** The part of pkg that its command line does not reach: there `seaConfig` is accepted and ignored. */
interface PkgSea {
  default(
    entry: string,
    options: {
      targets: { platform: "linux"; arch: string; nodeRange: string; output: string }[];
      nodePath: string;
      seaConfig: Record<string, unknown>;
    },
  ): Promise<void>;
}

const entry = await bundle();
const output = join(ROOT, "dist/eip-heal");
await rm(output, { force: true });

// Stripped before anything is injected: a binary that is stripped afterwards crashes at start.
const base = join(ROOT, "dist/.node", process.version, ARCH);
await mkdir(dirname(base), { recursive: true });
await run("strip", ["-o", base, process.execPath]);
await chmod(base, 0o755);

const sea = createRequire(import.meta.url)("@yao-pkg/pkg/lib-es5/sea.js") as PkgSea;
await sea.default(entry, {
  targets: [{ platform: "linux", arch: ARCH, nodeRange: `node${process.versions.node}`, output }],
  nodePath: base,
  seaConfig: {
    useCodeCache: true,
    disableExperimentalSEAWarning: true,
    // Nobody's NODE_OPTIONS run code in an agent with credentials, and no signal opens its inspector.
    execArgvExtension: "none",
    execArgv: ["--disable-sigusr1"],
  },
});

// Not "it was written" but "it runs, as what it should be".
const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as {
  version: string;
};
const { stdout, stderr } = await run(output, ["--version"], {
  env: { NODE_OPTIONS: "--require=/nonexistent/must-be-ignored.cjs" },
});
if (stdout !== `eip-heal ${version}\n` || stderr !== "") {
  throw new Error(`dist/eip-heal does not run as it should: ${JSON.stringify({ stdout, stderr })}`);
}
console.log(`dist/eip-heal: eip-heal ${version}, ${ARCH}, ${(await stat(output)).size} bytes`);
