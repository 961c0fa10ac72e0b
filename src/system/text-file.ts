/** Files that a person has named: whatever lies there is read, or refused, in bounded time and memory. */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";

/** Bytes; the settings are a few hundred, all certificates of a system a quarter of it. */
const LONGEST = 2 ** 20;
/** Of /dev/null, which stands for an empty file: major 1, minor 3 (Linux, Documentation/admin-guide/devices.txt). */
const NULL_DEVICE = 0x103;

/** Why a file cannot be read. */
export class Unreadable extends Error {
  /** Does it stay so until somebody has changed the file? */
  readonly isLasting: boolean;
  /** The error code of the system, if it is one. */
  readonly code: string | undefined;

  constructor(why: string, isLasting: boolean, code?: string) {
    super(why);
    this.isLasting = isLasting;
    this.code = code;
  }
}

/** What the system says about a file that stays as it is. Whatever else it says may pass: too many open files, a disk. */
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
 * The text of a file in UTF-8, without a byte order mark.
 *
 * @throws Unreadable
 */
export function readTextFile(path: string): string {
  try {
    // A FIFO that nobody writes to would otherwise be waited for.
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

/** Its size is not asked for: that of a file in /proc is 0, and a log may grow. */
function bytesOf(file: number): Buffer {
  const bytes = Buffer.allocUnsafe(LONGEST + 1);
  let length = 0;
  while (length <= LONGEST) {
    const read = readSync(file, bytes, length, bytes.length - length, null);
    if (read === 0) return bytes.subarray(0, length);
    length += read;
  }
  throw new Unreadable(`it is longer than ${LONGEST / 2 ** 20} MiB`, true);
}

function textOf(bytes: Buffer): string {
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) {
    throw new Unreadable("line 1: it is in UTF-16; save it as UTF-8", true);
  }
  // Editors on Windows put a byte order mark before UTF-8 too. systemd would take it for a part of the first key.
  return bytes.toString("utf8").replace(/^\uFEFF/, "");
}
