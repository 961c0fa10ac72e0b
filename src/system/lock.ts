/**
 * One process at a time. The kernel holds the lock, as a name in the abstract namespace of Unix sockets, and takes it
 * back with the process, however that ends: there is nothing to be cleaned up, nothing that has to be guessed to be stale,
 * and a full or read-only file system is no obstacle. (Node has no flock(2), and a lock file outlives who is killed.)
 */
import { statSync } from "node:fs";
import { createServer, type Server } from "node:net";

/**
 * Milliseconds. Whoever has the lock does a handful of system calls meanwhile. One that takes longer has been stopped, or
 * is somebody else who has taken the name, and nobody is to be kept from healing by that.
 */
const PATIENCE_MS = 2_000;
const PAUSE_MS = 10;

/**
 * Does something in a folder while no other process does so.
 *
 * @throws what `work` throws, and what the file system throws where the folder is not there
 */
export async function alone<T>(folder: string, work: () => T): Promise<T> {
  // The folder itself and not its path: the units see it at another one than people do.
  const { dev, ino } = statSync(folder);
  const lock = await take(`\0eip-heal/${dev}/${ino}`);
  try {
    return work();
  } finally {
    lock?.close();
  }
}

/** Takes the name; undefined if it cannot be had. */
async function take(name: string): Promise<Server | undefined> {
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
