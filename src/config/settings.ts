/**
 * The settings: one row each, with key, default and meaning. `--help`, the command line and the checks
 * read this table; a test holds the man page, the completion and the conf file against it.
 */
import { TAKEOVERS, type Takeover } from "../reconcile/ownership.ts";
import { POOL_TAKEOVERS, type PoolTakeover } from "../reconcile/pool.ts";
import { isAllocationId, isHookName, isInterfaceId, isIpv4, isMac } from "../model/ids.ts";
import type { Notice, Problem } from "./problem.ts";

/** Of winston's npm levels, most urgent first. */
export const LOG_LEVELS = ["error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
/** Those that were offered once, and in an old file mean debug. */
const FORMER_LOG_LEVELS: readonly string[] = ["http", "verbose", "silly"];

export interface Settings {
  /** The address; without it the instance tag `tag` names it. */
  readonly allocationId?: string;
  readonly tag: string;
  /** Tag of the addresses of a pool. */
  readonly pool?: { readonly key: string; readonly value: string };
  readonly poolTag: string;
  /** May an address of a pool be taken from a running instance? */
  readonly poolTakeover: PoolTakeover;
  readonly takeover: Takeover;
  /** May associating push another Elastic IP off this instance? */
  readonly displace: boolean;
  /** Which interface: its device index, its id or its MAC. */
  readonly interface: number | string;
  /** The private IPv4 address to map to; without it the primary one. */
  readonly privateIp?: string;
  /** Milliseconds that one run may take. */
  readonly deadlineMs: number;
  /** Is an instance without tag and setting in order? */
  readonly optional: boolean;
  /** The launch hook of the Auto Scaling group to complete. */
  readonly lifecycleHook?: string;
  readonly logLevel: LogLevel;
}

type Field = keyof Settings | "deadline";

export interface SettingRow {
  readonly key: `EIP_HEAL_${string}`;
  readonly flag: string;
  /** Name of the value in `--help`. */
  readonly placeholder: string;
  readonly default?: string;
  readonly meaning: string;
  readonly field: Field;
  /** Turns text into the value, or throws a Misfit that says what is accepted. */
  readonly parse: (text: string) => unknown;
}

class Misfit extends Error {}

export const SETTINGS: readonly SettingRow[] = [
  row("ALLOCATION_ID", "ID", undefined, "the address; overrides the instance tag", (text) =>
    fit(isAllocationId(text), text, allocationIdHint(text)),
  ),
  row("TAG", "KEY", "allocation-id", "instance tag that holds the allocation id", tagKey),
  row("POOL", "KEY=VALUE", undefined, "tag of the addresses of a pool", poolTag),
  row("POOL_TAG", "KEY", "eip-pool", "instance tag that names the pool", tagKey),
  row(
    "POOL_TAKEOVER",
    POOL_TAKEOVERS.join("|"),
    "no",
    "may it take from the oldest running instance of a full pool",
    oneOf(POOL_TAKEOVERS),
  ),
  row(
    "TAKEOVER",
    TAKEOVERS.join("|"),
    "newest",
    "when to take the address from another instance",
    oneOf(TAKEOVERS),
  ),
  row("DISPLACE", "yes|no", "yes", "may it push off another Elastic IP of this instance", yesOrNo),
  row(
    "INTERFACE",
    "INDEX|eni-ID|MAC",
    "0",
    "network interface: device index, id or MAC",
    interfaceName,
  ),
  row(
    "PRIVATE_IP",
    "IP",
    undefined,
    "private IPv4 address to map to; default: the primary one",
    (text) => fit(isIpv4(text), text, "an IPv4 address of the interface, such as 10.0.0.5"),
  ),
  row("DEADLINE", "TIME", "10min", "patience of one run, 1s to 1h", duration),
  row("OPTIONAL", "yes|no", "no", "yes: having neither tag nor setting is no error", yesOrNo),
  row(
    "LIFECYCLE_HOOK",
    "NAME",
    undefined,
    "launch hook of the Auto Scaling group to complete: CONTINUE or ABANDON",
    (text) =>
      fit(isHookName(text), text, "the name of a lifecycle hook: letters, digits, -, _ and /"),
  ),
  row("LOG_LEVEL", LOG_LEVELS.join("|"), "info", "how much is logged", (text) =>
    FORMER_LOG_LEVELS.includes(text) ? "debug" : oneOf(LOG_LEVELS)(text),
  ),
];

/** Keys of /run/eip-heal/env: a unit that loads that file and calls eip-heal has them in its environment, and is in order. */
export const RESULT_KEYS = [
  "EIP_HEAL_PUBLIC_IP",
  "EIP_HEAL_ALLOCATION_ID",
  "EIP_HEAL_PRIVATE_IP",
  "EIP_HEAL_INSTANCE_ID",
  "EIP_HEAL_INTERFACE_ID",
] as const;

/** Where a value came from, in order of precedence. */
export interface Sources {
  /** By flag, without the dashes: `allocation-id`. */
  readonly flags: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly file: { readonly path: string; readonly variables: Readonly<Record<string, string>> };
}

export type SettingsResult =
  | { readonly settings: Settings; readonly notices?: readonly Notice[] }
  | {
      /** Every problem. */
      readonly problems: readonly Problem[];
      /** Are all of them on the command line? */
      readonly onlyFlags: boolean;
      /** The launch hook all the same, if that could be read: who waits for it should not wait in vain. */
      readonly lifecycleHook?: string;
    };

/** Flags over environment over file over defaults; every problem is reported, not only the first. */
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

  const values: Record<string, unknown> = {};
  /** Of which rank the source of each value is, 0 the highest. */
  const ranks = new Map<Field, number>();
  for (const { key, flag, default: fallback, field, parse } of SETTINGS) {
    // An empty value in the environment or the file is no value: that is how a unit unsets a variable.
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
    try {
      values[field === "deadline" ? "deadlineMs" : field] = parse(text.trim());
      if (field === "logLevel" && FORMER_LOG_LEVELS.includes(text.trim())) {
        notices.push({ notice: "former value", source: origin, value: text, instead: "debug" });
      }
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      const { message: accepted } = error;
      report({ problem: "invalid value", source: origin, value: text, accepted }, rank === 0);
    }
  }
  const [byId = Infinity, byPool = Infinity] = [ranks.get("allocationId"), ranks.get("pool")];
  if (byId === byPool && byId !== Infinity) {
    report({ problem: "address and pool" }, byId === 0);
  }
  // A flag says something else than the file: the flag is meant, for what is wanted as for each setting.
  delete values[byId < byPool ? "pool" : "allocationId"];
  const settings = values as unknown as Settings;
  if (problems.length === 0) return { settings, ...(notices.length > 0 && { notices }) };
  const { lifecycleHook } = settings;
  return { problems, onlyFlags, ...(lifecycleHook !== undefined && { lifecycleHook }) };
}

/** Without what comes from /run/eip-heal/env: what one run has found is no setting of the next. */
function withoutResult(environment: Sources["environment"]): Sources["environment"] {
  if (environment["EIP_HEAL_INSTANCE_ID"] === undefined) return environment;
  const found = new Set<string>(RESULT_KEYS);
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !found.has(name)));
}

/** What is wrong with a text that should be an allocation id. */
export function allocationIdHint(text: string): string {
  const shape = "an allocation id such as eipalloc-0123456789abcdef0";
  if (isIpv4(text))
    return `${shape}, not the address itself (aws ec2 describe-addresses --public-ips ${text})`;
  if (text.startsWith("eipassoc-"))
    return `${shape}, not an association id, which changes with every move`;
  return shape;
}

function row(
  name: string,
  placeholder: string,
  fallback: string | undefined,
  meaning: string,
  parse: (text: string) => unknown,
): SettingRow {
  const flag = name.toLowerCase().replaceAll("_", "-");
  return {
    key: `EIP_HEAL_${name}`,
    flag,
    placeholder,
    ...(fallback !== undefined && { default: fallback }),
    meaning,
    field: flag.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase()) as Field,
    parse,
  };
}

function fit<T>(fits: boolean, value: T, accepted: string): T {
  if (!fits) throw new Misfit(accepted);
  return value;
}

function oneOf<T extends string>(accepted: readonly T[]): (text: string) => T {
  return (text) => {
    const found = accepted.find((value) => value === text);
    if (found === undefined) throw new Misfit(accepted.join(", "));
    return found;
  };
}

function yesOrNo(text: string): boolean {
  return oneOf(["yes", "no"])(text) === "yes";
}

/** Tag keys are at most 128 characters (EC2 user guide, tag restrictions). */
function tagKey(text: string): string {
  return fit(text !== "" && text.length <= 128, text, "a tag key of 1 to 128 characters");
}

function poolTag(text: string): { key: string; value: string } {
  const equals = text.indexOf("=");
  const value = text.slice(equals + 1);
  fit(
    equals > 0 && value !== "",
    text,
    "the tag of the addresses as key=value, such as eip-pool=web",
  );
  return { key: tagKey(text.slice(0, equals)), value };
}

function interfaceName(text: string): number | string {
  if (/^\d{1,2}$/.test(text)) return Number(text);
  const lower = text.toLowerCase();
  return fit(
    isInterfaceId(lower) || isMac(lower),
    lower,
    "a device index such as 0, an interface id such as eni-0123456789abcdef0 or a MAC address",
  );
}

/** Units of systemd.time(7) that make sense here, in milliseconds. */
const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  "": 1_000,
  s: 1_000,
  sec: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  hr: 3_600_000,
};

/** A systemd-style time span (`90s`, `10min`, `1h`, `1min 30s`; a bare number is seconds), in milliseconds. */
function duration(text: string): number {
  const accepted = "a time from 1s to 1h, such as 90s, 10min or 1h";
  const parts = [...text.matchAll(/\s*(\d{1,7}(?:\.\d{1,3})?)\s*([a-z]*)/gy)];
  fit(parts.length > 0 && parts.map(([all]) => all).join("") === text, text, accepted);
  let total = 0;
  for (const [, amount, unit = ""] of parts) {
    const factor = Object.hasOwn(UNITS, unit) ? UNITS[unit] : undefined;
    if (factor === undefined) throw new Misfit(accepted);
    total += Number(amount) * factor;
  }
  return fit(total >= 1_000 && total <= 3_600_000, total, accepted);
}
