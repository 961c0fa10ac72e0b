/** Faults that last, on virtual time: what one instance asks of EC2 in the ten minutes of a run. */
import { describe, expect, test } from "vitest";
import { ApiError } from "../../sim/errors.ts";
import { Region } from "../../sim/region.ts";
import { aWorld, type World } from "../../sim/world.ts";
import { type AgentOptions, type Passage, runOnVirtualTime } from "./agent.ts";
import { dice, VirtualTime } from "./time.ts";

const START = Date.UTC(2026, 10, 1);
const QUICK: Passage = { thereMs: 30, backMs: 30 };

/** What is wrong for all of the ten minutes. */
interface Row {
  readonly name: string;
  /** Who holds the address; nobody, if it is not said. */
  readonly holder?: (world: World) => ReturnType<World["instance"]>;
  readonly settings?: Readonly<Record<string, string>>;
  readonly wrong: Partial<Pick<AgentOptions, "fault" | "passage">>;
  readonly status: number;
  /** Calls of EC2, if not at most 80, and writes among them, if not at most 12: why is told beside it. */
  readonly most?: { readonly calls?: number; readonly writes?: number };
}

const refusing = (on: RegExp, code: string, status = 400) => ({
  fault: (action: string) => (on.test(action) ? new ApiError(code, "so it is", status) : undefined),
});
const ANY = /./;
const READS = /^Describe/;
const WRITE = /^AssociateAddress$/;
const INSTANCES = /^DescribeInstances$/;
const stopped = (world: World) => world.instance({ state: "stopped" });
const older = (world: World) => world.instance();

const ROWS: Row[] = [
  {
    name: "an association is accepted and never shown",
    wrong: { fault: (action) => (WRITE.test(action) ? "nothing" : undefined) },
    status: 75,
  },
  {
    name: "a take is accepted and never shown",
    holder: stopped,
    wrong: { fault: (action) => (WRITE.test(action) ? "nothing" : undefined) },
    status: 75,
  },
  {
    name: "a take of an older instance's is accepted and never shown",
    holder: older,
    wrong: { fault: (action) => (WRITE.test(action) ? "nothing" : undefined) },
    status: 75,
  },
  {
    name: "no write is answered",
    wrong: { passage: (action) => (WRITE.test(action) ? { ...QUICK, lose: "request" } : QUICK) },
    status: 75,
  },
  {
    name: "no take is answered",
    holder: older,
    wrong: { passage: (action) => (WRITE.test(action) ? { ...QUICK, lose: "request" } : QUICK) },
    status: 75,
  },
  {
    name: "a free address is refused as held",
    wrong: refusing(WRITE, "Resource.AlreadyAssociated"),
    status: 75,
  },
  {
    name: "a write is refused with a code that nobody knows",
    wrong: refusing(WRITE, "Whatever.Next"),
    status: 75,
  },
  { name: "a write fails in EC2", wrong: refusing(WRITE, "InternalError", 500), status: 75 },
  {
    name: "a take fails in EC2",
    holder: older,
    wrong: refusing(WRITE, "InternalError", 500),
    status: 75,
  },
  {
    name: "a write is not allowed",
    wrong: refusing(WRITE, "UnauthorizedOperation", 403),
    status: 77,
  },
  { name: "nothing is allowed", wrong: refusing(ANY, "UnauthorizedOperation", 403), status: 77 },
  { name: "no internet gateway", wrong: refusing(WRITE, "Gateway.NotAttached"), status: 78 },
  { name: "EC2 is down", wrong: refusing(ANY, "InternalError", 500), status: 75 },
  { name: "EC2 is silent", wrong: { passage: () => ({ ...QUICK, lose: "request" }) }, status: 75 },
  {
    name: "every read is refused with a code that nobody knows",
    holder: older,
    wrong: refusing(READS, "Whatever.Next"),
    status: 75,
  },
  {
    name: "DescribeInstances is refused with a code that nobody knows",
    holder: older,
    wrong: refusing(INSTANCES, "Whatever.Next"),
    status: 75,
  },
  {
    name: "DescribeInstances is down",
    holder: older,
    wrong: refusing(INSTANCES, "InternalError", 500),
    status: 75,
  },
  {
    name: "reads are throttled",
    wrong: refusing(READS, "RequestLimitExceeded", 503),
    status: 75,
  },
  {
    name: "writes are throttled",
    wrong: refusing(WRITE, "RequestLimitExceeded", 503),
    status: 75,
    // What is throttled is not carried out, and less than this would leave the last of a fleet waiting (fleet.test.ts).
    most: { writes: 60 },
  },
  {
    name: "the holder keeps it: never",
    holder: older,
    settings: { EIP_HEAL_TAKEOVER: "never" },
    wrong: {},
    status: 75,
  },
  {
    name: "the holder keeps it: if-gone",
    holder: older,
    settings: { EIP_HEAL_TAKEOVER: "if-gone" },
    wrong: {},
    status: 75,
    // No fault: it waits for the holder to go, which takes two calls to see.
    most: { calls: 120 },
  },
  {
    name: "a pool has no address to give",
    holder: older,
    settings: { EIP_HEAL_POOL: "eip-pool=web" },
    wrong: {},
    status: 75,
    most: { calls: 120 },
  },
];

describe("ten minutes of what does not end", () => {
  test.each(ROWS)("$name", async (row) => {
    for (const seed of [1, 2, 3]) {
      const { calls, writes, status } = await play(row, seed);
      expect(status).toBe(row.status);
      expect(calls).toBeGreaterThan(0);
      expect(calls).toBeLessThanOrEqual(row.most?.calls ?? 80);
      expect(writes).toBeLessThanOrEqual(row.most?.writes ?? 12);
    }
  });
});

async function play({ holder, settings, wrong }: Row, seed: number) {
  const world = aWorld();
  const address = world.address({ tags: { "eip-pool": "web" } });
  if (holder !== undefined) world.hold(address, holder(world));
  const me = world.instance({ role: "full" });
  const time = new VirtualTime(START);
  const region = new Region(world.data, time.now);
  const requests: string[] = [];
  const end = runOnVirtualTime({
    region,
    time,
    instanceId: me.instanceId,
    settings: settings?.["EIP_HEAL_POOL"]
      ? settings
      : { EIP_HEAL_ALLOCATION_ID: address.allocationId, ...settings },
    random: dice(seed),
    ...wrong,
    passage: (action) => {
      requests.push(action);
      return wrong.passage?.(action) ?? QUICK;
    },
  });
  await time.run();
  const outcome = await end;
  return {
    calls: requests.length,
    writes: requests.filter((action) => WRITE.test(action)).length,
    status: outcome.end === "failed" ? outcome.status : outcome.end,
  };
}
