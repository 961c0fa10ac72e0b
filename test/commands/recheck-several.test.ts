/** Rechecks of several addresses: what is counted of one address says nothing of the others. */
import { expect, test } from "vitest";
import { recheck } from "../../src/commands/recheck.ts";
import type { Instance } from "../../src/model/instance.ts";
import { type LastResult, MAX_MOVES_PER_HOUR, NO_RECHECKS } from "../../src/reconcile/drift.ts";
import { report, resultRecord } from "../../src/report/report.ts";
import { heal } from "../../src/run/heal.ts";
import { NOT_SHARED } from "../../src/run/ports.ts";
import { NOBODY, other } from "../reconcile/fixtures.ts";
import { A, anEc2, B, LIST } from "../run/pair.ts";
import { inTime, type Script, scripted } from "../run/scripted.ts";
import { settingsOf } from "../support/settings.ts";

const SETTINGS = settingsOf({ EIP_HEAL_ALLOCATION_ID: LIST });
const STOP = new AbortController().signal;

/** Both are here; then one recheck after the other. */
async function rechecking(script: Script) {
  const { time, ports, asked } = scripted(script);
  const healed = await inTime(time, heal(SETTINGS, ports, {}, STOP));
  const record = (outcome: typeof healed) =>
    resultRecord(outcome, new Date(time.now())) as unknown as LastResult;
  let last = record(healed);
  let memory = NO_RECHECKS;
  return async () => {
    const before = asked().length;
    const past = { last, memory, shared: NOT_SHARED };
    const done = await inTime(time, recheck(SETTINGS, ports, past, time.now, STOP));
    ({ memory } = done);
    if (done.outcome) last = record(done.outcome);
    return { ...done, asked: asked().slice(before) };
  };
}

/** An EC2 beside which instance metadata does not show the address that was named last by `deny`. */
function deniable() {
  const ec2 = anEc2();
  let denied: string | undefined;
  const instance = (): Instance => {
    const self = ec2.instance();
    const interfaces = self.interfaces.map((one, at) =>
      denied === [A, B][at] ? { ...one, publicIps: {} } : one,
    );
    return { ...self, interfaces };
  };
  const deny = (address?: string) => void (denied = address);
  return { ...ec2, deny, script: { ...ec2.script, instance } };
}

test("one that others keep moving away is left alone; the others are brought back", async () => {
  const ec2 = anEc2();
  let isContested = false;
  const again = await rechecking({
    ...ec2.script,
    associate: (allocationId) => {
      ec2.script.associate?.(allocationId);
      if (isContested && allocationId === A) ec2.move(A, other("running", -60));
    },
  });
  isContested = true;
  ec2.move(A, other("running", -60));
  ec2.move(B, NOBODY);
  ec2.writes.length = 0;
  const { outcome, memory } = await again();
  expect(ec2.writes.filter((one) => one === A)).toHaveLength(MAX_MOVES_PER_HOUR);
  expect(outcome).toMatchObject({
    end: "idle",
    why: "resting",
    each: [
      { outcome: { end: "idle", why: "resting" } },
      { outcome: { end: "settled", change: "associated" } },
    ],
  });
  expect(outcome && report(outcome).line).toMatch(
    new RegExp(`^${A}: others keep moving it away, .*; 1 of 2 addresses are here$`),
  );
  expect(memory.addresses?.[`${B}@1`]?.moves).toHaveLength(1);

  // Nothing has changed, so nobody is asked.
  expect(await again()).toMatchObject({ asked: ["instance"] });

  ec2.writes.length = 0;
  ec2.move(B, NOBODY);
  const later = await again();
  expect(later.outcome).toMatchObject({
    each: [{ outcome: { end: "idle", why: "resting" } }, { outcome: { change: "associated" } }],
  });
  expect(ec2.writes).toEqual([B]);
});

test("one that instance metadata denies again and again is associated anew, and no other one", async () => {
  const ec2 = deniable();
  const again = await rechecking(ec2.script);
  ec2.deny(A);
  ec2.writes.length = 0;
  await again();
  const { memory } = await again();
  expect(ec2.writes).toEqual([]);
  expect(memory.addresses).toMatchObject({
    [A]: { disagreements: 2 },
    [`${B}@1`]: { disagreements: 0 },
  });
  const { outcome } = await again();
  expect(ec2.writes).toEqual([A]);
  expect(outcome?.each).toMatchObject([
    { outcome: { change: "renewed" } },
    { outcome: { change: "none" } },
  ]);
});

test("how often one disagreed says nothing of another one that has drifted", async () => {
  const ec2 = deniable();
  const again = await rechecking(ec2.script);
  ec2.writes.length = 0;
  ec2.deny(A);
  await again();
  await again();
  ec2.deny(B);
  await again();
  expect(ec2.writes).toEqual([]);
});

test("one about which everybody agrees is not associated anew because another one fails", async () => {
  const ec2 = anEc2();
  const again = await rechecking(ec2.script);
  ec2.move(B, other("running", 60));
  ec2.writes.length = 0;
  for (let count = 0; count < 4; count++) {
    const { outcome, memory } = await again();
    expect(outcome?.each).toMatchObject([
      { outcome: { end: "settled", change: "none" } },
      { outcome: { end: "failed" } },
    ]);
    expect(memory.addresses?.[A]).toEqual({ moves: [], disagreements: 0 });
  }
  expect(ec2.writes).toEqual([]);
  ec2.move(A, NOBODY);
  await again();
  expect(ec2.writes).toEqual([A]);
});

test("one that disagreed and agrees again is not associated anew because another one fails", async () => {
  const ec2 = deniable();
  const again = await rechecking(ec2.script);
  ec2.writes.length = 0;
  ec2.deny(A);
  await again();
  ec2.move(B, other("running", 60));
  const { memory } = await again();
  expect(memory.addresses?.[A]?.disagreements).toBe(2);
  ec2.deny();
  await again();
  expect(ec2.writes).toEqual([]);
});

test("one that instance metadata denies is associated anew though another one fails", async () => {
  const ec2 = deniable();
  const again = await rechecking(ec2.script);
  ec2.deny(A);
  ec2.move(B, other("running", 60));
  ec2.writes.length = 0;
  for (let count = 0; count < 3; count++) await again();
  expect(ec2.writes).toEqual([A]);
});

test("an interface that is missing for a moment says nothing of the others", async () => {
  const ec2 = anEc2();
  let isMissing = false;
  const again = await rechecking({
    ...ec2.script,
    instance() {
      const self = ec2.instance();
      const interfaces = isMissing ? self.interfaces.slice(0, 1) : self.interfaces;
      isMissing = false;
      return { ...self, interfaces };
    },
  });
  ec2.writes.length = 0;
  for (let count = 0; count < 3; count++) {
    isMissing = true;
    const { memory } = await again();
    expect(memory.addresses?.[A]).toEqual({ moves: [], disagreements: 0 });
  }
  expect(ec2.writes).toEqual([]);
});
