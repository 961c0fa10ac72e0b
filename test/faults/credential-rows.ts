/** Credentials that are not there, not good or not good any more, and clocks that are wrong. */
import type { Row } from "./stage.ts";
import { answering, DESCRIBE, ec2, expiring, failing, imds, made } from "./troubles.ts";

export const CREDENTIALS: Row[] = [
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
    // The last thing that is asked before the write takes a while, and when it is answered, six minutes have gone and the
    // credentials with them.
    begin: (scene) => {
      const { region, me, setClock } = scene;
      region.credentials.issue(me, 6 * 60_000);
      const last = region.faults.add({
        service: "imds",
        path: "/latest/meta-data/spot/instance-action",
        count: 1,
        effect: { do: "delay", afterMs: 700 },
      });
      const rotation = setInterval(() => {
        if (last.hits > 0) setClock(7 * 60_000);
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
