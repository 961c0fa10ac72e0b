/**
 * Connections that can be reset. After `destroy()` the kernel still delivers what was written to a socket, so a request that
 * timed out here could arrive at EC2 much later. A reset (RST) discards it, but has to come before `destroy()`.
 */
import { Agent as HttpAgent, type AgentOptions, request } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { connect, isIP, type NetConnectOpts, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { hostOf, portOf } from "../model/url.ts";
import { authorizationFor, type Proxy, ProxyRefusal } from "./proxy.ts";

export interface ResettableAgents {
  readonly httpAgent: HttpAgent;
  readonly httpsAgent: HttpsAgent;
  /**
   * Begins to connect to this host by TLS. The next connection to it is then this one, unless it has failed: what is wrong
   * is told by the request that needs it.
   */
  readonly connectAhead: (url: URL) => void;
  readonly reset: () => void;
  /** Closes those too that are not made yet: one to a proxy that does not answer belongs to no agent. */
  readonly close: () => void;
}

type Connected = Parameters<HttpsAgent["createConnection"]>[1];
/** In case of an error the agent ignores the second argument. */
type Done = (error: Error | null, socket?: TLSSocket) => void;

/**
 * Milliseconds that a connection made ahead is kept: several times what loading the SDK and reading the rest of instance
 * metadata take. EC2 closes idle ones, and a request sent at that moment is lost.
 */
const UNUSED_MS = 2_000;

/** The same as those of the SDK's own agents. */
const OPTIONS: AgentOptions = { keepAlive: true, maxSockets: 50 };

/** How to connect. */
export interface Connecting {
  /** The endpoint, if it is not the region's default; only such an endpoint may use plain HTTP. */
  readonly endpoint?: string | undefined;
  /** The proxy for connections to a URL, if any. */
  readonly proxyFor?: ((url: URL) => Proxy | undefined) | undefined;
  /** Certificates, in PEM, that are trusted instead of the system's. */
  readonly ca?: string | undefined;
}

/** Creates the agents for an SDK client; `reset` resets all of their connections. */
export function resettableAgents({
  endpoint,
  proxyFor = () => undefined,
  ca,
}: Connecting = {}): ResettableAgents {
  const sockets = new Set<Socket>();
  const open = (options: object, proxy: Proxy | undefined): Socket => {
    const socket = connect(
      (proxy ? { host: hostOf(proxy.url), port: portOf(proxy.url) } : options) as NetConnectOpts,
    );
    sockets.add(socket);
    return socket.once("close", () => void sockets.delete(socket));
  };
  const trusted = ca === undefined ? {} : { ca };
  /** The connection to the proxy: with TLS if its URL is an https one. */
  const toProxy = (socket: Socket, { url }: Proxy): Socket => {
    if (url.protocol !== "https:") return socket;
    const host = hostOf(url);
    // The name is sent (SNI), an IP address must not be (RFC 6066); either is what the certificate is checked against.
    return connectTls({ ...trusted, socket, host, ...(isIP(host) === 0 && { servername: host }) });
  };
  const plainProxy = endpoint === undefined ? undefined : proxyFor(new URL(endpoint));

  class Plain extends HttpAgent {
    override createConnection(options: object): Socket {
      const socket = open(options, plainProxy);
      return plainProxy === undefined ? socket : toProxy(socket, plainProxy);
    }
  }
  // TLS runs over a TCP connection opened here, because a connection that TLS opens itself cannot be reset. It starts only
  // once TCP is connected: while Node tries the host's addresses in turn, the socket's handle changes.
  const openSecure = (options: object, done: Done): Socket => {
    const { host, port } = options as Target;
    const proxy = proxyFor(new URL(`https://${hostAndPort(host, port)}`));
    const socket = open(options, proxy);
    const secure = (through: Socket) => {
      done(null, connectTls({ ...(options as ConnectionOptions), socket: through }));
    };
    socket.once("error", done);
    socket.once("connect", () => {
      socket.off("error", done);
      if (proxy === undefined) secure(socket);
      else tunnel(toProxy(socket, proxy), proxy, hostAndPort(host, port)).then(secure, done);
    });
    return socket;
  };

  let isClosed = false;
  let ahead: { readonly to: string; readonly socket: Promise<TLSSocket | undefined> } | undefined;
  class Secure extends HttpsAgent {
    override createConnection(options: object, callback?: Connected): undefined {
      const { host, port } = options as Target;
      // The agent always passes a callback.
      const done = callback as Done;
      const made = ahead?.to === hostAndPort(host, port) ? ahead.socket : undefined;
      if (made === undefined) return void openSecure(options, done);
      ahead = undefined;
      void made.then((socket) => {
        if (socket !== undefined && !socket.destroyed) done(null, socket.setTimeout(0).ref());
        // Nobody would close a connection that is opened now.
        else if (isClosed) done(new Error("closed"));
        else openSecure(options, done);
      });
    }
  }
  const httpsAgent = new Secure({ ...OPTIONS, ...trusted });
  const connectAhead = (url: URL): void => {
    const [host, port] = [hostOf(url), portOf(url)];
    const { promise, resolve } = Promise.withResolvers<TLSSocket | undefined>();
    const name = isIP(host) === 0 && { servername: host };
    // Until it is used it does not keep the process alive.
    openSecure({ ...httpsAgent.options, host, port, ...name }, (_, socket) => {
      socket?.unref().setTimeout(UNUSED_MS, () => socket.destroy());
      socket?.on("error", () => {});
      resolve(socket);
    }).unref();
    ahead = { to: hostAndPort(host, port), socket: promise };
  };

  return {
    // With proxyEnv Node sends plain HTTP requests in absolute form, with Proxy-Authorization.
    httpAgent: new Plain({
      ...OPTIONS,
      // No keep-alive: tinyproxy, for example, closes connections after each answer without announcing it.
      ...(plainProxy && { keepAlive: false, proxyEnv: { HTTP_PROXY: plainProxy.url.href } }),
    }),
    httpsAgent,
    connectAhead,
    reset: () => {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    close: () => {
      isClosed = true;
      for (const socket of sockets) socket.destroy();
    },
  };
}

interface Target {
  readonly host: string;
  readonly port: number;
}

function hostAndPort(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/**
 * Opens a tunnel through a proxy by CONNECT.
 *
 * @param socket the connection to the proxy
 * @param target host and port
 * @throws ProxyRefusal, or an error of Node's network functions
 */
function tunnel(socket: Socket, proxy: Proxy, target: string): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const authorization = authorizationFor(proxy.url);
  const connectRequest = request({
    method: "CONNECT",
    path: target,
    headers: {
      host: target,
      ...(authorization !== undefined && { "proxy-authorization": authorization }),
    },
    createConnection: () => socket,
  });
  connectRequest.once("error", reject);
  connectRequest.once("connect", ({ statusCode = 0 }) => {
    if (statusCode === 200) {
      resolve(socket);
    } else {
      socket.destroy();
      reject(new ProxyRefusal(proxy, target, statusCode));
    }
  });
  // Any status other than 200, and anything that is not an answer to CONNECT.
  connectRequest.once("response", ({ statusCode = 0 }) => {
    socket.destroy();
    reject(new ProxyRefusal(proxy, target, statusCode));
  });
  connectRequest.end();
  return promise;
}
