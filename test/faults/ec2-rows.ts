/** EC2 that cannot be reached, does not answer as it should, or refuses. */
import { allow, FULL_ROLE } from "../../sim/iam.ts";
import { openTlsFront } from "./fronts.ts";
import type { Row } from "./stage.ts";
import {
  answering,
  ASSOCIATE,
  associating,
  DESCRIBE,
  ec2,
  failing,
  made,
  NO_ANSWER,
  THROTTLED_MS,
} from "./troubles.ts";

export const EC2: Row[] = [
  {
    name: "refusing",
    begin: made(
      ({ region }) => region.unplug("ec2"),
      ({ region }) => region.plug("ec2"),
    ),
    told: [DESCRIBE, "connection refused"],
    status: 75,
  },
  {
    name: "resetting",
    begin: ec2({ do: "reset" }),
    told: [DESCRIBE, "connection reset"],
    status: 75,
  },
  {
    name: "hanging up",
    begin: ec2({ do: "hang-up" }),
    told: [DESCRIBE, "connection"],
    status: 75,
  },
  {
    name: "silent",
    begin: ec2({ do: "silence" }),
    told: [DESCRIBE, `${NO_ANSWER} 15 s`],
    status: 75,
    deadline: "18s",
  },
  {
    name: "stalling in the middle of an answer",
    begin: ec2({ do: "stall" }),
    told: [DESCRIBE, `${NO_ANSWER} 15 s`],
    status: 75,
    deadline: "18s",
  },
  {
    name: "TLS with a certificate of an unknown authority",
    begin: async ({ region }) => {
      const front = await openTlsFront(region.ec2Url);
      return {
        end: () => front.trust(),
        cleanUp: () => front.close(),
        environment: {
          AWS_ENDPOINT_URL_EC2: front.url,
          NODE_EXTRA_CA_CERTS: front.authority,
        },
      };
    },
    told: [
      "ec2:DescribeAddresses at localhost",
      "certificate is not trusted",
      "NODE_EXTRA_CA_CERTS",
    ],
    status: 75,
  },
  {
    name: "TLS is spoken to what is not TLS",
    begin: ({ region }) => ({
      environment: { AWS_ENDPOINT_URL_EC2: region.ec2Url.replace("http:", "https:") },
    }),
    told: [DESCRIBE, "it does not speak TLS"],
    status: 75,
    isForGood: true,
  },
  {
    name: "InternalError",
    begin: ec2(failing("InternalError", 500, "An internal error has occurred")),
    told: [DESCRIBE, "InternalError"],
    status: 75,
  },
  {
    name: "502 from a gateway in between",
    begin: ec2(answering(502, "<html><body>Bad Gateway</body></html>")),
    told: [DESCRIBE, "status 502"],
    status: 75,
  },
  {
    name: "503 without a word",
    begin: ec2(answering(503)),
    told: [DESCRIBE, "status 503"],
    status: 75,
    stepMs: THROTTLED_MS,
  },
  {
    name: "throttled",
    begin: ec2(failing("RequestLimitExceeded", 503, "Request limit exceeded.")),
    told: [DESCRIBE, "RequestLimitExceeded"],
    status: 75,
    stepMs: THROTTLED_MS,
  },
  {
    name: "throttled when associating",
    begin: ec2(failing("RequestLimitExceeded", 503, "Request limit exceeded."), associating),
    told: [ASSOCIATE, "RequestLimitExceeded"],
    status: 75,
    stepMs: THROTTLED_MS,
  },
  {
    name: "an HTML page with status 200",
    begin: ec2({ do: "html" }),
    told: [DESCRIBE, "status 200 without an answer of EC2"],
    status: 75,
  },
  {
    name: "bytes that mean nothing",
    begin: ec2({ do: "garbage" }),
    told: [DESCRIBE, "status 200 without an answer of EC2"],
    status: 75,
  },
  {
    name: "an over-long answer",
    begin: ec2({ do: "overlong" }),
    told: [DESCRIBE, "the answer is longer than 256 KB"],
    status: 75,
  },
  {
    name: "200 without an association id",
    begin: ec2({ do: "no-association-id" }, associating),
    told: [],
    status: 0,
    isHarmless: true,
    isHealedBefore: true,
  },
  {
    name: "200 that is a lie",
    begin: ec2({ do: "lie" }, associating),
    told: ["associating eipalloc-", "EC2 accepted the request but does not show the association"],
    status: 75,
    deadline: "20s",
  },
  {
    name: "200 that is a lie about a take",
    holder: "older",
    begin: ec2({ do: "lie" }, associating),
    told: ["associating eipalloc-", "EC2 accepted the request but does not show the association"],
    status: 75,
    deadline: "20s",
  },
  {
    name: "an answer that is lost by a reset although the association happened",
    begin: ec2({ do: "lose-answer", how: "reset" }, associating),
    told: [],
    status: 0,
    isHarmless: true,
    isHealedBefore: true,
  },
  {
    name: "an answer that never comes although the association happened",
    begin: ec2({ do: "lose-answer", how: "silence" }, associating),
    told: [],
    status: 0,
    isHarmless: true,
    deadline: "20s",
    isHealedBefore: true,
  },
  {
    name: "an answer to a take that never comes although it happened",
    holder: "older",
    begin: ec2({ do: "lose-answer", how: "silence" }, associating),
    told: [],
    status: 0,
    isHarmless: true,
    deadline: "20s",
    stepMs: 13_000, // and 3 s for which a take has to hold
    isHealedBefore: true,
  },
  {
    name: "describe answers from 3 s ago",
    begin: ec2({ do: "stale", byMs: 3_000 }),
    told: [],
    status: 0,
    isHarmless: true,
    deadline: "20s",
    isHealedBefore: true,
  },
  {
    name: "describe answers from minutes ago",
    begin: ec2({ do: "stale", byMs: 300_000 }),
    told: ["associating eipalloc-", "EC2 accepted the request but does not show the association"],
    status: 75,
    deadline: "10s",
    isSilentAtFirst: true,
    isHealedBefore: true,
  },
  {
    name: "does not know this instance yet",
    begin: made(
      ({ region, me }) => region.region.setKnownFrom(me, Date.now() + 3_600_000, 0),
      ({ region, me }) => region.region.setKnownFrom(me, 0),
    ),
    told: [ASSOCIATE, "InvalidInstanceID.NotFound"],
    status: 75,
  },
  {
    name: "does not know the address yet",
    begin: made(
      ({ region, allocationId }) =>
        region.region.setKnownFrom(allocationId, Date.now() + 3_600_000),
      ({ region, allocationId }) => region.region.setKnownFrom(allocationId, 0),
    ),
    told: [DESCRIBE, "no address eipalloc-", "another region"],
    status: 78,
  },
  {
    name: "the tag is not there yet",
    instance: { metadataTags: false },
    begin: made(
      ({ region, me }) => region.region.setKnownFrom(me, 0, Date.now() + 3_600_000),
      ({ region, me }) => region.region.setKnownFrom(me, 0),
    ),
    told: ["no tag allocation-id", "EIP_HEAL_ALLOCATION_ID"],
    status: 78,
  },
  {
    name: "this instance is still pending",
    instance: { state: "pending" },
    begin: ({ region, me }) => ({ end: () => region.region.running(me) }),
    told: [ASSOCIATE, "InvalidInstanceID", "pending instance"],
    status: 75,
  },
  {
    name: "an interface of an instance that is still pending",
    instance: { state: "pending", enis: [{}, {}] },
    begin: ({ region, me }) => ({ end: () => region.region.running(me) }),
    told: [ASSOCIATE, "IncorrectInstanceState", "pending-instance-creation"],
    status: 75,
  },
  {
    name: "a second interface that instance metadata does not show yet",
    begin: ec2(
      failing(
        "InvalidInstanceID",
        400,
        "There are multiple interfaces attached to instance 'i-0'. Please specify an interface ID for the operation instead.",
      ),
      associating,
    ),
    told: [ASSOCIATE, "InvalidInstanceID", "multiple interfaces"],
    status: 75,
  },
  {
    name: "the role allows nothing yet",
    begin: made(
      ({ region }) => region.region.setPolicy("full", { Statement: [] }),
      ({ region }) => region.region.setPolicy("full", FULL_ROLE),
    ),
    told: ["not allowed: ec2:DescribeInstances", "in the policy of the instance role"],
    status: 77,
    stepMs: 15_000,
  },
  {
    name: "the role does not allow associating yet",
    begin: made(
      ({ region }) =>
        region.region.setPolicy("full", allow(["ec2:DescribeAddresses", "ec2:DescribeInstances"])),
      ({ region }) => region.region.setPolicy("full", FULL_ROLE),
    ),
    told: [
      ASSOCIATE,
      "not allowed: ec2:AssociateAddress on arn:aws:ec2:us-east-1:111122223333:elastic-ip/eipalloc-",
      "in the policy of the instance role",
    ],
    status: 77,
    stepMs: 15_000,
  },
];

/** What EC2 answers to AssociateAddress, by code: those that pass are waited out to the deadline, the others end the run. */
export const CODES: Row[] = (
  [
    ["InvalidInstanceID", "The pending instance 'i-1' is not in a valid state.", 400, 75],
    ["InvalidInstanceID", "The shutting-down instance 'i-1' is not in a valid state.", 400, 75],
    ["IncorrectInstanceState", "The pending-volume-availability instance", 400, 75],
    ["InvalidInstanceID.NotFound", "The instance ID 'i-1' does not exist", 400, 75],
    ["InvalidNetworkInterfaceID.NotFound", "The networkInterface ID 'eni-1'", 400, 75],
    ["InvalidAllocationID.NotFound", "The allocation ID 'eipalloc-1' does not exist", 400, 78],
    ["InvalidAddress.NotFound", "Address '192.0.2.1' not found.", 400, 75],
    ["InvalidParameterValue", "Value for parameter privateIpAddress is invalid", 400, 78],
    ["InvalidParameterCombination", "You may specify InstanceId or", 400, 78],
    ["MissingParameter", "The request must contain the parameter", 400, 78],
    ["InvalidInstanceID.Malformed", "Invalid id", 400, 78],
    ["Gateway.NotAttached", "Network vpc-1 is not attached to any internet gateway", 400, 78],
    ["OperationNotPermitted", "The operation is not permitted", 400, 75],
    ["UnsupportedOperation", "The operation is not supported", 400, 75],
    ["AuthFailure", "You do not have permission to access the specified resource.", 400, 77],
    ["UnauthorizedOperation", "You are not authorized to perform this operation.", 403, 77],
    ["OptInRequired", "You are not subscribed to this service", 401, 77],
    ["Blocked", "Your account is currently blocked", 403, 77],
    ["PendingVerification", "Your account is currently being verified", 403, 77],
    ["SignatureDoesNotMatch", "The request signature we calculated", 403, 77],
    ["InvalidClientTokenId", "The X.509 certificate or credentials provided", 403, 77],
    ["ExpiredToken", "The security token included in the request is expired", 400, 77],
    ["RequestExpired", "Request has expired.", 400, 77],
    ["RequestLimitExceeded", "Request limit exceeded.", 503, 75],
    ["Throttling", "Rate exceeded", 400, 75],
    ["ServiceUnavailable", "The request has failed due to a temporary failure", 503, 75],
    ["Unavailable", "The server is overloaded", 503, 75],
    ["InternalFailure", "The request processing has failed", 500, 75],
    ["ServerInternal", "An internal error has occurred", 500, 75],
  ] as const
).map(([code, message, httpStatus, status]) => ({
  name: `${code}: ${message}`,
  begin: ec2(failing(code, httpStatus, message), associating),
  told: [
    "associating eipalloc-",
    ASSOCIATE,
    ...(code === "UnauthorizedOperation" ? ["not allowed: ec2:AssociateAddress"] : [code, message]),
  ],
  status,
  // A write that fails in EC2 is read back for a second and a half.
  deadline: "4s",
  passes: true,
}));

export const NO_WAY_OUT: Row[] = [
  {
    name: "no public IPv4: refused",
    instance: { autoPublicIp: false },
    begin: made(
      ({ region }) => region.unplug("ec2"),
      ({ region }) => region.plug("ec2"),
    ),
    told: [
      "connection refused",
      "this instance has no public IPv4 address",
      "let its subnet assign one",
      "interface endpoint for EC2",
      "IPv6",
    ],
    status: 75,
  },
  {
    // It has connected: the way out is not what is missing.
    name: "no public IPv4, a connection, and no answer",
    instance: { autoPublicIp: false },
    begin: ec2({ do: "silence" }),
    told: [`${NO_ANSWER} 15 s`],
    status: 75,
    deadline: "18s",
  },
];
