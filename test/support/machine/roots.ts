/** The systems that packages are installed on, as enter-install.sh has found them. */
import type { Image } from "./image.ts";

export interface System {
  readonly name: string;
  readonly image: Image;
}

/** Those with apt. */
export function aptSystems(): System[] {
  return read("INSTALL_ROOTS")
    .split(" ")
    .filter((entry) => entry !== "")
    .map((entry) => {
      const [name = "", root = ""] = entry.split("=");
      return { name, image: { layers: [root] } };
    });
}

/** The one with dnf, if there is one. */
export function dnfSystem(): System | undefined {
  const root = read("INSTALL_DNF_ROOT");
  return root === "" ? undefined : { name: "dnf", image: { layers: [root] } };
}

/** The one with apt and what the examples need, if there is one. */
export function extrasSystem(): System | undefined {
  const root = read("INSTALL_EXTRAS_ROOT");
  return root === "" ? undefined : { name: "extras", image: { layers: [root] } };
}

function read(name: string): string {
  const value = process.env[name];
  if (value === undefined)
    throw new Error(`${name} is not set: "make" has the target that runs these tests`);
  return value;
}

/** What virtual machines run, as enter-vm.sh has found it. */
export function vmSystem(): { image: Image; kernel: string; architecture: "amd64" | "arm64" } {
  const architecture = read("VM_ARCH");
  if (architecture !== "amd64" && architecture !== "arm64")
    throw new Error(`VM_ARCH: ${architecture}`);
  return { image: { layers: [read("VM_ROOT")] }, kernel: read("VM_KERNEL"), architecture };
}

/** The same with a policy for SELinux. */
export function selinuxSystem(): ReturnType<typeof vmSystem> {
  return { ...vmSystem(), image: { layers: [read("VM_SELINUX_ROOT")] } };
}
