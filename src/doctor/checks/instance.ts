/** Checks instance metadata: the service, this instance's identity and interfaces, its role and credentials. */
import { namedBySetting } from "../../config/settings.ts";
import { type Target, resolveTarget } from "../../model/target.ts";
import { RECHECK_TIMER } from "../../reconcile/drift.ts";
import {
  mayEnterServiceRunning,
  whyInterrupted,
  whyNotInService,
} from "../../reconcile/ownership.ts";
import { AWS_CODE, OWN_CODE, EXIT, Failure, lacksPermission } from "../../model/failure.ts";
import type { Unit } from "../../model/unit.ts";
import * as remedies from "../remedies.ts";
import { failing, ok } from "../runner.ts";
import type { Signer } from "../../run/ports.ts";
import { type Checks, type CheckContext, unlessBlocked } from "../context.ts";

/** The checks that only need instance metadata. */
export function checkInstance({
  ports,
  signal,
  sign,
  firstCall,
  endpointVariable,
  correct,
  settingsHere,
}: CheckContext): Checks<
  "metadata" | "identity" | "in-service" | "interface" | "tags" | "role" | "credentials"
> {
  return {
    async metadata(resultOf) {
      const { aws } = await resultOf("settings");
      try {
        const session = await aws.open(signal);
        return ok(`${aws.metadataUrl.host} answers, version 2`, session);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        const { code } = error;
        const variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
        const self = { instanceId: ports.machine.firmwareInstanceId() };
        if (code === OWN_CODE.metadataOff) {
          return failing(error, "switch it on, with the permissions of an administrator", [
            remedies.modifyMetadata(self, "--http-endpoint enabled"),
          ]);
        }
        const reached = code === OWN_CODE.metadataSilent && (await isReached(aws.metadataUrl));
        if (reached) {
          return failing(
            error,
            "the connection is made, but no token comes back: in a container, allow the response one more hop",
            [remedies.modifyMetadata(self, "--http-put-response-hop-limit 2")],
          );
        }
        return failing(error, ports.variable(variable) ? correct(variable) : undefined);
      }
    },

    async identity(resultOf) {
      const { settings } = await resultOf("settings");
      const session = await resultOf("metadata");
      const named = namedBySetting(settings) !== undefined;
      const [self, ownRegion] = await Promise.all([
        session.instance(named ? [] : [settings.tag, settings.poolTag], { ipv6: true }),
        session.ownRegion(),
      ]);
      if (ownRegion !== self.region) {
        const variable = ports.variable("AWS_REGION") ? "AWS_REGION" : "AWS_DEFAULT_REGION";
        return {
          mark: "failed",
          found: `${variable} is ${self.region}, and ${self.instanceId} is in ${ownRegion}`,
          remedy: `remove ${variable} from ${ports.placeOfSetting(variable)}`,
          // The default endpoint of the wrong region does not know the address; an explicit endpoint refuses the signature.
          status: endpointVariable() === undefined ? EXIT.CONFIG : EXIT.NOPERM,
        };
      }
      return ok(`${self.instanceId} in ${self.zone}`, self);
    },

    async "in-service"(resultOf) {
      const [session, self] = await Promise.all([resultOf("metadata"), resultOf("identity")]);
      const because = whyInterrupted(await session.spotAction()) ?? whyNotInService(self);
      if (because !== undefined) {
        const timer = await ports.machine.unit(RECHECK_TIMER, signal);
        const isMissed =
          mayEnterServiceRunning(self.lifecycleState) && timer !== undefined && !isOn(timer);
        return {
          mark: "warning",
          found: `${because}: a heal leaves the address alone`,
          remedy: isMissed
            ? "it may enter service without a boot: turn on the timer that heals then"
            : "nothing, if that is meant; a heal is due once it is in service",
          ...(isMissed && { commands: [`systemctl enable --now ${RECHECK_TIMER}`] }),
          idle: true,
          value: undefined,
        };
      }
      const { lifecycleState } = self;
      return ok(
        lifecycleState === undefined
          ? "in service, or not in an Auto Scaling group"
          : `its Auto Scaling target state is ${lifecycleState}`,
        undefined,
      );
    },

    async interface(resultOf) {
      const self = await resultOf("identity");
      const settings = await settingsHere(resultOf);
      let target: Target;
      try {
        target = resolveTarget(self, settings);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        const { remedy, setting } = error.details;
        return failing(
          error,
          setting === undefined
            ? remedy
            : `set ${setting.key} in ${ports.placeOfSetting(setting.key)} to one of: ${setting.accepted}`,
        );
      }
      const others = self.interfaces.length - 1;
      const more = others === 0 ? "" : `, one of ${others + 1} interfaces`;
      return ok(`${target.interfaceId} ${target.privateIp}${more}`, target);
    },

    async tags(resultOf) {
      const { settings } = await resultOf("settings");
      const session = await resultOf("metadata");
      if (namedBySetting(settings) !== undefined) {
        return ok("not needed: a setting names what is wanted", undefined);
      }
      if (await session.hasTags()) return ok("instance metadata shows them", undefined);
      const self = await resultOf("identity");
      return {
        mark: "warning",
        found: "instance metadata shows none, so that EC2 has to be asked (ec2:DescribeInstances)",
        remedy: "turn them on, here and in the launch template",
        commands: [remedies.modifyMetadata(self, "--instance-metadata-tags enabled")],
        value: undefined,
      };
    },

    async role(resultOf) {
      const { aws } = await resultOf("settings");
      if (aws.hasKeys) return ok("not needed: keys are set in the environment", undefined);
      const session = await resultOf("metadata");
      const role = await session.role();
      if (role !== undefined) return ok(role, role);
      const self = await resultOf("identity");
      return {
        mark: "failed",
        found: "this instance has no role",
        remedy:
          "attach an instance profile whose role allows the calls (eip-heal policy prints them)",
        commands: [remedies.attachProfile(self)],
        status: EXIT.NOPERM,
      };
    },

    async credentials(resultOf) {
      const role = await resultOf("role");
      let signer: Signer;
      try {
        signer = await sign(resultOf);
      } catch (error) {
        if (!(error instanceof Failure) || error.code !== AWS_CODE.assumeRoleUnauthorized)
          throw error;
        const { region } = await resultOf("identity");
        return failing(
          error,
          `let EC2 assume the role: add ${remedies.trustStatement(region)} to the statements of its trust policy; aws iam update-assume-role-policy takes the whole policy and replaces the one that is there`,
          role === undefined ? [] : [remedies.showTrust(role)],
        );
      }
      const { source, expiresAt } = signer;
      const until =
        expiresAt === undefined ? "" : `, until ${expiresAt.toISOString().replace(".000Z", "Z")}`;
      const answer = await unlessBlocked(firstCall(resultOf));
      if (answer === undefined) return ok(`of ${source}${until}; EC2 was not asked`, signer);
      const { refusal } = answer;
      if (refusal?.kind === "denied" && !lacksPermission(refusal)) {
        return failing(
          refusal,
          (await resultOf("settings")).aws.hasKeys
            ? `correct AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN in ${ports.placeOfSetting("AWS_ACCESS_KEY_ID")}, or remove them there to use the instance role`
            : undefined,
        );
      }
      return ok(`of ${source}${until}`, signer);
    },
  };

  function isOn({ activity, enablement }: Unit): boolean {
    return activity === "active" || enablement === "enabled";
  }

  async function isReached(url: URL): Promise<boolean> {
    try {
      await ports.network.connect(url, signal);
      return true;
    } catch {
      return false;
    }
  }
}
