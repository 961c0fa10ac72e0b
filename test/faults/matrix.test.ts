/**
 * A hostile boot, line by line: what real instances meet in their first minutes, at the real binary, each for
 * a while, for good, with a newer instance that takes the address meanwhile, and with SIGTERM in the middle.
 */
import { describe, test, vi } from "vitest";
import { allow, FULL_ROLE } from "../../sim/iam.ts";
import { type FaultRule, TOKEN_NOT_HONOURED } from "../../sim/faults.ts";
import { openTlsFront } from "./fronts.ts";
import { expectShown } from "./showing.ts";
import { coursesOf, play, type Row, type Scene, type Trouble } from "./stage.ts";

const TIMEOUT_MS = 120_000;

// Each run sleeps and waits for most of its time: many at once cost little.
vi.setConfig({ maxConcurrency: 18 });

// --- troubles ---

/** Requests that fit go wrong. */
function faulty(...rules: FaultRule[]) {
  return ({ region }: Scene): Trouble => {
    const faults = rules.map((rule) => region.faults.add(rule));
    return {
      end: () => faults.forEach((fault) => region.faults.clear(fault)),
      felt: () => faults.some(({ hits }) => hits > 0),
    };
  };
}

const LEAF = "/latest/meta-data/instance-id";
const MACS = "/latest/meta-data/network/interfaces/macs/";
const imds = (effect: FaultRule["effect"], rest: Partial<FaultRule> = {}) =>
  faulty({ service: "imds", effect, ...rest });
const ec2 = (effect: FaultRule["effect"], rest: Partial<FaultRule> = {}) =>
  faulty({ service: "ec2", effect, ...rest });
const answering = (status: number, body = "") => ({ do: "status", status, body }) as const;
const failing = (code: string, status = 400, message?: string) =>
  ({ do: "error", code, status, ...(message !== undefined && { message }) }) as const;
const associating = { action: "AssociateAddress" };

/** What was made so is put right again. */
const made =
  (wrong: (scene: Scene) => unknown, right: (scene: Scene) => unknown) =>
  async (scene: Scene): Promise<Trouble> => {
    await wrong(scene);
    return { end: () => right(scene) };
  };

/** Role credentials as instance metadata shows them, which expire so many milliseconds from now. */
function expiring(inMs: number) {
  return (scene: Scene): Trouble => {
    const { region, me } = scene;
    const { accessKeyId, secretAccessKey, token, expiration } = region.credentials.issue(me, inMs);
    const body = JSON.stringify({
      Code: "Success",
      AccessKeyId: accessKeyId,
      SecretAccessKey: secretAccessKey,
      Token: token,
      Expiration: new Date(expiration).toISOString(),
    });
    const path = "/latest/meta-data/iam/security-credentials/full";
    return imds(answering(200, body), { path })(scene);
  };
}

// --- the table ---

/** The longest pause between two tries that EC2 has throttled, as reconcile/retry.ts has it, in milliseconds. */
const THROTTLED_MS = 30_000;

const PUT_TOKEN = "PUT http://127.0.0.1";
const NO_ANSWER = "no complete answer within";
const DESCRIBE = "ec2:DescribeAddresses at 127.0.0.1";
const ASSOCIATE = "ec2:AssociateAddress at 127.0.0.1";

const IMDS: Row[] = [
  {
    name: "silent",
    begin: imds({ do: "silence" }),
    told: [PUT_TOKEN, `${NO_ANSWER} 2 s`, "is this an EC2 instance"],
    status: 75,
  },
  {
    name: "refusing",
    begin: made(
      ({ region, me }) => region.unplug(me),
      ({ region, me }) => region.plug(me),
    ),
    told: [PUT_TOKEN, "connection refused", "is this an EC2 instance"],
    status: 75,
  },
  {
    name: "resetting",
    begin: imds({ do: "reset" }),
    told: [PUT_TOKEN, "connection reset", "is this an EC2 instance"],
    status: 75,
  },
  {
    name: "hanging up",
    begin: imds({ do: "hang-up" }),
    told: [PUT_TOKEN, "connection", "is this an EC2 instance"],
    status: 75,
  },
  {
    name: "stalling in the middle of the token",
    begin: imds({ do: "stall" }, { method: "PUT" }),
    told: [PUT_TOKEN, `${NO_ANSWER} 2 s`],
    status: 75,
  },
  {
    name: "stalling in the middle of a leaf",
    begin: imds({ do: "stall" }, { path: LEAF }),
    told: [LEAF, `${NO_ANSWER} 2 s`],
    status: 75,
  },
  {
    name: "401 on every read after a good token",
    begin: faulty(TOKEN_NOT_HONOURED),
    told: ["refuses the token that it has just given (401)"],
    status: 75,
  },
  {
    name: "403: switched off",
    begin: made(
      ({ region, me }) => region.region.setMetadata(me, { metadata: "disabled" }),
      ({ region, me }) => region.region.setMetadata(me, { metadata: "enabled" }),
    ),
    told: [PUT_TOKEN, "switched off", "(403)", "aws ec2 modify-instance-metadata-options"],
    status: 75,
  },
  {
    name: "429 on a leaf, once",
    begin: imds(answering(429), { path: LEAF, count: 1 }),
    told: [],
    status: 0,
    deadline: "20s",
    isHarmless: true,
    passes: true,
  },
  {
    name: "429 on a leaf",
    begin: imds(answering(429), { path: LEAF }),
    told: [LEAF, "it is asked too often (429)"],
    status: 75,
  },
  {
    name: "404 on a leaf",
    begin: imds(answering(404), { path: LEAF }),
    told: ["meta-data/instance-id", "does not have it yet"],
    status: 75,
  },
  {
    name: "404 on a leaf that its parent lists",
    begin: (scene) => {
      const { mac = "" } = scene.region.region.instance(scene.me).interfaces[0] ?? {};
      return imds(answering(404), { path: `${MACS}${mac}/interface-id` })(scene);
    },
    told: [MACS.slice("/latest/".length), "interface-id", "does not have it yet"],
    status: 75,
  },
  {
    name: "500",
    begin: imds(answering(500)),
    told: [PUT_TOKEN, "status 500"],
    status: 75,
  },
  {
    name: "503 on reads",
    begin: imds(answering(503), { method: "GET" }),
    told: ["GET http://127.0.0.1", "status 503"],
    status: 75,
  },
  {
    name: "an HTML page with status 200 for the token",
    begin: imds({ do: "html" }),
    told: [PUT_TOKEN, "not a token"],
    status: 75,
  },
  {
    name: "an HTML page with status 200 for every leaf",
    begin: imds({ do: "html" }, { method: "GET" }),
    told: ["meta-data/", "answered with something else", "<!DOCTYPE html>"],
    status: 75,
  },
  {
    name: "an HTML page with status 200 for the credentials",
    begin: imds({ do: "html" }, { path: "/latest/meta-data/iam/" }),
    told: ["meta-data/iam/security-credentials/", "not the name of a role"],
    status: 75,
  },
  {
    name: "bytes that mean nothing",
    begin: imds({ do: "garbage" }, { method: "GET" }),
    told: ["meta-data/", "answered with something else"],
    status: 75,
  },
  {
    name: "an over-long token",
    begin: imds({ do: "overlong" }),
    told: [PUT_TOKEN, "longer than"],
    status: 75,
  },
  {
    name: "an over-long leaf",
    begin: imds({ do: "overlong" }, { path: LEAF }),
    told: [LEAF, "longer than"],
    status: 75,
  },
  {
    name: "token refused: 400",
    begin: imds(answering(400), { method: "PUT" }),
    told: [PUT_TOKEN, "status 400"],
    status: 75,
  },
  {
    name: "token refused: 404, the service is not there",
    begin: imds(answering(404), { method: "PUT" }),
    told: [PUT_TOKEN, "switched off", "(404)"],
    status: 75,
  },
  {
    name: "an empty token",
    begin: imds(answering(200), { method: "PUT" }),
    told: [PUT_TOKEN, "the answer is empty"],
    status: 75,
  },
  {
    name: "elsewhere: a redirect",
    begin: imds({ do: "status", status: 302, headers: { location: "http://127.0.0.1:9/" } }),
    told: [PUT_TOKEN, "status 302"],
    status: 75,
  },
];

const CREDENTIALS: Row[] = [
  {
    name: "no role yet",
    begin: made(
      ({ region, me }) => region.region.setRole(me, null),
      ({ region, me }) => region.region.setRole(me, "full"),
    ),
    told: ["no role, or not yet", "attach an instance profile"],
    status: 77,
  },
  {
    name: "a role that EC2 may not assume",
    begin: made(
      ({ region }) =>
        region.region.setCredentials("full", { broken: "AssumeRoleUnauthorizedAccess" }),
      ({ region }) => region.region.setCredentials("full", { broken: null }),
    ),
    told: ["AssumeRoleUnauthorizedAccess", "let EC2 assume", "trust policy"],
    status: 77,
  },
  {
    name: "an instance profile without a role",
    begin: made(
      ({ region }) => region.region.setCredentials("full", { broken: "InstanceProfileNotFound" }),
      ({ region }) => region.region.setCredentials("full", { broken: null }),
    ),
    told: ["no role, or not yet", "attach an instance profile"],
    status: 77,
  },
  {
    name: "expired on arrival, for hours",
    begin: expiring(-2 * 3_600_000),
    told: [DESCRIBE, "RequestExpired", "clock"],
    status: 77,
  },
  {
    name: "expired on arrival, for minutes",
    begin: expiring(-10 * 60_000),
    told: [DESCRIBE, "RequestExpired", "clock"],
    status: 77,
  },
  {
    name: "broken JSON",
    begin: imds(answering(200, '{"Code":"Success","AccessKeyId":'), {
      path: "/latest/meta-data/iam/security-credentials/full",
    }),
    told: ["security-credentials/full", "not credentials"],
    status: 75,
  },
  {
    name: "half of them",
    begin: imds(answering(200, '{"Code":"Success","AccessKeyId":"ASIA0"}'), {
      path: "/latest/meta-data/iam/security-credentials/full",
    }),
    told: ["security-credentials/full", "the credentials are incomplete"],
    status: 75,
  },
  {
    name: "an API that does not know them",
    begin: ec2(
      failing("AuthFailure", 401, "AWS was not able to validate the provided access credentials"),
    ),
    told: [DESCRIBE, "AuthFailure", "check the credentials"],
    status: 77,
    stepMs: 15_000,
  },
  {
    name: "rotated between look and act",
    // The look takes a while, and when it is over, six minutes have gone and the credentials with them.
    begin: (scene) => {
      const { region, me, setClock } = scene;
      region.credentials.issue(me, 6 * 60_000);
      const look = region.faults.add({
        service: "ec2",
        action: "DescribeAddresses",
        count: 1,
        effect: { do: "delay", afterMs: 700 },
      });
      const rotation = setInterval(() => {
        if (look.hits > 0) setClock(7 * 60_000);
      }, 50);
      return {
        felt: () => region.calls.some(({ error }) => error === "RequestExpired"),
        cleanUp: () => clearInterval(rotation),
      };
    },
    told: ["RequestExpired"],
    status: 0,
    passes: true,
  },
  ...[20, -20, -480].map((minutes): Row => ({
    // Eight hours ahead the credentials look expired as well.
    name: `the clock of this machine is ${Math.abs(minutes)} minutes ${minutes > 0 ? "behind" : "ahead"}`,
    begin: ({ region, setClock }) => {
      setClock(minutes * 60_000);
      return { felt: () => region.calls.some(({ error }) => error === "RequestExpired") };
    },
    told: [],
    status: 0,
    isHarmless: true,
    passes: true,
  })),
  {
    name: "a clock that no answer of EC2 puts right",
    begin: ec2(failing("RequestExpired", 400, "Request has expired.")),
    told: [DESCRIBE, "RequestExpired", "check the clock of this instance"],
    status: 77,
  },
];

const EC2: Row[] = [
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
    told: [DESCRIBE, "what it speaks is not TLS"],
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
    told: ["associating eipalloc-", "EC2 has accepted it and does not show it"],
    status: 75,
    deadline: "10s",
  },
  {
    name: "200 that is a lie about a take",
    holder: "older",
    begin: ec2({ do: "lie" }, associating),
    told: ["associating eipalloc-", "EC2 has accepted it and does not show it"],
    status: 75,
    deadline: "10s",
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
    told: ["associating eipalloc-", "EC2 has accepted it and does not show it"],
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
    told: [DESCRIBE, "EC2 does not know eipalloc-", "another region"],
    status: 78,
  },
  {
    name: "the tag is not there yet",
    instance: { metadataTags: false },
    begin: made(
      ({ region, me }) => region.region.setKnownFrom(me, 0, Date.now() + 3_600_000),
      ({ region, me }) => region.region.setKnownFrom(me, 0),
    ),
    told: ["has no tag allocation-id", "EIP_HEAL_ALLOCATION_ID"],
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
const CODES: Row[] = (
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

const NO_WAY_OUT: Row[] = [
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

describe.each([
  ["instance metadata", IMDS],
  ["credentials", CREDENTIALS],
  ["EC2", EC2],
  ["EC2's error codes", CODES],
  ["no way out", NO_WAY_OUT],
])("%s", (_, rows) => {
  const cases = rows.flatMap((row) =>
    coursesOf(row).map((course) => [row.name, course, row] as const),
  );
  test.concurrent.each(cases)(
    "%s, %s",
    async (_, course, row) => expectShown(row, course, await play(row, course)),
    TIMEOUT_MS,
  );
});
