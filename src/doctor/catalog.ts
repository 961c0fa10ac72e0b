/**
 * The checks of doctor and the verdict that follows from them. Pure. They are in the order of causes: a failed check
 * explains failures further down.
 */
import type { Settings } from "../config/settings.ts";
import type { AddressState, DesiredAddress, Observation } from "../model/address.ts";
import { EXIT, type ExitStatus } from "../model/failure.ts";
import type { Instance } from "../model/instance.ts";
import type { Target } from "../model/target.ts";
import type { Decision } from "../reconcile/ownership.ts";
import type { Aws, DryRunEc2, Endpoint, Session, Signer } from "../run/ports.ts";
import type { Mark } from "../report/screen.ts";

/** All checks and what each is about, in the order in which they are printed. */
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
  ["wanted", "a setting or a tag names the desired address"],
  ["address", "the address exists here and in this network border group"],
  ["holder", "who holds it, and what the takeover rule makes of that"],
  ["displaced", "which other Elastic IP a heal would disassociate"],
  ["associate", "the role may associate the address with this instance"],
  ["reachable", "requests show the address, where a heal waits for that"],
  ["launch-hook", "the group of the lifecycle hook is known, if one is set"],
  ["optional", "what the role may do besides, and what is worse without it"],
  ["unit", "the unit is enabled, and how its last run ended"],
  ["recheck", "the recheck timer"],
  ["versions", "which versions are at work"],
] as const;
export type CheckId = (typeof CHECKS)[number][0];

/** Ids that are no good words for people; they stay, because scripts read them in `doctor --json`. */
const LABELS: Partial<Record<CheckId, string>> = { wanted: "desired", displaced: "replaces" };

/** What people read instead of the id. */
export function labelOf(id: CheckId): string {
  return LABELS[id] ?? id;
}

/** The values that checks provide for the checks that depend on them. */
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
  /** undefined: no address is desired, and EIP_HEAL_OPTIONAL allows that. */
  wanted: DesiredAddress | undefined;
  address: { address: AddressState; choice?: Decision; observation: Observation };
  holder: { address: AddressState; decision: Decision };
}

/** The value of each check; most have none and are only printed. */
export type CheckResults = {
  readonly [Id in CheckId]: Id extends keyof Values ? Values[Id] : undefined;
};

/** The result of one check. */
export interface Check {
  readonly id: CheckId;
  readonly mark: Mark;
  /** The finding: one sentence, with the ids involved. */
  readonly found: string;
  /** What to do, if anything has to be done. */
  readonly remedy?: string;
  /** Commands for that; words in capitals have to be replaced. */
  readonly commands?: readonly string[];
  /** For `skipped`: the failed checks that it depends on. */
  readonly blockedBy?: readonly CheckId[];
  /** For `failed`: the exit status of a heal that fails for this reason. */
  readonly status?: ExitStatus;
  /** Because of this finding a heal would have nothing to do. */
  readonly idle?: boolean;
  /** Something that a heal needs could not be checked. */
  readonly unseen?: boolean;
}

/** The result of all checks. */
export interface Verdict {
  /** Whether a heal would succeed. */
  readonly healthy: boolean;
  /** The exit status that a heal would have. */
  readonly status: ExitStatus;
  readonly line: string;
  /** The first check that failed: the one to start with. */
  readonly first?: CheckId;
}

/** The verdict. @param checks in the order of CHECKS */
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
      line: `a heal${idle === undefined ? "" : ", once the instance is in service,"} would end with exit status ${status} (${name}); begin with: ${labelOf(first.id)}`,
    };
  }
  // A check that was skipped because of one that later passed is unknown, not ok.
  const unknown = checks.find(({ mark }) => mark === "skipped");
  if (unknown !== undefined && idle === undefined) {
    return {
      healthy: false,
      status: EXIT.TEMPFAIL,
      first: unknown.id,
      line: `whether a heal would succeed is not known: it was changing; look again (${labelOf(unknown.id)})`,
    };
  }
  const unseen = checks.find((check) => check.unseen === true);
  const would =
    unseen === undefined
      ? "a heal would succeed"
      : `a heal would succeed if what could not be looked at is in order (${labelOf(unseen.id)})`;
  const also = warnings === 0 ? "" : `; ${warnings} ${warnings === 1 ? "warning" : "warnings"}`;
  return {
    healthy: true,
    status: EXIT.OK,
    line: `${idle === undefined ? would : `a heal would have nothing to do (${labelOf(idle.id)})`}${also}`,
  };
}

/** Version of the schema of `doctor --json`; incremented when a field changes its meaning or is removed. */
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
