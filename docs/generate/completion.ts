/** What the completions of all shells have in common: what can follow a command, and which values an option has. */
import { type CommandRow, EVERYWHERE, type Option } from "../../src/commands/command.ts";
import { COMMANDS } from "../../src/commands/index.ts";
import { SETTINGS } from "../../src/config/settings.ts";

/** One option as a shell offers it. */
export interface Offer {
  /** With its dashes. */
  readonly flag: string;
  readonly meaning: string;
  /** Name of the value, in capitals; undefined for an option without one. */
  readonly placeholder: string | undefined;
  /** Values that can be known: a closed list, or the default. */
  readonly values: readonly string[];
}

const offerOf = ([name, { placeholder, meaning }]: readonly [string, Option]): Offer => ({
  flag: `--${name}`,
  meaning,
  placeholder,
  values: [],
});

/** Of every command. */
export const EVERYWHERE_OFFERS: readonly Offer[] = Object.entries(EVERYWHERE).map(offerOf);

/** Of every command that reads settings. */
export const SETTING_OFFERS: readonly Offer[] = SETTINGS.map(
  ({ flag, meaning, placeholder, choices, default: value }) => ({
    flag: `--${flag}`,
    meaning,
    placeholder: choices === undefined ? placeholder : "VALUE",
    values: choices ?? (value === undefined ? [] : [value]),
  }),
);

/** Of this command alone, or of some. */
export const ownOffers = ({ options }: CommandRow): readonly Offer[] =>
  Object.entries(options).map(offerOf);

/** The commands in groups, each of those that take the same. */
export const COMMAND_GROUPS: readonly (readonly [CommandRow, ...CommandRow[]])[] = [
  ...Map.groupBy(COMMANDS, ({ argument, hasSettings, options }) =>
    JSON.stringify([argument, hasSettings, options]),
  ).values(),
] as [CommandRow, ...CommandRow[]][];

/** All that a command takes. */
export const offersOf = (row: CommandRow): readonly Offer[] => [
  ...ownOffers(row),
  ...(row.hasSettings ? SETTING_OFFERS : []),
  ...EVERYWHERE_OFFERS,
];

/** Every option that takes a value, once. */
export const VALUED: readonly Offer[] = [
  ...new Map(COMMANDS.flatMap(offersOf).map((offer) => [offer.flag, offer])).values(),
].filter(({ placeholder }) => placeholder !== undefined);

/** Is its value the name of a file? */
export const isFile = ({ placeholder }: Offer): boolean => placeholder === "FILE";

/** For a shell, as one word in single quotes. */
export const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
