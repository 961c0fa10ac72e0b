/**
 * Shortens what `node --experimental-sea-config` has written. Beside the snapshot of the heap Node puts code caches of all
 * its 388 files into it, 4 MB, which every start copies into memory; a run needs those of 30. There is no option for it.
 *
 * All numbers are little-endian, strings and lists have their length or number of elements before them, in 8 bytes:
 *
 *     what is injected: magic number (4 bytes), flags (4), how arguments may be added (1), path of the main file, snapshot, …
 *     the snapshot: magic number (4 bytes), …, list of code caches: name and content of each
 *
 * The list is the last thing in the snapshot, so what is before it need not be understood: it begins where the rest can be
 * read as such a list, to the very last byte.
 */
const SEA_MAGIC = 0x0143da20;
const SNAPSHOT_MAGIC = 0x0143da19;
const SEA_HEADER_BYTES = 9;

/**
 * Returns the blob with these code caches only.
 *
 * @param main the path of the main file, as the blob has it
 * @throws Error if it is not what is described above
 */
export function withCodeCaches(blob: Buffer, names: readonly string[], main: string): Buffer {
  const path = stringAt(blob, SEA_HEADER_BYTES);
  if (blob.readUInt32LE(0) !== SEA_MAGIC || path?.toString() !== main) unknown("the header");
  const at = SEA_HEADER_BYTES + 8 + main.length;
  const snapshot = stringAt(blob, at) ?? unknown("the snapshot");
  if (snapshot.readUInt32LE(0) !== SNAPSHOT_MAGIC) unknown("the snapshot");
  const { start, caches } = lastListIn(snapshot) ?? unknown("the list of code caches");
  const kept = names.map((name) => caches.get(name) ?? unknown(`the code cache of ${name}`));
  const shorter = Buffer.concat([snapshot.subarray(0, start), number(kept.length), ...kept]);
  const rest = blob.subarray(at + 8 + snapshot.length);
  return Buffer.concat([blob.subarray(0, at), number(shorter.length), shorter, rest]);
}

function lastListIn(bytes: Buffer): { start: number; caches: Map<string, Buffer> } | undefined {
  for (let start = 0; start + 8 <= bytes.length; start++) {
    const caches = listAt(bytes, start);
    if (caches !== undefined) return { start, caches };
  }
  return undefined;
}

/** The code caches by name, each with all of its bytes in the list; undefined if no list from here ends where all ends. */
function listAt(bytes: Buffer, start: number): Map<string, Buffer> | undefined {
  const count = numberAt(bytes, start) ?? 0;
  if (count === 0 || count > 10_000) return undefined;
  const caches = new Map<string, Buffer>();
  let at = start + 8;
  for (let n = 0; n < count; n++) {
    const name = stringAt(bytes, at);
    if (name === undefined || name.length === 0) return undefined;
    const content = stringAt(bytes, at + 8 + name.length);
    if (content === undefined) return undefined;
    const end = at + 16 + name.length + content.length;
    caches.set(name.toString("latin1"), bytes.subarray(at, end));
    at = end;
  }
  return at === bytes.length && caches.size === count ? caches : undefined;
}

function stringAt(bytes: Buffer, at: number): Buffer | undefined {
  const length = numberAt(bytes, at);
  if (length === undefined || length > bytes.length - at - 8) return undefined;
  return bytes.subarray(at + 8, at + 8 + length);
}

function numberAt(bytes: Buffer, at: number): number | undefined {
  return at + 8 > bytes.length ? undefined : Number(bytes.readBigUInt64LE(at));
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function unknown(what: string): never {
  throw new Error(`what Node ${process.version} has written is not as expected: ${what}`);
}
