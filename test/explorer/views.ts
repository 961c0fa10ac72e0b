/**
 * What EC2 may show. An answer says what was so at some moment since it was asked for; nobody but the one who asked can
 * tell which, so that it is chosen when the answer arrives, among all that there has been in between.
 */
import type { Associations, Ranks } from "./associations.ts";

export const NOBODY = -1;

/** Who holds an address: an instance by number or nobody, and the rank of the association. */
export interface Held {
  readonly holder: number;
  readonly association: number;
}

/** Everything at one moment. */
export interface View {
  readonly addresses: readonly Held[];
  /** The states of all instances, by number. */
  readonly instances: readonly number[];
  /** Does EC2 not know the newest claimant yet? */
  readonly isNewestUnknown: boolean;
  /** Which claimants have another Elastic IP in the place. */
  readonly places: readonly boolean[];
}

/** No view: nothing has been asked. */
export const NOTHING_ASKED = 0;

/** Views and sets of views, by number. */
export class Views {
  readonly #views: View[] = [];
  readonly #keys: string[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #sets: { readonly views: readonly number[]; readonly used: number }[] = [];
  readonly #setNumbers = new Map<string, number>();
  readonly #added = new Map<number, number>();
  readonly #renamed = new Map<string, number>();

  readonly #associations: Associations;

  constructor(associations: Associations) {
    this.#associations = associations;
    this.#set([]);
  }

  get(view: number): View {
    return this.#views[view] as View;
  }

  number(view: View): number {
    const key = JSON.stringify(Object.values(view));
    let found = this.#numbers.get(key);
    if (found === undefined) {
      this.#numbers.set(key, (found = this.#views.push(view) - 1));
      this.#keys.push(key);
    }
    return found;
  }

  /** What is in a set, in an order that does not depend on what was seen before. */
  in(set: number): readonly number[] {
    return this.#sets[set]?.views ?? [];
  }

  /** The associations that are named in a set. */
  used(set: number): number {
    return this.#sets[set]?.used ?? 0;
  }

  /** A set with one more. */
  with(set: number, view: number): number {
    const key = set * 65_536 + view;
    let found = this.#added.get(key);
    if (found === undefined) {
      const views = this.in(set);
      found = views.includes(view) ? set : this.#set([...views, view]);
      this.#added.set(key, found);
    }
    return found;
  }

  /** Associations are numbered anew. */
  renamed(set: number, ranks: Ranks): number {
    if (this.used(set) === 0) return set;
    const key = `${set} ${ranks.name}`;
    let found = this.#renamed.get(key);
    if (found === undefined) {
      const views = this.in(set).map((view) => {
        const { addresses, ...rest } = this.get(view);
        return this.number({
          addresses: addresses.map((one, at) => ranked(one, at, ranks)),
          ...rest,
        });
      });
      this.#renamed.set(key, (found = this.#set(views)));
    }
    return found;
  }

  #set(views: readonly number[]): number {
    const keyOf = (view: number) => this.#keys[view] ?? "";
    const sorted = [...new Set(views)].toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    const key = sorted.join(" ");
    let found = this.#setNumbers.get(key);
    if (found === undefined) {
      let used = 0;
      for (const view of sorted) used |= usedBy(this.get(view).addresses, this.#associations);
      found = this.#sets.push({ views: sorted, used }) - 1;
      this.#setNumbers.set(key, found);
    }
    return found;
  }
}

/** The associations of addresses. */
export function usedBy(addresses: readonly Held[], associations: Associations): number {
  let used = 0;
  for (const [address, { holder, association }] of addresses.entries()) {
    if (holder !== NOBODY) used |= associations.bitOf(address, association);
  }
  return used;
}

export function ranked<T extends Held>(held: T, address: number, ranks: Ranks): T {
  return held.holder === NOBODY
    ? held
    : { ...held, association: ranks.of(address, held.association) };
}
