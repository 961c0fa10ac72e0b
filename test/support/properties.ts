/**
 * How often properties are tried, and from where: from a fixed seed, so that a commit is judged by the same cases
 * everywhere, and from a fresh one, so that cases which nobody has seen come up. The summary of a run prints both.
 */

/** The seed that every run tries. */
export const FIXED_SEED = 20_261_123;

/** The seed of this run alone; vitest.config.ts draws it. */
export const freshSeed = (): number => Number(process.env["EIP_HEAL_TEST_FRESH_SEED"]);

/** Parameters of `fc.assert`. */
export interface Trial {
  readonly seed: number;
  readonly numRuns: number;
}

/**
 * The trials of a property, for `it.each`.
 *
 * @param runs cases from the fixed seed, and a third as many from the fresh one. EIP_HEAL_TEST_RUNS sets another number
 *   for all properties and both seeds, EIP_HEAL_TEST_SEED a single seed, to see a failure again
 * @param share of the cases, for a property that takes long
 */
export function trials(runs: number, share = 1): Trial[] {
  const { EIP_HEAL_TEST_RUNS: wanted, EIP_HEAL_TEST_SEED: chosen } = process.env;
  const trial = (seed: number, cases: number) => ({ seed, numRuns: Math.ceil(cases * share) });
  const most = Number(wanted ?? runs);
  return chosen === undefined
    ? [trial(FIXED_SEED, most), trial(freshSeed(), wanted === undefined ? most / 3 : most)]
    : [trial(Number(chosen), most)];
}
