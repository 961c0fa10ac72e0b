/** What doctor tells of permissions: by a dry run of the association, and of those that are optional. */
import { describe, expect, test } from "vitest";
import { allow } from "../../sim/iam.ts";
import { ALL, another, conf, fullPool, heldBy, HOOK, HOUR, inGroup, MINE } from "./changes.ts";
import { type Scene, scenario, type Start } from "../support/scenario.ts";
import { doctor } from "./checkup.ts";

describe("the dry run of AssociateAddress", () => {
  test.concurrent.each<[string, Start, string[]?]>([
    ["nobody has the address", {}],
    ["an older instance has it", heldBy({ launchTime: MINE - HOUR })],
    ["a stopped one has it", heldBy({ state: "stopped", keepsAssociation: true })],
    [
      "it is on another interface of this instance",
      {
        instance: { enis: [{}, { privateIps: ["10.0.0.50", "10.0.0.51"] }] },
        build: (world, me, allocationId) => world.hold({ allocationId }, me),
      },
      ["EIP_HEAL_INTERFACE=1", "EIP_HEAL_PRIVATE_IP=10.0.0.51"],
    ],
    ["another Elastic IP is in the place", another],
    [
      "a full pool, of which the oldest loses one",
      fullPool(MINE - HOUR),
      ["EIP_HEAL_POOL=eip-pool=web", "EIP_HEAL_POOL_TAKEOVER=oldest"],
    ],
  ])("asks for what the heal asks for: %s", async (_, start, lines = []) =>
    scenario({ start, breakIt: conf(...lines) }, async (scene) => {
      const checkup = await doctor(scene);
      expect(checkup.healthy, JSON.stringify(checkup, null, 1)).toBe(true);
      const healed = await scene.run();
      expect(healed.status, healed.log.join("\n")).toBe(0);
      const [dry, real, ...more] = scene.region.calls.flatMap(({ action, params }) =>
        action === "AssociateAddress" ? [params] : [],
      );
      expect(more).toEqual([]);
      expect(dry).toEqual({ ...real, DryRun: "true" });
    }),
  );

  const answered = (effect: Parameters<Scene["region"]["faults"]["add"]>[0]["effect"]) =>
    scenario(
      {
        breakIt: ({ region }) =>
          region.faults.add({ service: "ec2", action: "AssociateAddress", effect }),
      },
      async (scene) => {
        const checkup = await doctor(scene);
        return { ...checkup, check: checkup.checks.find(({ id }) => id === "associate") };
      },
    );

  test.concurrent.each([
    "InvalidAllocationID.NotFound",
    "Resource.AlreadyAssociated",
    "IncorrectState",
    "IncorrectInstanceState",
    "InvalidParameterValue",
    "Gateway.NotAttached",
    "SomethingNew",
  ])("%s says that the role may do it", async (code) => {
    const { check, healthy } = await answered({ do: "error", code, message: "m", status: 400 });
    expect(check).toMatchObject({ mark: "ok", found: "allowed" });
    expect(healthy).toBe(true);
  });

  test.concurrent.each<[string, Parameters<typeof answered>[0]]>([
    ["throttling", { do: "error", code: "RequestLimitExceeded", status: 503 }],
    ["a failure of EC2's own", { do: "error", code: "InternalError", status: 500 }],
    ["a page of somebody else", { do: "html" }],
    ["no answer", { do: "reset" }],
  ])("%s says nothing, and that is told", async (_, effect) => {
    const { check, message, exitStatus } = await answered(effect);
    expect(check).toMatchObject({ mark: "warning" });
    expect(check?.found).toMatch(/^whether it is allowed is not known: ec2:AssociateAddress at /);
    expect(exitStatus).toBe(0);
    expect(message).toContain("if what could not be looked at is in order (associate)");
  });

  test("a denial that says nothing but that it is one: what is encoded can be decoded", async () => {
    const encoded = "VXNlcjog-_x1";
    const { check, exitStatus } = await answered({
      do: "error",
      code: "UnauthorizedOperation",
      message: `You are not authorized to perform this operation. Encoded authorization failure message: ${encoded}`,
      status: 403,
    });
    expect(exitStatus).toBe(77);
    expect(check).toMatchObject({ mark: "failed", found: "not allowed: ec2:AssociateAddress" });
    expect(check?.cure).toContain("does not say which policy");
    expect(check?.commands?.at(-1)).toBe(
      `aws sts decode-authorization-message --region us-east-1 --encoded-message ${encoded}`,
    );
  });

  test.concurrent.each([
    ["with an explicit deny in a service control policy", "a service control policy"],
    [
      "because no VPC endpoint policy allows the ec2:AssociateAddress action",
      "VPC endpoint policy",
    ],
  ])("%s: nothing is put into the role", async (reason, policy) => {
    const { check } = await answered({
      do: "error",
      code: "UnauthorizedOperation",
      message: `You are not authorized to perform this operation. User: u is not authorized to perform: ec2:AssociateAddress on resource: arn:aws:ec2:us-east-1:1:instance/i-1 ${reason}. Encoded authorization failure message: VXNlcjog`,
      status: 403,
    });
    expect(check).toMatchObject({ mark: "failed" });
    expect(check?.cure).toContain(policy);
    expect(check?.commands?.map((command) => command.split(" ")[1])).toEqual(["sts"]);
  });

  test("an address that is somebody else's is no matter of the role's", async () => {
    const message = "You do not have permission to access the specified resource.";
    const { check } = await answered({ do: "error", code: "AuthFailure", message, status: 400 });
    expect(check).toMatchObject({ mark: "failed" });
    expect(check?.cure).toContain("is the address this account's own");
    expect(check).not.toHaveProperty("commands");
  });
});

describe("what is optional is a note, whatever comes out", () => {
  const INTERFACES = "ec2:DescribeNetworkInterfaces";
  const GROUP = "autoscaling:DescribeAutoScalingInstances";
  const isMember: Start = { ...inGroup, groups: { web: HOOK } };
  const silent =
    (service: "ec2" | "autoscaling", action: string) =>
    (scene: Scene): void =>
      void scene.region.faults.add({ service, action, effect: { do: "silence" } });

  test.concurrent.each<[string, Start, string[], RegExp, ((scene: Scene) => void)?]>([
    [
      "neither, and in no group",
      {},
      [],
      /^not allowed: ec2:\w+, and without it an address .* by hand; autoscaling:\w+ is not needed: this instance is in no /,
    ],
    [
      "neither, and in a group",
      isMember,
      [],
      /^not allowed: ec2:\w+, and .*; not allowed: autoscaling:\w+, and without it nothing is taken from a running /,
    ],
    ["both", isMember, [INTERFACES, GROUP], /^ec2:\w+ is allowed; autoscaling:\w+ is allowed$/],
    [
      "both, and a group that only the target state tells of",
      { ...isMember, instance: { ...inGroup.instance, metadataTags: false } },
      [INTERFACES, GROUP],
      /; autoscaling:\w+ is allowed$/,
    ],
    [
      "both, and Auto Scaling is silent",
      isMember,
      [INTERFACES, GROUP],
      /; whether autoscaling:\w+ is allowed is not known: Auto Scaling does not answer$/,
      silent("autoscaling", "DescribeAutoScalingInstances"),
    ],
    [
      "both, and EC2 throttles",
      isMember,
      [INTERFACES, GROUP],
      /^whether ec2:\w+ is allowed is not known: RequestLimitExceeded.*; autoscaling:\w+ is allowed$/,
      ({ region }) =>
        region.faults.add({
          service: "ec2",
          action: "DescribeNetworkInterfaces",
          effect: { do: "error", code: "RequestLimitExceeded", status: 503 },
        }),
    ],
  ])("%s", async (_, start, actions, found, breakIt) =>
    scenario({ start }, async (scene) => {
      const { region, me } = scene;
      region.region.setPolicy(me.role ?? "", allow([...ALL, ...actions]));
      breakIt?.(scene);
      const checkup = await doctor(scene);
      const check = checkup.checks.find(({ id }) => id === "optional");
      expect(check).toMatchObject({ mark: "ok", found: expect.stringMatching(found) as string });
      expect(checkup).toMatchObject({ healthy: true, exitStatus: 0 });
    }),
  );
});
