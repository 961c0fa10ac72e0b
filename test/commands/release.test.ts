/** Giving the address up: only what is here, by its association, in one try, and never said without being so. */
import { describe, expect, test } from "vitest";
import { release } from "../../src/commands/release.ts";
import { nameDesired } from "../../src/model/address.ts";
import { AWS_CODE, EXIT, Failure } from "../../src/model/failure.ts";
import type { Outcome } from "../../src/model/outcome.ts";
import { report } from "../../src/report/report.ts";
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
} from "../reconcile/fixtures.ts";
import { A, anEc2, B, LIST } from "../run/pair.ts";
import { inTime, inTurn, observed, type Script, scripted, SIGTERM } from "../run/scripted.ts";
import { settingsOf } from "../support/settings.ts";

const ASSOCIATION = "eipassoc-00000000000000001";
const IS_HERE = observed(address({ ...HERE, associationId: ASSOCIATION }));
const IS_FREE = observed(address(NOBODY));
const silence = new Failure("unreachable", { why: "no answer" });

interface Play {
  readonly settings?: Readonly<Record<string, string>>;
  /** What another run has recorded of its last write. */
  readonly sent?: SentWrite;
  readonly stopAt?: number;
  /** Why others on this machine cannot be told. */
  readonly trouble?: Failure;
  /** No setting names the address. */
  readonly isTagged?: boolean;
}

async function play(script: Script, { settings = {}, sent, stopAt, trouble, isTagged }: Play = {}) {
  const world = scripted(script);
  const { time, ports, calls } = world;
  if (sent !== undefined) world.writes.push(sent);
  const stop = new AbortController();
  if (stopAt !== undefined) void time.sleep(stopAt).then(() => stop.abort(SIGTERM));
  let intended: Outcome | undefined;
  const publish = (outcome: Outcome) => {
    calls.push("0 tell the others");
    if (trouble !== undefined) return Promise.reject(trouble);
    intended = outcome;
    return Promise.resolve(() => {
      calls.push("0 take that back");
      return Promise.resolve();
    });
  };
  const named = { EIP_HEAL_ALLOCATION_ID: ALLOCATION, ...settings };
  const { EIP_HEAL_ALLOCATION_ID: _, ...byOther } = named;
  const isOther = isTagged === true || "EIP_HEAL_POOL" in settings;
  const work = release(settingsOf(isOther ? byOther : named), ports, publish, stop.signal);
  const outcome = await inTime(time, work);
  return { ...world, outcome, intended, asked: world.asked() };
}

const TOLD = "tell the others";
const TAKEN_BACK = "take that back";
const RELEASE = `release ${ASSOCIATION}`;

describe("an address that is here", () => {
  test("is given up by its association, once the others on this machine have been told", async () => {
    const { outcome, intended, asked } = await play({ observe: () => IS_HERE, release: () => {} });
    expect(outcome).toMatchObject({
      end: "released",
      name: `${ALLOCATION} (${PUBLIC_IP})`,
      facts: { instanceId: ME, region: "us-east-1", allocationId: ALLOCATION, publicIp: PUBLIC_IP },
      tries: 1,
    });
    expect(outcome).not.toHaveProperty("isUnderWay");
    expect(asked).toEqual(["instance", "connect", TOLD, `observe ${ALLOCATION}`, RELEASE, "close"]);
    expect(intended).toMatchObject({ end: "released", isUnderWay: true });
  });

  test("whose association the role may not see stays: it is a permission that is missing", async () => {
    const { outcome, asked } = await play({ observe: () => observed(address(HERE)) });
    expect(outcome).toMatchObject({ end: "failed", status: EXIT.NOPERM });
    expect(asked.filter((call) => call.startsWith("release"))).toEqual([]);
    // Nothing was given up, so what was said before is true again.
    expect(asked).toContain(TAKEN_BACK);
  });

  test.each<[string, Failure, number]>([
    ["denied", new Failure("denied", { why: "not allowed" }), EXIT.NOPERM],
    ["throttled", new Failure("throttled", { why: "too many" }), EXIT.TEMPFAIL],
  ])("whose release is %s stays", async (_, failure, status) => {
    const { outcome, asked } = await play({ observe: () => IS_HERE, release: () => failure });
    expect(outcome).toMatchObject({ end: "failed", status, tries: 1 });
    expect(asked.filter((call) => call === RELEASE)).toHaveLength(1);
    expect(asked).toContain(TAKEN_BACK);
  });

  test("that somebody was quicker to move is not this instance's any more", async () => {
    const gone = new Failure("not-yet", { why: "gone", code: AWS_CODE.unknownAssociation });
    const { outcome, asked } = await play({ observe: () => IS_HERE, release: () => gone });
    expect(outcome).toMatchObject({ end: "idle", why: "not-holder" });
    expect(asked).not.toContain(TAKEN_BACK);
  });
});

describe("an answer that is lost", () => {
  const lost = (...shown: [typeof IS_HERE | Failure, ...(typeof IS_HERE | Failure)[]]): Script => ({
    observe: inTurn<typeof IS_HERE | Failure>(IS_HERE, ...shown),
    release: () => silence,
  });

  test("was a yes if EC2 shows nobody: that is asked over another connection", async () => {
    const { outcome, asked } = await play(lost(IS_FREE));
    expect(outcome).toMatchObject({ end: "released" });
    expect(asked.slice(-6)).toEqual([
      `observe ${ALLOCATION}`,
      RELEASE,
      "close",
      "connect",
      `observe ${ALLOCATION}`,
      "close",
    ]);
  });

  test("was a yes if EC2 shows another holder, or another association of this instance", async () => {
    const elsewhere = observed(address(other("running", 60)));
    expect((await play(lost(elsewhere))).outcome).toMatchObject({ end: "released" });
    const again = observed(address({ ...HERE, associationId: "eipassoc-00000000000000002" }));
    expect((await play(lost(again))).outcome).toMatchObject({ end: "released" });
  });

  test("was a no if EC2 shows the very association: nothing is released, and that is said", async () => {
    const { outcome, asked } = await play(lost(IS_HERE));
    expect(outcome).toMatchObject({ end: "failed", status: EXIT.TEMPFAIL });
    expect(asked).toContain(TAKEN_BACK);
  });

  test("may have been a yes if EC2 is silent then, too: the others must not undo it", async () => {
    const { outcome, asked } = await play(lost(silence));
    expect(outcome).toMatchObject({ end: "failed", status: EXIT.TEMPFAIL });
    expect(asked).not.toContain(TAKEN_BACK);
  });
});

describe("an address that is not here", () => {
  test.each([
    ["with nobody", IS_FREE],
    ["with another instance", observed(address(other("running", 60)))],
    ["with a NAT gateway", observed(address({ kind: "other", what: "a NAT gateway" }))],
  ])("%s is left alone", async (_, shown) => {
    const { outcome, asked } = await play({ observe: () => shown });
    expect(outcome).toMatchObject({ end: "idle", why: "not-holder" });
    expect(asked.filter((call) => call.startsWith("release"))).toEqual([]);
    // That nobody wants it here any more holds all the same.
    expect(asked).not.toContain(TAKEN_BACK);
  });
});

describe("of a pool", () => {
  const settings = { EIP_HEAL_POOL: "eip-pool=web" };
  const numbered = (n: number, holder: Parameters<typeof address>[0]) =>
    address(holder, { allocationId: `eipalloc-0000000${n}`, publicIp: `203.0.113.${n}` });

  test("the one at the target is given up, and no other that this instance holds", async () => {
    const shown = observed(
      numbered(1, other("running")),
      numbered(2, { ...mine("eni-2", "10.0.0.6"), associationId: "eipassoc-2" }),
      numbered(3, { ...HERE, associationId: "eipassoc-3" }),
    );
    const { outcome, asked } = await play(
      { observe: () => shown, release: () => {} },
      { settings },
    );
    expect(outcome).toMatchObject({ end: "released", name: "eipalloc-00000003 (203.0.113.3)" });
    expect(asked.filter((call) => call.startsWith("release"))).toEqual(["release eipassoc-3"]);
  });

  test("a single address is given up wherever on this instance it is", async () => {
    const shown = observed(address({ ...mine("eni-2", "10.0.0.6"), associationId: ASSOCIATION }));
    const { outcome } = await play({ observe: () => shown, release: () => {} });
    expect(outcome).toMatchObject({ end: "released" });
  });
});

describe("of several addresses", () => {
  const [C, D] = ["eipalloc-0000000000000000c", "eipalloc-0000000000000000d"];
  const missing = (allocationId: string) =>
    new Failure("misconfigured", { why: `${allocationId} is nowhere` });
  const settings = { EIP_HEAL_ALLOCATION_ID: `${C}@10.0.0.5 ${A} ${D}@10.0.1.5 ${B}@1` };

  test("those that are here are given up, though others are nowhere; the failure says so of each", async () => {
    const ec2 = anEc2();
    for (const [at, id] of [A, B].entries()) {
      ec2.move(id, {
        ...mine(`eni-0000000000000000${at}`, `10.0.${at}.5`),
        associationId: `eipassoc-${at}`,
      });
    }
    const { outcome, asked } = await play(
      {
        instance: ec2.instance,
        observe: (desired) => {
          const name = nameDesired(desired);
          return name === C || name === D ? missing(name) : observed(ec2.look(desired));
        },
        release: () => {},
      },
      { settings },
    );
    expect(outcome).toMatchObject({ end: "failed", status: EXIT.CONFIG });
    expect(report(outcome).line).toMatch(
      new RegExp(
        `^FAILED \\(78\\): ${C} is nowhere; ${D} is nowhere; released ${A} \\(203\\.0\\.113\\.10\\), ${B} \\(203\\.0\\.113\\.11\\)`,
      ),
    );
    expect(asked.filter((call) => call.startsWith("release"))).toEqual([
      "release eipassoc-0",
      "release eipassoc-1",
    ]);
    // What has been told to the others on this machine stands.
    expect(asked).not.toContain(TAKEN_BACK);
  });

  test.each([
    ["a setting", { EIP_HEAL_ALLOCATION_ID: LIST }, undefined],
    ["a tag that only EC2 shows", {}, { "allocation-id": LIST }],
  ])("named by %s, the result is of none of them alone", async (_, named, tags) => {
    const ec2 = anEc2();
    ec2.move(A, { ...mine("eni-00000000000000000", "10.0.0.5"), associationId: ASSOCIATION });
    const script: Script = {
      ...ec2.script,
      release: () => {},
      ...(tags && { tags: () => tags }),
    };
    const { outcome } = await play(script, { settings: named, isTagged: tags !== undefined });
    expect(outcome).toMatchObject({ end: "released", name: `${A} (203.0.113.10)` });
    expect(outcome.facts).toEqual({ instanceId: ME, region: "us-east-1" });
  });

  test("none is given up where all are nowhere, and what was said before is true again", async () => {
    const { outcome, asked } = await play(
      { instance: anEc2().instance, observe: (desired) => missing(nameDesired(desired)) },
      { settings },
    );
    expect(outcome).toMatchObject({ end: "failed", status: EXIT.CONFIG });
    expect(report(outcome).line).not.toContain("released");
    expect(asked).toContain(TAKEN_BACK);
  });
});

describe("an association that another run has under way", () => {
  const script: Script = { observe: () => IS_HERE, release: () => {} };
  const sentAt = (at: number) => play(script, { sent: { at, wroteThisBoot: false } });

  test.each([
    ["just now is waited for until it has landed", 0, 3_000],
    ["two seconds ago, too", -2_000, 1_000],
    ["three seconds ago has landed", -3_000, 0],
    ["in the future is of a clock before the boot", 5_000, 0],
  ])("sent %s", async (_, at, ms) => {
    const { outcome } = await sentAt(at);
    expect(outcome).toMatchObject({ end: "released", ms, asOf: ms });
  });
});

describe("a release that does not come to its end", () => {
  test("is stopped by whoever stops it", async () => {
    const script: Script = { observe: () => IS_HERE, takes: () => 5_000 };
    const { outcome } = await play(script, { stopAt: 7_000 });
    expect(outcome).toMatchObject({ end: "stopped", ms: 7_000 });
    expect(outcome).toMatchObject({
      because: "stopped by SIGTERM while looking for the address",
    });
  });

  test("ends after ten seconds: the machine is being stopped", async () => {
    const { outcome } = await play({ takes: () => 60_000 });
    expect(outcome).toMatchObject({ end: "stopped", ms: 10_000 });
    expect(outcome).toMatchObject({ because: "out of time while reading instance metadata" });
  });

  test("does nothing if the others cannot be told", async () => {
    const trouble = new Failure("not-yet", { why: "no space left on the device" });
    const { outcome, asked } = await play({ observe: () => IS_HERE }, { trouble });
    expect(outcome).toMatchObject({ end: "failed", failure: trouble, status: EXIT.TEMPFAIL });
    expect(asked).toEqual(["instance", "connect", TOLD, "close"]);
  });

  test("because of a bug is none of the ends", async () => {
    await expect(play({})).rejects.toThrow("not in the script");
  });

  test("has rightly nothing to do on a machine that is not configured, where that is in order", async () => {
    const settings = { EIP_HEAL_POOL: "eip-pool=web" };
    expect((await play({ observe: () => observed() }, { settings })).outcome).toMatchObject({
      end: "idle",
      why: "not-holder",
    });
  });
});
