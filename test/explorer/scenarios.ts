/** What is explored, and what comes of it. */
import { FLIGHT_MS, LAG_MS } from "../../src/reconcile/bounds.ts";
import type { Scenario } from "./world.ts";

const FLIGHT = FLIGHT_MS / 1_000;
const LAG = LAG_MS / 1_000;

export interface Row {
  readonly name: string;
  readonly scenario: Scenario;
  /** States that can be reached: a model that has become smaller by mistake is seen by it. */
  readonly states: number;
  /** Everything that goes wrong: nothing, within the bounds. */
  readonly wrong: readonly string[];
}

const FALSE_SUCCESS = "the newest has said success and does not hold it";

function row(name: string, states: number, more: Partial<Scenario>, ...wrong: string[]): Row {
  const scenario = { claimants: 2, holders: ["J"] as const, flight: FLIGHT, ...more };
  return { name, scenario, states, wrong };
}
const FREE = { holders: ["nobody"] } as const;
const POOL = { holders: ["nobody", "nobody"], pool: true } as const;

/** Two instances that boot at once: seconds. */
export const QUICK: readonly Row[] = [
  row("the address is free", 4_354, FREE),
  row("an older instance holds it", 27_694, {}),
  row("it dies meanwhile", 437_973, { atMost: { deaths: 1 } }),
  row("a pool of two free addresses", 6_150, POOL),
  row("EC2 is behind", 238_864, { lag: LAG }),
  row("free, and an answer is lost", 57_989, { ...FREE, atMost: { losses: 1 } }),
  row("free, and EC2 does not know the newest for ten seconds", 41_762, {
    ...FREE,
    unknownFor: 10,
  }),
  row("an older one is started again", 235_908, { atMost: { restarts: 1 } }),
  row("always beside newest, and each success is confirmed", 159_677, {
    takeover: ["always", "newest"],
    isConfirmed: true,
  }),
];

/** What the manual admits: beyond the bounds, until the confirming look. */
export const BEYOND: readonly Row[] = [
  row(
    "observations that take too long, three times in a row",
    32_355,
    { isSlow: true },
    FALSE_SUCCESS,
  ),
  row("the same, and each success is confirmed", 191_194, { isSlow: true, isConfirmed: true }),
  row("requests that EC2 carries out much later", 42_562, { flight: 6 }, FALSE_SUCCESS),
  row("the same, and each success is confirmed", 301_844, { flight: 6, isConfirmed: true }),
  row("always beside newest", 25_008, { takeover: ["always", "newest"] }, FALSE_SUCCESS),
];

/** Minutes, and gigabytes of memory. */
export const SLOW: readonly Row[] = [
  row("it dies meanwhile, and EC2 is behind", 5_190_931, { lag: LAG, atMost: { deaths: 1 } }),
  row("an answer is lost", 406_405, { atMost: { losses: 1 } }),
  row("a run is killed and started again", 1_668_095, { atMost: { kills: 1 } }),
  row("free, and a run is killed and started again", 404_083, { ...FREE, atMost: { kills: 1 } }),
  row("EC2 does not know the newest for almost as long as counts", 437_996, { unknownFor: 14 }),
  row("a pool of two, one of which J holds and lets go", 276_239, {
    holders: ["J", "nobody"],
    pool: true,
    atMost: { deaths: 1 },
  }),
  row("three instances, the address is free", 1_299_459, { ...FREE, claimants: 3 }),
];
