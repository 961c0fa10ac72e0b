/** What the agent asks of EC2, put together from the calls of ec2-api.ts: wire shapes in, core types out. */
import type { Address, Instance } from "@aws-sdk/client-ec2";
import { EXIT, Failure } from "../core/failure.ts";
import { isAllocationId, isInstanceId, isInterfaceId, isIpv4, isZone } from "../core/ids.ts";
import { isAt } from "../core/decide.ts";
import { isFor, isFree } from "../core/pool.ts";
import type {
  Elastic,
  Holder,
  HolderInstance,
  InstanceState,
  Look,
  Place,
  Self,
  View,
  Wanted,
} from "../core/view.ts";

/** The calls of the EC2 API that are made, each one request. They throw Failures. */
export interface Ec2Api {
  /** For messages: `ec2.us-east-1.amazonaws.com`. */
  readonly host: string;
  describeAddresses(filter: string, values: readonly string[]): Promise<Address[]>;
  describeInstances(
    filter: string,
    values: readonly string[],
  ): Promise<{ instance: Instance; ownerId?: string }[]>;
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
export function ec2Over(api: Ec2Api, self: Self, denied: Set<string>) {
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
    views: readonly View[],
    owners: ReadonlyMap<string, string>,
  ): Promise<View[]> {
    const ids = views.flatMap(({ holder }) =>
      holder.kind === "instance" && holder.instanceId !== self.instanceId
        ? [holder.instanceId]
        : [],
    );
    if (ids.length === 0) return [...views];
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
    return views.map((view): View => {
      const { holder } = view;
      if (holder.kind !== "instance" || holder.instanceId === self.instanceId) return view;
      const row = found.get(holder.instanceId);
      const owner = owners.get(view.allocationId);
      if (
        row === undefined &&
        owner !== undefined &&
        me?.ownerId !== undefined &&
        owner !== me.ownerId
      ) {
        return {
          ...view,
          holder: { kind: "other", what: `${holder.instanceId} of account ${owner}` },
        };
      }
      const launchedAt = row?.instance.LaunchTime?.getTime();
      return {
        ...view,
        ...(selfLaunchedAt !== undefined && { selfLaunchedAt }),
        holder: {
          ...holder,
          state: (row?.instance.State?.Name as InstanceState | undefined) ?? "unknown",
          ...(launchedAt !== undefined && { launchedAt }),
        },
      };
    });
  }

  async function lookAtAddress(
    allocationId: string,
    here: Place,
    former: { wanted: string; former: string } | undefined,
  ): Promise<Look> {
    const rows =
      former === undefined
        ? await describeAddresses("allocation-id", [allocationId])
        : await describeAddresses("public-ip", [former.wanted, former.former]);
    if (rows !== undefined) {
      const row = rows.find(({ AllocationId }) => AllocationId === allocationId);
      if (row === undefined) throw unknownAllocation(allocationId);
      const displaced =
        former && elasticIn(rows, former.former, (one) => !one.AssociationId || isOn(one, here));
      return {
        views: await withStates([viewOf(row)], ownersOf([row])),
        direct: true,
        ...(displaced && { displaced }),
      };
    }

    const [holder] = await api.describeInstances(
      "network-interface.addresses.association.allocation-id",
      [allocationId],
    );
    const instanceId = checked("an instance id", holder?.instance.InstanceId, isInstanceId);
    if (holder === undefined || instanceId === undefined) {
      return { views: [{ allocationId, holder: { kind: "nobody" } }], direct: false };
    }
    const view: View = { allocationId, ...heldBy(instanceId, holder.instance, here) };
    return { views: await withStates([view], new Map()), direct: false };
  }

  async function lookAtPool(key: string, value: string): Promise<Look> {
    const rows = await describeAddresses(`tag:${key}`, [value]);
    if (rows === undefined) {
      throw new Failure("denied", {
        request: `ec2:DescribeAddresses at ${api.host}`,
        why: "not allowed: ec2:DescribeAddresses, and without it the addresses of a pool cannot be found",
        cure: "allow ec2:DescribeAddresses on * in the policy of the instance role",
        code: "UnauthorizedOperation",
      });
    }
    const views = rows.map(viewOf);
    const isOwn = ({ holder }: View) =>
      holder.kind === "instance" && holder.instanceId === self.instanceId;
    // Who holds the others matters only when there is nothing else to be had.
    const enough = views.some((view) => isOwn(view) || (isFree(view) && isFor(view, self.zone)));
    return { views: enough ? views : await withStates(views, ownersOf(rows)), direct: true };
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

    look: (
      wanted: Wanted,
      here: Place,
      former?: { wanted: string; former: string },
    ): Promise<Look> =>
      wanted.kind === "pool"
        ? lookAtPool(wanted.key, wanted.value)
        : lookAtAddress(wanted.allocationId, here, former),

    async present(here: Place & { publicIp: string }): Promise<Elastic | undefined> {
      const { publicIp } = here;
      const rows = await describeAddresses("public-ip", [publicIp]);
      if (rows !== undefined) {
        return elasticIn(rows, publicIp, (row) => isOn(row, here));
      }
      const [row] = await api.describeInstances("instance-id", [self.instanceId]);
      const isThere = elasticPlaces(row?.instance ?? {}).some((one) => one.publicIp === publicIp);
      return isThere ? { publicIp } : undefined;
    },

    associate: (allocationId: string, here: Place, reassociate: boolean): Promise<void> =>
      api.associateAddress(association(allocationId, here, reassociate)),

    release: (associationId: string): Promise<void> => api.disassociateAddress(associationId),

    close: () => api.close(),
  };
}

/** The request that puts the address in its place. */
export function association(allocationId: string, here: Place, reassociate: boolean) {
  return {
    allocationId,
    ...(here.onlyInterface
      ? { instanceId: here.instanceId }
      : { networkInterfaceId: here.interfaceId }),
    ...(!here.primaryIp && { privateIpAddress: here.privateIp }),
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

function viewOf(row: Address): View {
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
): Elastic | undefined {
  const row = rows.find((one) => one.PublicIp === publicIp && fits(one));
  return row && { publicIp, ...(row.AllocationId && { allocationId: row.AllocationId }) };
}

function isOn({ NetworkInterfaceId, PrivateIpAddress }: Address, here: Place): boolean {
  return NetworkInterfaceId === here.interfaceId && PrivateIpAddress === here.privateIp;
}

interface ElasticPlace {
  readonly interfaceId: string;
  readonly privateIp: string;
  readonly publicIp: string;
}

/** Where this instance carries Elastic IPs, as DescribeInstances tells. */
function elasticPlaces({ NetworkInterfaces = [] }: Instance): ElasticPlace[] {
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
  instance: Instance,
  here: Place,
): Pick<View, "publicIp" | "elasticHere"> & { holder: HolderInstance } {
  const holder = { kind: "instance", state: "running", instanceId } as const;
  const places = elasticPlaces(instance);
  const [only, ...more] = places;
  if (only !== undefined && more.length === 0) {
    const { publicIp, ...place } = only;
    return { publicIp, holder: { ...holder, ...place } };
  }
  const own = places.find((place) => isAt(here, { ...holder, ...place }));
  return { holder, ...(own && { elasticHere: own.publicIp }) };
}
