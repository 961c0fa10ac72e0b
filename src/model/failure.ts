/**
 * Everything that can go wrong and was foreseen is a Failure of one of seven kinds. The kind says whether
 * another try is worth it (reconcile/retry.ts) and how the run ends if it is not. Whatever else is thrown is a bug.
 */

import { shortened } from "./text.ts";

/** Exit statuses, from sysexits(3), so that `systemctl status` prints their names. */
export const EXIT = {
  /** Settled, or rightly nothing to do. */
  OK: 0,
  /** Bad command line. */
  USAGE: 64,
  /** A newer instance holds the address. */
  UNAVAILABLE: 69,
  /** A bug. */
  SOFTWARE: 70,
  /** Out of time, stopped, or out of reach: another run may well succeed. */
  TEMPFAIL: 75,
  /** A permission or the instance role is missing. */
  NOPERM: 77,
  /** A setting, a tag or the address itself has to be corrected by somebody. */
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

/** Codes of our own, for causes that no service has a code for. They stand in result.json. */
export const OWN_CODE = {
  noTag: "NoTag",
  noRole: "NoRole",
  noInterface: "NoInterface",
  noPrivateIp: "NoPrivateIp",
  noSuchPrivateIp: "NoSuchPrivateIp",
  /** EC2 has accepted a write and does not show it. */
  notShown: "NotShown",
  /** The address is on an interface without an instance. */
  orphaned: "Orphaned",
  /** The lifecycle action of the launch hook has not begun yet. */
  notBegun: "NotBegun",
  /** Something answers in place of EC2 or Auto Scaling. */
  notOfAws: "NotOfAws",
  metadataSilent: "MetadataSilent",
  metadataOff: "MetadataOff",
} as const;
export type OwnCode = (typeof OWN_CODE)[keyof typeof OWN_CODE];

/** Codes of AWS on which something depends beyond their kind: those of EC2 and Auto Scaling, and one of instance metadata. */
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
/** Any other code of AWS: a string, and for the compiler none, so that a comparison with a misspelt code is an error. */
export interface OtherCode {
  readonly [other]: true;
}

export type Code = OwnCode | AwsCode | OtherCode;

/** The code that a service has answered with. */
export const codeOf = (text: string): Code => text as unknown as OtherCode;

export interface FailureDetails {
  /** What went wrong, lower case, with the ids. */
  readonly why: string;
  /** Which request, if one was made: `GET http://…`, `ec2:AssociateAddress at https://…`. Never a secret. */
  readonly request?: string | undefined;
  /** What to do about it, where that is known. */
  readonly remedy?: string | undefined;
  /** Which request it was, as EC2 and Auto Scaling name each of theirs. */
  readonly requestId?: string | undefined;
  /** The setting that has to be another one, and what it can be. */
  readonly setting?: { readonly key: string; readonly accepted: string } | undefined;
  /** The variable of the environment that makes no sense. */
  readonly variable?: string | undefined;
  /** To look again costs nobody anything: instance metadata, a route, a name. */
  readonly isLocal?: boolean | undefined;
  /** It is a write that has come to nothing, or is not shown. */
  readonly isWrite?: boolean | undefined;
  /** For `not-yet`: the status it turns into once its patience is over. Without one it is waited for to the deadline. */
  readonly permanentStatus?: typeof EXIT.CONFIG | typeof EXIT.NOPERM | typeof EXIT.OK | undefined;
  /** For `throttled`: how many requests there can be of those who want the same, this one among them, where that is known. */
  readonly contenders?: number | undefined;
  /** For `denied`: nothing that is added to the policy of the role can allow it. */
  readonly notFixableInRole?: boolean | undefined;
  /**
   * For `denied`: what AWS says about it in a form that only administrators can read, by `aws sts
   * decode-authorization-message`. Too long for the log.
   */
  readonly encoded?: string | undefined;
  /** The error code of the service, or our own, for those who catch it. */
  readonly code?: Code | undefined;
  /** What the service has said, in its own words. */
  readonly serviceMessage?: string | undefined;
  /** The HTTP status that the service has answered with, unless that says that nothing was done (throttling). */
  readonly status?: number | undefined;
  readonly cause?: unknown;
}

/** A foreseen failure. Its message is the whole sentence: step, request, why, cure. */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly kind: Kind;
  readonly details: FailureDetails;
  /** The step it happened in, a gerund phrase: `looking up eipalloc-1`. */
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

  /** Is it the same trouble, met again by another request? */
  isLike({ kind, step, details }: Failure): boolean {
    return kind === this.kind && step === this.step && details.why === this.details.why;
  }
}

const DENIALS: readonly (Code | undefined)[] = [
  AWS_CODE.unauthorized,
  AWS_CODE.accessDenied,
  AWS_CODE.accessDeniedException,
];

/** Has a policy refused it, and nothing else? */
export function lacksPermission({ code }: Pick<Failure, "code">): boolean {
  return DENIALS.includes(code);
}

/** Is it open whether the request was carried out: no answer, or one of a server that has failed? */
export function isUnanswered({ kind, details: { status = 0 } }: Failure): boolean {
  return kind === "unreachable" || status >= 500;
}

/** The same failure, told as part of `step`, unless a step further in has already named itself. */
export function inStep(failure: Failure, step: string): Failure {
  return failure.step === undefined ? new Failure(failure.kind, failure.details, step) : failure;
}

function sentence(
  { request, requestId, why, remedy }: FailureDetails,
  step: string | undefined,
): string {
  const sent = requestId === undefined ? request : `${request} (request ${requestId})`;
  const what = [step, sent, shortened(why)].filter((part) => part !== undefined).join(": ");
  return remedy === undefined ? what : `${what}; ${remedy}`;
}
