/** The tables of docs/reference.md: regions of it. */
import { SETTINGS, type SettingRow } from "../../src/config/settings.ts";
import { STATUSES } from "../../src/model/exit-status.ts";
import { EXIT } from "../../src/model/failure.ts";
import { listed, table } from "./text.ts";

/** By name. */
export const REFERENCE_REGIONS: Readonly<Record<string, () => string>> = {
  settings: () => table(["key", "default", "meaning"], SETTINGS.map(settingCells)),
  statuses: () =>
    table(
      ["exit status", "meaning"],
      Object.entries(STATUSES).map(([name, { meaning }]) => [
        `${EXIT[name as keyof typeof EXIT]} ${name}`,
        meaning,
      ]),
    ),
};

function settingCells({ key, default: value, choices, meaning }: SettingRow): string[] {
  const isPlain = choices === undefined || String(choices) === "yes,no";
  return [
    `\`${key}\``,
    value === undefined ? "-" : `\`${value}\``,
    isPlain
      ? meaning
      : `${meaning}: ${listed(
          choices.map((one) => `\`${one}\``),
          "or",
        )}`,
  ];
}
