/** What the role may do. */
import { Failure } from "../../model/failure.ts";
import * as remedies from "../../core/remedies.ts";
import { failing, ok } from "../examination.ts";
import {
  type Checks,
  type Enquiry,
  isRefusal,
  quietly,
  refusalOf,
  unlessBlocked,
} from "./enquiry.ts";

/** The checks of the role, by EC2's own word where it has a dry run. */
export function checkPermissions({
  ports,
  signal,
  sign,
  ask,
  mayDescribeInstances,
  want,
  observe,
  grants,
}: Enquiry): Checks<"describe-addresses" | "describe-instances" | "associate" | "launch-hook"> {
  return {
    async "describe-addresses"(need) {
      await need("ec2");
      const { refusal } = await ask(need);
      if (refusal === undefined) return ok("allowed", undefined);
      const wanted = await quietly(want(need));
      const how = await grants(need, refusal, "ec2:DescribeAddresses", ["*"]);
      if (wanted instanceof Failure || wanted?.kind !== "pool") {
        return {
          mark: "warning",
          found: `${refusal.details.why}; one fixed address can do without, but what is not an instance stays unseen`,
          ...(refusal.details.cure !== undefined && { cure: refusal.details.cure }),
          ...how,
          value: undefined,
        };
      }
      return failing(refusal, undefined, how.commands);
    },

    async "describe-instances"(need) {
      const refusal = await mayDescribeInstances(need);
      if (refusal === undefined) return ok("allowed", undefined);
      if (!isRefusal(refusal)) return failing(refusal);
      const how = await grants(need, refusal, "ec2:DescribeInstances", ["*"]);
      const uses = [await quietly(want(need)), await quietly(observe(need))];
      if (uses.some((use) => use instanceof Failure && isRefusal(use))) {
        return failing(refusal, undefined, how.commands);
      }
      return {
        mark: "warning",
        found: `${refusal.details.why}; needed as soon as another instance holds the address`,
        ...(refusal.details.cure !== undefined && { cure: refusal.details.cure }),
        ...how,
        value: undefined,
      };
    },

    async associate(need) {
      const self = await need("identity");
      const here = await need("interface");
      const ec2 = await need("ec2");
      const { view } = await need("address");
      const refusal = await refusalOf(ec2.mayAssociate(view.allocationId, here));
      if (refusal === undefined) return ok("allowed", undefined);
      if (!isRefusal(refusal)) return failing(refusal);
      const account = await (await need("metadata")).account();
      const resources = remedies.resourcesOf(view.allocationId, here, self.region, account);
      const { commands } = await grants(need, refusal, "ec2:AssociateAddress", resources);
      const cure =
        refusal.details.beyondRole === true
          ? (refusal.details.cure ?? "")
          : `allow ec2:AssociateAddress on ${resources.join(" and ")} in the policy of the instance role`;
      const held = await unlessBlocked(need("holder"));
      return held?.decision.do === "settled"
        ? {
            mark: "warning",
            found: `${refusal.details.why}; not needed while the address is here`,
            cure,
            ...(commands && { commands }),
            value: undefined,
          }
        : failing(refusal, cure, commands);
    },

    async "launch-hook"(need) {
      const { settings, parts } = await need("settings");
      const { lifecycleHook: hook } = settings;
      if (hook === undefined) return ok("none is set", undefined);
      const self = await need("identity");
      const metadata = await need("metadata");
      await need("credentials");
      let group: string | undefined;
      try {
        group = (await metadata.group()) ?? (await parts.group(self, await sign(need), signal));
      } catch (error) {
        if (!(error instanceof Failure) || !isRefusal(error)) throw error;
        const how = await grants(need, error, "autoscaling:DescribeAutoScalingInstances", ["*"]);
        return failing(error, undefined, how.commands);
      }
      if (group === undefined) {
        return {
          mark: "warning",
          found: `${self.instanceId} is in no Auto Scaling group: it waits under no ${hook}`,
          cure: `nothing, if that is meant; else remove EIP_HEAL_LIFECYCLE_HOOK from ${ports.placeOfSetting("EIP_HEAL_LIFECYCLE_HOOK")}`,
          value: undefined,
        };
      }
      // Auto Scaling has no dry run.
      return {
        mark: "warning",
        found: `${hook} of ${group}: whether the role may complete it shows only when it does`,
        cure: "compare the role with eip-heal policy (autoscaling:CompleteLifecycleAction, autoscaling:RecordLifecycleActionHeartbeat)",
        unseen: true,
        value: undefined,
      };
    },
  };
}
