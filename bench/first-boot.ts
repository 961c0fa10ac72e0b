/**
 * `make bench-first-boot`: how long after the network the address is there, on a machine whose program is on a volume that
 * has just been made from a snapshot, and so fetches each block when it is first read. Boots one machine again and again;
 * the program alone is on the slow disk (nbdkit's delay filter, 128 KiB of read-ahead), the rest is in memory.
 *
 * usage: first-boot.ts [--rounds N] [--write]     by test/support/machine/enter.sh, which gives it a namespace
 *   --write   puts the table into docs/performance.md
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { aWorld } from "../sim/world.ts";
import { Cloud } from "../test/support/machine/cloud.ts";
import type { Machine } from "../test/support/machine/machine.ts";
import { place } from "../test/support/machine/place.ts";
import { eventually, must } from "../test/support/run.ts";
import { median } from "./meter.ts";
import { replaceSection } from "./section.ts";

const ROOT = join(import.meta.dirname, "..");
const PROGRAM = "usr/bin/eip-heal";
const PRELOAD = "eip-heal-preload.service";

/** Milliseconds for each read of the disk. Of EBS nobody says how many it takes. */
const DELAYS = [1, 5, 10];
const CASES = ["in memory", "with that unit", "without it"] as const;

/** When the monotonic clock was 0, in milliseconds since the epoch. */
const MONOTONIC_BEGAN = Date.now() - Number(process.hrtime.bigint() / 1_000_000n);

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    write: { type: "boolean", default: false },
  },
});

const world = aWorld();
const address = world.address();
const self = world.instance({
  tags: { "allocation-id": address.allocationId },
  metadataTags: true,
});
const cloud = await Cloud.start(world);
try {
  const machine = await cloud.machine(self, await cloud.bakeAmi());
  const lines = [
    `| each read takes | ${CASES.join(" | ")} |`,
    `| --- |${" ---: |".repeat(CASES.length)}`,
  ];
  for (const delay of DELAYS) {
    const disk = await slowDisk(join(machine.root, PROGRAM), delay);
    const times = CASES.map((): number[] => []);
    for (let round = 0; round < Number(options.rounds); round++)
      for (const [index, one] of CASES.entries()) {
        await allowPreload(machine, one === "with that unit");
        await disk.forget();
        if (one === "in memory") await must(["sha256sum", disk.program]);
        times[index]?.push(await bootToAddress(machine));
      }
    await disk.close();
    lines.push(
      `| ${delay} ms | ${times.map((all) => `${median(all).toFixed(0)} ms`).join(" | ")} |`,
    );
    process.stderr.write(`${delay} ms: measured\n`);
  }
  const table = lines.join("\n");
  process.stdout.write(`${table}\n`);
  if (options.write) replaceSection(join(ROOT, "docs/performance.md"), "first-boot", table);
} catch (error) {
  // Before what the clean-up says of a machine that is still on.
  console.error(error);
  throw error;
} finally {
  await cloud.close();
}

/** Boots it, with the address free; milliseconds from network-online.target to the association. */
async function bootToAddress(machine: Machine): Promise<number> {
  cloud.free(address.allocationId);
  await machine.start();
  await eventually("the address is here", () => cloud.region.holder(address.allocationId), {
    withinMs: 120_000,
  });
  const at = cloud.associations().at(-1)?.at ?? Number.NaN;
  await machine.waitRunning();
  const [online] = await machine.show("network-online.target", "ActiveEnterTimestampMonotonic");
  await machine.powerOff();
  // Containers have the monotonic clock of this machine; in microseconds.
  return at - MONOTONIC_BEGAN - Number(online) / 1_000;
}

/** Whether the unit that reads the program may run at the next boot. */
async function allowPreload(machine: Machine, isAllowed: boolean): Promise<void> {
  const link = join(machine.root, "etc/systemd/system", PRELOAD);
  await rm(link, { force: true });
  if (!isAllowed) await symlink("/dev/null", link);
}

/** Lays a copy of a file over it that is on a disk which needs so many milliseconds for each read. */
async function slowDisk(file: string, delayMs: number) {
  const folder = join(place().scratch, `disk-${delayMs}`);
  const [image, fuse, mounted] = ["image", "fuse", "mounted"].map((name) => join(folder, name));
  if (!image || !fuse || !mounted) throw new Error("unreachable");
  for (const path of [fuse, mounted]) await mkdir(path, { recursive: true });
  await writeFile(image, "");
  await truncate(image, 256 * 2 ** 20);
  await must(["mkfs.ext4", "-q", image]);
  await must(["mount", "-o", "loop", image, mounted]);
  await must(["cp", file, mounted]);
  await must(["umount", mounted]);
  const program = join(mounted, basename(file));

  const delay = ["--filter=delay", "file", image, `delay-read=${delayMs}ms`];
  const server = spawn("nbdfuse", [join(fuse, "disk"), "--command", "nbdkit", "-s", ...delay], {
    stdio: "inherit",
  });
  await eventually("the disk is there", () => existsSync(join(fuse, "disk")));
  const losetup = ["losetup", "--find", "--show", "--direct-io=on", join(fuse, "disk")];
  const device = (await must(losetup)).trim();
  // What the kernel sets for the NVMe devices of EBS.
  await writeFile(`/sys/block/${basename(device)}/queue/read_ahead_kb`, "128");
  await must(["mount", "-o", "ro", device, mounted]);
  await must(["mount", "--bind", program, file]);
  return {
    program,
    /** Lets all of it leave the page cache. */
    forget: () => must(["dd", `if=${program}`, "iflag=nocache", "count=0", "status=none"]),
    async close() {
      for (const path of [file, mounted]) await must(["umount", path]);
      await must(["losetup", "--detach", device]);
      await must(["umount", "--lazy", fuse]);
      server.kill();
      await rm(image);
    },
  };
}
