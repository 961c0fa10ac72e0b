/** Where a boot test stands: what enter.sh has made around it. */

export interface Place {
  /** The root that machines boot from; never written to. */
  readonly root: string;
  /** A folder in memory for all that a run writes; it goes with the run. */
  readonly scratch: string;
  /** The control group below which each boot of a machine gets one of its own. */
  readonly cgroup: string;
}

/** Throws outside enter.sh: a boot test there would reach for the network and the mounts of whoever runs it. */
export function place(): Place {
  const read = (name: string) => {
    const value = process.env[name];
    if (!value)
      throw new Error(`${name} is not set: run boot tests by test/support/machine/enter.sh`);
    return value;
  };
  return { root: read("BOOT_ROOT"), scratch: read("BOOT_SCRATCH"), cgroup: read("BOOT_CGROUP") };
}
