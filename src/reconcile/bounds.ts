/**
 * The four bounds that make a take safe. EC2 has no compare-and-swap: AssociateAddress takes an address from whoever
 * holds it when the request is carried out, and not from whoever held it when that was looked at. So a take that is
 * under way while a newer instance claims the address arrives afterwards. Whoever claims one waits until no such take
 * can be left, and says success only if EC2 then still shows the address here.
 *
 * With HOLD ≥ FRESH + FLIGHT + 2·LAG + 1 s the explorer finds no ending in which the newest instance does not hold the
 * address (test/explorer). All in milliseconds.
 */

/** From asking who holds an address to sending the take that rests on the answer. */
export const FRESH_MS = 1_000;
/** After this an unanswered write counts as unanswered, and its connection is reset so that it cannot arrive later. */
export const FLIGHT_MS = 2_000;
/** How old an answer of EC2 may be: it is eventually consistent. */
export const LAG_MS = 1_000;
/** After a write EC2 has to show the address here at once and once more after this. */
export const HOLD_MS = 6_000;

/** After a write of an earlier run on this boot, what is found here is held first, for so long. */
export const SUSPECT_MS = HOLD_MS + FLIGHT_MS;

/** For so long it is taken for granted when an older instance was launched, and that one that is ending is ending. */
export const FACTS_MS = 20_000;

/** So many observations in a row that are too old to take an address on, and show the same, are enough: EC2 is that slow. */
export const STALE_LOOKS = 3;

/**
 * How long EC2 must have denied knowing the holder before it counts as gone. An instance that is unknown in one answer
 * may be a very new one, and a very new one is just what must not be robbed.
 */
export const UNKNOWN_FOR_MS = 15_000;

/**
 * For so long EC2 must have answered for this instance and not for the holder, whose zone is down then, before this one
 * counts as the newer one: once on a boot, and only if it was launched less than REPLACEMENT_MS ago. So a replacement in
 * another zone takes the address, and an old instance that merely reboots does not.
 */
export const UNANSWERED_FOR_MS = 60_000;
export const REPLACEMENT_MS = 15 * 60_000;

/** How long it is waited for the lifecycle state of an instance that is in a group, before it counts as in service. */
export const SERVICE_UNKNOWN_MS = 60_000;
