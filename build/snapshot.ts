/**
 * Makes what the binary starts from: a snapshot of the heap after the bundle has been evaluated, as the blob of a single
 * executable application (SEA). V8 need not read and compile the bundle at each start then, nor Node's own files: the code
 * caches of those that are in Node are rejected where V8 has other flags than they were made with.
 *
 * Node refuses to start from a snapshot of another version, architecture or set of flags. It is the same on all CPUs of an
 * architecture, since it has no machine code in it.
 */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { withCodeCaches } from "./code-caches.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "..");

/** Its path gets into the binary: seen like this it is the same wherever the project is. */
const MAIN = "/proc/self/cwd/build/snapshot.cjs";

/** What runs and rechecks need, with all that it requires. The other files stay outside and are read by those who need them. */
const EVALUATED = ["eip-heal.cjs", "ec2-api.cjs", "recheck.cjs"];

/** What runs load of Node, each with all that it loads; some of it is in the snapshot. */
const LOADED = [
  'require("node:http")',
  'require("node:https")',
  'require("node:tls")',
  'require("node:dns")',
  'require("node:tty")',
  // To listen on a socket.
  'require("node:cluster")',
  // To read the files that are not in the snapshot.
  'require("node:sea")',
  'require("node:util").parseArgs',
];

export interface Blob {
  /** The command that starts the Node that it is for, in the project's folder. */
  readonly node: readonly string[];
  /** Its flags for V8. */
  readonly flags: readonly string[];
  /** All of the arguments that it gets at each start. */
  readonly execArgv: readonly string[];
  /** The bundle, seen from the project's folder. */
  readonly folder: string;
  readonly files: readonly string[];
  /** A folder for what is written, seen from there. */
  readonly work: string;
}

/** Writes the blob, and returns its path. The same input gives the same bytes. */
export async function makeBlob({
  node,
  flags,
  execArgv,
  folder,
  files,
  work,
}: Blob): Promise<string> {
  const config = join(work, "sea-config.json");
  const output = join(work, "sea.blob");
  const lateList = join(work, "late.json");
  const assets = files.filter((file) => !EVALUATED.includes(file));
  await writeFile(
    join(ROOT, config),
    JSON.stringify({
      main: MAIN,
      output,
      useSnapshot: true,
      disableExperimentalSEAWarning: true,
      assets: Object.fromEntries(assets.map((file) => [file, join(folder, file)])),
      // Nobody's NODE_OPTIONS run code in an agent with credentials, and no signal (--disable-sigusr1) opens its inspector.
      execArgvExtension: "none",
      execArgv,
    }),
  );
  const [program, ...args] = [
    ...node,
    ...flags,
    // The same seed, or the order in which V8 writes its tables would be another one each time.
    "--random-seed=1",
    "--expose-internals",
    "--no-warnings",
    "--experimental-sea-config",
    config,
  ];
  const env = {
    EIP_HEAL_SNAPSHOT: JSON.stringify({
      folder,
      evaluated: EVALUATED,
      ofNode: await filesOfNode(),
      lateList,
    }),
  };
  await run(program, args, { cwd: ROOT, env });
  const late = JSON.parse(await readFile(join(ROOT, lateList), "utf8")) as string[];
  const blob = withCodeCaches(await readFile(join(ROOT, output)), late, MAIN);
  await writeFile(join(ROOT, output), blob);
  return join(ROOT, output);
}

/** The names of Node's own files that are loaded for LOADED: those of the same version on each architecture. */
async function filesOfNode(): Promise<string[]> {
  const script = `${LOADED.join("; ")}; console.log(JSON.stringify(process.moduleLoadList))`;
  const { stdout } = await run(process.execPath, ["--eval", script], { env: {} });
  return (JSON.parse(stdout) as string[]).flatMap(
    (entry) => /^NativeModule (.*)$/.exec(entry)?.[1] ?? [],
  );
}
