/** An instance on virtual time, whose metadata, EC2 and Auto Scaling answer by a script. */
import {
  type AddressState,
  type DesiredAddress,
  type ElasticIp,
  nameDesired,
  type Observation,
} from "../../src/model/address.ts";
import { Failure } from "../../src/model/failure.ts";
import type { Instance } from "../../src/model/instance.ts";
import type { HealPorts, SentWrite, ShownIp } from "../../src/run/ports.ts";
import { LAUNCHED, ME, PUBLIC_IP, TARGET, ZONE } from "../reconcile/fixtures.ts";
import { VirtualTime } from "../simulation/time.ts";

export const GROUP = "web";

/** This instance, in service in its group; instance metadata shows the address at the target. */
export const SELF: Instance = {
  instanceId: ME,
  region: "us-east-1",
  zone: ZONE,
  lifecycleState: "InService",
  interfaces: [
    {
      interfaceId: TARGET.interfaceId,
      mac: "0a:00:00:00:00:01",
      deviceIndex: 0,
      cardIndex: 0,
      privateIps: [TARGET.privateIp],
      publicIps: { [TARGET.privateIp]: PUBLIC_IP },
      hasIpv6: false,
    },
  ],
};

/** The same outside any group. */
export const ALONE: Instance = without(SELF, "lifecycleState");

export function without<T extends object, K extends keyof T>(whole: T, key: K): Omit<T, K> {
  const { [key]: _, ...rest } = whole;
  return rest;
}

export const observed = (...addresses: AddressState[]): Observation => ({
  addresses,
  direct: true,
});

/** What each request is answered with: a value, or a Failure, which is thrown. */
export interface Script {
  readonly instance?: () => Instance | Failure;
  /** Nothing is about to happen if it is not given. */
  readonly spotAction?: () => string | Failure | undefined;
  readonly tags?: () => Readonly<Record<string, string>> | Failure;
  readonly observe?: (desired: DesiredAddress) => Observation | Failure;
  readonly elasticIpAt?: () => ElasticIp | Failure | undefined;
  readonly associate?: (allocationId: string) => Failure | void;
  readonly release?: () => Failure | void;
  readonly member?: () => { group: string; lifecycleState?: string } | Failure | undefined;
  readonly complete?: () => boolean | Failure;
  readonly heartbeat?: () => boolean | Failure;
  readonly publicIpBy?: () => ShownIp | Failure;
  /** Milliseconds during which the machine has been suspended by now; else none. */
  readonly suspended?: () => number;
  /** Milliseconds that each request takes, by its name; else none. */
  readonly takes?: (request: string) => number;
}

export interface Scripted {
  readonly time: VirtualTime;
  readonly ports: HealPorts;
  /** Each request with when it was sent, in milliseconds from the start: `0 observe`. */
  readonly calls: string[];
  /** What was logged, with its level: `warn …`. */
  readonly log: string[];
  /** What was recorded of writes. */
  readonly writes: (SentWrite | undefined)[];
  /** The requests without their times. */
  readonly asked: () => string[];
}

export function scripted(script: Script = {}): Scripted {
  const { observe, associate } = script;
  const time = new VirtualTime(LAUNCHED);
  const calls: string[] = [];
  const log: string[] = [];
  const writes: (SentWrite | undefined)[] = [];
  const writesOf = new Map<string, SentWrite | undefined>();
  async function answer<T>(
    request: string,
    signal: AbortSignal,
    value: (() => T | Failure) | undefined,
  ): Promise<T> {
    signal.throwIfAborted();
    calls.push(`${time.now() - LAUNCHED} ${request}`);
    const ms = script.takes?.(request.split(" ", 1)[0] ?? "") ?? 0;
    if (ms > 0) await time.sleep(ms, signal);
    if (value === undefined) throw new Error(`${request} is not in the script`);
    const answered = value();
    if (answered instanceof Failure) throw answered;
    return answered;
  }
  const ports: HealPorts = {
    lastWrite: { read: () => writes.at(-1), record: (write) => void writes.push(write) },
    lastWriteOf: (name, formerly) => ({
      read: () =>
        [name, ...formerly].map((one) => writesOf.get(one)).find((one) => one !== undefined) ??
        writes.at(-1),
      record: (write) => void writesOf.set(name, write),
    }),
    clock: {
      now: () => time.now() - LAUNCHED,
      date: () => new Date(time.now()),
      suspended: script.suspended ?? (() => 0),
      random: () => 0.5,
      sleep: (ms, signal) => time.sleep(ms, signal),
    },
    log: {
      warn: (line) => void log.push(`warn ${line}`),
      debug: (line) => void log.push(`debug ${line}`),
    },
    publicIpBy: (url, signal) => answer(`GET ${url.href}`, signal, script.publicIpBy),
    open: async (signal) => {
      signal.throwIfAborted();
      return {
        instance: (tags) =>
          answer(["instance", ...tags].join(" "), signal, script.instance ?? (() => SELF)),
        spotAction: () =>
          script.spotAction === undefined
            ? Promise.resolve(undefined)
            : answer("spotAction", signal, script.spotAction),
        credentials: () => Promise.resolve({ source: "the role web" }),
        ec2: () => {
          calls.push(`${time.now() - LAUNCHED} connect`);
          return Promise.resolve({
            tags: () => answer("tags", signal, script.tags),
            observe: (desired) =>
              answer(
                `observe ${"key" in desired ? `${desired.key}=${desired.value}` : nameDesired(desired)}`,
                signal,
                observe && (() => observe(desired)),
              ),
            elasticIpAt: () => answer("elasticIpAt", signal, script.elasticIpAt),
            associate: (allocationId, _, reassociate) =>
              answer(
                `associate ${reassociate}`,
                signal,
                associate && (() => associate(allocationId)),
              ),
            release: (associationId) => answer(`release ${associationId}`, signal, script.release),
            close: () => void calls.push(`${time.now() - LAUNCHED} close`),
          });
        },
        autoScaling: () =>
          Promise.resolve({
            member: () => answer("member", signal, script.member),
            complete: (group, hook, result) =>
              answer(`complete ${group} ${hook} ${result}`, signal, script.complete),
            heartbeat: (group, hook) =>
              answer(`heartbeat ${group} ${hook}`, signal, script.heartbeat),
            close: () => void calls.push(`${time.now() - LAUNCHED} close Auto Scaling`),
          }),
      };
    },
  };
  const asked = () => calls.map((call) => call.replace(/^\d+ /, ""));
  return { time, ports, calls, log, writes, asked };
}

/** Lets time pass until the work is done. */
export async function inTime<T>(time: VirtualTime, work: Promise<T>): Promise<T> {
  let isDone = false;
  const done = work.finally(() => (isDone = true));
  // The loop has heard of it before anybody waits for the result.
  done.catch(() => {});
  while (!isDone) await time.run();
  return done;
}

/** The reason of a signal that somebody aborts. */
export const SIGTERM = new Error("stopped by SIGTERM");

/** One answer after the other; the last one again and again. */
export function inTurn<T>(...answers: readonly [T, ...T[]]): () => T {
  const left = [...answers];
  return () => (left.length > 1 ? left.shift() : left[0]) as T;
}
