/** A server in front of another one, which sees connections and nothing of what is in them. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface Front {
  readonly port: number;
  /** Every connection so far. */
  readonly sockets: Socket[];
  /** Waits until there is one. */
  first(): Promise<Socket>;
  close(): void;
}

/** Passes on all connections to a port, and keeps count. */
export async function startFront(to: number, port = 0): Promise<Front> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    const forth = connect(to, "127.0.0.1").on("error", () => socket.destroy());
    socket.on("error", () => {}).once("close", () => forth.destroy());
    socket.pipe(forth).pipe(socket);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    first: async () => sockets[0] ?? ((await once(server, "connection"))[0] as Socket),
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
