/** Asks systemd about our units through systemctl(1). A machine without systemd is not an error. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { parseEnvironmentFile } from "../config/environment-file.ts";
import { RETRY_TIMER } from "../reconcile/drift.ts";
import type { Unit } from "../model/unit.ts";
import { isInstanceId } from "../model/ids.ts";
import { readTextFile, Unreadable } from "./text-file.ts";

/** Milliseconds to wait for systemctl. */
const ANSWER_MS = 3_000;

const PROPERTIES = [
  "LoadState",
  "UnitFileState",
  "ActiveState",
  "Job",
  "Result",
  "ExecMainStatus",
  "ExecMainExitTimestampMonotonic",
  "InactiveExitTimestampMonotonic",
  "ActiveEnterTimestampMonotonic",
  "InactiveEnterTimestampMonotonic",
  "NeedDaemonReload",
  "Environment",
  "EnvironmentFiles",
  "DropInPaths",
  "NextElapseUSecRealtime",
  "NextElapseUSecMonotonic",
];

/** The state of a unit; undefined without systemd, or if it does not answer. */
export async function unitState(name: string, signal: AbortSignal): Promise<Unit | undefined> {
  const text = await ask(["show", name, `--property=${PROPERTIES.join(",")}`], signal);
  if (text === undefined) return undefined;
  const shown = new Map(
    text.split("\n").flatMap((line) => {
      const equals = line.indexOf("=");
      return equals < 0 ? [] : [[line.slice(0, equals), line.slice(equals + 1)] as const];
    }),
  );
  const property = (key: string) => shown.get(key) ?? "";
  if (property("LoadState") === "") return undefined;
  const hasRun = Number(property("ExecMainExitTimestampMonotonic")) > 0;
  const startMs = startTime(
    ...["InactiveExit", "ActiveEnter", "InactiveEnter"].map((event) =>
      Number(property(`${event}TimestampMonotonic`)),
    ),
  );
  const nextMs = nextElapse(
    property("NextElapseUSecRealtime"),
    property("NextElapseUSecMonotonic"),
  );
  return {
    enablement:
      property("LoadState") === "not-found"
        ? ""
        : property("LoadState") === "loaded"
          ? property("UnitFileState")
          : property("LoadState"), // masked, bad-setting, error
    activity: property("ActiveState"),
    isQueued: Number(property("Job")) > 0,
    result: property("Result"),
    ...(hasRun && { exitStatus: Number(property("ExecMainStatus")) }),
    needsReload: property("NeedDaemonReload") === "yes",
    variables: [...property("Environment").matchAll(/(?:^| )"?([A-Z]\w*)=/g)].map(
      ([, variable = ""]) => variable,
    ),
    // One line for each file, such as "/etc/keys.env (ignore_errors=no)".
    environmentFiles: [
      ...text.matchAll(/^EnvironmentFiles=(\/.+?)(?: \(ignore_errors=\w+\))?$/gm),
    ].map(([, path = ""]) => ({ path, ...variablesIn(path) })),
    dropIns: property("DropInPaths")
      .split(" ")
      .filter((path) => path !== ""),
    ...(startMs !== undefined && { startMs }),
    ...(nextMs !== undefined && { nextMs }),
  };
}

/** Whether this machine was booted with systemd, even if that does not answer at the moment. */
export function hasSystemd(signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    // A state other than "running" comes with an exit status other than 0.
    execFile("systemctl", ["is-system-running"], { timeout: ANSWER_MS, signal }, (error, stdout) =>
      resolve(error?.code !== "ENOENT" && stdout.trim() !== "offline"),
    );
  });
}

/** The names of the variables that a file sets, if it can be read. */
function variablesIn(path: string): { readonly variables?: readonly string[] } {
  try {
    return { variables: Object.keys(parseEnvironmentFile(readTextFile(path)).variables) };
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    return error.code === "ENOENT" ? { variables: [] } : {};
  }
}

/**
 * Stops the retry timer of eip-heal.service for a person who releases the address by hand. The next start of the service,
 * by hand or at boot, starts it again. Only root can do this; during ExecStop= it is not needed, because the timer stops
 * with the service.
 *
 * @returns a function that starts the timer again if it was active
 */
export async function endRetries(signal: AbortSignal): Promise<() => Promise<void>> {
  const isOn =
    process.getuid?.() === 0 && (await ask(["is-active", RETRY_TIMER], signal)) !== undefined;
  if (!isOn) return async () => {};
  // --no-block: while the service is being stopped, systemd waits for this program before it stops the timers.
  await ask(["--no-block", "stop", RETRY_TIMER], signal);
  return async () => void (await ask(["--no-block", "start", RETRY_TIMER], signal));
}

/** The instance id according to the DMI data of a Nitro instance. */
export function firmwareInstanceId(): string | undefined {
  try {
    const tag = readFileSync("/sys/class/dmi/id/board_asset_tag", "utf8").trim();
    return isInstanceId(tag) ? tag : undefined;
  } catch {
    return undefined; // Xen, a container, or no instance at all
  }
}

function ask(args: readonly string[], signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    // No pager, colours or translations, so that the output can be parsed.
    const env = { ...process.env, LC_ALL: "C", SYSTEMD_PAGER: "", SYSTEMD_COLORS: "0" };
    execFile("systemctl", args, { env, timeout: ANSWER_MS, signal }, (error, stdout) =>
      resolve(error === null ? stdout : undefined),
    );
  });
}

const UNITS: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  month: 2_629_800_000,
  y: 31_557_600_000,
};

/**
 * Milliseconds that a unit was, or is being, started.
 *
 * @param began when it was last not inactive any more; like the others in microseconds of CLOCK_MONOTONIC, 0 for never
 * @param ends when it was last active, and when it was last inactive, which is what a failure makes it
 */
function startTime(began = 0, ...ends: number[]): number | undefined {
  if (!(began > 0)) return undefined;
  const ended = Math.min(...ends.filter((end) => end >= began));
  return ((Number.isFinite(ended) ? ended : sinceBootMs() * 1_000) - began) / 1_000;
}

/** Milliseconds of CLOCK_MONOTONIC, by which systemd counts. */
function sinceBootMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

/** Milliseconds until a timer elapses: by its calendar time or its time since boot, whichever is sooner. */
function nextElapse(realtime: string, monotonic: string): number | undefined {
  const date = Date.parse(
    realtime
      .replace(/^\w{3} /, "")
      .replace(/ UTC$/, "Z")
      .replace(" ", "T"),
  );
  const parts = [...monotonic.matchAll(/([\d.]+)(us|ms|s|min|h|d|w|month|y)\b/g)];
  const span = parts.reduce(
    (sum, [, amount, unit = ""]) => sum + Number(amount) * (UNITS[unit] ?? 0),
    0,
  );
  const left = [
    ...(Number.isNaN(date) ? [] : [date - Date.now()]),
    ...(parts.length === 0 ? [] : [span - sinceBootMs()]),
  ];
  return left.length === 0 ? undefined : Math.min(...left);
}
