/** Virtual time: everything that sleeps is woken in order, as fast as the machine can, and always in the same order. */

interface Sleeper {
  readonly at: number;
  readonly order: number;
  readonly wake: () => void;
}

export class VirtualTime {
  #now: number;
  #order = 0;
  readonly #sleepers: Sleeper[] = [];

  /** @param start milliseconds since the epoch */
  constructor(start: number) {
    this.#now = start;
  }

  readonly now = (): number => this.#now;

  /** Resolves `ms` milliseconds later; rejects with the signal's reason when that is aborted first. */
  readonly sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      const abort = () => reject(signal?.reason as Error);
      signal?.addEventListener("abort", abort, { once: true });
      this.#push({
        at: this.#now + Math.max(0, ms),
        order: this.#order++,
        wake: () => {
          signal?.removeEventListener("abort", abort);
          if (!signal?.aborted) resolve();
        },
      });
    });

  /** Lets time pass until nobody sleeps any more, or until a moment. */
  async run(until = Number.POSITIVE_INFINITY): Promise<void> {
    for (;;) {
      // Whatever was woken goes on until it waits for time again.
      await new Promise((done) => setImmediate(done));
      const next = this.#sleepers[0];
      if (next === undefined || next.at > until) return;
      this.#pop();
      this.#now = next.at;
      next.wake();
    }
  }

  // A binary heap: fleets have tens of thousands of sleepers.

  #push(sleeper: Sleeper): void {
    const heap = this.#sleepers;
    let i = heap.push(sleeper) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(sleeper, heap[parent])) break;
      heap[i] = heap[parent] as Sleeper;
      i = parent;
    }
    heap[i] = sleeper;
  }

  #pop(): void {
    const heap = this.#sleepers;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (before(heap[child + 1], heap[child])) child++;
      if (!before(heap[child], last)) break;
      heap[i] = heap[child] as Sleeper;
      i = child;
    }
    heap[i] = last;
  }
}

function before(a: Sleeper | undefined, b: Sleeper | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** Dice that always fall the same way for the same seed (mulberry32): numbers in [0, 1). */
export function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
