/** Limits of the process (ulimit) that Node still starts with: the run ends as one of ours, and says why. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RunningRegion, startRegion } from "../../sim/server.ts";
import { aWorld } from "../../sim/world.ts";
import { runAgent } from "../support/agent.ts";

let region: RunningRegion;
let me: string;

beforeAll(async () => {
  const world = aWorld();
  const { allocationId } = world.address();
  const tags = { "allocation-id": allocationId };
  const mine = world.instance({ tags, metadataTags: true });
  world.hold({ allocationId }, mine);
  me = mine.instanceId;
  region = await startRegion(world);
});
afterAll(() => region.close());

const limited = (limit: string) =>
  runAgent(region, me, {
    through: ["/bin/bash", "--norc", "-c", `ulimit ${limit}; exec "$@"`, "bash"],
    environment: { EIP_HEAL_DEADLINE: "5s" },
  });

test("too few open files", async () => {
  const { status, log } = await limited("-n 26");
  expect(status, log.join("\n")).toBe(75);
  expect(log.join("\n")).toMatch(/too many open files|may open no more files/);
  expect(log.join("\n")).not.toMatch(/^ +at |bug in eip-heal/m);
});

test("too little memory for Node: it ends before our first line, says so itself, and nothing is recorded", async () => {
  const { status, log, result, env } = await limited("-c 0 -v 400000");
  expect(log.join("\n")).toMatch(/^# Fatal process out of memory/m);
  expect([status, result, env]).toEqual([null, undefined, undefined]);
});

test.each(["-n 32", "-v 1048576"])("what the manual says is enough: %s", async (limit) => {
  const { status, log } = await limited(limit);
  expect(log).toEqual([expect.stringContaining("is already associated with")]);
  expect(status).toBe(0);
});
