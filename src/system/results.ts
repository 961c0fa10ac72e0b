/**
 * The files in /run/eip-heal: what the last run found, for programs (result.json) and for other units (env),
 * what rechecks remember (recheck.json), and when a run has sent its last write (last-write).
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jsonOf } from "../model/text.ts";
import type { LastWrite } from "../run/ports.ts";
import { type LastResult, type RecheckState, NO_RECHECKS } from "../reconcile/drift.ts";

/**
 * Writes both files, each whole or not at all. Without variables there is no `env`: a unit that needs the
 * address must not start with one that is not here any more.
 *
 * @param folder `/run/eip-heal`, or what systemd gives as RUNTIME_DIRECTORY
 * @throws what the file system throws
 */
export function writeResults(
  folder: string,
  record: Readonly<Record<string, unknown>>,
  variables: Readonly<Record<string, string>> | undefined,
): void {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const env = join(folder, "env");
  if (variables === undefined) rmSync(env, { force: true });
  else {
    const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`);
    replace(env, lines.join(""));
  }
  replace(join(folder, "result.json"), `${jsonOf(record, 2)}\n`);
}

/** Remembers both files as they are; returns how to write them back. */
export function snapshotResults(folder: string): () => void {
  const texts = ["env", "result.json"].map((name) => {
    try {
      return [name, readFileSync(join(folder, name), "utf8")] as const;
    } catch {
      return [name, undefined] as const;
    }
  });
  return () => {
    for (const [name, text] of texts) {
      if (text === undefined) rmSync(join(folder, name), { force: true });
      else replace(join(folder, name), text);
    }
  };
}

/** The last result, or undefined if there is none that can be read. */
export function readResult(folder: string): LastResult | undefined {
  const record = readJson(join(folder, "result.json"));
  const isResult =
    typeof record?.["outcome"] === "string" &&
    typeof record["exitStatus"] === "number" &&
    record["version"] === 1;
  return isResult ? (record as unknown as LastResult) : undefined;
}

/** The last result as it stands there, or why there is none to be shown. */
export function readRecord(
  folder: string,
): { known: true; result: Record<string, unknown> } | { known: false; because: string } {
  const path = join(folder, "result.json");
  try {
    readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return {
      known: false,
      because:
        code === "EACCES"
          ? `${path} can be read by root only`
          : "no run has left a result since the boot",
    };
  }
  return readResult(folder) === undefined
    ? { known: false, because: `${path} is of another version` }
    : { known: true, result: readJson(path) ?? {} };
}

/** What rechecks remember. */
export function readRecheckState(folder: string): RecheckState {
  const record = readJson(join(folder, "recheck.json"));
  const { moves, disagreements } = record ?? {};
  const isState =
    Array.isArray(moves) &&
    moves.every((at) => typeof at === "number") &&
    typeof disagreements === "number";
  return isState ? { moves, disagreements } : NO_RECHECKS;
}

export function writeRecheckState(folder: string, memory: RecheckState): void {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  replace(join(folder, "recheck.json"), `${JSON.stringify(memory)}\n`);
}

/**
 * What is kept of the last write of this boot; its time is that of the clock that starts with the boot. Without a
 * folder, or without the right to write there, nothing is remembered: a run by hand goes on all the same.
 */
export function lastWriteIn(folder: string): LastWrite {
  const path = join(folder, "last-write");
  return {
    read: () => {
      const { at, hasWritten } = readJson(path) ?? {};
      return typeof at === "number" && typeof hasWritten === "boolean"
        ? { at, hasWritten }
        : undefined;
    },
    record: (write) => {
      try {
        if (write === undefined) rmSync(path, { force: true });
        else replace(path, `${JSON.stringify(write)}\n`);
      } catch {
        // See above.
      }
    },
  };
}

function readJson(path: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    return typeof value === "object" && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined; // not there, or half of another version's
  }
}

function replace(path: string, content: string): void {
  const next = `${path}.${process.pid}`;
  // Whatever lies there under that name, a link elsewhere perhaps, is not written through.
  rmSync(next, { force: true });
  writeFileSync(next, content, { mode: 0o644, flag: "wx" });
  renameSync(next, path);
}
