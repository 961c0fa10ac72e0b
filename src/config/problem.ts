/** What is wrong with the settings, as data: one function says it, another one how it is put right. */

export type Problem =
  /** A key that begins like one of ours and is none; `where` it is set: a file, or "the environment". */
  | {
      readonly problem: "unknown setting";
      readonly key: string;
      readonly where: string;
      readonly known: readonly string[];
    }
  /** A value that is not accepted; `source` names setting and place, or the flag. */
  | {
      readonly problem: "invalid value";
      readonly source: string;
      readonly value: string;
      readonly accepted: string;
    }
  /** Both an address and a pool are named in the same place. */
  | { readonly problem: "address and pool" }
  | { readonly problem: "unreadable file"; readonly file: string; readonly why: string }
  /** A line that is no assignment. */
  | {
      readonly problem: "invalid line";
      readonly file: string;
      readonly line: number;
      readonly why: string;
    }
  /** A variable of the file that names a file of certificates. */
  | {
      readonly problem: "unusable certificates";
      readonly variable: string;
      readonly file: string;
      readonly why: string;
    };

/** Something that works all the same, and should be put right. */
export interface Notice {
  readonly notice: "former value";
  readonly source: string;
  readonly value: string;
  readonly instead: string;
}

/** A notice in one sentence. */
export function sentenceOfNotice({ source, value, instead }: Notice): string {
  return `${source} is ${JSON.stringify(value)}, which is no longer offered and means ${instead}`;
}

/** One sentence, without a full stop: what is wrong, and what is accepted. */
export function sentenceOf(problem: Problem): string {
  const found = foundIn(problem);
  switch (problem.problem) {
    case "unknown setting":
      return `${found}; known settings: ${problem.known.join(", ")}`;
    case "invalid value":
      return `${found}; accepted: ${problem.accepted}`;
    case "address and pool":
      return `${found}; give one of EIP_HEAL_ALLOCATION_ID and EIP_HEAL_POOL`;
    default:
      return found;
  }
}

/** What is wrong, without what to do about it. */
export function foundIn(problem: Problem): string {
  switch (problem.problem) {
    case "unknown setting":
      return `unknown setting ${problem.key} in ${problem.where}`;
    case "invalid value":
      return `${problem.source} is ${JSON.stringify(problem.value)}`;
    case "address and pool":
      return "both an allocation id and a pool are set";
    case "unreadable file":
      return `cannot read ${problem.file}: ${problem.why}`;
    case "invalid line":
      return `${problem.file}, line ${problem.line}: ${problem.why}`;
    case "unusable certificates":
      return `cannot use ${problem.variable} in ${problem.file}: ${problem.why}`;
  }
}

/**
 * What to do about it.
 *
 * @param placeOfSetting where a variable is set: a file, a flag, the environment
 */
export function remedyFor(problem: Problem, placeOfSetting: (key: string) => string): string {
  switch (problem.problem) {
    case "unknown setting":
      return `remove ${problem.key} from ${problem.where}, or give it its right name: ${problem.known.join(", ")}`;
    case "invalid value":
      return `set it to what is accepted: ${problem.accepted}`;
    case "address and pool":
      return `if one fixed address is meant, remove EIP_HEAL_POOL from ${placeOfSetting("EIP_HEAL_POOL")}`;
    case "unreadable file":
      return makeReadable(problem.file);
    case "invalid line":
      return "correct that line, or remove it";
    case "unusable certificates":
      return correctOrRemove(problem.variable, placeOfSetting);
  }
}

/** For a settings file that the unit's user, who is nobody in particular, may not read. */
export function makeReadable(file: string): string {
  return `make ${file} a file that everybody may read (chmod 0644)`;
}

/** For a variable whose value makes no sense, where it is set. */
export function correctOrRemove(variable: string, placeOfSetting: (key: string) => string): string {
  return `correct ${variable} in ${placeOfSetting(variable)}, or remove it there`;
}
