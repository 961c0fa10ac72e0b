/** An AWS Query API over HTTP: who calls, what is asked of the region, how it is answered. Common to EC2 and Auto Scaling. */

import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";

import { NO_ANSWER, answer, bodyOf } from "./answering.ts";
import type { Answer } from "./answering.ts";
import type { Credentials } from "./credentials.ts";
import { ApiError, Ec2Error } from "./errors.ts";
import type { Effect, Faults } from "./faults.ts";
import type { Looking } from "./actions.ts";
import { Params } from "./params.ts";
import type { Caller } from "./permission.ts";
import type { Region } from "./region.ts";
import { authenticate, claimedKey } from "./sigv4.ts";
import type { Xml } from "./xml.ts";

export type ServiceName = "ec2" | "autoscaling";

/** One request to an API as it arrived, and what became of it. */
export interface Call {
  readonly service: ServiceName;
  /** When it arrived, in the region's time. */
  readonly at: number;
  readonly action: string;
  /** The instance whose credentials it carries; undefined: the administrator's, or nobody's. */
  readonly instanceId: string | undefined;
  /** Every parameter but Action and Version, as sent. */
  readonly params: Readonly<Record<string, string>>;
  readonly userAgent: string | undefined;
  /** The error code of the answer. */
  error?: string;
  /** HTTP status of the answer; 0: there was none, or there is none yet. */
  status: number;
  /** What the injected fault did. */
  fault?: Effect["do"];
}

export interface QueryApi {
  readonly region: Region;
  readonly credentials: Credentials;
  readonly faults: Faults;
  readonly latencyMs: number;
  readonly calls: Call[];
}

/** The elements of an answer. */
export type Content = { readonly [element: string]: Xml };
export type Action = (region: Region, caller: Caller, params: Params, looking: Looking) => Content;

/** What is different from service to service. */
export interface Service {
  readonly name: ServiceName;
  readonly version: string;
  /** What the service calls itself in its answers. */
  readonly server: string;
  /** The actions that are served. */
  readonly actions: Readonly<Record<string, Action>>;
  answerXml(action: string, requestId: string, content: Content): string;
  errorXml(error: ApiError, requestId: string): string;
  /** The error for a request that is not rightly signed, in the service's own words. */
  unauthenticated(error: Ec2Error): ApiError;
  /** What a fault makes of an answer that says yes. */
  lie(): Content;
}

/** Serves one request. */
export async function serveQuery(
  service: Service,
  api: QueryApi,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const at = api.region.now();
  const body = await bodyOf(request);
  const url = request.url ?? "/";
  const form = new URLSearchParams(
    request.method === "POST" ? body.toString() : (url.split("?")[1] ?? ""),
  );
  const action = form.get("Action") ?? "";
  const claimed = api.credentials.find(claimedKey(request.headers) ?? "")?.caller;
  const instanceId = claimed === undefined || claimed === "admin" ? undefined : claimed.instanceId;
  const { name } = service;
  const call: Call = {
    service: name,
    at,
    action,
    instanceId,
    params: Object.fromEntries(
      [...form].filter(([param]) => param !== "Action" && param !== "Version"),
    ),
    userAgent: request.headers["user-agent"],
    status: NO_ANSWER,
  };
  api.calls.push(call);

  const verdict = api.faults.judge({ service: name, action, instanceId, method: request.method });
  const { effect } = verdict;
  if (effect !== undefined) call.fault = effect.do;
  const slow = new Map(Object.entries(api.region.settings.latencyMs));
  const latencyMs = api.latencyMs + (slow.get(action) ?? slow.get("*") ?? 0);
  call.status = await answer(response, verdict, latencyMs, () => {
    const requestId = randomUUID();
    const page = (status: number, text: string): Answer => ({
      status,
      headers: {
        "x-amzn-requestid": requestId,
        "content-type": "text/xml;charset=UTF-8",
        // The SDK corrects its clock by this header.
        date: new Date(api.region.now()).toUTCString(),
        server: service.server,
      },
      body: text,
    });
    try {
      if (effect?.do === "error")
        throw new ApiError(effect.code, effect.message ?? "injected", effect.status);
      const signed = { method: request.method ?? "", url, headers: request.headers, body };
      const caller = callerOf(service, api, signed);
      if (form.get("Version") !== service.version) {
        throw new ApiError(
          "NoSuchVersion",
          `The requested version (${form.get("Version") ?? ""}) is not valid.`,
        );
      }
      const act = Object.hasOwn(service.actions, action) ? service.actions[action] : undefined;
      if (act === undefined) {
        throw new ApiError(
          "InvalidAction",
          `The action ${action} is not valid for this web service.`,
        );
      }
      const content = applied(service, effect, action, () =>
        act(api.region, caller, new Params(form), { backMs: verdict.staleMs }),
      );
      return page(200, service.answerXml(action, requestId, content));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      call.error = error.code;
      return page(error.httpStatus, service.errorXml(error, requestId));
    }
  });
}

// --- internal ---

function callerOf(
  service: Service,
  api: QueryApi,
  signed: Parameters<typeof authenticate>[0],
): Caller {
  const scope = { region: api.region.name, service: service.name };
  try {
    return authenticate(signed, scope, api.credentials, api.region.now());
  } catch (error) {
    throw error instanceof Ec2Error ? service.unauthenticated(error) : error;
  }
}

/** The content of the answer, after two faults that only calls which change something can have. */
function applied(
  service: Service,
  effect: Effect | undefined,
  action: string,
  act: () => Content,
): Content {
  if (effect?.do === "lie" && !action.startsWith("Describe")) return service.lie();
  const content = act();
  if (effect?.do !== "no-association-id") return content;
  const { associationId: _, ...rest } = content;
  return rest;
}
