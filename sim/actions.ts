/** The actions of the EC2 API as functions on the region's state: typed in, typed out, errors as EC2's. */

import { checkForm, checkInstanceId, checkInterfaceId, planAssociation } from "./association.ts";
import type { AssociateInput, Lookups } from "./association.ts";
import * as errors from "./errors.ts";
import { Ec2Error } from "./errors.ts";
import {
  addressField,
  exactly,
  instanceField,
  interfaceField,
  publicIpOf,
  publicIpShown,
  select,
  stateShown,
  tagRowField,
} from "./filters.ts";
import type { Filter, TagRow } from "./filters.ts";
import type { Address, Instance, NetworkInterface } from "./model.ts";
import type { View } from "./past.ts";
import { admit, touchedBy, touchedByEndOf } from "./permission.ts";
import type { Caller } from "./permission.ts";
import type { State } from "./state.ts";

/** How a Describe call is answered; tests of stale answers and the fault of that name look back. */
export interface Looking {
  /** Answer from this long ago instead of from the region's usual staleness. */
  readonly backMs?: number | undefined;
}

export interface DescribeAddressesInput {
  readonly allocationIds?: readonly string[] | undefined;
  readonly publicIps?: readonly string[] | undefined;
  readonly filters?: readonly Filter[] | undefined;
  readonly dryRun?: boolean | undefined;
}

export interface Paging {
  readonly maxResults?: number | undefined;
  readonly nextToken?: string | undefined;
}

export interface DescribeInstancesInput extends Paging {
  readonly instanceIds?: readonly string[] | undefined;
  readonly filters?: readonly Filter[] | undefined;
  readonly dryRun?: boolean | undefined;
}

export interface DescribeTagsInput extends Paging {
  readonly filters?: readonly Filter[] | undefined;
  readonly dryRun?: boolean | undefined;
}

export interface DescribeNetworkInterfacesInput extends Paging {
  readonly networkInterfaceIds?: readonly string[] | undefined;
  readonly filters?: readonly Filter[] | undefined;
  readonly dryRun?: boolean | undefined;
}

export interface DisassociateInput {
  readonly associationId: string;
  readonly dryRun?: boolean | undefined;
}

/** An instance as DescribeInstances shows it: with the tags and public addresses known at the moment it looks at. */
export interface DescribedInstance {
  readonly instance: Instance;
  readonly tags: Readonly<Record<string, string>>;
  readonly publicIp: string | undefined;
  /** Its state; undefined: none is shown. */
  readonly state: string | undefined;
  /** Public addresses of Elastic IPs by allocation id. The allocation id itself is not part of EC2's answer. */
  elasticIp(allocationId: string): string | undefined;
  /** The Elastic IPs themselves, with those that have another address than a public one. */
  address(allocationId: string): Address | undefined;
}

/** A network interface as DescribeNetworkInterfaces shows it: with what it belongs to at the moment it looks at. */
export interface DescribedInterface {
  readonly networkInterface: NetworkInterface;
  /** The instance it is attached to. */
  readonly instance: Instance | undefined;
  /** The Elastic IP addresses mapped to it. */
  elasticIp(allocationId: string): Address | undefined;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextToken?: string | undefined;
}

/** DescribeAddresses. An unknown id is an error, an unknown value of a filter an empty answer. */
export function describeAddresses(
  state: State,
  caller: Caller,
  input: DescribeAddressesInput,
  looking: Looking,
): Address[] {
  admit(state, caller, "DescribeAddresses", [], input.dryRun);
  const view = viewOf(state, looking);
  const filters = input.filters ?? [];
  const visible = (address: Address | undefined): address is Address =>
    address !== undefined && address.ownerId === state.account && address.knownFrom <= state.now();

  let candidates: Iterable<Address>;
  if (input.allocationIds?.length) {
    candidates = input.allocationIds.map((id) => {
      const address = view.address(id);
      if (!visible(address)) throw errors.noSuchAllocation(id);
      return address;
    });
  } else if (input.publicIps?.length) {
    const all = [...view.addresses()].filter(visible);
    candidates = input.publicIps.map((ip) => {
      const address = all.find((one) => one.publicIp === ip);
      if (address === undefined) throw errors.noSuchAddress(ip);
      return address;
    });
  } else {
    const id = exactly(filters, "allocation-id");
    candidates = (id === undefined ? [...view.addresses()] : [view.address(id)]).filter(visible);
  }
  return select(candidates, filters, addressField);
}

/** DescribeInstances. */
export function describeInstances(
  state: State,
  caller: Caller,
  input: DescribeInstancesInput,
  looking: Looking,
): Page<DescribedInstance> {
  const filters = input.filters ?? [];
  const bare = filters.length === 0 && input.maxResults === undefined && !input.instanceIds?.length;
  admit(
    state,
    caller,
    "DescribeInstances",
    [],
    input.dryRun,
    bare ? "DescribeInstances:unfiltered" : undefined,
  );
  const view = viewOf(state, looking);
  const visible = (instance: Instance | undefined): instance is Instance =>
    instance !== undefined && instance.knownFrom <= state.now();

  let candidates: Instance[];
  if (input.instanceIds?.length) {
    if (input.maxResults !== undefined) throw errors.idsWithPages("instancesSet");
    for (const id of input.instanceIds) checkInstanceId(id);
    const ids = [...new Set(input.instanceIds)];
    const missing = ids.filter((id) => !visible(view.instance(id)));
    if (missing.length > 0) throw errors.noSuchInstance(missing);
    candidates = ids.map((id) => view.instance(id)).filter(visible);
  } else {
    candidates = candidatesFor(filters, view, state).filter(visible);
  }
  const { zonesDown } = state.settings;
  const concerned = input.instanceIds?.length
    ? candidates.some((instance) => zonesDown.includes(instance.zone))
    : zonesDown.length > 0;
  if (concerned) throw errors.unavailable();
  const tagsShown = (instance: Instance): Instance["tags"] =>
    instance.tagsFrom <= state.now() ? instance.tags : {};
  const field = instanceField(view, tagsShown);
  const matching = (some: readonly Instance[]): Instance[] => select(some, filters, field);
  const page: Page<Instance> = input.instanceIds?.length
    ? { items: matching(candidates) }
    : pageOf(state, candidates, input, matching);
  return {
    items: page.items.map((instance) => ({
      instance,
      tags: tagsShown(instance),
      publicIp: publicIpOf(instance, view),
      state: stateShown(instance),
      elasticIp: (allocationId) => publicIpShown(view.address(allocationId)),
      address: (allocationId) => view.address(allocationId),
    })),
    nextToken: page.nextToken,
  };
}

/** DescribeNetworkInterfaces: those of the account's instances and services, and those that lie about. */
export function describeNetworkInterfaces(
  state: State,
  caller: Caller,
  input: DescribeNetworkInterfacesInput,
  looking: Looking,
): Page<DescribedInterface> {
  const filters = input.filters ?? [];
  const ids = [...new Set(input.networkInterfaceIds)];
  const bare = filters.length === 0 && input.maxResults === undefined && ids.length === 0;
  admit(
    state,
    caller,
    "DescribeNetworkInterfaces",
    [],
    input.dryRun,
    bare ? "DescribeNetworkInterfaces:unfiltered" : undefined,
  );
  const view = viewOf(state, looking);
  const attached = [...view.instances()]
    .filter((instance) => instance.knownFrom <= state.now())
    .flatMap((instance) => instance.interfaces);
  const all = [...attached, ...view.looseInterfaces()];
  const matching = (some: readonly NetworkInterface[]): NetworkInterface[] =>
    select(some, filters, interfaceField);

  let page: Page<NetworkInterface>;
  if (ids.length > 0) {
    if (input.maxResults !== undefined) throw errors.idsWithPages("networkInterfaceIdSet");
    for (const id of ids) checkInterfaceId(id);
    const byId = new Map(all.map((eni) => [eni.networkInterfaceId, eni]));
    const missing = ids.filter((id) => !byId.has(id));
    if (missing.length > 0) throw errors.noSuchInterface(...missing);
    page = { items: matching(ids.flatMap((id) => byId.get(id) ?? [])) };
  } else {
    page = pageOf(state, all, input, matching);
  }
  return {
    items: page.items.map((networkInterface) => ({
      networkInterface,
      instance: view.instance(networkInterface.instanceId ?? ""),
      elasticIp: (allocationId) => view.address(allocationId),
    })),
    nextToken: page.nextToken,
  };
}

/** DescribeTags, of instances and addresses. */
export function describeTags(
  state: State,
  caller: Caller,
  input: DescribeTagsInput,
  looking: Looking,
): Page<TagRow> {
  admit(state, caller, "DescribeTags", [], input.dryRun);
  const view = viewOf(state, looking);
  const rows: TagRow[] = [];
  const add = (
    resourceType: TagRow["resourceType"],
    resourceId: string,
    tags: Instance["tags"],
  ): void => {
    for (const [key, value] of Object.entries(tags))
      rows.push({ resourceId, resourceType, key, value });
  };
  for (const one of view.instances()) {
    if (Math.max(one.knownFrom, one.tagsFrom) <= state.now())
      add("instance", one.instanceId, one.tags);
  }
  for (const one of view.addresses()) {
    if (one.ownerId === state.account && one.knownFrom <= state.now())
      add("elastic-ip", one.allocationId, one.tags);
  }
  return pageOf(state, rows, input, (some) => select(some, input.filters ?? [], tagRowField));
}

/** AssociateAddress; the association id. See association.ts for when it is refused. */
export function associateAddress(state: State, caller: Caller, input: AssociateInput): string {
  checkForm(input);
  admit(state, caller, "AssociateAddress", touchedBy(state, input), input.dryRun);
  const plan = planAssociation(input, lookups(state));
  if (!plan.change) return plan.associationId;
  return state.link(plan.address, plan.target, plan.privateIp);
}

/** DisassociateAddress. */
export function disassociateAddress(state: State, caller: Caller, input: DisassociateInput): void {
  const allocationId = state.allocationOf(input.associationId);
  const address = allocationId === undefined ? undefined : state.records.address(allocationId);
  admit(
    state,
    caller,
    "DisassociateAddress",
    address === undefined ? [] : touchedByEndOf(state, address),
    input.dryRun,
  );
  if (address === undefined) throw errors.noSuchAssociation(input.associationId);
  const holder = state.findInterface(address.association?.networkInterfaceId ?? "");
  if (address.serviceManaged !== undefined || holder?.manager !== undefined)
    throw errors.notYours();
  state.disassociate(address.allocationId);
}

// --- internal ---

function lookups(state: State): Lookups {
  const known = <T extends { knownFrom: number }>(record: T | undefined): T | undefined =>
    record !== undefined && record.knownFrom <= state.now() ? record : undefined;
  return {
    account: state.account,
    address: (input) => known(state.addressFor(input)),
    instance: (id) => known(state.records.instance(id)),
    interface: (id) => state.findInterface(id),
    vpc: (id) => state.vpc(id),
    strictPlaces: state.settings.strictPlaces,
  };
}

function viewOf(state: State, looking: Looking): View {
  return state.lookingBack(looking.backMs ?? state.settings.describeStalenessMs);
}

/** A fleet of thousands asks by id or by address: no search through all of it. */
function candidatesFor(
  filters: readonly Filter[],
  view: View,
  { settings }: State,
): (Instance | undefined)[] {
  if (settings.pageSize !== undefined) return [...view.instances()];
  const instanceId = exactly(filters, "instance-id");
  if (instanceId !== undefined) return [view.instance(instanceId)];
  const allocationId = exactly(filters, "network-interface.addresses.association.allocation-id");
  if (allocationId !== undefined)
    return [view.instance(view.address(allocationId)?.association?.instanceId ?? "")];
  return [...view.instances()];
}

/** One page of the records that match: of all of those, or with a page size of those among as many records. */
function pageOf<T>(
  { settings }: State,
  records: readonly T[],
  { maxResults, nextToken }: Paging,
  matching: (some: readonly T[]) => T[],
): Page<T> {
  const { pageSize } = settings;
  if (maxResults === undefined && nextToken === undefined && pageSize === undefined)
    return { items: matching(records) };
  if (maxResults !== undefined && (maxResults < 5 || maxResults > 1000)) {
    throw new Ec2Error(
      "InvalidParameterValue",
      `Value ( ${maxResults} ) for parameter maxResults is invalid. Expecting a value between 5 and 1000.`,
    );
  }
  const from =
    nextToken === undefined ? 0 : Number(/^page-(\d+)$/.exec(nextToken)?.[1] ?? Number.NaN);
  if (Number.isNaN(from))
    throw new Ec2Error("InvalidParameterValue", "Unable to parse pagination token");
  if (settings.emptyFirstPage && nextToken === undefined) return { items: [], nextToken: "page-0" };
  const to = from + Math.min(pageSize ?? Infinity, maxResults ?? 1000);
  const paged = pageSize === undefined ? matching(records) : records;
  const page = paged.slice(from, to);
  return {
    items: pageSize === undefined ? page : matching(page),
    nextToken: to < paged.length ? `page-${to}` : undefined,
  };
}
