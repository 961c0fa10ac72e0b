/** A plain web server with static files, as a bucket is one: where machines find repositories. */
import { createReadStream, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join, normalize } from "node:path";

/** The router of the machines' subnet, which listens to nothing else at this port. */
export const HOST = "10.0.0.1";

export class Web {
  /** Every path asked for, in order of arrival. */
  readonly requests: string[] = [];
  readonly #server: Server;

  private constructor(folder: string) {
    this.#server = createServer((request, response) => {
      const path = normalize(decodeURIComponent((request.url ?? "/").split("?", 1)[0] ?? "/"));
      this.requests.push(path);
      const file = join(folder, path);
      const found = statSync(file, { throwIfNoEntry: false });
      if (found === undefined || !found.isFile()) {
        response.writeHead(404).end();
        return;
      }
      response.writeHead(200, {
        "content-length": found.size,
        "last-modified": found.mtime.toUTCString(),
        // apt and dnf would otherwise take what they have for what is there now.
        "cache-control": "no-store",
      });
      if (request.method === "HEAD") response.end();
      else createReadStream(file).pipe(response);
    });
  }

  /** Serves what is in the folder, also what comes later. */
  static async serve(folder: string): Promise<Web> {
    const web = new Web(folder);
    await new Promise<void>((resolve, reject) => {
      web.#server.once("error", reject);
      web.#server.listen(80, HOST, resolve);
    });
    return web;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}
