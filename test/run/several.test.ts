/** Several addresses: what their runs have to do with each other. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isNameOf } from "../../src/model/address.ts";
import { EXIT, Failure } from "../../src/model/failure.ts";
import { HOLD_MS, SUSPECT_MS } from "../../src/reconcile/bounds.ts";
import type { LastResult } from "../../src/reconcile/drift.ts";
import { conclude } from "../../src/reconcile/hook.ts";
import { heal, type HealOptions } from "../../src/run/heal.ts";
import { resultRecord } from "../../src/report/report.ts";
import { lastWriteIn } from "../../src/system/results.ts";
import { ME, other } from "../reconcile/fixtures.ts";
import { settingsOf } from "../support/settings.ts";
import { A, anEc2, B, IPS, LIST } from "./pair.ts";
import { inTime, observed, type Script, scripted } from "./scripted.ts";

function begin(
  script: Script,
  options: HealOptions = {},
  list = LIST,
  more: Readonly<Record<string, string>> = {},
) {
  const world = scripted(script);
  const settings = settingsOf({ EIP_HEAL_ALLOCATION_ID: list, ...more });
  const work = heal(settings, world.ports, options, new AbortController().signal);
  return { ...world, work: inTime(world.time, work) };
}

describe("a bug in the run of one address", () => {
  test("ends those of the others before it is thrown, so that nothing is written afterwards", async () => {
    const { script, writes } = anEc2();
    const bug = new TypeError("a bug");
    let looks = 0;
    const { asked, work } = begin({
      ...script,
      // The first address is still being looked at when the bug in the run of the second one shows.
      takes: (request) => (request === "observe" && looks++ === 0 ? 100 : 0),
      observe: (desired) => {
        if (isNameOf(desired, { allocationId: B })) throw bug;
        return script.observe?.(desired) ?? observed();
      },
    });
    const open = work.catch(() => asked().filter((call) => call === "connect" || call === "close"));
    await expect(work).rejects.toBe(bug);
    expect(writes).toEqual([]);
    expect(await open).toEqual(["connect", "connect", "close", "close"]);
  });
});

describe("an address that comes a minute after the other one", () => {
  const LATE = 60_000;
  /** EC2 does not answer for the second address until it is late. */
  function late(ec2: ReturnType<typeof anEc2>, now: () => number, until = LATE): Script {
    const silence = new Failure("unreachable", { why: "no answer" });
    return {
      ...ec2.script,
      observe: (desired) =>
        isNameOf(desired, { allocationId: B }) && now() < until
          ? silence
          : observed(ec2.look(desired)),
    };
  }
  function run(
    ec2: ReturnType<typeof anEc2>,
    options: HealOptions = {},
    script: Script = {},
    settings: Readonly<Record<string, string>> = {},
  ) {
    let clock = () => 0;
    const said: string[] = [];
    const world = begin(
      { ...late(ec2, () => clock()), ...script },
      { onEnd: (one) => void said.push(one.name), ...options },
      LIST,
      settings,
    );
    clock = world.ports.clock.now;
    return { ...world, said };
  }

  test("is the last of both to be looked at but for one look at the first, which is still here", async () => {
    const ec2 = anEc2();
    const { work, asked, said } = run(ec2);
    const outcome = await work;
    expect(outcome).toMatchObject({ end: "settled", change: "associated" });
    expect(outcome.each).toMatchObject([
      { outcome: { change: "associated", ms: 6_000, asOf: outcome.ms } },
      { outcome: { change: "associated" } },
    ]);
    expect(asked().filter((call) => call === `observe ${A}`)).toHaveLength(4);
    expect(ec2.writes).toEqual([A, B]);
    expect(said).toEqual([A, `${B}@1`]);
  });

  test("does not hide that the first was moved away meanwhile: it is brought back, and both are here", async () => {
    const ec2 = anEc2();
    const { work, time, said } = run(ec2);
    void time.sleep(LATE / 2).then(() => ec2.move(A, other("running", -60)));
    const outcome = await work;
    expect(outcome).toMatchObject({
      end: "settled",
      each: [{ outcome: { change: "taken" } }, { outcome: { change: "associated" } }],
    });
    expect(ec2.look({ kind: "address", allocationId: A }).holder).toMatchObject({ instanceId: ME });
    expect(said).toEqual([A, `${B}@1`, A]);
  });

  test("does not hide that a newer instance has taken the first meanwhile: the run does not succeed", async () => {
    const ec2 = anEc2();
    const { work, time } = run(ec2);
    void time.sleep(LATE / 2).then(() => ec2.move(A, other("running", 60)));
    expect(await work).toMatchObject({
      end: "failed",
      status: EXIT.UNAVAILABLE,
      each: [{ outcome: { end: "failed" } }, { outcome: { end: "settled" } }],
    });
    expect(ec2.writes).toEqual([A, B]);
  });

  test("takes the first from a newer instance once only, though a person has ordered that", async () => {
    const ec2 = anEc2();
    const newer = other("running", 60);
    ec2.move(A, newer);
    const { work, time } = run(ec2, { isOrdered: true }, {}, { EIP_HEAL_TAKEOVER: "always" });
    void time.sleep(LATE / 2).then(() => ec2.move(A, newer));
    expect(await work).toMatchObject({ end: "failed", status: EXIT.UNAVAILABLE });
    expect(ec2.writes).toEqual([A, B]);
  });

  test("does not have the instance abandoned, if EC2 does not tell of the first any more", async () => {
    const ec2 = anEc2();
    const silence = new Failure("unreachable", { why: "no answer" });
    const { work, time } = begin(
      {
        ...ec2.script,
        observe: (desired) => {
          const now = time.now() - begun;
          const isSilent = isNameOf(desired, { allocationId: B }) ? now < 28_000 : now > 30_000;
          return isSilent ? silence : observed(ec2.look(desired));
        },
      },
      {},
      LIST,
      { EIP_HEAL_DEADLINE: "30s" },
    );
    const begun = time.now();
    const outcome = await work;
    expect(outcome.each).toMatchObject([
      { outcome: { end: "failed", status: EXIT.TEMPFAIL } },
      { outcome: { end: "settled" } },
    ]);
    expect(conclude(outcome, outcome.facts)).toMatchObject({ do: "leave" });
  });

  test("is no reason to do again what was asked for once: to associate anew, to wait until requests show it", async () => {
    const ec2 = anEc2();
    const publicIpBy = () => ({ publicIp: IPS[A] ?? "" });
    const url = "http://checkip.example.com/";
    const { work, asked } = run(
      ec2,
      { force: true },
      { publicIpBy },
      { EIP_HEAL_WAIT_REACHABLE: url },
    );
    expect(await work).toMatchObject({ end: "settled" });
    expect(ec2.writes).toEqual([A, B]);
    // And requests leave by the first address only.
    expect(asked().filter((call) => call === `GET ${url}`)).toHaveLength(1);
  });

  test("is looked at again even if the deadline has passed in the hold of the other one", async () => {
    const ec2 = anEc2();
    const deadline = { EIP_HEAL_DEADLINE: `${LATE / 1_000 + 2}s` };
    const { work, time, asked } = run(ec2, { onEnd: () => {} }, {}, deadline);
    expect(await work).toMatchObject({ end: "settled" });
    expect(time.now()).toBeGreaterThan(LATE + 2_000);
    expect(asked().filter((call) => call === `observe ${A}`)).toHaveLength(4);
  });

  test("brings it back without anybody to tell of it", async () => {
    const ec2 = anEc2();
    const { work, time } = begin(late(ec2, () => time.now() - begun));
    const begun = time.now();
    void time.sleep(LATE / 2).then(() => ec2.move(A, other("running", -60)));
    expect(await work).toMatchObject({ end: "settled" });
    expect(ec2.writes).toEqual([A, B, A]);
  });

  test("is looked at again if the machine has slept in between, by whose own clock that was a moment ago", async () => {
    const ec2 = anEc2();
    let suspendedMs = 0;
    const { work, time } = begin({
      ...late(ec2, () => time.now() - begun, HOLD_MS),
      suspended: () => suspendedMs,
    });
    const begun = time.now();
    void time.sleep(HOLD_MS + 1).then(() => {
      suspendedMs = 3_600_000;
      ec2.move(A, other("running", 60));
    });
    const outcome = await work;
    expect(outcome).toMatchObject({
      end: "failed",
      status: EXIT.UNAVAILABLE,
      each: [{ outcome: { end: "failed" } }, { outcome: { end: "settled" } }],
    });
    expect(outcome.each?.[1]?.outcome.asOf).toBeLessThan(HOLD_MS + SUSPECT_MS);
  });

  test.each([
    ["does not go on for ever", "10m", [A, B, A, B, A]],
    ["goes on past the deadline only once", "70s", [A, B, A]],
  ])("%s if each is moved away while the other one is brought back", async (_, deadline, moved) => {
    const ec2 = anEc2();
    const ended: string[] = [];
    const { work } = run(
      ec2,
      {
        onEnd: ({ name }) => {
          ended.push(name);
          const one = name === A ? B : A;
          if (ended.length > 1) ec2.move(one, other("running", -60));
        },
      },
      // So that bringing one back takes longer than the look at the other one counts.
      { takes: (request) => (request === "observe" || request === "associate" ? 1_000 : 0) },
      { EIP_HEAL_DEADLINE: deadline },
    );
    await work;
    expect(ended).toEqual(moved.map((name) => (name === A ? A : `${B}@1`)));
    expect(ec2.writes).toEqual(moved);
  });
});

test("they are known by a tag that only EC2 shows, too", async () => {
  const ec2 = anEc2();
  const script = { ...ec2.script, tags: () => ({ "allocation-id": LIST }) };
  const outcome = await begin(script, {}, "").work;
  expect(outcome).toMatchObject({ end: "settled", each: [{ name: A }, { name: `${B}@1` }] });
  expect(ec2.writes).toEqual([A, B]);
});

describe("in a run that fails because of the other address, what is said of the first", () => {
  const DEADLINE = 30_000;
  /** EC2 never answers for the second address, and for the first as long as it is not silent. */
  function run(ec2: ReturnType<typeof anEc2>, isSilent: () => boolean = () => false) {
    const silence = new Failure("unreachable", { why: "no answer" });
    const observe: Script["observe"] = (desired) =>
      isNameOf(desired, { allocationId: B }) || isSilent() ? silence : observed(ec2.look(desired));
    const deadline = { EIP_HEAL_DEADLINE: `${DEADLINE / 1_000}s` };
    return begin({ ...ec2.script, observe }, {}, LIST, deadline);
  }

  test("is what EC2 shows at the end of the run", async () => {
    const ec2 = anEc2();
    const { work, asked } = run(ec2);
    expect(await work).toMatchObject({
      end: "failed",
      each: [{ outcome: { end: "settled", change: "associated" } }, { outcome: { end: "failed" } }],
    });
    expect(asked().filter((call) => call === `observe ${A}`)).toHaveLength(4);
    expect(ec2.writes).toEqual([A]);
  });

  test("is that it is here, once it has been brought back from where it was moved meanwhile", async () => {
    const ec2 = anEc2();
    const { work, time } = run(ec2);
    void time.sleep(DEADLINE / 2).then(() => ec2.move(A, other("running", -60)));
    const { each } = await work;
    expect(each?.[0]?.outcome).toMatchObject({ end: "settled", change: "taken" });
    expect(ec2.writes).toEqual([A, A]);
  });

  test("is that it is not here, if a newer instance has taken it meanwhile", async () => {
    const ec2 = anEc2();
    const { work, time } = run(ec2);
    void time.sleep(DEADLINE / 2).then(() => ec2.move(A, other("running", 60)));
    const { each } = await work;
    expect(each?.[0]?.outcome).toMatchObject({ end: "failed", status: EXIT.UNAVAILABLE });
  });

  test("is what EC2 has shown last, if it does not answer at the end, and the run ends soon", async () => {
    const ec2 = anEc2();
    const { work, time } = run(ec2, () => time.now() - begun > DEADLINE / 2);
    const begun = time.now();
    const { each, ms } = await work;
    expect(each?.[0]?.outcome).toMatchObject({ end: "settled", change: "associated" });
    expect(ms).toBeLessThanOrEqual(DEADLINE + HOLD_MS);
  });
});

test("the time that it takes to read the tag is part of the deadline", async () => {
  const ec2 = anEc2();
  const silence = new Failure("unreachable", { why: "no answer" });
  let reads = 0;
  const { work } = begin(
    {
      ...ec2.script,
      observe: () => silence,
      takes: (request) => (request === "instance" && reads++ === 0 ? 10_000 : 0),
    },
    {},
    LIST,
    { EIP_HEAL_DEADLINE: "30s" },
  );
  const outcome = await work;
  expect(outcome).toMatchObject({ end: "failed" });
  expect(outcome.ms).toBeGreaterThan(20_000);
  expect(outcome.ms).toBeLessThanOrEqual(30_000);
});

test("one address by two names is found out before anything is written, however late one of them is looked at", async () => {
  for (const late of [0, 1]) {
    const ec2 = anEc2();
    let looks = 0;
    const takes = (request: string) => (request === "observe" && looks++ === late ? 5_000 : 0);
    const { work } = begin({ ...ec2.script, takes }, {}, `${A} ${IPS[A]}@1`);
    const outcome = await work;
    expect(outcome).toMatchObject({ end: "failed", status: EXIT.CONFIG });
    expect(outcome.each).toMatchObject([
      {
        outcome: {
          failure: { details: { why: `${A} (${IPS[A]}) is named twice, also by ${IPS[A]}@1` } },
        },
      },
      {
        outcome: { failure: { details: { why: `${A} (${IPS[A]}) is named twice, also by ${A}` } } },
      },
    ]);
    expect(ec2.writes).toEqual([]);
  }
});

test("an address that goes by another name since the last run has written on this boot all the same", async () => {
  const ec2 = anEc2();
  ec2.move(A, other("running", 60));
  const { time, ports } = scripted(ec2.script);
  ports.lastWriteOf(A, []).record({ at: -60_000, wroteThisBoot: true });
  const settings = settingsOf({
    EIP_HEAL_ALLOCATION_ID: `${IPS[A]} ${B}@1`,
    EIP_HEAL_TAKEOVER: "always",
  });
  const known = { wanted: A, outcome: "settled", exitStatus: 0, allocationId: A };
  const lastOnBoot = {
    outcome: "settled",
    exitStatus: 0,
    addresses: [{ ...known, publicIp: IPS[A] ?? "" }],
  };
  const work = heal(settings, ports, { lastOnBoot }, new AbortController().signal);
  // Only the first run of a boot takes an address from a newer instance.
  expect((await inTime(time, work)).each).toMatchObject([
    { outcome: { end: "failed", status: EXIT.UNAVAILABLE } },
    { outcome: { end: "settled" } },
  ]);
});

describe("when there was only one, which has written on this boot", () => {
  /** What the others read of it decides whether they are taken as in the first run of a boot. */
  async function play(
    lastOnBoot: LastResult | undefined,
    { isLate = false }: { isLate?: boolean } = {},
  ) {
    const ec2 = anEc2();
    for (const one of [A, B]) ec2.move(one, other("running", 60));
    const silence = new Failure("unreachable", { why: "no answer" });
    let answers = !isLate;
    const observe: Script["observe"] = (desired) =>
      answers ? observed(ec2.look(desired)) : silence;
    const { time, ports } = scripted({ ...ec2.script, observe });
    const settings = settingsOf({ EIP_HEAL_ALLOCATION_ID: LIST, EIP_HEAL_TAKEOVER: "always" });
    const folder = mkdtempSync(join(tmpdir(), "eip-heal-"));
    try {
      lastWriteIn(folder).record({ at: -60_000, wroteThisBoot: true });
      const lastWriteOf: typeof ports.lastWriteOf = (...names) => lastWriteIn(folder, ...names);
      const stop = new AbortController().signal;
      const run = (last: LastResult | undefined) =>
        inTime(time, heal(settings, { ...ports, lastWriteOf }, { lastOnBoot: last }, stop));
      const outcome = await run(lastOnBoot);
      if (isLate) {
        answers = true;
        await run(resultRecord(outcome, new Date(time.now())) as unknown as LastResult);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
    return ec2.writes;
  }
  const settled = { outcome: "settled", exitStatus: 0 };

  test("another one that is added is still taken by `always`", async () => {
    expect(await play({ ...settled, allocationId: A, publicIp: IPS[A] ?? "" })).toEqual([B]);
  });

  test("and by the next run if EC2 does not answer the first one", async () => {
    const last = { ...settled, allocationId: A, publicIp: IPS[A] ?? "" };
    expect(await play(last, { isLate: true })).toEqual([B]);
  });

  test("neither is taken if it is not known which one that was", async () => {
    expect(await play(undefined)).toEqual([]);
    expect(await play({ outcome: "failed", exitStatus: 75 })).toEqual([]);
    expect(await play({ ...settled, allocationId: A })).toEqual([]);
  });
});

test("two in one place, by two names of it, are refused before anything is written", async () => {
  const ec2 = anEc2();
  const { work } = begin(ec2.script, {}, `${A}@1 ${B}@eni-00000000000000001`);
  const outcome = await work;
  expect(outcome).toMatchObject({ end: "failed", status: EXIT.CONFIG });
  const [one] = outcome.each ?? [];
  expect(one?.outcome).toMatchObject({
    failure: {
      kind: "misconfigured",
      details: { why: expect.stringMatching(/belongs on .* too$/) as unknown },
    },
  });
  expect(ec2.writes).toEqual([]);
});

test("what is forced is forced of one only", async () => {
  const ec2 = anEc2();
  expect(await begin(ec2.script).work).toMatchObject({ end: "settled" });
  expect(ec2.writes.toSorted()).toEqual([A, B]);
  expect(await begin(ec2.script).work).toMatchObject({ end: "settled", change: "none" });
  const again = begin(ec2.script, { forceOf: [`${B}@1`] });
  expect(await again.work).toMatchObject({ end: "settled" });
  expect(ec2.writes.slice(2)).toEqual([B]);
});

test("each line of the log begins with the address that it is about", async () => {
  const ec2 = anEc2();
  let reads = 0;
  const instance = () =>
    ++reads === 2 || reads === 3
      ? new Failure("unreachable", { why: "instance metadata: no answer" })
      : ec2.instance();
  const { work, log } = begin({ ...ec2.script, instance });
  expect(await work).toMatchObject({ end: "settled" });
  const lines = log.filter((line) => line.includes("no answer"));
  expect(lines.map((line) => line.split(": ", 1)[0])).toEqual([`warn ${A}`, `warn ${B}@1`]);
  const begins = [`warn ${A}: `, `warn ${B}@1: `, `debug ${A}: `, `debug ${B}@1: `];
  expect(log).toContain(`debug ${A}: looking at ${A}`);
  // The first read shows that there are several.
  expect(log.slice(1).filter((line) => !begins.some((one) => line.startsWith(one)))).toEqual([]);
});
