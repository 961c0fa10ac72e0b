/**
 * moto's server, an independent simulation of EC2: what keeps this region honest. Its IMDS is of no use (it needs no
 * token and knows one instance only), so a program under test gets EC2 from moto and IMDS from a region with moto's ids.
 */

import {
  AllocateAddressCommand,
  AssociateAddressCommand,
  CreateTagsCommand,
  DescribeAddressesCommand,
  DescribeInstancesCommand,
  EC2Client,
  RunInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import type { Address, Instance } from "@aws-sdk/client-ec2";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";

import type { InstanceSpec } from "./build.ts";
import { aWorld } from "./world.ts";
import type { World } from "./world.ts";

/** moto's own account. */
const ACCOUNT = "123456789012";
const REGION = "us-east-1";
const START_TIMEOUT_MS = 30_000;

/** The Python that has moto, from test/tools/requirements.txt. */
export function motoPython(): string {
  const root = resolve(import.meta.dirname, "..");
  return resolve(root, process.env["EIP_HEAL_TEST_PYTHON"] ?? ".tools/venv/bin/python");
}

/** Whether moto can be started here. */
export function hasMoto(): boolean {
  return existsSync(motoPython());
}

/** Starts moto's server on a free port of 127.0.0.1. */
export async function startMoto(): Promise<Moto> {
  const process_ = spawn(motoPython(), ["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"], {
    stdio: ["ignore", "ignore", "pipe"],
    // Nothing of the surroundings may lead moto, or the Python below it, anywhere else.
    env: {
      PATH: process.env["PATH"] ?? "",
      MOTO_EC2_LOAD_DEFAULT_AMIS: "false",
      PYTHONDONTWRITEBYTECODE: "1",
    },
  });
  // Nobody is left to end it if the tests are cut short.
  process.once("exit", () => process_.kill());
  try {
    return new Moto(process_, await urlOf(process_));
  } catch (error) {
    process_.kill();
    throw error;
  }
}

export class Moto {
  /** Base URL of its EC2 API. */
  readonly ec2Url: string;
  /** The SDK pointed at it, one attempt per call. */
  readonly ec2: EC2Client;
  readonly #process: ChildProcess;

  constructor(process_: ChildProcess, url: string) {
    this.#process = process_;
    this.ec2Url = url;
    this.ec2 = new EC2Client({
      region: REGION,
      endpoint: url,
      credentials: { accessKeyId: "testing", secretAccessKey: "testing" },
      maxAttempts: 1,
    });
  }

  /** Launches an instance; moto has it running at once. */
  async launch(
    tags: Readonly<Record<string, string>> = {},
  ): Promise<Instance & { InstanceId: string }> {
    const done = await this.ec2.send(
      new RunInstancesCommand({
        ImageId: "ami-12c6146b",
        InstanceType: "t3.micro",
        MinCount: 1,
        MaxCount: 1,
        TagSpecifications: specification("instance", tags),
      }),
    );
    const id = done.Instances?.[0]?.InstanceId ?? "";
    const found = await this.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    return { ...found.Reservations?.[0]?.Instances?.[0], InstanceId: id };
  }

  /** Allocates an Elastic IP address: this one, or one of moto's own, which are of 127.0.0.0/8. */
  async allocate(
    tags: Readonly<Record<string, string>> = {},
    publicIp?: string,
  ): Promise<{ AllocationId: string; PublicIp: string }> {
    const done = await this.ec2.send(
      new AllocateAddressCommand({
        Domain: "vpc",
        Address: publicIp,
        TagSpecifications: specification("elastic-ip", tags),
      }),
    );
    return { AllocationId: done.AllocationId ?? "", PublicIp: done.PublicIp ?? "" };
  }

  /** Associates, taking the address from whoever has it. */
  async associate(allocationId: string, instanceId: string): Promise<string> {
    const done = await this.ec2.send(
      new AssociateAddressCommand({
        AllocationId: allocationId,
        InstanceId: instanceId,
        AllowReassociation: true,
      }),
    );
    return done.AssociationId ?? "";
  }

  /** Sets tags of an instance or an address. */
  async tag(resourceId: string, tags: Readonly<Record<string, string>>): Promise<void> {
    await this.ec2.send(new CreateTagsCommand({ Resources: [resourceId], Tags: tagList(tags) }));
  }

  async stop(instanceId: string): Promise<void> {
    await this.ec2.send(new StopInstancesCommand({ InstanceIds: [instanceId] }));
  }

  async terminate(instanceId: string): Promise<void> {
    await this.ec2.send(new TerminateInstancesCommand({ InstanceIds: [instanceId] }));
  }

  /** The address as moto describes it. */
  async address(allocationId: string): Promise<Address | undefined> {
    const found = await this.ec2.send(
      new DescribeAddressesCommand({ AllocationIds: [allocationId] }),
    );
    return found.Addresses?.[0];
  }

  /** Everything gone, as after the start. */
  async reset(): Promise<void> {
    await fetch(`${this.ec2Url}/moto-api/reset`, { method: "POST" });
  }

  /**
   * A world with moto's instances and addresses under their ids, for a region that serves the IMDS to an instance whose
   * EC2 is moto. The two do not know of each other: what moto does later does not show in that region.
   */
  async world(
    change: Pick<InstanceSpec, "metadataTags" | "role" | "lifecycle"> = {},
  ): Promise<World> {
    const world = aWorld({ region: REGION, account: ACCOUNT });
    const found = await this.ec2.send(new DescribeInstancesCommand({}));
    for (const instance of found.Reservations?.flatMap((one) => one.Instances ?? []) ?? []) {
      world.instance(specOf(instance, change));
    }
    const { Addresses: addresses = [] } = await this.ec2.send(new DescribeAddressesCommand({}));
    for (const one of addresses) {
      const address = world.address({
        allocationId: one.AllocationId ?? "",
        publicIp: one.PublicIp ?? "",
        tags: tagRecord(one.Tags),
      });
      if (one.InstanceId) world.hold(address, { instanceId: one.InstanceId });
    }
    return world;
  }

  /** Ends the server. */
  async close(): Promise<void> {
    this.ec2.destroy();
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = new Promise((resolve_) => this.#process.once("exit", resolve_));
    this.#process.kill();
    await gone;
  }
}

// --- internal ---

/** The URL that the server says it listens at: with port 0 nobody else knows. */
async function urlOf(process_: ChildProcess): Promise<string> {
  let said = "";
  return await new Promise((resolve_, reject) => {
    const late = setTimeout(
      () => reject(new Error(`moto does not start: ${said}`)),
      START_TIMEOUT_MS,
    );
    process_.once("error", reject);
    process_.once("exit", (status) =>
      reject(new Error(`moto ended with status ${status}: ${said}`)),
    );
    process_.stderr?.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      const url = /Running on (http:\/\/127\.0\.0\.1:\d+)/.exec(said)?.[1];
      if (url === undefined) return;
      clearTimeout(late);
      resolve_(url);
    });
  });
}

function specOf(
  instance: Instance,
  change: Pick<InstanceSpec, "metadataTags" | "role" | "lifecycle">,
): InstanceSpec {
  return {
    instanceId: instance.InstanceId ?? "",
    state: instance.State?.Name ?? "running",
    launchTime: instance.LaunchTime ?? 0,
    zone: instance.Placement?.AvailabilityZone ?? `${REGION}a`,
    tags: tagRecord(instance.Tags),
    enis: (instance.NetworkInterfaces ?? []).map((eni, index) => ({
      networkInterfaceId: eni.NetworkInterfaceId ?? "",
      mac: eni.MacAddress ?? "",
      deviceIndex: eni.Attachment?.DeviceIndex ?? index,
      privateIps: (eni.PrivateIpAddresses ?? []).map((at) => at.PrivateIpAddress ?? ""),
    })),
    ...change,
  };
}

function specification(
  ResourceType: "instance" | "elastic-ip",
  tags: Readonly<Record<string, string>>,
): { ResourceType: "instance" | "elastic-ip"; Tags: { Key: string; Value: string }[] }[] {
  return Object.keys(tags).length === 0 ? [] : [{ ResourceType, Tags: tagList(tags) }];
}

function tagList(tags: Readonly<Record<string, string>>): { Key: string; Value: string }[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}

function tagRecord(tags: Instance["Tags"]): Record<string, string> {
  return Object.fromEntries((tags ?? []).map(({ Key = "", Value = "" }) => [Key, Value]));
}
