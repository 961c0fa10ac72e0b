/** Visits every state that can be reached, breadth first, so that the way to each is a shortest one. */

export interface Move<World> {
  /** What happens, for people: `A asks EC2`. */
  readonly what: string;
  readonly world: World;
}

export interface Model<World> {
  readonly start: World;
  /** All that can happen next. */
  moves(world: World): Iterable<Move<World>>;
  /** Equal for worlds that are the same. */
  key(world: World): string;
  /** What has come of it, once all is over: a name for the ending, and what is wrong with it. */
  ending(world: World): { readonly name: string; readonly wrong?: string } | undefined;
}

export interface Ending {
  readonly name: string;
  readonly wrong?: string;
  /** What happens on a shortest way to it. */
  readonly trace: readonly string[];
}

export interface Exploration {
  readonly states: number;
  /** Every ending, once. */
  readonly endings: readonly Ending[];
  /** Were there more than `maxStates`, so that not all were visited? */
  readonly isCutShort: boolean;
}

/** @param maxStates after which it gives up */
export function explore<World>(model: Model<World>, maxStates = 5_000_000): Exploration {
  // By number of a state: the one that it was first reached from, and how.
  const parents = new Int32Array(maxStates + 1).fill(-1);
  const moves: string[] = ["start"];
  const seen = new Set([model.key(model.start)]);
  const endings = new Map<string, Ending>();
  let states = 1;
  let frontier: [number, World][] = [[0, model.start]];
  const trace = (state: number): string[] => {
    const steps: string[] = [];
    for (let at = state; at > 0; at = parents[at] ?? 0) steps.unshift(moves[at] ?? "");
    return steps;
  };

  while (frontier.length > 0) {
    const next: [number, World][] = [];
    for (const [state, world] of frontier) {
      const ending = model.ending(world);
      if (ending !== undefined) {
        const known = `${ending.name} ${ending.wrong ?? ""}`;
        if (!endings.has(known)) endings.set(known, { ...ending, trace: trace(state) });
      }
      for (const move of model.moves(world)) {
        const key = model.key(move.world);
        if (seen.has(key)) continue;
        if (states >= maxStates) {
          return { states, endings: [...endings.values()], isCutShort: true };
        }
        seen.add(key);
        parents[states] = state;
        moves[states] = move.what;
        next.push([states++, move.world]);
      }
    }
    frontier = next;
  }
  return { states, endings: [...endings.values()], isCutShort: false };
}
