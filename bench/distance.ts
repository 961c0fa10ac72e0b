/** A TCP connection that is as far away as EC2: what loopback does not have, and TLS and the agent have to wait for. */
import { createServer, connect, type AddressInfo, type Socket } from "node:net";

export interface Distance {
  /** Where the far end seems to be, on 127.0.0.1. */
  readonly port: number;
  close(): void;
}

/**
 * Forwards to a port of 127.0.0.1 as over a network with that round trip. The kernel answers a connect at once here,
 * so the round trip of TCP's own handshake is made up for before the first byte passes.
 */
export async function startDistance(port: number, roundTripMs: number): Promise<Distance> {
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    carry(near, far, roundTripMs / 2, performance.now() + roundTripMs);
    carry(far, near, roundTripMs / 2, 0);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}

/** Passes on what comes, each part so much later and none before `notBefore`. */
function carry(from: Socket, to: Socket, ms: number, notBefore: number): void {
  const later = (work: () => void) =>
    void setTimeout(work, Math.max(0, notBefore - performance.now()) + ms);
  from.setNoDelay(true);
  from.on("data", (part) => later(() => to.writable && to.write(part)));
  from.on("end", () => later(() => to.end()));
  from.on("error", () => to.destroy());
}
