/**
 * Instance metadata and EC2 of one instance in a simulated region, on real sockets, whose answers are made
 * wrong one by one. The region itself stays right: what it really is like can be compared with what was told.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Answer } from "../../sim/answering.ts";
import { Credentials } from "../../sim/credentials.ts";
import { EC2 } from "../../sim/ec2-api.ts";
import { Faults } from "../../sim/faults.ts";
import { type ImdsRequest, serveImds, Tokens } from "../../sim/imds-api.ts";
import { type Call, serveQuery } from "../../sim/query-api.ts";
import { Region } from "../../sim/region.ts";
import { aWorld } from "../../sim/world.ts";
import { type Lie, tell } from "./lies.ts";

/** One answer as it was sent. */
export interface Sent {
  readonly service: "imds" | "ec2";
  /** The action of EC2, the path of instance metadata. */
  readonly what: string;
  readonly lie: Lie;
  readonly status: number;
  readonly body: string;
}

export class Liar {
  readonly #servers: Server[] = [];
  #urls: readonly [imds: string, ec2: string] = ["", ""];
  #plan: readonly Lie[] = [];
  #scene = makeScene("nobody");
  #sent: Sent[] = [];

  get imdsUrl(): string {
    return this.#urls[0];
  }

  get ec2Url(): string {
    return this.#urls[1];
  }

  /** What was sent since the last beginning, in order. */
  get sent(): readonly Sent[] {
    return this.#sent;
  }

  get scene(): ReturnType<typeof makeScene> {
    return this.#scene;
  }

  /** Every secret handed out since the last beginning. */
  get secrets(): string[] {
    return [...this.#scene.credentials.secrets(), ...this.#scene.tokens.secrets()];
  }

  async open(): Promise<this> {
    const open = async (service: Sent["service"]) => {
      const server = createServer((request, response) => {
        this.#serve(service, request, response).catch(() => response.socket?.destroy());
      });
      this.#servers.push(server);
      await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    };
    this.#urls = [await open("imds"), await open("ec2")];
    return this;
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#servers.map(async (server) => {
        server.closeAllConnections();
        await new Promise((done) => server.close(done));
      }),
    );
  }

  /** A new region, and what becomes of its answers. */
  begin(holder: Holder, plan: readonly Lie[]): void {
    for (const server of this.#servers) server.closeAllConnections();
    this.#scene = makeScene(holder);
    this.plan(plan);
  }

  /** What becomes of the next answers; those after are right. */
  plan(lies: readonly Lie[]): void {
    this.#plan = lies;
    this.#sent = [];
  }

  async #serve(
    service: Sent["service"],
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const scene = this.#scene;
    const right = new Captured();
    const common = { ...scene, faults: NO_FAULTS, latencyMs: 0 };
    let what = request.url ?? "";
    if (service === "imds") {
      await serveImds(
        { ...common, requests: scene.imdsRequests },
        scene.me,
        request,
        right as unknown as ServerResponse,
      );
    } else {
      await serveQuery(EC2, common, request, right as unknown as ServerResponse);
      what = scene.calls.at(-1)?.action ?? "";
    }
    if (scene !== this.#scene) return void response.socket?.destroy(); // of the run before

    const lie = this.#plan[this.#sent.length] ?? { do: "truth" };
    const told = tell(right, lie);
    if ("raw" in told) {
      this.#sent.push({ service, what, lie, status: 0, body: "" });
      response.socket?.end(told.raw);
      return;
    }
    const { status, headers, body, ending } = told;
    this.#sent.push({ service, what, lie, status, body: Buffer.from(body).toString() });
    const length = body.length + (ending === "whole" ? 0 : 10);
    try {
      response.writeHead(status, { ...headers, "content-length": length });
    } catch {
      response.writeHead(status, { "content-length": length }); // a header that Node will not send
    }
    if (ending === "whole") response.end(body);
    else {
      response.write(body.length === 0 ? " " : body);
      if (ending === "cut") response.socket?.end();
    }
  }
}

// --- internal ---

export type Holder = "nobody" | "older" | "newer" | "me";

const NO_FAULTS = new Faults(Date.now);

function makeScene(holder: Holder) {
  const world = aWorld();
  const { allocationId } = world.address({ tags: { "eip-pool": "web" } });
  const older = world.instance();
  const me = world.instance({
    tags: { "allocation-id": allocationId },
    metadataTags: true,
    autoPublicIp: true,
  });
  const newer = world.instance();
  if (holder !== "nobody") world.hold({ allocationId }, { older, newer, me }[holder]);
  return {
    allocationId,
    me: me.instanceId,
    newer: newer.instanceId,
    region: new Region(world.data, Date.now),
    credentials: new Credentials(Date.now),
    tokens: new Tokens(Date.now),
    calls: [] as Call[],
    imdsRequests: [] as ImdsRequest[],
  };
}

/** What the region's servers write to in place of a connection. */
class Captured implements Answer {
  status = 0;
  headers: Record<string, string> = {};
  body = "";

  writeHead(status: number, headers: Record<string, string>): this {
    this.status = status;
    const { "content-length": _, ...rest } = headers;
    this.headers = rest;
    return this;
  }

  end(body: string): void {
    this.body = body;
  }
}
