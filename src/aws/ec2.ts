/** What the agent asks of EC2, put together from the calls of ec2-api.ts: wire shapes in, core types out. */
import {
  type AddressState,
  type DesiredAddress,
  type ElasticIp,
  type Holder,
  type HolderInstance,
  type InstanceState,
  type Observation,
  isAt,
  isFree,
  isOwn,
  isUsableIn,
} from "../model/address.ts";
import type { Target } from "../model/target.ts";
import type { Instance } from "../model/instance.ts";
import type { Address, Instance as Ec2Instance } from "@aws-sdk/client-ec2";
import { EXIT, Failure } from "../model/failure.ts";
import { isAllocationId, isInstanceId, isInterfaceId, isIpv4, isZone } from "../model/ids.ts";

/** The calls of the EC2 API that are made, each one request. They throw Failures. */
export interface Ec2Api {
  /** For messages: `ec2.us-east-1.amazonaws.com`. */
  readonly host: string;
  describeAddresses(filter: string, values: readonly string[]): Promise<Address[]>;
  describeInstances(
    filter: string,
    values: readonly string[],
  ): Promise<{ instance: Ec2Instance; ownerId?: string }[]>;
  associateAddress(input: {
    allocationId: string;
    instanceId?: string;
    networkInterfaceId?: string;
    privateIpAddress?: string;
    allowReassociation: boolean;
  }): Promise<void>;
  disassociateAddress(associationId: string): Promise<void>;
  close(): void;
}

/** Tag of an address that is reserved for an availability zone. */
const ZONE_TAG = "eip-zone";

/** DescribeInstances takes at most this many values in a filter. */
const MOST_VALUES = 200;

/**
 * EC2 for one instance over one connection.
 *
 * @param denied what the role turned out not to allow in this try; shared by its connections
 */
export function ec2Over(api: Ec2Api, self: Instance, denied: Set<string>) {
  /** By DescribeAddresses, or undefined where the role does not allow that. */
  async function describeAddresses(
    filter: string,
    values: readonly string[],
  ): Promise<Address[] | undefined> {
    if (denied.has("DescribeAddresses")) return undefined;
    try {
      return await api.describeAddresses(filter, values);
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== "UnauthorizedOperation") throw error;
      denied.add("DescribeAddresses");
      return undefined;
    }
  }

  /** Fills in what only DescribeInstances knows of holders: state, and both launch times from one answer. */
  async function withStates(
    addresses: readonly AddressState[],
    owners: ReadonlyMap<string, string>,
  ): Promise<AddressState[]> {
    const ids = addresses.flatMap(({ holder }) =>
      holder.kind === "instance" && holder.instanceId !== self.instanceId
        ? [holder.instanceId]
        : [],
    );
    if (ids.length === 0) return [...addresses];
    const values = [self.instanceId, ...new Set(ids)];
    const found = new Map<
      string | undefined,
      Awaited<ReturnType<Ec2Api["describeInstances"]>>[number]
    >();
    // One address is a single question: both launch times are from the same answer.
    for (let i = 0; i < values.length; i += MOST_VALUES) {
      const some = values.slice(i, i + MOST_VALUES);
      for (const row of await api.describeInstances("instance-id", some)) {
        found.set(row.instance.InstanceId, row);
      }
    }
    const me = found.get(self.instanceId);
    const selfLaunchedAt = me?.instance.LaunchTime?.getTime();
    return addresses.map((address): AddressState => {
      const { holder } = address;
      if (holder.kind !== "instance" || holder.instanceId === self.instanceId) return address;
      const row = found.get(holder.instanceId);
      const owner = owners.get(address.allocationId);
      if (
        row === undefined &&
        owner !== undefined &&
        me?.ownerId !== undefined &&
        owner !== me.ownerId
      ) {
        return {
          ...address,
          holder: { kind: "other", what: `${holder.instanceId} of account ${owner}` },
        };
      }
      const launchedAt = row?.instance.LaunchTime?.getTime();
      return {
        ...address,
        ...(selfLaunchedAt !== undefined && { selfLaunchedAt }),
        holder: {
          ...holder,
          state: (row?.instance.State?.Name as InstanceState | undefined) ?? "unknown",
          ...(launchedAt !== undefined && { launchedAt }),
        },
      };
    });
  }

  async function observeAddress(
    allocationId: string,
    target: Target,
    displaced: { publicIp: string; by: string } | undefined,
  ): Promise<Observation> {
    const rows =
      displaced === undefined
        ? await describeAddresses("allocation-id", [allocationId])
        : await describeAddresses("public-ip", [displaced.by, displaced.publicIp]);
    if (rows !== undefined) {
      const row = rows.find(({ AllocationId }) => AllocationId === allocationId);
      if (row === undefined) throw unknownAllocation(allocationId);
      const elasticIp =
        displaced &&
        elasticIn(rows, displaced.publicIp, (one) => !one.AssociationId || isOn(one, target));
      return {
        addresses: await withStates([addressOf(row)], ownersOf([row])),
        direct: true,
        ...(elasticIp && { displaced: elasticIp }),
      };
    }

    const [holder] = await api.describeInstances(
      "network-interface.addresses.association.allocation-id",
      [allocationId],
    );
    const instanceId = checked("an instance id", holder?.instance.InstanceId, isInstanceId);
    if (holder === undefined || instanceId === undefined) {
      return { addresses: [{ allocationId, holder: { kind: "nobody" } }], direct: false };
    }
    const address = { allocationId, ...heldBy(instanceId, holder.instance, target) };
    return { addresses: await withStates([address], new Map()), direct: false };
  }

  async function observePool(key: string, value: string): Promise<Observation> {
    const rows = await describeAddresses(`tag:${key}`, [value]);
    if (rows === undefined) {
      throw new Failure("denied", {
        request: `ec2:DescribeAddresses at ${api.host}`,
        why: "not allowed: ec2:DescribeAddresses, and without it the addresses of a pool cannot be found",
        cure: "allow ec2:DescribeAddresses on * in the policy of the instance role",
        code: "UnauthorizedOperation",
      });
    }
    const addresses = rows.map(addressOf);
    // Who holds the others matters only when there is nothing else to be had.
    const enough = addresses.some(
      (address) => isOwn(address, self) || (isFree(address) && isUsableIn(address, self.zone)),
    );
    return {
      addresses: enough ? addresses : await withStates(addresses, ownersOf(rows)),
      direct: true,
    };
  }

  function unknownAllocation(allocationId: string): Failure {
    return new Failure("not-yet", {
      request: `ec2:DescribeAddresses at ${api.host}`,
      why: `EC2 does not know ${allocationId} in ${self.region}`,
      cure: "is it released, in another region or in another account?",
      code: "InvalidAllocationID.NotFound",
      meaning: EXIT.CONFIG,
    });
  }

  return {
    async tags(): Promise<Readonly<Record<string, string>>> {
      const [row] = await api.describeInstances("instance-id", [self.instanceId]);
      return Object.fromEntries(
        (row?.instance.Tags ?? []).map(({ Key = "", Value = "" }) => [Key, Value.trim()]),
      );
    },

    observe: (
      desired: DesiredAddress,
      target: Target,
      displaced?: { publicIp: string; by: string },
    ): Promise<Observation> =>
      desired.kind === "pool"
        ? observePool(desired.key, desired.value)
        : observeAddress(desired.allocationId, target, displaced),

    async elasticIpAt(target: Target & { publicIp: string }): Promise<ElasticIp | undefined> {
      const { publicIp } = target;
      const rows = await describeAddresses("public-ip", [publicIp]);
      if (rows !== undefined) {
        return elasticIn(rows, publicIp, (row) => isOn(row, target));
      }
      const [row] = await api.describeInstances("instance-id", [self.instanceId]);
      const isThere = elasticPlaces(row?.instance ?? {}).some((one) => one.publicIp === publicIp);
      return isThere ? { publicIp } : undefined;
    },

    associate: (allocationId: string, target: Target, reassociate: boolean): Promise<void> =>
      api.associateAddress(association(allocationId, target, reassociate)),

    release: (associationId: string): Promise<void> => api.disassociateAddress(associationId),

    close: () => api.close(),
  };
}

/** The request that puts the address in its place. */
export function association(allocationId: string, target: Target, reassociate: boolean) {
  return {
    allocationId,
    ...(target.onlyInterface
      ? { instanceId: target.instanceId }
      : { networkInterfaceId: target.interfaceId }),
    ...(!target.primaryIp && { privateIpAddress: target.privateIp }),
    allowReassociation: reassociate,
  };
}

/** What EC2 says goes into logs and files and into the next request: it has to look like what it is. */
function checked(
  what: string,
  value: string | undefined,
  fits: (text: string) => boolean,
): string | undefined {
  if (!value) return undefined;
  if (fits(value)) return value;
  throw new Failure("unreachable", {
    request: "ec2:Describe…",
    why: `EC2 answered with something else than ${what}: ${JSON.stringify(value.slice(0, 40))}`,
  });
}

function addressOf(row: Address): AddressState {
  const zone = row.Tags?.find(({ Key }) => Key === ZONE_TAG)?.Value?.trim();
  const publicIp = checked("an address", row.PublicIp, isIpv4);
  const borderGroup = checked("a border group", row.NetworkBorderGroup, isZone);
  return {
    allocationId: checked("an allocation id", row.AllocationId, isAllocationId) ?? "",
    ...(publicIp !== undefined && { publicIp }),
    ...(borderGroup !== undefined && { borderGroup }),
    ...(zone && { zone }),
    holder: holderOf(row),
  };
}

/** Who holds the address, as DescribeAddresses tells: by the association, since a NAT gateway has no instance id. */
function holderOf(row: Address): Holder {
  const { AssociationId, ServiceManaged } = row;
  const InstanceId = checked("an instance id", row.InstanceId, isInstanceId);
  const NetworkInterfaceId = checked("an interface id", row.NetworkInterfaceId, isInterfaceId);
  const PrivateIpAddress = checked("an address", row.PrivateIpAddress, isIpv4);
  if (ServiceManaged !== undefined) {
    return {
      kind: "other",
      what: `${NetworkInterfaceId ?? "a service"}, managed by ${ServiceManaged}`,
    };
  }
  if (InstanceId) {
    return {
      kind: "instance",
      instanceId: InstanceId,
      state: "running",
      ...(NetworkInterfaceId && { interfaceId: NetworkInterfaceId }),
      ...(PrivateIpAddress && { privateIp: PrivateIpAddress }),
      ...(AssociationId && { associationId: AssociationId }),
    };
  }
  if (AssociationId || NetworkInterfaceId) {
    return {
      kind: "other",
      what: `${NetworkInterfaceId ?? AssociationId}, which belongs to no instance (a NAT gateway, a load balancer or a detached interface)`,
    };
  }
  return { kind: "nobody" };
}

function ownersOf(rows: readonly Address[]): Map<string, string> {
  return new Map(
    rows.flatMap(({ AllocationId, NetworkInterfaceOwnerId }) =>
      AllocationId && NetworkInterfaceOwnerId ? [[AllocationId, NetworkInterfaceOwnerId]] : [],
    ),
  );
}

/** The Elastic IP with this public address, if it is one. */
function elasticIn(
  rows: readonly Address[],
  publicIp: string,
  fits: (row: Address) => boolean,
): ElasticIp | undefined {
  const row = rows.find((one) => one.PublicIp === publicIp && fits(one));
  return row && { publicIp, ...(row.AllocationId && { allocationId: row.AllocationId }) };
}

function isOn({ NetworkInterfaceId, PrivateIpAddress }: Address, target: Target): boolean {
  return NetworkInterfaceId === target.interfaceId && PrivateIpAddress === target.privateIp;
}

interface ElasticPlace {
  readonly interfaceId: string;
  readonly privateIp: string;
  readonly publicIp: string;
}

/** Where this instance carries Elastic IPs, as DescribeInstances tells. */
function elasticPlaces({ NetworkInterfaces = [] }: Ec2Instance): ElasticPlace[] {
  return NetworkInterfaces.flatMap(({ NetworkInterfaceId, PrivateIpAddresses = [] }) =>
    PrivateIpAddresses.flatMap(({ PrivateIpAddress, Association }) => {
      const interfaceId = checked("an interface id", NetworkInterfaceId, isInterfaceId);
      const privateIp = checked("an address", PrivateIpAddress, isIpv4);
      const publicIp = checked("an address", Association?.PublicIp, isIpv4);
      // An address that EC2 has assigned by itself belongs to "amazon", an Elastic one to its account.
      const isElastic = Association?.IpOwnerId !== "amazon";
      return interfaceId && privateIp && publicIp && isElastic
        ? [{ interfaceId, privateIp, publicIp }]
        : [];
    }),
  );
}

/**
 * The holder as DescribeInstances tells. It does not say which allocation a public address belongs to: with
 * several on the instance the place stays open.
 */
function heldBy(
  instanceId: string,
  instance: Ec2Instance,
  target: Target,
): Pick<AddressState, "publicIp" | "elasticIpHere"> & { holder: HolderInstance } {
  const holder = { kind: "instance", state: "running", instanceId } as const;
  const places = elasticPlaces(instance);
  const [only, ...more] = places;
  if (only !== undefined && more.length === 0) {
    const { publicIp, ...place } = only;
    return { publicIp, holder: { ...holder, ...place } };
  }
  const own = places.find((place) => isAt(target, { ...holder, ...place }));
  return { holder, ...(own && { elasticIpHere: own.publicIp }) };
}
