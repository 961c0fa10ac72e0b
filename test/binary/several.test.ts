/** Several addresses for one instance: the real binary, with every call counted. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { allow, HOOK_ROLE, type PolicyDocument } from "../../sim/iam.ts";
import { aWorld } from "../../sim/world.ts";
import { runAgent } from "../support/agent.ts";
import { inRegion } from "../support/region.ts";
import { FREE, play } from "./counted.ts";

/** An instance with as many addresses and interfaces; each interface has as many private addresses as are needed. */
function scene(
  addresses: number,
  interfaces: number,
  {
    tags = "metadata",
    role = "releaser",
    policy,
    slowMs = 0,
  }: {
    tags?: "metadata" | "EC2";
    role?: string;
    /** What the role allows, given the first address. */
    policy?: (first: string) => PolicyDocument;
    /** What DescribeInstances takes. */
    slowMs?: number;
  } = {},
) {
  const world = aWorld({ settings: { latencyMs: { DescribeInstances: slowMs } } });
  world.role("releaser", allow(["ec2:*"]));
  const wanted = Array.from({ length: addresses }, () => world.address());
  if (policy) world.role(role, policy(wanted[0]?.allocationId ?? ""));
  const perInterface = Math.ceil(addresses / interfaces);
  const places = wanted.map((_, index) => {
    const eni = index % interfaces;
    const ip = `10.0.${eni}.${20 + Math.floor(index / interfaces)}`;
    return { eni, ip, named: ip.endsWith(".20") ? String(eni) : ip };
  });
  const tag = wanted
    .map(({ allocationId }, index) =>
      index === 0 ? allocationId : `${allocationId}@${places[index]?.named}`,
    )
    .join(" ");
  const me = world.instance({
    role,
    metadataTags: tags === "metadata",
    launchTime: Date.now() - 3_600_000,
    tags: { "allocation-id": tag },
    enis: Array.from({ length: interfaces }, (_, eni) => ({
      deviceIndex: eni,
      privateIps: Array.from({ length: perInterface }, (__, at) => `10.0.${eni}.${20 + at}`),
    })),
  });
  return { world, wanted, places, tag, me };
}

const ofAll = () => allow(["ec2:*"]);
const ofFirst = (first: string): PolicyDocument => ({
  Version: "2012-10-17",
  Statement: [
    allow(["ec2:DescribeAddresses", "ec2:DescribeInstances"]),
    allow(["ec2:AssociateAddress"], ["arn:aws:ec2:*:*:network-interface/*"]),
    allow(["ec2:AssociateAddress"], [`arn:aws:ec2:*:*:elastic-ip/${first}`]),
  ].flatMap(({ Statement }) => Statement),
});

const times = (count: number, calls: readonly string[]) =>
  Array.from({ length: count }, () => calls)
    .flat()
    .toSorted();

/** Long enough for what ends before it, and for one try of what does not. */
const DEADLINE = { EIP_HEAL_DEADLINE: "20s" };

describe.concurrent("several addresses", () => {
  test.each([
    [1, 1],
    [2, 1],
    [2, 2],
    [5, 2],
    [5, 3],
  ])("%i on %i interfaces, all free: each for itself, in one run", async (count, interfaces) => {
    const { world, wanted, places, me } = scene(count, interfaces);
    const { run, calls, region } = await play(world, me, {}, { mostWrites: count });
    expect(run.status, run.log.join("\n")).toBe(0);
    const looks = calls.filter((action) => action === "DescribeAddresses").length;
    const writes = calls.filter((action) => action === "AssociateAddress").length;
    expect(writes).toBe(count);
    expect(writes + looks, "nothing else is asked").toBe(calls.length);
    // Three for each; on a busy machine a look may be too old for a write, and is made again.
    expect(looks).toBeGreaterThanOrEqual(3 * count);
    expect(looks).toBeLessThanOrEqual(count === 1 ? 3 : 4 * count);
    for (const [index, { allocationId }] of wanted.entries()) {
      expect(region.holder(allocationId)?.privateIp).toBe(places[index]?.ip);
    }
    const ips = wanted.map(({ publicIp }) => publicIp);
    expect(run.env).toContain(`EIP_HEAL_PUBLIC_IP=${ips[0]}\n`);
    if (count === 1) {
      expect(run.result).toMatchObject({ version: 1, outcome: "settled" });
      expect(run.result).not.toHaveProperty("addresses");
      expect(run.env).not.toContain("EIP_HEAL_PUBLIC_IPS");
      return;
    }
    expect(run.log.at(-1)).toMatch(
      new RegExp(`^${count} of ${count} addresses are here: ${wanted[0]?.allocationId}`),
    );
    expect(run.log.filter((line) => line.startsWith("associated "))).toHaveLength(count);
    expect(run.result).toMatchObject({
      version: 2,
      outcome: "settled",
      exitStatus: 0,
      publicIp: ips[0],
      addresses: wanted.map(({ allocationId, publicIp }, index) => ({
        allocationId,
        publicIp,
        outcome: "settled",
        change: "associated",
        privateIp: places[index]?.ip,
      })),
    });
    expect(run.env).toContain(`EIP_HEAL_PUBLIC_IPS="${ips.join(" ")}"\n`);
  });

  test("by a tag that only EC2 shows: it is read once", async () => {
    const { world, wanted, me } = scene(2, 2, { tags: "EC2" });
    const { run, calls } = await play(world, me, {}, { mostWrites: 2 });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(calls.toSorted()).toEqual(["DescribeInstances", ...times(2, FREE)].toSorted());
    expect(run.log.at(-1)).toContain(`2 of 2 addresses are here: ${wanted[0]?.allocationId}`);
  });

  test("by a setting, with a place by interface id, MAC and private address", async () => {
    const { world, wanted, me } = scene(3, 3);
    const [first, second, third] = me.interfaces;
    const [a, b, c] = wanted.map(({ allocationId }) => allocationId);
    const { run, region } = await play(
      world,
      me,
      {
        environment: {
          EIP_HEAL_ALLOCATION_ID: `${a}@${first?.mac}, ${b}@${second?.networkInterfaceId},${c}@10.0.2.20`,
        },
      },
      { mostWrites: 3 },
    );
    expect(run.status, run.log.join("\n")).toBe(0);
    expect([a, b, c].map((id) => region.holder(id ?? "")?.networkInterfaceId)).toEqual(
      [first, second, third].map((one) => one?.networkInterfaceId),
    );
  });

  test.each([
    ["yes", "releaser", 0],
    ["no", "releaser", 0],
    ["yes", "old", 0],
    ["no", "old", 0],
    // One of the two moves while the other run asks what is in its place.
    ["no", "old", 200],
    ["no", "old", 220],
    ["no", "old", 260],
  ])(
    "swapped places are swapped back under DISPLACE=%s by the role %s (%i ms)",
    async (displace, role, slowMs) => {
      const { world, wanted, me } = scene(2, 2, { role, slowMs });
      const [first, second] = me.interfaces;
      const [a, b] = wanted;
      if (!first || !second || !a || !b) throw new Error("two of each were asked for");
      world.hold(a, second);
      world.hold(b, first);
      const { run, region } = await play(
        world,
        me,
        { environment: { EIP_HEAL_DISPLACE: displace } },
        { mostWrites: 4 },
      );
      expect(run.status, run.log.join("\n")).toBe(0);
      expect(run.log.join("\n"), "nothing is lost: no warning").not.toContain("disassociated");
      expect(region.holder(a.allocationId)?.networkInterfaceId).toBe(first.networkInterfaceId);
      expect(region.holder(b.allocationId)?.networkInterfaceId).toBe(second.networkInterfaceId);
    },
  );

  test.each(["releaser", "old"])(
    "doctor takes a swap under DISPLACE=no for what it is, by the role %s",
    async (role) => {
      const { world, wanted, me } = scene(2, 2, { role });
      const [first, second] = me.interfaces;
      const [a, b] = wanted;
      if (!first || !second || !a || !b) throw new Error("two of each were asked for");
      world.hold(a, second);
      world.hold(b, first);
      await inRegion(world, async (region, runtime) => {
        const run = await runAgent(region, me.instanceId, {
          flags: ["doctor", "--json"],
          runtime,
          environment: { EIP_HEAL_DISPLACE: "no" },
        });
        const { checks } = JSON.parse(run.stdout) as {
          checks: { id: string; mark: string; found: string }[];
        };
        const displaced = checks.filter(({ id }) => id === "displaced");
        expect(displaced.map(({ mark }) => mark)).toEqual(["ok", "ok"]);
        const says = "which this instance should have too, in another place";
        expect(displaced[0]?.found).toMatch(new RegExp(`${b.publicIp}\\)?, ${says}`));
        expect(displaced[1]?.found).toMatch(new RegExp(`${a.publicIp}\\)?, ${says}`));
      });
    },
  );

  test("what is not in the list is not displaced under DISPLACE=no, though the role may not see what it is", async () => {
    const { world, wanted, me } = scene(2, 2, { role: "old" });
    const [first, second] = me.interfaces;
    const [a] = wanted;
    if (!first || !second || !a) throw new Error("two of each were asked for");
    const strange = world.address();
    world.hold(strange, first);
    world.hold(a, second);
    const { run, region } = await play(
      world,
      me,
      { environment: { EIP_HEAL_DISPLACE: "no", ...DEADLINE } },
      // The second address belongs where the first one is, and the probe for the first one moves nothing.
      { mostWrites: 3 },
    );
    expect(run.status, run.log.join("\n")).toBe(78);
    expect(run.log.at(-1)).toContain(`another Elastic IP, ${strange.publicIp}, is on`);
    expect(region.holder(strange.allocationId)?.networkInterfaceId).toBe(first.networkInterfaceId);
  });

  test.each([
    {
      holder: "nobody, and EC2 does not know one of them",
      spoil: (tag: string) => tag.replace(/eipalloc-[0-9a-f]+@1/, "eipalloc-0ffffffffffffffff@1"),
      status: 78,
      begins: /^FAILED \(78\): .*eipalloc-0ffffffffffffffff/,
    },
  ])("one fails ($holder): the others are here, and it is said", async ({ spoil, begins }) => {
    const { world, wanted, tag, me } = scene(3, 3);
    const list = spoil(tag);
    const { run, region } = await play(
      world,
      me,
      { environment: { EIP_HEAL_ALLOCATION_ID: list, ...DEADLINE } },
      { mostWrites: 2 },
    );
    expect(run.status).toBe(78);
    expect(run.log.at(-1)).toMatch(begins);
    expect(run.log.at(-1)).toContain("; 2 of 3 addresses are here; gave up after");
    expect(run.log.at(-1)).toMatch(/; run: eip-heal doctor$/);
    expect(region.holder(wanted[0]?.allocationId ?? "")?.instanceId).toBe(me.instanceId);
    expect(region.holder(wanted[2]?.allocationId ?? "")?.instanceId).toBe(me.instanceId);
    expect(run.env).toBeUndefined();
    expect(run.result).toMatchObject({
      version: 2,
      outcome: "failed",
      exitStatus: 78,
      addresses: [{ outcome: "settled" }, { outcome: "failed" }, { outcome: "settled" }],
    });
  });

  test.each([
    { state: "running", newer: true, takeover: "newest", status: 69, outcome: "yielded" },
    { state: "running", newer: false, takeover: "newest", status: 0, outcome: "settled" },
    { state: "running", newer: false, takeover: "if-gone", status: 75, outcome: "failed" },
    { state: "stopped", newer: false, takeover: "if-gone", status: 0, outcome: "settled" },
    { state: "running", newer: true, takeover: "always", status: 0, outcome: "settled" },
  ] as const)(
    "one is held by another instance ($state, newer: $newer) under $takeover: $outcome",
    async ({ state, newer, takeover, status, outcome }) => {
      const { world, wanted, me } = scene(2, 2);
      const [, second] = wanted;
      if (!second) throw new Error("two were asked for");
      const age = newer ? 1 : 7_200;
      const other = world.instance({ state, launchTime: Date.now() - age * 1_000 });
      world.hold(second, other);
      const { run, calls } = await play(
        world,
        me,
        { environment: { EIP_HEAL_TAKEOVER: takeover, ...DEADLINE } },
        { mostWrites: 2 },
      );
      expect(run.status, run.log.join("\n")).toBe(status);
      // In exact numbers: test/simulation/several.test.ts.
      expect(new Set(calls.filter((action) => action !== "DescribeInstances"))).toEqual(
        new Set(["DescribeAddresses", "AssociateAddress"]),
      );
      const writes = calls.filter((action) => action === "AssociateAddress");
      expect(writes).toHaveLength(status === 0 ? 2 : 1);
      expect(run.result).toMatchObject({ addresses: [{ outcome: "settled" }, { outcome }] });
      expect(run.env === undefined).toBe(status !== 0);
    },
  );

  test.each([
    ["twice", (a: string, b: string) => `${a} ${b}@1 ${a}@1`, "each address once"],
    ["two without a place", (a: string, b: string) => `${a},${b}`, "at most one address without"],
    ["one place for two", (a: string, b: string) => `${a}@1 ${b}@1`, "one address in each place"],
    ["a place that is none", (a: string) => `${a}@eth0`, "after the @ of"],
    [
      "the same place by two names",
      (a: string, b: string) => `${a}@1 ${b}@10.0.1.20`,
      "belongs on",
    ],
  ])("a wrong list: %s", async (_, listOf, said) => {
    const { world, wanted, me } = scene(2, 2);
    const list = listOf(wanted[0]?.allocationId ?? "", wanted[1]?.allocationId ?? "");
    world.data.instances = world.data.instances.map((one) => ({
      ...one,
      tags: { ...one.tags, "allocation-id": list },
    }));
    const { run, calls } = await play(world, me, {}, { mostWrites: 0 });
    expect(run.status, run.log.join("\n")).toBe(78);
    expect(run.log.at(-1)).toContain(said);
    expect(calls).not.toContain("AssociateAddress");
  });

  test("one address by two names: it is found out before anything is moved", async () => {
    const { world, wanted, me } = scene(2, 2);
    const { allocationId, publicIp } = wanted[0] ?? {};
    const options = { environment: { EIP_HEAL_ALLOCATION_ID: `${allocationId} ${publicIp}@1` } };
    const { run } = await play(world, me, options, { mostWrites: 0 });
    const twice = `${allocationId} (${publicIp}) is named twice, also by ${publicIp}@1`;
    expect(run.status, run.log.join("\n")).toBe(78);
    expect(run.log.at(-1)).toContain(`${twice}; name it once`);
    await inRegion(world, async (region) => {
      const ask = (...flags: string[]) =>
        runAgent(region, me.instanceId, { ...options, flags: [...flags, "--json"] });
      const shown = await ask("status");
      expect(shown.status).toBe(78);
      expect(JSON.parse(shown.stdout)).toMatchObject({ here: false });
      expect(shown.stdout).toContain(`${twice}; name it once`);
      const checkup = await ask("doctor");
      expect(JSON.parse(checkup.stdout)).toMatchObject({ exitStatus: 78, first: "address" });
      expect(checkup.stdout).toContain(twice);
    });
  });

  test("a list of one: brought to its place, and not asked for again", async () => {
    const { world, wanted, me } = scene(1, 2);
    const [only] = wanted;
    if (!only) throw new Error("one was asked for");
    await inRegion(world, async (region, runtime) => {
      const list = ["--allocation-id", `${only.allocationId}@1`];
      const run = (...flags: string[]) =>
        runAgent(region, me.instanceId, { flags: [...flags, ...list], runtime });
      const healed = await run();
      expect(healed.status, healed.log.join("\n")).toBe(0);
      expect(healed.log.at(-1)).toMatch(/^associated /);
      expect(region.holder(only.allocationId)?.privateIp).toBe("10.0.1.20");
      expect(healed.env).toContain(`EIP_HEAL_PUBLIC_IP=${only.publicIp}\n`);
      const before = region.calls.length;
      for (let round = 0; round < 3; round++) {
        const { status, log } = await run("recheck");
        expect({ status, log }).toEqual({ status: 0, log: [] });
      }
      expect(region.calls.length, "nothing has changed: EC2 is not asked").toBe(before);
    });
  });

  test("recheck, status, doctor, policy and release know all of them", async () => {
    const { world, wanted, me } = scene(3, 2);
    const [, second] = wanted;
    if (!second) throw new Error("three were asked for");
    const other = world.instance({ launchTime: Date.now() - 7_200_000 });
    await inRegion(world, async (region, runtime) => {
      const run = (...flags: string[]) => runAgent(region, me.instanceId, { flags, runtime });
      const healed = await run();
      expect(healed.status, healed.log.join("\n")).toBe(0);
      expect(JSON.parse(readFileSync(join(runtime, "result.json"), "utf8"))).toMatchObject({
        version: 2,
      });

      const before = region.calls.length;
      const well = await run("recheck");
      expect(well.status, well.log.join("\n")).toBe(0);
      expect(region.calls.length, "nothing has changed: EC2 is not asked").toBe(before);

      region.region.associate(second.allocationId, other.instanceId);
      const away = await run("status", "--json");
      const shown = JSON.parse(away.stdout) as Record<string, unknown>;
      expect(shown).toMatchObject({
        version: 2,
        here: false,
        addresses: [{ here: true }, { here: false }, { here: true }],
      });
      expect(shown["message"]).toContain("2 of 3 addresses are here");

      const back = await run("recheck");
      expect(back.status, back.log.join("\n")).toBe(0);
      expect(region.holder(second.allocationId)?.instanceId).toBe(me.instanceId);
      expect(back.result).toMatchObject({
        outcome: "settled",
        addresses: [{ change: "none" }, { change: "taken" }, { change: "none" }],
      });

      const checked = await run("doctor", "--json");
      const { checks } = JSON.parse(checked.stdout) as { checks: { id: string; found: string }[] };
      expect(checks.filter(({ id }) => id === "holder")).toHaveLength(3);

      const policy = await run("policy");
      for (const { allocationId } of wanted) expect(policy.stdout).toContain(allocationId);

      const released = await run("release");
      expect(released.status, released.log.join("\n")).toBe(0);
      for (const { allocationId } of wanted) {
        expect(region.holder(allocationId)).toBeUndefined();
        expect(released.log.at(-1)).toContain(allocationId);
      }
      expect(released.env).toBeUndefined();
    });
  });

  test("a dry run says of each what a run would do, and moves nothing", async () => {
    const { world, wanted, me } = scene(2, 2);
    const [a, b] = wanted;
    const [, second] = me.interfaces;
    if (!a || !b || !second) throw new Error("two of each were asked for");
    world.hold(b, second);
    const { run, calls } = await play(world, me, { flags: ["--dry-run"] }, { mostWrites: 0 });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(run.log.at(-1)).toMatch(
      new RegExp(
        `^would associate ${a.allocationId} .*; dry run, nothing was changed; ${b.allocationId} .* is already associated with `,
      ),
    );
    expect(calls).toEqual(["DescribeAddresses", "DescribeAddresses"]);
    expect(run.result).toBeUndefined();
  });

  test.each([
    { trouble: "a NAT gateway has it", status: 78, says: "belongs to no instance" },
    {
      trouble: "the role may not associate it",
      status: 77,
      says: "not allowed: ec2:AssociateAddress",
    },
  ])(
    "one of them cannot be had ($trouble): the other is here",
    async ({ trouble, status, says }) => {
      const isHeld = status === 78;
      const { world, wanted, me } = scene(2, 2, {
        role: "narrow",
        policy: isHeld ? ofAll : ofFirst,
      });
      const [a, b] = wanted;
      if (!a || !b) throw new Error("two were asked for");
      if (isHeld) world.holdByService(b, "nat-gateway");
      const { run, region } = await play(world, me, { environment: DEADLINE }, { mostWrites: 5 });
      expect(run.result, trouble).toMatchObject({
        outcome: "failed",
        addresses: [{ outcome: "settled" }, { outcome: "failed" }],
      });
      expect(run.log.at(-1)).toContain("; 1 of 2 addresses are here; ");
      expect(run.log.join("\n")).toContain(says);
      expect(run.status, run.log.join("\n")).toBe(status);
      expect(region.holder(a.allocationId)?.instanceId).toBe(me.instanceId);
      expect(region.holder(b.allocationId)?.instanceId).not.toBe(me.instanceId);
      expect(run.env).toBeUndefined();
    },
  );

  test.each([
    { one: "free", result: "CONTINUE", status: 0 },
    { one: "not known to EC2", result: "ABANDON", status: 78 },
  ])("a lifecycle hook, with the second address $one: $result", async ({ one, result, status }) => {
    const world = aWorld();
    world.role("hook", HOOK_ROLE);
    world.group("web", { name: "web-launch" });
    const [a, b] = [world.address(), world.address()];
    const second = one === "free" ? b.allocationId : "eipalloc-0ffffffffffffffff";
    const me = world.instance({
      group: "web",
      role: "hook",
      tags: { "allocation-id": `${a.allocationId} ${second}@1` },
      metadataTags: true,
      lifecycle: "InService",
      enis: [0, 1].map((eni) => ({ deviceIndex: eni, privateIps: [`10.0.${eni}.20`] })),
    });
    await inRegion(world, async (region, runtime) => {
      region.region.waitUnderHook(me.instanceId, "web-launch");
      const run = await runAgent(region, me.instanceId, {
        runtime,
        environment: { EIP_HEAL_LIFECYCLE_HOOK: "web-launch", ...DEADLINE },
      });
      expect(run.status, run.log.join("\n")).toBe(status);
      expect(region.region.lifecycleActions()[0]?.ended).toMatchObject({ result, by: "call" });
      expect(region.holder(a.allocationId)?.instanceId).toBe(me.instanceId);
    });
  });

  test("a recheck leaves alone the one that others keep moving away, and brings back the other", async () => {
    const { world, wanted, me } = scene(2, 2);
    const [a, b] = wanted;
    if (!a || !b) throw new Error("two were asked for");
    const rival = world.instance({ launchTime: Date.now() - 7_200_000 });
    await inRegion(world, async (region, runtime) => {
      const run = (...flags: string[]) => runAgent(region, me.instanceId, { flags, runtime });
      const healed = await run();
      expect(healed.status, healed.log.join("\n")).toBe(0);
      const writes = () =>
        region.calls.filter(
          ({ action, params }) =>
            action === "AssociateAddress" && params["AllocationId"] === a.allocationId,
        ).length;
      const before = writes();
      region.region.associate(a.allocationId, rival.instanceId);
      region.region.disassociate(b.allocationId);
      const contest = setInterval(() => {
        if (region.holder(a.allocationId)?.instanceId === me.instanceId) {
          region.region.associate(a.allocationId, rival.instanceId);
        }
      }, 200);
      const { status, log, result } = await run("recheck");
      clearInterval(contest);
      expect(status, log.join("\n")).toBe(0);
      expect(writes() - before).toBe(5);
      expect(log.at(-1)).toMatch(
        new RegExp(`${a.allocationId}: others keep moving it away.*; 1 of 2 addresses are here$`),
      );
      expect(result).toMatchObject({
        outcome: "idle",
        idle: "resting",
        addresses: [{ outcome: "idle" }, { outcome: "settled", change: "associated" }],
      });
      const calls = region.calls.length;
      expect(await run("recheck")).toMatchObject({ status: 0, log: [] });
      expect(region.calls.length, "it is known already").toBe(calls);
    });
  });
});
