/** The cloud around the machines: a simulated region at the addresses where AWS has it, DHCP, DNS and TLS. */
import { appendFile, chmod, copyFile } from "node:fs/promises";
import { join } from "node:path";
import { type RunningRegion, startRegion } from "../region/server.ts";
import type { BuiltInstance, World } from "../region/world.ts";
import { type Authority, makeAuthority } from "./certificates.ts";
import { Dnsmasq } from "./dnsmasq.ts";
import type { Image } from "./image.ts";
import { Machine } from "./machine.ts";
import { place } from "./place.ts";
import { must } from "./run.ts";

/** Where namespace.sh has put the EC2 API. */
const EC2_ADDRESS = "10.0.0.2";
export const IMDS_ADDRESS = "169.254.169.254";

/** Where machines keep the certificate of the test's authority. */
const AUTHORITY_ON_MACHINES = "/etc/eip-heal-test-ca.pem";

export class Cloud {
  readonly region: RunningRegion;
  /** DHCP and DNS: stop() and start() make the network late. */
  readonly dnsmasq: Dnsmasq;
  readonly #authority: Authority;
  readonly #machines: Machine[] = [];

  private constructor(region: RunningRegion, dnsmasq: Dnsmasq, authority: Authority) {
    this.region = region;
    this.dnsmasq = dnsmasq;
    this.#authority = authority;
  }

  /** Starts a cloud of that world; one at a time, as it has fixed addresses. */
  static async start(world: World): Promise<Cloud> {
    const endpoint = `ec2.${world.data.region}.amazonaws.com`;
    const authority = await makeAuthority(join(place().scratch, "authority"));
    const dnsmasq = new Dnsmasq(join(place().scratch, "dnsmasq"), { [endpoint]: EC2_ADDRESS });
    await dnsmasq.start();
    const region = await startRegion(world, {
      ec2: { host: EC2_ADDRESS, port: 443 },
      tls: await authority.issue(endpoint),
      imdsBySource: { host: IMDS_ADDRESS, port: 80 },
    });
    return new Cloud(region, dnsmasq, authority);
  }

  /** The machine behind an instance of the world: its MAC address, and so by DHCP its private IP. Not started yet. */
  async machine(
    instance: Pick<BuiltInstance, "mac" | "privateIp">,
    image: Image,
  ): Promise<Machine> {
    // As EC2 names its instances by default.
    const name = `ip-${instance.privateIp.replaceAll(".", "-")}`;
    await this.dnsmasq.add({ name, mac: instance.mac, ip: instance.privateIp });
    const machine = await Machine.create({ name, mac: instance.mac, image });
    this.#machines.push(machine);
    return machine;
  }

  /**
   * Lets eip-heal in this root (a machine's or an image's) trust the EC2 endpoint, the way users behind TLS
   * inspection do it. After the package is installed: a configuration file that is there before dpkg would ask about.
   */
  async trustIn(root: string): Promise<void> {
    const file = join(root, AUTHORITY_ON_MACHINES);
    await copyFile(this.#authority.file, file);
    await chmod(file, 0o644);
    await appendFile(
      join(root, "etc/eip-heal.conf"),
      `\nNODE_EXTRA_CA_CERTS=${AUTHORITY_ON_MACHINES}\n`,
    );
  }

  /** Moves the address behind everybody's back, as an administrator does. */
  move(allocationId: string, instance: Pick<BuiltInstance, "instanceId">): void {
    const request = { allocationId, instanceId: instance.instanceId, allowReassociation: true };
    this.region.region.associateAddress("admin", request);
  }

  /** Takes the address from whoever holds it. */
  free(allocationId: string): void {
    const associationId = this.region.holder(allocationId)?.associationId;
    if (associationId) this.region.region.disassociateAddress("admin", { associationId });
  }

  /** Takes an address of the cloud off the network, or brings it back: who asks gets no answer, not a refusal. */
  async reachable(address: string, reachable: boolean): Promise<void> {
    await must(["ip", "address", reachable ? "add" : "delete", `${address}/32`, "dev", "vpc0"]);
  }

  /** Ends it all, machines and their disks too. */
  async close(): Promise<void> {
    await this.region.close();
    await this.dnsmasq.stop();
    await Promise.all(this.#machines.map((machine) => machine.discard()));
  }
}
