/** What a VPC gives every instance: its address by DHCP, and a resolver. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "../run.ts";

export interface Host {
  readonly name: string;
  readonly mac: string;
  readonly ip: string;
}

export class Dnsmasq {
  readonly #folder: string;
  /** Addresses of names; every other name does not exist. */
  readonly #names: Readonly<Record<string, string>>;
  #process: ChildProcess | undefined;
  #starts = 0;

  constructor(folder: string, names: Readonly<Record<string, string>>) {
    this.#folder = folder;
    this.#names = names;
  }

  /** Starts it unless it runs; resolves when it answers. */
  async start(): Promise<void> {
    if (this.#process) return;
    const hosts = join(this.#folder, "hosts");
    await mkdir(hosts, { recursive: true });
    const path = join(this.#folder, `${++this.#starts}.log`);
    const log = openSync(path, "a");
    const child = spawn(
      "dnsmasq",
      [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--user=root",
        "--log-facility=-",
        "--interface=vpc0",
        "--bind-interfaces",
        "--listen-address=169.254.169.253,10.0.0.1",
        "--no-resolv",
        "--no-hosts",
        "--address=/#/",
        ...Object.entries(this.#names).map(([name, ip]) => `--address=/${name}/${ip}`),
        "--dhcp-authoritative",
        "--dhcp-range=10.0.0.0,static,255.255.255.0,1h",
        "--dhcp-option=option:router,10.0.0.1",
        // Leases of this start only: with an old one a machine could get the address of another run.
        `--dhcp-hostsdir=${hosts}`,
        `--dhcp-leasefile=${join(this.#folder, `${this.#starts}.leases`)}`,
      ],
      { stdio: ["ignore", log, log] },
    );
    closeSync(log);
    this.#process = child;
    await eventually("dnsmasq has started", async () => {
      const said = await readFile(path, "utf8");
      if (child.exitCode !== null) throw new Error(`dnsmasq has ended: ${said}`);
      return said.includes("sockets bound exclusively");
    });
  }

  /** Stops it: DHCP and DNS then do not answer at all. */
  async stop(): Promise<void> {
    const child = this.#process;
    child?.kill("SIGTERM");
    await eventually(
      "dnsmasq has ended",
      () => !child || child.exitCode !== null || child.signalCode !== null,
    );
    this.#process = undefined;
  }

  /** Reserves an address; dnsmasq watches the folder. */
  async add({ name, mac, ip }: Host): Promise<void> {
    await writeFile(join(this.#folder, "hosts", name), `${mac},${ip},${name}\n`);
  }
}
