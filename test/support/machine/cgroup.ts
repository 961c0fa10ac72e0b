/** The processes of one boot of a machine, all of them, whatever becomes of their parents. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { place } from "./place.ts";
import { eventually, must } from "../run.ts";

export interface ControlGroup {
  readonly path: string;
  /** Lets none of them run any more, or all again; resolves when it is so. */
  freeze(frozen: boolean): Promise<void>;
  /** Ends whatever is left in it, waits until nothing is, and removes it. */
  end(): Promise<void>;
}

/** Makes a control group; `name` is its own among those that exist. */
export async function makeControlGroup(name: string): Promise<ControlGroup> {
  const path = join(place().cgroup, name);
  await mkdir(path);
  return {
    path,
    async freeze(frozen) {
      await writeFile(join(path, "cgroup.freeze"), frozen ? "1" : "0");
      await eventually(`${name} is ${frozen ? "frozen" : "thawed"}`, async () =>
        (await readFile(join(path, "cgroup.events"), "utf8")).includes(`frozen ${frozen ? 1 : 0}`),
      );
    },
    async end() {
      // Kernels before 5.14 lack the file; there it has to do that systemd-nspawn takes its processes along.
      await writeFile(join(path, "cgroup.kill"), "1").catch(() => {});
      await eventually(`no process is left of ${name}`, async () =>
        (await readFile(join(path, "cgroup.events"), "utf8")).includes("populated 0"),
      );
      await must(["find", path, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"]);
    },
  };
}
