/**
 * The real heal code of one instance on virtual time: its ports lead to the simulated region directly,
 * over a network that delays every request and answer and may lose them.
 */
import { GROUP_TAG, type Instance } from "../../src/model/instance.ts";
import type { Address as WireAddress, Instance as WireInstance } from "@aws-sdk/client-ec2";
import { type Ec2Api, ec2Over } from "../../src/aws/ec2.ts";
import { classify, type Service } from "../../src/aws/classify.ts";
import { Failure } from "../../src/model/failure.ts";
import type { LastResult, RecheckState } from "../../src/reconcile/drift.ts";
import type { Outcome } from "../../src/model/outcome.ts";
import { resultRecord } from "../../src/report/report.ts";
import { FLIGHT_MS } from "../../src/reconcile/bounds.ts";
import { heal } from "../../src/run/heal.ts";
import { underHook } from "../../src/run/lifecycle.ts";
import {
  type AutoScaling,
  type HealPorts,
  NOT_SHARED,
  type SentWrite,
} from "../../src/run/ports.ts";
import { recheck } from "../../src/commands/recheck.ts";
import { settingsOf } from "../support/settings.ts";
import { ApiError } from "../../sim/errors.ts";
import type { Address, Instance as SimulatedInstance } from "../../sim/model.ts";
import type { DescribedInstance, DescribeInstancesInput } from "../../sim/actions.ts";
import type { Region } from "../../sim/region.ts";
import type { VirtualTime } from "./time.ts";

/** What the network does to one request. */
export interface Passage {
  /** Milliseconds to EC2, and back. */
  readonly thereMs: number;
  readonly backMs: number;
  /** The request does not arrive, or its answer does not. */
  readonly lose?: "request" | "answer";
  /** A request that has been given up is carried out all the same, when it arrives. */
  readonly isLate?: boolean;
}

export interface AgentOptions {
  readonly region: Region;
  readonly time: VirtualTime;
  readonly instanceId: string;
  readonly settings?: Readonly<Record<string, string>>;
  readonly random: () => number;
  /** What the network does to the next request. */
  readonly passage: (action: string) => Passage;
  /** When the machine is suspended. */
  readonly suspension?: Suspension;
  /** What EC2 answers instead of doing what it is asked for; `nothing` is a flawless answer that has changed nothing. */
  readonly fault?: (action: string) => ApiError | "nothing" | undefined;
  /** Told of every request that EC2 has answered, at that moment; with the code if it was refused. */
  readonly onApplied?: (action: string, instanceId: string, refusal?: string) => void;
  /** Ends the agent as `kill -9` does: it never hears of anything again. */
  readonly killed?: AbortSignal;
}

/** A machine that is suspended: its clocks and timers stand still, and EC2 goes on. */
export interface Suspension {
  /** For how many milliseconds, once EC2 has carried this request out and before its answer is read. */
  readonly after: (action: string) => number;
  /** How long it has been so in all, in milliseconds. */
  totalMs: number;
}

/** Milliseconds after which the agent gives up on an answer, as aws/client.ts does; on one to a write sooner. */
const LIMIT_MS = { ec2: 15_000, autoscaling: 6_000 };

/** One run of the agent. A killed one never resolves. */
export function runOnVirtualTime(options: AgentOptions): Promise<Outcome> {
  const settings = settingsOf(options.settings ?? {});
  const ports = portsOf(options);
  const stop = new AbortController().signal;
  const { lifecycleHook, deadlineMs } = settings;
  const run = () => heal(settings, ports, {}, stop);
  if (lifecycleHook === undefined) return run();
  const hook = { name: lifecycleHook, deadlineMs, dryRun: false };
  return underHook(hook, ports, run, () => {}, stop);
}

/** What an instance keeps in /run: the last result, and what its rechecks remember. */
export interface Runtime {
  last?: LastResult;
  memory: RecheckState;
}

/** One run at boot, or one recheck, with what it leaves in /run. */
export async function runWith(
  runtime: Runtime,
  how: "heal" | "recheck",
  options: AgentOptions,
  wallClock: () => number,
): Promise<Outcome | undefined> {
  let outcome: Outcome | undefined;
  if (how === "heal") outcome = await runOnVirtualTime(options);
  else {
    const settings = settingsOf(options.settings ?? {});
    const stop = new AbortController().signal;
    const past = { last: runtime.last, memory: runtime.memory, shared: NOT_SHARED };
    const done = await recheck(settings, portsOf(options), past, wallClock, stop);
    runtime.memory = done.memory;
    outcome = done.outcome;
  }
  if (outcome !== undefined) {
    runtime.last = resultRecord(outcome, new Date(wallClock())) as unknown as LastResult;
  }
  return outcome;
}

/** What each instance of a region keeps of its last write, as its /run does until it is booted again. */
const LAST_WRITES = new WeakMap<Region, Map<string, SentWrite | undefined>>();

function portsOf(options: AgentOptions): HealPorts {
  const { time, region, instanceId, killed, random } = options;
  const never = new Promise<never>(() => {});
  const sleep = async (ms: number, signal?: AbortSignal) => {
    await time.sleep(ms, signal);
    if (killed?.aborted) await never;
  };
  const writes = LAST_WRITES.get(region) ?? new Map<string, SentWrite | undefined>();
  LAST_WRITES.set(region, writes);
  const outage = { isOn: false };
  const suspended = () => options.suspension?.totalMs ?? 0;
  return {
    publicIpBy: () => Promise.reject(new Error("no instance here waits for requests")),
    lastWrite: {
      read: () => writes.get(instanceId),
      record: (write) => void writes.set(instanceId, write),
    },
    lastWriteOf: (address) => ({
      read: () => writes.get(`${instanceId} ${address}`),
      record: (write) => void writes.set(`${instanceId} ${address}`, write),
    }),
    clock: {
      now: () => time.now() - suspended(),
      suspended,
      date: () => new Date(time.now()),
      random,
      sleep,
    },
    log: { warn: () => {}, debug: () => {} },
    async open(signal) {
      await sleep(2, signal);
      const denied = new Set<string>();
      return {
        instance: async (tags) => selfOf(region.instance(instanceId), region, tags),
        spotAction: async () => undefined,
        credentials: async () => ({ source: "the role" }),
        ec2: async (self) => ec2Over(apiOf(options, self, sleep, signal), self, denied, outage),
        autoScaling: async () => autoScalingOf(options, sleep, signal),
      };
    },
  };
}

type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>;

/** Sends requests over the network of the agent. */
function wireOf(service: Service, options: AgentOptions, sleep: Sleep, signal: AbortSignal) {
  const { instanceId, passage, fault, onApplied, suspension } = options;
  return async <T>(action: string, work: () => T): Promise<T> => {
    const { thereMs, backMs, lose, isLate = false } = passage(action);
    const request = `${service}:${action}`;
    const carryOut = (): { value: T } | { error: ApiError } => {
      let answer: { value: T } | { error: ApiError };
      try {
        const wrong = fault?.(action);
        if (wrong instanceof ApiError) throw wrong;
        // Only of a write nobody misses the answer.
        answer = { value: wrong === "nothing" ? (undefined as T) : work() };
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        answer = { error };
      }
      onApplied?.(action, instanceId, "error" in answer ? answer.error.code : undefined);
      return answer;
    };
    const limitMs = action === "AssociateAddress" ? FLIGHT_MS : LIMIT_MS[service];
    const noAnswer = new Failure("unreachable", { request, why: "no complete answer" });
    // Its connection is reset then, so that it does not arrive later.
    if (lose === "request" || thereMs > limitMs) {
      if (lose === undefined && isLate) void options.time.sleep(thereMs).then(() => carryOut());
      await sleep(limitMs, signal);
      throw noAnswer;
    }
    await sleep(thereMs, signal);
    const answer = carryOut();
    const suspendedMs = suspension?.after(action) ?? 0;
    if (suspension !== undefined && suspendedMs > 0) {
      await sleep(suspendedMs, signal);
      suspension.totalMs += suspendedMs;
    }
    if (lose === "answer" || thereMs + backMs > limitMs) {
      await sleep(limitMs - thereMs, signal);
      throw noAnswer;
    }
    await sleep(backMs, signal);
    if ("value" in answer) return answer.value;
    const { code, message, httpStatus: status } = answer.error;
    throw classify({ service, code, message, status, action, request });
  };
}

function autoScalingOf(options: AgentOptions, sleep: Sleep, signal: AbortSignal): AutoScaling {
  const { region, instanceId } = options;
  const caller = { instanceId };
  const call = wireOf("autoscaling", options, sleep, signal);
  const onAction = async (action: string, work: () => void): Promise<boolean> => {
    try {
      await call(action, work);
      return true;
    } catch (error) {
      if (error instanceof Failure && error.code === "ValidationError") return false;
      throw error;
    }
  };
  return {
    member: async () => {
      const [found] = await call("DescribeAutoScalingInstances", () =>
        region.describeAutoScalingInstances(caller, [instanceId]),
      );
      return found && { group: found.group, lifecycleState: found.lifecycleState };
    },
    complete: (group, hook, result) =>
      onAction("CompleteLifecycleAction", () =>
        region.completeLifecycleAction(caller, { group, hook, instanceId, result }),
      ),
    heartbeat: (group, hook) =>
      onAction("RecordLifecycleActionHeartbeat", () =>
        region.recordLifecycleActionHeartbeat(caller, { group, hook, instanceId }),
      ),
    close: () => {},
  };
}

function apiOf(options: AgentOptions, self: Instance, sleep: Sleep, signal: AbortSignal): Ec2Api {
  const { region, time, instanceId } = options;
  const caller = { instanceId };
  const call = wireOf("ec2", options, sleep, signal);

  const described = (input: DescribeInstancesInput) =>
    region.describeInstances(caller, input).items.map((row) => ({
      instance: wireInstance(row, region.account),
      ownerId: region.account,
    }));
  return {
    host: "the simulated region",
    describeAddresses: (name, values) =>
      call("DescribeAddresses", () =>
        region
          .describeAddresses(caller, { filters: [{ name, values: [...values] }] })
          .map(wireAddress),
      ),
    describeInstances: (name, values) =>
      call("DescribeInstances", () => described({ filters: [{ name, values: [...values] }] })),
    // An id that EC2 does not know is an error, and the others are asked for again; here that is one call.
    describeInstancesById: (ids) =>
      call("DescribeInstances", () => {
        const isKnown = (id: string) =>
          region.hasInstance(id) && region.instance(id).knownFrom <= time.now();
        const instanceIds = ids.filter(isKnown);
        return instanceIds.length === 0 ? [] : described({ instanceIds });
      }),
    describeNetworkInterfaces: (ids) =>
      call("DescribeNetworkInterfaces", () =>
        region
          .describeNetworkInterfaces(caller, { networkInterfaceIds: [...ids] })
          .items.map(({ networkInterface: one, instance }) => ({
            NetworkInterfaceId: one.networkInterfaceId,
            Status: instance === undefined && one.manager === undefined ? "available" : "in-use",
            RequesterManaged: one.manager !== undefined,
            OwnerId: region.account,
          })),
      ),
    associateAddress: (input) =>
      call("AssociateAddress", () => {
        region.associateAddress(caller, {
          allocationId: input.allocationId,
          instanceId: input.instanceId,
          networkInterfaceId: input.networkInterfaceId,
          privateIpAddress: input.privateIpAddress,
          allowReassociation: input.allowReassociation,
        });
      }),
    disassociateAddress: (associationId) =>
      call("DisassociateAddress", () => region.disassociateAddress(caller, { associationId })),
    close: () => {},
  };
}

function selfOf(instance: SimulatedInstance, region: Region, tags: readonly string[]): Instance {
  const key = tags.find((name) => instance.metadataTags && instance.tags[name] !== undefined);
  return {
    instanceId: instance.instanceId,
    region: region.name,
    zone: instance.zone,
    interfaces: instance.interfaces.map((one) => ({
      interfaceId: one.networkInterfaceId,
      mac: one.mac,
      deviceIndex: one.deviceIndex,
      cardIndex: one.networkCardIndex,
      hasIpv6: false,
      privateIps: one.addresses.map(({ privateIp }) => privateIp),
      publicIps: Object.fromEntries(
        one.addresses.flatMap(({ privateIp, allocationId, autoPublicIp }) => {
          const publicIp =
            allocationId === undefined ? autoPublicIp : region.address(allocationId).publicIp;
          return publicIp === undefined ? [] : [[privateIp, publicIp]];
        }),
      ),
    })),
    ...(instance.lifecycle !== undefined && { lifecycleState: instance.lifecycle }),
    ...(instance.metadataTags && instance.tags[GROUP_TAG] && { group: instance.tags[GROUP_TAG] }),
    ...(key !== undefined && { tag: { key, value: instance.tags[key] ?? "" } }),
  };
}

function wireAddress(address: Address): WireAddress {
  const { association } = address;
  return {
    AllocationId: address.allocationId,
    PublicIp: address.publicIp,
    NetworkBorderGroup: address.networkBorderGroup,
    Tags: wireTags(address.tags),
    ServiceManaged: address.serviceManaged,
    AssociationId: association?.associationId,
    NetworkInterfaceId: association?.networkInterfaceId,
    NetworkInterfaceOwnerId: association?.networkInterfaceOwnerId,
    PrivateIpAddress: association?.privateIp,
    InstanceId: association?.instanceId,
  };
}

function wireInstance(row: DescribedInstance, account: string): WireInstance {
  const { instance, tags } = row;
  return {
    InstanceId: instance.instanceId,
    State: { Name: instance.state },
    LaunchTime: new Date(instance.launchTime),
    Tags: wireTags(tags),
    NetworkInterfaces: instance.interfaces.map((one) => ({
      NetworkInterfaceId: one.networkInterfaceId,
      PrivateIpAddresses: one.addresses.map(({ privateIp, allocationId, autoPublicIp }) => {
        const elastic = allocationId === undefined ? undefined : row.elasticIp(allocationId);
        return {
          PrivateIpAddress: privateIp,
          ...(elastic !== undefined
            ? { Association: { PublicIp: elastic, IpOwnerId: account } }
            : autoPublicIp !== undefined && {
                Association: { PublicIp: autoPublicIp, IpOwnerId: "amazon" },
              }),
        };
      }),
    })),
  };
}

const wireTags = (tags: Readonly<Record<string, string>>) =>
  Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
