/** `eip-heal status`: shows the address according to instance metadata, EC2 and the last result. Changes nothing. */
import { type AddressState, describeState, nameAddress, nameHolder } from "../model/address.ts";
import { type Target, resolveTarget } from "../model/target.ts";
import { seconds } from "../model/duration.ts";
import type { Instance } from "../model/instance.ts";
import { decide, type Decision, whyInterrupted, whyNotInService } from "../reconcile/ownership.ts";
import { UNKNOWN_FOR_MS } from "../reconcile/bounds.ts";
import { EXIT, type ExitStatus, Failure } from "../model/failure.ts";
import { statusOf } from "../reconcile/retry.ts";
import { namedTwice, type OtherAddress } from "../reconcile/state.ts";
import { type Choice, choose, whyNoneOf } from "../reconcile/pool.ts";
import {
  CONFIRM_TIMER,
  HEAL_UNIT,
  type LastResult,
  RECHECK_TIMER,
  RECHECK_UNIT,
  RETRY_TIMER,
} from "../reconcile/drift.ts";
import { howEnded, isUnderWay, type Unit } from "../model/unit.ts";
import { linesOf, type Row } from "../report/screen.ts";
import type { Settings } from "../config/settings.ts";
import { desiredAddress, settingsFor, severalKnown, tagsToRead } from "../run/desired.ts";
import { firstToCount } from "../model/each.ts";
import { nameEntry, type Several } from "../model/several.ts";
import type { Ports } from "../run/ports.ts";
import { openSession } from "../run/session.ts";
import { contextFor, type RunContext, withStep } from "../run/retrying.ts";
import { type UnseenEnvironment, unseenEnvironment } from "../doctor/unit-environment.ts";
import { type LateNetwork, lateNetwork, sayLate } from "../doctor/late-network.ts";
import type { Machine } from "../doctor/ports.ts";
import type { Completion, Context } from "./command.ts";
import { begin } from "./refusal.ts";

/** Milliseconds that reading instance metadata and EC2 may take. */
const LIMIT_MS = 8_000;

/** Milliseconds by which a run may exceed its deadline: for a hold that has begun, or a lifecycle hook. */
const GRACE_MS = 60_000;

/** The last result, or why there is none. */
export type LastRun =
  | { readonly known: true; readonly result: LastResult & { at?: string; message?: string } }
  | { readonly known: false; readonly because: string };

export interface StatusPorts extends Omit<Ports, "clock"> {
  readonly clock: Ports["clock"] & { date: () => Date };
  readonly machine: Pick<Machine, "unit">;
  readonly lastRun: LastRun;
}

/** What was found out; a field that is absent could not be. */
export interface AddressStatus {
  /** Whether the address is at the target. */
  readonly here: boolean;
  readonly exitStatus: ExitStatus;
  /** Why it is not here, or why that is not known. */
  readonly message: string;
  readonly self?: Instance;
  readonly target?: Target;
  readonly address?: AddressState;
  /** Of several addresses: each, by its name in the setting or the tag. The other fields are those of the first. */
  readonly each?: readonly { readonly name: string; readonly found: Found }[];
  /** DescribeAddresses was allowed, so holders other than instances are visible. */
  readonly direct?: boolean;
  readonly lastRun: LastRun;
  /** How the last run of eip-heal.service was ended before it could record a result, if it was. */
  readonly ended?: string;
  /** Milliseconds until eip-heal.service is retried; undefined unless it has failed. */
  readonly retryInMs?: number;
  /** Milliseconds until the next recheck; undefined if none is scheduled. */
  readonly recheckInMs?: number;
  /** The run that systemd has in progress, if any. */
  readonly underWay?: RunName;
  /** Whether the recheck every minute is enabled. Its next time is not known while a recheck is in progress. */
  readonly hasRecheckTimer: boolean;
  /** What the unit has in its environment, and this command does not: what is shown here may differ. */
  readonly unseen?: UnseenEnvironment;
  /** Set if the boot had to wait for the network before the heal. */
  readonly late?: LateNetwork;
}

export type RunName = "heal" | "recheck";

/**
 * Reads the status.
 *
 * @param stop aborted when somebody wants it to stop
 * @param step what was being done before, should it be stopped already
 * @throws only bugs
 */
export async function status(
  settings: Settings,
  ports: StatusPorts,
  stop: AbortSignal,
  step = "starting",
): Promise<AddressStatus> {
  const limit = contextFor(settings, ports, LIMIT_MS, stop, step);
  const { context } = limit;
  try {
    const [found, units] = await Promise.all([
      look(context, stop),
      unitsOf(ports.machine, context.signal),
    ]);
    return { ...found, lastRun: ports.lastRun, ...units };
  } finally {
    limit.release();
  }
}

type Units = Pick<
  AddressStatus,
  "ended" | "retryInMs" | "recheckInMs" | "underWay" | "hasRecheckTimer" | "late"
>;

/** The run that systemd has in progress, and the runs that its timers will start. */
async function unitsOf(machine: StatusPorts["machine"], signal: AbortSignal): Promise<Units> {
  const [heal, retry, confirm, recheck, underWay, late] = await Promise.all([
    machine.unit(HEAL_UNIT, signal),
    machine.unit(RETRY_TIMER, signal),
    machine.unit(CONFIRM_TIMER, signal),
    machine.unit(RECHECK_TIMER, signal),
    runUnderWay(machine, signal),
    lateNetwork(machine, signal),
  ]);
  const ended = heal && howEnded(heal)?.words;
  // After a success the timer may still elapse once, and then has nothing to start.
  const retryInMs = heal?.activity === "active" ? undefined : soonest(retry);
  const recheckInMs = soonest(confirm, recheck);
  return {
    hasRecheckTimer: recheck?.activity === "active",
    ...(ended !== undefined && { ended }),
    ...(retryInMs !== undefined && { retryInMs }),
    ...(recheckInMs !== undefined && { recheckInMs }),
    ...(underWay !== undefined && { underWay }),
    ...(late && { late }),
  };
}

function soonest(...timers: (Unit | undefined)[]): number | undefined {
  const times = timers.flatMap((timer) =>
    timer?.activity === "active" && timer.nextMs !== undefined ? [timer.nextMs] : [],
  );
  return times.length === 0 ? undefined : Math.max(0, Math.min(...times));
}

/** The run that systemd has in progress, if any. */
async function runUnderWay(
  machine: StatusPorts["machine"],
  signal: AbortSignal,
): Promise<RunName | undefined> {
  const run = await askForRun(machine, signal);
  return run === "not answered" ? undefined : run;
}

/** A recheck that waits for a heal counts as that heal. */
async function askForRun(
  machine: StatusPorts["machine"],
  signal: AbortSignal,
): Promise<RunName | "not answered" | undefined> {
  const [heal, recheck] = await Promise.all([
    machine.unit(HEAL_UNIT, signal),
    machine.unit(RECHECK_UNIT, signal),
  ]);
  if (isUnderWay(heal)) return "heal";
  if (isUnderWay(recheck)) return "recheck";
  return heal === undefined || recheck === undefined ? "not answered" : undefined;
}

/** Milliseconds between looks at the units. */
const POLL_MS = 1_000;

/** A busy systemd may leave some looks in a row unanswered; after this many it has hung. */
const UNANSWERED_LOOKS = 5;

/**
 * Waits until systemd has no run in progress. If systemd cannot tell, that is logged.
 *
 * @param limitMs milliseconds to wait at most
 * @param report called with the run that is being waited for
 * @returns the run that was being waited for when somebody stopped the command
 */
export async function waitForRuns(
  {
    unit,
    hasSystemd,
    clock,
    log,
    stop,
  }: Pick<Context, "unit" | "hasSystemd" | "clock" | "log" | "stop">,
  limitMs: number,
  report: (run: RunName) => void,
): Promise<RunName | undefined> {
  const until = clock.now() + limitMs;
  let waitedFor: RunName | undefined;
  let unanswered = 0;
  while (clock.now() < until && !stop.aborted) {
    const run = await askForRun({ unit }, stop);
    if (run === undefined) return undefined;
    if (run !== "not answered") {
      unanswered = 0;
      report((waitedFor = run));
    } else {
      unanswered++;
      const isHung = unanswered >= UNANSWERED_LOOKS;
      if (isHung || (unanswered === 1 && !(await hasSystemd(stop)))) {
        log.warn(
          `${isHung ? "systemd does not answer" : "there is no systemd here"}, so whether a heal is under way is not known, and none is waited for`,
        );
        return undefined;
      }
    }
    // If the wait is interrupted, status shows what it can.
    await clock.sleep(POLL_MS, stop).catch(() => {});
  }
  return stop.aborted ? waitedFor : undefined;
}

type Found = Omit<AddressStatus, "lastRun" | keyof Units>;

/** Looks at each of several addresses: all is well only if each is here. */
async function lookAtEach(
  { entries }: Several,
  context: RunContext,
  stop: AbortSignal,
): Promise<Found> {
  const each = await Promise.all(
    entries.map(async (entry) => {
      const settings = settingsFor(context.settings, entry);
      const others = entries
        .filter((other) => other !== entry)
        .map((other) => ({ name: nameEntry(other), address: other.address }));
      return { name: nameEntry(entry), found: await look({ ...context, settings }, stop, others) };
    }),
  );
  const worst = firstToCount(each, ({ found }) => found.exitStatus);
  const count = `${each.filter(({ found }) => found.here).length} of ${each.length} addresses are here`;
  const here = each.every(({ found }) => found.here);
  const away = each.find(({ found }) => !found.here);
  const { exitStatus } = worst.found;
  const { name, found } = exitStatus === EXIT.OK ? (away ?? worst) : worst;
  const message = here ? count : `${name}: ${found.message}; ${count}`;
  return { ...each[0]?.found, here, exitStatus, message, each };
}

/** @param others the further addresses that this instance should have */
async function look(
  context: RunContext,
  stop: AbortSignal,
  others: readonly OtherAddress[] = [],
): Promise<Found> {
  const { settings, ports, signal } = context;
  let known: Pick<AddressStatus, "self" | "target" | "address" | "direct"> = {};
  const away = (exitStatus: ExitStatus, message: string): Found => ({
    here: false,
    exitStatus,
    message,
    ...known,
  });
  try {
    signal.throwIfAborted();
    const { session, self } = await openSession(context, ports, tagsToRead(settings));
    known = { self };
    const several = severalKnown(settings, self);
    if (several !== undefined) return await lookAtEach(several, context, stop);
    const target = resolveTarget(self, settings);
    known = { self, target };
    const ec2 = await session.ec2(self);
    try {
      const desired = await desiredAddress(context, self, ec2);
      if (desired.kind === "several") return await lookAtEach(desired, context, stop);
      const { addresses, direct } = await withStep(context, "looking for the address", () =>
        ec2.observe(desired, target),
      );
      const [first] = addresses;
      const choice: Choice =
        desired.kind === "pool" || first === undefined
          ? choose(target, self.zone, addresses, settings.poolTakeover, [], () => UNKNOWN_FOR_MS)
          : {
              address: first,
              decision: decide(target, self.zone, first, settings.takeover, UNKNOWN_FOR_MS),
            };
      if (choice.address === undefined) {
        const why =
          desired.kind === "pool" ? whyNoneOf(desired, addresses, choice.why) : choice.why;
        return away(EXIT.TEMPFAIL, why);
      }
      const { address, decision } = choice;
      known = { self, target, address, direct };
      const twice = namedTwice({ others }, address);
      if (twice !== undefined) throw twice;
      if (decision.do === "settled") {
        return { here: true, exitStatus: EXIT.OK, message: "the address is here", ...known };
      }
      const idle = whyInterrupted(await session.spotAction()) ?? whyNotInService(self);
      return idle === undefined
        ? away(...whyNotHere(decision, direct))
        : away(EXIT.OK, `the address is not here, as expected: ${idle}`);
    } finally {
      ec2.close();
    }
  } catch (error) {
    if (error instanceof Failure) return away(statusOf(error), error.message);
    if (!signal.aborted) throw error;
    const { step } = context;
    const why = stop.aborted
      ? `${(stop.reason as Error).message} while ${step}`
      : `this took too long: ${step}`;
    return away(EXIT.TEMPFAIL, why);
  }
}

/** Exit status and message if the address is not here, according to what a heal would do. */
function whyNotHere(
  decision: Exclude<Decision, { do: "settled" }>,
  direct: boolean,
): [ExitStatus, string] {
  switch (decision.do) {
    case "probe":
      return [
        EXIT.TEMPFAIL,
        "the address is on this instance, but without ec2:DescribeAddresses it cannot be told on which interface",
      ];
    case "associate":
      return [
        EXIT.TEMPFAIL,
        `${direct ? "nobody" : "no instance"} holds the address; a heal would associate it (sudo eip-heal)`,
      ];
    case "take":
      return [
        EXIT.TEMPFAIL,
        `the address is not here; a heal would take it (sudo eip-heal), because ${decision.because}`,
      ];
    case "wait":
      return [EXIT.TEMPFAIL, `the address is not here: ${decision.because}`];
    case "yield":
      return [EXIT.UNAVAILABLE, `the address is not here, as expected: ${decision.because}`];
    case "refuse":
      return [EXIT.CONFIG, `${decision.because}; ${decision.remedy}`];
  }
}

/** The rows for the terminal. @param now milliseconds since the epoch */
export function rowsOf(addressStatus: AddressStatus, now: number): Row[] {
  const { here, exitStatus, message, lastRun } = addressStatus;
  const { ended, retryInMs, underWay, late, unseen } = addressStatus;
  const { each = [{ name: undefined, found: addressStatus }] } = addressStatus;
  return [
    {
      mark: here ? "ok" : isRight(exitStatus) ? "warning" : "failed",
      label: "status",
      text: message,
    },
    ...each.flatMap(({ name, found }) => rowsOfAddress(found, name)),
    ...(unseen === undefined
      ? []
      : [
          {
            label: "settings",
            text: `eip-heal.service is run with ${unseen.what}, which this command has not had; run: ${unseen.command}`,
          },
        ]),
    ...(ended === undefined
      ? []
      : [{ label: "service", text: `the last run of eip-heal.service was ${ended}` }]),
    { label: ended === undefined ? "last run" : "last result", text: lastRunOf(lastRun, now) },
    ...(late === undefined ? [] : [{ label: "network", text: sayLate(late) }]),
    ...(underWay === undefined ? [] : [{ label: "now", text: `a ${underWay} is under way` }]),
    ...(retryInMs === undefined ? [] : [{ label: "next try", text: `in ${seconds(retryInMs)}` }]),
    { label: "next recheck", text: nextRecheckOf(addressStatus) },
  ];
}

/** The rows about one address. @param name if there are several */
function rowsOfAddress({ address, self, target, direct }: Found, name: string | undefined): Row[] {
  const unknown = "not known";
  const rows = [
    {
      label: "address",
      text: address === undefined ? unknown : nameAddress(address.allocationId, address.publicIp),
    },
    {
      label: "holder",
      text: address === undefined ? unknown : holderOf(address, self, direct),
    },
    {
      label: "association",
      text:
        address?.holder.kind === "instance"
          ? (address.holder.associationId ?? "not known without ec2:DescribeAddresses")
          : address === undefined
            ? unknown
            : "none",
    },
    {
      label: "public IPv4",
      text:
        target === undefined
          ? unknown
          : `${target.publicIp ?? "none"} at ${target.interfaceId} ${target.privateIp}, by instance metadata`,
    },
  ];
  return name === undefined ? rows : rows.map((row) => ({ ...row, label: `${name} ${row.label}` }));
}

/** Whether it is right that the address is not here. */
function isRight(exitStatus: ExitStatus): boolean {
  return exitStatus === EXIT.OK || exitStatus === EXIT.UNAVAILABLE;
}

function nextRecheckOf({ recheckInMs, hasRecheckTimer, underWay }: AddressStatus): string {
  if (recheckInMs !== undefined) return `in ${seconds(recheckInMs)}`;
  if (!hasRecheckTimer) return "none, the timer is off";
  return underWay === "recheck"
    ? "a minute after the one that is under way"
    : "not known; the timer is on";
}

function holderOf({ holder }: AddressState, self: Instance | undefined, direct = true): string {
  switch (holder.kind) {
    case "nobody":
      return direct ? "nobody" : "no instance; more than that only ec2:DescribeAddresses tells";
    case "other":
      return holder.what;
    case "interface":
      return nameHolder(holder);
    case "instance": {
      const where = [holder.interfaceId, holder.privateIp].filter((part) => part !== undefined);
      const who =
        holder.instanceId === self?.instanceId
          ? "this instance"
          : (describeState(holder) ?? "another instance");
      return `${[holder.instanceId, ...where].join(" ")} (${who})`;
    }
  }
}

function lastRunOf(lastRun: LastRun, now: number): string {
  if (!lastRun.known) return lastRun.because;
  const { at, outcome, exitStatus, message } = lastRun.result;
  const age = now - Date.parse(at ?? "");
  const when = Number.isNaN(age) ? "" : `${seconds(Math.max(0, age))} ago: `;
  return `${when}${message ?? outcome} (exit status ${exitStatus})`;
}

/** Version of the schema of `status --json`; incremented when a field changes its meaning or is removed. */
export const STATUS_VERSION = 1;
/** The same where there are several addresses: the verdict is then about all, and `addresses` has each. */
export const STATUS_VERSION_OF_SEVERAL = 2;

/** What `status --json` prints. */
export function statusRecord(addressStatus: AddressStatus, at: Date): Record<string, unknown> {
  const { each, lastRun } = addressStatus;
  const { ended, retryInMs, recheckInMs, underWay, late } = addressStatus;
  return {
    version: each === undefined ? STATUS_VERSION : STATUS_VERSION_OF_SEVERAL,
    at: at.toISOString(),
    ...foundRecord(addressStatus),
    ...(each && {
      addresses: each.map(({ name, found }) => ({ wanted: name, ...foundRecord(found) })),
    }),
    ...(lastRun.known && { lastRun: lastRun.result }),
    ...(ended !== undefined && { ended }),
    ...(retryInMs !== undefined && { retryInMs: Math.round(retryInMs) }),
    ...(recheckInMs !== undefined && { recheckInMs: Math.round(recheckInMs) }),
    ...(late && {
      networkWait: { unit: late.unit, ms: Math.round(late.waitedMs), waiting: late.isWaiting },
    }),
    ...(underWay !== undefined && { underWay }),
  };
}

/** The fields about one address. */
function foundRecord(found: Found): Record<string, unknown> {
  const { here, exitStatus, message, self, target, address } = found;
  return {
    here,
    exitStatus,
    message,
    ...(self && { instanceId: self.instanceId, region: self.region }),
    ...(target && {
      interfaceId: target.interfaceId,
      privateIp: target.privateIp,
      ...(target.publicIp !== undefined && { publicIpByMetadata: target.publicIp }),
    }),
    ...(address && {
      allocationId: address.allocationId,
      ...(address.publicIp !== undefined && { publicIp: address.publicIp }),
      holder: address.holder,
    }),
  };
}

async function unseenBy({ unit, stop, doctorPorts }: Context) {
  const heal = await unit(HEAL_UNIT, stop);
  if (heal === undefined) return undefined;
  const { isGiven, settingsFile } = await doctorPorts();
  return unseenEnvironment(heal, isGiven, settingsFile, "eip-heal status");
}

/** Runs the command. */
export async function run(
  context: Context,
  { json, wait }: { readonly json: boolean; readonly wait: boolean },
): Promise<Completion> {
  const { runtime, clock, stop } = context;
  const { screen, lines, progress } = await context.screen();
  const beginning = begin(context);
  let waitedFor: RunName | undefined;
  if (wait) {
    const deadlineMs = "problems" in beginning ? 0 : beginning.settings.deadlineMs;
    waitedFor = await waitForRuns(context, deadlineMs + GRACE_MS, (name) => {
      if (!json) progress(`  waiting for the ${name} that is under way ...`);
    });
    if (!json) progress("");
  }
  const lastRun = runtime.record() as LastRun;
  const machine = { unit: context.unit };
  const step = waitedFor && `waiting for the ${waitedFor} that is under way`;
  const [found, unseen] = await Promise.all([
    "problems" in beginning
      ? unitsOf(machine, stop).then((units) => ({
          here: false,
          exitStatus: beginning.status,
          message: beginning.problems.join("; "),
          lastRun,
          ...units,
        }))
      : status(beginning.settings, { ...beginning.ports, machine, lastRun }, stop, step),
    unseenBy(context),
  ]);
  const addressStatus: AddressStatus = { ...found, ...(unseen && { unseen }) };
  const now = clock.date();
  const { exitStatus } = addressStatus;
  if (json) return { status: exitStatus, json: statusRecord(addressStatus, now) };
  const rows = rowsOf(addressStatus, now.getTime());
  const width = Math.max(...rows.map(({ label }) => label.length));
  for (const row of rows) lines(linesOf(row, screen, width));
  return { status: exitStatus };
}
