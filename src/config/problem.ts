/** Problems with the settings as data, with functions that put them and their remedies into words. */
import { nearest } from "../model/nearest.ts";
import type { NAMING } from "./settings.ts";

export type Problem =
  /** An EIP_HEAL_ key that does not exist; `where` it is set: a file, or "the environment". */
  | {
      readonly problem: "unknown setting";
      readonly key: string;
      readonly where: string;
      readonly known: readonly string[];
    }
  /** `source` is the flag, or names the setting and where it is set. */
  | {
      readonly problem: "invalid value";
      readonly key: string;
      readonly source: string;
      readonly value: string;
      readonly accepted: string;
      /** The accepted value that was probably meant, and in words what it is. */
      readonly meant?: { readonly value: string; readonly what?: string } | undefined;
    }
  /** Several settings in the same place name an address or a pool. */
  | { readonly problem: "named twice"; readonly by: readonly (typeof NAMING)[number][] }
  | {
      readonly problem: "unreadable file";
      readonly file: string;
      readonly why: string;
      /** This user may not read it. */
      readonly isHidden?: boolean;
      /** False if it may be readable the next time. */
      readonly isLasting?: boolean;
    }
  /** A line that is not an assignment. */
  | {
      readonly problem: "invalid line";
      readonly file: string;
      readonly line: number;
      readonly why: string;
    }
  /** NODE_EXTRA_CA_CERTS in the settings file names a file that cannot be used. */
  | {
      readonly problem: "unusable certificates";
      readonly variable: string;
      readonly file: string;
      readonly why: string;
    }
  /** The number of further problems that are not listed. */
  | { readonly problem: "more"; readonly count: number };

/** Most problems that are listed. A file with more is probably not a settings file at all. */
const MAX_LISTED = 50;

/** The first problems, and how many more there are. */
export function atMost(problems: readonly Problem[]): readonly Problem[] {
  const count = problems.length - MAX_LISTED;
  return count > 1 ? [...problems.slice(0, MAX_LISTED), { problem: "more", count }] : problems;
}

function nameMeant({ value, what }: { readonly value: string; readonly what?: string }): string {
  return what === undefined ? value : `${value}, ${what}`;
}

/** Something that works but should be changed. */
export type Notice =
  | {
      readonly notice: "former value";
      readonly source: string;
      readonly value: string;
      readonly instead: string;
    }
  /** A key that is not a setting but looks like one. */
  | {
      readonly notice: "ignored key";
      readonly key: string;
      readonly where: string;
      readonly meant: string;
    }
  /** The file has the setting more than once. */
  | { readonly notice: "repeated key"; readonly key: string; readonly where: string };

/** A notice in one sentence. */
export function sentenceOfNotice(notice: Notice): string {
  switch (notice.notice) {
    case "former value":
      return `${notice.source} is ${JSON.stringify(notice.value)}, which is no longer offered and means ${notice.instead}`;
    case "ignored key":
      return `${cut(notice.key)} in ${notice.where} is ignored; did you mean ${notice.meant}?`;
    case "repeated key":
      return `${notice.key} is given more than once in ${notice.where}, and only the last one counts`;
  }
}

/** What to do about it. */
export function remedyForNotice(notice: Notice): string {
  switch (notice.notice) {
    case "former value":
      return `set it to ${notice.instead}`;
    case "ignored key":
      return `rename ${cut(notice.key)} to ${notice.meant} in ${notice.where}, or remove it there`;
    case "repeated key":
      return `keep one line with ${notice.key} in ${notice.where}: the last one, or the one that is meant`;
  }
}

/** The settings that name an address or a pool, in words. */
const NAMES = {
  allocationId: { key: "EIP_HEAL_ALLOCATION_ID", what: "an allocation id" },
  addressTag: { key: "EIP_HEAL_ADDRESS_TAG", what: "an address tag" },
  pool: { key: "EIP_HEAL_POOL", what: "a pool" },
} as const satisfies Record<(typeof NAMING)[number], { key: string; what: string }>;

/** `a`, `a and b`, `a, b and c`. */
function listed(words: readonly string[]): string {
  return [words.slice(0, -1).join(", "), ...words.slice(-1)]
    .filter((part) => part !== "")
    .join(" and ");
}

/** What is wrong and what is accepted, as a sentence without a full stop. */
export function sentenceOf(problem: Problem): string {
  const found = foundIn(problem);
  switch (problem.problem) {
    case "unknown setting": {
      const meant = nearest(problem.key, problem.known);
      const hint = meant === undefined ? "" : `did you mean ${meant}? `;
      return `${found}; ${hint}known settings: ${problem.known.join(", ")}`;
    }
    case "invalid value": {
      const meant = problem.meant === undefined ? "" : `did you mean ${nameMeant(problem.meant)}? `;
      return `${found}; ${meant}accepted: ${problem.accepted}`;
    }
    case "named twice":
      return `${found}; give one of ${listed(problem.by.map((field) => NAMES[field].key))}`;
    case "unreadable file":
      return problem.isHidden ? `${found}; ${remedyFor(problem, String)}` : found;
    default:
      return found;
  }
}

/** What is wrong, without what to do about it. */
export function foundIn(problem: Problem): string {
  switch (problem.problem) {
    case "unknown setting":
      return `unknown setting ${cut(problem.key)} in ${problem.where}`;
    case "invalid value":
      return `${problem.source} is ${JSON.stringify(cut(problem.value))}`;
    case "named twice": {
      const names = listed(problem.by.map((field) => NAMES[field].what));
      return problem.by.length === 2 ? `both ${names} are set` : `${names} are set`;
    }
    case "unreadable file":
      return `cannot read ${problem.file}: ${problem.why}`;
    case "invalid line":
      return `${problem.file}, line ${problem.line}: ${problem.why}`;
    case "unusable certificates":
      return `cannot use ${problem.variable} in ${problem.file}: ${problem.why}`;
    case "more":
      return `there are ${problem.count} more problems like these: is it the right file?`;
  }
}

/** Longest value or key that is quoted in full, in characters; no valid one is longer. */
const MAX_QUOTED = 300;
const cut = (text: string) => (text.length <= MAX_QUOTED ? text : `${text.slice(0, MAX_QUOTED)}…`);

/**
 * What to do about it.
 *
 * @param placeOfSetting where a variable is set: a file, a flag, the environment
 */
export function remedyFor(problem: Problem, placeOfSetting: (key: string) => string): string {
  switch (problem.problem) {
    case "unknown setting": {
      const names = nearest(problem.key, problem.known) ?? problem.known.join(", ");
      return `remove ${cut(problem.key)} from ${problem.where}, or give it its right name: ${names}`;
    }
    case "invalid value": {
      const meant = problem.meant === undefined ? "" : `${nameMeant(problem.meant)}, or one of: `;
      return `set it to what is accepted: ${meant}${problem.accepted}`;
    }
    case "named twice": {
      const [first, ...others] = problem.by.map((field) => NAMES[field].key);
      const meant = first === NAMES.allocationId.key ? "one fixed address" : "the one by its tag";
      return `if ${meant} is meant, remove ${listed(others.map((key) => `${key} from ${placeOfSetting(key)}`))}`;
    }
    case "unreadable file":
      if (problem.isLasting === false) return "run it again: this may pass";
      return problem.isHidden
        ? `${makeReadable(problem.file)}, unless it holds keys: these belong in ${FOR_KEYS}`
        : makeReadable(problem.file);
    case "invalid line":
      return "correct that line, or remove it";
    case "unusable certificates":
      return correctOrRemove(problem.variable, placeOfSetting);
    case "more":
      return "correct the others first";
  }
}

/** Where access keys belong: in a file that only systemd reads, which passes them to the units. */
const FOR_KEYS =
  "a file for root alone (0600) that EnvironmentFile= in a drop-in of eip-heal.service and eip-heal-recheck.service names";

/** The remedy for access keys in the settings file, which the unit's unprivileged user, and so everybody, can read. */
export function moveKeys(file: string): string {
  return `move the keys from ${file} to ${FOR_KEYS}; the rest is for everybody to read (chmod 0644)`;
}

/** The remedy for a settings file that the unit's unprivileged user may not read. */
export function makeReadable(file: string): string {
  return `make ${file} a file that everybody may read (chmod 0644)`;
}

/** The remedy for a variable with an invalid value. */
export function correctOrRemove(variable: string, placeOfSetting: (key: string) => string): string {
  return `correct ${variable} in ${placeOfSetting(variable)}, or remove it there`;
}
