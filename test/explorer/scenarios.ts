/** What is explored, and what comes of it. */
import { readFileSync } from "node:fs";
import {
  holdingFor,
  KEEPING_STATES,
  READING_BACK_BY_HOLDER,
  REPLACING_BY_REBOOT,
  TAKING_ON_OLD_LOOKS,
  WITHOUT_GATE,
  WITHOUT_HOLD_OF_FREE,
} from "./broken.ts";
import { LAG_MS } from "../../src/reconcile/bounds.ts";
import type { Scenario } from "./scenario.ts";

export interface Row {
  readonly name: string;
  readonly scenario: Scenario;
  /** Everything that goes wrong, in alphabetical order: nothing, within the bounds. */
  readonly wrong: readonly string[];
}

const FALSE_SUCCESS = "the newest has said success and does not hold it";
const NOT_HELD = "the newest does not hold it";

function row(name: string, more: Partial<Scenario>, ...wrong: string[]): Row {
  return { name, scenario: { claimants: 2, holders: ["J"], ...more }, wrong };
}

function three({ name, scenario }: Row): Row {
  return { name: `three: ${name}`, scenario: { ...scenario, claimants: 3 }, wrong: [] };
}

const LAG = LAG_MS / 1_000;
const FREE = { holders: ["nobody"] } as const;

// Instances that boot at once, on an address that …
const IS_FREE = row("free", FREE);
const IS_HELD = row("held by an older one", {});
const DIES = row("held by one that dies", { atMost: { deaths: 1 } });

// … and one more thing that happens.
const BEHIND = row("EC2 is behind", { lag: LAG });
const LOST = row("an answer is lost", { atMost: { losses: 1 } });
const LOST_FREE = row("free, and an answer is lost", { ...FREE, atMost: { losses: 1 } });
const KILLED = row("a run is killed and started again", { atMost: { kills: 1 } });
const KILLED_FREE = row("free, and a run is killed and started again", {
  ...FREE,
  atMost: { kills: 1 },
});
const RESTARTED = row("one that is done boots once more", { atMost: { restarts: 1 } });
const UNKNOWN = row("free, and EC2 does not know the newest for ten seconds", {
  ...FREE,
  unknownFor: 10,
});
const ALWAYS = row("always beside newest, and each success is confirmed", {
  takeover: ["always", "newest"],
  isConfirmed: true,
});
const ALWAYS_LOST = row("always beside newest, an answer is lost, and each success is confirmed", {
  takeover: ["always", "newest"],
  isConfirmed: true,
  atMost: { losses: 1 },
});
const STARTED = row("the newest holds it, and is started after a stop", {
  holders: ["the newest"],
});

const POOL = row("a pool of two free addresses", { holders: ["nobody", "nobody"], pool: "no" });
const POOL_DIES = row("a pool of two, one of which J holds and lets go", {
  holders: ["J", "nobody"],
  pool: "no",
  atMost: { deaths: 1 },
});
const OLDEST = row("a pool of two, and each takes it from the oldest", {
  holders: ["J", "K"],
  pool: "oldest",
});
const OLDEST_OF_ONE = row("a pool of one, which is taken from the oldest", { pool: "oldest" });

const GATE = row("the newest is in service or not, which is shown within 45 seconds", {
  shownWithin: 45,
  answeredWithin: 2,
  isPatient: true,
});
const GATE_OF_TEN = row("the newest is in service or not, which is shown within ten seconds", {
  shownWithin: 10,
  answeredWithin: 5,
  isPatient: true,
});
const NEVER_SHOWN = row("whether the newest is in service is never shown", {
  shownWithin: 0,
  answeredWithin: 5,
  isPatient: true,
});

const DOWN = row("the zone of the holder is down, and one of the two is rebooted", {
  isUnanswered: true,
  rebooted: 1,
  answeredWithin: 2,
  isPatient: true,
});
const DOWN_FOR_TWO = row("the zone of the holder is down", {
  isUnanswered: true,
  answeredWithin: 2,
  isPatient: true,
});
const DOWN_FOR_ONE: Partial<Scenario> = {
  claimants: 1,
  holders: ["Z"],
  isUnanswered: true,
  answeredWithin: 2,
  isPatient: true,
};

const TAKEN = row("free, the places are taken", { ...FREE, taken: "lax" });
const TAKEN_STRICT = row("free, the places are taken, and EC2 refuses them", {
  ...FREE,
  taken: "strict",
});
const TAKEN_HELD = row("held, the places are taken, and EC2 refuses them", { taken: "strict" });
const TAKEN_NEVER = row(
  "free, the places are taken, EC2 refuses them and is behind, and nobody takes it from another one",
  {
    ...FREE,
    taken: "strict",
    takeover: ["never"],
    lag: LAG,
    isPatient: true,
  },
);
const TAKEN_IF_GONE = row(
  "held by one that dies, the places are taken, EC2 refuses them, and it is taken from who is gone",
  {
    taken: "strict",
    takeover: ["if-gone"],
    atMost: { deaths: 1 },
    isPatient: true,
  },
);

/** Two instances: seconds. */
export const QUICK: readonly Row[] = [
  IS_FREE,
  IS_HELD,
  DIES,
  BEHIND,
  LOST,
  LOST_FREE,
  KILLED,
  KILLED_FREE,
  RESTARTED,
  UNKNOWN,
  row("held, and EC2 does not know the newest for almost as long as counts", { unknownFor: 14 }),
  ALWAYS,
  ALWAYS_LOST,
  STARTED,
  row("the newest holds it, is started after a stop, and EC2 is behind", {
    holders: ["the newest"],
    lag: LAG,
  }),
  row("requests take as long as the hold allows where EC2 is not behind", { flight: 4 }),
  POOL,
  row("a pool of two free addresses, and an answer is lost", {
    holders: ["nobody", "nobody"],
    pool: "no",
    atMost: { losses: 1 },
  }),
  row("a pool of two free addresses, and a run is killed and started again", {
    holders: ["nobody", "nobody"],
    pool: "no",
    atMost: { kills: 1 },
  }),
  POOL_DIES,
  OLDEST,
  row("a pool of two, each takes it from the oldest, and EC2 is behind", {
    holders: ["J", "K"],
    pool: "oldest",
    lag: LAG,
    isPatient: true,
  }),
  OLDEST_OF_ONE,
  GATE_OF_TEN,
  NEVER_SHOWN,
  DOWN,
  DOWN_FOR_TWO,
  row("the zone of a newer holder is down, and an old one is rebooted", {
    ...DOWN_FOR_ONE,
    rebooted: 1,
  }),
  TAKEN,
  TAKEN_STRICT,
  TAKEN_HELD,
  TAKEN_NEVER,
  TAKEN_IF_GONE,
  row("the place of the newest is taken, and it may not displace what is there", {
    ...FREE,
    taken: "strict",
    considerate: 1,
  }),
  row("all places are taken, and nobody may displace what is there", {
    taken: "lax",
    considerate: 2,
  }),
];

/** What the manual admits: beyond the bounds, until the confirming look. */
export const BEYOND: readonly Row[] = [
  row("observations that take too long, three times in a row", { isSlow: true }, FALSE_SUCCESS),
  row("observations that take too long, and each success is confirmed", {
    isSlow: true,
    isConfirmed: true,
  }),
  row("requests that EC2 carries out much later", { flight: 6 }, FALSE_SUCCESS),
  row("requests that EC2 carries out much later, and each success is confirmed", {
    flight: 6,
    isConfirmed: true,
  }),
  row("requests that EC2 carries out a second later", { flight: 3, lag: LAG }, FALSE_SUCCESS),
  row("always beside newest", { takeover: ["always", "newest"] }, FALSE_SUCCESS),
  row("the zone of a newer holder is down", DOWN_FOR_ONE, NOT_HELD),
  row(
    "free, and whether the newest is in service or not is shown within ten seconds",
    { ...FREE, shownWithin: 10, answeredWithin: 2, isPatient: true },
    NOT_HELD,
  ),
];

/** The reconciler broken on purpose: that each of its rules is needed is found. */
export const BROKEN: readonly Row[] = [
  row(
    "broken: no hold after an association of a free address",
    { atMost: { deaths: 1 }, machine: WITHOUT_HOLD_OF_FREE },
    FALSE_SUCCESS,
  ),
  row("a hold of four seconds, where EC2 is not behind", { machine: holdingFor(4) }),
  row("broken: a hold of three seconds", { machine: holdingFor(3) }, FALSE_SUCCESS),
  row(
    "broken: a hold of five seconds, and EC2 is behind",
    { machine: holdingFor(5), lag: LAG },
    FALSE_SUCCESS,
  ),
  row("broken: a take on an old look", { machine: TAKING_ON_OLD_LOOKS }, FALSE_SUCCESS),
  row(
    "broken: states are kept",
    { holders: ["the newest"], machine: KEEPING_STATES },
    FALSE_SUCCESS,
  ),
  row("one attempt, and a run is killed", { tries: 1, atMost: { kills: 1 } }),
  row(
    "broken: it is read back by the holder",
    { tries: 1, atMost: { kills: 1 }, machine: READING_BACK_BY_HOLDER },
    NOT_HELD,
  ),
  row(
    "broken: a run that is started again believes what it finds",
    { atMost: { kills: 1 }, isForgetful: true },
    FALSE_SUCCESS,
  ),
  row(
    "broken: who is not in service takes it",
    { shownWithin: 10, answeredWithin: 2, isPatient: true, machine: WITHOUT_GATE },
    NOT_HELD,
    FALSE_SUCCESS,
  ),
  row(
    "broken: an old one that is rebooted counts as a replacement",
    { ...DOWN_FOR_ONE, rebooted: 1, machine: REPLACING_BY_REBOOT },
    NOT_HELD,
  ),
];

/** Three instances, and something else that happens. */
const MORE: readonly Row[] = [
  LOST,
  KILLED,
  RESTARTED,
  UNKNOWN,
  ALWAYS,
  STARTED,
  row("a pool of three free addresses", { holders: ["nobody", "nobody", "nobody"], pool: "no" }),
  OLDEST,
  DOWN,
  TAKEN_STRICT,
].map(three);

/** Minutes, and gigabytes of memory. */
export const SLOW: readonly Row[] = [
  row("held by one that dies, and EC2 is behind", { lag: LAG, atMost: { deaths: 1 } }),
  row("held by one that dies, and an answer is lost", { atMost: { deaths: 1, losses: 1 } }),
  row("held by one that dies, and a run is killed", { atMost: { deaths: 1, kills: 1 } }),
  row("an answer is lost, and a run is killed", { atMost: { losses: 1, kills: 1 } }),
  GATE,
  three(IS_FREE),
  three(IS_HELD),
  three(BEHIND),
  ...MORE,
  three(DIES),
];

/** Three instances on random schedules: those that have too many states, and for the tests those that take minutes. */
export const SAMPLED: readonly Row[] = [
  ...MORE,
  ...[
    row("a pool of three, one of which J holds and lets go", {
      holders: ["J", "nobody", "nobody"],
      pool: "no",
      atMost: { deaths: 1 },
    }),
    GATE_OF_TEN,
    row("everything that may happen, once", {
      lag: LAG,
      tries: 3,
      atMost: { deaths: 1, losses: 1, kills: 1, restarts: 1 },
    }),
  ].map(three),
];

/** How many states each row has; `make explore ARGS=--count` counts them anew. */
export const STATES_FILE = new URL("states.json", import.meta.url);
export const STATES = JSON.parse(readFileSync(STATES_FILE, "utf8")) as Readonly<
  Record<string, number>
>;
