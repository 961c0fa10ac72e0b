/** The tables of the manual: regions of packaging/eip-heal.8 and packaging/eip-heal.conf.5. */
import { type CommandRow, EVERYWHERE, type Option } from "../../src/commands/command.ts";
import { COMMANDS, goesWith, OPTIONS } from "../../src/commands/index.ts";
import { SETTINGS, type SettingRow } from "../../src/config/settings.ts";
import { VARIABLES } from "../../src/config/variables.ts";
import { CHECKS, labelOf } from "../../src/doctor/catalog.ts";
import { STATUSES } from "../../src/model/exit-status.ts";
import { EXIT } from "../../src/model/failure.ts";
import { listed, mdoc, sentence } from "./text.ts";

/** Regions of eip-heal(8), by name. */
export const PROGRAM_REGIONS: Readonly<Record<string, () => string>> = {
  synopsis,
  commands: () => items(COMMANDS.map(commandItem)),
  options: () => items(Object.entries(OPTIONS).map(optionItem)),
  environment: () =>
    items(
      VARIABLES.map(({ keys, explanation }) => [
        keys.map((key) => `Ev ${key}`).join(" , "),
        mdoc(explanation),
      ]),
    ),
  statuses: () =>
    items(
      Object.entries(STATUSES).map(([name, { explanation }]) => {
        const status = EXIT[name as keyof typeof EXIT];
        return [status === EXIT.OK ? "0" : `${status} Pq ${name}`, mdoc(explanation)];
      }),
    ),
  checks: () =>
    items(
      CHECKS.map(([id, meaning]) => {
        const label = labelOf(id);
        return [`Li ${id}${label === id ? "" : ` Pq ${label}`}`, mdoc(sentence(meaning))];
      }),
    ),
};

/** Regions of eip-heal.conf(5). */
export const FILE_REGIONS: Readonly<Record<string, () => string>> = {
  settings: () => items(SETTINGS.map(settingItem)),
};

/** Of a list. */
type Item = readonly [head: string, text: string];

function items(entries: readonly Item[]): string {
  return entries.map(([head, text]) => `.It ${head}\n${text}`).join("\n");
}

/** What can be typed; commands that take the same are told together. */
function synopsis(): string {
  const groups = new Map<string, string[]>();
  for (const row of COMMANDS) {
    const takes = [
      ...(row.argument === undefined ? [] : [`.Op Ar ${row.argument.toLowerCase()}`]),
      ...Object.entries(row.options).map(([name, option]) => `.Op ${flagOf(name, option)}`),
      ...(row.hasSettings ? [".Op Fl -setting Ar value ..."] : []),
    ].join("\n");
    groups.set(takes, [...(groups.get(takes) ?? []), row.name]);
  }
  return [
    ...[...groups].flatMap(([takes, names]) => {
      const command = `Cm ${names.join(" | ")}`;
      // It is what is done without a command.
      return [".Nm", names.includes("heal") ? `.Op ${command}` : `.${command}`, takes];
    }),
    ".Nm",
    `.${Object.keys(EVERYWHERE)
      .map((name) => `Fl -${name}`)
      .join(" | ")}`,
  ]
    .filter((line) => line !== "")
    .join("\n");
}

function commandItem({ name, argument, summary, explanation = "" }: CommandRow): Item {
  const more = argument === undefined ? "" : ` Op Ar ${argument.toLowerCase()}`;
  return [`Cm ${name}${more}`, mdoc(`${sentence(summary)} ${explanation}`.trim())];
}

function optionItem([name, option]: readonly [string, Option]): Item {
  const all = COMMANDS.filter(({ hasSettings }) => hasSettings);
  const some = COMMANDS.filter((row) => goesWith(name, row)).map((row) => row.name);
  const isOfSome = !Object.hasOwn(EVERYWHERE, name) && some.length < all.length;
  const meaning = isOfSome
    ? `With ${listed(some.map((one) => `\`${one}\``))}: ${option.meaning}.`
    : sentence(option.meaning);
  return [flagOf(name, option), mdoc(`${meaning} ${option.explanation ?? ""}`.trim(), some)];
}

function flagOf(name: string, { short, placeholder }: Option): string {
  const flag = `Fl -${name}${short === undefined ? "" : ` , Fl ${short}`}`;
  return placeholder === undefined ? flag : `${flag} Ar ${placeholder.toLowerCase()}`;
}

function settingItem(row: SettingRow): Item {
  const { key, flag, choices = [], default: value, explanation } = row;
  const what = choices.includes(value ?? "") ? "Cm" : "Li";
  return [
    `Ev ${key} , Fl -${flag} ${valueOf(row)}`,
    [
      mdoc(explanation, choices),
      ...(value === undefined ? [] : ["Default:", `.${what} ${value} .`]),
    ].join("\n"),
  ];
}

/** `no|oldest` as `Cm no | oldest`, `KEY=VALUE` as `Ar key Ns = Ns Ar value`. */
function valueOf({ choices, placeholder }: SettingRow): string {
  if (choices !== undefined) return `Cm ${choices.join(" | ")}`;
  return `Ar ${placeholder.toLowerCase().split("=").join(" Ns = Ns Ar ").split("|").join(" | ")}`;
}
