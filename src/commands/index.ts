/**
 * The table of commands, in the order of the help: summary, options, and where the code is. Only heal is loaded at start,
 * because it runs at every boot; the others are loaded on demand.
 */
import { SETTINGS } from "../config/settings.ts";
import { isAccount, isRegion, isVpc } from "../model/ids.ts";
import { HEAL_UNIT, RECHECK_UNIT } from "../reconcile/drift.ts";
import { command, type CommandRow, EVERYWHERE, type Option } from "./command.ts";
import * as heal from "./heal.ts";

const CONFIG = {
  config: {
    type: "string",
    placeholder: "FILE",
    meaning: "settings file (default: /etc/eip-heal.conf)",
  },
} as const;
const JSON_OPTION = {
  json: { type: "boolean", meaning: "print the result as JSON on standard output" },
} as const;
const VERBOSE = {
  verbose: { type: "boolean", meaning: "log each step; the same as --log-level debug" },
} as const;
const isNotEmpty = (text: string) => text !== "";

export const COMMANDS: readonly CommandRow[] = [
  command({
    name: "heal",
    summary: "bring this instance back under its Elastic IP (the default)",
    options: {
      ...CONFIG,
      "dry-run": { type: "boolean", meaning: "say what would be done, change nothing" },
      ...JSON_OPTION,
      ...VERBOSE,
    },
    hasSettings: true,
    logsNotices: true,
    unit: HEAL_UNIT,
    load: () => Promise.resolve(heal),
  }),
  command({
    name: "recheck",
    summary: "heal if the address is not where it was verified; asks EC2 only then",
    options: { ...CONFIG, ...JSON_OPTION, ...VERBOSE },
    hasSettings: true,
    unit: RECHECK_UNIT,
    load: () => import("./recheck.ts"),
  }),
  command({
    name: "release",
    summary: "give the address up, if this instance holds it",
    options: { ...CONFIG, ...JSON_OPTION, ...VERBOSE },
    hasSettings: true,
    load: () => import("./release.ts"),
  }),
  command({
    name: "status",
    summary: "show in one look where the address is and what the last run did",
    options: {
      ...CONFIG,
      ...JSON_OPTION,
      ...VERBOSE,
      wait: {
        type: "boolean",
        meaning: "first wait until no heal and no recheck is under way",
        explanation:
          "At most as long as a run may take, which is `EIP_HEAL_DEADLINE` and a minute; then it shows how things stand all the same.",
      },
    },
    hasSettings: true,
    load: () => import("./status.ts"),
  }),
  command({
    name: "doctor",
    summary: "check all that a heal needs, name what is wrong and its cure",
    options: { ...CONFIG, ...JSON_OPTION, ...VERBOSE },
    hasSettings: true,
    load: () => import("./doctor.ts"),
  }),
  command({
    name: "policy",
    summary: "print the smallest IAM policy for these settings",
    options: {
      ...CONFIG,
      ...VERBOSE,
      explain: {
        type: "boolean",
        meaning: "say on standard error why each statement is there",
      },
      required: { type: "boolean", meaning: "only what a heal cannot do without" },
      any: {
        type: "boolean",
        meaning: "for any address of the account",
        explanation: "So it is for a role that several groups share.",
      },
      hook: {
        type: "boolean",
        meaning: "with a lifecycle hook of this instance's group",
        explanation:
          "The group is the one that the tags in instance metadata name. With `EIP_HEAL_LIFECYCLE_HOOK` it is so without this option.",
      },
      release: { type: "boolean", meaning: "with eip-heal release" },
      region: {
        type: "string",
        placeholder: "REGION",
        meaning: "for this region; default: this instance's",
        accepts: ["a region such as eu-central-1", isRegion],
      },
      account: {
        type: "string",
        placeholder: "ACCOUNT",
        meaning: "for this account; default: this instance's",
        accepts: ["the twelve digits of an account", isAccount],
      },
      vpc: {
        type: "string",
        placeholder: "VPC",
        meaning: "for instances with several interfaces, in this VPC",
        explanation:
          "On an instance that has several it is the default, with the VPC of the interface that the settings name.",
        accepts: ["a VPC id such as vpc-0123456789abcdef0", isVpc],
      },
      group: {
        type: "string",
        placeholder: "NAME",
        meaning: "with a lifecycle hook of this Auto Scaling group",
        accepts: ["the name of an Auto Scaling group", isNotEmpty],
      },
    },
    hasSettings: true,
    load: () => import("./policy.ts"),
  }),
  command({
    name: "check-config",
    summary: "say whether flags, environment and settings file are in order",
    explanation:
      "Problems are reported as a heal reports them. AWS is not asked and nothing is changed; the exit status is 0, 64 or 78.",
    options: { ...CONFIG, ...VERBOSE },
    hasSettings: true,
    logsNotices: true,
    load: () => import("./check-config.ts"),
  }),
  command({
    name: "help",
    summary: "print this help, or that of a command",
    argument: "COMMAND",
    options: {},
    hasSettings: false,
    load: () => import("./help.ts"),
  }),
  command({
    name: "version",
    summary: "print the version",
    options: {},
    hasSettings: false,
    load: () => import("./version.ts"),
  }),
];

/** All options that are not settings, by name. */
export const OPTIONS: Readonly<Record<string, Option>> = Object.assign(
  {},
  ...COMMANDS.map(({ options }) => options),
  EVERYWHERE,
) as Record<string, Option>;

/** Finds a command by name. */
export function commandOf(name: string | undefined): CommandRow | undefined {
  return COMMANDS.find((row) => row.name === name);
}

/** Whether a command takes this option or flag of a setting. */
export function goesWith(option: string, { options, hasSettings }: CommandRow): boolean {
  return (
    Object.hasOwn(options, option) ||
    Object.hasOwn(EVERYWHERE, option) ||
    (hasSettings && SETTINGS.some(({ flag }) => flag === option))
  );
}
