/** The EC2 Query API over HTTP, version 2016-11-15: who calls, what is asked of the region, how it is answered. */

import { randomBytes, randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";

import { NO_ANSWER, answer, bodyOf } from "./answering.ts";
import type { Answer } from "./answering.ts";
import type { Credentials } from "./credentials.ts";
import { addressXml, errorXml, Params, reservationXml, responseXml, tagXml } from "./ec2-wire.ts";
import { Ec2Error } from "./errors.ts";
import type { Effect, Faults } from "./faults.ts";
import type { Looking } from "./actions.ts";
import type { Caller } from "./permission.ts";
import type { Region } from "./region.ts";
import { authenticate, claimedKey } from "./sigv4.ts";
import type { Xml } from "./xml.ts";

/** One request to the EC2 API as it arrived, and what became of it. */
export interface Call {
  /** When it arrived, in the region's time. */
  readonly at: number;
  readonly action: string;
  /** The instance whose credentials it carries; undefined: the administrator's, or nobody's. */
  readonly instanceId: string | undefined;
  /** Every parameter but Action and Version, as sent. */
  readonly params: Readonly<Record<string, string>>;
  readonly userAgent: string | undefined;
  /** The EC2 error code of the answer. */
  error?: string;
  /** HTTP status of the answer; 0: there was none, or there is none yet. */
  status: number;
  /** What the injected fault did. */
  fault?: Effect["do"];
}

export interface Ec2Api {
  readonly region: Region;
  readonly credentials: Credentials;
  readonly faults: Faults;
  readonly latencyMs: number;
  readonly calls: Call[];
}

type Content = { readonly [element: string]: Xml };
type Action = (region: Region, caller: Caller, params: Params, looking: Looking) => Content;

/** The actions that are served. To add one: its rule in region.ts, its parameters and answer here. */
const ACTIONS: Readonly<Record<string, Action>> = {
  DescribeAddresses: (region, caller, params, looking) => {
    const input = {
      allocationIds: params.list("AllocationId"),
      publicIps: params.list("PublicIp"),
      filters: params.filters(),
      dryRun: params.flag("DryRun"),
    };
    params.nothingElse();
    const addresses = region.describeAddresses(caller, input, looking);
    return {
      addressesSet: addresses.map((one) => addressXml(one, region.settings.emptyInstanceId)),
    };
  },

  DescribeInstances: (region, caller, params, looking) => {
    const input = {
      instanceIds: params.list("InstanceId"),
      filters: params.filters(),
      dryRun: params.flag("DryRun"),
      ...paging(params),
    };
    params.nothingElse();
    const page = region.describeInstances(caller, input, looking);
    return {
      reservationSet: page.items.map((one) => reservationXml(one, region.account)),
      nextToken: page.nextToken,
    };
  },

  DescribeTags: (region, caller, params, looking) => {
    const input = { filters: params.filters(), dryRun: params.flag("DryRun"), ...paging(params) };
    params.nothingElse();
    const page = region.describeTags(caller, input, looking);
    return { tagSet: page.items.map(tagXml), nextToken: page.nextToken };
  },

  AssociateAddress: (region, caller, params) => {
    const input = {
      allocationId: params.text("AllocationId"),
      publicIp: params.text("PublicIp"),
      instanceId: params.text("InstanceId"),
      networkInterfaceId: params.text("NetworkInterfaceId"),
      privateIpAddress: params.text("PrivateIpAddress"),
      allowReassociation: params.flag("AllowReassociation"),
      dryRun: params.flag("DryRun"),
    };
    params.nothingElse();
    return { return: true, associationId: region.associateAddress(caller, input) };
  },

  DisassociateAddress: (region, caller, params) => {
    const associationId = params.text("AssociationId");
    const dryRun = params.flag("DryRun");
    params.nothingElse();
    if (associationId === undefined) {
      throw new Ec2Error(
        "MissingParameter",
        "The request must contain the parameter AssociationId",
      );
    }
    region.disassociateAddress(caller, { associationId, dryRun });
    return { return: true };
  },
};

/** Serves one request. */
export async function serveEc2(
  api: Ec2Api,
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
  const call: Call = {
    at,
    action,
    instanceId,
    params: Object.fromEntries(
      [...form].filter(([name]) => name !== "Action" && name !== "Version"),
    ),
    userAgent: request.headers["user-agent"],
    status: NO_ANSWER,
  };
  api.calls.push(call);

  const verdict = api.faults.judge({ service: "ec2", action, instanceId, method: request.method });
  const { effect } = verdict;
  if (effect !== undefined) call.fault = effect.do;
  call.status = await answer(response, verdict, api.latencyMs, () => {
    const requestId = randomUUID();
    try {
      if (effect?.do === "error")
        throw new Ec2Error(effect.code, effect.message ?? "injected", effect.status);
      const signed = { method: request.method ?? "", url, headers: request.headers, body };
      const scope = { region: api.region.name, service: "ec2" };
      const caller = authenticate(signed, scope, api.credentials, api.region.now());
      if (form.get("Version") !== "2016-11-15") {
        throw new Ec2Error(
          "NoSuchVersion",
          `The requested version (${form.get("Version") ?? ""}) is not valid.`,
        );
      }
      const act = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
      if (act === undefined) {
        throw new Ec2Error(
          "InvalidAction",
          `The action ${action} is not valid for this web service.`,
        );
      }
      const content = applied(effect, action, () =>
        act(api.region, caller, new Params(form), { backMs: verdict.staleMs }),
      );
      return page(200, responseXml(action, requestId, content), requestId, api);
    } catch (error) {
      if (!(error instanceof Ec2Error)) throw error;
      call.error = error.code;
      return page(error.httpStatus, errorXml(error, requestId), requestId, api);
    }
  });
}

// --- internal ---

/** The content of the answer, after two faults that only AssociateAddress and DisassociateAddress can have. */
function applied(effect: Effect | undefined, action: string, act: () => Content): Content {
  if (effect?.do === "lie" && !action.startsWith("Describe")) {
    return { return: true, associationId: `eipassoc-0${randomBytes(8).toString("hex")}` };
  }
  const content = act();
  if (effect?.do !== "no-association-id") return content;
  const { associationId: _, ...rest } = content;
  return rest;
}

function paging(params: Params): { maxResults: number | undefined; nextToken: string | undefined } {
  return { maxResults: params.number("MaxResults"), nextToken: params.text("NextToken") };
}

function page(status: number, body: string, requestId: string, api: Ec2Api): Answer {
  return {
    status,
    headers: {
      "x-amzn-requestid": requestId,
      "content-type": "text/xml;charset=UTF-8",
      // The SDK corrects its clock by this header.
      date: new Date(api.region.now()).toUTCString(),
      server: "AmazonEC2",
    },
    body,
  };
}
