/** Visits every state that can be reached, breadth first, so that the way to each is a shortest one. */

export interface Move<World> {
  /** What happens, for people: `A wakes up`. */
  readonly what: string;
  readonly to: () => World;
  /** Something that goes wrong, and not what goes on all the time. */
  readonly isIncident?: boolean;
}

/** What happens when nothing else does. */
export const A_SECOND = "a second passes";

export interface Model<World> {
  readonly start: World;
  /** All that can happen next. */
  moves(world: World): Iterable<Move<World>>;
  /** Small numbers that are equal for worlds that are the same. */
  key(world: World): readonly number[];
  /** What has come of it, once all is over: a name for the ending, and what is wrong with it. */
  ending(world: World): { readonly name: string; readonly wrong?: string } | undefined;
}

export interface Ending {
  readonly name: string;
  readonly wrong?: string;
  /** What happens on a way to it. */
  readonly trace: readonly string[];
}

export interface Exploration {
  readonly states: number;
  /** How many moves away from the start the last one is. */
  readonly depth: number;
  /** Every ending, once. */
  readonly endings: readonly Ending[];
  /** Were there more than `maxStates`, so that not all were visited? */
  readonly isCutShort: boolean;
}

/** @param maxStates after which it gives up */
export function explore<World>(model: Model<World>, maxStates = 5_000_000): Exploration {
  const visited = new Visited();
  visited.add(model.key(model.start), -1);
  const endings = new Map<string, Ending>();
  const told = (isCutShort: boolean): Exploration => {
    return { states: visited.size, depth, endings: [...endings.values()], isCutShort };
  };
  let depth = 0;
  let frontier: [number, World][] = [[0, model.start]];
  for (;;) {
    const next: [number, World][] = [];
    for (const [state, world] of frontier) {
      const ending = model.ending(world);
      if (ending !== undefined) {
        const known = `${ending.name} ${ending.wrong ?? ""}`;
        if (!endings.has(known)) {
          endings.set(known, { ...ending, trace: traceTo(model, visited, state) });
        }
      }
      for (const move of model.moves(world)) {
        const after = move.to();
        const found = visited.add(model.key(after), state);
        if (found === undefined) continue;
        if (visited.size > maxStates) return told(true);
        next.push([found, after]);
      }
    }
    if (next.length === 0) return told(false);
    depth++;
    frontier = next;
  }
}

/** What happens on the way to a state: the same moves once more, of which only the keys were kept. */
function traceTo<World>(model: Model<World>, visited: Visited, state: number): string[] {
  const way: number[] = [];
  for (let at = state; at > 0; at = visited.parent(at)) way.unshift(at);
  let world = model.start;
  return way.map((at) => {
    for (const move of model.moves(world)) {
      const after = move.to();
      if (visited.find(model.key(after)) !== at) continue;
      world = after;
      return move.what;
    }
    throw new Error("the way to a state cannot be gone again");
  });
}

/**
 * States by number. Of each only a hash of 64 bits is kept, so that tens of millions have room: that two of them have the
 * same one, and the second is not visited, has a probability of n² / 2⁶⁵, which is 3 in a million for 10 million states.
 */
class Visited {
  size = 0;
  #high = new Int32Array(1 << 16);
  #low = new Int32Array(1 << 16);
  #parents = new Int32Array(1 << 16);
  /** Where a hash is: its number and one, at the place that its low half says or after it. */
  #slots = new Int32Array(1 << 18);

  /** The number of a state that is new, or undefined. */
  add(key: readonly number[], parent: number): number | undefined {
    const slot = this.#slotOf(key);
    if (this.#slots[slot] !== 0) return undefined;
    const state = this.size++;
    if (state === this.#parents.length) this.#grow();
    this.#high[state] = high;
    this.#low[state] = low;
    this.#parents[state] = parent;
    if (this.size * 2 > this.#slots.length) this.#spread();
    else this.#slots[slot] = this.size;
    return state;
  }

  /** The number of a state, -1 if it was not visited. */
  find(key: readonly number[]): number {
    return (this.#slots[this.#slotOf(key)] ?? 0) - 1;
  }

  parent(state: number): number {
    return this.#parents[state] ?? -1;
  }

  /** Where it is, or would be. */
  #slotOf(key: readonly number[]): number {
    hash(key);
    const mask = this.#slots.length - 1;
    let slot = low & mask;
    for (;;) {
      const state = (this.#slots[slot] ?? 0) - 1;
      if (state < 0 || (this.#low[state] === low && this.#high[state] === high)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #grow(): void {
    const longer = (old: Int32Array) => {
      const array = new Int32Array(old.length * 2);
      array.set(old);
      return array;
    };
    this.#high = longer(this.#high);
    this.#low = longer(this.#low);
    this.#parents = longer(this.#parents);
  }

  #spread(): void {
    this.#slots = new Int32Array(this.#slots.length * 2);
    const mask = this.#slots.length - 1;
    for (let state = 0; state < this.size; state++) {
      let slot = (this.#low[state] ?? 0) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = state + 1;
    }
  }
}

// The two halves of the last hash: an object for each would be thrown away a hundred million times.
let high = 0;
let low = 0;

/** Two of MurmurHash3 side by side, with different constants. */
function hash(key: readonly number[]): void {
  let a = 0x243f6a88;
  let b = 0x13198a2e;
  for (const one of key) {
    a ^= Math.imul(turned(Math.imul(one, 0xcc9e2d51), 15), 0x1b873593);
    a = Math.imul(turned(a, 13), 5) + 0xe6546b64;
    b ^= Math.imul(turned(Math.imul(one, 0x239b961b), 16), 0xab0e9789);
    b = Math.imul(turned(b, 17), 9) + 0x561ccd1b;
  }
  a ^= key.length;
  high = mixed(a + b);
  low = mixed(b + Math.imul(high, 5));
}

function turned(bits: number, by: number): number {
  return (bits << by) | (bits >>> (32 - by));
}

function mixed(bits: number): number {
  let hash = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) | 0;
}
