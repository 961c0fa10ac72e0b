/** The world in which everybody is measured: two instances, one address, a region near or far. */
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeAuthority } from "../test/support/certificates.ts";
import { startRegion } from "../sim/server.ts";
import { aWorld } from "../sim/world.ts";
import { startDistance } from "./distance.ts";

/** Who holds the address before each run. */
export type Start = "ours" | "free" | "older";

/** Milliseconds: for IMDS to answer, to EC2 and back, and for EC2 to answer. */
export interface Latencies {
  readonly imds: number;
  readonly roundTrip: number;
  readonly ec2: number;
}

export type BenchWorld = Awaited<ReturnType<typeof makeWorld>>;

/** Starts the region: plain HTTP without latency, or EC2 over TLS and so far away. */
export async function makeWorld(latencies?: Latencies) {
  const folder = await mkdtemp(join(tmpdir(), "eip-heal-bench-"));
  const world = aWorld();
  const { allocationId } = world.address();
  const older = world.instance({ launchTime: Date.now() - 3_600_000 });
  const own = world.instance({
    launchTime: Date.now() - 60_000,
    tags: { "allocation-id": allocationId },
    metadataTags: true,
    lifecycle: "InService",
  });
  const authority = latencies && (await makeAuthority(folder));
  const region = await startRegion(world, {
    ...(authority && { tls: await authority.issue("localhost") }),
    ...(latencies && { latency: { ec2Ms: latencies.ec2, imdsMs: latencies.imds } }),
  });
  const near = new URL(region.ec2Url);
  const distance = latencies && (await startDistance(Number(near.port), latencies.roundTrip));

  return {
    region,
    environment: {
      PATH: "/usr/bin:/bin",
      HOME: "/nonexistent",
      AWS_EC2_METADATA_SERVICE_ENDPOINT: region.imdsUrl(own.instanceId),
      AWS_ENDPOINT_URL_EC2: distance ? `https://localhost:${distance.port}` : region.ec2Url,
      ...(authority && {
        NODE_EXTRA_CA_CERTS: authority.file,
        AWS_CA_BUNDLE: authority.file,
        CURL_CA_BUNDLE: authority.file,
      }),
    },
    /** Puts the address where it is to be before a run. */
    start(who: Start): void {
      if (region.holder(allocationId) !== undefined) region.region.disassociate(allocationId);
      const holder = who === "ours" ? own : who === "older" ? older : undefined;
      if (holder !== undefined) region.region.associate(allocationId, holder.instanceId);
    },
    isHere: () => region.holder(allocationId)?.instanceId === own.instanceId,
    /** When EC2 showed the address here, in milliseconds since the epoch, for a run that has moved it. */
    shownAt(): number | undefined {
      const call = region.calls.findLast(({ action }) => action === "AssociateAddress");
      return call && call.at + (latencies?.ec2 ?? 0);
    },
    async close(): Promise<void> {
      distance?.close();
      await region.close();
      rmSync(folder, { recursive: true });
    },
  };
}
