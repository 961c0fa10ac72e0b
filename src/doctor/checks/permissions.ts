/** What the role may do. */
import { Failure } from "../../model/failure.ts";
import { OPTIONAL } from "../../iam/policy.ts";
import { deadlineSignal } from "../../run/retrying.ts";
import { failing, type Need, ok } from "../examination.ts";
import {
  answerOf,
  type Checks,
  type Enquiry,
  isRefusal,
  notKnown,
  quietly,
  refusalOf,
  unlessBlocked,
  type Values,
} from "./enquiry.ts";

/** Milliseconds that Auto Scaling has to answer, which only a note depends on. */
const AUTO_SCALING_MS = 3_000;

/** The checks of the role, by EC2's own word where it has a dry run. */
export function checkPermissions({
  ports,
  signal,
  sign,
  ask,
  mayDescribeInstances,
  want,
  observe,
  remedyFor,
}: Enquiry): Checks<
  "describe-addresses" | "describe-instances" | "associate" | "launch-hook" | "optional"
> {
  return {
    async "describe-addresses"(need) {
      await need("ec2");
      const { refusal } = await ask(need);
      if (refusal === undefined || answerOf(refusal) === "allowed") return ok("allowed", undefined);
      const wanted = await quietly(want(need));
      const remedy = await remedyFor(need, refusal);
      if (wanted instanceof Failure || wanted?.kind !== "pool") {
        return {
          mark: "warning",
          found: `${refusal.details.why}; one fixed address can do without, but what is not an instance stays unseen`,
          ...remedy,
          value: undefined,
        };
      }
      return failing(refusal, remedy.cure, remedy.commands);
    },

    async "describe-instances"(need) {
      const refusal = await mayDescribeInstances(need);
      if (refusal === undefined || answerOf(refusal) === "allowed") return ok("allowed", undefined);
      if (answerOf(refusal) === "not known") return notKnown(refusal);
      if (!isRefusal(refusal)) return failing(refusal);
      const remedy = await remedyFor(need, refusal);
      const uses = [await quietly(want(need)), await quietly(observe(need))];
      if (uses.some((use) => use instanceof Failure && isRefusal(use))) {
        return failing(refusal, remedy.cure, remedy.commands);
      }
      return {
        mark: "warning",
        found: `${refusal.details.why}; needed as soon as another instance holds the address`,
        ...remedy,
        value: undefined,
      };
    },

    async associate(need) {
      const here = await need("interface");
      const ec2 = await need("ec2");
      const { view } = await need("address");
      const held = await unlessBlocked(need("holder"));
      const decided = held?.decision.do;
      const reassociate = decided === "take" || decided === "probe";
      const refusal = await refusalOf(ec2.mayAssociate(view.allocationId, here, reassociate));
      if (refusal === undefined || answerOf(refusal) === "allowed") return ok("allowed", undefined);
      if (answerOf(refusal) === "not known") return notKnown(refusal);
      if (!isRefusal(refusal)) return failing(refusal);
      const remedy = await remedyFor(need, refusal);
      return decided === "settled"
        ? {
            mark: "warning",
            found: `${refusal.details.why}; not needed while the address is here`,
            ...remedy,
            value: undefined,
          }
        : failing(refusal, remedy.cure, remedy.commands);
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
        const { cure, commands } = await remedyFor(need, error);
        return failing(error, cure, commands);
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

    // A note, whatever comes out: a heal does without them.
    async optional(need) {
      const self = await need("identity");
      const [ec2, metadata] = await Promise.all([need("ec2"), need("metadata")]);
      const isInGroup =
        self.lifecycleState !== undefined || (await quietly(metadata.group())) !== undefined;
      const [ofInterfaces, ofGroup] = await Promise.all([
        refusalOf(ec2.mayDescribeInterfaces()),
        isInGroup ? refusalOfAutoScaling(need) : undefined,
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

  /** Auto Scaling has no dry run: what it refuses to tell, it refuses. */
  async function refusalOfAutoScaling(need: Need<Values>): Promise<Failure | undefined> {
    const [{ parts }, self] = await Promise.all([need("settings"), need("identity")]);
    const limit = deadlineSignal(ports.clock, AUTO_SCALING_MS, signal);
    try {
      await parts.group(self, await sign(need), limit.signal);
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
  switch (answerOf(refusal)) {
    case "allowed":
      return `${permission} is allowed`;
    case "refused":
      return `not allowed: ${permission}, and without it ${OPTIONAL[permission]}`;
    case "not known":
      return `whether ${permission} is allowed is not known: ${refusal?.details.why}`;
  }
}
