/**
 * What an error code of EC2 or Auto Scaling means for this agent, and what to do about it. If AWS uses one code for several
 * causes, the message decides. Codes: EC2 API reference, "Error codes for the Amazon EC2 API"; Auto Scaling API reference,
 * "Common Errors".
 */
import {
  AWS_CODE,
  codeOf,
  EXIT,
  Failure,
  type FailureDetails,
  type Kind,
  lacksPermission,
} from "../model/failure.ts";
import { allowing, printing } from "../model/permission.ts";
import { ELSEWHERE } from "./finding.ts";

/** The services that are called, by their prefixes in IAM. */
export type Service = "ec2" | "autoscaling";

/** An error that EC2 or Auto Scaling answered with. */
export interface ErrorAnswer {
  readonly service: Service;
  readonly code: string;
  readonly message: string;
  /** HTTP status. */
  readonly status: number;
  /** The action, such as `AssociateAddress`. */
  readonly action: string;
  /** For messages: `ec2:AssociateAddress at ec2.us-east-1.amazonaws.com`. */
  readonly request: string;
  /** The request id that the service returned. */
  readonly requestId?: string | undefined;
}

type Meaning = readonly [kind: Kind, details?: Pick<FailureDetails, "remedy" | "permanentStatus">];

const THROTTLED =
  /^(RequestLimitExceeded|Throttling.*|ThrottledException|RequestThrottled.*|TooManyRequests.*|SlowDown|BandwidthLimitExceeded|EC2ThrottledException|PriorRequestNotComplete|TransactionInProgressException)$/;

/** Codes that mean the same for every action and message. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  "InvalidInstanceID.NotFound": ["not-yet"],
  "InvalidNetworkInterfaceID.NotFound": ["not-yet"],
  InvalidInstanceID: ["not-yet"],
  IncorrectInstanceState: ["not-yet"],
  "InvalidAllocationID.NotFound": ["not-yet", { permanentStatus: EXIT.CONFIG, remedy: ELSEWHERE }],
  "Resource.AlreadyAssociated": ["held"],
  "Gateway.NotAttached": [
    "not-yet",
    {
      permanentStatus: EXIT.CONFIG,
      remedy: "attach an internet gateway to the VPC and route the subnet to it",
    },
  ],
  RequestExpired: [
    "not-yet",
    { permanentStatus: EXIT.NOPERM, remedy: "check the clock of this instance (chronyc tracking)" },
  ],
  OptInRequired: ["denied", { remedy: "this account may not use EC2 in this region" }],
  Blocked: ["denied", { remedy: "the account is blocked: ask AWS Support" }],
  PendingVerification: ["denied", { remedy: "the account is being verified by AWS" }],
};

/**
 * Codes for an invalid request, which stays invalid. This list is deliberately short: EC2 has hundreds of codes and gets new
 * ones, and an instance that gives up by mistake cannot be reached by anybody.
 */
const PERMANENT =
  /^(InvalidParameterValue|InvalidParameterCombination|MissingParameter|UnknownParameter)$|\.Malformed$/;

const BAD_CREDENTIALS =
  /^(AuthFailure|InvalidClientTokenId|UnrecognizedClientException|SignatureDoesNotMatch|IncompleteSignature|MissingAuthenticationToken|InvalidSecurityToken|ExpiredToken.*)$/;

/** Turns an error answer into a Failure. */
export function classify(answer: ErrorAnswer): Failure {
  const { service, code, message, status, action, request, requestId } = answer;
  const why = message === "" ? `${code} (${status})` : `${code}: ${message}`;
  const common = { request, requestId, code: codeOf(code), serviceMessage: message };
  const fail = ([kind, details]: Meaning) =>
    new Failure(kind, { why, status, ...common, ...details });

  if (lacksPermission(common)) return new Failure("denied", { ...common, ...refusal(answer) });
  // Without the HTTP status, usually 503: a throttled request was certainly not carried out.
  if (THROTTLED.test(code)) return new Failure("throttled", { why, ...common });
  const known = Object.hasOwn(MEANINGS, code) ? MEANINGS[code] : undefined;
  if (known !== undefined) return fail(known);
  if (BAD_CREDENTIALS.test(code)) {
    return fail([
      "denied",
      {
        remedy:
          action === "AssociateAddress" && code === AWS_CODE.authFailure
            ? "is the address this account's own, and not managed by a load balancer or NAT gateway?"
            : "check the credentials (the instance role, or the AWS_ variables) and the clock",
      },
    ]);
  }
  // By a 503 with any other code EC2 asks to try later.
  if (status === 503) return fail(["throttled"]);
  if (status >= 500 || status < 400) return fail(["unreachable"]);
  if (PERMANENT.test(code)) return fail(["misconfigured"]);
  // Auto Scaling uses this one code for every invalid request.
  if (service === "autoscaling" && code === AWS_CODE.validation) {
    return fail(["not-yet", { permanentStatus: EXIT.CONFIG }]);
  }
  // An unknown code may be temporary.
  return fail(["not-yet"]);
}

/**
 * Cause and remedy from a message such as `… is not authorized to perform: ec2:X on resource: arn:… because …`. Not every
 * message has all parts.
 */
function refusal({
  service,
  action,
  message,
}: ErrorAnswer): Pick<FailureDetails, "why" | "remedy" | "notFixableInRole" | "encoded"> {
  const [, permission = `${service}:${action}`, arn] =
    /perform: (\S+)(?: on resource: (\S+))?/.exec(message) ?? [];
  const [, because] = /(?:because|with) (.+?)\.?(?: Encoded authorization|$)/.exec(message) ?? [];
  const [, encoded] = /Encoded authorization failure message: ([\w+/=.-]+)/.exec(message) ?? [];
  const on = arn === undefined ? "" : ` on ${arn}`;
  const common = {
    why: `not allowed: ${permission}${on}${because === undefined ? "" : ` (${because})`}`,
    ...(encoded !== undefined && { encoded }),
  };
  // IAM user guide, "Troubleshoot access denied error messages": the type of policy, and whether it is an explicit deny or
  // a missing allow.
  const [, denying] = /^an explicit deny in (.+)$/.exec(because ?? "") ?? [];
  if (denying !== undefined) {
    const remedy = `have it taken out of what ${denying} denies: no other policy can allow it`;
    return { ...common, remedy, notFixableInRole: true };
  }
  const [, lacking] = /^no (.+? policy|permissions boundary) allows /.exec(because ?? "") ?? [];
  if (lacking === "identity-based policy") return { ...common, remedy: allowing(permission) };
  if (lacking !== undefined) {
    const remedy = `have ${permission} allowed by the ${lacking} as well: the policy of the role cannot do that`;
    return { ...common, remedy, notFixableInRole: true };
  }
  const remedy = `the answer does not say which policy lacks or denies it; if it is that of the instance role, ${printing(permission)} prints one that allows it`;
  return { ...common, remedy };
}
