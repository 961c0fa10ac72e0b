/** Builds the world a region starts from: valid by default, so that a test says only what is special about its own. */

import {
  borderGroupOf,
  makeAddress,
  makeGroup,
  makeInstance,
  makeInterface,
  millis,
} from "./build.ts";
import type {
  AddressSpec,
  HookSpec,
  InstanceSpec,
  InterfaceSpec,
  Moment,
  Surroundings,
} from "./build.ts";
import { FULL_ROLE, OLD_ROLE } from "./iam.ts";
import type { PolicyDocument } from "./iam.ts";
import { Ids } from "./ids.ts";
import type {
  Address,
  Group,
  Instance,
  Manager,
  NetworkInterface,
  Settings,
  Subnet,
  WorldData,
} from "./model.ts";

/** Launch times start here; each instance is launched an hour after the one built before it. */
const FIRST_LAUNCH = Date.UTC(2026, 0, 1);
const HOUR = 3_600_000;

export interface WorldSpec {
  readonly region?: string;
  readonly account?: string;
  readonly partition?: string;
  /** Default: the region's a, b and c. The network border group of a Local Zone follows from its name. */
  readonly zones?: readonly string[];
  readonly internetGateway?: boolean;
  /** Account that the VPC belongs to and that shares its subnets. Default: the region's. */
  readonly vpcOwner?: string;
  readonly settings?: Partial<Settings>;
}

/** An instance as a test uses it: the whole record, and its first interface's ids within reach. */
export type BuiltInstance = Instance & {
  readonly networkInterfaceId: string;
  readonly mac: string;
  readonly privateIp: string;
};

/** A world of one VPC with an internet gateway: region us-east-1, account 111122223333. */
export function aWorld(spec: WorldSpec = {}): World {
  return new World(spec);
}

export class World {
  readonly data: WorldData;
  readonly #around: Surroundings;

  constructor(spec: WorldSpec = {}) {
    const region = spec.region ?? "us-east-1";
    const ids = new Ids({ ids: 0, publicIps: 0, privateIps: 0 });
    const vpcId = ids.next("vpc");
    const subnets: Subnet[] = [];
    const subnetIn = (zone: string): Subnet => {
      let subnet = subnets.find((one) => one.zone === zone);
      if (subnet === undefined) {
        subnet = {
          subnetId: ids.next("subnet"),
          vpcId,
          zone,
          networkBorderGroup: borderGroupOf(region, zone),
        };
        subnets.push(subnet);
      }
      return subnet;
    };
    for (const zone of spec.zones ?? ["a", "b", "c"].map((letter) => region + letter))
      subnetIn(zone);
    const account = spec.account ?? "111122223333";
    this.#around = { region, account, ids, subnetIn };
    this.data = {
      region,
      account,
      partition: spec.partition ?? partitionOf(region),
      vpcs: [
        {
          vpcId,
          ownerId: spec.vpcOwner ?? account,
          internetGateway: spec.internetGateway ?? true,
        },
      ],
      subnets,
      roles: [
        { name: "full", grants: [{ policy: FULL_ROLE }] },
        { name: "old", grants: [{ policy: OLD_ROLE }] },
      ],
      instances: [],
      interfaces: [],
      addresses: [],
      groups: [],
      settings: { ...spec.settings },
      serials: ids.serials,
    };
  }

  /** The id of the world's VPC. */
  get vpcId(): string {
    return this.data.vpcs[0]?.vpcId ?? "";
  }

  /** Adds an Elastic IP address, free. */
  address(spec: AddressSpec = {}): Address {
    const address = makeAddress(spec, this.#around);
    refuseTwice(
      this.data.addresses.some((other) => other.allocationId === address.allocationId),
      address.allocationId,
    );
    this.data.addresses.push(address);
    return address;
  }

  /** Adds an instance, running. */
  instance(spec: InstanceSpec = {}): BuiltInstance {
    const launchTime = FIRST_LAUNCH + this.data.instances.length * HOUR;
    const instance = makeInstance(spec, { state: "running", launchTime }, this.#around);
    refuseTwice(
      this.data.instances.some((other) => other.instanceId === instance.instanceId),
      instance.instanceId,
    );
    if (
      instance.role !== undefined &&
      !this.data.roles.some((role) => role.name === instance.role)
    ) {
      throw new Error(`there is no role ${instance.role}: make it first, with world.role()`);
    }
    if (
      instance.group !== undefined &&
      !this.data.groups.some((group) => group.name === instance.group)
    ) {
      throw new Error(`there is no group ${instance.group}: make it first, with world.group()`);
    }
    this.data.instances.push(instance);
    const eni = instance.interfaces[0];
    return {
      ...instance,
      networkInterfaceId: eni?.networkInterfaceId ?? "",
      mac: eni?.mac ?? "",
      privateIp: eni?.addresses[0]?.privateIp ?? "",
    };
  }

  /** Adds an Auto Scaling group with lifecycle hooks. */
  group(name: string, ...hooks: HookSpec[]): Group {
    const group = makeGroup(name, hooks);
    refuseTwice(
      this.data.groups.some((other) => other.name === name),
      name,
    );
    this.data.groups.push(group);
    return group;
  }

  /** Adds a network interface that is on no instance. */
  interface(spec: InterfaceSpec = {}): NetworkInterface {
    const eni = makeInterface(spec, {}, this.#around);
    this.data.interfaces.push(eni);
    return eni;
  }

  /** Adds a role, or says anew what one may do. */
  role(
    name: string,
    policy: PolicyDocument,
    times: { from?: Moment; until?: Moment } = {},
  ): string {
    const at = (moment: Moment | undefined): number | undefined =>
      moment === undefined ? undefined : millis(moment);
    const grant = { policy, from: at(times.from), until: at(times.until) };
    this.data.roles = [
      ...this.data.roles.filter((role) => role.name !== name),
      { name, grants: [grant] },
    ];
    return name;
  }

  /**
   * The address is associated from the start: with an instance (its primary private address, unless one is named) or
   * with an interface.
   */
  hold(
    address: Pick<Address, "allocationId">,
    holder: Pick<Instance, "instanceId"> | Pick<NetworkInterface, "networkInterfaceId">,
    privateIp?: string,
  ): void {
    const { instances, interfaces } = this.data;
    // Both an instance as built and an attached interface have both ids; only the instance has interfaces.
    const enis =
      "networkInterfaceId" in holder && !("interfaces" in holder)
        ? [...interfaces, ...instances.flatMap((one) => one.interfaces)].filter(
            (eni) => eni.networkInterfaceId === holder.networkInterfaceId,
          )
        : (instances.find((one) => "instanceId" in holder && one.instanceId === holder.instanceId)
            ?.interfaces ?? []);
    const wanted = privateIp ?? enis[0]?.addresses[0]?.privateIp;
    const eni = enis.find((one) => one.addresses.some((at) => at.privateIp === wanted));
    if (eni === undefined || wanted === undefined) throw new Error("the world has no such holder");
    this.#associate(address.allocationId, eni, wanted);
  }

  /** The address is held by something that is no instance of this account. */
  holdByService(address: Pick<Address, "allocationId">, manager: Manager): NetworkInterface {
    const ownerId = manager === "other-account" ? "999988887777" : this.data.account;
    const eni = makeInterface({}, { manager, ownerId }, this.#around);
    this.data.interfaces.push(eni);
    this.#associate(address.allocationId, eni, eni.addresses[0]?.privateIp ?? "");
    return eni;
  }

  /**
   * The address is held by an interface that is on no instance (any more): what is left of an instance that was
   * terminated, when the interface was attached after the launch.
   */
  holdByOrphan(address: Pick<Address, "allocationId">, spec: InterfaceSpec = {}): NetworkInterface {
    const eni = this.interface(spec);
    this.hold(address, eni);
    return eni;
  }

  #associate(allocationId: string, eni: NetworkInterface, privateIp: string): void {
    const { data } = this;
    const index = data.addresses.findIndex((one) => one.allocationId === allocationId);
    const address = data.addresses[index];
    if (address === undefined) throw new Error(`the world has no address ${allocationId}`);
    if (address.association !== undefined) throw new Error(`${allocationId} is held already`);
    if (eni.addresses.some((at) => at.privateIp === privateIp && at.allocationId !== undefined)) {
      throw new Error(`${privateIp} holds another address already`);
    }
    data.addresses[index] = {
      ...address,
      association: {
        associationId: this.#around.ids.next("eipassoc"),
        networkInterfaceId: eni.networkInterfaceId,
        networkInterfaceOwnerId: eni.ownerId,
        privateIp,
        instanceId: eni.instanceId,
      },
    };
    const changed: NetworkInterface = {
      ...eni,
      addresses: eni.addresses.map((at) =>
        at.privateIp === privateIp ? { ...at, allocationId, autoPublicIp: undefined } : at,
      ),
    };
    const swap = (list: readonly NetworkInterface[]): NetworkInterface[] =>
      list.map((one) => (one.networkInterfaceId === eni.networkInterfaceId ? changed : one));
    data.interfaces = swap(data.interfaces);
    data.instances = data.instances.map((one) =>
      one.instanceId === eni.instanceId ? { ...one, interfaces: swap(one.interfaces) } : one,
    );
  }
}

/** What a world in a JSON file looks like; what it does not say has the builder's defaults. */
export interface JsonWorld extends WorldSpec {
  readonly roles?: Readonly<Record<string, PolicyDocument>>;
  /** Lifecycle hooks of Auto Scaling groups, by the group's name. */
  readonly groups?: Readonly<Record<string, readonly HookSpec[]>>;
  readonly instances?: readonly InstanceSpec[];
  /** `heldBy`: an instance id, or the place of the instance in `instances`, counted from 0. */
  readonly addresses?: readonly (AddressSpec & { readonly heldBy?: string | number })[];
}

/** The world of a JSON file. */
export function worldFrom(json: JsonWorld): World {
  const world = aWorld(json);
  for (const [name, policy] of Object.entries(json.roles ?? {})) world.role(name, policy);
  for (const [name, hooks] of Object.entries(json.groups ?? {})) world.group(name, ...hooks);
  const instances = (json.instances ?? []).map((spec) => world.instance(spec));
  for (const { heldBy, ...spec } of json.addresses ?? []) {
    const address = world.address(spec);
    if (heldBy === undefined) continue;
    const holder =
      typeof heldBy === "number"
        ? instances[heldBy]
        : instances.find((one) => one.instanceId === heldBy);
    if (holder === undefined) throw new Error(`heldBy: there is no instance ${heldBy}`);
    world.hold(address, holder);
  }
  return world;
}

// --- internal ---

function partitionOf(region: string): string {
  const [, special = ""] = /^(cn|us-gov|us-iso|us-isob|eu-isoe|us-isof|eusc)-/.exec(region) ?? [];
  const letter = /iso(.)$/.exec(special)?.[1];
  if (letter !== undefined) return `aws-iso-${letter}`;
  return special === "" ? "aws" : `aws-${special.replace("us-iso", "iso")}`;
}

function refuseTwice(there: boolean, id: string): void {
  if (there) throw new Error(`the world has ${id} already`);
}
