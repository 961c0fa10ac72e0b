/**
 * Broken set-ups, one fault each and some with two: doctor names the cause as its first failure, says how a
 * heal would end, and following its cure to the letter makes the next heal succeed.
 */
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { CHECKS } from "../../src/doctor/catalog.ts";
import { allow } from "../../sim/iam.ts";
import type { InstanceSpec } from "../../sim/build.ts";
import { makeAuthority } from "../boot/certificates.ts";
import { ARGUMENTS, PROGRAM } from "./agent.ts";
import { onTerminal } from "./terminal.ts";
import { type Checkup, SetUp, type Start } from "./set-up.ts";

const ALL = ["ec2:DescribeInstances", "ec2:DescribeAddresses", "ec2:AssociateAddress"];
const NOT_THERE = "eipalloc-0fffffffffffffff0";
const MINE = Date.UTC(2026, 10, 1, 12);
const HOUR = 3_600_000;

interface Row {
  readonly name: string;
  /** The first check that fails, in each round of following a cure. */
  readonly first: readonly string[];
  /** Exit status of a heal while it is broken. */
  readonly status: number;
  readonly start?: Start;
  readonly breakIt?: (setUp: SetUp) => void;
}

const conf =
  (...lines: string[]) =>
  (setUp: SetUp): void => {
    setUp.conf = lines;
  };
const environment =
  (variables: Record<string, string>) =>
  (setUp: SetUp): void => {
    Object.assign(setUp.environment, variables);
  };
const tag =
  (tags: Record<string, string | null>) =>
  ({ region, me }: SetUp): void =>
    region.region.tag(me.instanceId, tags);
/** The role lacks these actions. */
const without =
  (...actions: string[]) =>
  ({ region, me }: SetUp): void =>
    region.region.setPolicy(
      me.role ?? "",
      allow(ALL.filter((one) => !actions.includes(one.replace("ec2:", "")))),
    );
const heldBy = (holder: InstanceSpec, mine: InstanceSpec = {}): Start => ({
  instance: { launchTime: MINE, ...mine },
  build: (world, _, allocationId) => world.hold({ allocationId }, world.instance(holder)),
});
/** A pool whose only address another instance holds, by when that was launched. */
const fullPool = (launchTime: number): Start => ({
  instance: { launchTime: MINE },
  build: (world) =>
    world.hold(world.address({ tags: { "eip-pool": "web" } }), world.instance({ launchTime })),
});
const another: Start = { build: (world, me) => world.hold(world.address(), me) };

const HOOK = "wait-for-address";
/** A member of a group that waits under its launch hook. */
const inGroup: Start = {
  instance: { group: "web", lifecycle: "InService" },
  groups: { web: HOOK },
};

/** A member of a group with a launch hook, and a pool of so many addresses, of which it may hold one. */
const poolUnderHook = (addresses: number, isHere = false): Start => ({
  ...inGroup,
  build: (world, me) => {
    const pool = Array.from({ length: addresses }, () =>
      world.address({ tags: { "eip-pool": "web" } }),
    );
    if (isHere && pool[0] !== undefined) world.hold(pool[0], me);
  },
});
const poolSettings =
  (...lines: string[]) =>
  (setUp: SetUp): void => {
    conf("EIP_HEAL_POOL=eip-pool=web", `EIP_HEAL_LIFECYCLE_HOOK=${HOOK}`, ...lines)(setUp);
    setUp.region.region.setPolicy(setUp.me.role ?? "", allow([...ALL, "autoscaling:*"]));
  };

const ROWS: readonly Row[] = [
  // Settings
  {
    name: "an unknown key in the file",
    first: ["settings"],
    status: 78,
    breakIt: conf("EIP_HEAL_TAKEOVR=never"),
  },
  {
    name: "a value that is not accepted, in the file",
    first: ["settings"],
    status: 78,
    breakIt: conf("EIP_HEAL_TAKEOVER=newst"),
  },
  {
    name: "a value that is not accepted, in the environment",
    first: ["settings"],
    status: 78,
    breakIt: environment({ EIP_HEAL_DISPLACE: "maybe" }),
  },
  {
    name: "the address instead of its allocation id",
    first: ["settings"],
    status: 78,
    breakIt: conf("EIP_HEAL_ALLOCATION_ID=203.0.113.1"),
  },
  {
    name: "both an address and a pool",
    first: ["settings"],
    status: 78,
    breakIt: (setUp) => {
      setUp.conf = [`EIP_HEAL_ALLOCATION_ID=${setUp.allocationId}`, "EIP_HEAL_POOL=eip-pool=web"];
    },
  },
  {
    name: "a line that is no assignment",
    first: ["settings"],
    status: 78,
    breakIt: conf("# mine", "take it always"),
  },
  {
    name: "a settings file that is not there",
    first: ["settings"],
    status: 78,
    breakIt: (setUp) => (setUp.conf = undefined),
  },
  {
    name: "a region that is none",
    first: ["settings"],
    status: 78,
    breakIt: conf("AWS_REGION=frankfurt"),
  },
  {
    name: "half a key pair",
    first: ["settings"],
    status: 78,
    breakIt: environment({ AWS_ACCESS_KEY_ID: "AKIAIOSFODNN7EXAMPLE" }),
  },

  // Instance metadata
  {
    name: "metadata is off",
    first: ["metadata"],
    status: 75,
    start: { instance: { metadata: "disabled" } },
  },
  {
    name: "the token does not come back (a hop too far)",
    first: ["metadata"],
    status: 75,
    breakIt: ({ region }) =>
      region.faults.add({ service: "imds", method: "PUT", effect: { do: "silence" } }),
  },
  {
    name: "metadata is looked for in the wrong place",
    first: ["metadata"],
    status: 75,
    breakIt: environment({ AWS_EC2_METADATA_SERVICE_ENDPOINT: "http://127.0.0.1:1" }),
  },
  {
    name: "another region by a variable",
    first: ["identity"],
    status: 77,
    breakIt: conf("AWS_REGION=eu-central-1"),
  },
  {
    name: "an interface that is not there",
    first: ["interface"],
    status: 78,
    breakIt: conf("EIP_HEAL_INTERFACE=3"),
  },
  {
    name: "an interface that is not there, by the environment",
    first: ["interface"],
    status: 78,
    breakIt: environment({ EIP_HEAL_INTERFACE: "3" }),
  },
  {
    name: "a private address that is not there",
    first: ["interface"],
    status: 78,
    breakIt: conf("EIP_HEAL_PRIVATE_IP=10.9.9.9"),
  },

  // The way to EC2
  {
    name: "the endpoint's name does not resolve",
    first: ["endpoint"],
    status: 75,
    breakIt: environment({ AWS_ENDPOINT_URL_EC2: "https://ec2.no-such-host.invalid" }),
  },
  {
    name: "nobody listens at the endpoint",
    first: ["route"],
    status: 75,
    breakIt: environment({ AWS_ENDPOINT_URL_EC2: "http://127.0.0.1:1" }),
  },
  {
    name: "something else answers in EC2's place",
    first: ["ec2"],
    status: 75,
    breakIt: ({ region }) => region.faults.add({ service: "ec2", effect: { do: "html" } }),
  },
  {
    name: "EC2 throttles",
    first: ["ec2"],
    status: 75,
    breakIt: ({ region }) =>
      region.faults.add({
        service: "ec2",
        effect: { do: "error", code: "RequestLimitExceeded", status: 503 },
      }),
  },

  // Credentials
  { name: "no role", first: ["role"], status: 77, start: { instance: { role: null } } },
  {
    name: "EC2 may not assume the role",
    first: ["credentials"],
    status: 77,
    breakIt: ({ region }) =>
      region.region.setCredentials("full", { broken: "AssumeRoleUnauthorizedAccess" }),
  },
  {
    name: "EC2 may not assume the role, in China",
    first: ["credentials"],
    status: 77,
    start: { world: { region: "cn-north-1" } },
    breakIt: ({ region }) =>
      region.region.setCredentials("full", { broken: "AssumeRoleUnauthorizedAccess" }),
  },
  {
    name: "wrong keys in the environment",
    first: ["credentials"],
    status: 77,
    breakIt: environment({
      AWS_ACCESS_KEY_ID: "AKIAIOSFODNN7EXAMPLE",
      AWS_SECRET_ACCESS_KEY: "wrong",
    }),
  },

  // What is wanted
  {
    name: "an endpoint that does not speak TLS",
    first: ["tls"],
    status: 75,
    breakIt: (setUp) => {
      const url = setUp.region.ec2Url.replace("http:", "https:");
      environment({ AWS_ENDPOINT_URL_EC2: url })(setUp);
    },
  },
  {
    name: "certificates that are not there, by the settings file",
    first: ["settings"],
    status: 78,
    breakIt: conf("NODE_EXTRA_CA_CERTS=/nonexistent/ca.pem"),
  },
  { name: "no tag", first: ["wanted"], status: 78, breakIt: tag({ "allocation-id": null }) },
  {
    name: "the tag holds the address",
    first: ["wanted"],
    status: 78,
    breakIt: tag({ "allocation-id": "203.0.113.1" }),
  },
  {
    name: "the tag holds an association id",
    first: ["wanted"],
    status: 78,
    breakIt: tag({ "allocation-id": "eipassoc-0123456789abcdef0" }),
  },
  {
    name: "the tag names an address that is not there",
    first: ["address"],
    status: 78,
    breakIt: tag({ "allocation-id": NOT_THERE }),
  },
  {
    name: "the setting names an address that is not there",
    first: ["address"],
    status: 78,
    breakIt: conf(`EIP_HEAL_ALLOCATION_ID=${NOT_THERE}`),
  },
  {
    name: "the address is of a Local Zone",
    first: ["address"],
    status: 78,
    start: { address: { networkBorderGroup: "us-east-1-bos-1" } },
  },
  {
    name: "an empty pool",
    first: ["address"],
    status: 75,
    breakIt: conf("EIP_HEAL_POOL=eip-pool=web"),
  },
  {
    name: "a pool that others hold",
    first: ["address"],
    status: 75,
    start: fullPool(MINE + HOUR),
    breakIt: conf("EIP_HEAL_POOL=eip-pool=web"),
  },
  {
    name: "a pool that older ones hold",
    first: ["address"],
    status: 75,
    start: fullPool(MINE - HOUR),
    breakIt: conf("EIP_HEAL_POOL=eip-pool=web"),
  },

  // Who holds it
  {
    name: "a NAT gateway holds it",
    first: ["holder"],
    status: 78,
    start: {
      build: (world, _, allocationId) => void world.holdByService({ allocationId }, "nat-gateway"),
    },
  },
  {
    name: "a newer instance holds it",
    first: ["holder"],
    status: 69,
    start: heldBy({ launchTime: MINE + HOUR }),
  },
  {
    name: "an instance holds it, and the policy is never",
    first: ["holder"],
    status: 75,
    start: heldBy({ state: "stopped", keepsAssociation: true }),
    breakIt: conf("EIP_HEAL_TAKEOVER=never"),
  },
  {
    name: "a running instance holds it, and the policy is if-gone",
    first: ["holder"],
    status: 75,
    start: heldBy({ launchTime: MINE - HOUR }),
    breakIt: environment({ EIP_HEAL_TAKEOVER: "if-gone" }),
  },
  {
    name: "another Elastic IP must not be displaced",
    first: ["displaced"],
    status: 78,
    start: another,
    breakIt: conf("EIP_HEAL_DISPLACE=no"),
  },

  // Permissions
  {
    name: "no DescribeInstances, and the tag is only in EC2",
    first: ["describe-instances"],
    status: 77,
    start: { instance: { metadataTags: false } },
    breakIt: without("DescribeInstances"),
  },
  {
    name: "no DescribeInstances, and another instance holds the address",
    first: ["describe-instances"],
    status: 77,
    start: heldBy({ launchTime: MINE - HOUR }),
    breakIt: without("DescribeInstances"),
  },
  {
    name: "no DescribeAddresses for a pool",
    first: ["describe-addresses"],
    status: 77,
    start: { address: { tags: { "eip-pool": "web" } } },
    breakIt: (setUp) => {
      conf("EIP_HEAL_POOL=eip-pool=web")(setUp);
      without("DescribeAddresses")(setUp);
    },
  },
  {
    name: "no describing at all",
    first: ["describe-instances"],
    status: 77,
    breakIt: without("DescribeInstances", "DescribeAddresses"),
  },
  {
    name: "no AssociateAddress",
    first: ["associate"],
    status: 77,
    breakIt: without("AssociateAddress"),
  },
  {
    name: "AssociateAddress on the address only, not on the instance",
    first: ["associate"],
    status: 77,
    breakIt: ({ region, me }) => {
      const [look, act] = [
        allow(ALL.slice(0, 2)),
        allow(ALL.slice(2), ["arn:aws:ec2:*:*:elastic-ip/*"]),
      ];
      region.region.setPolicy(me.role ?? "", { Statement: [...look.Statement, ...act.Statement] });
    },
  },
  {
    name: "no AssociateAddress, two interfaces",
    first: ["associate"],
    status: 77,
    start: { instance: { enis: [{}, {}] } },
    breakIt: without("AssociateAddress"),
  },

  {
    name: "a launch hook whose group only Auto Scaling would tell",
    first: ["launch-hook"],
    status: 77,
    start: { ...inGroup, instance: { ...inGroup.instance, metadataTags: false } },
    breakIt: (setUp) => {
      conf(`EIP_HEAL_LIFECYCLE_HOOK=${HOOK}`)(setUp);
      const actions = [...ALL, "autoscaling:CompleteLifecycleAction"];
      setUp.region.region.setPolicy(setUp.me.role ?? "", allow(actions));
    },
  },

  // Two at once
  {
    name: "metadata is off, and the policy is never",
    first: ["metadata", "holder"],
    status: 75,
    start: heldBy({ launchTime: MINE - HOUR }, { metadata: "disabled" }),
    breakIt: conf("EIP_HEAL_TAKEOVER=never"),
  },
  {
    name: "no role and no tag",
    first: ["role", "wanted"],
    status: 77,
    start: { instance: { role: null } },
    breakIt: tag({ "allocation-id": null }),
  },
  {
    name: "no tag, and no AssociateAddress",
    first: ["wanted", "associate"],
    status: 78,
    breakIt: (setUp) => {
      tag({ "allocation-id": null })(setUp);
      without("AssociateAddress")(setUp);
    },
  },
  {
    name: "a wrong setting, and a NAT gateway",
    first: ["settings", "holder"],
    status: 78,
    start: {
      build: (world, _, allocationId) => void world.holdByService({ allocationId }, "nat-gateway"),
    },
    breakIt: conf("EIP_HEAL_OPTIONAL=perhaps"),
  },
  {
    name: "another Elastic IP in the place, and no AssociateAddress",
    first: ["displaced", "associate"],
    status: 78,
    start: another,
    breakIt: (setUp) => {
      conf("EIP_HEAL_DISPLACE=no")(setUp);
      without("AssociateAddress")(setUp);
    },
  },
  {
    name: "the clock ahead, and no DescribeInstances for the holder",
    first: ["describe-instances"],
    status: 77,
    start: heldBy({ launchTime: MINE - HOUR }),
    breakIt: (setUp) => {
      setUp.offsetMs = -9 * HOUR;
      without("DescribeInstances")(setUp);
    },
  },
];

const MARKS = ["ok", "warning", "failed", "skipped"];

/** The documented schema of doctor --json. */
function expectSchema(checkup: Checkup): void {
  expect(checkup.version).toBe(1);
  expect(new Date(checkup.at).toISOString()).toBe(checkup.at);
  expect(typeof checkup.healthy).toBe("boolean");
  expect(typeof checkup.message).toBe("string");
  expect(checkup.checks.map(({ id }) => id)).toEqual(CHECKS.map(([id]) => id));
  for (const { id, mark, found, cure, commands, blockedBy } of checkup.checks) {
    expect(MARKS, id).toContain(mark);
    expect(found, id).toMatch(/\S/);
    if (mark === "failed") expect(cure, id).toMatch(/\S/);
    if (mark === "ok") expect(cure, id).toBeUndefined();
    for (const command of commands ?? [])
      expect(command, id).toMatch(/^(aws|systemctl|chronyc) \S/);
    expect(blockedBy !== undefined, id).toBe(mark === "skipped");
    // What has been skipped names what was not.
    for (const blocker of blockedBy ?? []) {
      expect(checkup.checks.find((check) => check.id === blocker)?.mark, id).not.toMatch(
        /ok|skipped/,
      );
    }
  }
}

function expectNoWrite({ region }: SetUp): void {
  const writes = region.calls.filter(
    ({ action, params }) =>
      action !== "" && !action.startsWith("Describe") && params["DryRun"] !== "true",
  );
  expect(writes).toEqual([]);
}

async function play<T>(
  row: Pick<Row, "start" | "breakIt">,
  act: (setUp: SetUp) => Promise<T>,
): Promise<T> {
  const setUp = await SetUp.start(row.start);
  try {
    row.breakIt?.(setUp);
    return await act(setUp);
  } finally {
    await setUp.close();
  }
}

describe("a broken set-up", () => {
  test.concurrent.each(ROWS)("$name", async ({ first, status, ...row }) =>
    play(row, async (setUp) => {
      let checkup = await setUp.doctor();
      expectSchema(checkup);
      expectNoWrite(setUp);
      expect(checkup.exitStatus, JSON.stringify(checkup, null, 1)).toBe(status);
      expect(checkup.status).toBe(status);
      const broken = await setUp.run("--deadline", "5s");
      expect(broken.status, broken.log.join("\n")).toBe(status);

      for (const id of first) {
        expect(checkup.healthy).toBe(false);
        expect(checkup.first, JSON.stringify(checkup, null, 1)).toBe(id);
        const check = checkup.checks.find(({ mark }) => mark === "failed");
        expect(check?.id).toBe(id);
        if (check !== undefined) setUp.follow(check);
        checkup = await setUp.doctor();
        expectSchema(checkup);
      }
      expect(checkup.healthy, JSON.stringify(checkup, null, 1)).toBe(true);
      expect(checkup.status).toBe(0);
      const healed = await setUp.run();
      expect(healed.status, healed.log.join("\n")).toBe(0);
      expect(healed.result).toMatchObject({ outcome: "settled" });
    }),
  );

  test("a full pool: the setting that would help is named only where an older instance holds an address", async () => {
    const cureOf = (launchTime: number) =>
      play(
        { start: fullPool(launchTime), breakIt: conf("EIP_HEAL_POOL=eip-pool=web") },
        async (setUp) => (await setUp.doctor()).checks.find(({ id }) => id === "address")?.cure,
      );
    expect(await cureOf(MINE - HOUR)).toContain("or set EIP_HEAL_POOL_TAKEOVER=oldest in ");
    expect(await cureOf(MINE + HOUR)).toBe(
      "add an address to the pool, or let another instance go",
    );
  });

  test("a pool with none to spare under a launch hook: one address more takes the warning away", () =>
    play({ start: poolUnderHook(1), breakIt: poolSettings() }, async (setUp) => {
      const warning = async () =>
        (await setUp.doctor()).checks.find(({ id, mark }) => id === "address" && mark !== "ok");
      const before = await warning();
      expect(before).toMatchObject({ mark: "warning", found: /with none to spare for us-east-1a/ });
      setUp.region.region.allocate({ tags: { "eip-pool": "web" } });
      expect(await warning()).toBeUndefined();
    }));

  test("there are enough of them", () => {
    expect(ROWS.filter(({ first }) => first.length === 1).length).toBeGreaterThanOrEqual(25);
    expect(ROWS.filter(({ first }) => first.length === 2).length).toBeGreaterThanOrEqual(5);
  });
});

test("a certificate that nobody here trusts", async () => {
  const folder = mkdtempSync(join(tmpdir(), "eip-heal-ca-"));
  const authority = await makeAuthority(folder);
  const tls = await authority.issue("localhost");
  const setUp = await SetUp.start({ region: { tls } });
  setUp.authority = authority.file;
  setUp.ec2Url = setUp.ec2Url.replace("127.0.0.1", "localhost");
  const checkup = await setUp.doctor();
  expectSchema(checkup);
  expect(checkup).toMatchObject({ first: "tls", exitStatus: 75 });
  const broken = await setUp.run("--deadline", "5s");
  expect(broken.status).toBe(75);
  const check = checkup.checks.find(({ id }) => id === "tls");
  if (check !== undefined) setUp.follow(check);
  const again = await setUp.doctor();
  expect(again.healthy, JSON.stringify(again, null, 1)).toBe(true);
  expect(again.checks.find(({ id }) => id === "tls")?.found).toContain("TLSv1.3");
  const healed = await setUp.run();
  expect(healed.status, healed.log.join("\n")).toBe(0);
  await setUp.close();
  rmSync(folder, { recursive: true });
});

describe("a healthy set-up", () => {
  const HEALTHY: readonly (Pick<Row, "name" | "start" | "breakIt"> & { warnings?: string[] })[] = [
    { name: "the address is nobody's" },
    {
      name: "the address is here",
      start: { build: (world, me, allocationId) => world.hold({ allocationId }, me) },
    },
    { name: "an older instance has it", start: heldBy({ launchTime: MINE - HOUR }) },
    {
      name: "an instance that EC2 does not know has it",
      start: heldBy({ keepsAssociation: true }),
      breakIt: ({ region, allocationId }) =>
        region.region.forget(region.holder(allocationId)?.instanceId ?? ""),
    },
    {
      name: "a pool",
      start: { address: { tags: { "eip-pool": "web" } } },
      breakIt: conf("EIP_HEAL_POOL=eip-pool=web"),
    },
    {
      name: "a pool that older ones hold, and the oldest may be taken from",
      start: fullPool(MINE - HOUR),
      breakIt: conf("EIP_HEAL_POOL=eip-pool=web", "EIP_HEAL_POOL_TAKEOVER=oldest"),
    },
    {
      name: "the second interface, a secondary address",
      start: {
        instance: { enis: [{}, { privateIps: ["10.0.0.50", "10.0.0.51"] }] },
      },
      breakIt: conf("EIP_HEAL_INTERFACE=1", "EIP_HEAL_PRIVATE_IP=10.0.0.51"),
    },
    {
      name: "the role and the tag of the user-data script",
      start: { instance: { role: "old", metadataTags: false } },
      warnings: ["tags", "describe-addresses", "address"],
    },
    {
      name: "a launch hook",
      start: inGroup,
      breakIt: (setUp) => {
        conf(`EIP_HEAL_LIFECYCLE_HOOK=${HOOK}`)(setUp);
        setUp.region.region.setPolicy(
          setUp.me.role ?? "",
          allow([...ALL, "autoscaling:CompleteLifecycleAction"]),
        );
      },
      warnings: ["launch-hook"],
    },
    {
      name: "a launch hook, and no group",
      breakIt: (setUp) => {
        conf(`EIP_HEAL_LIFECYCLE_HOOK=${HOOK}`)(setUp);
        const asked = "autoscaling:DescribeAutoScalingInstances";
        setUp.region.region.setPolicy(setUp.me.role ?? "", allow([...ALL, asked]));
      },
      warnings: ["launch-hook"],
    },
    {
      name: "a launch hook, and a pool with an address to spare",
      start: poolUnderHook(2),
      breakIt: poolSettings(),
      warnings: ["launch-hook"],
    },
    {
      name: "a launch hook, and a pool with none to spare",
      start: poolUnderHook(1),
      breakIt: poolSettings(),
      warnings: ["address", "launch-hook"],
    },
    {
      name: "a launch hook, and a pool with none to spare for the next one, which is here already",
      start: poolUnderHook(1, true),
      breakIt: poolSettings(),
      warnings: ["address", "launch-hook"],
    },
    {
      name: "a launch hook, and a pool with none to spare that the oldest is taken from",
      start: poolUnderHook(1),
      breakIt: poolSettings("EIP_HEAL_POOL_TAKEOVER=oldest"),
      warnings: ["launch-hook"],
    },
    { name: "another Elastic IP goes", start: another, warnings: ["displaced"] },
    {
      name: "here, and the role has lost AssociateAddress",
      start: { build: (world, me, allocationId) => world.hold({ allocationId }, me) },
      breakIt: without("AssociateAddress"),
      warnings: ["associate"],
    },
    {
      name: "the clock is ten minutes behind",
      breakIt: (setUp) => (setUp.offsetMs = 600_000),
      warnings: ["clock"],
    },
    {
      // The credentials look expired by then, and are used all the same.
      name: "the clock is nine hours ahead",
      breakIt: (setUp) => (setUp.offsetMs = -9 * HOUR),
      warnings: ["clock"],
    },
    {
      name: "here and throttled later is no matter",
      start: { build: (world, me, allocationId) => world.hold({ allocationId }, me) },
    },
  ];

  test.concurrent.each(HEALTHY)("$name", async ({ warnings = [], ...row }) =>
    play(row, async (setUp) => {
      const checkup = await setUp.doctor();
      expectSchema(checkup);
      expectNoWrite(setUp);
      const odd = checkup.checks.filter(({ mark }) => mark !== "ok");
      expect(odd.map(({ id, mark }) => [id, mark])).toEqual(warnings.map((id) => [id, "warning"]));
      expect(checkup).toMatchObject({ healthy: true, exitStatus: 0, status: 0 });
      const healed = await setUp.run();
      expect(healed.status, healed.log.join("\n")).toBe(0);
      expect(healed.result).toMatchObject({ outcome: "settled" });
    }),
  );

  test("in standby, and without a role: what a heal comes to once it is in service", async () =>
    play({ start: { instance: { lifecycle: "Standby", role: null } } }, async (setUp) => {
      const checkup = await setUp.doctor();
      expect(checkup).toMatchObject({ healthy: false, status: 77, first: "role" });
      expect(checkup.message).toContain("once the instance is in service");
    }));

  test.concurrent.each<[string, Start, (setUp: SetUp) => void, string]>([
    ["in standby", { instance: { lifecycle: "Standby" } }, () => {}, "in-service"],
    [
      "neither tag nor setting, and that is in order",
      {},
      (setUp) => {
        tag({ "allocation-id": null })(setUp);
        conf("EIP_HEAL_OPTIONAL=yes")(setUp);
      },
      "wanted",
    ],
  ])("%s: a heal would rightly do nothing", async (_, start, breakIt, id) =>
    play({ start, breakIt }, async (setUp) => {
      const checkup = await setUp.doctor();
      expect(checkup).toMatchObject({ healthy: true, exitStatus: 0, status: 0 });
      expect(checkup.message).toContain(`a heal would rightly do nothing (${id})`);
      const idle = await setUp.run("--deadline", "5s");
      expect(idle.status).toBe(0);
      expect(idle.result).toMatchObject({ outcome: "idle" });
    }),
  );
});

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
    play({ start, breakIt: conf(...lines) }, async (setUp) => {
      const checkup = await setUp.doctor();
      expect(checkup.healthy, JSON.stringify(checkup, null, 1)).toBe(true);
      const healed = await setUp.run();
      expect(healed.status, healed.log.join("\n")).toBe(0);
      const [dry, real, ...more] = setUp.region.calls.flatMap(({ action, params }) =>
        action === "AssociateAddress" ? [params] : [],
      );
      expect(more).toEqual([]);
      expect(dry).toEqual({ ...real, DryRun: "true" });
    }),
  );

  const answered = (effect: Parameters<SetUp["region"]["faults"]["add"]>[0]["effect"]) =>
    play(
      {
        breakIt: ({ region }) =>
          region.faults.add({ service: "ec2", action: "AssociateAddress", effect }),
      },
      async (setUp) => {
        const checkup = await setUp.doctor();
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
    (setUp: SetUp): void =>
      void setUp.region.faults.add({ service, action, effect: { do: "silence" } });

  test.concurrent.each<[string, Start, string[], RegExp, ((setUp: SetUp) => void)?]>([
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
    play({ start }, async (setUp) => {
      const { region, me } = setUp;
      region.region.setPolicy(me.role ?? "", allow([...ALL, ...actions]));
      breakIt?.(setUp);
      const checkup = await setUp.doctor();
      const check = checkup.checks.find(({ id }) => id === "optional");
      expect(check).toMatchObject({ mark: "ok", found: expect.stringMatching(found) as string });
      expect(checkup).toMatchObject({ healthy: true, exitStatus: 0 });
    }),
  );
});

describe("the machine", () => {
  const UNIT = {
    LoadState: "loaded",
    UnitFileState: "enabled",
    ActiveState: "active",
    Result: "success",
    ExecMainStatus: "0",
    ExecMainExitTimestampMonotonic: "123456",
    NeedDaemonReload: "no",
  };
  const check = async (units: Parameters<SetUp["systemd"]>[0], id: string) => {
    const setUp = await SetUp.start();
    try {
      setUp.systemd(units);
      return (await setUp.doctor()).checks.find((one) => one.id === id);
    } finally {
      await setUp.close();
    }
  };

  test.concurrent.each<[string, Partial<typeof UNIT>, RegExp, string[]?]>([
    ["enabled and done", {}, /is enabled; active, its last run succeeded$/],
    [
      "disabled",
      { UnitFileState: "disabled" },
      /is disabled, so that nothing heals at boot/,
      ["systemctl enable eip-heal"],
    ],
    [
      "failed",
      { ActiveState: "failed", Result: "exit-code", ExecMainStatus: "78" },
      /failed, its last run ended with exit status 78/,
      ["systemctl start eip-heal"],
    ],
    [
      "hardened since the boot",
      { ActiveState: "activating", Result: "exit-code", ExecMainStatus: "217" },
      /user namespaces have been forbidden/,
      ["systemctl daemon-reload", "systemctl restart eip-heal"],
    ],
    [
      "masked",
      { LoadState: "masked" },
      /is masked/,
      ["systemctl unmask eip-heal", "systemctl enable eip-heal"],
    ],
    ["edited", { NeedDaemonReload: "yes" }, /not loaded anew/, ["systemctl daemon-reload"]],
  ])("the unit is %s", async (_, properties, found, commands) => {
    const unit = await check({ "eip-heal.service": { ...UNIT, ...properties } }, "unit");
    expect(unit?.found).toMatch(found);
    expect(unit?.mark).toBe(commands === undefined ? "ok" : "warning");
    expect(unit?.commands).toEqual(commands);
  });

  test("a drop-in sets what a checkup by hand does not have", async () => {
    const Environment = 'HOME=/nonexistent EIP_HEAL_TAKEOVER=always "AWS_SECRET_ACCESS_KEY=a b"';
    const unit = await check({ "eip-heal.service": { ...UNIT, Environment } }, "unit");
    expect(unit).toMatchObject({ mark: "warning" });
    expect(unit?.found).toMatch(/is run with EIP_HEAL_TAKEOVER, AWS_SECRET_ACCESS_KEY, which/);
    expect(JSON.stringify(unit)).not.toMatch(/always|a b/);
  });

  test("without systemd that is said, and no warning", async () => {
    const setUp = await SetUp.start();
    const { checks } = await setUp.doctor();
    await setUp.close();
    expect(checks.find(({ id }) => id === "unit")).toMatchObject({
      mark: "ok",
      found: /no systemd/,
    });
  });

  test("the timer: off, or when it elapses next", async () => {
    const timer = { ...UNIT, NextElapseUSecRealtime: "", NextElapseUSecMonotonic: "9999y 2h 1.5s" };
    expect((await check({ "eip-heal-recheck.timer": timer }, "recheck"))?.found).toMatch(
      /the timer runs, next in \d+ min/,
    );
    const off = { ...timer, ActiveState: "inactive", UnitFileState: "disabled" };
    expect((await check({ "eip-heal-recheck.timer": off }, "recheck"))?.found).toMatch(
      /timer is off/,
    );
    const failed = { ...timer, ActiveState: "failed", Result: "resources" };
    expect(await check({ "eip-heal-recheck.timer": failed }, "recheck")).toMatchObject({
      mark: "warning",
      commands: ["systemctl restart eip-heal-recheck.timer"],
    });
  });
});

describe("with a dead network", () => {
  test.each<[string, (setUp: SetUp) => void]>([
    [
      "metadata is silent",
      ({ region }) => region.faults.add({ service: "imds", effect: { do: "silence" } }),
    ],
    [
      "EC2 is silent",
      ({ region }) => region.faults.add({ service: "ec2", effect: { do: "silence" } }),
    ],
    [
      "EC2 is silent to what is signed",
      ({ region }) =>
        region.faults.add({
          service: "ec2",
          action: "DescribeAddresses",
          effect: { do: "silence" },
        }),
    ],
  ])("it ends: %s", async (_, breakIt) =>
    play({ breakIt }, async (setUp) => {
      const startedAt = performance.now();
      const checkup = await setUp.doctor();
      expect(performance.now() - startedAt).toBeLessThan(15_000);
      expectSchema(checkup);
      expect(checkup).toMatchObject({ healthy: false, exitStatus: 75 });
    }),
  );
});

describe("the screen", () => {
  const row = { breakIt: without("AssociateAddress") };
  const ESCAPE = "\u001b";
  const lines = (text: string) =>
    text
      .replaceAll(new RegExp(`${ESCAPE}\\[\\d*m`, "g"), "")
      .split(new RegExp(`\\r?\\n|\\r${ESCAPE}\\[K`))
      .map((line) => line.replace(/^\r/, ""));

  test("without a terminal: a word, a name, a sentence on each line, and nothing else", async () =>
    play(row, async (setUp) => {
      const { stdout, status } = await setUp.run("doctor");
      expect(status).toBe(77);
      expect(stdout).not.toContain(ESCAPE);
      expect(stdout).toMatch(/^[ -~\n]+$/);
      const told = stdout
        .split("\n")
        .flatMap((line) => /^(\w+) +([\w-]+): \S/.exec(line)?.slice(1, 3) ?? []);
      expect(
        told
          .filter((_, index) => index % 2 === 1)
          .filter((id) => CHECKS.some(([one]) => one === id)),
      ).toEqual(CHECKS.map(([id]) => id));
      expect(stdout).toMatch(
        /^failed {2}associate: not allowed: ec2:AssociateAddress on arn:aws:ec2:\S+/m,
      );
      expect(stdout).toMatch(
        /^ {8}cure: allow ec2:AssociateAddress in the policy of the instance role: eip-heal policy prints it; put-role-policy replaces what the role has under the name eip-heal$/m,
      );
      expect(stdout).toMatch(
        /^ {8}run: aws iam put-role-policy --role-name full --policy-name eip-heal --policy-document '\{/m,
      );
      expect(stdout).toMatch(
        /^ {8}run: aws sts decode-authorization-message --region us-east-1 --encoded-message [\w-]+$/m,
      );
      expect(stdout).toMatch(/exit status 77 \(NOPERM\); begin with: associate\n$/);
    }));

  test("a reader that goes away changes nothing: the exit status is that of the checkup", async () =>
    play(row, async (setUp) => {
      const { environment, flags } = setUp.prepare();
      const piped = await promisify(execFile)(
        "bash",
        [
          "--norc",
          "-c",
          '"$@" doctor | true; echo "${PIPESTATUS[0]}"',
          "bash",
          PROGRAM,
          ...ARGUMENTS,
          ...flags,
        ],
        { env: { ...environment, PATH: process.env["PATH"] } },
      );
      expect(piped).toEqual({ stdout: "77\n", stderr: "" });
    }));

  test("what is skipped for the same reason is one line", async () =>
    play(
      { breakIt: without("AssociateAddress", ...ALL.map((one) => one.slice(4))) },
      async (setUp) => {
        const { stdout } = await setUp.run("doctor");
        expect(stdout).toMatch(
          /^skipped not checked: address, holder, displaced, associate, because of: describe-instances$/m,
        );
      },
    ));

  test("the policy that cures several checks is shown once, and JSON has it with each", async () =>
    play({ breakIt: without("DescribeAddresses", "AssociateAddress") }, async (setUp) => {
      const { stdout } = await setUp.run("doctor");
      expect(stdout.match(/put-role-policy --role-name/g)).toHaveLength(1);
      const cures = stdout.split("\n").filter((line) => /^ {8}cure: allow/.test(line));
      expect(cures).toHaveLength(2);
      expect(cures[1]).toMatch(/ \(command: see describe-addresses\)$/);
      const { checks } = await setUp.doctor();
      const commands = checks.flatMap((check) => check.commands ?? []);
      const puts = commands.filter((command) => command.includes("put-role-policy"));
      expect(puts).toHaveLength(2);
      expect(new Set(puts).size).toBe(1);
    }));

  test.each([40, 80, 200])("%d columns wide", async (columns) =>
    play(row, async (setUp) => {
      const { output, status } = await onTerminal(setUp, ["doctor"], columns, {
        LANG: "C.UTF-8",
        TERM: "xterm",
      });
      expect(status).toBe(77);
      expect(output).toContain(ESCAPE);
      expect(output).toContain("\u001b[31m✗\u001b[0m associate");
      const shown = lines(output);
      // Only what has to stay in one piece inside a command may need more.
      const isOnePiece = (line: string) =>
        !/[\s,[{]/.test(
          line
            .trim()
            .replaceAll(/"[^"]*"/g, "")
            .slice(0, -1),
        );
      expect(shown.filter((line) => line.length > columns && !isOnePiece(line))).toEqual([]);
      // What is copied from the screen is the command.
      const from = shown.findIndex((line) => line.includes("$ aws iam"));
      const copied = shown
        .slice(from, shown.findIndex((line) => line.endsWith("}'")) + 1)
        .join("\n")
        .replace("$ ", "");
      const pasted = execFileSync("bash", ["-c", `aws() { printf '%s\\0' "$@"; }\n${copied}`]);
      const words = pasted.toString().split("\0");
      expect(words.slice(0, 5)).toEqual([
        "iam",
        "put-role-policy",
        "--role-name",
        "full",
        "--policy-name",
      ]);
      const printed = await setUp.run("policy");
      expect(JSON.parse(words[7] ?? "")).toEqual(JSON.parse(printed.stdout));
    }),
  );

  test.each<[string, Record<string, string>]>([
    ["NO_COLOR", { NO_COLOR: "1", LANG: "C.UTF-8", TERM: "xterm" }],
    ["TERM=dumb", { TERM: "dumb", LANG: "C.UTF-8" }],
  ])(
    "on a terminal with %s: no escape sequence, and no line that is rewritten",
    async (_, variables) =>
      play(row, async (setUp) => {
        const { output } = await onTerminal(setUp, ["doctor"], 80, variables);
        expect(output).not.toContain(ESCAPE);
        expect(output).not.toMatch(/\r(?!\n)/);
        expect(output).toContain("✗ associate");
      }),
  );

  test("a terminal that shows ASCII only gets words", async () =>
    play(row, async (setUp) => {
      const { output } = await onTerminal(setUp, ["doctor"], 80, { LC_ALL: "C", NO_COLOR: "1" });
      expect(output).toMatch(/^[ -~\r\n]+$/);
      expect(output).toMatch(/^failed {2}associate/m);
    }));
});
