/**
 * Connections that can be reset. Destroying a socket lets the kernel go on delivering what was written to it, so that a
 * request which counts as unanswered may still arrive, much later; a reset (RST) throws away what is on its way. It has
 * to come first: of a socket that is destroyed there is nothing left to be reset.
 */
import { Agent as HttpAgent, type AgentOptions, request } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { connect, type NetConnectOpts, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { authorizationFor, type Proxy, ProxyRefusal } from "./proxy.ts";

export interface ResettableAgents {
  readonly httpAgent: HttpAgent;
  readonly httpsAgent: HttpsAgent;
  readonly reset: () => void;
}

type Connected = Parameters<HttpsAgent["createConnection"]>[1];

/** As the SDK's own agents are. */
const OPTIONS: AgentOptions = { keepAlive: true, maxSockets: 50 };

/** How connections are made. */
export interface Connecting {
  /** The endpoint, if it is not the region's own; only such a one is without TLS. */
  readonly endpoint?: string | undefined;
  /** What connections to a URL go through. */
  readonly proxyFor?: ((url: URL) => Proxy | undefined) | undefined;
  /** Certificates, in PEM, that are trusted instead of the system's. */
  readonly ca?: string | undefined;
}

/** Agents for a client of the SDK, and how to reset all of their connections. */
export function resettableAgents({
  endpoint,
  proxyFor = () => undefined,
  ca,
}: Connecting = {}): ResettableAgents {
  const sockets = new Set<Socket>();
  const open = (options: object, proxy: Proxy | undefined): Socket => {
    const socket = connect((proxy ? addressOf(proxy.url) : options) as NetConnectOpts);
    sockets.add(socket);
    return socket.once("close", () => void sockets.delete(socket));
  };
  const trusted = ca === undefined ? {} : { ca };
  /** To the proxy over TLS, where its URL says so. */
  const toProxy = (socket: Socket, { url }: Proxy): Socket =>
    url.protocol === "https:"
      ? connectTls({ ...trusted, socket, servername: addressOf(url).host })
      : socket;
  const plainProxy = endpoint === undefined ? undefined : proxyFor(new URL(endpoint));

  class Plain extends HttpAgent {
    override createConnection(options: object): Socket {
      const socket = open(options, plainProxy);
      return plainProxy === undefined ? socket : toProxy(socket, plainProxy);
    }
  }
  class Secure extends HttpsAgent {
    // Over a TCP connection of ours: one that TLS has made by itself cannot be reset. And only once it stands, because
    // Node tries the addresses of a name one after the other, each with another handle under the same socket.
    override createConnection(options: object, callback?: Connected): undefined {
      const { host, port } = options as Target;
      const proxy = proxyFor(new URL(`https://${hostAndPort(host, port)}`));
      const socket = open(options, proxy);
      // The agent always gives one; of an error it reads nothing else.
      const done = callback as (error: Error | null, stream?: Socket) => void;
      const secure = (through: Socket) => {
        done(null, connectTls({ ...(options as ConnectionOptions), socket: through }));
      };
      socket.once("error", done);
      socket.once("connect", () => {
        socket.off("error", done);
        if (proxy === undefined) secure(socket);
        else tunnel(toProxy(socket, proxy), proxy, hostAndPort(host, port)).then(secure, done);
      });
    }
  }

  return {
    // Node writes the whole URL into requests that are not tunnelled, and the password beside it.
    httpAgent: new Plain({
      ...OPTIONS,
      // Without keeping connections: tinyproxy, for one, closes each after the answer and does not say so.
      ...(plainProxy && { keepAlive: false, proxyEnv: { HTTP_PROXY: plainProxy.url.href } }),
    }),
    httpsAgent: new Secure({ ...OPTIONS, ...trusted }),
    reset: () => {
      for (const socket of sockets) socket.resetAndDestroy();
    },
  };
}

interface Target {
  readonly host: string;
  readonly port: number;
}

function addressOf(url: URL): Target {
  const port = Number(url.port) || (url.protocol === "http:" ? 80 : 443);
  return { host: url.hostname.replace(/^\[|\]$/g, ""), port };
}

function hostAndPort(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/**
 * Asks a proxy for a connection to the target, a host and a port.
 *
 * @param socket to the proxy
 * @throws ProxyRefusal, or what Node's network functions throw
 */
function tunnel(socket: Socket, proxy: Proxy, target: string): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const authorization = authorizationFor(proxy.url);
  const asking = request({
    method: "CONNECT",
    path: target,
    headers: {
      host: target,
      ...(authorization !== undefined && { "proxy-authorization": authorization }),
    },
    createConnection: () => socket,
  });
  asking.once("error", reject);
  asking.once("connect", ({ statusCode = 0 }) => {
    if (statusCode === 200) {
      resolve(socket);
    } else {
      socket.destroy();
      reject(new ProxyRefusal(proxy, target, statusCode));
    }
  });
  // Any 2xx but 200, and what is no answer to CONNECT at all.
  asking.once("response", ({ statusCode = 0 }) => {
    socket.destroy();
    reject(new ProxyRefusal(proxy, target, statusCode));
  });
  asking.end();
  return promise;
}
