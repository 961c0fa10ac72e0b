/** What is explored, and what comes of it. */
import type { Scenario } from "./world.ts";

/**
 * Seconds that a write takes at most. The hold lasts for three seconds and has to be longer than a take can be under way
 * since the observation that it rests on: one second until it is sent, and these.
 */
const FLIGHT = 1;

export interface Row {
  readonly name: string;
  readonly scenario: Scenario;
  /** States that can be reached: a model that has become smaller by mistake is seen by it. */
  readonly states: number;
  readonly endings: number;
  /** What goes wrong, in every way in which it can: docs/how-it-decides.md has to admit it. */
  readonly wrong: readonly string[];
}

/** The one case that docs/how-it-decides.md admits. */
const ONE_CASE_IS_LEFT = "the newest has said success and does not hold it";

const world = (claimants: number, more: Partial<Scenario> = {}): Scenario => ({
  claimants,
  holders: ["J"],
  flight: FLIGHT,
  ...more,
});

/** Two instances that boot at once: seconds. */
export const TWO: readonly Row[] = [
  {
    name: "the address is free",
    scenario: world(2, { holders: ["nobody"] }),
    states: 916,
    endings: 2,
    wrong: [],
  },
  {
    name: "an older instance holds it",
    scenario: world(2),
    states: 3_580,
    endings: 2,
    wrong: [],
  },
  {
    name: "an older instance holds it, and dies meanwhile",
    scenario: world(2, { dies: true }),
    states: 30_025,
    endings: 3,
    wrong: [ONE_CASE_IS_LEFT],
  },
  {
    name: "a pool of two free addresses",
    scenario: world(2, { holders: ["nobody", "nobody"], pool: true }),
    states: 674,
    endings: 1,
    wrong: [],
  },
];

/** Three: minutes, and gigabytes of memory. */
export const THREE: readonly Row[] = [
  {
    name: "the address is free",
    scenario: world(3, { holders: ["nobody"] }),
    states: 66_090,
    endings: 4,
    wrong: [],
  },
  {
    name: "an older instance holds it",
    scenario: world(3),
    states: 835_277,
    endings: 4,
    wrong: [],
  },
  {
    name: "an older instance holds it, and dies meanwhile",
    scenario: world(3, { dies: true }),
    states: 8_321_005,
    endings: 7,
    wrong: [ONE_CASE_IS_LEFT],
  },
];
