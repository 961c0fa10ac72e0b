/** The control API: lets another process look at a running region, change it and make things fail. */

import { createServer } from "node:http";
import type { Server } from "node:http";
import { rm } from "node:fs/promises";

import { bodyOf } from "./answering.ts";
import { FAULTY_SERVICES } from "./faults.ts";
import type { FaultRule } from "./faults.ts";
import type { Region } from "./region.ts";
import type { Endpoint, RunningRegion } from "./server.ts";

/** What can be asked for, for --help and for GET / on the control API. */
export const CONTROL_HELP = `GET  /state                 everything: instances, addresses, interfaces, roles, groups, waits under lifecycle hooks
GET  /calls                 every request to the EC2 and Auto Scaling APIs, in order of arrival
GET  /imds-requests         every request to IMDS, in order of arrival
GET  /secrets               every secret handed out so far
GET  /urls                  the URLs printed at the start, with those of instances launched since
GET  /holder/ALLOCATION-ID  who really holds the address (null: nobody)
GET  /faults                the faults added, with how often each hit
POST /faults                add one; body: a rule, as {"service":"ec2","action":"AssociateAddress","count":1,"effect":{"do":"reset"}}
DELETE /faults[/ID]         take one away, or all
POST /do/OPERATION          body: JSON array of arguments; operations: see below
POST /close                 end the program
`;

/** Operations of the region that the control API offers, and two of its servers. */
export const OPERATIONS = [
  "allocate",
  "associate",
  "associateWithService",
  "attach",
  "configure",
  "detach",
  "disassociate",
  "forget",
  "hideLifecycle",
  "keepAssociation",
  "reboot",
  "running",
  "setCredentials",
  "setInternetGateway",
  "setKnownFrom",
  "setLifecycle",
  "setMetadata",
  "setPolicy",
  "setRole",
  "setSpotAction",
  "showLifecycle",
  "showState",
  "start",
  "stop",
  "stopped",
  "tag",
  "terminate",
  "terminated",
  "waitUnderHook",
  "zoneDown",
  "zoneUp",
] as const satisfies readonly (keyof Region)[];

const OF_THE_SERVERS = [
  "launch",
  "plug",
  "unplug",
] as const satisfies readonly (keyof RunningRegion)[];

/** The URLs of a running region, as one line of JSON tells them. */
export function urlsOf(running: RunningRegion): Record<string, unknown> {
  const instances = running.region
    .instances()
    .map(({ instanceId }) => [instanceId, running.imdsUrl(instanceId)]);
  return {
    ec2: running.ec2Url,
    autoScaling: running.autoScalingUrl,
    imds: Object.fromEntries(instances) as Record<string, string>,
    ...(running.imdsBySourceUrl !== undefined && { imdsBySource: running.imdsBySourceUrl }),
    admin: running.admin,
  };
}

/** Starts the control API at the place, a port or a Unix socket. */
export async function startControl(
  running: RunningRegion,
  place: Endpoint | { readonly path: string },
  onClose: () => void,
): Promise<Server> {
  const server = createServer((request, response) => {
    void (async () => {
      const reply = await control(
        running,
        request.method ?? "",
        request.url ?? "/",
        await bodyOf(request),
        onClose,
      );
      response.writeHead(reply.status, { "content-type": reply.type });
      response.end(`${reply.body}\n`);
    })();
  });
  if ("path" in place) await rm(place.path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(place, resolve);
  });
  return server;
}

// --- internal ---

interface Reply {
  readonly status: number;
  readonly type: "application/json" | "text/plain";
  readonly body: string;
}

const json = (value: unknown): Reply => ({
  status: 200,
  type: "application/json",
  body: JSON.stringify(value ?? null),
});
const text = (status: number, body: string): Reply => ({ status, type: "text/plain", body });

async function control(
  running: RunningRegion,
  method: string,
  url: string,
  body: Buffer,
  onClose: () => void,
): Promise<Reply> {
  const [, what = "", which = ""] = url.split("/");
  try {
    switch (`${method} /${what}`) {
      case "GET /":
        return text(200, `${CONTROL_HELP}\n${[...OPERATIONS, ...OF_THE_SERVERS].join(" ")}`);
      case "GET /state":
        return json(running.region.snapshot());
      case "GET /calls":
        return json(running.calls);
      case "GET /imds-requests":
        return json(running.imdsRequests);
      case "GET /secrets":
        return json(running.secrets);
      case "GET /urls":
        return json(urlsOf(running));
      case "GET /holder":
        return json(running.holder(which) ?? null);
      case "GET /faults":
        return json(running.faults.list());
      case "POST /faults":
        return json(running.faults.add(faultRule(JSON.parse(body.toString()))));
      case "DELETE /faults":
        running.faults.clear(which === "" ? undefined : { id: Number(which) });
        return json(running.faults.list());
      case "POST /do":
        return json(await operate(running, which, body));
      case "POST /close":
        setImmediate(onClose);
        return json(null);
      default:
        return text(404, `no such thing: ${method} ${url}\n\n${CONTROL_HELP}`);
    }
  } catch (error) {
    return text(400, error instanceof Error ? error.message : String(error));
  }
}

async function operate(running: RunningRegion, operation: string, body: Buffer): Promise<unknown> {
  const args: unknown = body.length === 0 ? [] : JSON.parse(body.toString());
  if (!Array.isArray(args)) throw new Error("the body is not a JSON array of arguments");
  const call = async (target: object): Promise<unknown> => {
    const named = target as Record<string, (...values: unknown[]) => unknown>;
    return (await named[operation]?.(...args)) ?? null;
  };
  if ((OF_THE_SERVERS as readonly string[]).includes(operation)) return await call(running);
  if ((OPERATIONS as readonly string[]).includes(operation)) return await call(running.region);
  throw new Error(
    `no operation ${operation}; there are: ${[...OPERATIONS, ...OF_THE_SERVERS].join(", ")}`,
  );
}

/** A mistyped rule that matches nothing would make a test pass for the wrong reason. */
function faultRule(rule: unknown): FaultRule {
  const given = (rule ?? {}) as Record<string, unknown>;
  const known = [
    "service",
    "action",
    "path",
    "method",
    "instanceId",
    "skip",
    "count",
    "from",
    "until",
    "effect",
  ];
  const strange = Object.keys(given).filter((key) => !known.includes(key));
  if (strange.length > 0)
    throw new Error(`a fault has no ${strange.join(", ")}; it has: ${known.join(", ")}`);
  if (!FAULTY_SERVICES.some((service) => service === given["service"]))
    throw new Error(`a fault needs a service: ${FAULTY_SERVICES.join(", ")}`);
  const effect = given["effect"] as { do?: unknown } | undefined;
  if (typeof effect?.do !== "string") throw new Error('a fault needs an effect, as {"do":"reset"}');
  return rule as FaultRule;
}
