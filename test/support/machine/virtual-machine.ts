/**
 * One virtual machine: an emulated computer with a kernel of its own, on the same cloud as the containers of
 * machine.ts. Slow, but nothing of what a unit asks of the kernel is left out, and it may be of another architecture.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Image, mountOver } from "./image.ts";
import { place } from "./place.ts";
import { eventually, must, type Result, type RunOptions, succeeded } from "../run.ts";
import { GuestShell, putGuestShellInto } from "./guest-shell.ts";

export type Architecture = "amd64" | "arm64";

export interface VirtualMachineSpec {
  /** At most 15 characters, the length of a network interface's name. */
  readonly name: string;
  /** DHCP knows the machine by it. */
  readonly mac: string;
  readonly image: Image;
  readonly architecture: Architecture;
  /** Folder made by kernel.sh. */
  readonly kernel: string;
  /** Parameters of the kernel besides those that every machine has. */
  readonly parameters?: readonly string[];
}

/** The emulator of each architecture. Plain old processors: what newer ones have in addition is slow to emulate. */
const EMULATORS: Readonly<Record<Architecture, { command: string[]; console: string }>> = {
  amd64: {
    command: ["qemu-system-x86_64", "-machine", "q35", "-cpu", "Nehalem"],
    console: "ttyS0",
  },
  arm64: {
    command: ["qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a72"],
    console: "ttyAMA0",
  },
};

/** Emulation is ten times slower than the machine, and the machine may be busy: only what hangs takes longer. */
const BOOT_MS = 1_200_000;
const COMMAND_MS = 600_000;
/** For the tests of such a machine, and what comes before them: a boot and some commands. */
export const VM_TEST_MS = 1_800_000;
/** After so long without an answer it is asked once more, because nobody may have been there to hear it. */
const ASK_AGAIN_MS = 5_000;

export class VirtualMachine {
  readonly name: string;
  readonly #spec: VirtualMachineSpec;
  readonly #folder: string;
  #qemu: ChildProcess | undefined;
  #shell: GuestShell | undefined;

  private constructor(spec: VirtualMachineSpec) {
    this.name = spec.name;
    this.#spec = spec;
    this.#folder = join(place().scratch, `vm-${spec.name}`);
  }

  /**
   * A machine with a new disk, not started yet.
   *
   * @param prepare what else is to be on the disk
   */
  static async create(
    spec: VirtualMachineSpec,
    prepare?: (root: string) => Promise<void>,
  ): Promise<VirtualMachine> {
    const vm = new VirtualMachine(spec);
    await mkdir(vm.#folder);
    const disk = await mountOver(spec.image, `disk-${spec.name}`);
    const etc = join(disk.root, "etc");
    await writeFile(join(etc, "hostname"), `${spec.name}\n`);
    await writeFile(join(etc, "fstab"), "/dev/vda / ext4 rw,noatime 0 1\n");
    await cp(join(spec.kernel, "lib/modules"), join(disk.root, "usr/lib/modules"), {
      recursive: true,
    });
    await putGuestShellInto(disk.root);
    await prepare?.(disk.root);
    // From a folder, so that no loop device is needed. Without a journal: nobody pulls the plug and boots again.
    const features = ["-O", "^has_journal", "-E", "lazy_itable_init=1", "-m", "0"];
    const target = [join(vm.#folder, "disk"), "2G"];
    await must(["mke2fs", "-q", "-t", "ext4", ...features, "-d", disk.root, ...target]);
    await disk.discard();
    return vm;
  }

  /** All that it has written to its console. */
  async console(): Promise<string> {
    return await readFile(join(this.#folder, "console"), "utf8");
  }

  /** Switches it on; resolves when somebody answers in it. */
  async start(): Promise<void> {
    const { name } = this;
    await must(["ip", "tuntap", "add", "dev", name, "mode", "tap"]);
    await must(["ip", "link", "set", name, "master", "vpc0", "up"]);
    const log = openSync(join(this.#folder, "qemu.log"), "a");
    const [file = "", ...args] = this.#commandLine();
    this.#qemu = spawn(file, args, { stdio: ["ignore", log, log] });
    closeSync(log);
    // An emulator that cannot be started is seen by its exit code, too.
    this.#qemu.once("error", () => {});
    this.#shell = new GuestShell(join(this.#folder, "shell"));
    await this.#answers("answers", ["true"], ({ status }) => status === 0);
  }

  /** Runs a command in it, as root. */
  async exec(argv: readonly string[], options?: RunOptions): Promise<Result> {
    this.#mustBeOn();
    if (this.#shell === undefined) throw new Error(`${this.name} has not been started`);
    return await this.#shell.run(argv, options?.timeoutMs ?? COMMAND_MS);
  }

  /** Runs a command in it that must succeed; its standard output. */
  async must(argv: readonly string[], options?: RunOptions): Promise<string> {
    return succeeded(argv, await this.exec(argv, options));
  }

  /** Runs a shell script in it that must succeed; its standard output. */
  async sh(script: string, options?: RunOptions): Promise<string> {
    return await this.must(["sh", "-euc", script], options);
  }

  /** Properties of a unit as `systemctl show` names them, in the order asked for; undefined: there is no such one. */
  async show(unit: string, ...properties: string[]): Promise<(string | undefined)[]> {
    const options = properties.map((name) => `--property=${name}`);
    const text = await this.must(["systemctl", "show", unit, ...options]);
    const values = new Map(
      text.split("\n").map((line) => line.split(/=(.*)/s, 2) as [string, string]),
    );
    return properties.map((name) => values.get(name));
  }

  /** The messages of a unit in this boot, one to a line. */
  async journal(unit: string): Promise<string[]> {
    await this.must(["journalctl", "--sync"]);
    const text = await this.must(["journalctl", "-u", unit, "-b", "-o", "cat", "--no-pager"]);
    return text.split("\n").filter((line) => line !== "");
  }

  /** Resolves when the boot has come to its end: "running", or "degraded" if a unit has failed. */
  async waitRunning(): Promise<string> {
    return await eventually(
      `${this.name} has booted`,
      async () => {
        const { stdout } = await this.exec(["systemctl", "is-system-running"]);
        const state = stdout.trim();
        return (state === "running" || state === "degraded") && state;
      },
      { withinMs: BOOT_MS, everyMs: 1_000 },
    );
  }

  /** Reboots it; resolves when somebody answers in it again. */
  async reboot(): Promise<void> {
    const bootId = ["cat", "/proc/sys/kernel/random/boot_id"];
    const before = await this.must(bootId);
    // The answer may be lost with the one who gives it.
    await this.exec(["systemctl", "reboot"], { timeoutMs: 5_000 });
    const hasRebooted = ({ status, stdout }: Result) => status === 0 && stdout !== before;
    await this.#answers("has rebooted", bootId, hasRebooted);
  }

  /**
   * Stops it while `work` is done, as a computer that sleeps: all its clocks stand still, but for that on the board, by
   * which the wall clock is put right afterwards, as the kernel does. (Sleep that the kernel itself knows of, ACPI S3,
   * would be realer still; on a busy host the emulated firmware now and then does not wake up from it.)
   */
  async whileStopped(work: () => Promise<void>): Promise<void> {
    await this.#monitor("stop");
    await work();
    await this.#monitor("cont");
    await this.sh("date --set=@$(cat /sys/class/rtc/rtc0/since_epoch)");
  }

  /** Pulls the plug and throws the disk away. */
  async discard(): Promise<void> {
    this.#shell?.close();
    const qemu = this.#qemu;
    if (qemu !== undefined && qemu.exitCode === null && qemu.signalCode === null) {
      qemu.kill("SIGKILL");
      await eventually(
        `${this.name} is off`,
        () => qemu.exitCode !== null || qemu.signalCode !== null,
      );
      await must(["ip", "link", "delete", this.name]);
    }
    await rm(this.#folder, { recursive: true });
  }

  /**
   * Runs a command until its result is the right one. One that comes late counts as well: on a busy host any answer may
   * take longer than the time until the next question.
   */
  async #answers(
    what: string,
    argv: string[],
    isRight: (result: Result) => boolean,
  ): Promise<void> {
    let right = false;
    await eventually(
      `${this.name} ${what}`,
      async () => {
        const answer = this.exec(argv, { timeoutMs: BOOT_MS }).then((result) => {
          right ||= isRight(result);
        });
        await Promise.race([answer, sleep(ASK_AGAIN_MS)]);
        return right;
      },
      { withinMs: BOOT_MS, everyMs: 500 },
    ).catch(async (error: Error) => {
      throw new Error(`${error.message}\n${(await this.console()).slice(-4_000)}`);
    });
  }

  /** Gives the emulator a command; resolves when it has been carried out. */
  async #monitor(command: string): Promise<void> {
    const socket = connect(join(this.#folder, "monitor"));
    socket.setEncoding("utf8");
    socket.write(`${command}\n`);
    let said = "";
    // It greets, repeats the command and answers, and there are two prompts then.
    for await (const text of socket) {
      said += String(text);
      if (said.split("(qemu) ").length > 2) break;
    }
  }

  #mustBeOn(): void {
    const { exitCode = null, signalCode = null } = this.#qemu ?? {};
    if (exitCode === null && signalCode === null) return;
    throw new Error(`${this.name} is off, its emulator has ended with ${exitCode ?? signalCode}`);
  }

  #commandLine(): string[] {
    const { architecture, kernel, mac, parameters = [] } = this.#spec;
    const { command, console } = EMULATORS[architecture];
    const file = (name: string) => join(this.#folder, name);
    const options: readonly (readonly [name: string, value?: string])[] = [
      ["accel", "tcg,thread=multi"],
      // A second one would be emulated too, and spin where the host has no time for it.
      ["smp", "1"],
      ["m", "1024"],
      ["display", "none"],
      ["nodefaults"],
      ["no-user-config"],
      ["kernel", join(kernel, "vmlinuz")],
      ["initrd", join(kernel, "initrd")],
      // Interfaces are named eth0 and on. What the kernel does against processors that leak only costs time here.
      [
        "append",
        `root=/dev/vda rw console=${console} quiet mitigations=off net.ifnames=0 ${parameters.join(" ")}`,
      ],
      ["drive", `file=${file("disk")},format=raw,if=none,id=disk,cache=unsafe`],
      ["device", "virtio-blk-pci,drive=disk"],
      ["netdev", `tap,id=net,ifname=${this.name},script=no,downscript=no`],
      ["device", `virtio-net-pci,netdev=net,mac=${mac},romfile=`],
      ["device", "virtio-rng-pci"],
      ["device", "virtio-serial-pci"],
      ["chardev", `socket,id=shell,path=${file("shell")},server=on,wait=off`],
      ["device", "virtconsole,chardev=shell"],
      ["monitor", `unix:${file("monitor")},server=on,wait=off`],
      ["serial", `file:${file("console")}`],
    ];
    return [
      ...command,
      ...options.flatMap(([name, value]) =>
        value === undefined ? [`-${name}`] : [`-${name}`, value],
      ),
    ];
  }
}
