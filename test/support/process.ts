/** The real binary as a process that is watched while it runs, and ended at any moment. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
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

/** A folder for settings and result files, which outlives a run. */
export interface Home {
  readonly folder: string;
  remove(): void;
}

export function makeHome(): Home {
  const folder = mkdtempSync(join(tmpdir(), "eip-heal-"));
  writeFileSync(join(folder, "eip-heal.conf"), "");
  return { folder, remove: () => rmSync(folder, { recursive: true }) };
}

/** Starts `eip-heal` with these variables and nothing of this process's environment. */
export function start(
  environment: Readonly<Record<string, string>>,
  home: Home,
  flags: readonly string[] = ["--log-level", "debug"],
): Running {
  // Without this variable it would ask the machine's own metadata service, if it has one.
  if (!Object.keys(environment).some((name) => name.startsWith("AWS_EC2_METADATA_SERVICE_"))) {
    throw new Error("no metadata service is given");
  }
  const startedAt = performance.now();
  const config = join(home.folder, "eip-heal.conf");
  const child = spawn(PROGRAM, [...ARGUMENTS, "--config", config, ...flags], {
    env: { RUNTIME_DIRECTORY: home.folder, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  let stdout = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  const read = (name: string) => {
    const path = join(home.folder, name);
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
