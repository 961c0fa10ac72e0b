/** Reads a file named by a person. Whatever it is, it is read or refused in bounded time and memory. */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";

/** Bytes. Settings files have a few hundred, a system's complete CA bundle a quarter of this. */
const MAX_BYTES = 2 ** 20;
/** Device number of /dev/null, which counts as an empty file: 1,3 (Linux, Documentation/admin-guide/devices.txt). */
const NULL_DEVICE = 0x103;

/** Why a file cannot be read. */
export class Unreadable extends Error {
  /** It stays unreadable until somebody changes the file. */
  readonly isLasting: boolean;
  /** The error code of the system, if there is one. */
  readonly code: string | undefined;

  constructor(why: string, isLasting: boolean, code?: string) {
    super(why);
    this.isLasting = isLasting;
    this.code = code;
  }
}

/** Lasting errors in words. Others may pass, such as too many open files or a disk error. */
const LASTING: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EISDIR: "it is a folder",
  ELOOP: "its links lead in a circle",
  ENAMETOOLONG: "its name is too long",
  ENODEV: "it is a device",
  ENOENT: "there is no such file",
  ENOTDIR: "a part of its path is no folder",
  ENXIO: "it is a socket or a device",
  EPERM: "permission denied",
  ERR_INVALID_ARG_VALUE: "its name holds a NUL character",
};

/**
 * Reads a UTF-8 file, without its byte order mark.
 *
 * @throws Unreadable
 */
export function readTextFile(path: string): string {
  try {
    // O_NONBLOCK: opening a FIFO without a writer would block.
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    try {
      const stats = fstatSync(file);
      const other = otherThanFile(stats);
      if (other !== undefined) throw new Unreadable(`it is ${other}`, true);
      return textOf(bytesOf(file));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (error instanceof Unreadable) throw error;
    const { code = "", message } = error as NodeJS.ErrnoException;
    const why = LASTING[code];
    throw new Unreadable(why ?? message, why !== undefined, code);
  }
}

function otherThanFile(stats: Stats): string | undefined {
  if (stats.isFile() || (stats.isCharacterDevice() && stats.rdev === NULL_DEVICE)) return undefined;
  if (stats.isDirectory()) return "a folder";
  return stats.isFIFO() ? "a pipe (FIFO)" : "a device";
}

/** Reads up to the limit without relying on st_size, which is 0 in /proc and may change. */
function bytesOf(file: number): Buffer {
  const bytes = Buffer.allocUnsafe(MAX_BYTES + 1);
  let length = 0;
  while (length <= MAX_BYTES) {
    const read = readSync(file, bytes, length, bytes.length - length, null);
    if (read === 0) return bytes.subarray(0, length);
    length += read;
  }
  throw new Unreadable(`it is longer than ${MAX_BYTES / 2 ** 20} MiB`, true);
}

function textOf(bytes: Buffer): string {
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) {
    throw new Unreadable("line 1: it is in UTF-16; save it as UTF-8", true);
  }
  // Editors on Windows write a byte order mark before UTF-8 too, which systemd would read as part of the first key.
  return bytes.toString("utf8").replace(/^\uFEFF/, "");
}
