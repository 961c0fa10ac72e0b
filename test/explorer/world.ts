/**
 * A small region, a few instances and everything that can happen to them, for the explorer. Time goes in seconds, each
 * of which passes between any two things that happen. What takes its time is not bounded but for this: a write takes
 * effect, and its answer is heard, within `flight` seconds.
 */
import type { AddressState, HolderInstance } from "../../src/model/address.ts";
import type { Takeover } from "../../src/reconcile/ownership.ts";
import type { Goal } from "../../src/reconcile/state.ts";
import { Agents, type Answer } from "./agent.ts";
import type { Model, Move } from "./search.ts";

export interface Scenario {
  /** Claimants: A was launched first, then B, C. */
  readonly claimants: number;
  /** Who holds each address at the start: nobody, or J, an instance from before that runs no agent. */
  readonly holders: readonly ("nobody" | "J")[];
  /** J may die at any moment. */
  readonly dies?: boolean;
  /** The addresses are a pool. */
  readonly pool?: boolean;
  /** Of each claimant in turn; the last one's counts for those after it. */
  readonly takeover?: readonly Takeover[];
  /** Seconds that a write takes at most to take effect. */
  readonly flight: number;
}

const RUNNING = 0;
const SHUTTING_DOWN = 1;
const TERMINATED = 2;
const NOBODY = -1;
/** The attempts of a run: one more than the first. */
const TRIES = 2;

interface Write {
  readonly by: number;
  readonly address: number;
  readonly reassociate: boolean;
  readonly age: number;
}

export interface World {
  /** Who holds each address, by number of the instance: J is 0, A is 1. */
  readonly holders: readonly number[];
  readonly instances: readonly number[];
  /** What each claimant does, by number; A's is the first. */
  readonly agents: readonly number[];
  readonly writes: readonly Write[];
}

const instanceId = (instance: number) => `i-0000000${instance}`;
const allocationId = (address: number) => `eipalloc-0000000${address}`;
const nameOf = (instance: number) => (instance === NOBODY ? "nobody" : "JABCD"[instance]);
const placeOf = (instance: number) => ({
  interfaceId: `eni-0000000${instance}`,
  privateIp: `10.0.0.${instance}`,
});
/** In milliseconds; J is the oldest. */
const launchedAt = (instance: number) => instance * 1_000;

export function modelOf(scenario: Scenario): Model<World> {
  const { claimants, holders, takeover = ["newest"] } = scenario;
  const agents = Array.from({ length: claimants }, (_, index): Agents => {
    const goal: Goal = {
      target: {
        instanceId: instanceId(index + 1),
        ...placeOf(index + 1),
        onlyInterface: true,
        primaryIp: true,
      },
      zone: "us-east-1a",
      desired:
        scenario.pool === true
          ? { kind: "pool", key: "eip-pool", value: "web" }
          : { kind: "address", allocationId: allocationId(0) },
      takeover: takeover[Math.min(index, takeover.length - 1)] ?? "newest",
      poolTakeover: "no",
      mayDisplace: true,
      dryRun: false,
      force: false,
    };
    return new Agents(goal, TRIES);
  });
  return {
    start: {
      holders: holders.map((who) => (who === "J" ? 0 : NOBODY)),
      instances: Array.from({ length: claimants + 1 }, () => RUNNING),
      agents: agents.map((one) => one.start()),
      writes: [],
    },
    key: (world) => JSON.stringify([world.holders, world.instances, world.agents, world.writes]),
    *moves(world) {
      yield* lives(scenario, world);
      yield* requests(scenario, agents, world);
      yield* runs(agents, world);
      yield* time(scenario, agents, world);
    },
    ending: (world) => endingOf(scenario, agents, world),
  };
}

/** J dies: it is shutting down at first, and lets go of what it holds when it is terminated. */
function* lives({ dies = false }: Scenario, world: World): Generator<Move<World>> {
  const [old] = world.instances;
  const become = (state: number, others: Partial<World> = {}): World => ({
    ...world,
    instances: [state, ...world.instances.slice(1)],
    ...others,
  });
  if (dies && old === RUNNING) yield { what: "J shuts down", world: become(SHUTTING_DOWN) };
  if (old === SHUTTING_DOWN) {
    const holders = world.holders.map((holder) => (holder === 0 ? NOBODY : holder));
    yield { what: "J is terminated", world: become(TERMINATED, { holders }) };
  }
}

/** What EC2 does with requests that are on their way. */
function* requests(
  scenario: Scenario,
  agents: readonly Agents[],
  world: World,
): Generator<Move<World>> {
  for (const [index, agent] of world.agents.entries()) {
    const runs = agents[index] as Agents;
    const { step, answer, result } = runs.get(agent);
    if (result !== "running" || step.effect.do !== "observe" || answer !== undefined) continue;
    const { desired } = step.effect;
    const shown = world.holders
      .map((holder, address) => stateOf(world, address, holder, index + 1))
      .filter((one) => desired.kind === "pool" || one.allocationId === desired.allocationId);
    const told = world.holders.map((holder) => nameOf(holder)).join(", ");
    yield {
      what: `EC2 shows ${nameOf(index + 1)}: ${told}`,
      world: withAgent(
        world,
        index,
        runs.answered(agent, { kind: "observation", addresses: shown }),
      ),
    };
  }
  for (const [position, write] of world.writes.entries()) {
    const { by, address, reassociate } = write;
    const index = by - 1;
    const runs = agents[index] as Agents;
    const agent = world.agents[index] ?? 0;
    const holder = world.holders[address] ?? NOBODY;
    const isRefused = !reassociate && holder !== NOBODY && holder !== by;
    const answer: Answer = isRefused ? { kind: "failed", failure: "held" } : { kind: "accepted" };
    // An interface has one address at a time: what was there is let go.
    const after = isRefused
      ? world.holders
      : world.holders.map((who, at) => (at === address ? by : who === by ? NOBODY : who));
    const verb = isRefused ? "refuses" : reassociate ? "moves it to" : "gives it to";
    yield {
      what: `EC2 ${verb} ${nameOf(by)}`,
      world: {
        ...withAgent(world, index, runs.answered(agent, answer)),
        holders: after,
        writes: world.writes.filter((_, at) => at !== position),
      },
    };
  }
}

/** What the runs do with answers and sleeps. */
function* runs(agents: readonly Agents[], world: World): Generator<Move<World>> {
  for (const [index, agent] of world.agents.entries()) {
    const runs = agents[index] as Agents;
    const { step, age, answer, result } = runs.get(agent);
    if (result !== "running") continue;
    const { effect } = step;
    if (effect.do === "sleep" && age * 1_000 >= effect.ms) {
      yield {
        what: `${nameOf(index + 1)} wakes up`,
        world: sending(agents, withAgent(world, index, runs.wakes(agent)), index),
      };
    }
    if (answer !== undefined) {
      yield {
        what: `${nameOf(index + 1)} hears ${answer.kind === "failed" ? "a refusal" : answer.kind}`,
        world: sending(agents, withAgent(world, index, runs.hears(agent)), index),
      };
    }
  }
}

/** A second passes, unless something has to happen before. */
function* time(
  { flight }: Scenario,
  agents: readonly Agents[],
  world: World,
): Generator<Move<World>> {
  const isOver = world.agents.every((one, at) => agents[at]?.get(one).result !== "running");
  if (isOver) return;
  const isDue = (agent: number, index: number) => {
    const { step, age, result } = (agents[index] as Agents).get(agent);
    return result === "running" && step.effect.do === "associate" && age >= flight;
  };
  if (world.writes.some(({ age }) => age >= flight) || world.agents.some(isDue)) return;
  yield {
    what: "a second passes",
    world: {
      ...world,
      agents: world.agents.map((one, at) => (agents[at] as Agents).ages(one)),
      writes: world.writes.map((write) => ({ ...write, age: write.age + 1 })),
    },
  };
}

function withAgent(world: World, index: number, agent: number): World {
  return { ...world, agents: world.agents.map((one, at) => (at === index ? agent : one)) };
}

/** If the agent writes now, the request is on its way. */
function sending(agents: readonly Agents[], world: World, index: number): World {
  const { step, result } = (agents[index] as Agents).get(world.agents[index] ?? 0);
  if (result !== "running" || step.effect.do !== "associate") return world;
  const { reassociate, allocationId: id } = step.effect;
  const address = world.holders.findIndex((_, at) => allocationId(at) === id);
  return { ...world, writes: [...world.writes, { by: index + 1, address, reassociate, age: 0 }] };
}

/** An address as EC2 shows it to an instance. */
function stateOf(world: World, address: number, holder: number, asker: number): AddressState {
  const states = ["running", "shutting-down", "terminated"] as const;
  const instance = (): HolderInstance => ({
    kind: "instance",
    instanceId: instanceId(holder),
    ...placeOf(holder),
    state: states[world.instances[holder] ?? 0] ?? "running",
    launchedAt: launchedAt(holder),
  });
  return {
    allocationId: allocationId(address),
    publicIp: `203.0.113.${address}`,
    borderGroup: "us-east-1",
    holder: holder === NOBODY ? { kind: "nobody" } : instance(),
    selfLaunchedAt: launchedAt(asker),
  };
}

/** When nobody runs any more: is everything as the rule wants it, and has nobody claimed what is not so? */
function endingOf({ pool = false }: Scenario, agents: readonly Agents[], world: World) {
  const results = world.agents.map((one, at) => agents[at]?.get(one).result ?? "running");
  if (results.includes("running") || world.writes.length > 0) return undefined;
  const name = `${world.holders.map(nameOf).join(", ")}; ${results
    .map((result, at) => `${nameOf(at + 1)} ${result}`)
    .join(", ")}`;
  const wrong = pool ? wrongInPool(world, results) : wrongWithOne(world, results);
  return { name, ...(wrong !== undefined && { wrong }) };
}

function wrongWithOne({ holders: [holder = NOBODY] }: World, results: readonly string[]) {
  const newest = results.length;
  if (holder === newest) {
    return results.at(-1) === "settled" ? undefined : "the newest holds it and its run has failed";
  }
  return results.at(-1) === "settled"
    ? "the newest has said success and does not hold it"
    : "the newest does not hold it";
}

function wrongInPool({ holders }: World, results: readonly string[]) {
  for (const [index, result] of results.entries()) {
    const held = holders.filter((holder) => holder === index + 1).length;
    if (held > 1) return `${nameOf(index + 1)} holds ${held}`;
    if (result === "settled" && held === 0) {
      return `${nameOf(index + 1)} has said success and holds none`;
    }
    if (result !== "settled" && held > 0) return `${nameOf(index + 1)} holds one and has failed`;
    if (held === 0 && holders.includes(NOBODY)) {
      return `${nameOf(index + 1)} has none while one is free`;
    }
  }
  return undefined;
}
