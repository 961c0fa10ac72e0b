/** How slow EC2 may be: what the tests on virtual time and those of the real binary go through. */

export interface Slowness {
  /** For the titles of tests. */
  readonly name: string;
  /** Milliseconds that an answer takes, by action; `*` is every other one. */
  readonly latencyMs: Readonly<Record<string, number>>;
  /** How many calls it takes at most to take an address. */
  readonly mostCalls: number;
}

/** Up to 0.8 s one look more is enough for a take, beyond that two are needed: see FRESH_MS. */
export const everyAnswerTakes = (seconds: number): Slowness => ({
  name: `every answer takes ${seconds} s`,
  latencyMs: { "*": seconds * 1_000 },
  mostCalls: seconds <= 0.8 ? 7 : 9,
});

/** From what is usual up to what has been seen in accounts with many instances. */
export const SLOWNESS: readonly Slowness[] = [
  ...[0.1, 0.5, 1, 2, 4].map(everyAnswerTakes),
  // Its answers take the longer, the more instances there are.
  { name: "DescribeInstances takes 6 s", latencyMs: { DescribeInstances: 6_000 }, mostCalls: 9 },
];

/** Milliseconds that the answer to this action takes. */
export function latencyOf({ latencyMs }: Slowness, action: string): number {
  return latencyMs[action] ?? latencyMs["*"] ?? 0;
}
