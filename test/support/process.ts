/** The real binary as a process that is watched while it runs, and ended at any moment. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ARGUMENTS, PROGRAM } from "./agent.ts";

export interface Ended {
  readonly status: number | null;
  /** The signal that ended it, if one did. */
  readonly signal: NodeJS.Signals | null;
  /** Lines on standard error: the log. */
  readonly log: readonly string[];
  readonly stdout: string;
  /** The result files, as far as they are there: result.json, env. */
  readonly files: Readonly<Record<"result" | "env", string | undefined>>;
  /** Milliseconds that it ran. */
  readonly ms: number;
}

export interface Running {
  readonly pid: number | undefined;
  /** What it has logged so far. */
  readonly logged: () => string;
  readonly kill: (signal: NodeJS.Signals) => void;
  readonly ended: Promise<Ended>;
}

/**
 * Starts `eip-heal` with these variables and nothing of this process's environment.
 *
 * @param folder of its settings and result files; settings that are not there are empty
 */
export function start(
  environment: Readonly<Record<string, string>>,
  folder: string,
  flags: readonly string[] = ["--log-level", "debug"],
): Running {
  // Without this variable it would ask the machine's own metadata service, if it has one.
  if (!Object.keys(environment).some((name) => name.startsWith("AWS_EC2_METADATA_SERVICE_"))) {
    throw new Error("no metadata service is given");
  }
  const startedAt = performance.now();
  const config = join(folder, "eip-heal.conf");
  if (!existsSync(config)) writeFileSync(config, "");
  const child = spawn(PROGRAM, [...ARGUMENTS, "--config", config, ...flags], {
    env: { RUNTIME_DIRECTORY: folder, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  let stdout = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  const read = (name: string) => {
    const path = join(folder, name);
    return existsSync(path) ? readFileSync(path, "utf8") : undefined;
  };
  return {
    pid: child.pid,
    logged: () => log,
    kill: (signal) => child.kill(signal),
    ended: new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (status, signal) =>
        resolve({
          status,
          signal,
          log: log.split("\n").filter((line) => line !== ""),
          stdout,
          files: { result: read("result.json"), env: read("env") },
          ms: performance.now() - startedAt,
        }),
      );
    }),
  };
}
