/**
 * Who has the address in the end, and who says so: when EC2 carries out an association late, when its answers are old,
 * incomplete or strange. Real instances against the simulated region. Whatever happens within the bounds of
 * src/reconcile/bounds.ts is right when the runs have ended; beyond them it is after the confirming recheck, which
 * eip-heal-confirm.timer starts on whoever has said success.
 */
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Fault, FaultRule } from "../../sim/faults.ts";
import type { InstanceState } from "../../sim/model.ts";
import type { RunningRegion } from "../../sim/server.ts";
import { aWorld } from "../../sim/world.ts";
import { type AgentRun, runAgent } from "../support/agent.ts";
import { inRegion } from "../support/region.ts";

const LAUNCHED = Date.UTC(2026, 10, 1, 12);
/** Long enough for whoever is to have the address, and short for whoever is not. */
const RECHECK = { EIP_HEAL_DEADLINE: "10s" };

/** Waits until it is so; a test that waits for ever is ended by its limit of time. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((done) => setTimeout(done, 2));
}

/** What result.json says: a recheck has exit status 0 too when it has left the address to a newer instance. */
const outcomeOf = ({ result }: AgentRun) => result?.["outcome"];

/** One instance of the region, with its /run. */
class Machine {
  readonly id: string;
  readonly #region: RunningRegion;
  readonly #settings: Readonly<Record<string, string>>;
  readonly #runtime: string;

  /** @param folder where its /run is made */
  constructor(
    region: RunningRegion,
    folder: string,
    id: string,
    settings: Readonly<Record<string, string>>,
  ) {
    this.#runtime = mkdtempSync(join(folder, "run-"));
    this.id = id;
    this.#region = region;
    this.#settings = settings;
  }

  /** The run at boot. */
  heal(): Promise<AgentRun> {
    return this.#run([], this.#settings);
  }

  /** What eip-heal-confirm.timer does a while after a run that has said success; another one is left as it has ended. */
  async confirm(run: AgentRun): Promise<AgentRun> {
    return run.status === 0 ? this.#run(["recheck"], { ...this.#settings, ...RECHECK }) : run;
  }

  async #run(flags: string[], environment: Readonly<Record<string, string>>): Promise<AgentRun> {
    const run = await runAgent(this.#region, this.id, {
      flags,
      environment,
      runtime: this.#runtime,
    });
    // The units that need the address are told of it where success is said, and nowhere else.
    expect(run.env !== undefined, run.log.join("\n")).toBe(outcomeOf(run) === "settled");
    return run;
  }

  /** Makes its next request for an action go wrong, or the next so many. */
  fault(action: string, effect: FaultRule["effect"], count = 1): Fault {
    const rule = { service: "ec2", action, instanceId: this.id, count, effect } as const;
    return this.#region.faults.add(rule);
  }

  /** How many of its requests for an action EC2 has answered. */
  answered(action: string): number {
    return this.#calls().filter((call) => call.action === action && call.status !== 0).length;
  }

  /** Has it looked, after it has written, who has the address? */
  hasReadBack(): boolean {
    const calls = this.#calls();
    const written = calls.findLastIndex(({ action }) => action === "AssociateAddress");
    return calls
      .slice(written + 1)
      .some(({ action, status }) => action === "DescribeAddresses" && status !== 0);
  }

  #calls() {
    return this.#region.calls.filter(({ instanceId }) => instanceId === this.id);
  }
}

interface Stage {
  readonly region: RunningRegion;
  readonly allocationId: string;
  readonly older: Machine;
  readonly newer: Machine;
  /** Who really has the address: the instance id. */
  readonly holder: () => string | undefined;
}

interface Scene {
  /** Who has the address at the start. */
  readonly first: "J" | "older" | "newer";
  /** State of J, an instance from before that runs no agent. */
  readonly state?: InstanceState;
  /** The address is the only one of a pool. */
  readonly isPool?: true;
  readonly settings?: Readonly<Record<string, string>>;
  /** Settings that the older one has besides. */
  readonly ofOlder?: Readonly<Record<string, string>>;
}

/** Plays a scene with two instances that are to have the same address. */
async function play(
  { first, state = "running", isPool, settings, ofOlder }: Scene,
  story: (stage: Stage & { readonly j: string }) => Promise<void>,
): Promise<void> {
  const world = aWorld();
  const address = world.address({ tags: { "eip-pool": "web" } });
  const { allocationId } = address;
  const launched = (launchTime: number) => world.instance({ role: "full", launchTime });
  const instances = {
    J: world.instance({ launchTime: LAUNCHED - 3_600_000, state }),
    older: launched(LAUNCHED),
    newer: launched(LAUNCHED + 1_000),
  };
  world.hold(address, instances[first]);
  const all = {
    ...(isPool ? { EIP_HEAL_POOL: "eip-pool=web" } : { EIP_HEAL_ALLOCATION_ID: allocationId }),
    ...settings,
  };
  await inRegion(world, async (region, folder) => {
    const older = new Machine(region, folder, instances.older.instanceId, { ...all, ...ofOlder });
    const newer = new Machine(region, folder, instances.newer.instanceId, all);
    const holder = () => region.holder(allocationId)?.instanceId;
    await story({ region, allocationId, older, newer, holder, j: instances.J.instanceId });
  });
}

/** When EC2 carries out an association that the older instance has sent before the newer one has sent its own. */
const MOMENTS = [
  "before the newer one has looked whether it has it",
  "while the newer one holds it",
  "when it has been given up",
  "when the newer one has said success",
] as const;

interface Ending {
  /** Who has it when both runs have ended, and before anything is confirmed. */
  readonly holderOfRuns: string | undefined;
  readonly statuses: { readonly older: number | null; readonly newer: number | null };
  /** What both say after the confirming rechecks. */
  readonly outcomes: { readonly older: unknown; readonly newer: unknown };
  readonly log: string;
}

/** Both take the address; the older one's request is under way until that moment. */
async function meet(
  { region, older, newer, holder }: Stage,
  moment: (typeof MOMENTS)[number],
  meanwhile: () => void,
): Promise<Ending> {
  const before = holder();
  const sent = older.fault("AssociateAddress", { do: "hold" });
  const look = newer.fault("DescribeAddresses", { do: "hold" });
  if (moment === MOMENTS[0]) newer.fault("AssociateAddress", { do: "delay", afterMs: 500 });
  const runs = [older.heal(), newer.heal()] as const;
  await until(() => sent.hits > 0 && look.hits > 0);
  expect(holder()).toBe(before);
  meanwhile();
  region.faults.clear(look);
  await until(() => holder() === newer.id);
  if (moment === MOMENTS[1]) await until(() => newer.hasReadBack());
  if (moment === MOMENTS[2]) await until(() => older.hasReadBack());
  if (moment === MOMENTS[3]) await runs[1];
  region.faults.clear(sent);
  await until(() => holder() === older.id);

  const [one, other] = await Promise.all(runs);
  const holderOfRuns = holder();
  const confirmed = await newer.confirm(other);
  return {
    holderOfRuns,
    statuses: { older: one.status, newer: other.status },
    outcomes: { older: outcomeOf(await older.confirm(one)), newer: outcomeOf(confirmed) },
    log: [one, other].flatMap(({ log }) => log).join("\n"),
  };
}

describe.concurrent("an association by an older instance that EC2 carries out", () => {
  describe.each<[what: string, scene: Scene, letsGo?: true]>([
    [
      "of an address that its holder lets go of meanwhile",
      { first: "J", state: "shutting-down" },
      true,
    ],
    ["of an address that both take from a stopped instance", { first: "J", state: "stopped" }],
    [
      "of an address that it always takes, and the newer one from an older one",
      { first: "J", ofOlder: { EIP_HEAL_TAKEOVER: "always" } },
    ],
  ])("%s", (_, scene, letsGo) => {
    test.each(MOMENTS)("%s: the newer one has it in the end", { timeout: 90_000 }, (moment) =>
      play(scene, async (stage) => {
        const end = await meet(stage, moment, () => {
          if (letsGo) stage.region.region.terminated(stage.j);
        });
        expect(end.statuses.newer, end.log).toBe(0);
        // What comes just before the newer one looks for the last time may be there long enough for the older one to say so.
        expect(end.statuses.older, end.log).toBeOneOf(moment === MOMENTS[1] ? [0, 69] : [69]);
        // Nothing but the confirming recheck can put right what comes after every hold.
        const isTooLate = moment === MOMENTS[3];
        expect(end.holderOfRuns).toBe(isTooLate ? stage.older.id : stage.newer.id);
        expect(stage.holder()).toBe(stage.newer.id);
        expect(end.outcomes).toEqual({ older: "yielded", newer: "settled" });
      }),
    );
  });

  describe("of the one address of a pool, which both take from a stopped instance", () => {
    const scene: Scene = {
      first: "J",
      state: "stopped",
      isPool: true,
      settings: { EIP_HEAL_DEADLINE: "10s" },
      ofOlder: { EIP_HEAL_DEADLINE: "20s" },
    };
    test.each(MOMENTS)("%s: one has it, and only that one says so", { timeout: 90_000 }, (moment) =>
      play(scene, async (stage) => {
        const end = await meet(stage, moment, () => {});
        // Nobody who has said success is robbed, but by what comes after every hold.
        expect(end.statuses.newer, end.log).toBe(moment === MOMENTS[3] ? 0 : 75);
        expect(end.statuses.older, end.log).toBe(0);
        expect(stage.holder()).toBe(stage.older.id);
        expect(end.outcomes).toEqual({ older: "settled", newer: "failed" });
      }),
    );
  });
});

describe.concurrent("what EC2 shows of a newer instance that has the address", () => {
  /** So many answers in a row are no good. */
  const SHORT = 2;

  test.each([
    ["newest", 69],
    ["if-gone", 75],
  ] as const)(
    "it does not know that instance for a while: it is waited for (policy %s)",
    { timeout: 60_000 },
    (takeover, status) => {
      const settings = { EIP_HEAL_TAKEOVER: takeover, EIP_HEAL_DEADLINE: "10s" };
      return play({ first: "newer", settings }, async ({ region, older, newer, holder }) => {
        region.region.setKnownFrom(newer.id, Infinity);
        const run = older.heal();
        // A question about one that it does not know is asked twice.
        await until(() => older.answered("DescribeInstances") >= SHORT);
        region.region.setKnownFrom(newer.id, 0);
        expect((await run).status, (await run).log.join("\n")).toBe(status);
        expect(older.answered("AssociateAddress")).toBe(0);
        expect(holder()).toBe(newer.id);
      });
    },
  );

  test(
    "it does not know that instance for longer than counts: the confirming recheck puts it right",
    { timeout: 90_000 },
    () =>
      play({ first: "newer" }, async ({ region, older, newer, holder }) => {
        const success = await newer.heal();
        expect(success.status).toBe(0);
        region.region.setKnownFrom(newer.id, Infinity);
        const robbing = await older.heal();
        expect(robbing.status, robbing.log.join("\n")).toBe(0);
        expect(holder()).toBe(older.id);
        region.region.setKnownFrom(newer.id, 0);
        expect(outcomeOf(await newer.confirm(success))).toBe("settled");
        expect(outcomeOf(await older.confirm(robbing))).toBe("yielded");
        expect(holder()).toBe(newer.id);
      }),
  );

  const answer = (rest: string) =>
    `<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId><reservationSet/>${rest}</DescribeInstancesResponse>`;

  test.each([
    ["not even the asker", "newest", ""],
    ["not even the asker", "if-gone", ""],
    ["nothing but that there is more", "newest", "<nextToken>page-1</nextToken>"],
  ])(
    "an answer with %s in it proves nothing (policy %s)",
    { timeout: 60_000 },
    (_, takeover, rest) =>
      play(
        {
          first: "newer",
          settings: { EIP_HEAL_TAKEOVER: takeover, EIP_HEAL_DEADLINE: "10s" },
        },
        async ({ older, newer, holder }) => {
          const empty = older.fault(
            "DescribeInstances",
            {
              do: "status",
              status: 200,
              body: answer(rest),
              headers: { "content-type": "text/xml;charset=UTF-8" },
            },
            SHORT,
          );
          const { status, log } = await older.heal();
          expect(status, log.join("\n")).toBe(takeover === "newest" ? 69 : 75);
          expect(empty.hits).toBe(SHORT);
          expect(older.answered("AssociateAddress")).toBe(0);
          expect(holder()).toBe(newer.id);
        },
      ),
  );

  test.each([
    ["of a name that nobody knows", "hibernating"],
    ["without a name", null],
  ])("a state %s is waited for", { timeout: 60_000 }, (_, state) =>
    play({ first: "newer" }, async ({ region, older, newer, holder }) => {
      region.region.showState(newer.id, state);
      const run = older.heal();
      await until(() => older.answered("DescribeInstances") >= SHORT);
      region.region.showState(newer.id);
      expect((await run).status, (await run).log.join("\n")).toBe(69);
      expect(older.answered("AssociateAddress")).toBe(0);
      expect(holder()).toBe(newer.id);
    }),
  );

  describe("the address was at the older one before, and that is still shown", () => {
    const A_MINUTE_AGO = { do: "stale", byMs: 60_000 } as const;
    const moved = (story: (stage: Stage) => Promise<void>) =>
      play({ first: "older" }, async (stage) => {
        stage.region.region.associate(stage.allocationId, stage.newer.id);
        await story(stage);
        expect(stage.older.answered("AssociateAddress")).toBe(0);
        expect(stage.holder()).toBe(stage.newer.id);
      });

    test("instance metadata knows better: it is held first, and yielded", { timeout: 60_000 }, () =>
      moved(async ({ older }) => {
        older.fault("DescribeAddresses", A_MINUTE_AGO);
        const { status, log } = await older.heal();
        expect(status, log.join("\n")).toBe(69);
        expect(older.answered("DescribeAddresses")).toBe(2);
      }),
    );

    test(
      "for longer than it is held: the confirming recheck puts it right",
      { timeout: 60_000 },
      () =>
        moved(async ({ region, older }) => {
          const old = older.fault("DescribeAddresses", A_MINUTE_AGO, Infinity);
          const untrue = await older.heal();
          expect(untrue.status, untrue.log.join("\n")).toBe(0);
          region.faults.clear(old);
          expect(outcomeOf(await older.confirm(untrue))).toBe("yielded");
        }),
    );
  });
});
