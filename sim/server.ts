/** Puts a simulated region behind real sockets: an endpoint each for EC2 and Auto Scaling, and one of IMDS for each instance. */

import { randomInt } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";

import { AUTO_SCALING } from "./auto-scaling-api.ts";
import type { InstanceSpec } from "./build.ts";
import { ADMIN, Credentials } from "./credentials.ts";
import { EC2 } from "./ec2-api.ts";
import { Faults } from "./faults.ts";
import { Tokens, serveImds } from "./imds-api.ts";
import type { ImdsApi, ImdsRequest } from "./imds-api.ts";
import type { Association, Instance, Settings, WorldData } from "./model.ts";
import { serveQuery } from "./query-api.ts";
import type { Call, QueryApi, Service } from "./query-api.ts";
import { Region } from "./region.ts";

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface RegionOptions {
  /** The region's clock in milliseconds; default: the real one. */
  readonly now?: () => number;
  /** Where the EC2 API listens; default: a free port of 127.0.0.1. */
  readonly ec2?: Endpoint;
  /** Where the Auto Scaling API listens; default: a free port of 127.0.0.1. */
  readonly autoScaling?: Endpoint;
  /** The host of the listeners of the single instances; default: 127.0.0.1. */
  readonly imdsHost?: string;
  /** Listeners for single instances at fixed places, by instance id. */
  readonly imds?: Readonly<Record<string, Endpoint>>;
  /** One more IMDS listener, which tells instances apart by source address: their primary private IPv4. */
  readonly imdsBySource?: Endpoint;
  /** EC2 and Auto Scaling over TLS. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Every answer takes at least so long; EC2's is Auto Scaling's too. By action: the setting latencyMs. */
  readonly latency?: { readonly ec2Ms?: number; readonly imdsMs?: number };
  /** Settings on top of the world's. */
  readonly settings?: Partial<Settings>;
}

/** Starts a region of the world; it listens when the promise is fulfilled. */
export async function startRegion(
  world: WorldData | { readonly data: WorldData },
  options: RegionOptions = {},
): Promise<RunningRegion> {
  const running = new RunningRegion("data" in world ? world.data : world, options);
  await running.open();
  return running;
}

export class RunningRegion {
  /** The region itself: its state, and everything that can happen to it. */
  readonly region: Region;
  readonly faults: Faults;
  readonly credentials: Credentials;
  /** Every request to the EC2 and Auto Scaling APIs, in order of arrival. */
  readonly calls: Call[] = [];
  /** Every request to IMDS, in order of arrival. */
  readonly imdsRequests: ImdsRequest[] = [];
  /** Faults of the servers themselves; a test that uses the region should find none. */
  readonly bugs: unknown[] = [];
  readonly #options: RegionOptions;
  readonly #tokens: Tokens;
  readonly #queryApi: QueryApi;
  readonly #imdsApi: ImdsApi;
  readonly #ec2: Listener;
  readonly #autoScaling: Listener;
  readonly #imds = new Map<string, Listener>();
  #imdsBySource: Listener | undefined;

  constructor(world: WorldData, options: RegionOptions) {
    const now = options.now ?? Date.now;
    this.#options = options;
    this.region = new Region(world, now);
    if (options.settings !== undefined) this.region.configure(options.settings);
    this.faults = new Faults(now);
    this.credentials = new Credentials(now);
    this.#tokens = new Tokens(now);
    const common = { region: this.region, credentials: this.credentials, faults: this.faults };
    this.#queryApi = { ...common, latencyMs: options.latency?.ec2Ms ?? 0, calls: this.calls };
    this.#imdsApi = {
      ...common,
      latencyMs: options.latency?.imdsMs ?? 0,
      tokens: this.#tokens,
      requests: this.imdsRequests,
    };
    this.#ec2 = this.#listenerOf(EC2, options.ec2);
    this.#autoScaling = this.#listenerOf(AUTO_SCALING, options.autoScaling);
  }

  /** Opens the listeners; startRegion has done so. */
  async open(): Promise<void> {
    await this.#ec2.open();
    await this.#autoScaling.open();
    if (this.#options.imdsBySource !== undefined) {
      const serve = this.#guarded((request, response) => this.#serveBySource(request, response));
      this.#imdsBySource = new Listener(createServer(serve), this.#options.imdsBySource);
      await this.#imdsBySource.open();
    }
    await Promise.all(
      this.region.instances().map((instance) => this.listenFor(instance.instanceId)),
    );
  }

  /** Base URL of the EC2 API, without a slash at the end. */
  get ec2Url(): string {
    return `${this.#scheme}://${this.#ec2.at()}`;
  }

  /** Base URL of the Auto Scaling API, without a slash at the end. */
  get autoScalingUrl(): string {
    return `${this.#scheme}://${this.#autoScaling.at()}`;
  }

  /** Base URL of the instance's own IMDS listener. */
  imdsUrl(instanceId: string): string {
    const listener = this.#imds.get(instanceId);
    if (listener === undefined)
      throw new Error(`${instanceId} has no IMDS listener: launch it through the running region`);
    return `http://${listener.at()}`;
  }

  /** Base URL of the listener that tells instances by their source address. */
  get imdsBySourceUrl(): string | undefined {
    return this.#imdsBySource && `http://${this.#imdsBySource.at()}`;
  }

  /** Every secret handed out so far: secret keys, session tokens, IMDS tokens. None may ever be in a log. */
  get secrets(): string[] {
    return [...this.credentials.secrets(), ...this.#tokens.secrets()];
  }

  /** The administrator's key pair, which may do everything. */
  get admin(): typeof ADMIN {
    return ADMIN;
  }

  /** Who really holds the address; undefined: nobody. */
  holder(allocationId: string): Association | undefined {
    return this.region.holder(allocationId);
  }

  /** Launches an instance and opens its IMDS listener. */
  async launch(spec: InstanceSpec = {}): Promise<Instance> {
    const instance = this.region.launch(spec);
    await this.listenFor(instance.instanceId);
    return instance;
  }

  /** Opens the IMDS listener of an instance that was launched behind the servers' back. */
  async listenFor(instanceId: string): Promise<void> {
    if (this.#imds.has(instanceId)) return;
    const serve = this.#guarded((request, response) =>
      serveImds(this.#imdsApi, instanceId, request, response),
    );
    const fixed = this.#options.imds?.[instanceId] ?? {
      host: this.#options.imdsHost ?? "127.0.0.1",
      port: 0,
    };
    const listener = new Listener(createServer(serve), fixed);
    this.#imds.set(instanceId, listener);
    await listener.open();
  }

  /** Closes a listener, so that connecting is refused: "ec2", "autoscaling", or an instance's IMDS. */
  async unplug(what: string): Promise<void> {
    await this.#listener(what).close();
  }

  /** Opens a listener again, at the same port. */
  async plug(what: string): Promise<void> {
    await this.#listener(what).open();
  }

  /** Closes everything, answered or not. */
  async close(): Promise<void> {
    const all = [this.#ec2, this.#autoScaling, this.#imdsBySource, ...this.#imds.values()];
    await Promise.all(
      all.flatMap((listener) => (listener === undefined ? [] : [listener.close()])),
    );
  }

  get #scheme(): string {
    return this.#options.tls === undefined ? "http" : "https";
  }

  /** A listener of a service, not open yet. */
  #listenerOf(service: Service, place: Endpoint | undefined): Listener {
    const serve = this.#guarded((request, response) =>
      serveQuery(service, this.#queryApi, request, response),
    );
    const { tls } = this.#options;
    return new Listener(
      tls === undefined ? createServer(serve) : createTlsServer(tls, serve),
      place,
    );
  }

  #listener(what: string): Listener {
    const services = new Map([
      ["ec2", this.#ec2],
      ["autoscaling", this.#autoScaling],
    ]);
    const listener = services.get(what) ?? this.#imds.get(what);
    if (listener === undefined) throw new Error(`there is no listener for ${what}`);
    return listener;
  }

  async #serveBySource(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const source = (request.socket.remoteAddress ?? "").replace(/^::ffff:/, "");
    const instanceId = this.region.instanceAt(source);
    if (instanceId === undefined) {
      response
        .writeHead(404, { "content-type": "text/plain" })
        .end(`no instance has the private address ${source}\n`);
      return;
    }
    await serveImds(this.#imdsApi, instanceId, request, response);
  }

  /** A bug of the simulation answers 599, which no AWS service does, and is kept for the test to see. */
  #guarded(
    serve: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
  ): RequestListener {
    return (request, response) => {
      this.region.elapse();
      serve(request, response).catch((error: unknown) => {
        if (request.socket.destroyed) return;
        this.bugs.push(error);
        if (!response.headersSent) response.writeHead(599, { "content-type": "text/plain" });
        response.end(error instanceof Error ? error.stack : String(error));
      });
    };
  }
}

// --- internal ---

/**
 * Where a port is not given. Below 32768, from where Linux takes its own choices: while a listener is unplugged,
 * neither another server nor the near end of somebody's connection is to be found at its port.
 */
const PORTS = { from: 10_240, to: 32_768 };

/** One server at one place, which can be closed and opened again there. */
class Listener {
  readonly #server: Server;
  readonly #host: string;
  #port: number;

  constructor(server: Server, place: Endpoint = { host: "127.0.0.1", port: 0 }) {
    this.#server = server;
    this.#host = place.host;
    this.#port = place.port;
    // Clients of thousands of instances come one after the other; an idle connection must outlive the next request.
    this.#server.keepAliveTimeout = 60_000;
  }

  at(): string {
    return `${this.#host.includes(":") ? `[${this.#host}]` : this.#host}:${this.#port}`;
  }

  async open(): Promise<void> {
    for (;;) {
      const port = this.#port === 0 ? randomInt(PORTS.from, PORTS.to) : this.#port;
      try {
        await this.#listen(port);
        this.#port = port;
        return;
      } catch (error) {
        if (this.#port !== 0 || (error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      }
    }
  }

  async #listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, this.#host, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}
