/**
 * The rule for a pool: keep what we hold, else claim what is free, else take what an instance that is gone
 * still holds; never anything from a running instance. Pure.
 */
import { decide, type Decision, describeState, isAt, isOwn } from "./decide.ts";
import { borderGroupOf } from "./ids.ts";
import type { Place, View } from "./view.ts";

/** A decision about one address of the pool. */
export type Choice =
  | { readonly view: View; readonly decision: Decision }
  /** There is none to be had: why, for people. */
  | { readonly view?: undefined; readonly why: string };

/**
 * The address to go for.
 *
 * @param lost allocation ids that somebody else was quicker to claim since the look
 * @param unknownForMs how long EC2 has denied knowing the holder of a view, in milliseconds
 */
export function choose(
  here: Place,
  zone: string,
  views: readonly View[],
  lost: ReadonlySet<string>,
  unknownForMs: (view: View) => number,
): Choice {
  const own = views.filter((view) => isOwn(view, here));
  const settled = own.find(({ holder }) => holder.kind === "instance" && isAt(here, holder));
  const [first] = settled === undefined ? own : [settled];
  if (first !== undefined)
    return { view: first, decision: decide(here, zone, first, "if-gone", 0) };

  const usable = views.filter((view) => isFor(view, zone) && !lost.has(view.allocationId));
  // Of thousands only the free ones are put in order, mostly.
  const [free] = inOrder(usable.filter(isFree), here.instanceId, zone);
  if (free !== undefined) return { view: free, decision: { do: "associate" } };

  for (const view of inOrder(usable, here.instanceId, zone)) {
    const decision = decide(here, zone, view, "if-gone", unknownForMs(view));
    if (decision.do === "take") return { view, decision };
  }
  return { why: whyNone(views, zone) };
}

/** May an instance in this zone use the address at all? */
export function isFor(view: View, zone: string): boolean {
  return (
    (view.zone === undefined || view.zone === zone) &&
    (view.borderGroup === undefined || view.borderGroup === borderGroupOf(zone))
  );
}

export function isFree({ holder }: View): boolean {
  return holder.kind === "nobody";
}

/**
 * Own zone's addresses first, then those of no zone; within both in an order of this instance's own, so
 * that instances that boot together reach for different addresses, and the same one for the same again.
 * (Rendezvous hashing: highest random weight of the pair.)
 */
function inOrder(views: readonly View[], instanceId: string, zone: string): View[] {
  const rank = new Map(views.map((view) => [view, weight(`${instanceId} ${view.allocationId}`)]));
  return views.toSorted(
    (a, b) =>
      Number(b.zone === zone) - Number(a.zone === zone) || (rank.get(b) ?? 0) - (rank.get(a) ?? 0),
  );
}

/** FNV-1a with a final mix, 32 bits: it has to spread, not to hide. */
function weight(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** How many addresses a message names. */
const NAMED = 6;

function whyNone(views: readonly View[], zone: string): string {
  if (views.length === 0) return "no address carries that tag";
  const told = views.slice(0, NAMED).map((view) => {
    const name =
      view.publicIp === undefined ? view.allocationId : `${view.allocationId} (${view.publicIp})`;
    if (!isFor(view, zone)) return `${name} is for ${view.zone ?? view.borderGroup}`;
    switch (view.holder.kind) {
      case "nobody":
        return `${name} was claimed by somebody else just now`;
      case "instance":
        return `${name} is held by ${view.holder.instanceId} (${describeState(view.holder)})`;
      case "other":
        return `${name} is held by ${view.holder.what}`;
    }
  });
  const more = views.length > NAMED ? ` and ${views.length - NAMED} more` : "";
  return `no address is free for ${zone}: ${told.join(", ")}${more}`;
}
