/** One machine: a real systemd as the first process of a container, with a disk and network interfaces of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, readlinkSync } from "node:fs";
import { chmod, copyFile, mkdir, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type ControlGroup, makeControlGroup } from "./cgroup.ts";
import { CLEAN_ENVIRONMENT, type Disk, type Image, mountOver } from "./image.ts";
import { eventually, must, type Result, run, type RunOptions, succeeded } from "../run.ts";

/** A network interface: one end of it is in the machine, the other on the bridge of the subnet. */
export interface Nic {
  /** Of the end on the bridge; at most 15 characters, the length of such a name. */
  readonly name: string;
  /** DHCP knows the end in the machine by it. */
  readonly mac: string;
}

export interface MachineSpec {
  readonly name: string;
  readonly image: Image;
  /** Inside they are ens5, ens6 and so on, as on Nitro instances. */
  readonly nics: readonly Nic[];
}

/** What a machine that asks for a reboot makes systemd-nspawn exit with (--keep-unit). */
const REBOOT = 133;

export class Machine {
  readonly name: string;
  readonly #nics: readonly Nic[];
  readonly #disk: Disk;
  readonly #console: string;
  #boots = 0;
  #nspawn: ChildProcess | undefined;
  #cgroup: ControlGroup | undefined;
  /** Why it is off. While it reboots it is not. */
  #off: string | undefined = "it has not been started";

  private constructor(spec: MachineSpec, disk: Disk) {
    this.name = spec.name;
    this.#nics = spec.nics;
    this.#disk = disk;
    this.#console = join(disk.root, "..", "console.log");
  }

  /** A machine with a new disk over the image, not started yet. */
  static async create(spec: MachineSpec): Promise<Machine> {
    const disk = await mountOver(spec.image, spec.name);
    await writeFile(join(disk.root, "etc/hostname"), `${spec.name}\n`);
    return new Machine(spec, disk);
  }

  /** Its disk, seen from outside, whether it runs or not. */
  get root(): string {
    return this.#disk.root;
  }

  /** How often it has been booted. */
  get boots(): number {
    return this.#boots;
  }

  /** All that it has written to its console, over all boots. */
  get console(): string {
    return readFileSync(this.#console, "utf8");
  }

  /** Switches it on. From then on it comes back by itself whenever it reboots. */
  async start(): Promise<void> {
    if (this.#off === undefined) throw new Error(`${this.name} is on already`);
    await this.#boot();
  }

  /** Resolves when the boot has come to its end: "running", or "degraded" if a unit has failed. */
  async waitRunning(withinMs = 60_000): Promise<string> {
    return await eventually(
      `${this.name} has booted`,
      async () => {
        const state = (await this.#try(["systemctl", "is-system-running"]))?.stdout.trim();
        return (state === "running" || state === "degraded") && state;
      },
      { withinMs },
    );
  }

  /** Resolves when a unit has come to a state that `systemctl is-active` prints. */
  async waitUnit(unit: string, state = "active", withinMs = 60_000): Promise<void> {
    let seen = "";
    await eventually(
      `${unit} is ${state} on ${this.name}`,
      async () => {
        seen = (await this.#try(["systemctl", "is-active", unit]))?.stdout.trim() ?? "";
        return seen === state;
      },
      { withinMs },
    ).catch((error: Error) => {
      throw new Error(`${error.message}; it is ${seen || "unknown"}`);
    });
  }

  /**
   * Runs a command inside, as root with a clean environment. It is no part of any of the machine's control groups:
   * what is about those goes through `systemd-run --pipe --wait`.
   */
  async exec(argv: readonly string[], options?: RunOptions): Promise<Result> {
    const leader = this.#leader();
    if (leader === undefined) throw new Error(`${this.name} is off or has not come up yet`);
    return await run(
      ["nsenter", "--target", leader, "--all", "--", ...CLEAN_ENVIRONMENT, ...argv],
      options,
    );
  }

  /** Runs a command inside that must succeed; its standard output. */
  async must(argv: readonly string[], options?: RunOptions): Promise<string> {
    return succeeded(argv, await this.exec(argv, options));
  }

  /** Runs a shell script inside that must succeed; its standard output. */
  async sh(script: string, options?: RunOptions): Promise<string> {
    return await this.must(["sh", "-euc", script], options);
  }

  /** Properties of a unit as `systemctl show` names them, in the order asked for; undefined: there is no such one. */
  async show(unit: string, ...properties: string[]): Promise<(string | undefined)[]> {
    const text = await this.must([
      "systemctl",
      "show",
      unit,
      ...properties.map((name) => `--property=${name}`),
    ]);
    const values = new Map(
      text.split("\n").map((line) => line.split(/=(.*)/s, 2) as [string, string]),
    );
    return properties.map((name) => values.get(name));
  }

  /** The messages of a unit, one to a line; of this boot unless told otherwise (`-1`: the one before, `all`). */
  async journal(unit: string, boot: string = "0"): Promise<string[]> {
    // What a unit has written just before it ended may not have reached the journal yet.
    await this.must(["journalctl", "--sync"]);
    const out = await this.must(["journalctl", "-u", unit, "-b", boot, "-o", "cat", "--no-pager"]);
    return out.split("\n").filter((line) => line !== "");
  }

  /**
   * What eip-heal itself has said in a unit in this boot, one message to a line.
   *
   * @param least only messages of this priority or above it, as journalctl names it
   */
  async said(unit: string, least: string = "debug"): Promise<string[]> {
    await this.must(["journalctl", "--sync"]);
    const filter = ["-u", unit, "-t", "eip-heal", "-p", least];
    const out = await this.must(["journalctl", ...filter, "-b", "-o", "cat", "--no-pager"]);
    return out.split("\n").filter((line) => line !== "");
  }

  /** Copies a file onto its disk, running or not. */
  async copyIn(source: string, target: string, mode = 0o644): Promise<void> {
    const path = join(this.root, target);
    await mkdir(dirname(path), { recursive: true });
    await copyFile(source, path);
    await chmod(path, mode);
  }

  /** Reboots it in an orderly way; resolves when the next boot has begun. Its disk stays. */
  async reboot(): Promise<void> {
    const before = this.#boots;
    // The connection may be cut before systemctl has its answer.
    await this.exec(["systemctl", "reboot"]);
    await eventually(`${this.name} reboots`, () => {
      this.#mustNotBeOff();
      return this.#boots > before && this.#leader() !== undefined;
    });
  }

  /** Switches it off in an orderly way. Its disk stays mounted, and start() boots it again. */
  async powerOff(): Promise<void> {
    if (this.#off === undefined) await this.exec(["systemctl", "poweroff"]);
    await eventually(`${this.name} is off`, () => this.#off !== undefined);
  }

  /** Pulls the plug. */
  async kill(): Promise<void> {
    await eventually(`${this.name} is off`, () => {
      this.#nspawn?.kill("SIGKILL");
      return this.#off !== undefined;
    });
  }

  /** Pulls the plug and throws the disk away. */
  async discard(): Promise<void> {
    await this.kill();
    await this.#disk.discard();
  }

  /**
   * Suspends it while `work` is done: none of its processes runs, and what comes over the network waits. To it, time
   * then has jumped, on all of its clocks. (On a real machine that sleeps the monotonic one stands still.)
   */
  async whileSuspended(work: () => Promise<void>): Promise<void> {
    this.#mustNotBeOff();
    await this.#cgroup?.freeze(true);
    try {
      await work();
    } finally {
      await this.#cgroup?.freeze(false);
    }
  }

  /** Cuts its network off or connects it again: the carrier goes and comes. */
  async link(state: "up" | "down"): Promise<void> {
    for (const { name } of this.#nics) await must(["ip", "link", "set", name, state]);
  }

  async #boot(): Promise<void> {
    this.#boots += 1;
    this.#off = undefined;
    await this.#plugIn();
    // With --keep-unit the machine lives in the control group that nspawn is started in: one of its own, or another
    // machine would be in its way.
    const cgroup = await makeControlGroup(this.name);
    this.#cgroup = cgroup;
    const log = openSync(this.#console, "a");
    const nspawn = spawn(
      "sh",
      ["-c", 'echo $$ >"$0/cgroup.procs"; exec "$@"', cgroup.path, ...this.#commandLine()],
      { stdio: ["ignore", log, log] },
    );
    closeSync(log);
    this.#nspawn = nspawn;
    nspawn.once("exit", (status) => void this.#ended(cgroup, status));
  }

  #commandLine(): string[] {
    return [
      "systemd-nspawn",
      "--quiet",
      "--boot",
      `--directory=${this.root}`,
      `--machine=${this.name}`,
      // There is no systemd outside to register with and to get a scope from.
      "--register=no",
      "--keep-unit",
      // The machine configures its interface itself. nspawn adds the capability only to networks that it makes.
      `--network-namespace-path=/run/netns/${this.name}`,
      "--capability=CAP_NET_ADMIN",
      // The image is left as it is.
      "--link-journal=no",
      "--resolv-conf=off",
      "--timezone=off",
      // The default wants a terminal.
      "--console=read-only",
    ];
  }

  /** It has switched itself off, has asked for a reboot, or somebody has pulled the plug. */
  async #ended(cgroup: ControlGroup, status: number | null): Promise<void> {
    this.#nspawn = undefined;
    try {
      await cgroup.end();
      if (status === REBOOT) await this.#boot();
      else this.#off = `systemd-nspawn ended with status ${status}`;
    } catch (error) {
      this.#off = String(error);
    }
  }

  /** New pairs of interfaces for each boot, so that nothing of the boot before is left on them. */
  async #plugIn(): Promise<void> {
    for (const { name } of this.#nics) await run(["ip", "link", "delete", name]);
    await run(["ip", "netns", "delete", this.name]);
    await must(["ip", "netns", "add", this.name]);
    for (const [index, { name, mac }] of this.#nics.entries()) {
      const peer = ["peer", "name", `ens${5 + index}`, "address", mac, "netns", this.name];
      await must(["ip", "link", "add", "name", name, "type", "veth", ...peer]);
      await must(["ip", "link", "set", name, "master", "vpc0", "up"]);
    }
  }

  /** The same as exec, or undefined while there is nobody to ask yet. */
  async #try(argv: readonly string[]): Promise<Result | undefined> {
    this.#mustNotBeOff();
    return this.#leader() === undefined ? undefined : await this.exec(argv, { timeoutMs: 30_000 });
  }

  /** Waiting for a machine that will not come would only take long. */
  #mustNotBeOff(): void {
    if (this.#off === undefined) return;
    throw new Error(`${this.name} is off: ${this.#off}\n${this.console.slice(-4_000)}`);
  }

  /**
   * Its first process, as it is known here. nspawn's child at first still prepares the container, in our namespaces;
   * it counts only once it is systemd.
   */
  #leader(): string | undefined {
    const nspawn = this.#nspawn?.pid;
    if (nspawn === undefined) return undefined;
    try {
      const child =
        readFileSync(`/proc/${nspawn}/task/${nspawn}/children`, "utf8").split(" ")[0] ?? "";
      return basename(readlinkSync(`/proc/${child}/exe`)) === "systemd" ? child : undefined;
    } catch {
      return undefined;
    }
  }
}
