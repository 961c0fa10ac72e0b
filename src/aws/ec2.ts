/** What the agent asks of EC2, put together from the calls of ec2-api.ts: wire shapes in, core types out. */
import {
  type AddressState,
  type DesiredAddress,
  type ElasticIp,
  type Holder,
  type HolderInstance,
  type InstanceFacts,
  type InstanceState,
  type Observation,
  isAt,
  isFree,
  isHeldBySelf,
  isUsableIn,
} from "../model/address.ts";
import type { Target } from "../model/target.ts";
import type { Question } from "../reconcile/state.ts";
import { GROUP_TAG, type Instance } from "../model/instance.ts";
import type { Address, Instance as Ec2Instance, NetworkInterface } from "@aws-sdk/client-ec2";
import { AWS_CODE, EXIT, Failure } from "../model/failure.ts";
import { isAllocationId, isInstanceId, isInterfaceId, isIpv4, isZone } from "../model/ids.ts";
import { allowing } from "../model/permission.ts";

/** The calls of the EC2 API that are made, each one request. They throw Failures. */
export interface Ec2Api {
  /** For messages: `ec2.us-east-1.amazonaws.com`. */
  readonly host: string;
  describeAddresses(filter: string, values: readonly string[]): Promise<Address[]>;
  /** Those that match a filter, all pages of them. */
  describeInstances(filter: string, values: readonly string[]): Promise<DescribedInstance[]>;
  /** Those of these ids that EC2 knows. */
  describeInstancesById(ids: readonly string[]): Promise<DescribedInstance[]>;
  /** Of the account and of those that it may see; one id that EC2 does not know is a Failure. */
  describeNetworkInterfaces(ids: readonly string[]): Promise<NetworkInterface[]>;
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

export interface DescribedInstance {
  readonly instance: Ec2Instance;
  /** Account that owns it. */
  readonly ownerId?: string;
}

/** Has EC2 failed when it was asked for the holder last? */
export interface Outage {
  isOn: boolean;
}

/** Tag of an address that is reserved for an availability zone. */
const ZONE_TAG = "eip-zone";

/** DescribeInstances is asked about at most so many instances at once: an answer has to come within its limit of time. */
const MAX_IDS = 200;

const STATES: readonly string[] = [
  "pending",
  "running",
  "stopping",
  "stopped",
  "shutting-down",
  "terminated",
] satisfies InstanceState[];

/** Everything is asked, and nothing is known. */
const ALL: Question = { needsStates: true, known: {}, alongside: [] };

/**
 * EC2 for one instance over one connection.
 *
 * @param denied what the role turned out not to allow in this try; shared by its connections
 * @param outage whether EC2 has failed to tell of instances; shared by the tries of a run
 */
export function ec2Over(
  api: Ec2Api,
  self: Instance,
  denied: Set<string>,
  outage: Outage = { isOn: false },
) {
  /** By DescribeAddresses, or undefined where the role does not allow that. */
  async function describeAddresses(
    filter: string,
    values: readonly string[],
  ): Promise<Address[] | undefined> {
    if (denied.has("DescribeAddresses")) return undefined;
    try {
      return await api.describeAddresses(filter, values);
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== AWS_CODE.unauthorized) throw error;
      denied.add("DescribeAddresses");
      return undefined;
    }
  }

  /**
   * What EC2 tells of these instances and of this one, all from one answer if there are not too many.
   *
   * @throws Failure `unreachable` if the answer lacks this instance: then it proves nothing of others
   */
  async function describe(ids: readonly string[]): Promise<Described> {
    const wanted = [self.instanceId, ...new Set(ids)];
    const rows = new Map<string | undefined, DescribedInstance>();
    const add = (found: readonly DescribedInstance[]) => {
      for (const row of found) rows.set(row.instance.InstanceId, row);
    };
    let isUnanswered = false;
    // Where EC2 has failed, not a zone may be down but all of it: then this instance's own answer comes first, or none.
    if (outage.isOn && wanted.length === 2) {
      add(await api.describeInstancesById([self.instanceId]));
    }
    for (let i = 0; i < wanted.length; i += MAX_IDS) {
      try {
        add(await api.describeInstancesById(wanted.slice(i, i + MAX_IDS)));
        outage.isOn = false;
      } catch (error) {
        // EC2 fails the whole call if it names an instance of a zone that is down (API reference, DescribeInstances).
        const { status = 0 } = error instanceof Failure ? error.details : {};
        if (status < 500 || wanted.length !== 2) throw error;
        const isAlone = outage.isOn;
        outage.isOn = true;
        if (!isAlone) add(await api.describeInstancesById([self.instanceId]));
        isUnanswered = true;
      }
    }
    const own = rows.get(self.instanceId);
    if (own === undefined) throw withoutSelf();
    const group = own.instance.Tags?.find(({ Key }) => Key === GROUP_TAG)?.Value;
    const facts = wanted.map((id) => [
      id,
      isUnanswered && id !== self.instanceId
        ? ({ state: "unanswered" } as const)
        : factsOf(rows.get(id)?.instance),
    ]);
    return {
      instances: Object.fromEntries(facts) as Described["instances"],
      ...(own.ownerId !== undefined && { account: own.ownerId }),
      ...(group && { group }),
    };
  }

  /** The Auto Scaling group of this instance, if EC2 tells: whoever always takes must not wait for that. */
  async function groupFacts(): Promise<Pick<Observation, "instances" | "group">> {
    try {
      const { account: _, ...facts } = await describe([]);
      return facts;
    } catch (error) {
      if (error instanceof Failure) return {};
      throw error;
    }
  }

  /**
   * Interfaces without an instance are told from NAT gateways and load balancers, where the role allows that. Without an
   * answer they stay what they are, and nothing else waits for it.
   */
  async function withInterfaces(
    addresses: readonly AddressState[],
  ): Promise<readonly AddressState[]> {
    const orphans = new Set(addresses.flatMap((address) => orphanOf(address) ?? []));
    const [own] = self.interfaces;
    if (orphans.size === 0 || own === undefined || denied.has("DescribeNetworkInterfaces")) {
      return addresses;
    }
    const ids = [...orphans].slice(0, MAX_IDS);
    let rows: NetworkInterface[];
    try {
      // Our own one tells the account.
      rows = await api.describeNetworkInterfaces([...ids, own.interfaceId]);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (error.code === AWS_CODE.unauthorized) denied.add("DescribeNetworkInterfaces");
      return addresses;
    }
    const account = rows.find((one) => one.NetworkInterfaceId === own.interfaceId)?.OwnerId;
    const available = new Set(
      rows.flatMap(({ NetworkInterfaceId, Status, RequesterManaged, OwnerId }) =>
        Status === "available" && RequesterManaged !== true && account && OwnerId === account
          ? [NetworkInterfaceId]
          : [],
      ),
    );
    return addresses.map((address) => {
      const interfaceId = orphanOf(address);
      return interfaceId !== undefined && available.has(interfaceId)
        ? { ...address, holder: { kind: "interface", interfaceId } }
        : address;
    });
  }

  /** The addresses with what the rule needs to know of their holders. */
  async function withFacts(
    shown: readonly AddressState[],
    owners: ReadonlyMap<string, string>,
    { needsStates, needsGroup, known, alongside }: Question,
    asked?: Promise<Described>,
  ): Promise<Pick<Observation, "addresses" | "instances" | "group">> {
    const addresses = await withInterfaces(shown);
    const holders = addresses.flatMap(({ holder }) =>
      holder.kind === "instance" && holder.instanceId !== self.instanceId
        ? [holder.instanceId]
        : [],
    );
    const isKnown = self.instanceId in known && holders.every((id) => id in known);
    if (holders.length > 0 && needsGroup) return { addresses, ...(await groupFacts()) };
    if (holders.length === 0 || !needsStates) return { addresses };
    if (isKnown) {
      return {
        addresses: addresses.map((one) => withHolderFacts(one, owners, { instances: known }, self)),
      };
    }
    const isAsked = asked !== undefined && holders.every((id) => alongside.includes(id));
    const described = await (isAsked ? asked : describe(holders));
    return {
      addresses: addresses.map((one) => withHolderFacts(one, owners, described, self)),
      instances: described.instances,
      ...(described.group !== undefined && { group: described.group }),
    };
  }

  /** This instance. @throws Failure `unreachable` if the answer lacks it */
  async function describeSelf(): Promise<Ec2Instance> {
    const [row] = await api.describeInstancesById([self.instanceId]);
    if (row === undefined) throw withoutSelf();
    return row.instance;
  }

  function withoutSelf(): Failure {
    return new Failure("unreachable", {
      request: `ec2:DescribeInstances at ${api.host}`,
      why: `an answer in which ${self.instanceId} itself is missing`,
    });
  }

  async function observeAddress(
    allocationId: string,
    target: Target,
    question: Question,
  ): Promise<Observation> {
    const { displaced, alongside } = question;
    // DescribeInstances tells of the holder by itself where it is what is asked for the address.
    const isTold = denied.has("DescribeAddresses") && self.instanceId in question.known;
    const asked = alongside.length > 0 && !isTold ? describe(alongside) : undefined;
    // Whoever waits for it hears of it; nobody has to.
    asked?.catch(() => {});
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
        ...(await withFacts([addressOf(row)], ownersOf([row]), question, asked)),
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
    const known = { ...question.known, [instanceId]: factsOf(holder.instance) };
    return {
      ...(await withFacts([address], new Map(), { ...question, known }, asked)),
      direct: false,
    };
  }

  async function observePool(key: string, value: string, question: Question): Promise<Observation> {
    const found = await describeAddresses(`tag:${key}`, [value]);
    if (found === undefined) {
      throw new Failure("denied", {
        request: `ec2:DescribeAddresses at ${api.host}`,
        why: "not allowed: ec2:DescribeAddresses, and without it the addresses of a pool cannot be found",
        remedy: allowing("ec2:DescribeAddresses"),
        code: AWS_CODE.unauthorized,
      });
    }
    // EC2 takes * and ? in the value of a filter for any characters.
    const rows = found.filter(({ Tags = [] }) =>
      Tags.some((tag) => tag.Key === key && tag.Value === value),
    );
    const addresses = rows.map(addressOf);
    // Who holds the others matters only when there is nothing else to be had.
    const enough = addresses.some(
      (address) =>
        isHeldBySelf(address, self) || (isFree(address) && isUsableIn(address, self.zone)),
    );
    const facts = enough ? { addresses } : await withFacts(addresses, ownersOf(rows), question);
    return { ...facts, direct: true };
  }

  function unknownAllocation(allocationId: string): Failure {
    return new Failure("not-yet", {
      request: `ec2:DescribeAddresses at ${api.host}`,
      why: `no address ${allocationId} in ${self.region}`,
      remedy: "is it released, in another region or in another account?",
      code: AWS_CODE.unknownAllocation,
      permanentStatus: EXIT.CONFIG,
    });
  }

  return {
    async tags(): Promise<Readonly<Record<string, string>>> {
      const { Tags = [] } = await describeSelf();
      return Object.fromEntries(Tags.map(({ Key = "", Value = "" }) => [Key, Value.trim()]));
    },

    async pools(key: string): Promise<Readonly<Record<string, number>>> {
      const values = ((await describeAddresses("tag-key", [key])) ?? []).flatMap(({ Tags = [] }) =>
        // EC2 takes * and ? for any characters.
        Tags.flatMap((tag) => (tag.Key === key && tag.Value ? [tag.Value] : [])),
      );
      return Object.fromEntries(
        [...new Set(values)].map((value) => [value, values.filter((one) => one === value).length]),
      );
    },

    observe: (
      desired: DesiredAddress,
      target: Target,
      question: Question = ALL,
    ): Promise<Observation> =>
      desired.kind === "pool"
        ? observePool(desired.key, desired.value, question)
        : observeAddress(desired.allocationId, target, question),

    async elasticIpAt(target: Target & { publicIp: string }): Promise<ElasticIp | undefined> {
      const { publicIp } = target;
      const rows = await describeAddresses("public-ip", [publicIp]);
      if (rows !== undefined) {
        return elasticIn(rows, publicIp, (row) => isOn(row, target));
      }
      const places = elasticPlaces(await describeSelf());
      const isThere = places.some((one) => one.publicIp === publicIp);
      return isThere ? { publicIp } : undefined;
    },

    associate: (allocationId: string, target: Target, reassociate: boolean): Promise<void> =>
      api.associateAddress(association(allocationId, target, reassociate)),

    release: (associationId: string): Promise<void> => api.disassociateAddress(associationId),

    close: () => api.close(),
  };
}

/** What EC2 tells of instances, and the account of this one. */
interface Described {
  readonly instances: Readonly<Record<string, InstanceFacts>>;
  readonly account?: string;
  readonly group?: string;
}

function factsOf(row: Ec2Instance | undefined): InstanceFacts {
  if (row === undefined) return { state: "unknown" };
  const name = row.State?.Name ?? "";
  const launchedAt = row.LaunchTime?.getTime();
  return {
    state: STATES.includes(name) ? (name as InstanceState) : "unrecognized",
    ...(launchedAt !== undefined && { launchedAt }),
  };
}

/** The address with what is known of its holder; one that EC2 does not know may be of another account. */
function withHolderFacts(
  address: AddressState,
  owners: ReadonlyMap<string, string>,
  { instances, account }: Described,
  self: Instance,
): AddressState {
  const { holder } = address;
  if (holder.kind !== "instance" || holder.instanceId === self.instanceId) return address;
  const facts = instances[holder.instanceId] ?? { state: "unknown" };
  const owner = owners.get(address.allocationId);
  if (facts.state === "unknown" && owner && account && owner !== account) {
    const what = `${holder.instanceId} of account ${owner}`;
    return { ...address, holder: { kind: "other", what } };
  }
  const selfLaunchedAt = instances[self.instanceId]?.launchedAt;
  return {
    ...address,
    ...(selfLaunchedAt !== undefined && { selfLaunchedAt }),
    holder: { ...holder, ...facts },
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
  // In Wavelength Zones and on Outposts an address is the carrier's or the customer's own.
  const shown = row.PublicIp ?? row.CarrierIp ?? row.CustomerOwnedIp;
  const publicIp = checked("an address", shown, isIpv4);
  const borderGroup = checked("a border group", row.NetworkBorderGroup, isZone);
  return {
    allocationId: checked("an allocation id", row.AllocationId, isAllocationId) ?? "",
    ...(publicIp !== undefined && { publicIp }),
    ...(publicIp !== undefined && !row.PublicIp && { isForeign: true }),
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
      what: `an interface managed by ${ServiceManaged}${NetworkInterfaceId ? `, ${NetworkInterfaceId}` : ""}`,
    };
  }
  if (InstanceId) {
    return {
      kind: "instance",
      instanceId: InstanceId,
      ...(NetworkInterfaceId && { interfaceId: NetworkInterfaceId }),
      ...(PrivateIpAddress && { privateIp: PrivateIpAddress }),
      ...(AssociationId && { associationId: AssociationId }),
    };
  }
  if (AssociationId || NetworkInterfaceId) {
    return {
      kind: "other",
      what: `an interface that belongs to no instance, ${NetworkInterfaceId ?? AssociationId} (a NAT gateway, a load balancer or a detached interface)`,
      isOrphan: true,
      ...(NetworkInterfaceId && { interfaceId: NetworkInterfaceId }),
    };
  }
  return { kind: "nobody" };
}

/** The interface that belongs to no instance, if one has the address. */
function orphanOf({ holder }: AddressState): string | undefined {
  return holder.kind === "other" && holder.isOrphan === true ? holder.interfaceId : undefined;
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
  const holder = { kind: "instance", instanceId } as const;
  const places = elasticPlaces(instance);
  const [only, ...more] = places;
  if (only !== undefined && more.length === 0) {
    const { publicIp, ...place } = only;
    return { publicIp, holder: { ...holder, ...place } };
  }
  const own = places.find((place) => isAt(target, { ...holder, ...place }));
  return { holder, ...(own && { elasticIpHere: own.publicIp }) };
}
