/** Who may do what in the region, and how often. */
import { expect, test } from "vitest";
import { allow, type PolicyDocument } from "./iam.ts";
import { AWS_BUCKETS } from "./throttle.ts";
import { as, at, said } from "./virtual.ts";
import { aWorld } from "./world.ts";

test("IAM: the old role may not describe addresses, and the message says what is missing on what", () => {
  const world = aWorld();
  const a = world.address();
  const [old, nobody] = [world.instance({ role: "old" }), world.instance({ role: undefined })];
  const { region } = at(world);
  const [told, encoded] = String(said(() => region.describeAddresses(as(old)))).split(
    ". Encoded authorization failure message: ",
  );
  expect(told).toBe(
    "UnauthorizedOperation: You are not authorized to perform this operation. User: " +
      `arn:aws:sts::111122223333:assumed-role/old/${old.instanceId} is not authorized to perform: ec2:DescribeAddresses ` +
      "because no identity-based policy allows the ec2:DescribeAddresses action",
  );
  expect(encoded).toMatch(/^[\w-]{20,}$/);
  expect(region.describeInstances(as(old)).items).toHaveLength(2);
  expect(
    said(() =>
      region.associateAddress(as(nobody), {
        allocationId: a.allocationId,
        instanceId: nobody.instanceId,
      }),
    ),
  ).toContain(
    `is not authorized to perform: ec2:AssociateAddress on resource: arn:aws:ec2:us-east-1:111122223333:elastic-ip/${a.allocationId} because`,
  );
});

test("IAM: what is allowed from a moment on is not before", () => {
  const world = aWorld();
  const i = world.instance({ role: "old" });
  const { region, clock } = at(world);
  region.setPolicy("old", allow(["ec2:*"]), clock.now + 5000);
  const look = (): unknown => said(() => region.describeAddresses(as(i)));
  expect(look()).toMatch(/^UnauthorizedOperation/);
  expect(region.describeInstances(as(i)).items).toHaveLength(1);
  clock.now += 5000;
  expect(look()).toEqual([]);
});

test("IAM: a policy that lets an instance act only on itself", () => {
  const policy: PolicyDocument = {
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Allow",
        Action: "ec2:AssociateAddress",
        Resource: "arn:aws:ec2:us-east-1:111122223333:elastic-ip/*",
        Condition: { StringEquals: { "aws:ResourceTag/eip-heal": "web" } },
      },
      {
        Effect: "Allow",
        Action: "ec2:AssociateAddress",
        Resource: "arn:aws:ec2:us-east-1:111122223333:instance/*",
        Condition: { StringLike: { "aws:userid": "*:${ec2:InstanceID}" } },
      },
    ],
  };
  const world = aWorld();
  const [a, b] = [world.address({ tags: { "eip-heal": "web" } }), world.address()];
  const role = world.role("self", policy);
  const [i, j] = [world.instance({ role }), world.instance({ role })];
  const { region } = at(world);
  const put = (what: { allocationId: string }, on: { instanceId: string }): unknown =>
    said(() =>
      region.associateAddress(as(i), {
        allocationId: what.allocationId,
        instanceId: on.instanceId,
      }),
    );
  expect(put(a, j)).toContain(
    `on resource: arn:aws:ec2:us-east-1:111122223333:instance/${j.instanceId}`,
  );
  expect(put(b, i)).toContain(
    `on resource: arn:aws:ec2:us-east-1:111122223333:elastic-ip/${b.allocationId}`,
  );
  expect(put(a, i)).toMatch(/^eipassoc-/);
});

test("DryRun says whether it is permitted, and nothing more", () => {
  const world = aWorld();
  const i = world.instance({ role: "old" });
  const { region } = at(world);
  const dry = {
    allocationId: "eipalloc-0123456789abcdef0",
    instanceId: i.instanceId,
    dryRun: true,
  };
  expect(said(() => region.associateAddress(as(i), dry))).toBe(
    "DryRunOperation: Request would have succeeded, but DryRun flag is set.",
  );
  expect(said(() => region.describeAddresses(as(i), { dryRun: true }))).toMatch(
    /^UnauthorizedOperation/,
  );
});

test("throttling: a bucket that refills", () => {
  const world = aWorld({ settings: { throttle: AWS_BUCKETS } });
  const a = world.address();
  const i = world.instance();
  const { region, clock } = at(world);
  const claims = (): number => {
    let granted = 0;
    const claim = { allocationId: a.allocationId, instanceId: i.instanceId };
    while (
      !String(said(() => region.associateAddress(as(i), claim))).startsWith("RequestLimitExceeded")
    )
      granted += 1;
    return granted;
  };
  expect(claims()).toBe(50);
  clock.now += 2000;
  expect(claims()).toBe(10);
  region.configure({ throttle: undefined });
  expect(region.describeAddresses(as(i))).toHaveLength(1);
});
