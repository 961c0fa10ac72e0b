/**
 * All that reaches eip-heal from outside: each field of each answer, each setting, variable and argument. A scene is a
 * run that is given the answers named in it; a test puts texts into their fields, one after the other.
 */
import { ApiError } from "../../sim/errors.ts";
import { AUTO_SCALING } from "../../sim/auto-scaling-api.ts";
import { EC2 } from "../../sim/ec2-api.ts";
import type { FaultRule } from "../../sim/faults.ts";
import { HOOK_ROLE, INTERFACES_ROLE, OLD_ROLE } from "../../sim/iam.ts";
import { imdsTree, lookUp } from "../../sim/imds-tree.ts";
import type { RunningRegion } from "../../sim/server.ts";
import type { World } from "../../sim/world.ts";
import { SETTINGS } from "../../src/config/settings.ts";
import { VARIABLES } from "../../src/config/variables.ts";
import { fieldsOf } from "../support/fields.ts";

const HOOK = "web-launch";
const GROUP = "web";

const ALL = "all fields";

/** A run, and which answers to it are forged. */
export interface Scene {
  /** Makes the instance, and what else there is. */
  readonly people: (world: World) => string;
  readonly before?: (region: RunningRegion, instanceId: string) => void;
  readonly environment?: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
  /** Fields by answer: by action of EC2 or Auto Scaling, by leaf of instance metadata. */
  readonly forges: Readonly<Record<string, typeof ALL | readonly string[]>>;
}

const DOCUMENT = "dynamic/instance-identity/document";
const TAG = "meta-data/tags/instance";
const MACS = "meta-data/network/interfaces/macs/";
const ROLE = "meta-data/iam/security-credentials/";

/** An instance whose tag names an address. */
function tagged(world: World, spec: Parameters<World["instance"]>[0] = {}) {
  const address = world.address({ tags: { Name: "web", "eip-zone": "us-east-1a" } });
  const tags = { "allocation-id": address.allocationId, Name: "web" };
  return { address, me: world.instance({ tags, metadataTags: true, ...spec }) };
}

/** An instance that has its address. */
function here(world: World, role = "full"): string {
  const { address, me } = tagged(world, { role });
  world.hold(address, me);
  return me.instanceId;
}

/** One that waits under a lifecycle hook, and has its address. */
function underHook(world: World, metadataTags: boolean): string {
  world.role("hook", HOOK_ROLE);
  world.group(GROUP, { name: HOOK });
  const spec = { role: "hook", group: GROUP, lifecycle: "InService", metadataTags };
  const { address, me } = tagged(world, spec);
  world.hold(address, me);
  return me.instanceId;
}

export const SCENES: Readonly<Record<string, Scene>> = {
  "a newer instance has the address": {
    people(world) {
      const { address, me } = tagged(world);
      world.hold(address, world.instance());
      return me.instanceId;
    },
    forges: {
      [DOCUMENT]: ALL,
      [MACS]: ALL,
      [`${MACS}*/interface-id`]: ALL,
      [`${MACS}*/local-ipv4s`]: ALL,
      [`${MACS}*/public-ipv4s`]: ALL,
      ["meta-data/autoscaling/target-lifecycle-state"]: ALL,
      [ROLE]: ALL,
      [`${ROLE}*`]: ALL,
      [`${TAG}/allocation-id`]: ALL,
      DescribeAddresses: ALL,
      DescribeInstances: ALL,
    },
  },
  "a document that is none, and two interfaces": {
    people(world) {
      const { address, me } = tagged(world, {
        enis: [{ deviceIndex: 0, privateIps: 2 }, { deviceIndex: 1 }],
      });
      world.hold(address, me, me.interfaces[0]?.addresses[1]?.privateIp);
      return me.instanceId;
    },
    before(region) {
      const path = `/latest/${DOCUMENT}`;
      region.faults.add({ service: "imds", path, effect: { do: "status", status: 404 } });
    },
    environment: { EIP_HEAL_TAKEOVER: "never" },
    flags: ["--dry-run"],
    forges: {
      ["meta-data/instance-id"]: ALL,
      ["meta-data/placement/region"]: ALL,
      ["meta-data/placement/availability-zone"]: ALL,
      [`${MACS}*/device-number`]: ALL,
      [`${MACS}*/network-card-index`]: ALL,
      [`${MACS}*/ipv4-associations/*`]: ALL,
    },
  },
  "a pool": {
    people(world) {
      const me = world.instance({ tags: { "eip-pool": "web" }, metadataTags: true });
      world.hold(world.address({ tags: { "eip-pool": "web" } }), me);
      world.address({ tags: { "eip-pool": "web" } });
      return me.instanceId;
    },
    forges: { [`${TAG}/eip-pool`]: ALL, DescribeAddresses: ALL },
  },
  "tags by EC2 alone": {
    people(world) {
      const { address, me } = tagged(world, { metadataTags: false });
      world.hold(address, me);
      return me.instanceId;
    },
    forges: { DescribeInstances: ["key", "value"] },
  },
  "the role of the old script": {
    people(world) {
      world.role("old", OLD_ROLE);
      const { address, me } = tagged(world, { role: "old" });
      world.hold(address, world.instance());
      return me.instanceId;
    },
    forges: { DescribeInstances: ["instanceId", "name"] },
  },
  "an interface that belongs to no instance": {
    people(world) {
      world.role("interfaces", INTERFACES_ROLE);
      const { address, me } = tagged(world, { role: "interfaces" });
      world.holdByOrphan(address);
      return me.instanceId;
    },
    flags: ["--dry-run"],
    forges: { DescribeNetworkInterfaces: ALL },
  },
  "an address that is free": {
    people: (world) => tagged(world).me.instanceId,
    forges: { ["meta-data/spot/instance-action"]: ALL, AssociateAddress: ALL },
  },
  "an address that is here": {
    // Some texts are names of hooks. Whether the instance waits under one is asked, and a refusal would be waited out.
    people(world) {
      world.role("hook", HOOK_ROLE);
      return here(world, "hook");
    },
    forges: {},
  },
  "an address that is released": {
    people: (world) => here(world),
    flags: ["release"],
    forges: { DisassociateAddress: ALL },
  },
  "a lifecycle hook": {
    people: (world) => underHook(world, true),
    before: (region, me) => void region.region.waitUnderHook(me, HOOK),
    environment: { EIP_HEAL_LIFECYCLE_HOOK: HOOK },
    forges: { [`${TAG}/aws:autoscaling:groupName`]: ALL, CompleteLifecycleAction: ALL },
  },
  "a lifecycle hook of a group that only Auto Scaling knows": {
    people: (world) => underHook(world, false),
    before: (region, me) => void region.region.waitUnderHook(me, HOOK),
    environment: { EIP_HEAL_LIFECYCLE_HOOK: HOOK },
    forges: { DescribeAutoScalingInstances: ALL },
  },
  "a lifecycle hook, and a heal that takes long": {
    people: (world) => underHook(world, true),
    before(region, me) {
      region.region.waitUnderHook(me, HOOK);
      // The first heartbeat is sent after eight seconds.
      const effect = { do: "delay", beforeMs: 14_000 } as const;
      region.faults.add({ service: "ec2", action: "DescribeAddresses", count: 1, effect });
    },
    environment: { EIP_HEAL_LIFECYCLE_HOOK: HOOK },
    forges: { RecordLifecycleActionHeartbeat: ALL },
  },
};

/** One field of an answer. */
export interface Field {
  /** As in a scene. */
  readonly answer: string;
  /** A field of the body, or a part of an error that is answered instead; undefined: the whole body. */
  readonly name?: string;
}
const ERROR = ["error code", "error message", "error request id"];

/** The fields of an answer as it was given. */
export function fieldsIn(answer: string, body: string): Field[] {
  const isXml = isAction(answer);
  const names = isXml || body.startsWith("{") ? fieldsOf(body).map(({ name }) => name) : [];
  return [undefined, ...new Set(names), ...(isXml ? ERROR : [])].map((name) => ({
    answer,
    ...(name !== undefined && { name }),
  }));
}

/** What an instance is answered where nothing is wrong. */
export function right(region: RunningRegion, me: string, leaf: string): string {
  const tree = imdsTree(region.region, region.credentials, me);
  return lookUp(tree, real(region, me, leaf)) ?? "";
}

/** A fault that puts a text into a field, once. */
export function forging(
  region: RunningRegion,
  me: string,
  { answer, name }: Field,
  text: string,
  turn: number,
): FaultRule {
  const rule: Omit<FaultRule, "effect"> = isAction(answer)
    ? { service: serviceOf(answer), action: answer, count: 1 }
    : { service: "imds", path: `/latest/${real(region, me, answer)}`, method: "GET", count: 1 };
  if (name === undefined) return { ...rule, effect: { do: "status", status: 200, body: text } };
  if (ERROR.includes(name)) return { ...rule, effect: errorOf(rule.service, name, text) };
  const body = (given: string) => {
    const fields = fieldsOf(given).filter((field) => field.name === name);
    const field = fields[turn % fields.length];
    if (field === undefined) throw new Error(`there is no ${name} in ${answer}`);
    const { at, value } = field;
    const quoted = given.startsWith("{")
      ? JSON.stringify(text)
      : text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
    return given.slice(0, at) + quoted + given.slice(at + value.length);
  };
  return { ...rule, effect: { do: "rewrite", body } };
}

function errorOf(service: string, name: string, text: string): FaultRule["effect"] {
  const code = name === "error code" ? text : "InvalidParameterValue";
  const message = name === "error message" ? text : "no";
  const api = service === "ec2" ? EC2 : AUTO_SCALING;
  const body = api.errorXml(new ApiError(code, message), name === "error request id" ? text : "1");
  return { do: "status", status: 400, headers: { "content-type": "text/xml" }, body };
}

export const isAction = (answer: string) => /^[A-Z]/.test(answer);
const serviceOf = (action: string) =>
  /AutoScaling|Lifecycle/.test(action) ? "autoscaling" : "ec2";

/** The path of a leaf on this instance. */
function real(region: RunningRegion, me: string, leaf: string): string {
  const { role = "", interfaces } = region.region.instance(me);
  const [eni] = interfaces;
  const publicIp = eni?.addresses.flatMap(({ allocationId }) =>
    allocationId === undefined ? [] : [region.region.address(allocationId)?.publicIp],
  )[0];
  return leaf
    .replace(`${ROLE}*`, `${ROLE}${role}`)
    .replace("macs/*", `macs/${eni?.mac}`)
    .replace("associations/*", `associations/${publicIp}`);
}

/** A path that was asked for, as scenes name it. */
export function leafOf(path: string): string {
  return path
    .replace(/^\/latest\//, "")
    .replace(/security-credentials\/.+/, "security-credentials/*")
    .replace(/macs\/[0-9a-f:]+/, "macs/*")
    .replace(/associations\/.*/, "associations/*");
}

/** What a run is started with. */
export interface Start {
  readonly environment?: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
  /** The text of the settings file. */
  readonly conf?: string;
}

/** In the environment Node itself reads it, before the program does, and says in its own words what it cannot use. */
const OF_NODE = "NODE_EXTRA_CA_CERTS";

/** Where nothing answers, and nobody waits long. */
const NOWHERE = "127.0.0.1:9";
const ELSEWHERE = { AWS_ENDPOINT_URL_EC2: `https://${NOWHERE}`, EIP_HEAL_DEADLINE: "1s" };

/**
 * Starts with texts in them: in all settings at once, since every problem of theirs is reported, and in each of the rest.
 *
 * @param served a URL of a server that answers with a text, and is a proxy that refuses with one
 */
export function starts(served: string): Readonly<Record<string, (text: () => string) => Start>> {
  const set =
    (name: string, of: (text: string) => string = (text) => text) =>
    (text: () => string) => ({ environment: { ...ELSEWHERE, [name]: of(text()) } });
  return {
    "every setting": (text) => ({
      environment: Object.fromEntries(SETTINGS.map(({ key }) => [key, text()])),
    }),
    "every setting by a flag": (text) => ({
      flags: SETTINGS.map(({ flag }) => `--${flag}=${text()}`),
    }),
    "the names of settings": (text) => ({
      environment: Object.fromEntries(SETTINGS.map(() => [`EIP_HEAL_${text()}`, text()])),
    }),
    ...Object.fromEntries(
      VARIABLES.flatMap(({ keys }) => keys)
        .filter((name) => name !== OF_NODE)
        .map((name) => [name, set(name)] as const),
    ),
    ...Object.fromEntries(
      ["AWS_ENDPOINT_URL_EC2", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "HTTPS_PROXY"].flatMap(
        (name) => [
          [`the path of ${name}`, set(name, (text) => `http://${NOWHERE}/${text}`)] as const,
          [`the password in ${name}`, set(name, (text) => `http://u:${text}@${NOWHERE}`)] as const,
        ],
      ),
    ),
    "the answer of a proxy": (text) => ({
      environment: { ...ELSEWHERE, HTTPS_PROXY: `${served}/${encodeURIComponent(text())}` },
    }),
    "who asks for the address": () => ({
      environment: { EIP_HEAL_WAIT_REACHABLE: served, EIP_HEAL_DEADLINE: "2s" },
    }),
    "the path of EIP_HEAL_WAIT_REACHABLE": (text) => ({
      environment: { EIP_HEAL_WAIT_REACHABLE: `${served}/${text()}`, EIP_HEAL_DEADLINE: "2s" },
    }),
    "the folder of the result files": set("RUNTIME_DIRECTORY"),
    "a command": (text) => ({ flags: [text()] }),
    "an argument of a command": (text) => ({ flags: ["status", text()] }),
    "an option": (text) => ({ flags: [`--${text()}`] }),
    "the name of the settings file": (text) => ({ flags: ["--config", text()] }),
    "the settings file": (text) => ({ conf: text() }),
    "every value in the settings file": (text) => ({
      conf: SETTINGS.map(({ key }) => `${key}=${JSON.stringify(text())}\n`).join(""),
    }),
    [`${OF_NODE} in the settings file`]: (text) => ({
      environment: ELSEWHERE,
      conf: `${OF_NODE}=${JSON.stringify(text())}\n`,
    }),
  };
}
