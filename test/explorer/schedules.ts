/** Random ways through a model that has more states than can be visited. */
import { dice } from "../simulation/time.ts";
import { type Ending, type Model, type Move } from "./search.ts";

/** Moves of one way; those that are longer are given up, and counted. */
const LONGEST = 5_000;

/** What came of many ways. */
export interface Sample {
  readonly schedules: number;
  /** How many moves all of them had. */
  readonly moves: number;
  /** How many came to no end. */
  readonly endless: number;
  /** Every ending, once, with the first way that was found to it. */
  readonly endings: readonly Ending[];
}

/**
 * Goes random ways.
 *
 * @param seed the same ways for the same one, of which a longer sample has the first ones too
 */
export function sample<World>(model: Model<World>, seed: number, schedules: number): Sample {
  const endings = new Map<string, Ending>();
  let moves = 0;
  let endless = 0;
  for (let schedule = 0; schedule < schedules; schedule++) {
    const random = dice(seed + schedule * 7_919);
    const choose = chooser(random);
    let world = model.start;
    const trace: string[] = [];
    let ending = model.ending(world);
    while (trace.length < LONGEST) {
      const possible = [...model.moves(world)];
      ending = model.ending(world);
      // What may still happen after the end does so now and then.
      if (ending !== undefined && (possible.length === 0 || random() < 0.7)) break;
      const move = choose(possible);
      trace.push(move.what);
      world = move.to();
    }
    moves += trace.length;
    if (ending === undefined) endless++;
    else {
      const known = `${ending.name} ${ending.wrong ?? ""}`;
      if (!endings.has(known)) endings.set(known, { ...ending, trace });
    }
  }
  return { schedules, moves, endless, endings: [...endings.values()] };
}

/** On each way somebody or something is quick, and others are slow; and what goes wrong does so sooner or later. */
export function chooser(random: () => number) {
  const paces = new Map<string, number>();
  const isByWho = random() < 0.5;
  const pace = ({ what, isIncident = false }: Move<unknown>): number => {
    const [who = ""] = what.split(" ", 1);
    const name = isIncident ? "incident" : isByWho ? who : what;
    let found = paces.get(name);
    if (found === undefined) {
      found = (isIncident ? 0.2 : 1) / 5 ** Math.floor(random() * 3);
      paces.set(name, found);
    }
    return found;
  };
  return <World>(moves: readonly Move<World>[]): Move<World> => {
    let left = random() * moves.reduce((sum, move) => sum + pace(move), 0);
    for (const move of moves) {
      left -= pace(move);
      if (left < 0) return move;
    }
    const last = moves.at(-1);
    if (last === undefined) throw new Error("nothing can happen, and it is not the end");
    return last;
  };
}
