/**
 * A small region, a few instances and everything that can happen to them, for the explorer. Time goes in seconds, each
 * of which passes between any two things that happen. What takes its time is not bounded but for this: a write takes
 * effect and is answered within `flight` seconds, or never; and an answer may show what was `lag` seconds before.
 */
import type { AddressState, HolderInstance, InstanceFacts } from "../../src/model/address.ts";
import { SUSPECT_MS } from "../../src/reconcile/bounds.ts";
import type { Takeover } from "../../src/reconcile/ownership.ts";
import type { Goal } from "../../src/reconcile/state.ts";
import { type Agent, Agents, type Answer, type Result } from "./agent.ts";
import type { Model, Move } from "./search.ts";

export interface Scenario {
  /** Claimants: A was launched first, then B, C. */
  readonly claimants: number;
  /** Who holds each address at the start: nobody, or J, an instance from before that runs no agent. */
  readonly holders: readonly ("nobody" | "J")[];
  /** The addresses are a pool. */
  readonly pool?: boolean;
  /** Of each claimant in turn; the last one's counts for those after it. */
  readonly takeover?: readonly Takeover[];
  /** Seconds that a write takes at most. */
  readonly flight: number;
  /** Seconds by which what EC2 shows of addresses may be behind. */
  readonly lag?: number;
  /** Do so many answers take too long that an address is taken on an old one? That is beyond the bounds. */
  readonly isSlow?: boolean;
  /** After everything is over each success is looked at once more, as eip-heal-confirm.timer does. */
  readonly isConfirmed?: boolean;
  /** EC2 does not know the newest claimant for so many seconds, but for itself. */
  readonly unknownFor?: number;
  /** How often what may happen does at most. */
  readonly atMost?: Partial<Incidents>;
}

/** What may happen at any moment. */
export interface Incidents {
  /** J shuts down, and lets go of what it holds when it is terminated. */
  readonly deaths: number;
  /** The answer to a write is lost, or the write itself. */
  readonly losses: number;
  /** A run is killed; systemd starts another one sooner or later. */
  readonly kills: number;
  /** A run that is over is started again: systemctl restart, a reboot without a stop. */
  readonly restarts: number;
}
const NOTHING: Incidents = { deaths: 0, losses: 0, kills: 0, restarts: 0 };

const RUNNING = 0;
const SHUTTING_DOWN = 1;
const TERMINATED = 2;
const STATES = ["running", "shutting-down", "terminated"] as const;
const NOBODY = -1;
/** The attempts of a run: one more than the first. */
const TRIES = 2;
/** A run that has not begun. */
const NOT_BEGUN = -1;
/** After so many seconds it makes no difference how long ago a write was. */
const LONG_AGO = SUSPECT_MS / 1_000 + 1;

interface Address {
  /** By number of the instance: J is 0, A is 1. */
  readonly holder: number;
  /** Of the association. */
  readonly association: number;
  /** What it was before the last change, and seconds since that, as long as EC2 may still show it. */
  readonly before?: { readonly holder: number; readonly association: number; readonly age: number };
}

interface Write {
  readonly by: number;
  readonly address: number;
  readonly reassociate: boolean;
  readonly age: number;
  /** Nobody waits for the answer any more. */
  readonly isOrphan: boolean;
}

export interface World {
  readonly addresses: readonly Address[];
  readonly instances: readonly number[];
  /** What each claimant does, by number; A's is the first. */
  readonly agents: readonly number[];
  /** Seconds since each claimant has sent its last write, of whichever run. */
  readonly lastWrites: readonly (number | null)[];
  readonly writes: readonly Write[];
  /** Which claimants still have to look once more, where they do. */
  readonly unconfirmed: readonly boolean[];
  /** For how many more seconds EC2 does not know the newest claimant. */
  readonly unknownFor: number;
  readonly left: Incidents;
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
  const { claimants, holders, takeover = ["newest"], unknownFor = 0 } = scenario;
  const agents = Array.from({ length: claimants }, (_, index): Agents => {
    const goal: Goal = {
      target: {
        instanceId: instanceId(index + 1),
        ...placeOf(index + 1),
        onlyInterface: true,
        primaryIp: true,
        // What instance metadata shows agrees with EC2: whether it does makes no difference but for a hold more.
        publicIp: "203.0.113.0",
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
    return new Agents(goal, TRIES, scenario.isSlow ?? false);
  });
  return {
    start: {
      addresses: holders.map((who) => ({ holder: who === "J" ? 0 : NOBODY, association: 0 })),
      instances: Array.from({ length: claimants + 1 }, () => RUNNING),
      agents: agents.map((one) => one.start()),
      lastWrites: agents.map(() => null),
      writes: [],
      unconfirmed: agents.map(() => scenario.isConfirmed ?? false),
      unknownFor,
      left: { ...NOTHING, ...scenario.atMost },
    },
    key: (world) => JSON.stringify(Object.values(world)),
    *moves(world) {
      yield* lives(scenario, world);
      yield* observations(scenario, agents, world);
      yield* writes(scenario, agents, world);
      yield* runs(agents, world);
      yield* mishaps(agents, world);
      yield* confirmations(agents, world);
      yield* time(scenario, agents, world);
    },
    ending: (world) => endingOf(scenario, agents, world),
  };
}

/** J dies: it is shutting down at first. */
function* lives(scenario: Scenario, world: World): Generator<Move<World>> {
  const [old] = world.instances;
  const become = (state: number, others: Partial<World> = {}): World => ({
    ...world,
    instances: [state, ...world.instances.slice(1)],
    ...others,
  });
  if (old === RUNNING && world.left.deaths > 0) {
    const left = { ...world.left, deaths: world.left.deaths - 1 };
    yield { what: "J shuts down", world: become(SHUTTING_DOWN, { left }) };
  }
  if (old === SHUTTING_DOWN) {
    const addresses = world.addresses.map((one) =>
      one.holder === 0 ? changed(scenario, one, NOBODY) : one,
    );
    yield { what: "J is terminated", world: become(TERMINATED, { addresses }) };
  }
}

/** EC2 shows what an agent asks for: as it is, or as it was a moment ago. */
function* observations(
  { lag = 0 }: Scenario,
  agents: readonly Agents[],
  world: World,
): Generator<Move<World>> {
  for (const [index, agent] of world.agents.entries()) {
    const one = running(agents, world, index);
    if (one?.step.effect.do !== "observe" || one.answer !== undefined) continue;
    const asker = index + 1;
    const isBehind = world.addresses.some(({ before }) => before !== undefined);
    for (const old of lag > 0 && isBehind ? [false, true] : [false]) {
      const shown = world.addresses.map(({ holder, association, before }) =>
        old && before !== undefined ? before : { holder, association },
      );
      const answer = answerTo(one, world, shown, asker);
      yield {
        what: `EC2 shows ${nameOf(asker)}: ${shown.map(({ holder }) => nameOf(holder)).join(", ")}${old ? ", which is old" : ""}`,
        world: withAgent(world, index, (agents[index] as Agents).answered(agent, answer)),
      };
    }
  }
}

/** EC2 carries out a write that is on its way. */
function* writes(
  scenario: Scenario,
  agents: readonly Agents[],
  world: World,
): Generator<Move<World>> {
  for (const [position, write] of world.writes.entries()) {
    const { by, address, reassociate, isOrphan } = write;
    const index = by - 1;
    const holder = world.addresses[address]?.holder ?? NOBODY;
    const isRefused = !reassociate && holder !== NOBODY && holder !== by;
    const answer: Answer = isRefused ? { kind: "failed", failure: "held" } : { kind: "accepted" };
    // An interface has one address at a time: what was there is let go.
    const after = world.addresses.map((one, at) => {
      if (at === address) return one.holder === by ? one : changed(scenario, one, by);
      return one.holder === by ? changed(scenario, one, NOBODY) : one;
    });
    const verb = isRefused ? "refuses" : reassociate ? "moves it to" : "gives it to";
    const heard = isOrphan
      ? world
      : withAgent(
          world,
          index,
          (agents[index] as Agents).answered(world.agents[index] ?? 0, answer),
        );
    yield {
      what: `EC2 ${verb} ${nameOf(by)}${isOrphan ? ", who has given it up" : ""}`,
      world: {
        ...heard,
        addresses: isRefused ? world.addresses : after,
        writes: world.writes.filter((_, at) => at !== position),
      },
    };
  }
}

/** What the runs do: begin, hear answers, wake up. */
function* runs(agents: readonly Agents[], world: World): Generator<Move<World>> {
  for (const [index, agent] of world.agents.entries()) {
    const all = agents[index] as Agents;
    const name = nameOf(index + 1);
    if (agent === NOT_BEGUN) {
      const begun = all.start(world.lastWrites[index] ?? undefined);
      yield { what: `${name} begins again`, world: withAgent(world, index, begun) };
      continue;
    }
    const one = running(agents, world, index);
    if (one === undefined) continue;
    const { step, age, answer } = one;
    if (step.effect.do === "sleep" && age * 1_000 >= step.effect.ms) {
      const awake = withAgent(world, index, all.wakes(agent));
      yield { what: `${name} wakes up`, world: sending(agents, awake, index) };
    }
    if (answer !== undefined) {
      const told = withAgent(world, index, all.hears(agent));
      const what = answer.kind === "failed" ? "a refusal" : answer.kind;
      yield { what: `${name} hears ${what}`, world: sending(agents, told, index) };
    }
  }
}

/** Answers are lost, runs are killed, and those that are over are started again. */
function* mishaps(agents: readonly Agents[], world: World): Generator<Move<World>> {
  const { left } = world;
  for (const [index, agent] of world.agents.entries()) {
    const name = nameOf(index + 1);
    const abandoned = world.writes.map((write) =>
      write.by === index + 1 ? { ...write, isOrphan: true } : write,
    );
    const one = running(agents, world, index);
    if (one === undefined) {
      if (agent !== NOT_BEGUN && left.restarts > 0) {
        const again = withAgent(world, index, NOT_BEGUN);
        const fewer = { ...left, restarts: left.restarts - 1 };
        yield { what: `${name} is started again`, world: { ...again, left: fewer } };
      }
      continue;
    }
    if (left.kills > 0) {
      const killed = { ...withAgent(world, index, NOT_BEGUN), writes: abandoned };
      yield {
        what: `${name} is killed`,
        world: { ...killed, left: { ...left, kills: left.kills - 1 } },
      };
    }
    if (left.losses > 0 && one.step.effect.do === "associate") {
      const unanswered = withAgent(world, index, (agents[index] as Agents).hearsNothing(agent));
      const fewer = { ...left, losses: left.losses - 1 };
      const on = { ...unanswered, writes: abandoned, left: fewer };
      yield { what: `${name} hears nothing`, world: sending(agents, on, index) };
      const lost = { ...on, writes: world.writes.filter(({ by }) => by !== index + 1) };
      if (lost.writes.length < world.writes.length) {
        yield {
          what: `${name} hears nothing, and its request is lost`,
          world: sending(agents, lost, index),
        };
      }
    }
  }
}

/** A minute and a half later, when all is over. */
function* confirmations(agents: readonly Agents[], world: World): Generator<Move<World>> {
  const results = resultsOf(agents, world);
  if (results.includes("running") || world.writes.length > 0) return;
  for (const [index, isLeft] of world.unconfirmed.entries()) {
    if (!isLeft) continue;
    const unconfirmed = world.unconfirmed.map((one, at) => at !== index && one);
    const lastWrites = world.lastWrites.map((age) => (age === null ? null : LONG_AGO));
    const next = { ...world, unconfirmed, lastWrites };
    yield results[index] === "settled"
      ? { what: `${nameOf(index + 1)} looks once more`, world: withAgent(next, index, NOT_BEGUN) }
      : { what: `${nameOf(index + 1)} has failed`, world: next };
  }
}

/** A second passes, unless something has to happen before. */
function* time(
  { flight, lag = 0 }: Scenario,
  agents: readonly Agents[],
  world: World,
): Generator<Move<World>> {
  const isOver = world.agents.every(
    (agent, index) => agent !== NOT_BEGUN && running(agents, world, index) === undefined,
  );
  if (isOver && world.writes.length === 0) return;
  const isDue = (index: number) => {
    const one = running(agents, world, index);
    return one?.step.effect.do === "associate" && one.age >= flight;
  };
  if (world.writes.some(({ age }) => age >= flight)) return;
  if (world.agents.some((_, index) => isDue(index))) return;
  yield {
    what: "a second passes",
    world: {
      ...world,
      addresses: world.addresses.map(({ before, ...one }) =>
        before === undefined || before.age + 1 > lag
          ? one
          : { ...one, before: { ...before, age: before.age + 1 } },
      ),
      agents: world.agents.map((agent, index) =>
        agent === NOT_BEGUN ? agent : (agents[index] as Agents).ages(agent),
      ),
      lastWrites: world.lastWrites.map((age) =>
        age === null ? null : Math.min(age + 1, LONG_AGO),
      ),
      writes: world.writes.map((write) => ({ ...write, age: write.age + 1 })),
      unknownFor: Math.max(0, world.unknownFor - 1),
    },
  };
}

/** What an agent does that is under way. */
function running(agents: readonly Agents[], world: World, index: number): Agent | undefined {
  const agent = world.agents[index] ?? NOT_BEGUN;
  if (agent === NOT_BEGUN) return undefined;
  const one = (agents[index] as Agents).get(agent);
  return one.result === "running" ? one : undefined;
}

function resultsOf(agents: readonly Agents[], world: World): Result[] {
  return world.agents.map((agent, index) =>
    agent === NOT_BEGUN ? "running" : (agents[index] as Agents).get(agent).result,
  );
}

function withAgent(world: World, index: number, agent: number): World {
  return { ...world, agents: world.agents.map((one, at) => (at === index ? agent : one)) };
}

/** If the agent writes now, the request is on its way, and that is remembered whatever comes of the run. */
function sending(agents: readonly Agents[], world: World, index: number): World {
  const effect = running(agents, world, index)?.step.effect;
  if (effect?.do !== "associate") return world;
  const { reassociate, allocationId: id } = effect;
  const address = world.addresses.findIndex((_, at) => allocationId(at) === id);
  const write = { by: index + 1, address, reassociate, age: 0, isOrphan: false };
  // Only a run that begins later looks at it.
  const { kills, restarts } = world.left;
  const isRemembered = kills + restarts > 0 || world.unconfirmed.includes(true);
  return {
    ...world,
    writes: [...world.writes, write],
    lastWrites: world.lastWrites.map((age, at) => (at === index && isRemembered ? 0 : age)),
  };
}

function changed({ lag = 0 }: Scenario, address: Address, holder: number): Address {
  const { holder: was, association } = address;
  return {
    holder,
    // A handful is enough to tell one from the one before.
    association: (association + 1) % 4,
    ...(lag > 0 && { before: { holder: was, association, age: 0 } }),
  };
}

function answerTo(
  { step }: Agent,
  world: World,
  shown: readonly Pick<Address, "holder" | "association">[],
  asker: number,
): Answer {
  const { effect } = step;
  if (effect.do !== "observe") throw new Error("nothing was asked");
  const { desired, question } = effect;
  const newest = world.instances.length - 1;
  const factsOf = (instance: number): InstanceFacts => {
    const known = question.known[instanceId(instance)];
    if (known !== undefined) return known;
    if (instance === newest && world.unknownFor > 0 && asker !== newest)
      return { state: "unknown" };
    const state = STATES[world.instances[instance] ?? RUNNING] ?? "running";
    return { state, launchedAt: launchedAt(instance) };
  };
  const asked = new Set<number>();
  const holderOf = (holder: number, association: number): HolderInstance => {
    asked.add(holder);
    return {
      kind: "instance",
      instanceId: instanceId(holder),
      ...placeOf(holder),
      associationId: `eipassoc-0000000${association}`,
      ...(question.needsStates && factsOf(holder)),
    };
  };
  const all = shown.map(({ holder, association }, address): AddressState => ({
    allocationId: allocationId(address),
    publicIp: "203.0.113.0",
    borderGroup: "us-east-1",
    holder: holder === NOBODY ? { kind: "nobody" } : holderOf(holder, association),
    selfLaunchedAt: launchedAt(asker),
  }));
  const addresses = all.filter(
    (one) => desired.kind === "pool" || one.allocationId === desired.allocationId,
  );
  const isAsked = question.needsStates && asked.size > 0;
  const instances = isAsked ? [...asked, asker].map((one) => [instanceId(one), factsOf(one)]) : [];
  return {
    kind: "observation",
    addresses,
    instances: Object.fromEntries(instances) as Record<string, InstanceFacts>,
  };
}

/** When nobody runs any more: is everything as the rule wants it, and has nobody claimed what is not so? */
function endingOf({ pool = false }: Scenario, agents: readonly Agents[], world: World) {
  const results = resultsOf(agents, world);
  if (world.unconfirmed.includes(true)) return undefined;
  if (results.includes("running") || world.writes.length > 0) return undefined;
  if (world.instances[0] === SHUTTING_DOWN) return undefined;
  const name = `${world.addresses.map(({ holder }) => nameOf(holder)).join(", ")}; ${results
    .map((result, at) => `${nameOf(at + 1)} ${result}`)
    .join(", ")}`;
  const wrong = pool ? wrongInPool(world, results) : wrongWithOne(world, results);
  return { name, ...(wrong !== undefined && { wrong }) };
}

function wrongWithOne({ addresses: [address] }: World, results: readonly string[]) {
  const newest = results.length;
  if (address?.holder === newest) {
    return results.at(-1) === "settled" ? undefined : "the newest holds it and its run has failed";
  }
  return results.at(-1) === "settled"
    ? "the newest has said success and does not hold it"
    : "the newest does not hold it";
}

function wrongInPool({ addresses }: World, results: readonly string[]) {
  for (const [index, result] of results.entries()) {
    const held = addresses.filter(({ holder }) => holder === index + 1).length;
    if (held > 1) return `${nameOf(index + 1)} holds ${held}`;
    if (result === "settled" && held === 0) {
      return `${nameOf(index + 1)} has said success and holds none`;
    }
    if (result !== "settled" && held > 0) return `${nameOf(index + 1)} holds one and has failed`;
  }
  return undefined;
}
