/**
 * A lock between processes: a name in the abstract namespace of Unix sockets. The kernel releases it when the process ends,
 * however that happens, so there are no stale locks; and it works on a full or read-only file system. Node has no flock(2),
 * and a lock file would remain if the process is killed.
 */
import { statSync } from "node:fs";
import { createServer, type Server } from "node:net";

/**
 * Milliseconds to wait for the lock. It is held for a few system calls only. If that takes longer, its holder was suspended
 * or is a foreign process that uses our name; the work is then done without the lock, so that nobody can block a heal.
 */
const PATIENCE_MS = 2_000;
const PAUSE_MS = 10;

/**
 * Calls `work` while holding the lock of a folder.
 *
 * @throws anything that `work` throws, and a file system error if the folder does not exist
 */
export async function withLock<T>(folder: string, work: () => T): Promise<T> {
  // Identified by inode, not by path: inside the units' sandbox the folder has another path.
  const { dev, ino } = statSync(folder);
  const lock = await acquire(`\0eip-heal/${dev}/${ino}`);
  try {
    return work();
  } finally {
    lock?.close();
  }
}

/** Acquires the lock; undefined if that fails or takes too long. */
async function acquire(name: string): Promise<Server | undefined> {
  const until = process.hrtime.bigint() + BigInt(PATIENCE_MS) * 1_000_000n;
  for (;;) {
    const server = createServer((socket) => socket.destroy());
    const code = await new Promise<string | undefined>((resolve) => {
      server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "unknown"));
      server.listen(name, () => resolve(undefined));
    });
    if (code === undefined) return server;
    if (code !== "EADDRINUSE" || process.hrtime.bigint() > until) return undefined;
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
}
