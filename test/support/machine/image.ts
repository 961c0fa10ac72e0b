/** Disks: layers that are never written to (an "AMI"), and an overlay on top for what is. */
import { mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { place } from "./place.ts";
import { must, type Result, run, type RunOptions, succeeded } from "../run.ts";

/** What a machine boots from: folders, the uppermost first. */
export interface Image {
  readonly layers: readonly string[];
}

/** The environment of a root shell, and nothing of the test's own. */
export const CLEAN_ENVIRONMENT = [
  "/usr/bin/env",
  "-i",
  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  "HOME=/root",
  "TERM=dumb",
  "LC_ALL=C.UTF-8",
  "DEBIAN_FRONTEND=noninteractive",
  "SYSTEMD_PAGER=cat",
  "SYSTEMD_COLORS=0",
] as const;

/** The plain system, as the vendor's image has it. */
export function baseImage(): Image {
  return { layers: [place().root] };
}

/** An image of our own making. */
export interface BakedImage extends Image {
  /** Throws it away; no machine may run from it any more. */
  discard(): Promise<void>;
}

export interface Disk {
  /** The whole file system, while it is mounted. */
  readonly root: string;
  /** What was written to it. */
  readonly upper: string;
  unmount(): Promise<void>;
  /** Unmounts it and throws away what was written. */
  discard(): Promise<void>;
}

/**
 * Lays an empty disk over an image. What is written to it stays, over any number of boots.
 *
 * @param name its own among the disks that exist
 */
export async function mountOver(image: Image, name: string): Promise<Disk> {
  const folder = join(place().scratch, name);
  const root = join(folder, "root");
  const upper = join(folder, "upper");
  const work = join(folder, "work");
  // Not recursive: a second disk of the same name would be laid over the changes of the first.
  await mkdir(folder);
  for (const part of [root, upper, work]) await mkdir(part);
  // "xino": all files are on one device, or programs that stay on one would pass over those of the image.
  const options = `lowerdir=${image.layers.join(":")},upperdir=${upper},workdir=${work},xino=on`;
  await must(["mount", "-t", "overlay", "-o", options, `overlay-${name}`, root]);
  const unmount = async () => {
    await must(["umount", root]);
  };
  return {
    root,
    upper,
    unmount,
    async discard() {
      await unmount();
      await rm(folder, { recursive: true });
    },
  };
}

/** An image that is being made, as an AMI builder sees it: a root without a running systemd. */
export interface Builder {
  readonly root: string;
  /** Runs a command in the root. */
  exec(argv: readonly string[], options?: RunOptions): Promise<Result>;
  /** Runs a command that must succeed; its standard output. */
  must(argv: readonly string[], options?: RunOptions): Promise<string>;
}

/**
 * Bakes an image: the changes that `build` makes become a layer that any number of machines boot from.
 *
 * @param name its own among the disks and images that exist
 */
export async function bake(
  name: string,
  from: Image,
  build: (builder: Builder) => Promise<void>,
): Promise<BakedImage> {
  const disk = await mountOver(from, name);
  // Mounts in a namespace of its own, so that no failure leaves one inside the layer.
  const inRoot = [
    "unshare",
    "--mount",
    "--propagation",
    "private",
    "sh",
    "-euc",
    'mount --bind /proc "$0/proc"; mount --bind /dev "$0/dev"; exec chroot "$0" "$@"',
    disk.root,
    ...CLEAN_ENVIRONMENT,
  ];
  const exec = (argv: readonly string[], options?: RunOptions) =>
    run([...inRoot, ...argv], options);
  try {
    await build({
      root: disk.root,
      exec,
      must: async (argv, options) => succeeded(argv, await exec(argv, options)),
    });
  } catch (error) {
    await disk.discard();
    throw error;
  }
  await disk.unmount();
  return {
    layers: [disk.upper, ...from.layers],
    discard: () => rm(dirname(disk.upper), { recursive: true }),
  };
}
