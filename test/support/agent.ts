/** Runs the real binary as an instance of a simulated region would, and reads back all that it told. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { RunningRegion } from "../../sim/server.ts";

/**
 * What is run, with its first arguments: the built binary, or what EIP_HEAL names instead, so that a change is tested
 * without building it (`EIP_HEAL="node src/main.ts"`; "node" is the Node that runs the tests).
 */
export const [PROGRAM, ...ARGUMENTS] = programOf(process.env["EIP_HEAL"]);

function programOf(named: string | undefined): [string, ...string[]] {
  if (!named) return [resolve(import.meta.dirname, "../../dist/eip-heal")];
  const [program = "", ...args] = named.split(" ");
  return [program === "node" ? process.execPath : resolve(program), ...args];
}

export interface AgentOptions {
  readonly flags?: readonly string[];
  /** Settings and other variables of the environment. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Text of the settings file. */
  readonly conf?: string;
  /** Where EC2 is, if not in the region. */
  readonly ec2Url?: string;
  /** What starts it: a program, by its path, and its first arguments, that runs the rest of its command line. */
  readonly through?: readonly string[];
  /** The instance's /run/eip-heal, kept from one run to the next; without it each run has an empty one. */
  readonly runtime?: string;
  /** Sent SIGTERM as soon as this is so, given what it has logged. */
  readonly stopWhen?: (log: string) => boolean;
}

export interface AgentRun {
  readonly status: number | null;
  /** Lines on standard error: the log. */
  readonly log: readonly string[];
  readonly stdout: string;
  /** result.json, if it was written. */
  readonly result: Record<string, unknown> | undefined;
  /** The variables of the env file, if it was written. */
  readonly env: string | undefined;
  readonly ms: number;
}

/** Runs `eip-heal` on an instance, with its metadata, EC2 and Auto Scaling being those of the region. */
export function runAgent(
  region: RunningRegion,
  instanceId: string,
  options: AgentOptions = {},
): Promise<AgentRun> {
  return run(
    {
      AWS_EC2_METADATA_SERVICE_ENDPOINT: region.imdsUrl(instanceId),
      AWS_ENDPOINT_URL_EC2: options.ec2Url ?? region.ec2Url,
      AWS_ENDPOINT_URL_AUTO_SCALING: region.autoScalingUrl,
    },
    options,
  );
}

/** Runs `eip-heal` with these variables and nothing of this process's environment. */
export async function run(
  environment: Readonly<Record<string, string>>,
  { flags = [], conf, stopWhen, runtime, through = [], ...options }: AgentOptions = {},
): Promise<AgentRun> {
  const folder = mkdtempSync(join(tmpdir(), "eip-heal-"));
  const results = runtime ?? folder;
  try {
    const config = join(folder, "eip-heal.conf");
    writeFileSync(config, conf ?? "");
    const [program, ...first] = [...through, PROGRAM, ...ARGUMENTS] as [string, ...string[]];
    const startedAt = performance.now();
    const { status, stdout, stderr } = await new Promise<{
      status: number | null;
      stdout: string;
      stderr: string;
    }>((done) => {
      const child = execFile(
        program,
        [...first, ...(flags.includes("--config") ? [] : ["--config", config]), ...flags],
        { env: { RUNTIME_DIRECTORY: results, ...environment, ...options.environment } },
        (_, stdout, stderr) => done({ status: child.exitCode, stdout, stderr }),
      );
      if (stopWhen === undefined) return;
      let log = "";
      child.stderr?.on("data", (text: string) => (log += text));
      const watch = setInterval(() => {
        if (!stopWhen(log)) return;
        clearInterval(watch);
        child.kill("SIGTERM");
      }, 20);
      child.once("exit", () => clearInterval(watch));
    });
    const read = (name: string) =>
      existsSync(join(results, name)) ? readFileSync(join(results, name), "utf8") : undefined;
    const result = read("result.json");
    return {
      status,
      log: stderr.split("\n").filter((line) => line !== ""),
      stdout,
      result: result === undefined ? undefined : (JSON.parse(result) as Record<string, unknown>),
      env: read("env"),
      ms: performance.now() - startedAt,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
