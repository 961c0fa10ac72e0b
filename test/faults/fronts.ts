/** Servers in front of the region that go wrong in ways an HTTP server cannot. */
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { makeAuthority } from "../support/certificates.ts";

export interface TlsFront {
  readonly url: string;
  /** File with the authority that is to be trusted. */
  readonly authority: string;
  /** From now on it shows a certificate of that authority. */
  trust(): void;
  close(): void;
}

/** TLS in front of a plain server, with a certificate by an authority that nobody trusts until `trust` is called. */
export async function openTlsFront(
  backend: string,
  { name = "localhost", host = "127.0.0.1", port = 0 } = {},
): Promise<TlsFront> {
  const folder = mkdtempSync(join(tmpdir(), "eip-heal-tls-"));
  const [unknown, trusted] = await Promise.all(
    ["unknown", "trusted"].map((one) => makeAuthority(join(folder, one))),
  );
  if (unknown === undefined || trusted === undefined) throw new Error("no authority");
  const [bad, good] = await Promise.all([unknown.issue(name), trusted.issue(name)]);
  const server = createTlsServer(bad, (socket) => pipe(socket, Number(new URL(backend).port)));
  server.on("tlsClientError", () => {}); // that is what it is for
  const url = `https://${name}:${await listen(server, host, port)}`;
  return {
    url,
    authority: trusted.file,
    trust: () => server.setSecureContext(good),
    close: () => {
      server.close();
      rmSync(folder, { recursive: true });
    },
  };
}

async function listen(server: Server, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, host, resolve);
  });
  return (server.address() as AddressInfo).port;
}

function pipe(socket: Socket, port: number): void {
  const behind = connect(port, "127.0.0.1");
  socket.pipe(behind).pipe(socket);
  for (const end of [socket, behind]) {
    end.on("error", () => {
      socket.destroy();
      behind.destroy();
    });
  }
}
