/**
 * One instance with two addresses, each of which a run of its own brings to its place. What these have to do with each other
 * is that one may find the other's address in its place, and displace it while the other one looks for it. Nobody else is
 * there but J, which was launched before and may hold them. Time goes as in world.ts.
 */
import { FLIGHT_MS } from "../../src/reconcile/bounds.ts";
import { type Agent, Agents, type Shown } from "./agent.ts";
import { allocationId, instanceId, placeOf } from "./answers.ts";
import { Associations } from "./associations.ts";
import { OLDEST_MS } from "./forgotten.ts";
import { A_SECOND, type Model, type Move } from "./search.ts";
import { type Held, NOBODY, NOTHING_ASKED, Views } from "./views.ts";

/** Where an address is at the start: in its place, in the place of the other one, with J, with nobody. */
export type Where = "here" | "there" | "J" | "nobody";

export interface PairScenario {
  readonly at: readonly [Where, Where];
  /** Does EC2 refuse AllowReassociation=false where another Elastic IP is in the place? */
  readonly isStrict?: boolean;
  /** May other addresses not be displaced? Those of this instance may be. */
  readonly mayNotDisplace?: boolean;
  /** How many answers to writes, or the writes, are lost at most. */
  readonly losses?: number;
  /** Does neither run know of the other address? Broken on purpose. */
  readonly areUnrelated?: boolean;
}

interface Write {
  readonly by: number;
  readonly reassociate: boolean;
  readonly age: number;
  /** Nobody waits for the answer any more. */
  readonly isOrphan: boolean;
}

interface World {
  /** Of each address its holder: a place by the number of the address that belongs there, J or nobody. */
  readonly held: readonly Held[];
  readonly agents: readonly number[];
  readonly asked: readonly number[];
  readonly writes: readonly Write[];
  readonly losses: number;
}

const BOTH = [0, 1] as const;
const J = 2;
const FLIGHT = FLIGHT_MS / 1_000;
/** Instances, by number. */
const SELF = 1;
const LAUNCHED_AT = [0, 1_000];
const publicIp = (address: number) => `203.0.113.${address}`;
const other = (address: number) => 1 - address;

export function pairOf(scenario: PairScenario): Model<World> {
  return new Pair(scenario);
}

class Pair implements Model<World> {
  readonly start: World;
  readonly #isStrict: boolean;
  readonly #agents: readonly Agents[];
  readonly #views: Views;

  constructor({ at, isStrict = false, mayNotDisplace, losses = 0, areUnrelated }: PairScenario) {
    const associations = new Associations(at.length);
    this.#isStrict = isStrict;
    this.#views = new Views(associations);
    const holderOf = (address: number) =>
      ({ here: address, there: other(address), J, nobody: NOBODY })[at[address] ?? "nobody"];
    const held = BOTH.map((address) => ({ holder: holderOf(address), association: 0 }));
    this.#agents = BOTH.map((address) => {
      const there = held.findIndex(({ holder }) => holder === address);
      const name = allocationId(other(address));
      return new Agents(
        {
          goal: {
            target: {
              instanceId: instanceId(SELF),
              ...placeOf(address),
              onlyInterface: false,
              primaryIp: true,
              ...(there >= 0 && { publicIp: publicIp(there) }),
            },
            zone: "us-east-1a",
            desired: { kind: "address", allocationId: allocationId(address) },
            others:
              areUnrelated === true
                ? []
                : [{ name, address: { kind: "address", allocationId: name } }],
            takeover: "newest",
            poolTakeover: "no",
            mayDisplace: mayNotDisplace !== true,
            dryRun: false,
            force: false,
          },
          maxTries: 3,
          isPatient: false,
          isSlow: false,
          changing: [],
          flight: FLIGHT,
          longestAnswer: OLDEST_MS / 1_000,
        },
        associations,
      );
    });
    const none = BOTH.map(() => NOTHING_ASKED);
    const world: World = { held, agents: none, asked: none, writes: [], losses };
    this.start = this.#agents.reduce(
      (before, one, index) => this.#turned(before, index, one.start("in service")),
      world,
    );
  }

  *moves(world: World): Generator<Move<World>> {
    for (const write of world.writes) {
      yield { what: `EC2 carries out ${nameOf(write)}`, to: () => this.#carriedOut(world, write) };
    }
    for (const index of BOTH) yield* this.#runs(world, index);
    const isDue = (index: number) =>
      this.#running(world, index)?.step.effect.do === "associate" &&
      (this.#running(world, index)?.age ?? 0) >= FLIGHT;
    const isOver = world.writes.length === 0 && BOTH.every((one) => !this.#running(world, one));
    if (isOver || BOTH.some(isDue) || world.writes.some(({ age }) => age >= FLIGHT)) return;
    yield {
      what: A_SECOND,
      to: () => ({
        ...world,
        agents: world.agents.map((agent, index) => this.#of(index).ages(agent)),
        writes: world.writes.map((write) => ({ ...write, age: write.age + 1 })),
      }),
    };
  }

  *#runs(world: World, index: number): Generator<Move<World>> {
    const one = this.#running(world, index);
    if (one === undefined) return;
    const all = this.#of(index);
    const agent = world.agents[index] ?? 0;
    const name = allocationId(index);
    const { step, age, answer } = one;
    const { effect } = step;
    const go = (what: string, to: () => number): Move<World> => ({
      what: `${name} ${what}`,
      to: () => this.#turned(world, index, to()),
    });
    if (effect.do === "sleep" && age * 1_000 >= effect.ms) {
      yield go("wakes up", () => all.wakes(agent, "in service"));
    }
    if (answer !== undefined) yield go(`hears ${answer}`, () => all.hears(agent));
    for (const view of this.#views.in(world.asked[index] ?? NOTHING_ASKED)) {
      const { addresses } = this.#views.get(view);
      const seen = addresses.map(({ holder }) => holder).join(", ");
      yield go(`sees ${seen}`, () =>
        all.sees(agent, view, () => this.#answer(one, index, addresses)),
      );
    }
    if (effect.do !== "associate" || world.losses === 0) return;
    const lost = (writes: World["writes"]) => () =>
      this.#turned({ ...world, writes, losses: world.losses - 1 }, index, all.hearsNothing(agent));
    const isOwn = ({ by }: Write) => by === index;
    const orphans = world.writes.map((one) => (isOwn(one) ? { ...one, isOrphan: true } : one));
    yield { what: `${name} hears nothing`, to: lost(orphans), isIncident: true };
    if (!world.writes.some(isOwn)) return;
    const writes = world.writes.filter((write) => !isOwn(write));
    yield { what: `the write of ${name} is lost`, to: lost(writes), isIncident: true };
  }

  key({ held, agents, asked, writes, losses }: World): number[] {
    const sent = writes.map(
      ({ by, reassociate, age, isOrphan }) =>
        ((by * 2 + Number(reassociate)) * 2 + Number(isOrphan)) * 8 + age,
    );
    const where = held.map(({ holder, association }) => (holder + 1) * 32 + association);
    return [...where, ...agents, ...asked, losses, ...sent.toSorted((a, b) => a - b)];
  }

  ending(world: World) {
    if (world.writes.length > 0 || BOTH.some((index) => this.#running(world, index))) {
      return undefined;
    }
    const results = world.agents.map((agent, index) => this.#of(index).get(agent).result);
    const holders = world.held.map(({ holder }) => holder);
    const isWrong = BOTH.some((one) => holders[one] !== one || results[one] !== "settled");
    return {
      name: `${holders.join(", ")}; ${results.join(", ")}`,
      ...(isWrong && { wrong: "one is not in its place, or its run has failed" }),
    };
  }

  #of(index: number): Agents {
    return this.#agents[index] as Agents;
  }

  #running(world: World, index: number): Agent | undefined {
    const one = this.#of(index).get(world.agents[index] ?? 0);
    return one.result === "running" ? one : undefined;
  }

  /** The run does something else from now on: if it asks, that is answered, if it writes, the request is on its way. */
  #turned(world: World, index: number, agent: number): World {
    const agents = world.agents.map((one, at) => (at === index ? agent : one));
    const { step, result } = this.#of(index).get(agent);
    const effect = result === "running" ? step.effect : undefined;
    const isAsking = effect?.do === "observe" || effect?.do === "identify";
    const set = isAsking ? this.#shown(world.held, NOTHING_ASKED) : NOTHING_ASKED;
    const asked = world.asked.map((one, at) => (at === index ? set : one));
    if (effect?.do !== "associate") return { ...world, agents, asked };
    const write = { by: index, reassociate: effect.reassociate, age: 0, isOrphan: false };
    return { ...world, agents, asked, writes: [...world.writes, write] };
  }

  #carriedOut(world: World, write: Write): World {
    const { by, reassociate, isOrphan } = write;
    const writes = world.writes.filter((one) => one !== write);
    const holder = world.held[by]?.holder ?? NOBODY;
    const isTaken = this.#isStrict && world.held[other(by)]?.holder === by;
    const isRefused = !reassociate && ((holder !== NOBODY && holder !== by) || isTaken);
    const held = world.held.map((one, address) => {
      if (isRefused) return one;
      if (address === by) return { holder: by, association: one.association + 1 };
      return one.holder === by ? { ...one, holder: NOBODY } : one;
    });
    const asked = world.asked.map((set) => (set === NOTHING_ASKED ? set : this.#shown(held, set)));
    const agents = world.agents.map((agent, index) =>
      index === by && !isOrphan
        ? this.#of(by).answered(agent, isRefused ? "held" : "accepted")
        : agent,
    );
    return { ...world, held, asked, agents, writes };
  }

  #shown(addresses: readonly Held[], set: number): number {
    const fixed = { instances: [], isNewestUnknown: false, places: [] };
    return this.#views.with(set, this.#views.number({ addresses, ...fixed }));
  }

  #answer({ step }: Agent, index: number, addresses: readonly Held[]): Shown {
    const elasticIp = (address: number) => ({
      allocationId: allocationId(address),
      publicIp: publicIp(address),
    });
    const { effect } = step;
    if (effect.do === "identify") {
      const asked = BOTH.findIndex((address) => publicIp(address) === effect.publicIp);
      return { elasticIp: addresses[asked]?.holder === index ? elasticIp(asked) : undefined };
    }
    if (effect.do !== "observe") throw new Error("nothing was asked");
    const { question } = effect;
    const { holder, association } = addresses[index] as Held;
    const instance = holder === J ? 0 : SELF;
    const facts = (one: number) =>
      ({ state: "running", launchedAt: LAUNCHED_AT[one] ?? 0 }) as const;
    return {
      observation: {
        direct: true,
        addresses: [
          {
            ...elasticIp(index),
            borderGroup: "us-east-1",
            selfLaunchedAt: facts(SELF).launchedAt,
            holder:
              holder === NOBODY
                ? { kind: "nobody" }
                : {
                    kind: "instance",
                    instanceId: instanceId(instance),
                    ...placeOf(holder),
                    associationId: `eipassoc-${index}-${association}`,
                    ...(question.needsStates && facts(instance)),
                  },
          },
        ],
        instances:
          question.needsStates && holder !== NOBODY
            ? { [instanceId(instance)]: facts(instance), [instanceId(SELF)]: facts(SELF) }
            : {},
        ...(question.displaced !== undefined && { displaced: elasticIp(other(index)) }),
      },
    };
  }
}

const nameOf = ({ by, reassociate, isOrphan }: Write) =>
  `${reassociate ? "a take" : "a claim"} of ${allocationId(by)}${isOrphan ? ", which was given up" : ""}`;
