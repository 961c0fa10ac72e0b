/** packaging/eip-heal.conf: every setting, commented out, with what it means. */
import { SETTINGS, type SettingRow } from "../../src/config/settings.ts";
import { VARIABLES } from "../../src/config/variables.ts";
import { listed, plain, wrap } from "./text.ts";

/** Columns, the comment's own two included. */
const WIDTH = 118;

const HEAD = [
  "Settings of eip-heal: see eip-heal.conf(5).",
  'As it is shipped this file is made by "make docs" from src/config/settings.ts.',
  "",
  `KEY=VALUE lines, in the syntax of systemd's EnvironmentFile=: lines that start with # or ; are comments, a comment after a value is part of the value, "double" and 'single' quotes may surround a value, \\ at the end continues a line. The commented values are the defaults; without a default, an example. Variables of the environment and flags of the command line take precedence over this file. An unknown EIP_HEAL_ key is an error.`,
  "",
  '"eip-heal doctor" says whether a heal would succeed with what stands here, and changes nothing.',
  "",
  'Often nothing is needed here: give the Auto Scaling group a tag "allocation-id" that it propagates to its instances.',
];

/** The whole file. */
export function confFile(): string {
  const blocks = [
    HEAD.flatMap(comment),
    ...SETTINGS.map(settingLines),
    ...VARIABLES.filter(({ example }) => example !== undefined).map(
      ({ keys, explanation, example }) => [
        ...comment(plain(explanation)),
        `#${keys[0]}=${example}`,
      ],
    ),
    comment(
      `Of the variables of the AWS SDKs these may stand here too, and mean the same: ${listed(
        VARIABLES.filter(({ example, isSecret }) => example === undefined && isSecret !== true)
          .flatMap(({ keys }) => keys)
          .toSorted(),
      )}. Every user can read this file: no keys in it, use an instance role.`,
    ),
  ];
  return `${blocks.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

function settingLines({ key, choices = [], default: value, example, explanation }: SettingRow) {
  const isComplete = choices.every((choice) => explanation.includes(`\`${choice}\``));
  const text = [
    plain(explanation, choices),
    ...(isComplete ? [] : [`One of ${listed(choices, "or")}.`]),
    ...(value === undefined ? ["No default."] : []),
  ].join(" ");
  return [...comment(text), `#${key}=${value ?? example}`];
}

function comment(text: string): string[] {
  return text === "" ? ["#"] : wrap(text, WIDTH - 2).map((line) => `# ${line}`);
}
