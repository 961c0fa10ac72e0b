/** How many connections to EC2 a run makes, and when the first one: over TLS, which takes several round trips each. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { HOLD_MS } from "../../src/reconcile/bounds.ts";
import { type AgentRun, run } from "../support/agent.ts";
import { makeAuthority } from "../support/certificates.ts";
import { type Front, startFront } from "../support/front.ts";
import { type Scene, scenario, type Setting } from "../support/scenario.ts";

const files = mkdtempSync(join(tmpdir(), "eip-heal-connections-"));
const authority = await makeAuthority(files);
const tls = await authority.issue("localhost");
afterAll(() => rmSync(files, { recursive: true }));

/** A connection that is made ahead and not used for two seconds is given up: one more for each of them on a busy machine. */
function expectConnections(
  { sockets }: Front,
  least: number,
  { ms }: AgentRun,
  waitedMs = 0,
): void {
  expect(sockets.length).toBeGreaterThanOrEqual(least);
  expect(sockets.length).toBeLessThanOrEqual(least + Math.floor((ms - waitedMs) / 2_000));
}

function play(breakIt: Setting["breakIt"], story: (scene: Scene, ec2: Front) => Promise<void>) {
  return scenario({ start: { region: { tls } }, ...(breakIt && { breakIt }) }, async (scene) => {
    const ec2 = await startFront(Number(new URL(scene.ec2Url).port));
    scene.ec2Url = `https://localhost:${ec2.port}`;
    scene.environment["AWS_CA_BUNDLE"] = authority.file;
    try {
      await story(scene, ec2);
    } finally {
      ec2.close();
    }
  });
}

test("a heal connects before it has credentials, and asks nothing without them", () =>
  play(
    ({ region }) => {
      const path = "/latest/meta-data/iam";
      region.faults.add({ service: "imds", path, effect: { do: "silence" } });
    },
    async (scene, ec2) => {
      scene.environment["EIP_HEAL_DEADLINE"] = "10s";
      const { environment, flags } = scene.prepare();
      const stopWhen = () => ec2.sockets.length > 0;
      const stopped = await run(environment, { flags, runtime: scene.runtime, stopWhen });
      expectConnections(ec2, 1, stopped);
      expect(scene.region.calls).toEqual([]);
      expect(stopped.status).toBe(75);
    },
  ));

test("the address is here: one connection and one request; a recheck then needs none", () =>
  play(
    ({ region, allocationId, me }) => region.region.associate(allocationId, me.instanceId),
    async (scene, ec2) => {
      const healed = await scene.run();
      expect(healed.status).toBe(0);
      expect(scene.region.calls.map(({ action }) => action)).toEqual(["DescribeAddresses"]);
      expectConnections(ec2, 1, healed);
      const before = ec2.sockets.length;
      expect((await scene.run("recheck")).status).toBe(0);
      expect(ec2.sockets.length).toBe(before);
    },
  ));

test("the address is free: it is looked at again over other connections than the one that wrote", () =>
  play(undefined, async (scene, ec2) => {
    const healed = await scene.run();
    expect(healed.status).toBe(0);
    expect(scene.region.calls.map(({ action }) => action)).toEqual([
      "DescribeAddresses",
      "AssociateAddress",
      "DescribeAddresses",
      "DescribeAddresses",
    ]);
    expectConnections(ec2, 3, healed, HOLD_MS);
  }));
