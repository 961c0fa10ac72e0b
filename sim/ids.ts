/** Ids and IP addresses of the shape AWS gives them, the same ones in every run. */

import type { Serials } from "./model.ts";

const MASK = (1n << 64n) - 1n;

/** SplitMix64: successive serials must not make successive ids, or code that sorts by id passes by luck. */
function scramble(serial: number): bigint {
  let z = (BigInt(serial) * 0x9e3779b97f4a7c15n) & MASK;
  z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
  z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK;
  return z ^ (z >> 31n);
}

/** Hands out ids and IP addresses that nothing in the world has yet. */
export class Ids {
  readonly serials: Serials;
  readonly #used = new Set<string>();

  constructor(serials: Serials) {
    this.serials = serials;
  }

  /** A new id with the prefix and 17 hexadecimal digits, as `i-0123456789abcdef0`. */
  next(prefix: string): string {
    this.serials.ids += 1;
    return `${prefix}-0${scramble(this.serials.ids).toString(16).padStart(16, "0")}`;
  }

  /** A new locally administered MAC address. */
  mac(): string {
    this.serials.ids += 1;
    const digits = scramble(this.serials.ids).toString(16).padStart(16, "0").slice(0, 10);
    return `02:${digits.match(/../g)?.join(":") ?? ""}`;
  }

  /** A free public IPv4 of the documentation ranges; of the benchmark range when a fleet has used those up. */
  publicIp(): string {
    return this.#free(() => {
      const n = this.serials.publicIps++;
      if (n < 250) return `203.0.113.${n + 1}`;
      if (n < 500) return `198.51.100.${n - 249}`;
      const m = n - 500;
      return `198.${18 + ((m >> 16) & 1)}.${(m >> 8) & 255}.${m & 255}`;
    });
  }

  /** A free private IPv4 of 10.0.0.0/16. */
  privateIp(): string {
    return this.#free(() => {
      // EC2 keeps the first four and the last address of a subnet for itself.
      const n = this.serials.privateIps++;
      return `10.0.${Math.floor(n / 250) & 255}.${(n % 250) + 4}`;
    });
  }

  /** Marks an IP address that was chosen by hand, so that it is not handed out again. */
  reserve(ip: string): void {
    this.#used.add(ip);
  }

  #free(candidate: () => string): string {
    for (;;) {
      const ip = candidate();
      if (!this.#used.has(ip)) {
        this.#used.add(ip);
        return ip;
      }
    }
  }
}
