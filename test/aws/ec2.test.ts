/** What is asked of EC2 besides what was to be known, and what becomes of it if EC2 does not answer that. */
import { expect, test } from "vitest";
import type { Address } from "@aws-sdk/client-ec2";
import { type Ec2Api, ec2Over } from "../../src/aws/ec2.ts";
import { Failure } from "../../src/model/failure.ts";
import { PUBLIC_IP, TARGET } from "../reconcile/fixtures.ts";
import { SELF } from "../run/scripted.ts";

const DESIRED = { kind: "public-ip", publicIp: "203.0.113.70" } as const;

/** The failures of so many looks at an address that is not here, each over a connection of its own. */
async function looks(count: number, similar: Address[] | Failure) {
  const asked: string[] = [];
  const unused = () => Promise.reject(new Error("not in this test"));
  const api: Ec2Api = {
    host: "ec2.us-east-1.amazonaws.com",
    async describeAddresses(_, [first = "", ...more]) {
      asked.push(more.length === 0 ? first : "similar");
      if (more.length === 0) return [];
      if (similar instanceof Failure) throw similar;
      return similar;
    },
    describeInstances: unused,
    describeInstancesById: unused,
    describeNetworkInterfaces: unused,
    associateAddress: unused,
    disassociateAddress: unused,
    close: () => {},
  };
  const hints = new Map<string, string | undefined>();
  const failures: unknown[] = [];
  for (let n = 0; n < count; n++) {
    const ec2 = ec2Over(api, SELF, new Set(), { isOn: false }, hints);
    failures.push(await ec2.observe(DESIRED, TARGET).catch((error: unknown) => error));
  }
  return { asked, failures };
}

test("which address is meant instead is asked for once in a run, and said each time", async () => {
  const { asked, failures } = await looks(3, [{ PublicIp: PUBLIC_IP }]);
  expect(asked).toEqual([DESIRED.publicIp, "similar", DESIRED.publicIp, DESIRED.publicIp]);
  for (const failure of failures) {
    expect((failure as Failure).message).toContain(`did you mean ${PUBLIC_IP}?`);
  }
});

test("where that is not answered, it is the address that is missing all the same", async () => {
  const { asked, failures } = await looks(2, new Failure("throttled", { why: "too many" }));
  expect(asked).toEqual([DESIRED.publicIp, "similar", DESIRED.publicIp]);
  for (const failure of failures) {
    expect(failure).toMatchObject({ kind: "not-yet", code: "InvalidAllocationID.NotFound" });
  }
});
