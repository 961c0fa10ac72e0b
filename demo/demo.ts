/**
 * The main job, watched: a group of one, its instance replaced, and the old instance that comes to again
 * and must not take the address back. The real binary on a simulated region; only the instances are told
 * about. The exit status is 0 only if EC2 showed each chapter as it is told.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type RunningRegion, startRegion } from "../sim/server.ts";
import { aWorld } from "../sim/world.ts";

const BINARY = resolve(import.meta.dirname, "../dist/eip-heal");
const colour = process.stdout.isTTY && !process.env["NO_COLOR"];
const bold = (text: string) => (colour ? `\x1b[1m${text}\x1b[0m` : text);
const dim = (text: string) => (colour ? `\x1b[2m${text}\x1b[0m` : text);

const world = aWorld();
const { allocationId, publicIp } = world.address();
const group = {
  tags: { "allocation-id": allocationId },
  role: "old",
  metadataTags: true,
  autoPublicIp: true,
};
const first = world.instance({ ...group, launchTime: Date.now() - 3_600_000 });
const region = await startRegion(world);
let storyIsTrue = true;

try {
  say(`A group of one, tagged allocation-id=${allocationId}; its Elastic IP is ${publicIp}.`);
  table(region);

  chapter("1. The instance boots.");
  await boot(first.instanceId, 0);
  check("EC2 shows the address on it", holder() === first.instanceId);

  chapter("2. It hangs. Auto Scaling launches a replacement before it terminates it.");
  const second = await region.launch({ ...group, state: "running" });
  table(region);
  await boot(second.instanceId, 0);
  check("EC2 shows the address on the replacement", holder() === second.instanceId);

  chapter("3. The old instance comes to, and is rebooted while it is still there.");
  await boot(first.instanceId, 69);
  check(
    "EC2 shows the address where it was: the old instance has yielded",
    holder() === second.instanceId,
  );

  chapter("4. The replacement is rebooted.");
  const before = region.calls.length;
  await boot(second.instanceId, 0);
  check(
    "nothing was changed",
    region.calls.slice(before).every(({ action }) => action !== "AssociateAddress"),
  );
} finally {
  await region.close();
}
say(storyIsTrue ? bold("\nThe story was true.") : bold("\nThe story was NOT true: see above."));
process.exitCode = storyIsTrue ? 0 : 1;

/** Runs the binary as systemd would at boot, its log going straight to the terminal. */
async function boot(instanceId: string, expected: number): Promise<void> {
  say(dim(`\n$ systemctl start eip-heal    # on ${instanceId}`));
  const folder = mkdtempSync(join(tmpdir(), "eip-heal-demo-"));
  const status = await new Promise<number | null>((done, fail) => {
    const child = spawn(BINARY, ["--config", "/dev/null"], {
      stdio: ["ignore", "inherit", "inherit"],
      env: {
        ...(process.env["NO_COLOR"] !== undefined && { NO_COLOR: process.env["NO_COLOR"] }),
        TERM: process.env["TERM"] ?? "dumb",
        RUNTIME_DIRECTORY: folder,
        AWS_EC2_METADATA_SERVICE_ENDPOINT: region.imdsUrl(instanceId),
        AWS_ENDPOINT_URL_EC2: region.ec2Url,
      },
    });
    child.once("error", fail);
    child.once("exit", done);
  });
  rmSync(folder, { recursive: true });
  say(dim(`exit status ${status}`));
  table(region);
  check(`the exit status is ${expected}`, status === expected);
}

function holder(): string | undefined {
  return region.holder(allocationId)?.instanceId;
}

function check(what: string, isTrue: boolean): void {
  storyIsTrue &&= isTrue;
  say(`  ${isTrue ? "✓" : "✗"} ${what}`);
}

function chapter(title: string): void {
  say(bold(`\n${title}`));
}

function table({ region }: RunningRegion): void {
  const rows = region
    .instances()
    .map(({ instanceId, state, launchTime }) => [
      instanceId,
      state,
      new Date(launchTime).toISOString().slice(11, 19),
      region.publicIpOf(instanceId) ?? "-",
      holder() === instanceId ? "← Elastic IP" : "",
    ]);
  say("");
  for (const row of [["instance", "state", "launched", "public IPv4", ""], ...rows]) {
    const [id = "", state = "", launched = "", ip = "", mark = ""] = row;
    say(
      `  ${id.padEnd(21)}${state.padEnd(15)}${launched.padEnd(10)}${ip.padEnd(15)}${mark}`.trimEnd(),
    );
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
