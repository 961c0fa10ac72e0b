/**
 * The table of settings: key, default, meaning and explanation of each. The command line, `--help`, /etc/eip-heal.conf, the
 * manual, the completions and docs/reference.md are generated from these rows (make docs).
 */
import { TAKEOVERS, type Takeover } from "../reconcile/ownership.ts";
import { POOL_TAKEOVERS, type PoolTakeover } from "../reconcile/pool.ts";
import type { FixedAddress, Pool } from "../model/address.ts";
import type { Several, DesiredAddresses } from "../model/several.ts";
import { withoutPassword } from "../model/text.ts";
import {
  addresses,
  addressTag,
  choice,
  duration,
  hookName,
  interfaceName,
  pool,
  privateIp,
  tagKey,
  webUrl,
  YES_OR_NO,
} from "./values.ts";

/** The levels offered, of winston's npm levels; the most urgent first. */
export const LOG_LEVELS = ["error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Settings {
  /** The desired address; default: the instance tag `tag` names it. */
  readonly allocationId?: FixedAddress | Several;
  /** Set instead of `allocationId`: the address by a tag of its own. */
  readonly addressTag?: FixedAddress;
  readonly tag: string;
  /** Set instead of `allocationId`: any address of this pool. */
  readonly pool?: Pool;
  readonly poolTag: string;
  /** Whether an address of the pool may be taken from a running instance. */
  readonly poolTakeover: PoolTakeover;
  readonly takeover: Takeover;
  /** Whether another Elastic IP at the target may be disassociated. */
  readonly displace: boolean;
  /** Device index, interface id or MAC. */
  readonly interface: number | string;
  /** The private IPv4 address of the target; default: the primary one of the interface. */
  readonly privateIp?: string;
  /** Milliseconds that one run may take. */
  readonly deadlineMs: number;
  /** A URL that shows where requests come from; default: a run does not wait for that. */
  readonly waitReachable?: URL;
  /** Whether an instance that neither a tag nor a setting gives an address is fine. */
  readonly optional: boolean;
  /** The lifecycle hook of the Auto Scaling group to complete. */
  readonly lifecycleHook?: string;
  readonly logLevel: LogLevel;
}

/** The row of a setting with values of type T. */
interface Row<T> {
  readonly key: `EIP_HEAL_${string}`;
  /** Name of the value in `--help` and in the manual. */
  readonly placeholder: string;
  /** All valid values, if the list is closed. */
  readonly choices?: readonly string[];
  /** Half a line, for `--help` and docs/reference.md. */
  readonly meaning: string;
  /** Sentences for the settings file and the manual, in the markup of docs/generate/text.ts. */
  readonly explanation: string;
  /** Values that are no longer offered, and what each means now. */
  readonly former?: Readonly<Record<string, string>>;
  /** How an invalid value is quoted, if it may hold a secret. */
  readonly quote?: (text: string) => string;
  /** @throws InvalidValue */
  readonly parse: (text: string) => T;
}

/** An optional setting has an example for the settings file instead of a default. */
type RowOf<F extends keyof Settings> = Row<Required<Settings>[F]> &
  (object extends Pick<Settings, F>
    ? { readonly default?: undefined; readonly example: string }
    : { readonly default: string; readonly example?: undefined });

/** A text that may be a URL, without user and password and what follows a question mark. */
function withoutSecrets(text: string): string {
  return withoutPassword(text).replace(/[?#].*/s, "?…");
}

/** In the order of the manual. */
const ROWS: { readonly [F in keyof Settings]-?: RowOf<F> } = {
  allocationId: {
    key: "EIP_HEAL_ALLOCATION_ID",
    placeholder: "ID|IP|LIST",
    example: "eipalloc-0123456789abcdef0",
    meaning: "the address, by allocation id or public IPv4; overrides the instance tag",
    explanation:
      "The Elastic IP address: its allocation id, or the public IPv4 address itself, which is looked up by `ec2:DescribeAddresses` and so needs that permission. Not an `eipassoc-` id. Takes precedence over the tags of the instance. Several have blanks or commas between, and all but one say after `@` where they belong, by device index, interface id, MAC address or private IPv4 address: `eipalloc-... eipalloc-...@1 eipalloc-...@10.0.0.9`; see “Several addresses” in eip-heal(8).",
    parse: addresses,
  },
  addressTag: {
    key: "EIP_HEAL_ADDRESS_TAG",
    placeholder: "KEY=VALUE",
    example: "Name=mail",
    meaning: "tag of the address, which no other address has",
    explanation:
      "Instead of `EIP_HEAL_ALLOCATION_ID`: the address that carries this tag. Exactly one may carry it: while several do, an instance that has one of them keeps it, with a warning, and any other instance fails (exit status 78). The role needs `ec2:DescribeAddresses`. The rules are those of one fixed address, not those of a pool.",
    parse: addressTag,
  },
  tag: {
    key: "EIP_HEAL_TAG",
    placeholder: "KEY",
    default: "allocation-id",
    meaning: "instance tag that holds the allocation id",
    explanation:
      "The tag of this instance that holds the allocation id, or the public IPv4 address, or a list as in `EIP_HEAL_ALLOCATION_ID`.",
    parse: tagKey,
  },
  pool: {
    key: "EIP_HEAL_POOL",
    placeholder: "KEY=VALUE|LIST",
    example: "eip-pool=web",
    meaning: "a pool: tag of its addresses, or a list of them",
    explanation:
      "Instead of one address: a pool, which is all addresses that carry this tag, or those in a list of allocation ids or public IPv4 addresses, with commas or blanks between. The instance keeps the one it holds, else it claims a free one, else it takes one from an instance that is gone: see “Pools” in eip-heal(8). Of this, `EIP_HEAL_ALLOCATION_ID` and `EIP_HEAL_ADDRESS_TAG` the one with the highest precedence counts; two of them in the same place are an error.",
    parse: pool,
  },
  poolTag: {
    key: "EIP_HEAL_POOL_TAG",
    placeholder: "KEY",
    default: "eip-pool",
    meaning: "instance tag that names the pool",
    explanation:
      "The tag of this instance that names its pool: the addresses that carry the same tag with the same value.",
    parse: tagKey,
  },
  poolTakeover: {
    key: "EIP_HEAL_POOL_TAKEOVER",
    ...choice(POOL_TAKEOVERS),
    default: "no",
    meaning: "may it take from the oldest running instance of a full pool",
    explanation:
      "Whether an address of the pool may be taken from a running instance, where no other one can be had. `no`: never. `oldest`: from the oldest one, if it was launched before this one; for groups that replace their instances while these still run.",
  },
  takeover: {
    key: "EIP_HEAL_TAKEOVER",
    ...choice(TAKEOVERS),
    default: "newest",
    meaning: "when to take the address from another instance",
    explanation:
      "When to take the address from another instance. `never`: not at all. `if-gone`: when that one is stopping, stopped, terminated or unknown to EC2. `newest`: also when that one was launched before this one. `always`: whoever has it. See “Who may hold the address” in eip-heal(8).",
  },
  displace: {
    key: "EIP_HEAL_DISPLACE",
    ...YES_OR_NO,
    default: "yes",
    meaning: "may it replace another Elastic IP of this instance",
    explanation:
      "What to do if the private address already has another Elastic IP, which would be replaced. `yes` goes on, with a warning that names it. `no` refuses.",
  },
  interface: {
    key: "EIP_HEAL_INTERFACE",
    placeholder: "INDEX|eni-ID|MAC",
    default: "0",
    meaning: "network interface: device index, id or MAC",
    explanation:
      "The network interface that gets the address: its device index, its id (`eni-...`) or its MAC address. One that is attached only after the boot is waited for, for two minutes.",
    parse: interfaceName,
  },
  privateIp: {
    key: "EIP_HEAL_PRIVATE_IP",
    placeholder: "IP",
    example: "10.0.0.5",
    meaning: "private IPv4 address to map to; default: the primary one",
    explanation:
      "The private IPv4 address of that interface to map the Elastic IP to; without it the primary one. One that is assigned only after the boot is waited for, for two minutes.",
    parse: privateIp,
  },
  deadlineMs: {
    key: "EIP_HEAL_DEADLINE",
    placeholder: "TIME",
    default: "10min",
    meaning: "how long one run keeps trying, 1s to 1h",
    explanation:
      "How long one run keeps trying, from `1s` to `1h`: `90s`, `10min` or `1min 30s`; a number alone means seconds. The last try begins a second before. What goes on longer: a hold that has begun, and completing a lifecycle hook, which is tried for 30 seconds in any case. The boot does not wait for it.",
    parse: duration,
  },
  waitReachable: {
    key: "EIP_HEAL_WAIT_REACHABLE",
    placeholder: "URL",
    example: "https://checkip.amazonaws.com",
    meaning: "URL that has to show the address before that counts as success",
    explanation:
      "A URL that returns the public IPv4 address of whoever asks, as text or in JSON. With it a run succeeds only once a request from this instance shows the address: EC2 shows an association some seconds before packets use it. If the URL shows another address, that is logged. Meanwhile EC2 is asked again, four times a minute and before success is reported: if the address has moved elsewhere, that decides. If no request shows it before the deadline, the exit status is 75, and the address stays. Asked through the proxy for its protocol, if one is set. The system chooses by which interface a request leaves, so this is for an address on the primary one. Of several addresses only the first in the list is waited for.",
    parse: webUrl,
    quote: withoutSecrets,
  },
  optional: {
    key: "EIP_HEAL_OPTIONAL",
    ...YES_OR_NO,
    default: "no",
    meaning: "yes: no tag and no setting is fine (exit status 0)",
    explanation:
      "Whether an instance with neither tag nor setting is acceptable. `yes`: nothing is done, exit status 0. `no`: exit status 78. Both after two minutes in which the tag could still have come.",
  },
  lifecycleHook: {
    key: "EIP_HEAL_LIFECYCLE_HOOK",
    placeholder: "NAME",
    example: "wait-for-address",
    meaning: "lifecycle hook of the group to complete with CONTINUE or ABANDON",
    explanation:
      "The lifecycle hook of the Auto Scaling group that holds a new instance back from service: completed with CONTINUE once the address is here, with ABANDON if it will not come; see “Lifecycle hooks” in eip-heal(8). The role needs permissions for it: `eip-heal policy` prints them.",
    parse: hookName,
  },
  logLevel: {
    key: "EIP_HEAL_LOG_LEVEL",
    ...choice(LOG_LEVELS),
    default: "info",
    meaning: "how much is logged",
    explanation: "How much is logged, the most urgent first.",
    former: { http: "debug", verbose: "debug", silly: "debug" },
  },
};

/**
 * The settings that name what this instance should have. Only one of them is ever set; without one the tags of the instance
 * name it.
 */
export const NAMING = ["allocationId", "addressTag", "pool"] as const satisfies (keyof Settings)[];

export interface SettingRow extends Row<unknown> {
  readonly field: keyof Settings;
  /** Name of the flag, without the dashes. */
  readonly flag: string;
  readonly default?: string | undefined;
  readonly example?: string | undefined;
}

export const SETTINGS: readonly SettingRow[] = Object.entries(ROWS).map(([field, row]) => ({
  field: field as keyof Settings,
  flag: row.key.slice("EIP_HEAL_".length).toLowerCase().replaceAll("_", "-"),
  ...row,
}));

/** What a setting names, and which setting does; undefined: the tags of the instance name it. */
export function namedBySetting(
  settings: Settings,
): { readonly key: string; readonly desired: DesiredAddresses } | undefined {
  for (const field of NAMING) {
    const desired = settings[field];
    if (desired !== undefined) return { key: ROWS[field].key, desired };
  }
  return undefined;
}
