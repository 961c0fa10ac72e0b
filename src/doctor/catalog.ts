/**
 * What is checked before a heal can be expected to work, and what the findings come to. Pure. The order is
 * the one that causes have: what stands further up explains what stands below it.
 */
import type { Settings } from "../config/settings.ts";
import type { AddressState, DesiredAddress, Observation } from "../model/address.ts";
import { EXIT, type ExitStatus } from "../model/failure.ts";
import type { Instance } from "../model/instance.ts";
import type { Target } from "../model/target.ts";
import type { Decision } from "../reconcile/ownership.ts";
import type { Aws, DryRunEc2, Endpoint, Session, Signer } from "../run/ports.ts";
import type { Mark } from "../report/screen.ts";

/** Every check, with what it means, in the order in which they are told. */
export const CHECKS = [
  ["settings", "flags, environment and settings file are readable and valid"],
  ["metadata", "instance metadata answers and gives a token (version 2)"],
  ["identity", "instance, region and zone are known"],
  ["in-service", "the instance is in service, so that a heal acts at all"],
  ["interface", "the interface and private address that the settings name are there"],
  ["tags", "instance metadata shows the tags, so that EC2 need not be asked for them"],
  ["endpoint", "the name of the EC2 endpoint resolves"],
  ["route", "the EC2 endpoint accepts a connection"],
  ["tls", "its certificate is trusted and it speaks HTTP"],
  ["clock", "the clock is right enough for credentials and signatures"],
  ["role", "an instance role is attached, or keys are set"],
  ["credentials", "its credentials are there, not expired, and EC2 accepts them"],
  ["ec2", "EC2 answers a signed request"],
  ["describe-addresses", "the role may describe addresses, where that is needed"],
  ["describe-instances", "the role may describe instances, where that is needed"],
  ["wanted", "a setting or a tag says which address is wanted"],
  ["address", "the address exists here and in this network border group"],
  ["holder", "who holds it, and what the takeover rule makes of that"],
  ["displaced", "what else would be pushed off its place"],
  ["associate", "the role may associate the address with this instance"],
  ["launch-hook", "the group of the lifecycle hook is known, if one is set"],
  ["optional", "what the role may do besides, and what is worse without it"],
  ["unit", "the unit is enabled, and how its last run ended"],
  ["recheck", "the timer of the rechecks"],
  ["versions", "which versions are at work"],
] as const;
export type CheckId = (typeof CHECKS)[number][0];

/** What those checks that find something out have for the checks that rest on them. */
interface Values {
  settings: { settings: Settings; aws: Aws };
  metadata: Session;
  identity: Instance;
  interface: Target;
  endpoint: readonly Endpoint[];
  route: Endpoint;
  tls: { endpoint: Endpoint; date?: Date; offsetMs: number };
  role: string | undefined;
  credentials: Signer;
  ec2: DryRunEc2;
  /** undefined: nothing is wanted, and that is in order. */
  wanted: DesiredAddress | undefined;
  address: { address: AddressState; choice?: Decision; observation: Observation };
  holder: { address: AddressState; decision: Decision };
}

/** What each check results in, for others; most are only told. */
export type CheckResults = {
  readonly [Id in CheckId]: Id extends keyof Values ? Values[Id] : undefined;
};

/** What one check has come to. */
export interface Check {
  readonly id: CheckId;
  readonly mark: Mark;
  /** What was found, one sentence with the ids. */
  readonly found: string;
  /** What to do, where something is to be done. */
  readonly remedy?: string;
  /** Commands that do it; words in capitals are to be filled in. */
  readonly commands?: readonly string[];
  /** For `skipped`: the checks that made it pointless. */
  readonly blockedBy?: readonly CheckId[];
  /** For `failed`: the exit status of a heal that ends with it. */
  readonly status?: ExitStatus;
  /** A heal would rightly do nothing, because of this. */
  readonly idle?: boolean;
  /** Something that a heal needs could not be looked at. */
  readonly unseen?: boolean;
}

/** What all of them come to. */
export interface Verdict {
  /** Would a heal succeed: is the address here, or would it be? */
  readonly healthy: boolean;
  /** Exit status of the heal that is to be expected. */
  readonly status: ExitStatus;
  readonly line: string;
  /** The first check that failed, which is the one to begin with. */
  readonly first?: CheckId;
}

/** @param checks in the order of CHECKS */
export function summarize(checks: readonly Check[]): Verdict {
  const failed = checks.filter(({ mark }) => mark === "failed");
  const warnings = checks.filter(({ mark }) => mark === "warning").length;
  const idle = checks.find((check) => check.idle === true);
  const [first] = failed;
  if (first !== undefined) {
    const status = first.status ?? EXIT.SOFTWARE;
    const name = Object.entries(EXIT).find(([, value]) => value === status)?.[0];
    return {
      healthy: false,
      status,
      first: first.id,
      line: `a heal${idle === undefined ? "" : ", once the instance is in service,"} would end with exit status ${status} (${name}); begin with: ${first.id}`,
    };
  }
  // What was given up because of something that turned out well is not known to be well itself.
  const unknown = checks.find(({ mark }) => mark === "skipped");
  if (unknown !== undefined && idle === undefined) {
    return {
      healthy: false,
      status: EXIT.TEMPFAIL,
      first: unknown.id,
      line: `whether a heal would succeed is not known: it was changing; look again (${unknown.id})`,
    };
  }
  const unseen = checks.find((check) => check.unseen === true);
  const would =
    unseen === undefined
      ? "a heal would succeed"
      : `a heal would succeed if what could not be looked at is in order (${unseen.id})`;
  const also = warnings === 0 ? "" : `; ${warnings} ${warnings === 1 ? "warning" : "warnings"}`;
  return {
    healthy: true,
    status: EXIT.OK,
    line: `${idle === undefined ? would : `a heal would rightly do nothing (${idle.id})`}${also}`,
  };
}

/** Version of the schema of `doctor --json`; it changes when a field changes its meaning or goes. */
export const DOCTOR_VERSION = 1;

/** What `doctor --json` prints. */
export function doctorRecord(checks: readonly Check[], at: Date): Record<string, unknown> {
  const { healthy, status, line, first } = summarize(checks);
  return {
    version: DOCTOR_VERSION,
    at: at.toISOString(),
    healthy,
    exitStatus: status,
    message: line,
    ...(first !== undefined && { first }),
    checks: checks.map(({ id, mark, found, remedy, commands, blockedBy }) => ({
      id,
      mark,
      found,
      ...(remedy !== undefined && { cure: remedy }),
      ...(commands !== undefined && { commands }),
      ...(blockedBy !== undefined && { blockedBy }),
    })),
  };
}
