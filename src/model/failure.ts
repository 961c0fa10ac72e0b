/**
 * Every foreseen error is a Failure of one of seven kinds. The kind decides whether to try again (reconcile/retry.ts) and
 * how the run ends if not. Anything else that is thrown is a bug.
 */

import { shortened } from "./text.ts";

/** Exit statuses, from sysexits(3), so that `systemctl status` prints their names. */
export const EXIT = {
  /** The address is here, or nothing needs doing. */
  OK: 0,
  /** Bad command line. */
  USAGE: 64,
  /** A newer instance holds the address. */
  UNAVAILABLE: 69,
  /** A bug. */
  SOFTWARE: 70,
  /** Out of time, stopped, or AWS unreachable: another run may succeed. */
  TEMPFAIL: 75,
  /** A permission or the instance role is missing. */
  NOPERM: 77,
  /** Somebody has to correct a setting, a tag or the address itself. */
  CONFIG: 78,
} as const;
export type ExitStatus = (typeof EXIT)[keyof typeof EXIT];

export type Kind =
  | "unreachable"
  | "throttled"
  | "not-yet"
  | "denied"
  | "held"
  | "misconfigured"
  | "yielded";

/** Codes of our own, for causes without an AWS error code. They are written to result.json. */
export const OWN_CODE = {
  noTag: "NoTag",
  noRole: "NoRole",
  noInterface: "NoInterface",
  noPrivateIp: "NoPrivateIp",
  noSuchPrivateIp: "NoSuchPrivateIp",
  /** No address carries the tag that names it. */
  noTaggedAddress: "NoTaggedAddress",
  /** Several addresses carry the tag that should name one. */
  ambiguousTag: "AmbiguousTag",
  /** EC2 accepted a write but does not show its effect. */
  notShown: "NotShown",
  /** The address is on an interface without an instance. */
  orphaned: "Orphaned",
  /** The address is associated, and requests from here do not show it (EIP_HEAL_WAIT_REACHABLE). */
  notReachable: "NotReachable",
  /** Auto Scaling has not started the lifecycle hook's lifecycle action yet. */
  notBegun: "NotBegun",
  /** Something else answered instead of EC2 or Auto Scaling: a proxy, for example. */
  notOfAws: "NotOfAws",
  metadataSilent: "MetadataSilent",
  metadataOff: "MetadataOff",
} as const;
export type OwnCode = (typeof OWN_CODE)[keyof typeof OWN_CODE];

/** AWS error codes that the program itself compares with; for all others only their kind matters. */
export const AWS_CODE = {
  unauthorized: "UnauthorizedOperation",
  accessDenied: "AccessDenied",
  accessDeniedException: "AccessDeniedException",
  authFailure: "AuthFailure",
  dryRun: "DryRunOperation",
  unknownAllocation: "InvalidAllocationID.NotFound",
  unknownAssociation: "InvalidAssociationID.NotFound",
  unknownInstance: "InvalidInstanceID.NotFound",
  validation: "ValidationError",
  assumeRoleUnauthorized: "AssumeRoleUnauthorizedAccess",
} as const;
export type AwsCode = (typeof AWS_CODE)[keyof typeof AWS_CODE];

declare const other: unique symbol;
/** Any other AWS code. It is a string, hidden from the compiler so that comparing it with a misspelt code does not compile. */
export interface OtherCode {
  readonly [other]: true;
}

export type Code = OwnCode | AwsCode | OtherCode;

/** An error code as received from AWS. */
export const codeOf = (text: string): Code => text as unknown as OtherCode;

export interface FailureDetails {
  /** What went wrong, in lower case, with the ids involved. */
  readonly why: string;
  /** The request, if one was made: `GET http://…`, `ec2:AssociateAddress at https://…`. Never contains a secret. */
  readonly request?: string | undefined;
  /** What to do about it, if known. */
  readonly remedy?: string | undefined;
  /** The request id that EC2 or Auto Scaling returned. */
  readonly requestId?: string | undefined;
  /** What was probably meant instead, if the remedy asks that. */
  readonly meant?: string | undefined;
  /** The setting that has to be changed, and the values it accepts. */
  readonly setting?: { readonly key: string; readonly accepted: string } | undefined;
  /** The environment variable with the bad value. */
  readonly variable?: string | undefined;
  /** Trying again sends nothing to AWS (instance metadata, routes, names), so it may be tried often. */
  readonly isLocal?: boolean | undefined;
  /** A write that failed, or whose effect EC2 does not show. */
  readonly isWrite?: boolean | undefined;
  /** For `not-yet`: the exit status once its patience has run out. Without one the run waits until its deadline. */
  readonly permanentStatus?: typeof EXIT.CONFIG | typeof EXIT.NOPERM | typeof EXIT.OK | undefined;
  /** For `throttled`: an upper bound on the instances competing for this request, ourselves included, if known. */
  readonly contenders?: number | undefined;
  /** For `denied`: no addition to the role's policy can allow it. */
  readonly notFixableInRole?: boolean | undefined;
  /** For `denied`: the encoded message for `aws sts decode-authorization-message`. Too long for the log. */
  readonly encoded?: string | undefined;
  /** The error code: the service's, or one of our own. */
  readonly code?: Code | undefined;
  /** The service's own error message. */
  readonly serviceMessage?: string | undefined;
  /** The HTTP status. Not set for throttling: that is usually a 503, and yet certainly not carried out. */
  readonly status?: number | undefined;
  readonly cause?: unknown;
}

/**
 * A foreseen failure. Its message is a complete sentence: cause and remedy first, because often only the beginning is
 * visible; then step and request in parentheses.
 */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly kind: Kind;
  readonly details: FailureDetails;
  /** The step in which it happened, as a gerund phrase: `looking up eipalloc-1`. */
  readonly step: string | undefined;

  constructor(kind: Kind, details: FailureDetails, step?: string) {
    super(
      sentence(details, step),
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.kind = kind;
    this.details = details;
    this.step = step;
  }

  get code(): Code | undefined {
    return this.details.code;
  }

  /** Whether it is the same failure again, though perhaps of another request. */
  isLike({ kind, step, details }: Failure): boolean {
    return kind === this.kind && step === this.step && details.why === this.details.why;
  }
}

const DENIALS: readonly (Code | undefined)[] = [
  AWS_CODE.unauthorized,
  AWS_CODE.accessDenied,
  AWS_CODE.accessDeniedException,
];

/** Whether an IAM policy refused the request, as opposed to bad credentials. */
export function lacksPermission({ code }: Pick<Failure, "code">): boolean {
  return DENIALS.includes(code);
}

/** Whether the request may have been carried out all the same: there was no answer, or the server failed. */
export function isUnanswered({ kind, details: { status = 0 } }: Failure): boolean {
  return kind === "unreachable" || status >= 500;
}

/** The cause of a failure in words, cut to the length that messages and results can hold. */
export function causeOf({ details: { why } }: Failure): string {
  return shortened(why);
}

/** The same failure with `step` added, unless an inner step is already named. */
export function inStep(failure: Failure, step: string): Failure {
  return failure.step === undefined ? new Failure(failure.kind, failure.details, step) : failure;
}

function sentence(
  { request, requestId, why, remedy }: FailureDetails,
  step: string | undefined,
): string {
  const what = remedy === undefined ? shortened(why) : `${shortened(why)}; ${remedy}`;
  const where = [step, request].filter((part) => part !== undefined).join(": ");
  if (where === "") return what;
  return requestId === undefined
    ? `${what} (${where})`
    : `${what} (${where}, request ${requestId})`;
}
