/**
 * Never given up by mistake: whatever EC2, or something in its place, answers to any of the calls, once or for ten seconds,
 * the address comes, and under a lifecycle hook the instance goes into service. Real servers, the agent in this process on a
 * clock that is twenty times as fast.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { awsIn } from "../../src/aws/session.ts";
import { readTextFile } from "../../src/system/text-file.ts";
import { resultRecord } from "../../src/report/report.ts";
import { readSettings } from "../../src/config/read.ts";
import { heal } from "../../src/run/heal.ts";
import type { Outcome } from "../../src/model/outcome.ts";
import { type LastResult, whySkipped } from "../../src/reconcile/drift.ts";
import { underHook } from "../../src/run/lifecycle.ts";
import type { Effect, FaultRule } from "../../sim/faults.ts";
import { HOOK_ROLE } from "../../sim/iam.ts";
import { aWorld } from "../../sim/world.ts";
import { inRegion } from "../support/region.ts";

/** How much faster than real time the agent lives. */
const FAST = 20;
const TIMEOUT_MS = 300_000;
const MINE = Date.UTC(2026, 10, 1, 12);

/** What EC2 answers, with the status, and is not known to last. The closed list of what lasts is in test/aws/classify.test.ts. */
const CODES: readonly (readonly [code: string, status: number])[] = [
  ["AuthFailure", 401],
  ["ConcurrentModification", 400],
  ["Conflict", 409],
  ["DependencyViolation", 400],
  ["ExpiredToken", 400],
  ["Gateway.NotAttached", 400],
  ["IncorrectInstanceState", 400],
  ["IncorrectState", 400],
  ["InternalError", 500],
  ["InternalFailure", 400],
  ["InternalFailure", 500],
  ["InvalidAddress.NotFound", 400],
  ["InvalidAllocationID.NotFound", 400],
  ["InvalidAssociationID.NotFound", 400],
  ["InvalidInstanceID", 400],
  ["InvalidInstanceID.NotFound", 400],
  ["InvalidNetworkInterface.InUse", 400],
  ["InvalidNetworkInterfaceID.NotFound", 400],
  ["InvalidNetworkInterfaceId.NotFound", 400],
  ["InvalidState", 400],
  ["NotFound", 404],
  ["OperationNotPermitted", 400],
  ["OptInRequired", 401],
  ["PendingVerification", 403],
  ["RequestCanceled", 400],
  ["RequestExpired", 400],
  ["RequestLimitExceeded", 503],
  ["RequestTimeout", 408],
  ["Resource.AlreadyAssociated", 400],
  ["ResourceInUse", 400],
  ["ServiceUnavailable", 503],
  ["Throttling", 400],
  ["Unavailable", 400],
  ["Unavailable", 503],
  ["UnauthorizedOperation", 403],
  ["UnsupportedOperation", 400],
  ["WhateverComesNext", 418],
];

const HTML = "<!DOCTYPE html><html><head><title>Sorry</title></head><body>Not today</body></html>";
const JSON_PAGE = '{"message":"Not today","code":"PORTAL"}';
const XML = '<?xml version="1.0"?><Sorry><Reason>Not today</Reason></Sorry>';

/** What proxies, portals and endpoint services answer in EC2's place. */
const PAGES: readonly (readonly [status: number, what: string, body: string])[] = [
  [200, "HTML", HTML],
  [200, "nothing", ""],
  [400, "HTML", HTML],
  [403, "HTML", HTML],
  [404, "HTML", HTML],
  [404, "nothing", ""],
  [404, "JSON", JSON_PAGE],
  [404, "other XML", XML],
  [405, "HTML", HTML],
  [407, "HTML", HTML],
  [429, "JSON", JSON_PAGE],
  [500, "other XML", XML],
  [502, "HTML", HTML],
  [502, "nothing", ""],
];

const ANSWERS: readonly (readonly [name: string, effect: Effect])[] = [
  ...CODES.map(([code, status]) => [`${code} (${status})`, { do: "error", code, status }] as const),
  ...PAGES.map(
    ([status, what, body]) => [`${status} with ${what}`, { do: "status", status, body }] as const,
  ),
];

const CALLS = [
  ["ec2", "DescribeAddresses"],
  ["ec2", "DescribeInstances"],
  ["ec2", "AssociateAddress"],
  ["autoscaling", "CompleteLifecycleAction"],
] as const;

const HOOK = "web-launch";

const clock = {
  now: () => performance.now() * FAST,
  date: () => new Date(),
  suspended: () => 0,
  random: Math.random,
  sleep: (ms: number, signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      signal.throwIfAborted();
      const timer = setTimeout(resolve, ms / FAST);
      const stop = () => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", stop, { once: true });
    }),
};

// Loaded when it is first needed, which takes seconds: half a minute of the agent's.
beforeAll(async () => {
  await Promise.all([
    import("../../src/aws/ec2-api.ts"),
    import("../../src/aws/auto-scaling-api.ts"),
  ]);
}, TIMEOUT_MS);

describe.each(CALLS)("%s:%s", (service, action) => {
  for (const hasHook of service === "ec2" ? [true, false] : [true]) {
    for (const lasting of [false, true]) {
      test(
        `${lasting ? "for ten seconds" : "once"}, ${hasHook ? "under a lifecycle hook" : "without one"}`,
        { timeout: TIMEOUT_MS },
        async () => {
          const left = [...ANSWERS];
          const lane = async () => {
            for (let next = left.shift(); next !== undefined; next = left.shift()) {
              const [name, effect] = next;
              const played = await play({ service, action, effect }, lasting, hasHook);
              expect(played.met, `${name} was met`).toBe(true);
              expect([name, played.end, played.isHere]).toEqual([name, "settled", true]);
              expect([name, played.hook]).toEqual([name, hasHook ? "CONTINUE" : undefined]);
              expect(played.goesOn, `after ${name} rechecks go on`).toBe(true);
            }
          };
          await Promise.all(Array.from({ length: 8 }, lane));
        },
      );
    }
  }
});

async function play(rule: FaultRule, lasting: boolean, hasHook: boolean) {
  const world = aWorld();
  world.role("hook", HOOK_ROLE);
  world.group("web", { name: HOOK });
  const { allocationId } = world.address();
  world.hold({ allocationId }, world.instance({ launchTime: MINE - 60_000 }));
  const me = world.instance({
    group: "web",
    role: "hook",
    lifecycle: "InService",
    metadataTags: true,
    launchTime: MINE,
    tags: { "allocation-id": allocationId },
  });
  return inRegion(world, async (region) => {
    if (hasHook) region.region.waitUnderHook(me.instanceId, HOOK);
    const fault = region.faults.add(lasting ? rule : { ...rule, count: 1 });
    // It is over so long after it was met.
    const ending = setInterval(() => {
      if (!lasting || fault.hits === 0) return;
      clearInterval(ending);
      setTimeout(() => region.faults.clear(fault), 10_000 / FAST);
    }, 10);
    try {
      const outcome = await run(
        {
          AWS_EC2_METADATA_SERVICE_ENDPOINT: region.imdsUrl(me.instanceId),
          AWS_ENDPOINT_URL_EC2: region.ec2Url,
          AWS_ENDPOINT_URL_AUTO_SCALING: region.autoScalingUrl,
        },
        hasHook,
      );
      const record = resultRecord(outcome, new Date()) as unknown as LastResult;
      const { hook } = outcome;
      return {
        met: fault.hits > 0,
        end: outcome.end,
        hook: hook !== undefined && "result" in hook ? hook.result : hook?.end,
        isHere: region.holder(allocationId)?.instanceId === me.instanceId,
        goesOn: whySkipped(record, { instanceId: me.instanceId } as never) === undefined,
      };
    } finally {
      clearInterval(ending);
    }
  });
}

function run(environment: Readonly<Record<string, string>>, hasHook: boolean): Promise<Outcome> {
  // Three minutes of this machine's, which may be busy.
  const read = readSettings({
    flags: {},
    environment: { EIP_HEAL_DEADLINE: "1h" },
    file: { path: "none", variables: {} },
  });
  if ("problems" in read) throw new Error(JSON.stringify(read.problems));
  const { settings } = read;
  const log = { warn: () => {}, debug: () => {} };
  const lastWrite = { read: () => undefined, record: () => {} };
  const lastWriteOf = () => lastWrite;
  const ports = { ...awsIn(environment, "0", readTextFile), clock, log, lastWrite, lastWriteOf };
  const stop = new AbortController().signal;
  const work = () => heal(settings, ports, {}, stop);
  const hook = { name: HOOK, deadlineMs: settings.deadlineMs, dryRun: false };
  return hasHook ? underHook(hook, ports, work, () => {}, stop) : work();
}
