/**
 * Ids of associations, which are only ever compared. Of each address those that anybody still remembers have ranks, from
 * the latest on, so that states which differ by nothing but the number of associations before are the same.
 */

const ID = /eipassoc-(\d)-(\d+)/g;

export function associationId(address: number, rank: number): string {
  return `eipassoc-${address}-${rank}`;
}

/** New ranks for old ones. */
export interface Ranks {
  readonly name: string;
  readonly of: (address: number, rank: number) => number;
}

/** A text in which associations are named, with new ranks. */
export function renamed(text: string, { of }: Ranks): string {
  return text.replace(ID, (_, address: string, rank: string) =>
    associationId(Number(address), of(Number(address), Number(rank))),
  );
}

/** Sets of associations, each of which is a bit. */
export class Associations {
  readonly #addresses: number;
  /** How many of an address may be remembered at a time. */
  readonly #most: number;
  readonly #ranks = new Map<string, Ranks>();

  constructor(addresses: number) {
    this.#addresses = addresses;
    this.#most = Math.floor(30 / addresses);
  }

  /** The set of one. */
  bitOf(address: number, rank: number): number {
    if (rank >= this.#most) throw new Error("too many associations are remembered");
    return 1 << (address * this.#most + rank);
  }

  /** The set of those that are named in a text. */
  usedIn(text: string): number {
    let used = 0;
    for (const [, address, rank] of text.matchAll(ID)) {
      used |= this.bitOf(Number(address), Number(rank));
    }
    return used;
  }

  /** After an address has a new association: the others are one older. */
  older(address: number): Ranks {
    return this.#named(`after ${address}`, (at, rank) => (at === address ? rank + 1 : rank));
  }

  /** Without gaps, or undefined if there are none. */
  withoutGaps(used: number): Ranks | undefined {
    for (let address = 0; address < this.#addresses; address++) {
      const ofAddress = (used >> (address * this.#most)) & ((1 << this.#most) - 1);
      if ((ofAddress & (ofAddress + 1)) === 0) continue;
      return this.#named(`of ${used}`, (at, rank) => {
        let before = 0;
        for (let i = 0; i < rank; i++) if ((used & this.bitOf(at, i)) !== 0) before++;
        return before;
      });
    }
    return undefined;
  }

  #named(name: string, of: Ranks["of"]): Ranks {
    let found = this.#ranks.get(name);
    if (found === undefined) this.#ranks.set(name, (found = { name, of }));
    return found;
  }
}
