/** Checks the URL that a heal waits for (EIP_HEAL_WAIT_REACHABLE). */
import { EXIT, Failure } from "../../model/failure.ts";
import { notShown } from "../../run/reachable.ts";
import { type Checks, type CheckContext, unlessBlocked } from "../context.ts";
import { failing, ok } from "../runner.ts";

/** The check of that URL, by the same request as in a heal. */
export function checkReachable({ signal }: CheckContext): Checks<"reachable"> {
  return {
    async reachable(resultOf) {
      const { settings, aws } = await resultOf("settings");
      const { waitReachable: url } = settings;
      if (url === undefined) return ok("no URL is set", undefined);
      const held = await unlessBlocked(resultOf("holder"));
      const isHere = held?.decision.do === "settled";
      try {
        const shown = await aws.publicIpBy(url, signal);
        const { publicIp } = shown;
        if (!isHere) {
          return ok(
            `${url.host} shows ${publicIp}; after a heal it has to show the address`,
            undefined,
          );
        }
        if (publicIp === held.address.publicIp) {
          return ok(`${url.host} shows the address`, undefined);
        }
        const { why: found, remedy } = notShown(url, shown);
        return { mark: "failed", found, remedy, status: EXIT.TEMPFAIL };
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (isHere) return failing(error);
        // Without a public address of its own the instance may reach it only once the address is here.
        const { why, remedy } = error.details;
        return {
          mark: "warning",
          found: `${why}; whether that changes once the address is here shows only then`,
          ...(remedy !== undefined && { remedy }),
          unseen: true,
          value: undefined,
        };
      }
    },
  };
}
