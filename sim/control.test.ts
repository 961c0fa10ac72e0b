import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { unless } from "../test/support/skipping.ts";

import { afterwards, outcome } from "./testing.ts";

interface Urls {
  readonly ec2: string;
  readonly imds: Record<string, string>;
  readonly control: string;
}

/** Starts main.ts and waits for its line. */
async function program(...args: string[]): Promise<{ urls: Urls; ended: Promise<unknown> }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "main.ts"), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit").then(([status]: unknown[]) => status);
  afterwards(async () => {
    child.kill();
    await ended;
  });
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  return { urls: JSON.parse(line) as Urls, ended };
}

// Node runs TypeScript by itself from 22.18 on; the region is the tests' and demos', never the product's.
const [major = 0] = process.versions.node.split(".").map(Number);
const options = unless(major >= 24 ? undefined : `Node ${major} does not run TypeScript by itself`);

test("another process drives the region", options, async () => {
  const folder = mkdtempSync(join(tmpdir(), "eip-heal-region-"));
  afterwards(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "world.json");
  const allocationId = "eipalloc-0123456789abcdef0";
  const json = {
    region: "eu-central-1",
    instances: [
      {
        instanceId: "i-0123456789abcdef0",
        tags: { "allocation-id": allocationId },
        launchTime: "2026-05-01T10:00:00.900Z",
      },
    ],
    addresses: [{ allocationId, heldBy: 0 }],
  };
  writeFileSync(file, JSON.stringify(json));
  const { urls, ended } = await program("--world", file, "--control", "127.0.0.1:0");
  const get = async (path: string): Promise<unknown> => (await fetch(urls.control + path)).json();
  const post = async (path: string, body: unknown): Promise<unknown> => {
    const answer = await fetch(urls.control + path, { method: "POST", body: JSON.stringify(body) });
    return answer.status === 200
      ? answer.json()
      : `${answer.status} ${(await answer.text()).trim()}`;
  };

  expect(Object.keys(urls.imds)).toEqual(["i-0123456789abcdef0"]);
  expect(await get("/state")).toMatchObject({
    instances: [{ state: "running", launchTime: Date.UTC(2026, 4, 1, 10) }],
  });
  expect(await get(`/holder/${allocationId}`)).toMatchObject({ instanceId: "i-0123456789abcdef0" });
  const launched = (await post("/do/launch", [{ state: "running" }])) as { instanceId: string };
  expect(Object.keys(((await get("/urls")) as Urls).imds)).toHaveLength(2);
  await post("/do/associate", [allocationId, launched.instanceId]);
  expect(await get(`/holder/${allocationId}`)).toMatchObject({ instanceId: launched.instanceId });
  await post("/do/disassociate", [allocationId]);
  expect(await get(`/holder/${allocationId}`)).toBeNull();

  expect(
    await post("/faults", { service: "ec2", effect: { do: "reset" }, count: 1 }),
  ).toMatchObject({ id: 1, hits: 0 });
  expect(await outcome(fetch(urls.ec2))).toBe("TypeError");
  expect((await fetch(urls.ec2)).status).toBe(401);
  expect(await get("/faults")).toMatchObject([{ id: 1, hits: 1 }]);
  await fetch(`${urls.control}/faults/1`, { method: "DELETE" });
  expect(await get("/faults")).toEqual([]);
  expect(await get("/calls")).toMatchObject([
    { fault: "reset", status: 0 },
    { status: 401, error: "AuthFailure" },
  ]);

  await post("/do/zoneDown", ["eu-central-1a"]);
  const down = { zonesDown: ["eu-central-1d"] };
  expect(await post("/do/configure", [down])).toBe(
    "400 the simulated region has no zone eu-central-1d",
  );
  await post("/do/zoneUp", ["eu-central-1a"]);
  const { instanceId } = launched;
  expect(await post("/do/showState", [instanceId, null])).toMatchObject({ shownState: null });
  expect(await post("/do/hideLifecycle", [instanceId])).toMatchObject({ lifecycleFrom: null });
  expect(await post("/do/showLifecycle", [instanceId])).toMatchObject({ lifecycleFrom: 0 });

  expect(await post("/faults", { servce: "ec2" })).toMatch(/^400 a fault has no servce/);
  expect(await post("/do/constructor", [])).toMatch(/^400 no operation constructor/);
  expect(await post("/do/stop", ["i-0"])).toBe("400 the simulated region has no i-0");
  expect((await fetch(`${urls.control}/nothing`)).status).toBe(404);
  await post("/close", null);
  expect(await ended).toBe(0);
});

test("the control API on a Unix socket", options, async () => {
  const folder = mkdtempSync(join(tmpdir(), "eip-heal-region-"));
  afterwards(() => rmSync(folder, { recursive: true }));
  const socketPath = join(folder, "control");
  const { urls } = await program("--control", socketPath);
  expect(urls.control).toBe(`unix:${socketPath}`);
  const status = await new Promise((resolve, reject) => {
    request({ socketPath, path: "/state" }, (response) => resolve(response.resume().statusCode))
      .on("error", reject)
      .end();
  });
  expect(status).toBe(200);
});
