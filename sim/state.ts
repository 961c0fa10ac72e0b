/**
 * The records of the region and the mechanics of changing them, so that an address and its holder always agree.
 * What may be done, and by whom, is not decided here: see actions.ts for the API, region.ts for the world outside.
 */

import type { AssociateInput } from "./association.ts";
import { millis } from "./build.ts";
import type { Moment, Surroundings } from "./build.ts";
import { Ec2Error } from "./errors.ts";
import { publicIpOf } from "./filters.ts";
import type { PolicyDocument } from "./iam.ts";
import { Ids } from "./ids.ts";
import type {
  Address,
  Association,
  Group,
  Instance,
  LifecycleAction,
  NetworkInterface,
  PrivateAddress,
  Role,
  Settings,
  Subnet,
  Vpc,
  WorldData,
} from "./model.ts";
import { Records } from "./past.ts";
import type { View } from "./past.ts";
import { Buckets } from "./throttle.ts";

const DEFAULTS: Settings = {
  describeStalenessMs: 0,
  imdsStalenessMs: 0,
  emptyInstanceId: false,
  emptyFirstPage: false,
  strictPlaces: false,
  zonesDown: [],
  latencyMs: {},
  networkCardIndex: true,
};

export class State {
  readonly name: string;
  readonly account: string;
  readonly partition: string;
  readonly now: () => number;
  readonly ids: Ids;
  readonly records: Records;
  /** Which instance an interface is on. */
  readonly #hostOf = new Map<string, string>();
  readonly #allocationOf = new Map<string, string>();
  readonly #roles = new Map<string, Role>();
  readonly #vpcs = new Map<string, Vpc>();
  readonly #subnets: Subnet[];
  readonly #groups = new Map<string, Group>();
  /** The last wait of each instance under each hook. */
  readonly #lifecycleActions = new Map<string, LifecycleAction>();
  #settings: Settings;
  #buckets: Buckets | undefined;

  /** A region that starts as the world says; the world itself is left alone. */
  constructor(world: WorldData, now: () => number = Date.now) {
    const data = structuredClone(world);
    this.name = data.region;
    this.account = data.account;
    this.partition = data.partition;
    this.now = now;
    this.ids = new Ids(data.serials);
    this.records = new Records(now);
    this.#subnets = data.subnets;
    for (const vpc of data.vpcs) this.#vpcs.set(vpc.vpcId, vpc);
    for (const role of data.roles) this.#roles.set(role.name, role);
    for (const group of data.groups) this.#groups.set(group.name, group);
    for (const eni of data.interfaces) this.putInterface(eni);
    for (const instance of data.instances) this.putInstance(instance);
    for (const address of data.addresses) this.putAddress(address);
    this.records.forgetThePast();
    this.#settings = { ...DEFAULTS };
    this.configure(data.settings);
  }

  get settings(): Settings {
    return this.#settings;
  }

  /** The address as it really is; throws when there is none, as a test that asks has made a mistake. */
  address(allocationId: string): Address {
    return found(this.records.address(allocationId), allocationId);
  }

  /** The instance as it really is; throws when there is none. */
  instance(instanceId: string): Instance {
    return found(this.records.instance(instanceId), instanceId);
  }

  /** Whether there is such an instance, even if the API has not heard of it. */
  hasInstance(instanceId: string): boolean {
    return this.records.instance(instanceId) !== undefined;
  }

  /** The network interface, on an instance or not; throws when there is none. */
  interface(networkInterfaceId: string): NetworkInterface {
    return found(this.findInterface(networkInterfaceId), networkInterfaceId);
  }

  /** Who really holds the address; undefined: nobody. */
  holder(allocationId: string): Association | undefined {
    return this.address(allocationId).association;
  }

  /** The instance's real public IPv4 address on its primary private address. */
  publicIpOf(instanceId: string): string | undefined {
    return publicIpOf(this.instance(instanceId), this.records);
  }

  /** The instance whose primary private IPv4 this is: how IMDS tells its callers apart on a shared listener. */
  instanceAt(privateIp: string): string | undefined {
    for (const instance of this.records.instances()) {
      if (instance.interfaces[0]?.addresses[0]?.privateIp === privateIp) return instance.instanceId;
    }
    return undefined;
  }

  instances(): Instance[] {
    return [...this.records.instances()];
  }

  addresses(): Address[] {
    return [...this.records.addresses()];
  }

  roles(): Role[] {
    return [...this.#roles.values()];
  }

  role(name: string): Role | undefined {
    return this.#roles.get(name);
  }

  /** The records as they were so many milliseconds ago. */
  lookingBack(ms: number): View {
    return ms === 0 ? this.records : this.records.asOf(this.now() - ms);
  }

  /** The ARN an instance's role credentials have: an assumed-role session named after the instance. */
  principalOf(instanceId: string): string {
    // An instance that is gone may still use its credentials; its role is as good as none then.
    const role = this.records.instance(instanceId)?.role ?? "none";
    return `arn:${this.partition}:sts::${this.account}:assumed-role/${role}/${instanceId}`;
  }

  /** The network interface, on an instance or not; undefined: there is none. */
  findInterface(id: string): NetworkInterface | undefined {
    const host = this.#hostOf.get(id);
    if (host === undefined) return this.records.looseInterface(id);
    return this.records.instance(host)?.interfaces.find((eni) => eni.networkInterfaceId === id);
  }

  /** The address that a request names by allocation id or public IPv4. */
  addressFor(input: AssociateInput): Address | undefined {
    if (input.allocationId !== undefined) return this.records.address(input.allocationId);
    return this.addresses().find((address) => address.publicIp === input.publicIp);
  }

  vpc(vpcId: string): Vpc | undefined {
    return this.#vpcs.get(vpcId);
  }

  /** The allocation id of the address that an association is of. */
  allocationOf(associationId: string): string | undefined {
    return this.#allocationOf.get(associationId);
  }

  group(name: string): Group | undefined {
    return this.#groups.get(name);
  }

  /** Waits under lifecycle hooks, those that have ended too. */
  lifecycleActions(): LifecycleAction[] {
    return [...this.#lifecycleActions.values()];
  }

  /** Takes a token of the request bucket; false: throttled. */
  takeToken(bucket: string): boolean {
    return this.#buckets?.take(bucket) ?? true;
  }

  /** The ARN of an EC2 resource, as `instance/i-…`, of the region's account or another one. */
  arn(resource: string, account = this.account): string {
    return `arn:${this.partition}:ec2:${this.name}:${account}:${resource}`;
  }

  /** Everything, as plain data. */
  snapshot(): {
    instances: Instance[];
    addresses: Address[];
    interfaces: NetworkInterface[];
    roles: Role[];
    groups: Group[];
    lifecycleActions: LifecycleAction[];
  } {
    return {
      instances: this.instances(),
      addresses: this.addresses(),
      interfaces: [...this.records.looseInterfaces()],
      roles: this.roles(),
      groups: [...this.#groups.values()],
      lifecycleActions: this.lifecycleActions(),
    };
  }

  // --- changing ---

  /** Changes settings of the region; the others stay. Fills the request buckets if they are among them. */
  configure(settings: Partial<Settings>): void {
    if (settings.pageSize !== undefined && settings.pageSize < 1)
      throw new Error("a page of no records has no next page: pageSize is 1 or more");
    // A mistyped zone that nothing is in would make a test pass for the wrong reason.
    for (const zone of settings.zonesDown ?? []) {
      const there = [...this.#subnets, ...this.records.instances()];
      found(
        there.find((one) => one.zone === zone),
        `zone ${zone}`,
      );
    }
    this.#settings = { ...this.#settings, ...settings };
    if ("throttle" in settings) {
      this.#buckets =
        settings.throttle === undefined ? undefined : new Buckets(settings.throttle, this.now);
    }
  }

  /** The VPC gets or loses its internet gateway. */
  setInternetGateway(vpcId: string, internetGateway: boolean): void {
    this.#vpcs.set(vpcId, { ...found(this.#vpcs.get(vpcId), vpcId), internetGateway });
  }

  /** Adds a role or changes what it may do, at once or from a moment on; until then the old policies hold. */
  setPolicy(role: string, policy: PolicyDocument, from?: Moment): void {
    const at = from === undefined ? undefined : millis(from);
    const old = this.#roles.get(role);
    const kept =
      at === undefined
        ? []
        : (old?.grants ?? []).map((grant) => ({
            ...grant,
            until: Math.min(grant.until ?? at, at),
          }));
    this.#roles.set(role, { ...old, name: role, grants: [...kept, { policy, from: at }] });
  }

  /** What IMDS answers for the role's credentials: broken in one of AWS's ways, or only from a moment on. */
  setCredentials(role: string, options: { broken?: Role["broken"] | null; from?: Moment }): void {
    const old = found(this.#roles.get(role), role);
    const credentialsFrom = options.from === undefined ? old.credentialsFrom : millis(options.from);
    this.#roles.set(role, { ...old, broken: options.broken ?? undefined, credentialsFrom });
  }

  /** Puts an interface that is on no instance onto one, together with its Elastic IPs. */
  attachLoose(eni: NetworkInterface, host: Instance, deviceIndex: number): NetworkInterface {
    if (this.records.looseInterface(eni.networkInterfaceId) === undefined) {
      throw new Ec2Error(
        "InvalidNetworkInterface.InUse",
        `Interface: ${eni.networkInterfaceId} in use.`,
      );
    }
    this.records.putLooseInterface(eni.networkInterfaceId, undefined);
    const attached = { ...eni, deviceIndex, instanceId: host.instanceId };
    this.putInstance({ ...host, interfaces: [...host.interfaces, attached] });
    this.#renameHolder(attached, host.instanceId);
    return attached;
  }

  /** Takes an interface off its instance, together with its Elastic IPs. */
  detach(networkInterfaceId: string): NetworkInterface {
    const eni = this.interface(networkInterfaceId);
    const host = this.instance(eni.instanceId ?? "");
    const rest = host.interfaces.filter((other) => other.networkInterfaceId !== networkInterfaceId);
    this.putInstance({ ...host, interfaces: rest });
    this.putInterface({ ...eni, instanceId: undefined });
    this.#hostOf.delete(networkInterfaceId);
    this.#renameHolder(eni, undefined);
    return this.interface(networkInterfaceId);
  }

  /** What building a new record has to know. */
  surroundings(): Surroundings {
    return {
      region: this.name,
      account: this.account,
      ids: this.ids,
      subnetIn: (zone) =>
        found(this.#subnets.find((subnet) => subnet.zone === zone) ?? this.#subnets[0], zone),
    };
  }

  /** Changes fields of an instance, which has to be in one of the states. */
  change(
    instanceId: string,
    from: readonly Instance["state"][] | undefined,
    change: Partial<Instance>,
  ): Instance {
    const instance = this.instance(instanceId);
    if (from !== undefined && !from.includes(instance.state)) {
      throw new Ec2Error(
        "IncorrectInstanceState",
        `The instance '${instanceId}' is ${instance.state}, not ${from.join(" or ")}`,
      );
    }
    const changed = { ...instance, ...change };
    this.putInstance(changed);
    return changed;
  }

  /** Replaces the instance with its interfaces. */
  putInstance(instance: Instance): void {
    this.records.putInstance(instance.instanceId, instance);
    for (const eni of instance.interfaces) {
      this.#hostOf.set(eni.networkInterfaceId, instance.instanceId);
      for (const at of eni.addresses) this.ids.reserve(at.privateIp);
    }
  }

  /** Replaces the address. */
  putAddress(address: Address): void {
    const old = this.records.address(address.allocationId)?.association;
    if (old !== undefined) this.#allocationOf.delete(old.associationId);
    if (address.association !== undefined) {
      this.#allocationOf.set(address.association.associationId, address.allocationId);
    }
    this.ids.reserve(address.publicIp);
    this.records.putAddress(address.allocationId, address);
  }

  /** Replaces the wait of an instance under a hook. */
  putLifecycleAction(action: LifecycleAction): void {
    this.#lifecycleActions.set(`${action.instanceId} ${action.hook.name}`, action);
  }

  /** Replaces the interface, on its instance or by itself. */
  putInterface(eni: NetworkInterface): void {
    const host = this.records.instance(eni.instanceId ?? "");
    if (host === undefined) {
      this.records.putLooseInterface(eni.networkInterfaceId, eni);
      return;
    }
    this.putInstance({
      ...host,
      interfaces: host.interfaces.map((old) =>
        old.networkInterfaceId === eni.networkInterfaceId ? eni : old,
      ),
    });
  }

  #changeAddressOf(
    eni: NetworkInterface,
    privateIp: string,
    change: Partial<PrivateAddress>,
  ): void {
    const addresses = eni.addresses.map((at) =>
      at.privateIp === privateIp ? { ...at, ...change } : at,
    );
    this.putInterface({ ...eni, addresses });
  }

  /** Puts the address onto the private address, whatever either had before. */
  link(address: Address, target: NetworkInterface, privateIp: string): string {
    const loser = address.association?.instanceId;
    this.unlink(address);
    // The target's previous Elastic IP is pushed off and stays allocated.
    const displaced = this.interface(target.networkInterfaceId).addresses.find(
      (at) => at.privateIp === privateIp,
    );
    if (displaced?.allocationId !== undefined) this.unlink(this.address(displaced.allocationId));
    // An assigned public IPv4 of the target is released and never comes back.
    const eni = this.interface(target.networkInterfaceId);
    this.#changeAddressOf(eni, privateIp, {
      allocationId: address.allocationId,
      autoPublicIp: undefined,
    });
    const associationId = this.ids.next("eipassoc");
    this.putAddress({
      ...address,
      association: {
        associationId,
        networkInterfaceId: eni.networkInterfaceId,
        networkInterfaceOwnerId: eni.ownerId,
        privateIp,
        instanceId: eni.instanceId,
      },
    });
    if (loser !== undefined) this.assignAutoPublicIp(loser);
    return associationId;
  }

  /** Takes the address off whatever holds it; the loser gets a public address of its own if it has a right to one. */
  disassociate(allocationId: string): void {
    const loser = this.holder(allocationId)?.instanceId;
    this.unlink(this.address(allocationId));
    if (loser !== undefined) this.assignAutoPublicIp(loser);
  }

  /** Takes the address off whatever it is on; the loser has no public address then. */
  unlink(address: Address): void {
    const held = address.association;
    if (held === undefined) return;
    this.putAddress({ ...address, association: undefined });
    const eni = this.findInterface(held.networkInterfaceId);
    if (eni === undefined) return;
    this.#changeAddressOf(eni, held.privateIp, { allocationId: undefined });
  }

  /**
   * A running instance that was launched with a public IPv4 and has lost its Elastic IP gets a new one,
   * "except if" it has several interfaces or an Elastic IP on a secondary private address.
   */
  assignAutoPublicIp(instanceId: string): void {
    const instance = this.records.instance(instanceId);
    if (instance === undefined || !instance.autoPublicIp) return;
    if (instance.state !== "running" && instance.state !== "pending") return;
    const [eni, ...others] = instance.interfaces;
    const primary = eni?.addresses[0];
    if (eni === undefined || primary === undefined || others.length > 0) return;
    if (
      primary.autoPublicIp !== undefined ||
      eni.addresses.some((at) => at.allocationId !== undefined)
    )
      return;
    this.#changeAddressOf(eni, primary.privateIp, { autoPublicIp: this.ids.publicIp() });
  }

  /** An assigned public IPv4 does not survive a stop. */
  releaseAutoPublicIp(instanceId: string): void {
    for (const eni of this.instance(instanceId).interfaces) {
      const addresses = eni.addresses.map((at) => ({ ...at, autoPublicIp: undefined }));
      this.putInterface({ ...eni, addresses });
    }
  }

  /** The interfaces go with the instance and their addresses become free; those attached later survive with theirs. */
  dropInterfaces(instance: Instance): void {
    for (const eni of instance.interfaces) {
      if (eni.deleteOnTermination) {
        for (const at of eni.addresses)
          if (at.allocationId !== undefined) this.unlink(this.address(at.allocationId));
        this.#hostOf.delete(eni.networkInterfaceId);
      } else {
        this.detach(eni.networkInterfaceId);
      }
    }
    this.putInstance({ ...this.instance(instance.instanceId), interfaces: [] });
  }

  /** Removes the instance for good; addresses that it keeps go on naming it. */
  removeInstance(instanceId: string): void {
    for (const eni of this.instance(instanceId).interfaces)
      this.#hostOf.delete(eni.networkInterfaceId);
    this.records.putInstance(instanceId, undefined);
  }

  #renameHolder(eni: NetworkInterface, instanceId: string | undefined): void {
    for (const { allocationId } of eni.addresses) {
      if (allocationId === undefined) continue;
      const address = this.address(allocationId);
      if (address.association === undefined) continue;
      this.putAddress({ ...address, association: { ...address.association, instanceId } });
    }
  }
}

/** The record, or an error that a test can read. */
export function found<T>(record: T | undefined, id: string): T {
  if (record === undefined) throw new Error(`the simulated region has no ${id}`);
  return record;
}
