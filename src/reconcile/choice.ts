/** Which address an attempt is about and what the ownership rule says about it, given what the run remembers. Pure. */
import { type AddressState, type PreviousHolder, nameDesired } from "../model/address.ts";
import { REPLACEMENT_MS, SERVICE_UNKNOWN_MS } from "./bounds.ts";
import { decide, isLive, type Takeover } from "./ownership.ts";
import { type Choice, choose, whyNoneOf } from "./pool.ts";
import type { Goal, Memory, State, TimedObservation } from "./state.ts";

/**
 * The takeover policy that applies now. Two instances with `always` would take the address from each other forever: once
 * EC2 has accepted a write of this boot, or shown its effect, the newest instance gets it; also once a write without an
 * answer may have been carried out, because the address has moved since. One that was lost on the way has taken nothing
 * from anybody, so it is sent again.
 */
export function effectiveTakeover({ takeover }: Goal, { wroteThisBoot }: Memory): Takeover {
  return takeover === "always" && wroteThisBoot === true ? "newest" : takeover;
}

/**
 * The address to go for and the decision about it, or why there is none.
 *
 * @param unknownSince since when EC2 has not known each holder, up to this observation
 * @param now milliseconds of the reconciler's clock (run/loop.ts)
 */
export function choiceOf(
  { goal, memory, attempt }: State,
  { addresses, date }: TimedObservation,
  unknownSince: Memory["unknownSince"],
  now: number,
): Choice {
  const { target, zone, desired, poolTakeover } = goal;
  const unknownForMs = ({ holder }: AddressState) =>
    holder.kind === "instance"
      ? now - (unknownSince[`${holder.state} ${holder.instanceId}`] ?? now)
      : 0;
  if (desired.kind === "pool") {
    const choice = choose(target, zone, addresses, poolTakeover, attempt.lostClaims, unknownForMs);
    return choice.address === undefined
      ? { why: `${whyNoneOf(desired, addresses, choice.why)} (${nameDesired(desired)})` }
      : choice;
  }
  const [address] = addresses;
  if (address === undefined)
    throw new Error(`an observation of ${nameDesired(desired)} without it`);
  const takeover = effectiveTakeover(goal, memory);
  const { selfLaunchedAt } = address;
  const isReplacement =
    memory.wroteThisBoot !== true &&
    selfLaunchedAt !== undefined &&
    Math.abs(date - selfLaunchedAt) < REPLACEMENT_MS;
  const unknownMs = unknownForMs(address);
  const decision = decide(target, zone, address, takeover, unknownMs, isReplacement);
  return { address, decision };
}

/**
 * Whether a take has to wait until it is known that this instance is in service: a member of a warm pool must not take the
 * address from a production instance. A free address may be claimed meanwhile.
 */
export function isPremature({ goal, memory }: State, from: PreviousHolder, now: number): boolean {
  return (
    from.kind === "instance" &&
    goal.isServiceUnknown === true &&
    memory.group !== undefined &&
    now - memory.group.since < SERVICE_UNKNOWN_MS &&
    // With `always` EC2 is not asked for the state.
    (from.state === undefined || isLive(from)) &&
    from.instanceId !== goal.target.instanceId
  );
}
