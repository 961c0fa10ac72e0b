/** The Auto Scaling Query API, version 2011-01-01: the actions' parameters and answers. */

import type { AutoScalingInstance } from "./auto-scaling.ts";
import { AutoScalingError } from "./errors.ts";
import type { ApiError } from "./errors.ts";
import type { LifecycleResult } from "./model.ts";
import type { Params } from "./params.ts";
import type { Action, Content, Service } from "./query-api.ts";
import { xml } from "./xml.ts";
import type { Xml } from "./xml.ts";

const NAMESPACE = "http://autoscaling.amazonaws.com/doc/2011-01-01/";

/** The actions that are served. To add one: its rule in auto-scaling.ts, its parameters and answer here. */
const ACTIONS: Readonly<Record<string, Action>> = {
  DescribeAutoScalingInstances: (region, caller, params) => {
    const instanceIds = params.list("InstanceIds.member");
    params.nothingElse();
    const instances = region.describeAutoScalingInstances(caller, instanceIds);
    return { AutoScalingInstances: instances.map(instanceXml) };
  },

  CompleteLifecycleAction: (region, caller, params) => {
    const result = required(params, "LifecycleActionResult");
    const input = lifecycleInput(params);
    params.nothingElse();
    if (result !== "CONTINUE" && result !== "ABANDON") {
      throw new AutoScalingError("ValidationError", `Invalid LifecycleActionResult: ${result}`);
    }
    region.completeLifecycleAction(caller, { ...input, result: result satisfies LifecycleResult });
    return {};
  },

  RecordLifecycleActionHeartbeat: (region, caller, params) => {
    const input = lifecycleInput(params);
    params.nothingElse();
    region.recordLifecycleActionHeartbeat(caller, input);
    return {};
  },
};

export const AUTO_SCALING: Service = {
  name: "autoscaling",
  version: "2011-01-01",
  server: "AmazonAutoScaling",
  actions: ACTIONS,
  answerXml,
  errorXml,
  unauthenticated: ({ code, message, httpStatus }) =>
    code === "AuthFailure"
      ? new AutoScalingError(
          "InvalidClientTokenId",
          "The security token included in the request is invalid.",
          403,
        )
      : new AutoScalingError(code, message, httpStatus),
  lie: () => ({}),
};

// --- internal ---

function lifecycleInput(params: Params): { group: string; hook: string; instanceId: string } {
  return {
    group: required(params, "AutoScalingGroupName"),
    hook: required(params, "LifecycleHookName"),
    instanceId: required(params, "InstanceId"),
  };
}

/** The API takes an action by its token too, which only those who are notified of it know. */
function required(params: Params, name: string): string {
  const value = params.text(name);
  if (value !== undefined && value !== "") return value;
  throw new AutoScalingError("ValidationError", `The parameter ${name} is missing`);
}

function instanceXml({ instance, group, lifecycleState }: AutoScalingInstance): Xml {
  return {
    InstanceId: instance.instanceId,
    InstanceType: instance.instanceType,
    AutoScalingGroupName: group,
    AvailabilityZone: instance.zone,
    LifecycleState: lifecycleState,
    HealthStatus: "HEALTHY",
    ProtectedFromScaleIn: false,
  };
}

function answerXml(action: string, requestId: string, content: Content): string {
  return root(`${action}Response`, {
    [`${action}Result`]: content,
    ResponseMetadata: { RequestId: requestId },
  });
}

function errorXml({ code, message, httpStatus }: ApiError, requestId: string): string {
  const Type = httpStatus < 500 ? "Sender" : "Receiver";
  return root("ErrorResponse", {
    Error: { Type, Code: code, Message: message },
    RequestId: requestId,
  });
}

function root(name: string, content: Content): string {
  return `<${name} xmlns="${NAMESPACE}">${xml(content, "member")}</${name}>`;
}
