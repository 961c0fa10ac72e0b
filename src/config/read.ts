/** Reads the settings from flags, environment and settings file, in this order of precedence. */
import type { Notice, Problem } from "./problem.ts";
import { nearest } from "../model/nearest.ts";
import { NAMING, type Settings, SETTINGS } from "./settings.ts";
import { InvalidValue } from "./values.ts";

/** Keys of /run/eip-heal/env. A unit that loads that file and calls eip-heal has them in its environment; they are no settings. */
export const RESULT_KEYS = [
  "EIP_HEAL_PUBLIC_IP",
  "EIP_HEAL_ALLOCATION_ID",
  "EIP_HEAL_PRIVATE_IP",
  "EIP_HEAL_INSTANCE_ID",
  "EIP_HEAL_INTERFACE_ID",
  "EIP_HEAL_PUBLIC_IPS",
  "EIP_HEAL_ALLOCATION_IDS",
  "EIP_HEAL_PRIVATE_IPS",
  "EIP_HEAL_INTERFACE_IDS",
] as const;

/** The sources of settings, in order of precedence. */
export interface Sources {
  /** By name without the dashes: `allocation-id`. */
  readonly flags: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly file: {
    readonly path: string;
    readonly variables: Readonly<Record<string, string>>;
    /** Those that it assigns more than once. */
    readonly repeated?: readonly string[];
  };
}

export type SettingsResult =
  | { readonly settings: Settings; readonly notices?: readonly Notice[] }
  | {
      /** All problems, not only the first. */
      readonly problems: readonly Problem[];
      /** All problems are on the command line. */
      readonly onlyFlags: boolean;
      /** The lifecycle hook, if it could be read, so that it can still be abandoned. */
      readonly lifecycleHook?: string;
    };

/** Reads the settings: flags over environment over file over defaults. */
export function readSettings({ flags, environment: variables, file }: Sources): SettingsResult {
  const environment = withoutResult(variables);
  const problems: Problem[] = [];
  const notices: Notice[] = [];
  let onlyFlags = true;
  const report = (problem: Problem, flag = false) => {
    problems.push(problem);
    onlyFlags &&= flag;
  };

  const known = new Set<string>(SETTINGS.map(({ key }) => key));
  for (const [where, names] of [
    [file.path, Object.keys(file.variables)],
    [
      "the environment",
      Object.keys(environment).filter((name) => !RESULT_KEYS.some((key) => key === name)),
    ],
  ] as const) {
    for (const name of names) {
      if (!name.startsWith("EIP_HEAL_") || known.has(name)) continue;
      report({ problem: "unknown setting", key: name, where, known: [...known] });
    }
  }

  notices.push(...oddKeys(environment, file, known));

  const values: { -readonly [F in keyof Settings]?: unknown } = {};
  /** The precedence of the source of each value; 0 is the highest. */
  const ranks = new Map<keyof Settings, number>();
  for (const row of SETTINGS) {
    const { field, key, flag, default: fallback, former = {}, choices, parse, quote } = row;
    // An empty value in the environment or the file means unset, as in a unit's Environment=.
    const sources = [
      [flags[flag], `--${flag}`],
      [environment[key] || undefined, `${key} in the environment`],
      [file.variables[key] || undefined, `${key} in ${file.path}`],
      [fallback, key],
    ] as const;
    const rank = sources.findIndex(([value]) => value !== undefined);
    const [text, origin] = sources[rank] ?? [];
    if (text === undefined || origin === undefined) continue;
    ranks.set(field, rank);
    const value = text.trim();
    const instead = Object.hasOwn(former, value) ? former[value] : undefined;
    try {
      values[field] = parse(instead ?? value);
      if (instead !== undefined) {
        notices.push({ notice: "former value", source: origin, value: text, instead });
      }
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      const { message: accepted } = error;
      const near = choices && nearest(value, choices);
      const meant = near === undefined ? undefined : { value: near };
      report(
        {
          problem: "invalid value",
          key,
          source: origin,
          value: quote?.(text) ?? text,
          accepted,
          meant,
        },
        rank === 0,
      );
    }
  }
  // They exclude each other, so the one with the highest precedence replaces the others too.
  const highest = Math.min(...NAMING.map((field) => ranks.get(field) ?? Infinity));
  const naming = NAMING.filter((field) => ranks.get(field) === highest);
  if (naming.length > 1) report({ problem: "named twice", by: naming }, highest === 0);
  for (const field of NAMING) if (!naming.includes(field)) delete values[field];
  // The type of ROWS makes sure that each row parses the type of its field and that a required field has a default.
  const settings = values as Settings;
  if (problems.length === 0) return { settings, ...(notices.length > 0 && { notices }) };
  const { lifecycleHook } = settings;
  return { problems, onlyFlags, ...(lifecycleHook !== undefined && { lifecycleHook }) };
}

/** Most unknown keys that are checked. A file with more is probably not a settings file at all. */
const MAX_CHECKED = 100;

/**
 * Notices about keys that are ignored but look like settings (lower case, misspelt prefix or, in the settings file, no
 * prefix), and about keys that the file assigns more than once.
 */
function oddKeys(
  environment: Sources["environment"],
  { path, variables, repeated = [] }: Sources["file"],
  known: ReadonlySet<string>,
): Notice[] {
  const isOurs = (key: string) => key.startsWith("EIP_HEAL_");
  const ignored = (where: string, key: string, meant: string | undefined): Notice[] =>
    meant === undefined ? [] : [{ notice: "ignored key", key, where, meant }];
  return [
    ...Object.keys(variables)
      .filter((key) => !isOurs(key))
      .slice(0, MAX_CHECKED)
      .flatMap((key) => {
        const whole = `EIP_HEAL_${key.toUpperCase()}`;
        return ignored(path, key, known.has(whole) ? whole : nearest(key, [...known]));
      }),
    ...Object.keys(environment)
      .filter((key) => !isOurs(key) && /^eip[-_]?heal/i.test(key))
      .flatMap((key) => ignored("the environment", key, nearest(key, [...known]))),
    ...repeated
      .filter(isOurs)
      .map((key) => ({ notice: "repeated key", key, where: path }) satisfies Notice),
  ];
}

/** The environment without the variables of /run/eip-heal/env: the result of one run is not a setting of the next. */
function withoutResult(environment: Sources["environment"]): Sources["environment"] {
  if (environment["EIP_HEAL_INSTANCE_ID"] === undefined) return environment;
  const found = new Set<string>(RESULT_KEYS);
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !found.has(name)));
}
