/** The report of a run: a line for the journal, a record for programs, and variables for other units. */
import { type PreviousHolder, nameAddress, nameHolder } from "../model/address.ts";
import { seconds } from "../model/duration.ts";
import { MAX_LINE, shortened } from "../model/text.ts";
import { causeOf, EXIT, type ExitStatus, type Failure } from "../model/failure.ts";
import type { Change, Facts, HookEnd, OfEntry, Outcome } from "../model/outcome.ts";
import { deciding } from "../model/each.ts";

export type Level = "debug" | "info" | "warn" | "error";

/** One line of the log. */
export interface Line {
  readonly level: Level;
  readonly text: string;
  /** Not for the console, where people look who cannot reach the machine: it has shown this already. */
  readonly journalOnly?: boolean;
}

/** The end of the last line of a failed run. */
export const DOCTOR = "; run: eip-heal doctor";

/** Whether the run moved the address. */
export function isMove(outcome: Outcome): boolean {
  const { each = [{ outcome }] } = outcome;
  return each.some(({ outcome: one }) => one.end === "settled" && one.change !== "none");
}

export interface Report {
  readonly level: Level;
  readonly line: string;
  readonly status: ExitStatus;
}

/**
 * The log line and the exit status of a run. The run fails if the lifecycle hook could not be completed, even if the address
 * is here: Auto Scaling may replace this instance.
 */
export function report(outcome: Outcome): Report {
  const own = outcome.each === undefined ? reportHeal(outcome) : reportEach(outcome, outcome.each);
  if (own.status !== EXIT.OK || outcome.hook === undefined) return own;
  return { ...own, status: reportHook(outcome.hook).status };
}

function reportHeal(outcome: Outcome): Report {
  const { level, status, text } = endOf(outcome);
  return { level, status, line: lastLine(outcome, text) };
}

/** What the last line of a run makes of how it has ended: of a failure also its exit status, and what to do next. */
function lastLine(outcome: Outcome, text: string): string {
  if (outcome.end !== "failed") return text;
  const { failure, status } = outcome;
  return `${failure.kind === "yielded" ? "" : `FAILED (${status}): `}${text}${DOCTOR}`;
}

/** How a run has ended. */
interface EndOfRun {
  readonly level: Level;
  readonly status: ExitStatus;
  readonly text: string;
  /** The text names the address. */
  readonly isNamed?: true;
}

function endOf(outcome: Outcome): EndOfRun {
  const spent = spentOf(outcome);
  switch (outcome.end) {
    case "settled":
      return {
        level: "info",
        status: EXIT.OK,
        text: `${settled(outcome, outcome.facts)}, ${spent}`,
        isNamed: true,
      };
    case "would":
      return {
        level: "info",
        status: EXIT.OK,
        text: would(outcome, outcome.facts),
        isNamed: true,
      };
    case "idle":
      if (outcome.why === "resting") {
        return { level: "warn", status: EXIT.OK, text: outcome.because };
      }
      return { level: "info", status: EXIT.OK, text: `nothing to do: ${outcome.because}` };
    case "released":
      return {
        level: "info",
        status: EXIT.OK,
        text: outcome.isUnderWay
          ? `about to release ${outcome.name}`
          : `released ${outcome.name}, ${seconds(outcome.ms)}`,
      };
    case "stopped":
      return { level: "warn", status: EXIT.TEMPFAIL, text: `${outcome.because}, ${spent}` };
    case "failed": {
      const { failure, status } = outcome;
      return failure.kind === "yielded"
        ? { level: "warn", status, text: `yielded: ${failure.details.why}, ${spent}` }
        : { level: "error", status, text: `${failure.message}${gaveUp(outcome)}` };
    }
  }
}

/** The one line about several addresses: the cause first if one of them is not here. */
function reportEach(outcome: Outcome, each: readonly OfEntry[]): Report {
  const [only, ...others] = each;
  if (only !== undefined && others.length === 0) return reportHeal(only.outcome);
  const spent = spentOf(outcome);
  const here = each.filter((one) => one.outcome.end === "settled");
  const count = `${here.length} of ${each.length} addresses are here`;
  const { name, outcome: one } = deciding(each);
  const own = reportHeal(one);
  switch (one.end) {
    case "settled": {
      const names = each.map(({ outcome: { facts } }) => nameFound(facts)).join(", ");
      return { ...own, line: `${count}: ${names}, ${spent}` };
    }
    case "would":
      return { ...own, line: each.map((entry) => reportHeal(entry.outcome).line).join("; ") };
    case "failed": {
      const { failure } = one;
      const text =
        failure.kind === "yielded"
          ? `yielded: ${name}: ${failure.details.why}; ${count}, ${spent}`
          : `${name}: ${failure.message}; ${count}${gaveUp(outcome)}`;
      return { ...own, line: lastLine(one, text) };
    }
    case "idle":
      // Anything else that is not to be done is the same for all of them.
      return {
        ...own,
        line: `${one.why === "resting" ? `${name}: ` : ""}${own.line}; ${count}`,
      };
    default:
      return { ...own, line: `${own.line}; ${count}` };
  }
}

/**
 * The log line about one of several addresses, before the one about all.
 *
 * @param isKnown its last run ended with the same cause
 */
export function lineOfEntry({ name, outcome }: OfEntry, isKnown: boolean): Line {
  const { level, status, text: said, isNamed = false } = endOf(outcome);
  const text = isNamed ? said : `${name}: ${said}`;
  if (outcome.end === "would") return { level: "debug", text };
  if (status === EXIT.OK) return { level, text };
  return { level: isKnown ? "debug" : "warn", text };
}

function nameFound({ allocationId = "", publicIp }: Facts): string {
  return nameAddress(allocationId, publicIp);
}

function gaveUp(outcome: Outcome): string {
  // What is wrong with the settings ends a run before its first try.
  return outcome.tries === 0 ? "" : `; gave up after ${spentOf(outcome)}`;
}

function spentOf({ tries, ms }: Outcome): string {
  return `${tries} ${tries === 1 ? "try" : "tries"}, ${seconds(ms)}`;
}

/** The log line about the hook, and the exit status that follows from it. */
export function reportHook(hook: HookEnd): Report {
  const name = `the lifecycle hook ${hook.name}${hook.group === undefined ? "" : ` of ${hook.group}`}`;
  const { OK } = EXIT;
  switch (hook.end) {
    case "completed":
      return hook.unsure === true
        ? {
            level: "warn",
            status: OK,
            line: `completed ${name} with ${hook.result}, it seems: the answer was lost, and the instance does not wait under it now`,
          }
        : hook.result === "CONTINUE"
          ? { level: "info", status: OK, line: `completed ${name} with CONTINUE` }
          : {
              level: "warn",
              status: OK,
              line: `completed ${name} with ABANDON: Auto Scaling terminates this instance`,
            };
    case "not-waiting":
      return { level: "debug", status: OK, line: `this instance does not wait under ${name}` };
    case "left":
      return { level: "info", status: OK, line: `${name} is left as it is: ${hook.because}` };
    case "stopped": {
      const line = `${name} is not completed with ${hook.result}: ${hook.because}`;
      return { level: "warn", status: EXIT.TEMPFAIL, line };
    }
    case "would": {
      const line = `would complete ${name} with ${hook.result}; dry run, nothing was changed`;
      return { level: "info", status: OK, line };
    }
    case "failed": {
      const { failure, result, status } = hook;
      const line = `${failure.message}; ${name} is not completed with ${result}: once it times out, Auto Scaling does what is the hook's default`;
      return { level: "error", status, line };
    }
  }
}

/** Version of the schema of `/run/eip-heal/result.json`; incremented when a field changes its meaning or is removed. */
export const RESULT_VERSION = 1;
/**
 * The same where there are several addresses: outcome, exit status and message are then those of all together, and
 * `addresses` has each.
 */
export const RESULT_VERSION_OF_SEVERAL = 2;

/**
 * The content of `/run/eip-heal/result.json`, also printed by `--json`. A field that is absent is not known.
 *
 * @param by when the run began, in milliseconds of its clock; the unit that ran it; and when this failure was last logged
 *   to the console
 */
export function resultRecord(
  outcome: Outcome,
  at: Date,
  by: {
    readonly began?: number;
    readonly unit?: string | undefined;
    readonly toldAt?: string | undefined;
  } = {},
): Record<string, unknown> {
  const { line, status } = report(outcome);
  const asOf = outcome.asOf ?? by.began;
  const { each, facts } = outcome;
  return {
    version: each === undefined ? RESULT_VERSION : RESULT_VERSION_OF_SEVERAL,
    at: at.toISOString(),
    ...(asOf !== undefined && { asOf: Math.round(asOf) }),
    ...endRecord(outcome),
    // Before the message of the run, which whoever looks for the last one then finds.
    ...(outcome.hook && { lifecycleHook: hookRecord(outcome.hook) }),
    ...(each && { addresses: each.map(entryRecord) }),
    exitStatus: status,
    message: shortened(line, MAX_LINE),
    tries: outcome.tries,
    durationMs: Math.round(outcome.ms),
    ...(by.unit !== undefined && { unit: by.unit }),
    ...(by.toldAt !== undefined && { toldAt: by.toldAt }),
    ...facts,
    ...takenFrom(outcome),
  };
}

/** One of the field `addresses` of the record. */
function entryRecord({ name, outcome }: OfEntry): Record<string, unknown> {
  const { line, status } = reportHeal(outcome);
  const { allocationId, publicIp, interfaceId, privateIp } = outcome.facts;
  return {
    wanted: name,
    ...endRecord(outcome),
    exitStatus: status,
    message: shortened(line, MAX_LINE),
    tries: outcome.tries,
    durationMs: Math.round(outcome.ms),
    ...(allocationId !== undefined && { allocationId }),
    ...(publicIp !== undefined && { publicIp }),
    ...(interfaceId !== undefined && { interfaceId }),
    ...(privateIp !== undefined && { privateIp }),
    ...takenFrom(outcome),
  };
}

/** The fields that say how it ended. */
function endRecord(outcome: Outcome): Record<string, unknown> {
  return {
    outcome:
      outcome.end === "failed" && outcome.failure.kind === "yielded" ? "yielded" : outcome.end,
    ...("change" in outcome && { change: outcome.change }),
    ...(outcome.end === "failed" && failureRecord(outcome.failure)),
    ...(outcome.end === "failed" && outcome.isWaitedOut && { waitedOut: true }),
    ...(outcome.end === "idle" && { idle: outcome.why }),
    ...(outcome.end === "released" && outcome.isUnderWay && { underWay: true }),
  };
}

function takenFrom(outcome: Outcome): Record<string, unknown> {
  return "change" in outcome && outcome.change === "taken"
    ? { takenFrom: previousRecord(outcome.from) }
    : {};
}

function previousRecord(from: PreviousHolder): Record<string, unknown> {
  return from.kind === "interface"
    ? { interfaceId: from.interfaceId, state: "available" }
    : { instanceId: from.instanceId, state: from.state };
}

/** The fields by which a later run recognizes the same failure. */
function failureRecord(failure: Failure): Record<string, unknown> {
  const { kind, step, code } = failure;
  return {
    failure: kind,
    ...(step !== undefined && { step }),
    cause: causeOf(failure),
    ...(code !== undefined && { code }),
  };
}

/** The field `lifecycleHook` of the record. */
export function hookRecord(hook: HookEnd): Record<string, unknown> {
  return {
    name: hook.name,
    ...(hook.group !== undefined && { group: hook.group }),
    outcome: hook.end,
    ...("result" in hook && { result: hook.result }),
    ...(hook.end === "failed" && { failure: hook.failure.kind }),
    message: shortened(reportHook(hook).line, MAX_LINE),
  };
}

/** The content of `/run/eip-heal/env`, for EnvironmentFile= in other units; undefined unless the address is here. */
export function resultVariables(outcome: Outcome): Record<string, string> | undefined {
  if (outcome.end !== "settled") return undefined;
  const { publicIp, allocationId, instanceId, interfaceId, privateIp } = outcome.facts;
  return Object.fromEntries(
    Object.entries({
      EIP_HEAL_PUBLIC_IP: publicIp,
      EIP_HEAL_ALLOCATION_ID: allocationId,
      EIP_HEAL_INSTANCE_ID: instanceId,
      EIP_HEAL_INTERFACE_ID: interfaceId,
      EIP_HEAL_PRIVATE_IP: privateIp,
      ...(outcome.each && {
        EIP_HEAL_PUBLIC_IPS: listOf(outcome.each, "publicIp"),
        EIP_HEAL_ALLOCATION_IDS: listOf(outcome.each, "allocationId"),
        EIP_HEAL_INTERFACE_IDS: listOf(outcome.each, "interfaceId"),
        EIP_HEAL_PRIVATE_IPS: listOf(outcome.each, "privateIp"),
      }),
    }).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/** One fact of all addresses, with blanks between; undefined if it is not known of one of them. */
function listOf(
  each: readonly OfEntry[],
  fact: "publicIp" | "allocationId" | "interfaceId" | "privateIp",
): string | undefined {
  const known = each.flatMap(({ outcome: { facts } }) => facts[fact] ?? []);
  return known.length === each.length ? known.join(" ") : undefined;
}

function settled(change: Change, facts: Facts): string {
  const { address, place } = names(facts);
  switch (change.change) {
    case "none":
      return `${address} is already associated with ${place}`;
    case "associated":
      return `associated ${address} with ${place}`;
    case "renewed":
      return `associated ${address} with ${place} anew, since instance metadata did not show it there`;
    case "taken":
      return `associated ${address} with ${place}, ${origin(change.from, facts)}`;
  }
}

function would(change: Change, facts: Facts): string {
  const { address, place } = names(facts);
  switch (change.change) {
    case "none":
      return `${address} is already associated with ${place}; a run would change nothing`;
    case "associated":
    case "renewed":
      return `would associate ${address} with ${place}; dry run, nothing was changed`;
    case "taken":
      return `would associate ${address} with ${place}, ${origin(change.from, facts)}; dry run, nothing was changed`;
  }
}

function names({ allocationId = "", publicIp, instanceId, interfaceId, privateIp }: Facts) {
  return {
    address: nameAddress(allocationId, publicIp),
    place: `${instanceId} ${interfaceId} ${privateIp}`,
  };
}

function origin(from: PreviousHolder, { instanceId }: Facts): string {
  if (from.kind === "interface" || from.instanceId !== instanceId) {
    return `taken from ${nameHolder(from)}`;
  }
  const { interfaceId, privateIp } = from;
  return `moved from ${interfaceId === undefined ? "another place" : `${interfaceId} ${privateIp}`} of this instance`;
}
