/**
 * Ended in the middle: by SIGKILL at any moment, asked to at any moment, and beside a second copy. Nothing
 * is remembered between runs, so the next one just heals.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import type { RunningRegion } from "../../sim/server.ts";
import { aWorld } from "../../sim/world.ts";
import { HOLD_MS } from "../../src/reconcile/bounds.ts";
import { dice } from "../simulation/time.ts";
import { type Running, start } from "../support/process.ts";
import { inRegion } from "../support/region.ts";

vi.setConfig({ maxConcurrency: 10 });

/** The moments are the same in every run of the test, and others with another seed. */
const SEED = Number(process.env["FAULTS_SEED"] ?? 1);
const TIMEOUT_MS = 60_000;

/** Milliseconds that EC2 and instance metadata take to answer, so that there is something to be interrupted. */
const LATENCY = { ec2Ms: 60, imdsMs: 15 };

/** The parts of a run: the milliseconds of each, and how often the address has been looked at when it begins. */
const PARTS = {
  beginning: { from: 0, ms: 500, looks: 0 },
  hold: { from: 0, ms: HOLD_MS, looks: 2 },
  // Its answer comes, and the result is written.
  "last look": { from: LATENCY.ec2Ms / 2, ms: LATENCY.ec2Ms, looks: 3 },
} as const;
type Part = keyof typeof PARTS;

interface Place {
  readonly region: RunningRegion;
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly allocationId: string;
  readonly me: string;
}

/** A region with an instance whose address is free, or held by an older one. */
async function inPlace(holder: "nobody" | "older", test: (place: Place) => Promise<void>) {
  const world = aWorld();
  const { allocationId } = world.address();
  if (holder === "older") world.hold({ allocationId }, world.instance());
  const me = world.instance({
    tags: { "allocation-id": allocationId },
    metadataTags: true,
  }).instanceId;
  await inRegion(
    world,
    (region, folder) =>
      test({
        region,
        folder,
        allocationId,
        me,
        environment: {
          AWS_EC2_METADATA_SERVICE_ENDPOINT: region.imdsUrl(me),
          AWS_ENDPOINT_URL_EC2: region.ec2Url,
          EIP_HEAL_DEADLINE: "40s",
        },
      }),
    { latency: LATENCY },
  );
}

const associations = ({ region }: Place) =>
  region.calls.filter(({ action }) => action === "AssociateAddress").length;

/** Moments of a run, as many in each part of it: [number, holder, part, milliseconds]. */
function moments(count: number, seed: number) {
  const random = dice(seed);
  const parts = Object.keys(PARTS) as Part[];
  return Array.from({ length: count }, (_, n) => {
    const holder =
      Math.floor(n / parts.length) % 2 === 0 ? ("nobody" as const) : ("older" as const);
    const part = parts[n % parts.length] ?? "beginning";
    const { from, ms } = PARTS[part];
    return [n + 1, holder, Math.round(from + random() * ms), part] as const;
  });
}

/** Waits for this moment of the run, or its end. */
async function until(agent: Running, ms: number, part: Part): Promise<void> {
  const ended = { has: false };
  void agent.ended.then(() => (ended.has = true));
  const looks = () => agent.logged().split("looking at eipalloc-").length - 1;
  while (!ended.has && looks() < PARTS[part].looks) await sleep(2);
  await Promise.race([sleep(ms), agent.ended]);
}

describe("kill -9", () => {
  test.concurrent.each(moments(50, SEED))(
    "%d: held by %s, after %d ms of its %s, then a second run",
    (_, holder, ms, part) =>
      inPlace(holder, async (place) => {
        const { region, allocationId, me, folder, environment } = place;
        const first = start(environment, folder);
        await until(first, ms, part);
        first.kill("SIGKILL");
        const { signal, files } = await first.ended;
        // What other units and programs read is whole or not there, and true: a run that is killed on its last
        // millisecond has verified the address before it wrote.
        if (files.result !== undefined) JSON.parse(files.result);
        if (files.env !== undefined) {
          expect(files.env).toMatch(/^(?:EIP_HEAL_\w+=\S+\n){5}$/);
          expect(files.env).toContain(`EIP_HEAL_ALLOCATION_ID=${allocationId}\n`);
          expect(region.holder(allocationId)?.instanceId).toBe(me);
        } else if (signal === null) expect.fail("it has ended by itself and left no env");

        const second = await start(environment, folder).ended;
        expect(second.status, second.log.join("\n")).toBe(0);
        expect(region.holder(allocationId)?.instanceId).toBe(me);
        expect(second.files.env).toContain(`EIP_HEAL_ALLOCATION_ID=${allocationId}\n`);
        expect(JSON.parse(second.files.result ?? "")).toMatchObject({ outcome: "settled" });
        // One is needed; one too many where the first run's was under way.
        expect(associations(place)).toBeGreaterThanOrEqual(1);
        expect(associations(place)).toBeLessThanOrEqual(2);
      }),
    TIMEOUT_MS,
  );
});

/** What asks a process to end: systemd, Ctrl-C, a lost terminal, Ctrl-\\. */
const ENDING = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"] as const;

describe("asked to end", () => {
  test.concurrent.each(
    moments(24, SEED + 1).map(([n, ...rest]) => [n, ENDING[n % 4] ?? "SIGTERM", ...rest] as const),
  )(
    "%d: by %s, held by %s, after %d ms of its %s",
    (_, name, holder, ms, part) =>
      inPlace(holder, async (place) => {
        const { region, allocationId, me, folder, environment } = place;
        const agent = start(environment, folder);
        // Before its first line the program is only being loaded, and a signal ends it as it ends any.
        while (agent.logged() === "") await sleep(5);
        await until(agent, ms, part);
        const at = performance.now();
        agent.kill(name);
        const { status, signal, log, files } = await agent.ended;
        // Less than a hold takes.
        expect(performance.now() - at).toBeLessThan(5_000);
        expect(signal).toBeNull();
        if (status === 0) {
          // It was through already.
          expect(region.holder(allocationId)?.instanceId).toBe(me);
          return;
        }
        expect(status, log.join("\n")).toBe(75);
        expect(log.at(-1)).toMatch(new RegExp(`^stopped by ${name} `));
        expect(log.at(-1)).toMatch(
          /^stopped by \w+ while (?:reading instance metadata|looking at eipalloc-|associating eipalloc-|holding eipalloc-|waiting after: )/,
        );
        expect(files.env).toBeUndefined();
        expect(JSON.parse(files.result ?? "")).toMatchObject({
          outcome: "stopped",
          exitStatus: 75,
        });
      }),
    TIMEOUT_MS,
  );
});

describe("two copies started at the same moment", () => {
  const times = Array.from({ length: 4 }, (_, n) => n + 1);
  test.concurrent.each(times.flatMap((n) => [[n, "nobody"] as const, [n, "older"] as const]))(
    "%d: held by %s",
    (_, holder) =>
      inPlace(holder, async (place) => {
        const { region, allocationId, me, folder, environment } = place;
        const copies = [start(environment, folder), start(environment, folder)];
        for (const { status, log } of await Promise.all(copies.map(({ ended }) => ended))) {
          expect(status, log.join("\n")).toBe(0);
          expect(log.at(-1)).toContain(`${allocationId} (`);
        }
        expect(region.holder(allocationId)?.instanceId).toBe(me);
        expect(associations(place)).toBeLessThanOrEqual(2);
      }),
    TIMEOUT_MS,
  );
});
