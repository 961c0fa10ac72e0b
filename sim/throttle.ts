/** The request buckets of the EC2 API: one per action, account and region. */

import type { Bucket } from "./model.ts";

/** EC2's published sizes. `…:unfiltered` is the call with neither filter nor pagination. */
export const AWS_BUCKETS: Readonly<Record<string, Bucket>> = {
  AssociateAddress: { size: 50, refillPerSecond: 5 },
  DisassociateAddress: { size: 50, refillPerSecond: 5 },
  DescribeAddresses: { size: 100, refillPerSecond: 20 },
  DescribeTags: { size: 100, refillPerSecond: 20 },
  DescribeInstances: { size: 100, refillPerSecond: 20 },
  "DescribeInstances:unfiltered": { size: 50, refillPerSecond: 10 },
  DescribeNetworkInterfaces: { size: 100, refillPerSecond: 20 },
  "DescribeNetworkInterfaces:unfiltered": { size: 50, refillPerSecond: 10 },
};

/** Token buckets on a clock that is passed in. */
export class Buckets {
  readonly #sizes: Readonly<Record<string, Bucket>>;
  readonly #now: () => number;
  readonly #levels = new Map<string, { tokens: number; at: number }>();

  constructor(sizes: Readonly<Record<string, Bucket>>, now: () => number) {
    this.#sizes = sizes;
    this.#now = now;
  }

  /** Takes one token of the action's bucket; false when it is empty. An action without a bucket is never refused. */
  take(action: string): boolean {
    const bucket = this.#sizes[action];
    if (bucket === undefined) return true;
    const at = this.#now();
    const level = this.#levels.get(action) ?? { tokens: bucket.size, at };
    const refilled = level.tokens + ((at - level.at) / 1000) * bucket.refillPerSecond;
    const tokens = Math.min(bucket.size, refilled);
    const granted = tokens >= 1;
    this.#levels.set(action, { tokens: granted ? tokens - 1 : tokens, at });
    return granted;
  }
}
