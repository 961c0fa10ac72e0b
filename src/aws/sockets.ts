/**
 * Connections that can be reset. Destroying a socket lets the kernel go on delivering what was written to it, so that a
 * request which counts as unanswered may still arrive, much later; a reset (RST) throws away what is on its way. It has
 * to come first: of a socket that is destroyed there is nothing left to be reset.
 */
import { Agent as HttpAgent, type AgentOptions } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { connect, type NetConnectOpts, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";

export interface ResettableAgents {
  readonly httpAgent: HttpAgent;
  readonly httpsAgent: HttpsAgent;
  readonly reset: () => void;
}

type Connected = Parameters<HttpsAgent["createConnection"]>[1];

/** As the SDK's own agents are. */
const OPTIONS: AgentOptions = { keepAlive: true, maxSockets: 50 };

/** Agents for a client of the SDK, and how to reset all of their connections. */
export function resettableAgents(): ResettableAgents {
  const sockets = new Set<Socket>();
  const open = (options: object): Socket => {
    const socket = connect(options as NetConnectOpts);
    sockets.add(socket);
    return socket.once("close", () => void sockets.delete(socket));
  };

  class Plain extends HttpAgent {
    override createConnection(options: object): Socket {
      return open(options);
    }
  }
  class Secure extends HttpsAgent {
    // Over a TCP connection of ours: one that TLS has made by itself cannot be reset. And only once it stands, because
    // Node tries the addresses of a name one after the other, each with another handle under the same socket.
    override createConnection(options: object, callback?: Connected): undefined {
      const socket = open(options);
      // The agent always gives one; of an error it reads nothing else.
      const done = callback as (error: Error | null, stream?: Socket) => void;
      socket.once("error", done);
      socket.once("connect", () => {
        socket.off("error", done);
        done(null, connectTls({ ...(options as ConnectionOptions), socket }));
      });
    }
  }

  return {
    httpAgent: new Plain(OPTIONS),
    httpsAgent: new Secure(OPTIONS),
    reset: () => {
      for (const socket of sockets) socket.resetAndDestroy();
    },
  };
}
