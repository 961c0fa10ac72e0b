/** What is wrong with the settings, taken apart: what was found, and how it is put right. */

/** @param problem a whole sentence, as the reading of the settings has told it */
export function correctionOf(
  problem: string,
  placeOfSetting: (key: string) => string,
): { found: string; cure: string } {
  const [found = "", accepted] = problem.split(/; (?:accepted: |known settings: )/);
  const [, name, place] = /^unknown setting (\S+) in (.+)$/.exec(found) ?? [];
  if (name !== undefined) {
    return {
      found,
      cure: `remove ${name} from ${place}, or give it its right name: ${accepted}`,
    };
  }
  if (accepted !== undefined) return { found, cure: `set it to what is accepted: ${accepted}` };
  const [, file] = /^cannot read (.+?): /.exec(found) ?? [];
  if (file !== undefined) return { found, cure: openUp(file) };
  const [, variable] = /^cannot use (\w+) in /.exec(found) ?? [];
  if (variable !== undefined) return { found, cure: correctOrRemove(variable, placeOfSetting) };
  if (/, line \d+: /.test(found)) return { found, cure: "correct that line, or remove it" };
  if (found.startsWith("both ")) {
    const place = placeOfSetting("EIP_HEAL_POOL");
    return { found, cure: `if one fixed address is meant, remove EIP_HEAL_POOL from ${place}` };
  }
  return { found, cure: "correct it as it says" };
}

/** For a settings file that the unit's user, who is nobody in particular, may not read. */
export function openUp(file: string): string {
  return `make ${file} a file that everybody may read (chmod 0644)`;
}

/** For a variable whose value makes no sense, where it is set. */
export function correctOrRemove(variable: string, placeOfSetting: (key: string) => string): string {
  return `correct ${variable} in ${placeOfSetting(variable)}, or remove it there`;
}
