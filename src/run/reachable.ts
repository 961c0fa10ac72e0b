/**
 * Waits until requests from this instance show the address (EIP_HEAL_WAIT_REACHABLE): EC2 shows an association some seconds
 * before packets use it.
 */
import { Failure, OWN_CODE } from "../model/failure.ts";
import { nameUrl } from "../model/url.ts";
import { isSameCause } from "../reconcile/repeated.ts";
import type { HealPorts, ShownIp } from "./ports.ts";
import { type RetryContext, withStep } from "./retrying.ts";

/** Milliseconds from one request to the next; with less left there is none. */
export const EVERY_MS = 1_500;
/** Milliseconds after which EC2 has to be looked at again, because the address may have gone elsewhere. */
const LOOK_AGAIN_MS = 15_000;
/** Milliseconds before the deadline from which on that is not done: such a look would perhaps not be finished. */
const LAST_LOOK_MS = 5_000;

/**
 * Makes a function that asks the URL again and again, at least once, until it shows the public IP that it is given:
 * undefined then. After a while, and before the deadline, it returns why the URL does not. That is logged at once, and again
 * if it changes. It throws the reason of `stop` if somebody stops the run.
 *
 * @param stopIfReleased throws if the address has been released meanwhile
 */
export function whenReachable(
  context: RetryContext,
  { publicIpBy }: Pick<HealPorts, "publicIpBy">,
  url: URL,
  stopIfReleased: () => void,
): (publicIp: string) => Promise<Failure | undefined> {
  const { ports, signal, stop, deadline, last } = context;
  const { clock, log } = ports;
  let said: Failure | undefined;

  return async (publicIp) => {
    const step = `waiting until requests show ${publicIp}`;
    const lookAgainAt = clock.now() + LOOK_AGAIN_MS;
    const until = lookAgainAt + LAST_LOOK_MS < deadline ? lookAgainAt : deadline;
    for (;;) {
      stopIfReleased();
      const askedAt = clock.now();
      const failure = await withStep(context, step, () => missing(publicIp, step));
      if (failure === undefined) return undefined;
      if (said?.isLike(failure) !== true) {
        said = failure;
        const { remedy: _, ...details } = failure.details;
        const { message } = new Failure(failure.kind, details, step);
        log[isSameCause(failure, last) ? "debug" : "warn"](
          `${message}; asked again until the deadline`,
        );
      }
      const pause = Math.max(0, askedAt + EVERY_MS - clock.now());
      if (until - clock.now() <= pause) return failure;
      try {
        await clock.sleep(pause, signal);
      } catch {
        stop.throwIfAborted();
        return failure;
      }
    }
  };

  /** Why the address is not shown; undefined if it is. */
  async function missing(publicIp: string, step: string): Promise<Failure | undefined> {
    const because = (details: Failure["details"]) =>
      new Failure("unreachable", { ...details, code: OWN_CODE.notReachable }, step);
    try {
      // Not ended by the deadline, so that it is asked at least once; a request has a limit of its own.
      const shown = await publicIpBy(url, stop);
      return shown.publicIp === publicIp ? undefined : because(notShown(url, shown));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const { why, remedy = unanswering(url), ...details } = error.details;
      return because({ ...details, why: `${ASSOCIATED}, but ${why}`, remedy });
    }
  }
}

/** What it means if a request shows another address than the one that is associated here, and what to do about it. */
export function notShown(
  url: URL,
  { publicIp, proxyVariable }: ShownIp,
): { readonly request: string; readonly why: string; readonly remedy: string } {
  const { host } = url;
  return {
    request: `GET ${nameUrl(url)}`,
    why: `${ASSOCIATED}, but requests from here still show ${publicIp}`,
    remedy:
      proxyVariable === undefined
        ? `do requests to ${host} leave by a NAT, or by another interface or private address? route them by the one that has the address, or ${WITHOUT}`
        : `they go through the proxy of ${proxyVariable}: name ${host} in NO_PROXY`,
  };
}

/** What to do about a URL that does not answer. */
function unanswering({ host }: URL): string {
  return `does ${host} answer from here, by IPv4? name one that does, or ${WITHOUT}`;
}

const ASSOCIATED = "the address is associated";
const WITHOUT = "remove EIP_HEAL_WAIT_REACHABLE";

/** The failure if the role may not see which address it is. */
export function unknownIp(): Failure {
  return new Failure("unreachable", {
    why: `${ASSOCIATED}, but which public IPv4 address it is only ec2:DescribeAddresses tells, so that no request can show it`,
    remedy: `allow ec2:DescribeAddresses (eip-heal policy prints it), or ${WITHOUT}`,
    code: OWN_CODE.notReachable,
  });
}

/** The failure if requests have come to show the address, and the deadline comes before EC2 has confirmed it. */
export function notConfirmed(publicIp: string): Failure {
  return new Failure("unreachable", {
    why: `requests show ${publicIp}, but the deadline came before EC2 had confirmed that the address is still here`,
    remedy: "raise EIP_HEAL_DEADLINE if this happens again",
  });
}
