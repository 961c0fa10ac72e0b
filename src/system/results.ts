/**
 * The files in /run/eip-heal: what the last run found, for programs (result.json) and for other units (env),
 * what rechecks remember (recheck.json), and when a run has sent its last write (last-write). Each is true or absent:
 * what cannot be written is removed.
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
import { type LastResult, type RecheckState, NO_RECHECKS } from "../reconcile/drift.ts";
import { isGivenUp, type ResultWrite } from "../reconcile/precedence.ts";
import type { LastWrite } from "../run/ports.ts";
import { alone } from "./lock.ts";

/** Bytes; what is longer is not ours. */
const LONGEST = 1_048_576;

/** What a run leaves: the record, and the variables of other units if the address is here. */
interface Result {
  readonly record: Readonly<Record<string, unknown>>;
  readonly variables: Readonly<Record<string, string>> | undefined;
}

/**
 * The folder, which is never made here: systemd makes it for the units, as a link to one of a user that comes and goes,
 * and would not start them where there is another one in its place.
 *
 * @param own what systemd has made for this process
 * @returns undefined by hand, where no unit has run since the boot
 */
export function folderOf(own: string | undefined): string | undefined {
  if (own !== undefined && own !== LINK) return own;
  if (isThere(LINK)) return LINK;
  // The link alone has been removed, by hand: systemd makes it again with the next start of a unit.
  return statSync(TARGET, { throwIfNoEntry: false })?.isDirectory() ? TARGET : own;
}

const LINK = "/run/eip-heal";
const TARGET = "/run/private/eip-heal";

function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  } catch {
    return true; // Only root may look.
  }
}

/**
 * Leaves a result, unless the one that is there is to stay. Never throws: what has come of it is returned.
 *
 * @param mayReplace may it take the place of that one?
 */
export async function writeResult(
  folder: string,
  { record, variables }: Result,
  mayReplace: (standing: LastResult | undefined) => boolean,
): Promise<ResultWrite> {
  const path = { env: join(folder, "env"), result: join(folder, "result.json") };
  const env = variables && linesOf(variables);
  try {
    return await alone(folder, () => {
      sweep(folder);
      const standing = readResult(folder);
      if (standing !== undefined && !mayReplace(standing)) {
        return {
          is: "superseded",
          by: standing,
          isEnvTrue: env === undefined || readText(path.env) === env,
        };
      }
      try {
        // What is not true any more goes first: whatever comes in between, nobody is told it.
        const isSame = env !== undefined && readText(path.env) === env;
        if (!isSame) remove(path.env);
        replace(path.result, textOf(record));
        if (env !== undefined && !isSame) replace(path.env, env);
        return { is: "written", isEnvTrue: true };
      } catch (error) {
        if (env === undefined || readText(path.env) !== env) attempt(() => remove(path.env));
        // That it is being given up is true still.
        if (standing === undefined || !isGivenUp(standing)) attempt(() => remove(path.result));
        throw error;
      }
    });
  } catch (error) {
    const isEnvTrue = env === undefined ? isAbsent(path.env) : readText(path.env) === env;
    return { is: "not written", why: (error as Error).message, isEnvTrue };
  }
}

/**
 * Writes at once what a run is about to do, which makes what is there untrue.
 *
 * @returns writes back what was there before, unless somebody else has left a result meanwhile
 * @throws what the file system throws; then nothing has changed
 */
export function publishResult(
  folder: string,
  record: Readonly<Record<string, unknown>>,
): Promise<() => Promise<void>> {
  const env = join(folder, "env");
  const result = join(folder, "result.json");
  const text = textOf(record);
  return alone(folder, () => {
    sweep(folder);
    const before = { env: readText(env), result: readText(result) };
    // One that somebody else is about to do may have come to nothing when this is taken back.
    const isUnsure = readJson(result)?.["underWay"] === true;
    const staged = stage(result, text);
    try {
      remove(env);
      put(staged, result);
    } catch (error) {
      attempt(() => remove(staged));
      throw error;
    }
    return async () =>
      alone(folder, () => {
        if (readText(result) !== text) return;
        if (isUnsure || before.result === undefined) remove(result);
        else replace(result, before.result);
        if (!isUnsure && before.env !== undefined) replace(env, before.env);
      });
  });
}

/**
 * Takes back what other units are told, before it becomes untrue or because it has.
 *
 * @param asOf when that was found out; a result that rests on a later look stays
 */
export function withdraw(folder: string, asOf: number): void {
  const { asOf: known = -Infinity } = readResult(folder) ?? {};
  // The run itself tells at its end whether this could be done.
  if (known <= asOf) attempt(() => remove(join(folder, "env")));
}

/**
 * The last result, or undefined if there is none that can be read. One that says that the address is here is none
 * without the file that tells others so: a run was interrupted.
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
    record["version"] === 1
  );
}

/** The last result as it stands there, or why there is none to be shown. */
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
      because: code === "EACCES" ? `${path} can be read by root only` : NO_RESULT,
    };
  }
  const record = readJson(path);
  return isResult(record)
    ? { known: true, result: record }
    : { known: false, because: `${path} is of another version, or cannot be read` };
}

export const NO_RESULT = "no run has left a result since the boot";

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

/** @throws what the file system throws; then nothing is remembered any more */
export function writeRecheckState(folder: string, memory: RecheckState): void {
  replaceOrRemove(join(folder, "recheck.json"), `${JSON.stringify(memory)}\n`);
}

/**
 * What is kept of the last write of this boot; its time is that of the clock that starts with the boot. Without a
 * folder, or without the right to write there, nothing is remembered: a run by hand goes on all the same.
 */
export function lastWriteIn(folder: string | undefined): LastWrite {
  if (folder === undefined) return { read: () => undefined, record: () => {} };
  const path = join(folder, "last-write");
  return {
    read: () => {
      const { at, hasWritten } = readJson(path) ?? {};
      return typeof at === "number" && typeof hasWritten === "boolean"
        ? { at, hasWritten }
        : undefined;
    },
    record: (write) =>
      attempt(() =>
        write === undefined ? remove(path) : replaceOrRemove(path, `${JSON.stringify(write)}\n`),
      ),
  };
}

function textOf(record: Readonly<Record<string, unknown>>): string {
  return `${jsonOf(record, 2)}\n`;
}

function linesOf(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}

function readJson(path: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(readText(path) ?? "");
    return typeof value === "object" && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined; // not there, or half of another version's
  }
}

/** What is in a plain file. Nothing else is read: a link leads elsewhere, and a FIFO would be waited for. */
function readText(path: string): string | undefined {
  let file: number | undefined;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const about = fstatSync(file);
    return about.isFile() && about.size <= LONGEST ? readFileSync(file, "utf8") : undefined;
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
    return false; // Only root may look.
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

/** Whole or not at all. */
function replace(path: string, content: string): void {
  const staged = stage(path, content);
  try {
    put(staged, path);
  } catch (error) {
    attempt(() => remove(staged));
    throw error;
  }
}

/** Writes what is to stand at the path beside it, under a name of this process. */
function stage(path: string, content: string): string {
  const staged = `${path}.${process.pid}`;
  // Whatever lies there under that name, a link elsewhere perhaps, is not written through.
  remove(staged);
  try {
    writeFileSync(staged, content, { flag: "wx" });
    // The unit is another user than root, whose shell may let nobody else read what it writes.
    chmodSync(staged, 0o644);
  } catch (error) {
    attempt(() => remove(staged));
    throw error;
  }
  return staged;
}

function put(staged: string, path: string): void {
  try {
    renameSync(staged, path);
  } catch {
    // A folder, which a file does not take the place of.
    remove(path);
    renameSync(staged, path);
  }
}

/** Removes what is there, if anything is: a link and not what it leads to, a folder with all that is in it. */
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

function attempt(what: () => void): void {
  try {
    what();
  } catch {
    // It was worth a try.
  }
}

/** Removes what processes that were killed have not: see `stage`. */
function sweep(folder: string): void {
  for (const name of readdirSync(folder)) {
    const [, id] = /^(?:env|result\.json|recheck\.json|last-write)\.([1-9]\d*)$/.exec(name) ?? [];
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
