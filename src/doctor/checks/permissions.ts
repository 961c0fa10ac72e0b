/** Checks the permissions of the role. */
import { Failure, lacksPermission } from "../../model/failure.ts";
import { OPTIONAL } from "../../iam/policy.ts";
import { deadlineSignal } from "../../run/retrying.ts";
import { failing, type ResultOf, ok } from "../runner.ts";
import {
  permissionOf,
  type Checks,
  type CheckContext,
  notKnown,
  valueOrFailure,
  refusalOf,
  unlessBlocked,
} from "../context.ts";
import type { CheckResults } from "../catalog.ts";

/** Milliseconds to wait for Auto Scaling; only a note depends on its answer. */
const AUTO_SCALING_MS = 3_000;

/** The checks of the role; EC2 is asked by DryRun. */
export function checkPermissions({
  ports,
  signal,
  sign,
  firstCall,
  mayDescribeInstances,
  findDesired,
  observe,
  remedyFor,
}: CheckContext): Checks<
  "describe-addresses" | "describe-instances" | "associate" | "launch-hook" | "optional"
> {
  return {
    async "describe-addresses"(resultOf) {
      await resultOf("ec2");
      const { refusal } = await firstCall(resultOf);
      if (refusal === undefined || permissionOf(refusal) === "allowed")
        return ok("allowed", undefined);
      const wanted = await valueOrFailure(findDesired(resultOf));
      const remedy = await remedyFor(resultOf, refusal);
      if (wanted instanceof Failure || wanted === undefined || wanted.kind === "address") {
        return {
          mark: "warning",
          found: `${refusal.details.why}; one fixed address can do without, but what is not an instance stays unseen`,
          ...remedy,
          value: undefined,
        };
      }
      const instead =
        wanted.kind === "pool"
          ? ""
          : "; or name the address by its allocation id, which does without";
      return failing(refusal, `${remedy.remedy}${instead}`, remedy.commands);
    },

    async "describe-instances"(resultOf) {
      const refusal = await mayDescribeInstances(resultOf);
      if (refusal === undefined || permissionOf(refusal) === "allowed")
        return ok("allowed", undefined);
      if (permissionOf(refusal) === "not known") return notKnown(refusal);
      if (!lacksPermission(refusal)) return failing(refusal);
      const remedy = await remedyFor(resultOf, refusal);
      const uses = [
        await valueOrFailure(findDesired(resultOf)),
        await valueOrFailure(observe(resultOf)),
      ];
      if (uses.some((use) => use instanceof Failure && lacksPermission(use))) {
        return failing(refusal, remedy.remedy, remedy.commands);
      }
      return {
        mark: "warning",
        found: `${refusal.details.why}; needed as soon as another instance holds the address`,
        ...remedy,
        value: undefined,
      };
    },

    async associate(resultOf) {
      const target = await resultOf("interface");
      const ec2 = await resultOf("ec2");
      const { address } = await resultOf("address");
      const held = await unlessBlocked(resultOf("holder"));
      const decided = held?.decision.do;
      const reassociate = decided === "take" || decided === "probe";
      const refusal = await refusalOf(ec2.mayAssociate(address.allocationId, target, reassociate));
      if (refusal === undefined || permissionOf(refusal) === "allowed")
        return ok("allowed", undefined);
      if (permissionOf(refusal) === "not known") return notKnown(refusal);
      if (!lacksPermission(refusal)) return failing(refusal);
      const remedy = await remedyFor(resultOf, refusal);
      return decided === "settled"
        ? {
            mark: "warning",
            found: `${refusal.details.why}; not needed while the address is here`,
            ...remedy,
            value: undefined,
          }
        : failing(refusal, remedy.remedy, remedy.commands);
    },

    async "launch-hook"(resultOf) {
      const { settings } = await resultOf("settings");
      const { lifecycleHook: hook } = settings;
      if (hook === undefined) return ok("none is set", undefined);
      const self = await resultOf("identity");
      const session = await resultOf("metadata");
      await resultOf("credentials");
      let group: string | undefined;
      try {
        group = (await session.group()) ?? (await groupByAutoScaling(resultOf, signal));
      } catch (error) {
        if (!(error instanceof Failure) || !lacksPermission(error)) throw error;
        const { remedy, commands } = await remedyFor(resultOf, error);
        return failing(error, remedy, commands);
      }
      if (group === undefined) {
        return {
          mark: "warning",
          found: `${self.instanceId} is not in an Auto Scaling group: no pending lifecycle action for ${hook}`,
          remedy: `nothing, if that is meant; else remove EIP_HEAL_LIFECYCLE_HOOK from ${ports.placeOfSetting("EIP_HEAL_LIFECYCLE_HOOK")}`,
          value: undefined,
        };
      }
      // Auto Scaling has no DryRun.
      return {
        mark: "warning",
        found: `${hook} of ${group}: whether the role may complete it shows only when it does`,
        remedy:
          "compare the role with eip-heal policy (autoscaling:CompleteLifecycleAction, autoscaling:RecordLifecycleActionHeartbeat)",
        unseen: true,
        value: undefined,
      };
    },

    // Never more than a note: a heal works without them.
    async optional(resultOf) {
      const self = await resultOf("identity");
      const [ec2, session] = await Promise.all([resultOf("ec2"), resultOf("metadata")]);
      const isInGroup =
        self.lifecycleState !== undefined || (await valueOrFailure(session.group())) !== undefined;
      const [ofInterfaces, ofGroup] = await Promise.all([
        refusalOf(ec2.mayDescribeInterfaces()),
        isInGroup ? refusalOfAutoScaling(resultOf) : undefined,
      ]);
      const aboutGroup = "autoscaling:DescribeAutoScalingInstances";
      const notes = [
        note("ec2:DescribeNetworkInterfaces", ofInterfaces),
        isInGroup
          ? note(aboutGroup, ofGroup)
          : `${aboutGroup} is not needed: this instance is in no Auto Scaling group, it seems`,
      ];
      return ok(notes.join("; "), undefined);
    },
  };

  async function groupByAutoScaling(
    resultOf: ResultOf<CheckResults>,
    ends: AbortSignal,
  ): Promise<string | undefined> {
    const [session, self] = await Promise.all([resultOf("metadata"), resultOf("identity")]);
    await sign(resultOf);
    const api = await session.autoScaling(self, ends);
    try {
      return (await api.member())?.group;
    } finally {
      api.close();
    }
  }

  /** Auto Scaling has no DryRun, so the request itself is sent. */
  async function refusalOfAutoScaling(
    resultOf: ResultOf<CheckResults>,
  ): Promise<Failure | undefined> {
    const limit = deadlineSignal(ports.clock, AUTO_SCALING_MS, signal);
    try {
      await groupByAutoScaling(resultOf, limit.signal);
      return undefined;
    } catch (error) {
      if (error instanceof Failure) return error;
      if (signal.aborted || !limit.signal.aborted) throw error;
      return new Failure("unreachable", { why: "Auto Scaling does not answer" });
    } finally {
      limit.release();
    }
  }
}

function note(permission: keyof typeof OPTIONAL, refusal: Failure | undefined): string {
  switch (permissionOf(refusal)) {
    case "allowed":
      return `${permission} is allowed`;
    case "refused":
      return `not allowed: ${permission}, and without it ${OPTIONAL[permission]}`;
    case "not known":
      return `whether ${permission} is allowed is not known: ${refusal?.details.why}`;
  }
}
