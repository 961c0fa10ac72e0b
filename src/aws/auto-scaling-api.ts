/** The calls of the Auto Scaling API through the AWS SDK. Imported on demand: a run without a lifecycle hook needs none of it. */
import {
  AutoScalingClient,
  CompleteLifecycleActionCommand,
  DescribeAutoScalingInstancesCommand,
  RecordLifecycleActionHeartbeatCommand,
} from "@aws-sdk/client-auto-scaling";
import { AWS_CODE, Failure } from "../model/failure.ts";
import { isGroupName } from "../model/ids.ts";
import { boundBodies } from "./bodies.ts";
import {
  callsOf,
  clientConfig,
  type ConnectOptions,
  type Limits,
  foreignAnswer,
  urlOf,
} from "./client.ts";
import { resettableAgents } from "./sockets.ts";

/** Creates a client with connections of its own; the first call connects. */
export function connectAutoScaling(options: ConnectOptions) {
  const { instanceId } = options.self;
  const agents = resettableAgents(options);
  const client = new AutoScalingClient(clientConfig(options, agents));
  boundBodies(client.config.requestHandler);
  const url = urlOf(options, client);
  const { host } = url;
  const call = callsOf("autoscaling", client, url, options, agents);

  /** Completes or prolongs the pending lifecycle action of a hook; false if there is none. */
  async function onAction(
    action: string,
    group: string,
    send: (
      on: { AutoScalingGroupName: string; InstanceId: string },
      limits: Limits,
    ) => Promise<{ $metadata: { requestId?: string | undefined } }>,
  ): Promise<boolean> {
    const on = { AutoScalingGroupName: group, InstanceId: instanceId };
    try {
      const { $metadata } = await call(action, (limits) => send(on, limits));
      // The answer is otherwise empty. Without a request id it is not an answer of AWS.
      if ($metadata.requestId === undefined) throw foreignAnswer("autoscaling", action, host);
      return true;
    } catch (error) {
      if (error instanceof Failure && isNoAction(error)) return false;
      throw error;
    }
  }

  return {
    host,

    /** The Auto Scaling group of this instance and its lifecycle state there; undefined if it is in none. */
    async member(): Promise<{ group: string; lifecycleState?: string } | undefined> {
      const action = "DescribeAutoScalingInstances";
      const command = new DescribeAutoScalingInstancesCommand({ InstanceIds: [instanceId] });
      const { AutoScalingInstances } = await call(action, (limits) => client.send(command, limits));
      if (AutoScalingInstances === undefined) throw foreignAnswer("autoscaling", action, host);
      const [found] = AutoScalingInstances;
      if (found === undefined) return undefined;
      const { AutoScalingGroupName: group = "", LifecycleState: state = "" } = found;
      if (!isGroupName(group)) throw foreignAnswer("autoscaling", action, host);
      return { group, ...(/^[A-Za-z]+(:[A-Za-z]+)*$/.test(state) && { lifecycleState: state }) };
    },

    /** Completes the pending lifecycle action; false if there is none. */
    complete: (group: string, hook: string, result: "CONTINUE" | "ABANDON"): Promise<boolean> =>
      onAction("CompleteLifecycleAction", group, (on, limits) =>
        client.send(
          new CompleteLifecycleActionCommand({
            ...on,
            LifecycleHookName: hook,
            LifecycleActionResult: result,
          }),
          limits,
        ),
      ),

    /** Restarts the timeout of the pending lifecycle action; false if there is none. */
    heartbeat: (group: string, hook: string): Promise<boolean> =>
      onAction("RecordLifecycleActionHeartbeat", group, (on, limits) =>
        client.send(
          new RecordLifecycleActionHeartbeatCommand({ ...on, LifecycleHookName: hook }),
          limits,
        ),
      ),

    close() {
      client.destroy();
      agents.close();
    },
  };
}

/** Recognized by the message: Auto Scaling has no error code of its own for this. */
function isNoAction({ code, details }: Failure): boolean {
  return (
    code === AWS_CODE.validation &&
    /No active Lifecycle Action found/i.test(details.serviceMessage ?? "")
  );
}
