/**
 * The simulated AWS region: its state, the actions of the EC2 and Auto Scaling APIs on it, and what happens to it from outside.
 * No I/O and no timers; time is what `now` says, so it runs on virtual time as well as behind the HTTP servers.
 */

import * as actions from "./actions.ts";
import * as autoScaling from "./auto-scaling.ts";
import type { AutoScalingInstance, LifecycleInput } from "./auto-scaling.ts";
import type {
  DescribeAddressesInput,
  DescribeInstancesInput,
  DescribeNetworkInterfacesInput,
  DescribeTagsInput,
  DescribedInstance,
  DescribedInterface,
  DisassociateInput,
  Looking,
  Page,
} from "./actions.ts";
import type { AssociateInput } from "./association.ts";
import {
  makeAddress,
  makeInstance,
  makeInterface,
  millis,
  refuseTagsThatImdsCannotShow,
} from "./build.ts";
import type { AddressSpec, InstanceSpec, InterfaceSpec, Moment } from "./build.ts";
import type { TagRow } from "./filters.ts";
import type {
  Address,
  Association,
  Instance,
  LifecycleAction,
  LifecycleResult,
  Manager,
  NetworkInterface,
  SpotAction,
} from "./model.ts";
import type { Caller } from "./permission.ts";
import { State, found } from "./state.ts";

export class Region extends State {
  // --- the EC2 API ---

  /** DescribeAddresses. */
  describeAddresses(
    caller: Caller,
    input: DescribeAddressesInput = {},
    looking: Looking = {},
  ): Address[] {
    return actions.describeAddresses(this, caller, input, looking);
  }

  /** DescribeInstances. */
  describeInstances(
    caller: Caller,
    input: DescribeInstancesInput = {},
    looking: Looking = {},
  ): Page<DescribedInstance> {
    return actions.describeInstances(this, caller, input, looking);
  }

  /** DescribeNetworkInterfaces. */
  describeNetworkInterfaces(
    caller: Caller,
    input: DescribeNetworkInterfacesInput = {},
    looking: Looking = {},
  ): Page<DescribedInterface> {
    return actions.describeNetworkInterfaces(this, caller, input, looking);
  }

  /** DescribeTags. */
  describeTags(caller: Caller, input: DescribeTagsInput = {}, looking: Looking = {}): Page<TagRow> {
    return actions.describeTags(this, caller, input, looking);
  }

  /** AssociateAddress; the association id. */
  associateAddress(caller: Caller, input: AssociateInput): string {
    return actions.associateAddress(this, caller, input);
  }

  /** DisassociateAddress. */
  disassociateAddress(caller: Caller, input: DisassociateInput): void {
    actions.disassociateAddress(this, caller, input);
  }

  // --- the Auto Scaling API ---

  /** DescribeAutoScalingInstances. */
  describeAutoScalingInstances(
    caller: Caller,
    instanceIds: readonly string[] = [],
  ): AutoScalingInstance[] {
    return autoScaling.describeAutoScalingInstances(this, caller, instanceIds);
  }

  /** CompleteLifecycleAction. */
  completeLifecycleAction(
    caller: Caller,
    input: LifecycleInput & { readonly result: LifecycleResult },
  ): void {
    autoScaling.completeLifecycleAction(this, caller, input);
  }

  /** RecordLifecycleActionHeartbeat. */
  recordLifecycleActionHeartbeat(caller: Caller, input: LifecycleInput): void {
    autoScaling.recordLifecycleActionHeartbeat(this, caller, input);
  }

  // --- what happens to the world ---

  /** An instance of a group begins to wait under one of its lifecycle hooks, on its way into service or the warm pool. */
  waitUnderHook(instanceId: string, hook: string, target = "InService"): LifecycleAction {
    return autoScaling.beginWait(this, instanceId, hook, target);
  }

  /** What time alone does: hooks time out. */
  elapse(): void {
    autoScaling.endWaits(this);
  }

  /** A new instance, pending and launched now unless the spec says otherwise. */
  launch(spec: InstanceSpec = {}): Instance {
    const instance = makeInstance(
      spec,
      { state: "pending", launchTime: this.now() },
      this.surroundings(),
    );
    this.putInstance(instance);
    return instance;
  }

  /** pending → running. */
  running(instanceId: string): Instance {
    return this.change(instanceId, ["pending"], { state: "running" });
  }

  /** running → stopping. The address stays. */
  stop(instanceId: string): Instance {
    return this.change(instanceId, ["pending", "running"], { state: "stopping" });
  }

  /** stopping → stopped. The address stays, an assigned public IPv4 is gone. */
  stopped(instanceId: string): Instance {
    this.change(instanceId, ["stopping"], { state: "stopped" });
    this.releaseAutoPublicIp(instanceId);
    return this.instance(instanceId);
  }

  /** stopped → pending: a new launch time. */
  start(instanceId: string): Instance {
    this.change(instanceId, ["stopped"], {
      state: "pending",
      launchTime: Math.floor(this.now() / 1000) * 1000,
    });
    this.assignAutoPublicIp(instanceId);
    return this.instance(instanceId);
  }

  /** → shutting-down. The address is still there. */
  terminate(instanceId: string): Instance {
    return this.change(instanceId, ["pending", "running", "stopping", "stopped"], {
      state: "shutting-down",
    });
  }

  /** shutting-down → terminated. Only now is the address free, unless the instance keeps it. */
  terminated(instanceId: string): Instance {
    const instance = this.change(instanceId, ["shutting-down"], { state: "terminated" });
    if (!instance.keepsAssociation) this.dropInterfaces(instance);
    return this.instance(instanceId);
  }

  /** EC2 no longer knows the instance; with keepsAssociation its addresses go on naming it. */
  forget(instanceId: string): void {
    const instance = this.instance(instanceId);
    if (!instance.keepsAssociation) this.dropInterfaces(instance);
    this.removeInstance(instanceId);
  }

  /** → running, launched when it was: an instance that was being ended and was only hanging. */
  revive(instanceId: string): Instance {
    return this.change(instanceId, ["stopping", "shutting-down"], { state: "running" });
  }

  /** A reboot changes nothing that EC2 shows: neither the state nor the launch time nor an address. */
  reboot(instanceId: string): Instance {
    return this.change(instanceId, ["running"], {});
  }

  /** Whether a dead or dying holder goes on being listed with its address. */
  keepAssociation(instanceId: string, keepsAssociation = true): Instance {
    return this.change(instanceId, undefined, { keepsAssociation });
  }

  /** Sets tags of an instance or an address; undefined or null removes one. */
  tag(resourceId: string, tags: Readonly<Record<string, string | null | undefined>>): void {
    const merge = (old: Readonly<Record<string, string>>): Record<string, string> => {
      const merged: Record<string, string> = { ...old };
      for (const [key, value] of Object.entries(tags)) {
        if (value === undefined || value === null) delete merged[key];
        else merged[key] = value;
      }
      return merged;
    };
    const instance = this.records.instance(resourceId);
    if (instance === undefined) {
      const address = this.address(resourceId);
      this.putAddress({ ...address, tags: merge(address.tags) });
      return;
    }
    const merged = merge(instance.tags);
    if (instance.metadataTags) refuseTagsThatImdsCannotShow(Object.keys(merged));
    this.putInstance({ ...instance, tags: merged });
  }

  /** Sets Auto Scaling's target lifecycle state in IMDS; undefined or null: 404. */
  setLifecycle(instanceId: string, lifecycle: string | null | undefined): Instance {
    return this.change(instanceId, undefined, { lifecycle: lifecycle ?? undefined });
  }

  /** IMDS answers 404 for the target lifecycle state for so many ms; default: until `showLifecycle()`. */
  hideLifecycle(instanceId: string, forMs = Infinity): Instance {
    return this.change(instanceId, undefined, { lifecycleFrom: this.now() + forMs });
  }

  /** IMDS shows the target lifecycle state from now on. */
  showLifecycle(instanceId: string): Instance {
    return this.change(instanceId, undefined, { lifecycleFrom: 0 });
  }

  /** EC2 shows this text as the instance's state, or none at all (null); undefined: the true one again. */
  showState(instanceId: string, shownState?: string | null): Instance {
    return this.change(instanceId, undefined, { shownState });
  }

  /** The zone has a disruption, as by the setting zonesDown; nothing happens to its instances. */
  zoneDown(zone: string): void {
    this.configure({ zonesDown: [...new Set([...this.settings.zonesDown, zone])] });
  }

  /** The disruption is over. */
  zoneUp(zone: string): void {
    this.configure({ zonesDown: this.settings.zonesDown.filter((other) => other !== zone) });
  }

  /** Announces a spot interruption in IMDS, or takes it back. */
  setSpotAction(
    instanceId: string,
    action: SpotAction["action"] | null | undefined,
    time: Moment = this.now(),
  ): Instance {
    const spotAction = action == null ? undefined : { action, time: millis(time) };
    return this.change(instanceId, undefined, { spotAction });
  }

  /** Instance metadata: tags in it, or all of it, on or off. */
  setMetadata(
    instanceId: string,
    options: { tags?: boolean; metadata?: "enabled" | "disabled" },
  ): Instance {
    const instance = this.instance(instanceId);
    if (options.tags === true) refuseTagsThatImdsCannotShow(Object.keys(instance.tags));
    return this.change(instanceId, undefined, {
      metadataTags: options.tags ?? instance.metadataTags,
      metadata: options.metadata ?? instance.metadata,
    });
  }

  /** Eventual consistency: from when on the API knows the instance or address, and from when on its tags show. */
  setKnownFrom(
    resourceId: string,
    from: Moment,
    tagsFrom: Moment = from,
    metadataTagsFrom: Moment = tagsFrom,
  ): void {
    const knownFrom = millis(from);
    const instance = this.records.instance(resourceId);
    if (instance === undefined) this.putAddress({ ...this.address(resourceId), knownFrom });
    else {
      const tags = { tagsFrom: millis(tagsFrom), metadataTagsFrom: millis(metadataTagsFrom) };
      this.putInstance({ ...instance, knownFrom, ...tags });
    }
  }

  /** Gives the instance another role; null: none. */
  setRole(instanceId: string, role: string | null): Instance {
    return this.change(instanceId, undefined, { role: role ?? undefined });
  }

  /** Somebody else moves the address onto an instance or interface, with nobody's permission. */
  associate(allocationId: string, target: string, privateIpAddress?: string): string {
    const named = target.startsWith("eni-")
      ? { networkInterfaceId: target }
      : { instanceId: target };
    return this.associateAddress("admin", { allocationId, privateIpAddress, ...named });
  }

  /** A NAT gateway, a load balancer or another account takes the address: held, but by no instance. */
  associateWithService(allocationId: string, manager: Manager): Association {
    const ownerId = manager === "other-account" ? "999988887777" : this.account;
    const eni = makeInterface({}, { manager, ownerId }, this.surroundings());
    this.putInterface(eni);
    this.link(this.address(allocationId), eni, eni.addresses[0]?.privateIp ?? "");
    return found(this.holder(allocationId), allocationId);
  }

  /** A new Elastic IP address. */
  allocate(spec: AddressSpec = {}): Address {
    const address = makeAddress(spec, this.surroundings());
    this.putAddress(address);
    return address;
  }

  /** A network interface on the instance, or on none: a new one, or one that lies about if the spec names its id. */
  attach(instanceId: string | null, spec: InterfaceSpec = {}): NetworkInterface {
    const host = instanceId === null ? undefined : this.instance(instanceId);
    const free = Math.max(-1, ...(host?.interfaces.map((eni) => eni.deviceIndex) ?? [])) + 1;
    const old = this.findInterface(spec.networkInterfaceId ?? "");
    if (old !== undefined) {
      return this.attachLoose(old, found(host, String(instanceId)), spec.deviceIndex ?? free);
    }
    const eni = makeInterface(
      { deviceIndex: free, ...(host && { zone: host.zone }), ...spec },
      host ? { instanceId: host.instanceId } : {},
      this.surroundings(),
    );
    if (host === undefined) this.putInterface(eni);
    else this.putInstance({ ...host, interfaces: [...host.interfaces, eni] });
    return eni;
  }
}
