/**
 * Waits until requests from this instance show the address (EIP_HEAL_WAIT_REACHABLE): EC2 shows an association some seconds
 * before packets take its way.
 */
import { Failure, OWN_CODE } from "../model/failure.ts";
import type { HealPorts, ShownIp } from "./ports.ts";
import { type RetryContext, withStep } from "./retrying.ts";

/** Milliseconds from one request to the next. */
const EVERY_MS = 1_500;
/** Milliseconds after which it is said what is being waited for. */
const USUAL_MS = 10_000;

/**
 * Asks the URL again and again, at least once, until it shows the address.
 *
 * @param publicIp that it has to show; undefined if the role may not see it
 * @param stopIfReleased throws if the address has been released meanwhile
 * @throws Failure `unreachable` once the deadline has passed, the reason of `stop` if somebody stops the run
 */
export async function untilReachable(
  context: RetryContext,
  { publicIpBy }: Pick<HealPorts, "publicIpBy">,
  url: URL,
  publicIp: string | undefined,
  stopIfReleased: () => void,
): Promise<void> {
  const { ports, signal, stop, deadline } = context;
  const { clock, log } = ports;
  if (publicIp === undefined) throw unknownIp();
  const step = `waiting until requests show ${publicIp}`;
  const beganAt = clock.now();
  let isSaid = false;
  for (;;) {
    stopIfReleased();
    const askedAt = clock.now();
    const failure = await withStep(context, step, () => missing());
    if (failure === undefined) return;
    if (!isSaid && clock.now() - beganAt >= USUAL_MS) {
      isSaid = true;
      log.warn(`${failure.message}; asked again until the deadline`);
    }
    const left = deadline - clock.now();
    const pause = askedAt + EVERY_MS - clock.now();
    if (left <= pause) throw failure;
    if (pause > 0) {
      try {
        await clock.sleep(pause, signal);
      } catch {
        stop.throwIfAborted();
        throw failure;
      }
    }
  }

  /** Why the address is not shown; undefined if it is. */
  async function missing(): Promise<Failure | undefined> {
    try {
      // Not ended by the deadline, so that it is asked at least once; a request has a limit of its own.
      const shown = await publicIpBy(url, stop);
      return shown.publicIp === publicIp ? undefined : unreachable(notShown(url, shown));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const { why, ...details } = error.details;
      return unreachable({ ...details, why: `${ASSOCIATED}, but ${why}` });
    }
  }

  function unreachable(details: Failure["details"]): Failure {
    return new Failure("unreachable", { ...details, code: OWN_CODE.notReachable }, step);
  }
}

/** What it means if a request shows another address than the one that is associated here, and what to do about it. */
export function notShown(
  { host }: URL,
  { publicIp, proxyVariable }: ShownIp,
): { readonly why: string; readonly remedy: string } {
  return {
    why: `${ASSOCIATED}, but requests from here still show ${publicIp}`,
    remedy:
      proxyVariable === undefined
        ? `do requests to ${host} leave by a NAT, or by another interface or private address?`
        : `they go through the proxy of ${proxyVariable}: name ${host} in NO_PROXY`,
  };
}

const ASSOCIATED = "the address is associated";

function unknownIp(): Failure {
  return new Failure("unreachable", {
    why: `${ASSOCIATED}, but which public IPv4 address it is only ec2:DescribeAddresses tells, so that no request can show it`,
    remedy:
      "allow ec2:DescribeAddresses (eip-heal policy prints it), or remove EIP_HEAL_WAIT_REACHABLE",
    code: OWN_CODE.notReachable,
  });
}
