/** SELinux on a virtual machine: the labels of its disk, and what the policy has denied. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { must } from "../run.ts";
import type { VirtualMachine } from "./virtual-machine.ts";

/** Parameters of the kernel: the policy is enforced from the first program on, and from then on denials are recorded. */
export const ENFORCING = ["security=selinux", "selinux=1", "enforcing=1", "audit=1"];

/** Gives all files of a root the labels that its policy has for them, as an installer does. */
export async function labelFiles(root: string): Promise<void> {
  // Every ext4 has one.
  await mkdir(join(root, "lost+found"), { mode: 0o700 });
  const contexts = join(root, "etc/selinux/default/contexts/files/file_contexts");
  // Of two names for a file only one gets it the first time: each has become a file of its own on an overlay.
  for (let time = 0; time < 2; time++)
    await must(["setfiles", "-m", "-F", "-r", root, contexts, root]);
}

/**
 * The denials since the boot: for each the records of its event, which has the program in the one and the file in the
 * other. The kernel's log has those from before the audit daemon was there. Left out is what a program was called with:
 * a command of the test names files that have nothing to do with what it was denied.
 */
export async function denials(machine: VirtualMachine): Promise<string[]> {
  const text = await machine.sh("dmesg | cat; cat /var/log/audit/audit.log*");
  const events = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [id] = /audit\([\d.]+:\d+\)/.exec(line) ?? [];
    if (id !== undefined && !/^type=(EXECVE|PROCTITLE) /.test(line))
      events.set(id, `${events.get(id) ?? ""}${line}\n`);
  }
  return [...events.values()].filter((event) => /\bavc: +denied\b/.test(event));
}
