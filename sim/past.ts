/**
 * What the region was like a while ago, for describe calls that answer from old data. Only replaced records are kept,
 * so a region that nobody asks about the past pays one array entry per change.
 */

import type { Address, Instance, NetworkInterface } from "./model.ts";

/** The records of one moment. */
export interface View {
  instance(id: string): Instance | undefined;
  address(id: string): Address | undefined;
  instances(): Iterable<Instance>;
  addresses(): Iterable<Address>;
  /** The interfaces that are on no instance; the others are part of their instances. */
  looseInterfaces(): Iterable<NetworkInterface>;
}

/** Longer than any staleness that a test asks for. */
const KEPT_MS = 15 * 60_000;

type Change =
  | { at: number; kind: "instance"; id: string; before: Instance | undefined }
  | { at: number; kind: "address"; id: string; before: Address | undefined }
  | { at: number; kind: "interface"; id: string; before: NetworkInterface | undefined };

/** Three tables of records with their recent past. */
export class Records implements View {
  readonly #now: () => number;
  readonly #instances = new Map<string, Instance>();
  readonly #addresses = new Map<string, Address>();
  readonly #loose = new Map<string, NetworkInterface>();
  #changes: Change[] = [];

  constructor(now: () => number) {
    this.#now = now;
  }

  instance(id: string): Instance | undefined {
    return this.#instances.get(id);
  }

  address(id: string): Address | undefined {
    return this.#addresses.get(id);
  }

  instances(): Iterable<Instance> {
    return this.#instances.values();
  }

  addresses(): Iterable<Address> {
    return this.#addresses.values();
  }

  /** The interface, if it is on no instance. */
  looseInterface(id: string): NetworkInterface | undefined {
    return this.#loose.get(id);
  }

  looseInterfaces(): Iterable<NetworkInterface> {
    return this.#loose.values();
  }

  /** Replaces the record, undefined removes it. */
  putInstance(id: string, record: Instance | undefined): void {
    this.#remember({ at: this.#now(), kind: "instance", id, before: this.#instances.get(id) });
    if (record === undefined) this.#instances.delete(id);
    else this.#instances.set(id, record);
  }

  /** Replaces the record. */
  putAddress(id: string, record: Address): void {
    this.#remember({ at: this.#now(), kind: "address", id, before: this.#addresses.get(id) });
    this.#addresses.set(id, record);
  }

  /** Replaces the record of an interface that is on no instance; undefined: it is on one now. */
  putLooseInterface(id: string, record: NetworkInterface | undefined): void {
    this.#remember({ at: this.#now(), kind: "interface", id, before: this.#loose.get(id) });
    if (record === undefined) this.#loose.delete(id);
    else this.#loose.set(id, record);
  }

  /** The world begins: what there is now is what there always was. */
  forgetThePast(): void {
    this.#changes = [];
  }

  /** The records as they were then. */
  asOf(then: number): View {
    const last = this.#changes.at(-1);
    if (last === undefined || last.at <= then) return this;
    const instances = new Map<string, Instance | undefined>();
    const addresses = new Map<string, Address | undefined>();
    const loose = new Map<string, NetworkInterface | undefined>();
    // From the newest change back, so that the oldest "before" that is later than `then` wins.
    for (let n = this.#changes.length - 1; n >= 0; n--) {
      const change = this.#changes[n];
      if (change === undefined || change.at <= then) break;
      if (change.kind === "instance") instances.set(change.id, change.before);
      else if (change.kind === "address") addresses.set(change.id, change.before);
      else loose.set(change.id, change.before);
    }
    return {
      instance: (id) => (instances.has(id) ? instances.get(id) : this.instance(id)),
      address: (id) => (addresses.has(id) ? addresses.get(id) : this.address(id)),
      instances: () => overlay(this.#instances, instances),
      addresses: () => overlay(this.#addresses, addresses),
      looseInterfaces: () => overlay(this.#loose, loose),
    };
  }

  #remember(change: Change): void {
    this.#changes.push(change);
    // Now and then, not each time: throwing away is linear.
    if (this.#changes.length % 4096 === 0) {
      this.#changes = this.#changes.filter((kept) => kept.at > change.at - KEPT_MS);
    }
  }
}

function* overlay<T>(
  now: ReadonlyMap<string, T>,
  then: ReadonlyMap<string, T | undefined>,
): Iterable<T> {
  for (const [id, record] of now) if (!then.has(id)) yield record;
  for (const record of then.values()) if (record !== undefined) yield record;
}
