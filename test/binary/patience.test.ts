/** What one run has waited for in vain, the next one on the same boot does not wait for again: the real binary, twice. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { allow } from "../../sim/iam.ts";
import { startRegion } from "../../sim/server.ts";
import { aWorld } from "../../sim/world.ts";
import { runAgent } from "./agent.ts";

interface Row {
  readonly name: string;
  /** What may be done without a tag, and what the role may. */
  readonly tag?: string;
  readonly actions?: readonly string[];
  readonly status: number;
  readonly code: string;
}

const ROWS: Row[] = [
  {
    name: "a role that does not allow it",
    actions: ["ec2:DescribeAddresses", "ec2:DescribeInstances"],
    status: 77,
    code: "UnauthorizedOperation",
  },
  { name: "no tag", tag: "", status: 78, code: "NoTag" },
  {
    name: "an address that EC2 does not know",
    tag: "eipalloc-0000000000000000f",
    status: 78,
    code: "InvalidAllocationID.NotFound",
  },
];

describe.concurrent("a second run on the same boot", () => {
  it.each(ROWS)("$name: says so at once", async (row) => {
    await inScene(row, async (run) => {
      const first = await run("8s");
      expect(first.status, first.log.join("\n")).toBe(row.status);
      expect(first.result).toMatchObject({ outcome: "failed", code: row.code });
      // It says once for how long it waits.
      const waiting = first.log.filter((line) => line.includes("is waited for up to"));
      expect(waiting).toHaveLength(1);

      const second = await run("60s");
      expect(second.status, second.log.join("\n")).toBe(row.status);
      expect(second.result).toMatchObject({ tries: 1, code: row.code });
      expect(second.log.join("\n")).not.toContain("is waited for");
    });
  });

  it("waits for what another instance has not had", async () => {
    await inScene(ROWS[0] as Row, async (run, runtime) => {
      await run("8s");
      const path = join(runtime, "result.json");
      const record = JSON.parse(readFileSync(path, "utf8")) as object;
      writeFileSync(path, JSON.stringify({ ...record, instanceId: "i-0000000000000000f" }));
      const second = await run("8s");
      expect(second.status).toBe(77);
      expect(second.log.join("\n")).toContain("is waited for up to");
    });
  });
});

async function inScene(
  { tag, actions }: Row,
  play: (run: (deadline: string) => ReturnType<typeof runAgent>, runtime: string) => Promise<void>,
) {
  const world = aWorld();
  const { allocationId } = world.address();
  if (actions !== undefined) world.role("less", allow([...actions]));
  const me = world.instance({
    metadataTags: true,
    role: actions === undefined ? "full" : "less",
    tags: tag === "" ? {} : { "allocation-id": tag ?? allocationId },
  });
  const region = await startRegion(world);
  const runtime = mkdtempSync(join(tmpdir(), "eip-heal-run-"));
  try {
    await play(
      (deadline) =>
        runAgent(region, me.instanceId, { runtime, environment: { EIP_HEAL_DEADLINE: deadline } }),
      runtime,
    );
  } finally {
    rmSync(runtime, { recursive: true });
    await region.close();
    expect(region.bugs).toEqual([]);
  }
}
