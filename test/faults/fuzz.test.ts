/**
 * Tens of thousands of wrong answers at the real code over real sockets: nothing may crash it, hold it up
 * past its deadline, or make it report a success that EC2 does not show. The answers are the same in every
 * run of the test, and others with another FAULTS_SEED; FAULTS_RUNS multiplies how many there are.
 */
import { resolveTarget } from "../../src/model/target.ts";
import type { Instance } from "../../src/model/instance.ts";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { roleCredentials } from "../../src/aws/credentials.ts";
import { connectApi } from "../../src/aws/ec2-api.ts";
import { ec2Over } from "../../src/aws/ec2.ts";
import { awsIn } from "../../src/aws/session.ts";
import { readTextFile } from "../../src/system/text-file.ts";
import { type Metadata, openMetadata } from "../../src/aws/imds.ts";
import { readIdentity, readInstance, readSpotAction } from "../../src/aws/self.ts";
import { HOLD_MS } from "../../src/reconcile/bounds.ts";
import { decide, TAKEOVERS } from "../../src/reconcile/ownership.ts";
import { Failure } from "../../src/model/failure.ts";
import {
  isInstanceId,
  isInterfaceId,
  isIpv4,
  isMac,
  isRegion,
  isZone,
} from "../../src/model/ids.ts";
import { choose, POOL_TAKEOVERS } from "../../src/reconcile/pool.ts";
import { report, resultRecord } from "../../src/report/report.ts";
import { readSettings } from "../../src/config/read.ts";
import { heal } from "../../src/run/heal.ts";
import { imdsTree, lookUp } from "../../sim/imds-tree.ts";
import { type Holder, Liar } from "./liar.ts";
import { LIE, PLAN } from "./lies.ts";
import { NOISE_MS } from "./showing.ts";
import { start } from "../support/process.ts";
import { inFolder } from "../support/region.ts";

const SEED = Number(process.env["FAULTS_SEED"] ?? 1);
const RUNS = Number(process.env["FAULTS_RUNS"] ?? 1);
const NO_WRITES = { read: () => undefined, record: () => {} };
const TIMEOUT_MS = 300_000 * RUNS;

/** As many at once as keep the machine busy while some wait for an answer that does not come. */
const LANES = 16;

/** Milliseconds after which a request that waits for nothing is ended, as a deadline would. */
const PATIENCE_MS = 700;

const HOLDERS: readonly Holder[] = ["nobody", "nobody", "older", "newer", "me"];

let lanes: Liar[];
let lies = 0;

beforeAll(async () => {
  lanes = await Promise.all(Array.from({ length: LANES }, () => new Liar().open()));
});
afterAll(async () => {
  await Promise.all(lanes.map((lane) => lane.close()));
});

/** The same arbitrary things for the same seed. */
function sample<T>(arbitrary: fc.Arbitrary<T>, count: number, salt: number): T[] {
  return fc.sample(arbitrary, { numRuns: count * RUNS, seed: SEED * 1_000 + salt });
}

/** Does all the work, on every lane at once; what goes wrong is told together with what it was. */
async function onLanes<T>(
  work: readonly T[],
  play: (lane: Liar, task: T, n: number) => Promise<void>,
) {
  let next = 0;
  await Promise.all(
    lanes.map(async (lane) => {
      while (next < work.length) {
        const n = next++;
        const task = work[n] as T;
        try {
          await play(lane, task, n);
        } catch (error) {
          next = work.length;
          const sent = lane.sent
            .slice(-6)
            .map(({ what, lie, status, body }) => `${what} ${status} ${show(lie)} ${show(body)}`);
          throw new Error(`with ${show(task)} (${n})\nafter ${sent.join("\n")}`, { cause: error });
        }
        lies += lane.sent.filter(({ lie }) => lie.do !== "truth").length;
      }
    }),
  );
}

const show = (value: unknown) => JSON.stringify(value).slice(0, 1_500);

/** What came of it: a value, or undefined for a Failure or for being ended. Whatever else is thrown is a bug. */
async function tried<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
  const limit = new AbortController();
  const enough = new Error("enough");
  const timer = setTimeout(() => limit.abort(enough), PATIENCE_MS);
  const startedAt = performance.now();
  try {
    return await work(limit.signal);
  } catch (error) {
    if (error instanceof Failure) expectPlain(error.message);
    else if (error !== enough) throw error;
    return undefined;
  } finally {
    clearTimeout(timer);
    expect(performance.now() - startedAt).toBeLessThan(PATIENCE_MS + NOISE_MS);
  }
}

/** A line for the journal: one line, without control characters and of bearable length. */
function expectPlain(line: string): void {
  expect(line).toMatch(/^[^\p{Cc}]{1,4000}$/u);
}

function expectValid(self: Instance): void {
  expect(isInstanceId(self.instanceId)).toBe(true);
  expect(isRegion(self.region)).toBe(true);
  expect(isZone(self.zone)).toBe(true);
  for (const {
    interfaceId,
    mac,
    privateIps,
    publicIps,
    deviceIndex,
    cardIndex,
  } of self.interfaces) {
    expect(isInterfaceId(interfaceId)).toBe(true);
    expect(isMac(mac)).toBe(true);
    expect([...privateIps, ...Object.entries(publicIps).flat()].every(isIpv4)).toBe(true);
    expect(Number.isInteger(deviceIndex) && Number.isInteger(cardIndex)).toBe(true);
  }
}

const TAGS = ["allocation-id", "eip-pool"];

describe("instance metadata", () => {
  test(
    "tokens",
    () =>
      onLanes(sample(LIE, 4_000, 1), async (lane, lie, n) => {
        if (n % 100 < LANES) lane.begin("nobody", []);
        lane.plan([lie]);
        await tried((signal) => openMetadata(lane.imdsUrl, signal));
        for (const { token, method } of lane.scene.imdsRequests) {
          if (method === "GET") expect(token).not.toBe("none");
        }
      }),
    TIMEOUT_MS,
  );

  test(
    "leaves and credentials",
    () =>
      onLanes(sample(fc.tuple(LIE, fc.nat({ max: 30 })), 10_000, 2), async (lane, [lie, at]) => {
        const { region, credentials, me } = lane.scene;
        const tree = imdsTree(region, credentials, me);
        const truth = (path: string) => lookUp(tree, path.replace(/\/$/, ""));
        lane.plan([]);
        const session = new AbortController();
        const real = await openMetadata(lane.imdsUrl, session.signal);
        lane.plan([lie]);
        // One leaf comes over the wire, the others are right.
        const asked: string[] = [];
        const metadata = (signal: AbortSignal): Metadata => {
          signal.addEventListener("abort", () => session.abort(signal.reason), { once: true });
          return {
            read: async (path) => {
              const turn = asked.push(path) - 1;
              return turn === at % (at < 24 ? 11 : 2) ? await real.read(path) : truth(path);
            },
          };
        };
        if (at < 24) {
          const self = await tried(async (signal) => {
            const shown = metadata(signal);
            const [instance] = await Promise.all([
              readInstance(shown, readIdentity(shown), TAGS, undefined, true),
              readSpotAction(shown),
            ]);
            return instance;
          });
          if (self === undefined) return;
          expectValid(self);
          try {
            resolveTarget(self, { interface: 0 });
          } catch (error) {
            if (!(error instanceof Failure)) throw error;
          }
        } else {
          const given = await tried((signal) => roleCredentials(metadata(signal)));
          const { expiresAt, ...keys } = given ?? {};
          for (const value of Object.values(keys)) expect(typeof value).toBe("string");
          if (expiresAt !== undefined) expect(expiresAt.getTime()).not.toBeNaN();
        }
      }),
    TIMEOUT_MS,
  );
});

describe("EC2", () => {
  test(
    "every call",
    () =>
      onLanes(
        sample(
          fc.tuple(
            fc.array(LIE, { minLength: 2, maxLength: 2 }),
            fc.constantFrom(...HOLDERS),
            fc.boolean(),
          ),
          5_000,
          3,
        ),
        async (lane, [plan, holder, mayDescribe], n) => {
          lane.begin(holder, plan);
          const { region, credentials, me, allocationId } = lane.scene;
          const tree = imdsTree(region, credentials, me);
          const metadata = {
            read: async (path: string) => lookUp(tree, path.replace(/\/$/, "")),
          };
          const self = await readInstance(metadata, readIdentity(metadata), [], undefined, true);
          const here = resolveTarget(self, { interface: 0 });
          const { accessKeyId, secretAccessKey, token } = credentials.current(me);
          await tried(async (signal) => {
            const api = connectApi({
              self,
              credentials: async () => ({ accessKeyId, secretAccessKey, sessionToken: token }),
              endpoint: lane.ec2Url,
              dualStack: false,
              fips: false,
              signal,
              version: "0",
              skew: { offsetMs: 0 },
            });
            const ec2 = ec2Over(api, self, new Set(mayDescribe ? [] : ["DescribeAddresses"]));
            try {
              switch (n % 5) {
                case 0: {
                  const tags = await ec2.tags();
                  for (const value of Object.values(tags)) expect(typeof value).toBe("string");
                  break;
                }
                case 1:
                case 2: {
                  const { addresses } = await ec2.observe({ kind: "address", allocationId }, here);
                  for (const view of addresses) {
                    for (const takeover of TAKEOVERS)
                      decide(here, self.zone, view, takeover, 9_000);
                  }
                  break;
                }
                case 3: {
                  const wanted = { kind: "pool", key: "eip-pool", value: "web" } as const;
                  if (!mayDescribe) break;
                  const { addresses } = await ec2.observe(wanted, here);
                  for (const poolTakeover of POOL_TAKEOVERS)
                    choose(here, self.zone, addresses, poolTakeover, [], () => 0);
                  break;
                }
                default:
                  await ec2.elasticIpAt({ ...here, publicIp: "203.0.113.9" });
                  await ec2.associate(allocationId, here, false);
              }
            } finally {
              ec2.close();
            }
          });
        },
      ),
    TIMEOUT_MS,
  );
});

/** How much faster than real time the runs below live. */
const FAST = 20;

describe("whole runs", () => {
  const clock = {
    now: () => performance.now() * FAST,
    date: () => new Date(),
    suspended: () => 0,
    random: () => 0.5,
    sleep: (ms: number, signal: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        signal.throwIfAborted();
        const timer = setTimeout(resolve, ms / FAST);
        signal.addEventListener("abort", () => {
          clearTimeout(timer);
          reject(signal.reason as Error);
        });
      }),
  };
  const ends = new Map<string, number>();

  test(
    "in this process",
    () =>
      onLanes(
        sample(fc.tuple(PLAN, fc.constantFrom(...HOLDERS)), 400, 4),
        async (lane, [plan, holder]) => {
          lane.begin(holder, plan);
          const environment = {
            AWS_EC2_METADATA_SERVICE_ENDPOINT: lane.imdsUrl,
            AWS_ENDPOINT_URL_EC2: lane.ec2Url,
          };
          const read = readSettings({
            flags: {},
            environment: { EIP_HEAL_DEADLINE: "50s" },
            file: { path: "none", variables: {} },
          });
          if ("problems" in read) throw new Error(JSON.stringify(read.problems));
          const told: string[] = [];
          const log = {
            warn: (line: string) => void told.push(line),
            debug: (line: string) => void told.push(line),
          };
          const startedAt = performance.now();
          const outcome = await heal(
            read.settings,
            {
              ...awsIn(environment, "0", readTextFile),
              clock,
              log,
              lastWrite: NO_WRITES,
              lastWriteOf: () => NO_WRITES,
            },
            {},
            new AbortController().signal,
          );
          expect(performance.now() - startedAt).toBeLessThan(50_000 / FAST + NOISE_MS);
          const { status, line } = report(outcome);
          told.push(line, JSON.stringify(resultRecord(outcome, new Date())));
          expect([0, 69, 75, 77, 78]).toContain(status);
          expectHonest(lane, outcome.end === "settled", holder, told.join("\n"));
          for (const line of told) expectPlain(line);
          ends.set(outcome.end, (ends.get(outcome.end) ?? 0) + 1);
        },
      ),
    TIMEOUT_MS,
  );

  test("some of them have healed and some have not", () => {
    expect(ends.get("settled")).toBeGreaterThan(50);
    expect(ends.get("failed")).toBeGreaterThan(50);
  });

  test(
    "of the real binary",
    () =>
      onLanes(
        sample(fc.tuple(PLAN, fc.constantFrom(...HOLDERS)), 200, 5),
        async (lane, [plan, holder]) => {
          lane.begin(holder, plan);
          await inFolder(async (folder) => {
            const { status, log, stdout, files, ms } = await start(
              {
                AWS_EC2_METADATA_SERVICE_ENDPOINT: lane.imdsUrl,
                AWS_ENDPOINT_URL_EC2: lane.ec2Url,
                EIP_HEAL_DEADLINE: "3s",
              },
              folder,
            ).ended;
            expect([0, 69, 75, 77, 78], log.join("\n")).toContain(status);
            // A hold that has begun is finished.
            expect(ms).toBeLessThan(3_000 + HOLD_MS + NOISE_MS);
            expect(files.env !== undefined).toBe(status === 0 && !isIdle(log));
            const told = [...log, stdout, files.result, files.env].join("\n");
            expectHonest(lane, files.env !== undefined, holder, told);
          });
        },
      ),
    TIMEOUT_MS,
  );

  test("all in all at least 20,000 wrong answers", () => {
    expect(lies).toBeGreaterThan(20_000 * RUNS);
  });
});

/** An exit status of 0 without the address is honest where a lie has put the instance out of service. */
const isIdle = (log: readonly string[]) => log.at(-1)?.startsWith("nothing to do: ") === true;

/** No success that EC2 has not shown, no theft, no request without a token, no secret told. */
function expectHonest(lane: Liar, isSuccess: boolean, holder: Holder, told: string): void {
  const { region, allocationId, me, newer, imdsRequests } = lane.scene;
  const last = lane.sent.findLast(
    ({ service, what }) => service === "ec2" && what.startsWith("Describe"),
  );
  if (isSuccess) {
    expect(last?.status).toBe(200);
    expect(last?.body).toContain(me);
    // What EC2 has said truly has to be so.
    if (last?.lie.do === "truth") expect(region.holder(allocationId)?.instanceId).toBe(me);
  }
  // Only where it has never been told otherwise: a lie about launch times can make anybody older.
  const about = lane.sent.filter(({ service }) => service === "ec2");
  if (holder === "newer" && about.every(({ lie }) => lie.do === "truth")) {
    expect(region.holder(allocationId)?.instanceId).toBe(newer);
  }
  for (const { method, token } of imdsRequests) {
    if (method === "GET") expect(token).not.toBe("none");
  }
  for (const secret of lane.secrets) expect(told).not.toContain(secret);
}
