/** Recheck and release: the real binary with the /run of one instance, from run to run. */
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Effect, FaultRule } from "../../sim/faults.ts";
import { type RunningRegion, startRegion } from "../../sim/server.ts";
import { aWorld, type BuiltInstance } from "../../sim/world.ts";
import { type AgentRun, runAgent } from "../support/agent.ts";
import { inRegion } from "../support/region.ts";

const LAUNCHED = Date.UTC(2026, 10, 1, 12);

let region: RunningRegion;
let allocationId: string;
let publicIp: string;
let me: BuiltInstance;
let older: BuiltInstance;
let newer: BuiltInstance;
let runtime: string;

beforeEach(async () => {
  const world = aWorld();
  ({ allocationId, publicIp } = world.address());
  const group = { tags: { "allocation-id": allocationId }, role: "releaser", metadataTags: true };
  world.role("releaser", { Statement: [{ Effect: "Allow", Action: "ec2:*", Resource: "*" }] });
  older = world.instance({ ...group, launchTime: LAUNCHED - 3_600_000 });
  me = world.instance({ ...group, launchTime: LAUNCHED });
  newer = world.instance({ ...group, launchTime: LAUNCHED + 3_600_000 });
  region = await startRegion(world);
  runtime = mkdtempSync(join(tmpdir(), "eip-heal-run-"));
});
afterEach(async () => {
  await region.close();
  rmSync(runtime, { recursive: true });
  expect(region.bugs).toEqual([]);
});

const agent = (...flags: string[]): Promise<AgentRun> =>
  runAgent(region, me.instanceId, { flags, runtime, environment: { EIP_HEAL_DEADLINE: "10s" } });
/** The address is here, and a run has verified it. What was not just written is not held, so this takes no time. */
const verified = (): Promise<AgentRun> => {
  region.region.associate(allocationId, me.instanceId);
  return agent();
};
/** EC2 calls made by what is done. */
async function during(what: () => Promise<AgentRun>): Promise<AgentRun & { calls: string[] }> {
  const before = region.calls.length;
  const run = await what();
  return { ...run, calls: region.calls.slice(before).map(({ action }) => action) };
}
const DENIED: Effect = { do: "error", code: "UnauthorizedOperation", status: 403 };
/** A heal waits for it. */
const NO_INTERFACE = { EIP_HEAL_INTERFACE: "7", EIP_HEAL_DEADLINE: "4s" };
const holder = () => region.holder(allocationId)?.instanceId;

describe("recheck", () => {
  test("asks EC2 nothing and says nothing while all is well", async () => {
    await agent();
    for (let i = 0; i < 3; i++) {
      const { status, log, calls } = await during(() => agent("recheck"));
      expect({ status, log, calls }).toEqual({ status: 0, log: [], calls: [] });
    }
  });

  test("reads no more of instance metadata than it needs, each once, and no credentials", async () => {
    const asked = async (...flags: string[]) => {
      const before = region.imdsRequests.length;
      await agent(...flags);
      return region.imdsRequests
        .slice(before)
        .map(({ path }) =>
          path.replace(/^\/latest\/(?:meta-data\/)?/, "").replace(/[\da-f:]{17}/, "MAC"),
        )
        .toSorted();
    };
    const identity = [
      "api/token",
      "autoscaling/target-lifecycle-state",
      "dynamic/instance-identity/document",
      "network/interfaces/macs/",
      "network/interfaces/macs/MAC/interface-id",
      "network/interfaces/macs/MAC/local-ipv4s",
      "network/interfaces/macs/MAC/public-ipv4s",
    ];
    expect(await asked()).toEqual(
      [
        ...identity,
        "iam/security-credentials/",
        "iam/security-credentials/releaser",
        // It is free, and about to be associated.
        "spot/instance-action",
        "tags/instance/allocation-id",
        "tags/instance/aws:autoscaling:groupName",
        // Were it there too, the log would say which of them counts.
        "tags/instance/eip-pool",
      ].toSorted(),
    );
    expect(await asked("recheck")).toEqual(identity);
  });

  test.each(["an older instance", "nobody"])(
    "heals when %s has the address, and says what it found",
    async (who) => {
      await verified();
      region.region.disassociate(allocationId);
      if (who !== "nobody") region.region.associate(allocationId, older.instanceId);
      const { status, log } = await agent("recheck");
      expect(status, log.join("\n")).toBe(0);
      expect(log[0]).toContain(
        `${publicIp} was verified here, and instance metadata shows no public IPv4 address`,
      );
      expect(log[1]).toContain(`associated ${allocationId} (${publicIp}) with ${me.instanceId}`);
      expect(holder()).toBe(me.instanceId);
      expect((await during(() => agent("recheck"))).calls).toEqual([]);
    },
  );

  test("leaves it to a newer instance, says so once, and goes on being in order", async () => {
    await verified();
    region.region.associate(allocationId, newer.instanceId);
    const first = await agent("recheck");
    expect(first.status, first.log.join("\n")).toBe(0);
    expect(first.log.at(-1)).toContain(`yielded: a newer instance has ${allocationId}`);
    expect(first.env).toBeUndefined();
    for (let i = 0; i < 3; i++) {
      const { status, log, calls } = await during(() => agent("recheck"));
      expect({ status, log }).toEqual({ status: 0, log: [] });
      expect(calls).not.toContain("AssociateAddress");
    }
    region.region.terminate(newer.instanceId);
    region.region.terminated(newer.instanceId);
    expect((await agent("recheck")).status).toBe(0);
    expect(holder()).toBe(me.instanceId);
  });

  test("leaves a unit that has failed to its own retries, which say of a known cause no more than how they ended", async () => {
    const fault = region.faults.add({
      service: "ec2",
      effect: { do: "error", code: "InternalError", status: 500 },
    });
    const heal = () =>
      runAgent(region, me.instanceId, { runtime, environment: { EIP_HEAL_DEADLINE: "5s" } });
    const first = await heal();
    expect(first.result).toMatchObject({ outcome: "failed", unit: "eip-heal.service" });
    expect(first.log[0]).toContain("; next try in ");
    expect(await during(() => agent("recheck"))).toMatchObject({ status: 0, log: [], calls: [] });

    const second = await heal();
    expect(second.status).toBe(75);
    expect(second.log).toEqual([expect.stringMatching(/; gave up after \d+ tries/)]);
    expect(second.result).toMatchObject({ toldAt: first.result?.["toldAt"] });
    // Another cause is news.
    region.faults.clear(fault);
    region.faults.add({ service: "imds", effect: { do: "status", status: 500 } });
    expect((await heal()).log[0]).toContain("; next try in ");
  });

  test("brings the address to an instance that enters service without a boot", async () => {
    region.region.setLifecycle(me.instanceId, "Warmed:Running");
    expect((await agent()).result).toMatchObject({ outcome: "idle", idle: "not-in-service" });
    expect(await during(() => agent("recheck"))).toMatchObject({ status: 0, log: [], calls: [] });
    region.region.setLifecycle(me.instanceId, "InService");
    expect((await agent("recheck")).status).toBe(0);
    expect(holder()).toBe(me.instanceId);
  });

  test("touches nothing while instance metadata is silent", async () => {
    await verified();
    region.region.associate(allocationId, older.instanceId);
    await region.unplug(me.instanceId);
    const { status, calls, log, env, result } = await during(() => agent("recheck"));
    expect(status, log.join("\n")).toBe(75);
    expect(calls).toEqual([]);
    // Who cannot tell leaves what was verified as it is.
    expect(env).toContain(publicIp);
    expect(result).toMatchObject({ outcome: "settled" });
  });

  test("makes the mapping again when EC2 shows the address here and metadata does not, round after round", async () => {
    await verified();
    region.region.configure({ imdsStalenessMs: 3_600_000 }); // metadata shows what was an hour ago: nothing
    const rounds = [];
    let told = "";
    for (let i = 0; i < 3; i++) {
      const { calls, log } = await during(() => agent("recheck"));
      rounds.push(calls);
      told = log.at(-1) ?? "";
    }
    // What instance metadata denies is held before it counts.
    expect(rounds[0]).toEqual(["DescribeAddresses", "DescribeAddresses"]);
    expect(rounds[1]).toEqual(["DescribeAddresses", "DescribeAddresses"]);
    expect(rounds[2]?.slice(0, 2)).toEqual(["DescribeAddresses", "AssociateAddress"]);
    expect(told).toContain("anew, since instance metadata did not show it there");
    expect(holder()).toBe(me.instanceId);
  });

  test("stops moving after a handful of times within an hour", async () => {
    await verified();
    const ends = [];
    for (let i = 0; i < 7; i++) {
      region.region.disassociate(allocationId);
      ends.push(await agent("recheck"));
      if (holder() === undefined) break;
    }
    expect(ends).toHaveLength(6);
    expect(ends.at(-1)?.log[0]).toMatch(
      /moved here 5 times within an hour, so it is left alone until \d\d:\d\d UTC/,
    );
    expect(ends.at(-1)?.status).toBe(0);
    // The result is not that of a time when the address was here, and the news is told once.
    expect(ends.at(-1)?.env).toBeUndefined();
    expect(ends.at(-1)?.result).toMatchObject({ outcome: "idle", idle: "resting" });
    expect(await during(() => agent("recheck"))).toMatchObject({ status: 0, log: [], calls: [] });
  });

  test("counts the moves of one recheck too, when others take the address away at once", async () => {
    await verified();
    region.region.associate(allocationId, older.instanceId);
    const rival = setInterval(() => {
      if (holder() === me.instanceId) region.region.associate(allocationId, older.instanceId);
    }, 200);
    const { status, log, calls, result } = await during(() =>
      runAgent(region, me.instanceId, {
        flags: ["recheck"],
        runtime,
        environment: { EIP_HEAL_DEADLINE: "50s" },
      }),
    );
    clearInterval(rival);
    expect(status, log.join("\n")).toBe(0);
    expect(calls.filter((action) => action === "AssociateAddress")).toHaveLength(5);
    expect(log.at(-1)).toMatch(
      /others keep moving it away, so it is left alone until \d\d:\d\d UTC/,
    );
    expect(result).toMatchObject({ outcome: "idle", idle: "resting" });
    expect(await during(() => agent("recheck"))).toMatchObject({ status: 0, log: [], calls: [] });
  });

  test("out of service: told once, and nobody believes any longer that the address is here", async () => {
    await verified();
    region.region.setLifecycle(me.instanceId, "Standby");
    const { status, log, calls, env, result } = await during(() => agent("recheck"));
    expect({ status, calls, env }).toEqual({ status: 0, calls: [], env: undefined });
    expect(log).toEqual([
      expect.stringContaining("nothing to do: this instance is not in service"),
    ]);
    expect(result).toMatchObject({ outcome: "idle", idle: "not-in-service" });
    expect(await during(() => agent("recheck"))).toMatchObject({ status: 0, log: [], calls: [] });

    region.region.setLifecycle(me.instanceId, "InService");
    expect(await agent("recheck")).toMatchObject({ status: 0, result: { outcome: "settled" } });
  });

  test("with --json it prints what it has found, or else the last result", async () => {
    const healed = await verified();
    const { stdout } = await agent("recheck", "--json");
    expect(JSON.parse(stdout)).toEqual(healed.result);
    region.region.disassociate(allocationId);
    const after = await agent("recheck", "--json");
    expect(JSON.parse(after.stdout)).toEqual(after.result);
  });

  test.each([
    ["an interface", NO_INTERFACE],
    ["a private address", { EIP_HEAL_PRIVATE_IP: "10.9.9.9" }],
  ])("waits for %s that is not there any more, and tells it once", async (_, place) => {
    await verified();
    const run = () =>
      runAgent(region, me.instanceId, {
        flags: ["recheck"],
        runtime,
        environment: { ...place, EIP_HEAL_DEADLINE: "4s" },
      });
    const first = await run();
    expect(first.status).toBe(78);
    expect(first.result).toMatchObject({ outcome: "failed", exitStatus: 78 });
    expect(first.result?.["tries"]).toBeGreaterThan(1);
    expect(first.env).toBeUndefined();
    expect(await run()).toMatchObject({ status: 0, log: [] });
  });

  test("goes on after one look at instance metadata that had no private address", async () => {
    await verified();
    const path = "/latest/meta-data/network/interfaces/macs/";
    region.faults.add({
      service: "imds",
      path: `${path}${me.interfaces[0]?.mac}/local-ipv4s`,
      count: 1,
      effect: { do: "status", status: 404 },
    });
    expect(await agent("recheck")).toMatchObject({ status: 0, result: { outcome: "settled" } });
    region.region.disassociate(allocationId);
    expect(await agent("recheck")).toMatchObject({ status: 0, result: { outcome: "settled" } });
  });

  test.each<[number, FaultRule]>([
    [75, { service: "ec2", effect: { do: "reset" } }],
    [77, { service: "ec2", action: "AssociateAddress", effect: DENIED }],
  ])("goes on after a recheck that ended with %d: nobody has to act", async (failed, fault) => {
    region.faults.add(fault);
    const first = await runAgent(region, me.instanceId, {
      flags: ["recheck"],
      runtime,
      environment: { EIP_HEAL_DEADLINE: "4s" },
    });
    expect(first.status, first.log.join("\n")).toBe(failed);
    expect(first.result).toMatchObject({ outcome: "failed", exitStatus: failed });
    region.faults.clear();
    const { status, log } = await agent("recheck");
    expect(status, log.join("\n")).toBe(0);
    expect(holder()).toBe(me.instanceId);
  });

  test.each(["settled", "released"])(
    "looks for itself where /run has a result of another instance, as in an image: %s",
    async (outcome) => {
      await verified();
      const path = join(runtime, "result.json");
      const record = JSON.parse(readFileSync(path, "utf8")) as object;
      writeFileSync(path, JSON.stringify({ ...record, outcome, instanceId: older.instanceId }));
      const { status, calls, result } = await during(() => agent("recheck"));
      expect({ status, calls }).toEqual({ status: 0, calls: ["DescribeAddresses"] });
      expect(result).toMatchObject({ outcome: "settled", instanceId: me.instanceId });
    },
  );

  test("asks EC2 nothing on a machine that need not be configured, and is not", async () => {
    region.region.tag(me.instanceId, { "allocation-id": null });
    const optional = (...flags: string[]) =>
      runAgent(region, me.instanceId, {
        flags,
        runtime,
        environment: { EIP_HEAL_OPTIONAL: "yes", EIP_HEAL_DEADLINE: "4s" },
      });
    expect((await optional()).result).toMatchObject({ outcome: "idle", idle: "not-configured" });
    const { status, log, calls } = await during(() => optional("recheck"));
    expect({ status, log, calls }).toEqual({ status: 0, log: [], calls: [] });
  });

  test("does not repeat a mistake that somebody has to correct", async () => {
    const run = (...flags: string[]) =>
      runAgent(region, me.instanceId, {
        flags,
        runtime,
        environment: { ...NO_INTERFACE, EIP_HEAL_DEADLINE: "4s" },
      });
    expect((await run()).status).toBe(78);
    expect((await during(() => agent("recheck"))).calls).toEqual([]);
  });
});

describe("release", () => {
  test("gives the address up, and rechecks leave it so", async () => {
    await verified();
    const { status, log, env, result, calls } = await during(() => agent("release"));
    expect(status, log.join("\n")).toBe(0);
    expect(log[0]).toContain(`released ${allocationId} (${publicIp})`);
    expect(holder()).toBeUndefined();
    expect(env).toBeUndefined();
    expect(result).toMatchObject({ outcome: "released" });
    expect(calls).toEqual(["DescribeAddresses", "DisassociateAddress"]);
    expect((await during(() => agent("recheck"))).calls).toEqual([]);
  });

  test("does nothing if another instance has the address by now", async () => {
    await verified();
    region.region.associate(allocationId, newer.instanceId);
    const { status, log, calls } = await during(() => agent("release"));
    expect(status, log.join("\n")).toBe(0);
    expect(log[0]).toBe("nothing to do: this instance does not hold the address");
    expect(calls).not.toContain("DisassociateAddress");
    expect(holder()).toBe(newer.instanceId);
  });

  test("never takes the address from whoever got it after the look", async () => {
    await verified();
    const moved = new Promise<void>((done) => {
      const timer = setInterval(() => {
        if (!region.calls.some(({ at, action }) => action === "DescribeAddresses" && at > started))
          return;
        clearInterval(timer);
        region.region.associate(allocationId, newer.instanceId);
        done();
      }, 5);
    });
    const started = Date.now();
    region.faults.add({
      service: "ec2",
      action: "DisassociateAddress",
      effect: { do: "delay", beforeMs: 500 },
    });
    const { status, log } = await agent("release");
    await moved;
    expect(holder()).toBe(newer.instanceId);
    expect(status).toBe(0);
    expect(log).toEqual(["nothing to do: this instance does not hold the address"]);
  });
});

describe("a release that does not come to its end", () => {
  test.each(["reset", "silence"] as const)(
    "but for its answer, which is lost with the address (%s), has come to its end",
    async (how) => {
      await verified();
      region.faults.add({
        service: "ec2",
        action: "DisassociateAddress",
        effect: { do: "lose-answer", how },
      });
      const { status, log, result } = await agent("release");
      expect(status, log.join("\n")).toBe(0);
      expect(result).toMatchObject({ outcome: "released" });
      expect((await during(() => agent("recheck"))).calls).toEqual([]);
    },
  );

  test("was lost on its way: EC2 shows the address here, so nothing is said to be released", async () => {
    await verified();
    region.faults.add({ service: "ec2", action: "DisassociateAddress", effect: { do: "reset" } });
    const { status, env, result, calls } = await during(() => agent("release"));
    expect(status).toBe(75);
    expect(calls.filter((action) => action === "DisassociateAddress")).not.toEqual([]);
    expect(holder()).toBe(me.instanceId);
    expect(env).toContain(publicIp);
    expect(result).toMatchObject({ outcome: "settled" });
  });

  test("lacks the permission to see which association to end: no request to end one is sent", async () => {
    await verified();
    region.region.setPolicy("releaser", {
      Statement: [
        {
          Effect: "Allow",
          Action: ["ec2:DescribeInstances", "ec2:AssociateAddress"],
          Resource: "*",
        },
      ],
    });
    const { status, log, result, calls } = await during(() => agent("release"));
    expect(status).toBe(77);
    expect(log[0]).toContain("by which association only ec2:DescribeAddresses tells");
    expect(calls).not.toContain("DisassociateAddress");
    expect(holder()).toBe(me.instanceId);
    expect(result).toMatchObject({ outcome: "settled" });
  });

  test.each(["stopped", "out of time"])(
    "and is %s when EC2 has done it: rechecks leave it so",
    async (how) => {
      await verified();
      region.faults.add({
        service: "ec2",
        action: "DisassociateAddress",
        effect: { do: "lose-answer", how: "silence" },
      });
      region.faults.add({
        service: "ec2",
        action: "DescribeAddresses",
        skip: 1,
        effect: { do: "silence" },
      });
      const { status, env } = await runAgent(region, me.instanceId, {
        flags: ["release"],
        runtime,
        ...(how === "stopped" && {
          stopWhen: () => region.calls.at(-1)?.action === "DisassociateAddress",
        }),
      });
      expect(status).toBe(75);
      expect(env).toBeUndefined();
      region.faults.clear();
      expect((await during(() => agent("recheck"))).calls).toEqual([]);
      expect(holder()).toBeUndefined();
    },
  );

  test("is not undone by a recheck that is under way", async () => {
    await verified();
    region.region.associate(allocationId, older.instanceId);
    const recheck = agent("recheck");
    while (holder() !== me.instanceId) await new Promise((done) => setTimeout(done, 5));
    // It holds what it has taken for six seconds.
    expect((await agent("release")).status).toBe(0);
    expect((await recheck).status).toBe(0);
    expect(holder()).toBeUndefined();
    expect((await agent("recheck")).result).toMatchObject({ outcome: "released" });
    expect(holder()).toBeUndefined();
  });

  test("is refused: the result is what it was", async () => {
    await verified();
    region.region.setPolicy("releaser", {
      Statement: [
        { Effect: "Allow", Action: ["ec2:Describe*", "ec2:AssociateAddress"], Resource: "*" },
      ],
    });
    const { status, env, result } = await agent("release");
    expect(status).toBe(77);
    expect(env).toContain(publicIp);
    expect(result).toMatchObject({ outcome: "settled" });
  });

  test("leaves the last result and the variables of other units as they are", async () => {
    await verified();
    region.faults.add({ service: "ec2", effect: { do: "error", code: "RequestLimitExceeded" } });
    const { status, env, result } = await agent("release");
    expect(status).toBe(75);
    expect(env).toContain(publicIp);
    expect(result).toMatchObject({ outcome: "settled" });
    region.faults.clear();
    expect(await during(() => agent("recheck"))).toMatchObject({ status: 0, calls: [] });
  });

  test("is not undone: a second one finds nothing to do, and rechecks go on leaving it so", async () => {
    await verified();
    await agent("release");
    const second = await agent("release");
    expect(second.status).toBe(0);
    expect(second.log[0]).toBe("nothing to do: this instance does not hold the address");
    expect((await during(() => agent("recheck"))).calls).toEqual([]);
    expect(holder()).toBeUndefined();
  });

  test("has nothing to do where nothing is configured and that is in order", async () => {
    region.region.tag(me.instanceId, { "allocation-id": null });
    const { status, log } = await runAgent(region, me.instanceId, {
      flags: ["release"],
      environment: { EIP_HEAL_OPTIONAL: "yes" },
    });
    expect(status).toBe(0);
    expect(log).toEqual([expect.stringMatching(/^nothing to do: no tag allocation-id/)]);
  });
});

describe("release from a pool", () => {
  test("gives up the address at its place, not one on another interface", async () => {
    const world = aWorld();
    const tags = { "eip-pool": "web" };
    const [first, second] = [world.address({ tags }), world.address({ tags })];
    world.role("releaser", { Statement: [{ Effect: "Allow", Action: "ec2:*", Resource: "*" }] });
    const two = world.instance({
      tags,
      role: "releaser",
      metadataTags: true,
      enis: [{ privateIps: ["10.0.0.20"] }, { privateIps: ["10.0.1.20"], deviceIndex: 1 }],
    });
    world.hold(first, two, "10.0.0.20");
    world.hold(second, two, "10.0.1.20");
    await inRegion(world, async (pool) => {
      const { status, log } = await runAgent(pool, two.instanceId, {
        flags: ["release"],
        environment: { EIP_HEAL_INTERFACE: "1" },
      });
      expect(status, log.join("\n")).toBe(0);
      expect(pool.holder(first.allocationId)?.privateIp).toBe("10.0.0.20");
      expect(pool.holder(second.allocationId)).toBeUndefined();
    });
  });
});

describe("an address whose mapping is to be made anew", () => {
  test("is not said to be when no answer has said so, and tried again by the next recheck", async () => {
    await verified();
    region.region.configure({ imdsStalenessMs: 3_600_000 });
    await agent("recheck");
    await agent("recheck");
    region.faults.add({ service: "ec2", action: "AssociateAddress", effect: { do: "reset" } });
    for (let i = 0; i < 2; i++) {
      const { status, log, calls } = await during(() => agent("recheck"));
      expect(status, log.join("\n")).toBe(0);
      expect(calls.filter((action) => action === "AssociateAddress")).toHaveLength(1);
      expect(log.join("\n")).not.toContain("anew");
    }
  });
});

describe("the result files", () => {
  test("stay when somebody mistypes a flag", async () => {
    await verified();
    const { status, env } = await agent("--takeover", "newst");
    expect(status).toBe(64);
    expect(env).toContain(publicIp);
  });

  const files = () => readdirSync(runtime).toSorted();

  test("of a run that could not begin are not those of the run before", async () => {
    await verified();
    const { status, env, result } = await runAgent(region, me.instanceId, {
      runtime,
      environment: { EIP_HEAL_TAKEOVER: "newst" },
    });
    expect(status).toBe(78);
    expect(env).toBeUndefined();
    expect(result).toMatchObject({
      outcome: "failed",
      failure: "misconfigured",
      exitStatus: 78,
      message: expect.stringContaining('EIP_HEAL_TAKEOVER in the environment is "newst"'),
    });
  });

  test("are not those of the unit that calls", async () => {
    await verified();
    const before = files();
    // ExecStop= of another unit: its RUNTIME_DIRECTORY= is not ours to write to.
    const { log } = await runAgent(region, me.instanceId, {
      environment: { RUNTIME_DIRECTORY: `/run/somebody-else:${runtime}` },
    });
    expect(log.join("\n")).not.toContain("cannot write");
    expect(existsSync("/run/somebody-else")).toBe(false);
    expect(files()).toEqual(before);
  });

  test("are not written through a link that somebody has laid", async () => {
    const victim = join(runtime, "victim");
    writeFileSync(victim, "precious");
    const until = performance.now() + 30_000;
    // Their next names hold the process id, so all of them are laid out.
    const highest = Number(readFileSync("/proc/sys/kernel/pid_max", "utf8"));
    const now = Number(/\d+/.exec(readFileSync("/proc/self/stat", "utf8"))?.[0]);
    for (let id = now; id < Math.min(now + 3_000, highest); id++) {
      symlinkSync(victim, join(runtime, `result.json.${id}`));
    }
    const { result } = await verified();
    expect(performance.now()).toBeLessThan(until);
    expect(result).toMatchObject({ outcome: "settled" });
    expect(readFileSync(victim, "utf8")).toBe("precious");
  });
});

describe("what the recheck rests on", () => {
  test("says nothing, minute by minute, about a mistake in the settings that the run has told", async () => {
    const run = (...flags: string[]) =>
      runAgent(region, me.instanceId, { flags, runtime, environment: NO_INTERFACE });
    await run();
    expect(await run("recheck")).toMatchObject({ status: 0, log: [] });
  });
});

describe("a spot instance that is about to go", () => {
  test.each(["terminate", "stop"] as const)("%s: says so, touches nothing", async (action) => {
    region.region.setSpotAction(me.instanceId, action);
    const { status, log, calls } = await during(() => agent());
    expect(status).toBe(0);
    expect(log).toEqual([`nothing to do: this spot instance is about to ${action}`]);
    expect(calls).toEqual(["DescribeAddresses"]);
    expect(holder()).toBeUndefined();
  });

  test("a recheck that finds the address elsewhere says so once, and touches nothing", async () => {
    await verified();
    region.region.disassociate(allocationId);
    region.region.setSpotAction(me.instanceId, "terminate");
    const first = await during(() => agent("recheck"));
    expect(first).toMatchObject({
      status: 0,
      log: ["nothing to do: this spot instance is about to terminate"],
      calls: [],
    });
    expect(first.env).toBeUndefined();
    expect(await during(() => agent("recheck"))).toMatchObject({ status: 0, log: [], calls: [] });
    region.region.setSpotAction(me.instanceId, undefined);
    expect((await agent("recheck")).status).toBe(0);
    expect(holder()).toBe(me.instanceId);
  });
});
