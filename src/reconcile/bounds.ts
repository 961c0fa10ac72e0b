/**
 * The four time bounds that make a take safe. EC2 has no compare-and-swap: AssociateAddress takes the address from
 * whoever holds it when the request is carried out, which need not be the holder that we saw. So an older instance's take
 * that is still in flight can hit the address just after a newer instance has claimed it. Whoever writes therefore waits
 * until no such take can be left, and reports success only if EC2 still shows the address here.
 *
 * With HOLD ≥ FRESH + FLIGHT + 2·LAG + 1 s the explorer finds no ending in which the newest instance does not hold the
 * address (test/explorer). All in milliseconds.
 */

/** Longest time from asking EC2 who holds an address to sending the take that relies on the answer. */
export const FRESH_MS = 1_000;
/** A write without an answer for this long counts as unanswered; its connection is reset so that it cannot arrive later. */
export const FLIGHT_MS = 2_000;
/** How out of date EC2's answers may be: EC2 is eventually consistent. */
export const LAG_MS = 1_000;
/** After a write EC2 has to show the address here immediately, and again after this time. */
export const HOLD_MS = 6_000;

/** If a run on this boot sent a write less than this ago, an address that is already here is held before it counts as settled. */
export const SUSPECT_MS = HOLD_MS + FLIGHT_MS;

/** How long two facts are reused: the launch time of an older instance, and that an instance is shutting down or terminated. */
export const FACTS_MS = 20_000;

/** After this many looks in a row that took longer than FRESH_MS and showed the same holder, the address is taken all the same. */
export const STALE_LOOKS = 3;

/**
 * Longest time that an observation can take: a few requests of at most 15 s each. An older one was made before this machine
 * was suspended, and says nothing about how slow EC2 is.
 */
export const SLOWEST_LOOK_MS = 90_000;

/**
 * How long EC2 must have said that the holder does not exist before it counts as gone. An instance that EC2 does not know
 * yet may have been launched a moment ago, and the newest instance is the one whose address must not be taken.
 */
export const UNKNOWN_FOR_MS = 15_000;

/**
 * If EC2 has answered for this instance but not for the holder for this long, the holder's zone is down. This instance
 * then counts as the newer one, once per boot and only if it was launched less than REPLACEMENT_MS ago: a replacement in
 * another zone takes the address, an old instance that merely reboots does not.
 */
export const UNANSWERED_FOR_MS = 60_000;
export const REPLACEMENT_MS = 15 * 60_000;

/** How long to wait for the lifecycle state of an instance in an Auto Scaling group before it counts as in service. */
export const SERVICE_UNKNOWN_MS = 60_000;
