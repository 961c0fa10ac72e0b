/** One run: what it asks in which order, how it ends, and what it is told of runs before it and beside it. */
import { describe, expect, test } from "vitest";
import { EXIT, Failure } from "../../src/model/failure.ts";
import type { Instance } from "../../src/model/instance.ts";
import type { LastResult } from "../../src/reconcile/drift.ts";
import { resultRecord } from "../../src/report/report.ts";
import { heal, type HealOptions } from "../../src/run/heal.ts";
import type { SentWrite } from "../../src/run/ports.ts";
import {
  address,
  ALLOCATION,
  HERE,
  ME,
  mine,
  NOBODY,
  other,
  PUBLIC_IP,
  TARGET,
} from "../reconcile/fixtures.ts";
import { settingsOf } from "../support/settings.ts";
import {
  ALONE,
  GROUP,
  inTime,
  inTurn,
  observed,
  type Script,
  scripted,
  SELF,
  SIGTERM,
} from "./scripted.ts";

const SETTINGS = { EIP_HEAL_ALLOCATION_ID: ALLOCATION };
const IS_FREE = observed(address(NOBODY));
const IS_HERE = observed(address(HERE));
const WITH_OLDER = observed(address(other("running", -60)));
const TAG = { key: "allocation-id", value: ALLOCATION };
const LOAD_BALANCER = { kind: "other", what: "a load balancer" } as const;
const FACTS = {
  instanceId: ME,
  region: "us-east-1",
  lifecycleState: "InService",
  interfaceId: TARGET.interfaceId,
  privateIp: TARGET.privateIp,
};
const ABOUT = { allocationId: ALLOCATION, publicIp: PUBLIC_IP };
const silence = new Failure("unreachable", { why: "no answer" });

interface Play extends HealOptions {
  readonly settings?: Readonly<Record<string, string>>;
  /** What an earlier run on this boot has recorded of its last write. */
  readonly sent?: SentWrite;
  readonly stopAt?: number;
}

async function play(script: Script, { settings = SETTINGS, sent, stopAt, ...options }: Play = {}) {
  const world = scripted(script);
  const { time, ports } = world;
  if (sent !== undefined) world.writes.push(sent);
  const stop = new AbortController();
  if (stopAt !== undefined) void time.sleep(stopAt).then(() => stop.abort(SIGTERM));
  const outcome = await inTime(time, heal(settingsOf(settings), ports, options, stop.signal));
  return { ...world, outcome, asked: world.asked() };
}

describe("a run", () => {
  test("finds the address here, and asks no more than for that", async () => {
    const { outcome, calls } = await play({ observe: () => IS_HERE });
    expect(outcome).toEqual({
      end: "settled",
      change: "none",
      facts: { ...FACTS, ...ABOUT },
      tries: 1,
      ms: 0,
      asOf: 0,
      seenAt: 0,
    });
    expect(calls).toEqual(["0 instance", "0 connect", `0 observe ${ALLOCATION}`, "0 close"]);
  });

  test("associates a free one, and says so once EC2 has shown it twice, over another connection each time", async () => {
    const { outcome, calls } = await play({
      observe: inTurn(IS_FREE, IS_HERE),
      associate: () => {},
    });
    expect(outcome).toMatchObject({ end: "settled", change: "associated", ms: 6_000, asOf: 6_000 });
    expect(calls).toEqual([
      "0 instance",
      "0 connect",
      `0 observe ${ALLOCATION}`,
      "0 associate false",
      "0 close",
      "0 connect",
      `0 observe ${ALLOCATION}`,
      "6000 close",
      "6000 connect",
      `6000 observe ${ALLOCATION}`,
      "6000 close",
    ]);
  });

  test("begins again with the instance after a failure, and closes what it has opened", async () => {
    const { outcome, asked } = await play({
      observe: inTurn<typeof IS_HERE | Failure>(silence, IS_HERE),
    });
    expect(outcome).toMatchObject({ end: "settled", tries: 2 });
    expect(asked).toEqual([
      "instance",
      "connect",
      `observe ${ALLOCATION}`,
      "close",
      "instance",
      "connect",
      `observe ${ALLOCATION}`,
      "close",
    ]);
  });

  test("looks the address up by the tag that instance metadata is asked for", async () => {
    const tag = { key: "allocation-id", value: ALLOCATION };
    const script: Script = { instance: () => ({ ...SELF, tag }), observe: () => IS_HERE };
    const { outcome, asked } = await play(script, { settings: {} });
    expect(outcome.facts).toMatchObject(ABOUT);
    expect(asked[0]).toBe("instance allocation-id eip-pool");
  });

  test("says once which of two tags counts, and as debug if the last run of the unit has", async () => {
    const both: Instance = { ...SELF, tag: TAG, ignoredTag: { key: "eip-pool", value: "web" } };
    const script = {
      instance: () => both,
      observe: inTurn<typeof IS_HERE | Failure>(silence, IS_HERE),
    };
    const said = ({ log }: { log: readonly string[] }) =>
      log.filter((line) => line.includes("is ignored"));
    const line = `the tag allocation-id counts, and eip-pool=web is ignored: ${ME} has both; remove one of them`;
    expect(said(await play(script, { settings: {} }))).toEqual([`warn ${line}`]);
    const lastOfUnit = { outcome: "failed", exitStatus: 75 };
    expect(said(await play(script, { settings: {}, lastOfUnit }))).toEqual([`debug ${line}`]);
    // EC2 shows all tags at once.
    const tags = () => ({ "allocation-id": ALLOCATION, "eip-pool": "web" });
    const shown = await play({ tags, observe: () => IS_HERE }, { settings: {} });
    expect(said(shown)).toEqual([`warn ${line}`]);
    const one = { ...script, instance: () => ({ ...SELF, tag: TAG }) };
    expect(said(await play(one, { settings: {} }))).toEqual([]);
    // Nor is anything said of a pool alone, or of one tag that is meant for both.
    const pool = { tags: () => ({ "eip-pool": "web" }), observe: () => IS_HERE };
    expect(said(await play(pool, { settings: {} }))).toEqual([]);
    const same = { tags: () => ({ "allocation-id": ALLOCATION }), observe: () => IS_HERE };
    const settings = { EIP_HEAL_POOL_TAG: "allocation-id" };
    expect(said(await play(same, { settings }))).toEqual([]);
  });

  test("in a dry run does everything but the write", async () => {
    const { outcome, asked } = await play({ observe: () => WITH_OLDER }, { dryRun: true });
    expect(outcome).toMatchObject({ end: "would", change: "taken" });
    expect(asked).not.toContain("associate true");
  });

  test("makes the mapping again where that is asked for", async () => {
    const script: Script = { observe: () => IS_HERE, associate: () => {} };
    expect((await play(script, { force: true })).outcome).toMatchObject({ change: "renewed" });
  });

  test("does not touch an instance that is not in service, nor connects to EC2", async () => {
    const { outcome, asked } = await play({
      instance: () => ({ ...SELF, lifecycleState: "Warmed:Stopped" }),
    });
    expect(outcome).toMatchObject({ end: "idle", why: "not-in-service" });
    expect(outcome.facts).toMatchObject({ lifecycleState: "Warmed:Stopped" });
    expect(outcome.asOf).toBeUndefined();
    expect(asked).toEqual(["instance"]);
  });

  test("waits two minutes for a tag, and then there is rightly nothing to do where none is needed", async () => {
    const script: Script = { tags: () => ({}) };
    const needless = await play(script, { settings: { EIP_HEAL_OPTIONAL: "yes" } });
    expect(needless.outcome).toMatchObject({ end: "idle", why: "not-configured", ms: 120_000 });
    const needed = await play(script, { settings: {} });
    expect(needed.outcome).toMatchObject({ end: "failed", status: EXIT.CONFIG, isWaitedOut: true });
  });

  test("does not hide a bug", async () => {
    await expect(play({})).rejects.toThrow("not in the script");
  });
});

describe("the settings say", () => {
  test.each<[string, Readonly<Record<string, string>>, Script, object]>([
    [
      "who may hold the address",
      { EIP_HEAL_TAKEOVER: "if-gone" },
      { observe: () => WITH_OLDER },
      { end: "failed", status: EXIT.TEMPFAIL },
    ],
    [
      "who of a pool it may be taken from",
      { EIP_HEAL_POOL: "eip-pool=web", EIP_HEAL_POOL_TAKEOVER: "oldest" },
      { observe: () => WITH_OLDER },
      { end: "would", change: "taken" },
    ],
    [
      "that nobody of a pool is robbed",
      { EIP_HEAL_POOL: "eip-pool=web" },
      { observe: () => WITH_OLDER },
      { end: "failed", status: EXIT.TEMPFAIL },
    ],
    [
      "that no other address is displaced",
      { ...SETTINGS, EIP_HEAL_DISPLACE: "no" },
      {
        observe: () => observed(address(NOBODY, { publicIp: "203.0.113.8" })),
        elasticIpAt: () => ({ publicIp: PUBLIC_IP }),
      },
      { end: "failed", status: EXIT.CONFIG },
    ],
    [
      "on which interface it is to be",
      { ...SETTINGS, EIP_HEAL_INTERFACE: "1" },
      {},
      { end: "failed", status: EXIT.CONFIG, failure: { code: "NoInterface" } },
    ],
    [
      "at which private address",
      { ...SETTINGS, EIP_HEAL_PRIVATE_IP: "10.0.0.6" },
      {},
      { end: "failed", status: EXIT.CONFIG, failure: { code: "NoSuchPrivateIp" } },
    ],
  ])("%s", async (_, variables, script, expected) => {
    const settings = { ...SETTINGS, EIP_HEAL_DEADLINE: "10s", ...variables };
    const pool = variables["EIP_HEAL_POOL"] !== undefined;
    const { EIP_HEAL_ALLOCATION_ID: _id, ...others } = settings;
    const { outcome } = await play(script, { settings: pool ? others : settings, dryRun: true });
    expect(outcome).toMatchObject(expected);
  });

  test("how long it may take", async () => {
    const settings = { ...SETTINGS, EIP_HEAL_DEADLINE: "90s" };
    const { outcome } = await play({ observe: () => silence }, { settings });
    expect(outcome).toMatchObject({ end: "failed", status: EXIT.TEMPFAIL, ms: 89_000 });
  });
});

describe("an address that may be here when time is up", () => {
  const settings = { ...SETTINGS, EIP_HEAL_DEADLINE: "10s" };

  test("because EC2 has shown it and was not heard of again after the hold", async () => {
    const observe = inTurn<typeof IS_HERE | Failure>(WITH_OLDER, IS_HERE, silence);
    const { outcome } = await play({ observe, associate: () => {} }, { settings });
    expect(outcome).toMatchObject({ end: "failed", status: EXIT.TEMPFAIL, isPlaced: true });
  });

  test("because the write was not answered, and no look after it either", async () => {
    const observe = inTurn<typeof IS_HERE | Failure>(WITH_OLDER, silence);
    const { outcome } = await play({ observe, associate: () => silence }, { settings });
    expect(outcome).toMatchObject({ end: "failed", status: EXIT.TEMPFAIL, isPlaced: true });
  });

  test("is not if EC2 has shown nothing yet", async () => {
    const settings = { ...SETTINGS, EIP_HEAL_DEADLINE: "5s" };
    const { outcome } = await play({ observe: () => silence }, { settings });
    expect(outcome).toMatchObject({ end: "failed", isPlaced: false });
  });

  test("is not if EC2 refused it", async () => {
    const observe = inTurn<typeof IS_HERE | Failure>(WITH_OLDER, silence);
    const associate = () => new Failure("denied", { why: "not allowed" });
    const { outcome } = await play({ observe, associate }, { settings });
    expect(outcome).toMatchObject({ end: "failed", isPlaced: false });
  });

  test("is not if EC2 shows it elsewhere since", async () => {
    const observe = inTurn(WITH_OLDER, observed(address(other("running", 60))));
    const { outcome } = await play({ observe, associate: () => {} }, { settings });
    expect(outcome).toMatchObject({ end: "failed", status: EXIT.UNAVAILABLE, isPlaced: false });
  });

  test("is held to the end, past the deadline", async () => {
    const observe = inTurn(WITH_OLDER, IS_HERE);
    const late = { ...SETTINGS, EIP_HEAL_DEADLINE: "3s" };
    const { outcome } = await play({ observe, associate: () => {} }, { settings: late });
    expect(outcome).toMatchObject({ end: "settled", change: "taken", ms: 6_000 });
  });

  test.each([
    ["a newer instance", address(other("running", 60)), EXIT.UNAVAILABLE],
    ["something it must not be taken from", address(LOAD_BALANCER), EXIT.CONFIG],
    ["an instance that may keep it for now", address(other("unrecognized", -60)), EXIT.TEMPFAIL],
  ])("is lost to %s in a hold past the deadline: that is the cause", async (_, lost, status) => {
    const late = { ...SETTINGS, EIP_HEAL_DEADLINE: "3s" };
    // Once more it is asked whether this instance is about to be interrupted.
    const script = { observe: inTurn(IS_HERE, observed(lost)), spotAction: () => undefined };
    const sent = { at: -1_000, wroteThisBoot: true };
    const { outcome } = await play(script, { settings: late, sent });
    expect(outcome).toMatchObject({ end: "failed", status, isPlaced: false, ms: 6_000 });
    expect(outcome).toHaveProperty("failure.message", expect.not.stringMatching(/the deadline/));
  });
});

test("a tag that came late does not explain an end in the middle of a write: that is out of time, and tried again", async () => {
  const { outcome } = await play(
    {
      tags: inTurn<Record<string, string>>({}, { "allocation-id": ALLOCATION }),
      observe: inTurn<typeof IS_FREE | Failure>(IS_FREE, silence),
      associate: () => silence,
      // The answer to the write comes too late.
      takes: (request) => (request === "associate" ? 60_000 : 0),
    },
    { settings: { EIP_HEAL_DEADLINE: "10s" } },
  );
  expect(outcome).toMatchObject({ end: "failed", status: EXIT.TEMPFAIL, isPlaced: true });
});

describe("a group that does not show whether this instance is in service", () => {
  const MEMBER = { ...ALONE, group: GROUP };
  const refusal = new Failure("denied", { why: "not allowed" });

  test("takes nothing from a running instance for a minute, whose state Auto Scaling is asked for at each try", async () => {
    const { outcome, asked } = await play({
      instance: () => MEMBER,
      member: () => undefined,
      observe: () => WITH_OLDER,
      associate: () => {},
    });
    // From when the group was known, in looks five seconds apart.
    expect(asked.filter((call) => call === `observe ${ALLOCATION}`).length).toBeGreaterThan(12);
    expect(asked.filter((call) => call === "member").length).toBeGreaterThan(12);
    expect(outcome.ms).toBeGreaterThan(60_000);
  });

  test("is not waited for any longer once it shows that", async () => {
    const { outcome } = await play({
      instance: inTurn<Instance>(MEMBER, SELF),
      member: () => undefined,
      observe: inTurn(WITH_OLDER, WITH_OLDER, IS_HERE),
      associate: () => {},
    });
    expect(outcome).toMatchObject({ end: "settled", change: "taken", tries: 2 });
    expect(outcome.ms).toBeLessThan(60_000);
  });

  test("is asked only once if it refuses", async () => {
    const { asked } = await play(
      { instance: () => MEMBER, member: () => refusal, observe: () => WITH_OLDER },
      { settings: { ...SETTINGS, EIP_HEAL_DEADLINE: "30s" } },
    );
    expect(asked.filter((call) => call === "member")).toHaveLength(1);
  });

  test("may have a free address all the same", async () => {
    const { outcome } = await play({
      instance: () => MEMBER,
      member: () => refusal,
      observe: inTurn(IS_FREE, IS_HERE),
      associate: () => {},
    });
    expect(outcome).toMatchObject({ end: "settled", change: "associated", ms: 6_000 });
    expect(outcome.facts).not.toHaveProperty("lifecycleState");
  });

  test("is known by the tags that EC2 shows, too", async () => {
    const { outcome, asked } = await play({
      instance: () => ALONE,
      member: () => ({ group: GROUP, lifecycleState: "Warmed:Running" }),
      observe: () => ({ ...WITH_OLDER, group: GROUP }),
    });
    expect(asked).not.toContain("associate true");
    expect(outcome).toMatchObject({ end: "idle", why: "not-in-service", tries: 2 });
  });
});

describe("runs before it", () => {
  const settings = { ...SETTINGS, EIP_HEAL_INTERFACE: "1" };
  /** What the first run has left, which has waited for an interface in vain. */
  const before = async (more: Partial<LastResult> = {}): Promise<LastResult> => {
    const { outcome } = await play({}, { settings });
    const record = resultRecord(outcome, new Date(0)) as unknown as LastResult;
    return { ...record, ...more };
  };

  test("have waited for it in vain on this boot: it is not waited for again", async () => {
    const { outcome } = await play({}, { settings, lastOnBoot: await before() });
    expect(outcome).toMatchObject({ status: EXIT.CONFIG, isWaitedOut: true, tries: 1, ms: 0 });
  });

  test("on another instance have not", async () => {
    const lastOnBoot = await before({ instanceId: "i-1" });
    const { outcome } = await play({}, { settings, lastOnBoot });
    expect(outcome).toMatchObject({ ms: 120_000 });
  });

  test("of the unit have told it: it is debug now", async () => {
    const { log } = await play({}, { settings, lastOfUnit: await before() });
    expect(log.filter((line) => line.startsWith("warn "))).toEqual([]);
    const { log: first } = await play({}, { settings });
    expect(first.filter((line) => line.startsWith("warn "))).not.toEqual([]);
  });

  test("have written a moment ago: what is found here is held before it counts", async () => {
    const held = await play(
      { observe: () => IS_HERE },
      { sent: { at: -1_000, wroteThisBoot: true } },
    );
    expect(held.outcome).toMatchObject({ end: "settled", change: "none", ms: 6_000 });
    const old = await play(
      { observe: () => IS_HERE },
      { sent: { at: -9_000, wroteThisBoot: true } },
    );
    expect(old.outcome).toMatchObject({ end: "settled", change: "none", ms: 0 });
  });

  test("have written on this boot: always is newest then, unless a person orders it", async () => {
    const withNewer = observed(address(other("running", 60)));
    const take = (options: Play) =>
      play(
        { observe: inTurn(withNewer, IS_HERE), associate: () => {} },
        { settings: { ...SETTINGS, EIP_HEAL_TAKEOVER: "always" }, ...options },
      );
    const longAgo = { at: -9_000, wroteThisBoot: true };
    const justNow = { at: -7_000, wroteThisBoot: true };
    expect((await take({ sent: longAgo })).outcome).toMatchObject({ end: "failed", status: 69 });
    const { outcome, asked } = await take({ sent: longAgo, isOrdered: true });
    expect(outcome).toMatchObject({ end: "settled", change: "taken", ms: 6_000 });
    expect(asked).toContain("associate true");
    // Also while the effect of the earlier one is still awaited.
    const soon = await take({ sent: justNow, isOrdered: true });
    expect(soon.outcome).toMatchObject({ end: "settled", change: "taken", ms: 6_000 });
  });

  test.each([true, false])(
    "have sent a write that got lost, or this one has: always stays always (ordered: %s)",
    async (isOrdered) => {
      const isThere = observed(address(other("running", 60)));
      let hasArrived = false;
      let sendings = 0;
      const { outcome, asked } = await play(
        {
          observe: () => (hasArrived ? IS_HERE : isThere),
          associate: () => {
            const isLost = ++sendings === 1;
            hasArrived = !isLost;
            return isLost ? silence : undefined;
          },
        },
        {
          settings: { ...SETTINGS, EIP_HEAL_TAKEOVER: "always" },
          sent: { at: -9_000, wroteThisBoot: false },
          isOrdered,
        },
      );
      expect(outcome).toMatchObject({ end: "settled", change: "taken", tries: 2 });
      expect([asked.filter((what) => what === "associate true").length, sendings]).toEqual([2, 2]);
    },
  );
});

describe("an address that is given up meanwhile", () => {
  const others = (givenUpAt: number, now: () => number) => ({
    wasReleased: () => now() >= givenUpAt,
    withdraw: () => {},
  });

  test("is not looked at any more", async () => {
    const { outcome, asked } = await play({}, { shared: others(0, () => 0) });
    expect(outcome).toMatchObject({ end: "stopped", tries: 1 });
    expect(outcome).toMatchObject({
      because: expect.stringContaining("given up on purpose") as string,
    });
    expect(asked).toEqual([]);
  });

  test("is not associated", async () => {
    let looks = 0;
    const observe = () => {
      looks++;
      return IS_FREE;
    };
    const { outcome, asked, writes } = await play({ observe }, { shared: others(1, () => looks) });
    expect(outcome).toMatchObject({ end: "stopped" });
    expect(asked).not.toContain("associate false");
    expect(writes.at(-1)).toBeUndefined();
  });

  test("does not matter to a dry run", async () => {
    const { outcome } = await play(
      { observe: () => IS_FREE },
      { dryRun: true, shared: others(0, () => 0) },
    );
    expect(outcome).toMatchObject({ end: "would" });
  });
});

test("somebody who ends the run is named, with what was being done", async () => {
  const { outcome } = await play({ observe: () => silence }, { stopAt: 20_000 });
  expect(outcome).toMatchObject({ end: "stopped", ms: 20_000 });
  expect(outcome).toMatchObject({
    because: expect.stringMatching(/^stopped by SIGTERM while /) as string,
  });
});

test("what it took is counted from its own beginning", async () => {
  const { time, ports } = scripted({ observe: inTurn(IS_FREE, IS_HERE), associate: () => {} });
  await inTime(time, time.sleep(5_000));
  const { signal } = new AbortController();
  expect(await inTime(time, heal(settingsOf(SETTINGS), ports, {}, signal))).toMatchObject({
    end: "settled",
    ms: 6_000,
  });
});

test("what was found out before a failure stays known", async () => {
  const { outcome } = await play({
    instance: inTurn<Instance | Failure>(
      SELF,
      new Failure("misconfigured", { why: "metadata is off" }),
    ),
    observe: () => observed(address(mine("eni-2", "10.0.0.6"))),
    associate: () => new Failure("throttled", { why: "too many" }),
  });
  expect(outcome).toMatchObject({ end: "failed", status: EXIT.CONFIG, tries: 2 });
  expect(outcome.facts).toEqual({ ...FACTS, ...ABOUT });
});

describe("a spot instance", () => {
  test("that is about to be interrupted looks, and changes nothing", async () => {
    const { outcome, asked } = await play({
      observe: () => IS_FREE,
      spotAction: () => "terminate",
    });
    expect(outcome).toMatchObject({
      end: "idle",
      because: "this spot instance is about to terminate",
      why: "not-in-service",
    });
    expect(asked).toEqual(["instance", "connect", `observe ${ALLOCATION}`, "spotAction", "close"]);
  });

  test("tries again where it cannot be read whether it is", async () => {
    const { outcome, asked } = await play({
      observe: inTurn(IS_FREE, IS_FREE, IS_HERE),
      spotAction: inTurn<Failure | undefined>(silence, undefined),
      associate: () => {},
    });
    expect(outcome).toMatchObject({ end: "settled", change: "associated", tries: 2 });
    expect(asked.filter((what) => /^(spot|associate)/.test(what))).toEqual([
      "spotAction",
      "spotAction",
      "associate false",
    ]);
  });
});
