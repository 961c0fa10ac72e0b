/** What the agent asks of EC2, built from the calls of ec2-api.ts. Translates EC2's types into those of model/. */
import {
  type AddressState,
  type DesiredAddress,
  type ElasticIp,
  type FixedAddress,
  type Holder,
  type HolderInstance,
  type InstanceFacts,
  type InstanceState,
  type Observation,
  type Pool,
  isAt,
  isFree,
  isHeldBySelf,
  isUsableIn,
} from "../model/address.ts";
import type { Target } from "../model/target.ts";
import type { Question } from "../reconcile/state.ts";
import { GROUP_TAG, type Instance } from "../model/instance.ts";
import type { Address, Instance as Ec2Instance, NetworkInterface } from "@aws-sdk/client-ec2";
import { AWS_CODE, Failure } from "../model/failure.ts";
import { isAllocationId, isInstanceId, isInterfaceId, isIpv4, isZone } from "../model/ids.ts";
import { nearest } from "../model/nearest.ts";
import {
  cannotBeFound,
  ELSEWHERE,
  type Filter,
  filterFor,
  filtersFor,
  ipOf,
  isDesired,
  notFound,
  similarIps,
  theOneHere,
} from "./finding.ts";

/** The calls of the EC2 API that are used. They throw Failures. */
export interface Ec2Api {
  /** For messages: `ec2.us-east-1.amazonaws.com`. */
  readonly host: string;
  describeAddresses(filter: string, values: readonly string[]): Promise<Address[]>;
  /** All instances that match a filter, from all pages. */
  describeInstances(filter: string, values: readonly string[]): Promise<DescribedInstance[]>;
  /** The instances with these ids; those that EC2 does not know are missing. */
  describeInstancesById(ids: readonly string[]): Promise<DescribedInstance[]>;
  /** The interfaces with these ids. An id that EC2 does not know is a Failure. */
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
  /** The account that owns it. */
  readonly ownerId?: string;
}

/** Whether EC2 returned an error when it was last asked for a holder. */
export interface Outage {
  isOn: boolean;
}

/** The tag by which an address is reserved for an Availability Zone. */
const ZONE_TAG = "eip-zone";

/** Most ids in one DescribeInstances, so that the answer comes within the timeout. */
const MAX_IDS = 200;

const STATES: readonly string[] = [
  "pending",
  "running",
  "stopping",
  "stopped",
  "shutting-down",
  "terminated",
] satisfies InstanceState[];

/** The question that asks for everything. */
const ALL: Question = { needsStates: true, known: {}, alongside: [] };

/**
 * EC2 for one instance over one connection.
 *
 * @param denied actions that EC2 has denied in this attempt; shared by its connections
 * @param outage shared by the attempts of a run
 * @param hints for public addresses that are not here, the one that is probably meant; shared by the attempts of a run
 */
export function ec2Over(
  api: Ec2Api,
  self: Instance,
  denied: Set<string>,
  outage: Outage = { isOn: false },
  hints = new Map<string, string | undefined>(),
) {
  /** DescribeAddresses; undefined if the role does not allow it. */
  async function describeAddresses(...[filter, values]: Filter): Promise<Address[] | undefined> {
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
   * Describes these instances and this one, all by one request if there are not too many.
   *
   * @throws Failure `unreachable` if this instance is missing in the answer, which then proves nothing about others either
   */
  async function describe(ids: readonly string[]): Promise<Described> {
    const wanted = [self.instanceId, ...new Set(ids)];
    const rows = new Map<string | undefined, DescribedInstance>();
    const add = (found: readonly DescribedInstance[]) => {
      for (const row of found) rows.set(row.instance.InstanceId, row);
    };
    let isUnanswered = false;
    // After an error all of EC2 may be down, not only the holder's zone: EC2 has to answer for this instance first.
    if (outage.isOn && wanted.length === 2) {
      add(await api.describeInstancesById([self.instanceId]));
    }
    for (let i = 0; i < wanted.length; i += MAX_IDS) {
      try {
        add(await api.describeInstancesById(wanted.slice(i, i + MAX_IDS)));
        outage.isOn = false;
      } catch (error) {
        // The whole call fails if it names an instance in a zone that is down (API reference, DescribeInstances).
        const { status = 0 } = error instanceof Failure ? error.details : {};
        if (status < 500 || wanted.length !== 2) throw error;
        const hasAskedForSelf = outage.isOn;
        outage.isOn = true;
        if (!hasAskedForSelf) add(await api.describeInstancesById([self.instanceId]));
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

  /** The Auto Scaling group of this instance, if EC2 answers: with the takeover `always` nothing may wait for that. */
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
   * Finds out which holders are detached interfaces of this account, as opposed to NAT gateways and load balancers, if the
   * role allows that. Without an answer they stay what they are, and the observation does not fail.
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
      // Our own interface shows which account is ours.
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

  /** Adds to the addresses what the rule needs to know about their holders. */
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

  /** Describes this instance. @throws Failure `unreachable` if it is missing in the answer */
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

  /**
   * How many of these addresses this instance holds. DescribeInstances does not show which address is in which place; but if
   * an instance holds as many of these as it has Elastic IPs at all, each of those is one of these.
   */
  async function countHeld(allocationIds: readonly string[]): Promise<number> {
    const holders = await Promise.all(allocationIds.map(holderOfId));
    return holders.filter((row) => row?.instance.InstanceId === self.instanceId).length;
  }

  async function holderOfId(allocationId: string): Promise<DescribedInstance | undefined> {
    const filter = "network-interface.addresses.association.allocation-id";
    const [row] = await api.describeInstances(filter, [allocationId]);
    return row;
  }

  async function observeAddress(
    desired: FixedAddress,
    target: Target,
    question: Question,
  ): Promise<Observation> {
    const { displaced, alongside } = question;
    // Without DescribeAddresses the address is looked up by DescribeInstances, which describes the holder as well.
    const isRedundant = denied.has("DescribeAddresses") && self.instanceId in question.known;
    const asked = alongside.length > 0 && !isRedundant ? describe(alongside) : undefined;
    // A failure is thrown where the answer is awaited, if it is at all.
    asked?.catch(() => {});
    const rows =
      displaced === undefined
        ? await describeAddresses(...filterFor(desired))
        : await describeAddresses("public-ip", [displaced.by, displaced.publicIp]);
    if (rows !== undefined) {
      const found = rows.filter((one) => isDesired(one, desired));
      const [first] = found;
      if (first === undefined) throw await missing(desired, target);
      const { row, alike } =
        desired.kind === "tagged" && found.length > 1
          ? theOneHere(desired, found, self.instanceId, api.host)
          : { row: first };
      const elasticIp =
        displaced &&
        elasticIn(rows, displaced.publicIp, (one) => !one.AssociationId || isOn(one, target));
      return {
        ...(await withFacts([addressOf(row)], ownersOf([row]), question, asked)),
        ...(alike && { alike }),
        direct: true,
        ...(elasticIp && { displaced: elasticIp }),
      };
    }

    if (desired.kind !== "address") throw cannotBeFound(desired.kind, api.host);
    const { allocationId } = desired;
    const holder = await holderOfId(allocationId);
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

  async function observePool(pool: Pool, question: Question): Promise<Observation> {
    const answers = await Promise.all(
      filtersFor(pool).map((filter) => describeAddresses(...filter)),
    );
    const found = answers.flatMap((answer) => {
      if (answer === undefined) throw cannotBeFound("pool", api.host);
      return answer.filter((one) => isDesired(one, pool));
    });
    // An address may be listed by both of its names.
    const rows = [...new Map(found.map((one) => [one.AllocationId, one])).values()];
    const addresses = rows.map(addressOf);
    // The other holders only matter if neither an address of our own nor a free one can be used.
    const enough = addresses.some(
      (address) =>
        isHeldBySelf(address, self) || (isFree(address) && isUsableIn(address, self.zone)),
    );
    const facts = enough ? { addresses } : await withFacts(addresses, ownersOf(rows), question);
    return { ...facts, direct: true };
  }

  /** The failure if EC2 does not show the address. For a public IP it says what is probably meant. */
  async function missing(desired: FixedAddress, { publicIp: own }: Target): Promise<Failure> {
    const fail = (remedy?: string, meant?: string) =>
      notFound(desired, api.host, self.region, remedy, meant);
    if (desired.kind !== "public-ip") return fail();
    const { publicIp } = desired;
    if (publicIp === own) {
      return fail(
        "EC2 has assigned it to this instance by itself, and takes it back: name another",
      );
    }
    const meant = await similarTo(publicIp);
    return fail(meant && `did you mean ${meant}? ${ELSEWHERE}`, meant);
  }

  /** The address that is probably meant. It is asked for once per run, and without an answer there is no hint. */
  async function similarTo(publicIp: string): Promise<string | undefined> {
    if (hints.has(publicIp)) return hints.get(publicIp);
    hints.set(publicIp, undefined);
    try {
      const similar = (await describeAddresses("public-ip", similarIps(publicIp))) ?? [];
      const known = similar.flatMap(({ PublicIp }) =>
        PublicIp !== undefined && isIpv4(PublicIp) ? [PublicIp] : [],
      );
      hints.set(publicIp, nearest(publicIp, known));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
    }
    return hints.get(publicIp);
  }

  return {
    async tags(): Promise<Readonly<Record<string, string>>> {
      const { Tags = [] } = await describeSelf();
      return Object.fromEntries(Tags.map(({ Key = "", Value = "" }) => [Key, Value.trim()]));
    },

    async pools(key: string): Promise<Readonly<Record<string, number>>> {
      const values = ((await describeAddresses("tag-key", [key])) ?? []).flatMap(({ Tags = [] }) =>
        // In filter values * and ? are wildcards, so the keys are compared again.
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
        ? observePool(desired, question)
        : observeAddress(desired, target, question),

    async elasticIpAt(
      target: Target & { publicIp: string },
      own: readonly string[] = [],
    ): Promise<ElasticIp | undefined> {
      const { publicIp } = target;
      const rows = await describeAddresses("public-ip", [publicIp]);
      if (rows !== undefined) {
        return elasticIn(rows, publicIp, (row) => isOn(row, target));
      }
      const look = async (): Promise<ElasticIp | undefined> => {
        const places = elasticPlaces(await describeSelf());
        if (!places.some((one) => one.publicIp === publicIp)) return undefined;
        const isOwn = (await countHeld(own)) === places.length;
        return { publicIp, ...(isOwn && { isOwn }) };
      };
      const found = await look();
      // Between the two answers the run of another address may have moved that one.
      return found === undefined || found.isOwn || own.length < 2 ? found : look();
    },

    associate: (allocationId: string, target: Target, reassociate: boolean): Promise<void> =>
      api.associateAddress(association(allocationId, target, reassociate)),

    release: (associationId: string): Promise<void> => api.disassociateAddress(associationId),

    close: () => api.close(),
  };
}

/** What EC2 told about instances; `account` and `group` are this instance's. */
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

/** Adds what is known about the holder. A holder that EC2 does not know may belong to another account. */
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

/** The parameters of AssociateAddress. */
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

/** Checks the format of a value from EC2 before it is used in logs, files and requests. */
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
  const publicIp = checked("an address", ipOf(row), isIpv4);
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

/** The holder according to DescribeAddresses. A NAT gateway has an association but no instance id. */
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

/** The interface without an instance that has the address, if one has. */
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

/** The Elastic IP with this public address, if there is one. */
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

/** The Elastic IPs of an instance and where they are, according to DescribeInstances. */
function elasticPlaces({ NetworkInterfaces = [] }: Ec2Instance): ElasticPlace[] {
  return NetworkInterfaces.flatMap(({ NetworkInterfaceId, PrivateIpAddresses = [] }) =>
    PrivateIpAddresses.flatMap(({ PrivateIpAddress, Association }) => {
      const interfaceId = checked("an interface id", NetworkInterfaceId, isInterfaceId);
      const privateIp = checked("an address", PrivateIpAddress, isIpv4);
      const publicIp = checked("an address", Association?.PublicIp, isIpv4);
      // The owner of an auto-assigned public address is "amazon", that of an Elastic IP is an account.
      const isElastic = Association?.IpOwnerId !== "amazon";
      return interfaceId && privateIp && publicIp && isElastic
        ? [{ interfaceId, privateIp, publicIp }]
        : [];
    }),
  );
}

/**
 * The holder according to DescribeInstances, which does not show the allocation ids of public addresses: if the instance has
 * several Elastic IPs, it is not known which one this is.
 */
function heldBy(
  instanceId: string,
  instance: Ec2Instance,
  target: Target,
): Pick<AddressState, "publicIp" | "elasticIpHere"> & { holder: HolderInstance } {
  const holder = { kind: "instance", instanceId } as const;
  const places = elasticPlaces(instance);
  const [first, ...others] = places;
  if (first !== undefined && others.length === 0) {
    const { publicIp, ...place } = first;
    return { publicIp, holder: { ...holder, ...place } };
  }
  const here = places.find((place) => isAt(target, { ...holder, ...place }));
  return { holder, ...(here && { elasticIpHere: here.publicIp }) };
}
