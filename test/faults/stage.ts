/**
 * One run of the real binary in a region where something goes wrong. Every trouble is played in four
 * courses: it lasts for a while, it lasts for good, a newer instance takes the address while it lasts, and
 * SIGTERM comes while it lasts. What came of it is plain data, because some are played in another process.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { InstanceSpec } from "../../sim/build.ts";
import type { Call } from "../../sim/query-api.ts";
import type { ImdsRequest } from "../../sim/imds-api.ts";
import type { RegionOptions, RunningRegion } from "../../sim/server.ts";
import { aWorld } from "../../sim/world.ts";
import { type Ended, start } from "../support/process.ts";
import { inRegion } from "../support/region.ts";

const MINE = Date.UTC(2026, 10, 1, 12);
const OLDER = MINE - 60_000;
const NEWER = MINE + 60_000;

/** Milliseconds that a trouble lasts which lasts "for a while", counted from when it was first felt. */
const A_WHILE_MS = 1_500;

export interface Scene {
  readonly region: RunningRegion;
  readonly allocationId: string;
  readonly me: string;
  /** An instance that was launched after this one. */
  readonly newer: string;
  /** Moves the region's clock, which this machine does not follow. */
  readonly setClock: (offsetMs: number) => void;
}

/** Something that goes wrong, until it is ended. */
export interface Trouble {
  readonly end?: () => unknown;
  /** Has the agent met it? By default: has it logged what it is told for it? */
  readonly felt?: () => boolean;
  /** Ends what the trouble itself is made of, after the run. */
  readonly cleanUp?: () => unknown;
  readonly environment?: Readonly<Record<string, string>>;
}

/** A line of the table: a trouble, where it befalls whom, and what is to come of it. */
export interface Row {
  readonly name: string;
  readonly begin: (scene: Scene) => Trouble | Promise<Trouble>;
  readonly instance?: InstanceSpec;
  /** Who holds the address at first; default: nobody. */
  readonly holder?: "nobody" | "older";
  /** How the region is served, if not at free ports of 127.0.0.1. */
  readonly served?: (me: string) => RegionOptions;
  /** Words that name the trouble: in the log while it lasts, in its last line if it lasts. */
  readonly told: readonly string[];
  /** Exit status if it lasts. */
  readonly status: number;
  /** Deadline of the run that it lasts for; long enough for one whole try. */
  readonly deadline?: `${number}s`;
  /** Milliseconds of the longest pause between two tries in this trouble. */
  readonly stepMs?: number;
  /** It does no harm that would have to be told, even if it lasts. */
  readonly isHarmless?: boolean;
  /** A try waits it out for a while, without a word. */
  readonly isSilentAtFirst?: boolean;
  /** Whoever comes while it lasts comes too late: the address can be here already. */
  readonly isHealedBefore?: boolean;
  /** Nothing makes it go away within a run. */
  readonly isForGood?: boolean;
  /** It is over by itself: there is nothing to be waited for and nothing that lasts. */
  readonly passes?: boolean;
}

export interface Played {
  readonly run: Ended;
  /** Was the trouble felt before it ended? */
  readonly felt: boolean;
  /** Milliseconds from the end of the trouble, or from SIGTERM, to the end of the run. */
  readonly msAfter: number;
  readonly me: string;
  readonly newer: string;
  /** The instance that holds the address in the end. */
  readonly holder: string | undefined;
  readonly calls: readonly Call[];
  readonly imdsRequests: readonly ImdsRequest[];
  readonly secrets: readonly string[];
}

export type Course = "for a while" | "for good" | "newer" | "SIGTERM";

/** The courses that a trouble can take. */
export function coursesOf(row: Row): Course[] {
  if (row.isForGood === true) return ["for good", "SIGTERM"];
  if (row.passes === true) return ["for good"];
  return ["for a while", "for good", "newer", "SIGTERM"];
}

/** Deadline of a run, in seconds. */
export function deadlineOf({ deadline = "4s" }: Row, course: Course): number {
  return course === "for good" ? Number.parseInt(deadline) : 90;
}

/** Runs the agent through a trouble. */
export async function play(row: Row, course: Course): Promise<Played> {
  const world = aWorld();
  const { allocationId } = world.address();
  const me = world.instance({
    tags: { "allocation-id": allocationId },
    metadataTags: true,
    launchTime: MINE,
    autoPublicIp: true,
    ...row.instance,
  }).instanceId;
  const newer = world.instance({ launchTime: NEWER }).instanceId;
  if (row.holder === "older") world.hold({ allocationId }, world.instance({ launchTime: OLDER }));
  let offset = 0;
  return inRegion(
    world,
    (region, folder) => {
      const setClock = (offsetMs: number) => (offset = offsetMs);
      return playIn({ region, allocationId, me, newer, setClock }, folder, row, course);
    },
    { now: () => Date.now() + offset, ...row.served?.(me) },
  );
}

async function playIn(scene: Scene, folder: string, row: Row, course: Course): Promise<Played> {
  const { region, allocationId, me, newer } = scene;
  const trouble = await row.begin(scene);
  const agent = start(
    {
      AWS_EC2_METADATA_SERVICE_ENDPOINT: region.imdsUrl(me),
      AWS_ENDPOINT_URL_EC2: region.ec2Url,
      EIP_HEAL_DEADLINE: `${deadlineOf(row, course)}s`,
      ...trouble.environment,
    },
    folder,
  );
  try {
    let over = false;
    void agent.ended.then(() => (over = true));
    const isFelt =
      trouble.felt ?? (() => row.told.every((words) => agent.logged().includes(words)));
    while (!isFelt() && !over) await sleep(20);
    let at = performance.now();
    const felt = isFelt();
    if (course !== "for good") {
      await Promise.race([sleep(course === "SIGTERM" ? 300 : A_WHILE_MS), agent.ended]);
      at = performance.now();
      if (course === "SIGTERM") agent.kill("SIGTERM");
      else {
        const ending: unknown = trouble.end?.();
        // In the same moment: the agent finds the newer instance there as soon as it finds anything.
        if (course === "newer" && !over) region.region.associate(allocationId, newer);
        await ending;
      }
    }
    const run = await agent.ended;
    return {
      run,
      felt,
      msAfter: performance.now() - at,
      me,
      newer,
      holder: region.holder(allocationId)?.instanceId,
      calls: region.calls,
      imdsRequests: region.imdsRequests,
      secrets: region.secrets,
    };
  } finally {
    agent.kill("SIGKILL");
    await agent.ended;
    await trouble.cleanUp?.();
  }
}
