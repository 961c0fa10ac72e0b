/**
 * The files in /run/eip-heal: the last result for programs (result.json) and for other units (env), the state of rechecks
 * (recheck.json), and the last write of this boot (last-write). A file that cannot be updated is removed, so that none ever
 * says something untrue.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { jsonOf } from "../model/text.ts";
import {
  type CheckedState,
  type LastResult,
  type RecheckState,
  NO_RECHECKS,
} from "../reconcile/drift.ts";
import { isReleased, type Result, type ResultWrite } from "../reconcile/precedence.ts";
import type { LastWrite, SentWrite } from "../run/ports.ts";
import { withLock } from "./lock.ts";

/** Bytes; a longer file is not ours. */
const MAX_BYTES = 1_048_576;

/**
 * The runtime folder. It is never created here: with DynamicUser= systemd creates it as a link to /run/private/eip-heal, and
 * does not start the units if something else is in its place.
 *
 * @param own RUNTIME_DIRECTORY of this process, if one of our units started it
 * @returns undefined for a run by hand if no unit has run since the boot
 */
export function folderOf(own: string | undefined): string | undefined {
  if (own !== undefined && own !== LINK) return own;
  if (isThere(LINK)) return LINK;
  // Somebody removed only the link. systemd creates it again when a unit is next started.
  return statSync(TARGET, { throwIfNoEntry: false })?.isDirectory() ? TARGET : own;
}

const LINK = "/run/eip-heal";
const TARGET = "/run/private/eip-heal";

function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  } catch {
    return true; // It exists, but only root may look inside.
  }
}

/**
 * Records a result unless the recorded one is newer. Never throws: a failure is returned.
 *
 * @param mayReplace whether it may replace the recorded one
 */
export async function writeResult(
  folder: string,
  { record, variables }: Result,
  mayReplace: (recorded: LastResult | undefined) => boolean,
): Promise<ResultWrite> {
  const path = { env: join(folder, "env"), result: join(folder, "result.json") };
  const env = variables && linesOf(variables);
  try {
    return await withLock(folder, () => {
      sweep(folder);
      const recorded = readResult(folder);
      if (recorded !== undefined && !mayReplace(recorded)) {
        return {
          is: "superseded",
          by: recorded,
          isEnvTrue: env === undefined || readText(path.env) === env,
        };
      }
      try {
        // An `env` that is no longer true is removed first, in case we are interrupted or cannot go on.
        const isSame = env !== undefined && readText(path.env) === env;
        if (!isSame) remove(path.env);
        replace(path.result, textOf(record));
        if (env !== undefined && !isSame) replace(path.env, env);
        return { is: "written", isEnvTrue: true };
      } catch (error) {
        // A recorded release is still true.
        if (recorded === undefined || !isReleased(recorded)) attempt(() => remove(path.result));
        throw error;
      }
    });
  } catch (error) {
    const isEnvTrue = env === undefined ? isAbsent(path.env) : readText(path.env) === env;
    return { is: "not written", why: (error as Error).message, isEnvTrue };
  }
}

/**
 * Records a result before the run ends, because what it is about to do makes the recorded one untrue.
 *
 * @returns a function that restores the previous files, unless another run has recorded a result meanwhile. It throws an
 *   error of the file system if it cannot; then there is no result, as far as it could be removed
 * @throws an error of the file system; then nothing has changed
 */
export function publishResult(
  folder: string,
  record: Readonly<Record<string, unknown>>,
): Promise<() => Promise<void>> {
  const env = join(folder, "env");
  const result = join(folder, "result.json");
  const text = textOf(record);
  return withLock(folder, () => {
    sweep(folder);
    const before = { env: readText(env), result: readText(result) };
    // The recorded result is another run's announcement, which may be out of date by the time this one is taken back.
    const isUnsure = readJson(result)?.["underWay"] === true;
    const staged = stage(result, text);
    try {
      remove(env);
      moveInto(staged, result);
    } catch (error) {
      attempt(() => remove(staged));
      throw error;
    }
    return async () =>
      withLock(folder, () => {
        if (readText(result) !== text) return;
        if (isUnsure || before.result === undefined) remove(result);
        else replaceOrRemove(result, before.result);
        if (!isUnsure && before.env !== undefined) replace(env, before.env);
      });
  });
}

/**
 * Removes `env`, because it is untrue or about to become so.
 *
 * @param asOf when that was found out, in milliseconds of the run's clock; a result that rests on a later request stays
 */
export function withdraw(folder: string, asOf: number): void {
  const { asOf: known = -Infinity } = readResult(folder) ?? {};
  // If this fails, writeResult reports it at the end of the run.
  if (known <= asOf) attempt(() => remove(join(folder, "env")));
}

/**
 * The last result; undefined if there is none or it cannot be read. A result `settled` without the file `env` does not
 * count: a run was interrupted between the two.
 */
export function readResult(folder: string): LastResult | undefined {
  const record = readJson(join(folder, "result.json"));
  if (!isResult(record)) return undefined;
  const env = record.outcome === "settled" ? readText(join(folder, "env")) : "";
  return env === undefined ? undefined : record;
}

function isResult(
  record: Record<string, unknown> | undefined,
): record is Record<string, unknown> & LastResult {
  return (
    typeof record?.["outcome"] === "string" &&
    typeof record["exitStatus"] === "number" &&
    (record["version"] === 1 || (record["version"] === 2 && areEntries(record["addresses"])))
  );
}

/** Whether it is the field `addresses` of a result. */
function areEntries(addresses: unknown): boolean {
  return (
    Array.isArray(addresses) &&
    addresses.every((one: unknown) => {
      const { wanted, outcome } = (one ?? {}) as Record<string, unknown>;
      return typeof wanted === "string" && typeof outcome === "string";
    })
  );
}

/** The last result with all of its fields, or why it cannot be shown. */
export function readRecord(
  folder: string,
): { known: true; result: Record<string, unknown> } | { known: false; because: string } {
  const path = join(folder, "result.json");
  try {
    lstatSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return {
      known: false,
      because:
        code === "EACCES" ? `${path} can be read by root only: sudo eip-heal status` : NO_RESULT,
    };
  }
  const record = readJson(path);
  return isResult(record)
    ? { known: true, result: record }
    : {
        known: false,
        because: `${path} is of another version, or cannot be read; the next run replaces it: sudo eip-heal`,
      };
}

export const NO_RESULT = "none since boot";

/** Reads recheck.json. */
export function readRecheckState(folder: string): RecheckState {
  const record: unknown = readJson(join(folder, "recheck.json"));
  if (!isCheckedState(record)) return NO_RECHECKS;
  const { moves, disagreements, addresses } = record as RecheckState;
  const areStates = Object.values(addresses ?? {}).every(isCheckedState);
  return { moves, disagreements, ...(addresses && areStates && { addresses }) };
}

function isCheckedState(value: unknown): value is CheckedState {
  const { moves, disagreements } = (value ?? {}) as Record<string, unknown>;
  return (
    Array.isArray(moves) &&
    moves.every((at) => typeof at === "number") &&
    typeof disagreements === "number"
  );
}

/** Writes recheck.json. @throws an error of the file system; the file is then removed */
export function writeRecheckState(folder: string, memory: RecheckState): void {
  replaceOrRemove(join(folder, "recheck.json"), `${JSON.stringify(memory)}\n`);
}

/**
 * The record of the last write of this boot. Without a folder, or without permission to write there, nothing is recorded,
 * and a run by hand goes on without it.
 *
 * @param address one of several, by its name in the settings or the tag; each has a record of its own. Without it, it is
 *   the record of the only one
 * @param formerly other names of this address: it may have been in the settings by one of them
 * @param wasAnother the only one was another address, so what was carried out is not known of this one
 */
export function lastWriteIn(
  folder: string | undefined,
  address?: string,
  formerly: readonly string[] = [],
  wasAnother = false,
): LastWrite {
  if (folder === undefined) return { read: () => undefined, record: () => {} };
  const shared = "last-write";
  const fileOf = (name: string) => `${shared}-${name.replaceAll(".", "-")}`;
  const path = join(folder, address === undefined ? shared : fileOf(address));
  const readAll = (names: readonly string[]) =>
    names.flatMap((name) => readWrite(join(folder, name)) ?? []);
  /** There may have been one address before and several now, or the other way round, this one among them. */
  const writesKnown = () => {
    if (address === undefined) {
      return readAll(namesIn(folder).filter((name) => LAST_WRITE.test(name)));
    }
    const own = readAll([address, ...formerly].map(fileOf));
    // What is recorded for this one began with what was known of the only one then.
    const newer = readAll([shared]).filter(({ at }) => own.every((one) => one.at < at));
    return [...own, ...newer.map((one) => (wasAnother ? { ...one, wroteThisBoot: false } : one))];
  };
  return {
    read: () => {
      const writes = writesKnown();
      const [latest] = writes.toSorted((one, other) => other.at - one.at);
      return latest && { ...latest, wroteThisBoot: writes.some((one) => one.wroteThisBoot) };
    },
    record: (write) =>
      attempt(() => {
        if (write === undefined) return remove(path);
        const { at, wroteThisBoot: hasWritten } = write;
        replaceOrRemove(path, `${JSON.stringify({ at, hasWritten })}\n`);
      }),
  };
}

/** The names of the files with the last writes. */
const LAST_WRITE = /^last-write(?:-[0-9a-z-]+)?$/;

function readWrite(path: string): SentWrite | undefined {
  const { at, hasWritten } = readJson(path) ?? {};
  return typeof at === "number" && typeof hasWritten === "boolean"
    ? { at, wroteThisBoot: hasWritten }
    : undefined;
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function textOf(record: Readonly<Record<string, unknown>>): string {
  return `${jsonOf(record, 2)}\n`;
}

function linesOf(variables: Readonly<Record<string, string>>): string {
  return (
    Object.entries(variables)
      // A shell that reads the file needs quotes where there are blanks, and systemd takes them too.
      .map(([name, value]) => `${name}=${value.includes(" ") ? `"${value}"` : value}\n`)
      .join("")
  );
}

function readJson(path: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(readText(path) ?? "");
    return typeof value === "object" && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined; // no JSON: not there, or not ours
  }
}

/** The content of a regular file. Symbolic links are not followed, and a FIFO would block. */
function readText(path: string): string | undefined {
  let file: number | undefined;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stats = fstatSync(file);
    return stats.isFile() && stats.size <= MAX_BYTES ? readFileSync(file, "utf8") : undefined;
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function isAbsent(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) === undefined;
  } catch {
    return false; // It exists, but only root may look.
  }
}

function replaceOrRemove(path: string, content: string): void {
  try {
    replace(path, content);
  } catch (error) {
    attempt(() => remove(path));
    throw error;
  }
}

/** Replaces a file atomically. */
function replace(path: string, content: string): void {
  const staged = stage(path, content);
  try {
    moveInto(staged, path);
  } catch (error) {
    attempt(() => remove(staged));
    throw error;
  }
}

/** Writes the content to a temporary file beside `path`, with the process id as suffix. */
function stage(path: string, content: string): string {
  const staged = `${path}.${process.pid}`;
  // It may be a symbolic link, through which nothing must be written.
  remove(staged);
  try {
    writeFileSync(staged, content, { flag: "wx" });
    // Root's umask may be 077, and the unit, which runs as another user, has to read the file.
    chmodSync(staged, 0o644);
  } catch (error) {
    attempt(() => remove(staged));
    throw error;
  }
  return staged;
}

function moveInto(staged: string, path: string): void {
  try {
    renameSync(staged, path);
  } catch {
    // rename(2) does not replace a folder by a file.
    remove(path);
    renameSync(staged, path);
  }
}

/** Removes a file, a symbolic link (not its target) or a folder with its content, if it exists. */
function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return;
    if (code !== "EISDIR" && code !== "EPERM") throw error;
    rmSync(path, { recursive: true });
  }
}

/** Calls `work` and ignores errors. */
function attempt(work: () => void): void {
  try {
    work();
  } catch {
    // Best effort.
  }
}

/** Removes the temporary files of killed processes: see `stage`. */
function sweep(folder: string): void {
  for (const name of readdirSync(folder)) {
    const [, id] =
      /^(?:env|result\.json|recheck\.json|last-write(?:-[0-9a-z-]+)?)\.([1-9]\d*)$/.exec(name) ??
      [];
    if (id !== undefined && !isRunning(Number(id))) attempt(() => remove(join(folder, name)));
  }
}

function isRunning(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
