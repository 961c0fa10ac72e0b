/**
 * A small region, a few instances and everything that can happen to them, for the explorer. Time goes in seconds, each
 * of which passes between any two things that happen. What takes its time is not bounded but for this: a write takes
 * effect and is answered within `flight` seconds, or never; and an answer may show what was `lag` seconds before.
 */
import {
  FLIGHT_MS,
  FRESH_MS,
  LAG_MS,
  REPLACEMENT_MS,
  SUSPECT_MS,
} from "../../src/reconcile/bounds.ts";
import { type Agent, Agents, type Habits, type Result, type Service } from "./agent.ts";
import { Associations, type Ranks } from "./associations.ts";
import { OLDEST_MS } from "./forgotten.ts";
import { mayWaitForEver, wrongIn } from "./rule.ts";
import { type Incidents, PASSIVE, type Scenario } from "./scenario.ts";
import { A_SECOND, type Model, type Move } from "./search.ts";
import {
  allocationId,
  answerTo,
  type Fixed,
  LONG_AGO_MS,
  IN_THE_WAY,
  instanceId,
  placeOf,
  PUBLIC_IP,
  RUNNING,
  SHUTTING_DOWN,
  STATES,
  STOPPED,
  TERMINATED,
  UNANSWERED,
} from "./answers.ts";
import { type Held, NOBODY, NOTHING_ASKED, ranked, usedBy, type View, Views } from "./views.ts";

const NOTHING: Incidents = { deaths: 0, losses: 0, kills: 0, restarts: 0 };

/** A run that has not begun. */
const NOT_BEGUN = -1;
/**
 * From the start of a stopped instance until its agent begins: longer than a take that rests on what was before, and an
 * answer that does not show that yet. No instance boots faster.
 */
const BOOT = (FRESH_MS + FLIGHT_MS + LAG_MS) / 1_000 + 1;
/** After so many seconds it makes no difference how long ago a write was. */
const LONG_AGO = SUSPECT_MS / 1_000;

interface Address extends Held {
  /** What it was before the last change, and seconds since that, as long as EC2 may still show it. */
  readonly before?: Held & { readonly age: number };
}

interface Write {
  /** By number of the claimant. */
  readonly by: number;
  readonly address: number;
  readonly reassociate: boolean;
  readonly age: number;
  /** Nobody waits for the answer any more. */
  readonly isOrphan: boolean;
}

/** Instances have numbers: first those that run no agent, then the claimants, which have numbers of their own too. */
export interface World {
  readonly addresses: readonly Address[];
  readonly instances: readonly number[];
  /** What each claimant does, by number; A's is the first. */
  readonly agents: readonly number[];
  /** All that may be shown to each claimant that has asked, as a set. */
  readonly asked: readonly number[];
  /** Which claimants have another Elastic IP in the place. */
  readonly places: readonly boolean[];
  /** Seconds since each claimant has sent its last write, of whichever run. */
  readonly lastWrites: readonly (number | null)[];
  readonly writes: readonly Write[];
  /** Which claimants still have to look once more, where they do. */
  readonly unconfirmed: readonly boolean[];
  /** For how many more seconds EC2 does not know the newest claimant. */
  readonly unknownFor: number;
  /** For how many more seconds the newest is on its way up, once it is started. */
  readonly booting: number;
  /** What metadata shows of the newest claimant, and for how many more seconds it may show nothing. */
  readonly service: Service;
  readonly shownWithin: number;
  readonly left: Incidents;
}

export interface Options {
  /** Is what makes no difference kept? Only for random ways: there is no end to the states. */
  readonly keepsAll?: boolean;
}

export function modelOf(scenario: Scenario, options: Options = {}): Model<World> {
  return new Region(scenario, options);
}

class Region implements Model<World> {
  readonly start: World;
  readonly #scenario: Scenario;
  readonly #passive: readonly string[];
  readonly #agents: readonly Agents[];
  readonly #associations: Associations;
  readonly #views: Views;
  readonly #flight: number;
  readonly #lag: number;

  constructor(scenario: Scenario, { keepsAll = false }: Options) {
    const { claimants, holders, pool, unknownFor = 0, atMost = {}, shownWithin } = scenario;
    this.#scenario = scenario;
    this.#associations = new Associations(holders.length);
    this.#views = new Views(this.#associations);
    this.#passive = PASSIVE.filter((name) => holders.includes(name));
    this.#flight = scenario.flight ?? FLIGHT_MS / 1_000;
    this.#lag = scenario.lag ?? 0;
    const newest = this.#passive.length + claimants - 1;
    const isStopped = holders.includes("the newest");
    const isChanging = (instance: number) =>
      (atMost.deaths !== undefined && instance === 0) ||
      (instance === newest && (isStopped || unknownFor > 0));
    const everything = Array.from({ length: newest + 1 }, (_, instance) => instance);
    this.#agents = Array.from({ length: claimants }, (_, index) => {
      const self = this.#instance(index);
      const changing = everything.filter((one) => isChanging(one));
      const { takeover = ["newest"], considerate = 0, taken } = scenario;
      const habits: Habits = {
        goal: {
          target: {
            instanceId: instanceId(self),
            ...placeOf(self),
            onlyInterface: true,
            primaryIp: true,
            // What instance metadata shows agrees with EC2: whether it does makes no difference but for a hold more.
            publicIp: taken === undefined ? PUBLIC_IP : IN_THE_WAY,
          },
          zone: "us-east-1a",
          desired:
            pool === undefined
              ? { kind: "address", allocationId: allocationId(0) }
              : { kind: "pool", key: "eip-pool", value: "web" },
          takeover: takeover[Math.min(index, takeover.length - 1)] ?? "newest",
          poolTakeover: pool ?? "no",
          mayDisplace: index < claimants - considerate,
          dryRun: false,
          force: false,
        },
        maxTries: scenario.tries ?? 2,
        isPatient: scenario.isPatient ?? false,
        isSlow: scenario.isSlow ?? false,
        changing: changing.length === 0 ? [] : [...changing, self].map(instanceId),
        flight: this.#flight,
        longestAnswer: Math.max(scenario.answeredWithin ?? 0, OLDEST_MS / 1_000),
        keepsAll,
        ...(scenario.machine !== undefined && { machine: scenario.machine }),
      };
      return new Agents(habits, this.#associations);
    });
    const addresses = holders.map((who) => ({
      holder: who === "the newest" ? newest : this.#passive.indexOf(who),
      association: 0,
    }));
    const service: Service = shownWithin === undefined ? "in service" : "unknown";
    const world: World = {
      addresses,
      instances: everything.map((instance) =>
        isStopped && instance === newest
          ? STOPPED
          : scenario.isUnanswered === true && instance === 0
            ? UNANSWERED
            : RUNNING,
      ),
      agents: this.#agents.map(() => NOT_BEGUN),
      asked: this.#agents.map(() => NOTHING_ASKED),
      places: this.#agents.map(() => scenario.taken !== undefined),
      lastWrites: this.#agents.map(() => null),
      writes: [],
      unconfirmed: this.#agents.map(() => scenario.isConfirmed ?? false),
      unknownFor,
      booting: isStopped ? BOOT : 0,
      service,
      shownWithin: shownWithin ?? 0,
      left: { ...NOTHING, ...atMost },
    };
    // All boot at once; one that is stopped does not yet.
    this.start = this.#agents.reduce(
      (at, one, index) =>
        isStopped && index === claimants - 1
          ? at
          : this.#turned(at, index, one.start(this.#serviceOf(at, index))),
      world,
    );
  }

  *moves(world: World): Generator<Move<World>> {
    for (const { to, ...move } of this.#moves(world)) yield { ...move, to: () => this.#tidy(to()) };
  }

  *#moves(world: World): Generator<Move<World>> {
    yield* this.#lives(world);
    yield* this.#writes(world);
    yield* this.#runs(world);
    yield* this.#mishaps(world);
    yield* this.#confirmations(world);
    yield* this.#time(world);
  }

  /** J dies: it is shutting down at first. What is stopped is started. Metadata shows what it has not shown. */
  *#lives(world: World): Generator<Move<World>> {
    const become = (instance: number, state: number, others: Partial<World> = {}): World =>
      this.#news({
        ...world,
        ...others,
        instances: world.instances.map((one, at) => (at === instance ? state : one)),
      });
    const [old] = world.instances;
    if (old !== SHUTTING_DOWN && world.left.deaths > 0) {
      const left = { ...world.left, deaths: world.left.deaths - 1 };
      yield {
        what: "J shuts down",
        to: () => become(0, SHUTTING_DOWN, { left }),
        isIncident: true,
      };
    }
    if (old === SHUTTING_DOWN) {
      const addresses = world.addresses.map((one) =>
        one.holder === 0 ? this.#changed(one, NOBODY) : one,
      );
      yield { what: "J is terminated", to: () => become(0, TERMINATED, { addresses }) };
    }
    const newest = this.#instance(this.#agents.length - 1);
    if (world.instances[newest] === STOPPED) {
      yield { what: `${this.#nameOf(newest)} is started`, to: () => become(newest, RUNNING) };
    }
    if (world.service === "unknown" && world.shownWithin > 0) {
      for (const service of ["in service", "out of service"] as const) {
        yield {
          what: `metadata shows ${this.#nameOf(newest)} ${service}`,
          to: () => ({ ...world, service, shownWithin: 0 }),
          isIncident: true,
        };
      }
    }
  }

  /** EC2 carries out a write that is on its way. */
  *#writes(world: World): Generator<Move<World>> {
    for (const [position, write] of world.writes.entries()) {
      const { by, address, reassociate, isOrphan } = write;
      const self = this.#instance(by);
      const holder = world.addresses[address]?.holder ?? NOBODY;
      const isRefused =
        !reassociate &&
        ((holder !== NOBODY && holder !== self) ||
          (this.#scenario.taken === "strict" && world.places[by] === true));
      const carryOut = () => {
        const writes = world.writes.filter((_, at) => at !== position);
        const landed = isRefused ? { ...world, writes } : this.#moved({ ...world, writes }, write);
        if (isOrphan) return landed;
        // Its associations may have been numbered anew.
        const agent = landed.agents[by] ?? NOT_BEGUN;
        const agents = this.#agents[by] as Agents;
        return this.#with(landed, by, agents.answered(agent, isRefused ? "held" : "accepted"));
      };
      const verb = isRefused ? "refuses" : reassociate ? "moves it to" : "gives it to";
      const which = world.addresses.length > 1 ? ` (${allocationId(address)})` : "";
      const whose = isOrphan ? ", who has given it up" : "";
      yield { what: `EC2 ${verb} ${this.#nameOf(self)}${which}${whose}`, to: carryOut };
    }
  }

  /** What the runs do: begin, hear answers, wake up. */
  *#runs(world: World): Generator<Move<World>> {
    const newest = this.#instance(this.#agents.length - 1);
    for (const [index, agent] of world.agents.entries()) {
      const all = this.#agents[index] as Agents;
      const self = this.#instance(index);
      const name = this.#nameOf(self);
      const service = this.#serviceOf(world, index);
      if (agent === NOT_BEGUN) {
        if (self === newest && world.booting > 0) continue;
        const last = this.#scenario.isForgetful === true ? null : world.lastWrites[index];
        yield {
          what: `${name} begins again`,
          to: () => this.#turned(world, index, all.start(service, last ?? undefined)),
        };
        continue;
      }
      const one = this.#running(world, index);
      if (one === undefined) continue;
      const { step, age, answer } = one;
      const { effect } = step;
      if (effect.do === "sleep" && age * 1_000 >= effect.ms) {
        yield {
          what: `${name} wakes up`,
          to: () => this.#turned(world, index, all.wakes(agent, service)),
        };
      }
      if (answer !== undefined) {
        const what = answer === "accepted" ? "accepted" : "a refusal";
        yield {
          what: `${name} hears ${what}`,
          to: () => this.#turned(world, index, all.hears(agent)),
        };
      }
      for (const number of this.#views.in(world.asked[index] ?? NOTHING_ASKED)) {
        const view = this.#views.get(number);
        const shown = view.addresses.map(({ holder }) => this.#told(view, holder)).join(", ");
        const answer = () => answerTo(effect, view, self, this.#fixed(index));
        yield {
          what: `${name} sees ${shown}`,
          to: () => this.#turned(world, index, all.sees(agent, number, answer)),
        };
      }
    }
  }

  /** Answers are lost, runs are killed, and those that are over are started again. */
  *#mishaps(world: World): Generator<Move<World>> {
    const { left } = world;
    for (const [index, agent] of world.agents.entries()) {
      const name = this.#nameOf(this.#instance(index));
      const abandoned = () =>
        world.writes.map((write) => (write.by === index ? { ...write, isOrphan: true } : write));
      const one = this.#running(world, index);
      if (one === undefined) {
        if (agent !== NOT_BEGUN && left.restarts > 0) {
          const fewer = { ...left, restarts: left.restarts - 1 };
          yield {
            what: `${name} is started again`,
            to: () => this.#with({ ...world, left: fewer }, index, NOT_BEGUN),
            isIncident: true,
          };
        }
        continue;
      }
      if (left.kills > 0) {
        const fewer = { ...left, kills: left.kills - 1 };
        yield {
          what: `${name} is killed`,
          to: () => this.#turned({ ...world, writes: abandoned(), left: fewer }, index, NOT_BEGUN),
          isIncident: true,
        };
      }
      if (left.losses > 0 && one.step.effect.do === "associate") {
        const fewer = { ...left, losses: left.losses - 1 };
        const after = (writes: World["writes"]) => {
          const unanswered = (this.#agents[index] as Agents).hearsNothing(agent);
          return this.#turned({ ...world, writes, left: fewer }, index, unanswered);
        };
        yield {
          what: `${name} hears nothing`,
          to: () => after(abandoned()),
          isIncident: true,
        };
        const writes = world.writes.filter(({ by }) => by !== index);
        if (writes.length < world.writes.length) {
          yield {
            what: `${name} hears nothing, and its request is lost`,
            to: () => after(writes),
            isIncident: true,
          };
        }
      }
    }
  }

  /** A minute and a half later, when all is over. */
  *#confirmations(world: World): Generator<Move<World>> {
    const results = this.#results(world);
    if (results.includes("running") || world.writes.length > 0) return;
    for (const [index, isLeft] of world.unconfirmed.entries()) {
      if (!isLeft) continue;
      const name = this.#nameOf(this.#instance(index));
      const unconfirmed = world.unconfirmed.map((one, at) => at !== index && one);
      const lastWrites = world.lastWrites.map((age) => (age === null ? null : LONG_AGO));
      const next = { ...world, unconfirmed, lastWrites };
      yield results[index] === "settled"
        ? { what: `${name} looks once more`, to: () => this.#with(next, index, NOT_BEGUN) }
        : { what: `${name} has failed`, to: () => next };
    }
  }

  /** A second passes, unless something has to happen before. */
  *#time(world: World): Generator<Move<World>> {
    const { answeredWithin = Number.POSITIVE_INFINITY } = this.#scenario;
    const results = this.#results(world);
    if (!results.includes("running") && world.writes.length === 0) return;
    const isDue = (index: number) => {
      const one = this.#running(world, index);
      if (one === undefined) return false;
      const { age, step } = one;
      switch (step.effect.do) {
        case "associate":
          return age >= this.#flight;
        case "sleep":
          return answeredWithin < Number.POSITIVE_INFINITY && age * 1_000 >= step.effect.ms;
        default:
          return age >= answeredWithin;
      }
    };
    if (world.writes.some(({ age }) => age >= this.#flight)) return;
    if (world.agents.some((_, index) => isDue(index))) return;
    const { unknownFor, shownWithin, booting, instances } = world;
    // One second is left, in which it has to be shown.
    if (world.service === "unknown" && shownWithin === 1) return;
    const isOff = instances.includes(STOPPED);
    const later = (): World => ({
      ...world,
      addresses: world.addresses.map(({ before, ...one }) =>
        before === undefined || before.age + 1 > this.#lag
          ? one
          : { ...one, before: { ...before, age: before.age + 1 } },
      ),
      agents: world.agents.map((agent, index) =>
        agent === NOT_BEGUN ? agent : (this.#agents[index] as Agents).ages(agent),
      ),
      lastWrites: world.lastWrites.map((age) =>
        age === null ? null : Math.min(age + 1, LONG_AGO),
      ),
      writes: world.writes.map((write) => ({ ...write, age: write.age + 1 })),
      unknownFor: Math.max(0, unknownFor - 1),
      shownWithin: Math.max(0, shownWithin - 1),
      booting: isOff ? booting : Math.max(0, booting - 1),
    });
    yield {
      what: A_SECOND,
      to: () => (unknownFor === 1 ? this.#news(later()) : later()),
    };
  }

  // --- Parts ---

  /** The instance that a claimant is. */
  #instance(index: number): number {
    return this.#passive.length + index;
  }

  #nameOf(instance: number): string {
    if (instance === NOBODY) return "nobody";
    return this.#passive[instance] ?? "ABCD"[instance - this.#passive.length] ?? "";
  }

  #told({ instances }: View, holder: number): string {
    const state = instances[holder] ?? RUNNING;
    const name = this.#nameOf(holder);
    return holder === NOBODY || state === RUNNING ? name : `${name} (${STATES[state]})`;
  }

  #serviceOf({ service }: World, index: number): Service {
    return index === this.#agents.length - 1 ? service : "in service";
  }

  #fixed(place: number): Fixed {
    const { rebooted = 0, shownWithin } = this.#scenario;
    const launchedAt = (instance: number) => {
      const seconds = instance * 1_000;
      const name = this.#nameOf(instance);
      if (name === "Z") return REPLACEMENT_MS / 2;
      const isOld = name === "J" || name === "K" || instance < this.#instance(rebooted);
      return isOld ? LONG_AGO_MS + seconds : seconds;
    };
    const newest = this.#instance(this.#agents.length - 1);
    return { newest, launchedAt, isInGroup: shownWithin !== undefined, place };
  }

  /** What an agent does that is under way. */
  #running(world: World, index: number): Agent | undefined {
    const agent = world.agents[index] ?? NOT_BEGUN;
    if (agent === NOT_BEGUN) return undefined;
    const one = (this.#agents[index] as Agents).get(agent);
    return one.result === "running" ? one : undefined;
  }

  #results(world: World): Result[] {
    return world.agents.map((agent, index) =>
      agent === NOT_BEGUN ? "running" : (this.#agents[index] as Agents).get(agent).result,
    );
  }

  /** Does it wait for whoever holds the address to let go? */
  #isWaiting(world: World, index: number): boolean {
    return this.#running(world, index)?.isPausing ?? false;
  }

  #with(world: World, index: number, agent: number): World {
    return { ...world, agents: world.agents.map((one, at) => (at === index ? agent : one)) };
  }

  /** The agent does something else from now on: if it asks, that is answered, if it writes, the request is on its way. */
  #turned(before: World, index: number, agent: number): World {
    const world = this.#with(before, index, agent);
    const effect = this.#running(world, index)?.step.effect;
    const isAsking = effect?.do === "observe" || effect?.do === "identify";
    const set = isAsking ? this.#shown(world, NOTHING_ASKED) : NOTHING_ASKED;
    const asked = world.asked.map((one, at) => (at === index ? set : one));
    if (effect?.do !== "associate") return { ...world, asked };
    const { reassociate, allocationId: id } = effect;
    const address = world.addresses.findIndex((_, at) => allocationId(at) === id);
    const write = { by: index, address, reassociate, age: 0, isOrphan: false };
    return {
      ...world,
      asked,
      writes: [...world.writes, write],
      // It is remembered whatever comes of the run.
      lastWrites: world.lastWrites.map((age, at) => (at === index ? 0 : age)),
    };
  }

  /** A set with what EC2 shows now: what is so, and what was a moment ago. */
  #shown({ addresses, instances, unknownFor, places }: World, set: number): number {
    const view = (held: readonly Held[]) =>
      this.#views.number({ addresses: held, instances, isNewestUnknown: unknownFor > 0, places });
    const now = addresses.map(({ holder, association }) => ({ holder, association }));
    const more = this.#views.with(set, view(now));
    if (!addresses.some(({ before }) => before !== undefined)) return more;
    const then = addresses.map(({ before, holder, association }) =>
      before === undefined
        ? { holder, association }
        : { holder: before.holder, association: before.association },
    );
    return this.#views.with(more, view(then));
  }

  /** Whoever has asked may be shown what is so now. */
  #news(world: World): World {
    const asked = world.asked.map((set) => (set === NOTHING_ASKED ? set : this.#shown(world, set)));
    return { ...world, asked };
  }

  /** An interface has one address at a time: what was there is let go. */
  #moved(before: World, { by, address: to }: Write): World {
    const self = this.#instance(by);
    if (before.addresses[to]?.holder === self) return before;
    const world = this.#renamed(before, to);
    const addresses = world.addresses.map((one, at) => {
      if (at === to) return this.#changed(one, self);
      return one.holder === self ? this.#changed(one, NOBODY) : one;
    });
    const places = world.places.map((isTaken, at) => isTaken && at !== by);
    return this.#news({ ...world, addresses, places });
  }

  #changed({ holder, association }: Address, to: number): Address {
    return {
      holder: to,
      association: 0,
      ...(this.#lag > 0 && { before: { holder, association, age: 0 } }),
    };
  }

  /** There is about to be a new association of an address, so that all others are one older. */
  #renamed(world: World, address: number): World {
    return this.#ranked(world, this.#associations.older(address));
  }

  #ranked(world: World, ranks: Ranks): World {
    return {
      ...world,
      addresses: world.addresses.map((one, at) => ({
        ...ranked(one, at, ranks),
        ...(one.before !== undefined && { before: ranked(one.before, at, ranks) }),
      })),
      agents: world.agents.map((agent, index) =>
        agent === NOT_BEGUN ? agent : (this.#agents[index] as Agents).renamed(agent, ranks),
      ),
      asked: world.asked.map((set) => this.#views.renamed(set, ranks)),
    };
  }

  /** Without what makes no difference any more. */
  #tidy(world: World): World {
    const { kills, restarts } = world.left;
    const isForgotten = (age: number | null, index: number) =>
      age !== null &&
      kills + restarts === 0 &&
      world.unconfirmed[index] !== true &&
      world.agents[index] !== NOT_BEGUN;
    const isRemembered = !world.lastWrites.some(isForgotten);
    const lastWrites = isRemembered
      ? world.lastWrites
      : world.lastWrites.map((age, index) => (isForgotten(age, index) ? null : age));
    let used = usedBy(world.addresses, this.#associations);
    for (const [index, agent] of world.agents.entries()) {
      if (agent !== NOT_BEGUN) used |= (this.#agents[index] as Agents).used(agent);
    }
    for (const set of world.asked) used |= this.#views.used(set);
    if (this.#lag > 0) {
      const then = world.addresses.map(({ before, ...now }) => before ?? now);
      used |= usedBy(then, this.#associations);
    }
    const ranks = this.#associations.withoutGaps(used);
    const tidy = isRemembered ? world : { ...world, lastWrites };
    return ranks === undefined ? tidy : this.#ranked(tidy, ranks);
  }

  key(world: World): number[] {
    const { addresses, instances, agents, asked, places, lastWrites, writes, left } = world;
    const held = ({ holder, association }: Held) => (holder + 1) * 32 + association;
    const bits = (flags: readonly boolean[]) =>
      flags.reduce((all, one) => all * 2 + Number(one), 1);
    const key: number[] = [];
    for (const { before, ...now } of addresses) {
      key.push(held(now), before === undefined ? -1 : held(before) * 16 + before.age);
    }
    key.push(...instances, ...agents, ...asked);
    for (const age of lastWrites) key.push(age ?? -1);
    key.push(
      bits(places),
      bits(world.unconfirmed),
      world.unknownFor,
      world.shownWithin,
      world.booting,
    );
    key.push(world.service === "unknown" ? 0 : world.service === "in service" ? 1 : 2);
    key.push(left.deaths, left.losses, left.kills, left.restarts);
    // In which order they were sent says their age.
    const sent = writes.map(
      ({ by, address, reassociate, age, isOrphan }) =>
        (((by * 8 + address) * 2 + Number(reassociate)) * 2 + Number(isOrphan)) * 64 + age,
    );
    key.push(...sent.toSorted((a, b) => a - b));
    return key;
  }

  /** When nobody runs any more: is everything as the rule wants it, and has nobody claimed what is not so? */
  ending(world: World) {
    const results = this.#results(world);
    if (world.unconfirmed.includes(true) || world.writes.length > 0) return undefined;
    const isOver = (result: Result, index: number) =>
      result !== "running" || (mayWaitForEver(this.#scenario) && this.#isWaiting(world, index));
    if (!results.every(isOver) || world.instances[0] === SHUTTING_DOWN) return undefined;
    const holders = world.addresses.map(({ holder }) => this.#nameOf(holder)).join(", ");
    const ends = results.map((result, at) => {
      const how = result === "running" ? "waits" : result;
      return `${this.#nameOf(this.#instance(at))} ${how}`;
    });
    const { addresses, service } = world;
    const wrong = wrongIn(this.#scenario, {
      held: addresses.map(({ holder }) => (holder === NOBODY ? undefined : this.#nameOf(holder))),
      claimants: results.map((result, at) => ({ name: this.#nameOf(this.#instance(at)), result })),
      isNewestOut: service === "out of service",
    });
    return { name: `${holders}; ${ends.join(", ")}`, ...(wrong !== undefined && { wrong }) };
  }
}
