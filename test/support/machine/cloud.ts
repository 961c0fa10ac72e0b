/** The cloud around the machines: a simulated region at the addresses where AWS has it, DHCP, DNS and TLS. */
import { appendFile, chmod, copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Call } from "../../../sim/query-api.ts";
import { type RunningRegion, startRegion } from "../../../sim/server.ts";
import type { BuiltInstance, World } from "../../../sim/world.ts";
import { type Authority, makeAuthority } from "../certificates.ts";
import { Dnsmasq } from "./dnsmasq.ts";
import { type BakedImage, bake, baseImage, type Builder, type Image } from "./image.ts";
import { Machine } from "./machine.ts";
import { builtPackage, install } from "./package.ts";
import { place } from "./place.ts";
import { must } from "../run.ts";

/** Where namespace.sh has put the EC2 API. */
export const EC2_ADDRESS = "10.0.0.2";
export const IMDS_ADDRESS = "169.254.169.254";

export const UNIT = "eip-heal.service";
/** The configuration of eip-heal. */
export const CONF = "/etc/eip-heal.conf";

/** What keeps needrestart from restarting a heal that waits. */
export const NEEDRESTART = "/etc/needrestart/conf.d/eip-heal.conf";

/** Where machines keep the certificate of the test's authority. */
const AUTHORITY_ON_MACHINES = "/etc/eip-heal-test-ca.pem";

export class Cloud {
  readonly region: RunningRegion;
  /** DHCP and DNS: stop() and start() make the network late. */
  readonly dnsmasq: Dnsmasq;
  readonly #authority: Authority;
  readonly #machines: Machine[] = [];
  readonly #images: BakedImage[] = [];

  private constructor(region: RunningRegion, dnsmasq: Dnsmasq, authority: Authority) {
    this.region = region;
    this.dnsmasq = dnsmasq;
    this.#authority = authority;
  }

  /** Starts a cloud of that world; one at a time, as it has fixed addresses. */
  static async start(world: World): Promise<Cloud> {
    const endpoint = `ec2.${world.data.region}.amazonaws.com`;
    const folder = (name: string) => join(place().scratch, name);
    // Nothing of the cloud before: dnsmasq would know its hosts, and ids repeat from world to world.
    for (const name of ["authority", "dnsmasq"])
      await rm(folder(name), { recursive: true, force: true });
    const authority = await makeAuthority(folder("authority"));
    const dnsmasq = new Dnsmasq(folder("dnsmasq"), { [endpoint]: EC2_ADDRESS });
    await dnsmasq.start();
    const region = await startRegion(world, {
      ec2: { host: EC2_ADDRESS, port: 443 },
      tls: await authority.issue(endpoint),
      imdsBySource: { host: IMDS_ADDRESS, port: 80 },
    });
    return new Cloud(region, dnsmasq, authority);
  }

  /**
   * Bakes an AMI with the package under test in it.
   *
   * @param more what else is done to it
   * @param from default: the plain system
   */
  async bakeAmi(
    more?: (builder: Builder) => Promise<void>,
    from: Image = baseImage(),
  ): Promise<Image> {
    const deb = await builtPackage();
    const image = await bake(`ami-${this.#images.length}`, from, async (builder) => {
      await install(builder, deb);
      await this.trustIn(builder.root);
      await more?.(builder);
    });
    this.#images.push(image);
    return image;
  }

  /** The machine behind an instance of the world: the MAC addresses, and so by DHCP the private IPs. Not started yet. */
  async machine({ interfaces }: Pick<BuiltInstance, "interfaces">, image: Image): Promise<Machine> {
    const nics = await Promise.all(
      interfaces.map(({ mac, addresses }) =>
        this.reserve({ mac, privateIp: addresses[0]?.privateIp ?? "" }),
      ),
    );
    const name = nics[0]?.name ?? "";
    const machine = await Machine.create({ name, nics, image });
    this.#machines.push(machine);
    return machine;
  }

  /** Has DHCP reserve a private IP of an instance; the name and the MAC address by which a machine then gets it. */
  async reserve({
    mac,
    privateIp: ip,
  }: Pick<BuiltInstance, "mac" | "privateIp">): Promise<{ name: string; mac: string }> {
    // As EC2 names its instances by default.
    const name = `ip-${ip.replaceAll(".", "-")}`;
    await this.dnsmasq.add({ name, mac, ip });
    return { name, mac };
  }

  /**
   * Lets eip-heal in this root (a machine's or an image's) trust the EC2 endpoint, the way users behind TLS
   * inspection do it. After the package is installed: a configuration file that is there before dpkg would ask about.
   */
  async trustIn(root: string): Promise<void> {
    const file = join(root, AUTHORITY_ON_MACHINES);
    await copyFile(this.#authority.file, file);
    await chmod(file, 0o644);
    await appendFile(join(root, CONF), `\nNODE_EXTRA_CA_CERTS=${AUTHORITY_ON_MACHINES}\n`);
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
    // "replace" adds it if it is not there.
    await must(["ip", "address", reachable ? "replace" : "delete", `${address}/32`, "dev", "vpc0"]);
  }

  /** Every AssociateAddress so far, in order of arrival. */
  associations(): Call[] {
    return this.region.calls.filter((call) => call.action === "AssociateAddress");
  }

  /** All that may tell why a test has failed: what eip-heal has said on each machine, and what EC2 was asked. */
  async story(): Promise<string> {
    const logs = this.#machines.map(async (machine) => {
      const log = await machine.journal("eip-heal*").catch((error: Error) => [error.message]);
      return [`--- eip-heal on ${machine.name}`, ...log];
    });
    const calls = this.region.calls.map((call) => JSON.stringify(call));
    return [...(await Promise.all(logs)).flat(), "--- EC2 calls", ...calls].join("\n");
  }

  /** Ends it all, machines and images too. */
  async close(): Promise<void> {
    await this.region.close();
    await this.dnsmasq.stop();
    await Promise.all(this.#machines.map((machine) => machine.discard()));
    await Promise.all(this.#images.map((image) => image.discard()));
  }
}
