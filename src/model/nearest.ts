/** "Did you mean": finds the known word that is closest to a misspelt one. */

/** Largest edit distance, in characters, at which a word counts as misspelt and not as another word. */
const MOST = 3;
/** Shortest prefix, in characters, that counts as the whole word. */
const BEGINNING = 3;
/** Most characters that are compared; no known word is longer. */
const LONGEST = 64;

/**
 * The closest known word, if it is close enough. Ignores case, hyphens and underscores.
 *
 * @param known in order of preference, for words that are equally close
 */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const meant = plain(word);
  if (meant === "" || meant.length > LONGEST) return undefined;
  // In a short word a single character matters more.
  const limit = Math.min(MOST, Math.floor(meant.length / 3));
  let best: { readonly name: string; readonly distance: number } | undefined;
  for (const name of known) {
    const full = plain(name);
    const isBeginning = meant.length >= BEGINNING && full.startsWith(meant);
    const distance = Math.min(differences(meant, full), isBeginning ? limit : Infinity);
    if (distance <= limit && distance < (best?.distance ?? Infinity)) best = { name, distance };
  }
  return best?.name;
}

const plain = (word: string): string => word.toLowerCase().replaceAll(/[^a-z0-9]/g, "");

/** Edit distance: characters inserted, deleted or replaced, or adjacent ones swapped (Damerau-Levenshtein). */
function differences(one: string, other: string): number {
  const width = other.length + 1;
  const table = new Uint16Array((one.length + 1) * width);
  const at = (i: number, j: number) => table[i * width + j] ?? 0;
  for (let i = 0; i <= one.length; i++) {
    for (let j = 0; j <= other.length; j++) {
      const isSame = one[i - 1] === other[j - 1];
      const isSwapped = one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      table[i * width + j] =
        i === 0 || j === 0
          ? i + j
          : Math.min(
              at(i - 1, j) + 1,
              at(i, j - 1) + 1,
              at(i - 1, j - 1) + (isSame ? 0 : 1),
              isSwapped ? at(i - 2, j - 2) + 1 : Infinity,
            );
    }
  }
  return at(one.length, other.length);
}
