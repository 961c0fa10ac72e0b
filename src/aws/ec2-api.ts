/**
 * The calls of the EC2 API through the AWS SDK. Each client has its own connection, which is closed after a write, because
 * the write may have changed the public address that the connection uses.
 */
import type { Agent } from "node:http";
import {
  AssociateAddressCommand,
  DescribeAddressesCommand,
  DescribeInstancesCommand,
  type DescribeInstancesCommandInput,
  DescribeNetworkInterfacesCommand,
  DisassociateAddressCommand,
  EC2Client,
} from "@aws-sdk/client-ec2";
import { AWS_CODE, Failure } from "../model/failure.ts";
import type { DescribedInstance, Ec2Api } from "./ec2.ts";
import type { Proxy } from "./proxy.ts";
import { resettableAgents, type ResettableAgents } from "./sockets.ts";
import { INSTANCE_MAX_BYTES, boundBodies, ONE_MAX_BYTES, POOL_MAX_BYTES } from "./bodies.ts";
import {
  callsOf,
  clientConfig,
  type ConnectOptions,
  type Limits,
  foreignAnswer,
  urlOf,
} from "./client.ts";

/** The calls, and the same with `DryRun`, which only checks whether the role may make them. */
export interface ConnectedApi extends Ec2Api {
  readonly url: URL;
  readonly proxy?: Proxy;
  /** What makes its connections. */
  readonly agent: Agent;
  tryDescribeAddresses(): Promise<void>;
  tryDescribeInstances(): Promise<void>;
  tryDescribeInterfaces(): Promise<void>;
  tryAssociateAddress(input: AssociateInput): Promise<void>;
}
type AssociateInput = Parameters<Ec2Api["associateAddress"]>[0];

/** Most pages that are read. EC2's pages have up to 1,000 instances, so more pages are not a real answer. */
const MAX_PAGES = 100;

/**
 * Creates a client with a connection of its own; the first call connects.
 *
 * @param agents those of a connection that was made ahead; belong to this client from now on
 */
export function connectApi(
  options: ConnectOptions,
  agents: ResettableAgents = resettableAgents(options),
): ConnectedApi {
  const client = new EC2Client(clientConfig(options, agents));
  boundBodies(client.config.requestHandler);
  const url = urlOf(options, client);
  const { host } = url;
  const call = callsOf("ec2", client, url, options, agents);
  const proxy = options.proxyFor?.(url);

  /** The list in an answer. EC2 sends an empty list, never none; without one it is not an answer of EC2. */
  function listed<T>(action: string, list: T[] | undefined): T[] {
    if (list !== undefined) return list;
    throw foreignAnswer("ec2", action, host);
  }

  /** Checks a permission: EC2 answers "allowed" by the error DryRunOperation. */
  async function dryRun(action: string, send: (limits: Limits) => Promise<unknown>): Promise<void> {
    try {
      await call(action, send);
    } catch (error) {
      if (error instanceof Failure && error.code === AWS_CODE.dryRun) return;
      throw error;
    }
    throw foreignAnswer("ec2", action, host);
  }

  const instances = (input: DescribeInstancesCommandInput) =>
    call(
      "DescribeInstances",
      async (limits) => {
        const answer = await client.send(new DescribeInstancesCommand(input), limits);
        const rows = listed("DescribeInstances", answer.Reservations).flatMap(
          ({ Instances = [], OwnerId }) =>
            Instances.map((instance) => ({
              instance,
              ...(OwnerId !== undefined && { ownerId: OwnerId }),
            })),
        );
        return { rows, next: answer.NextToken };
      },
      ONE_MAX_BYTES + (input.InstanceIds?.length ?? 1) * INSTANCE_MAX_BYTES,
    );

  const association = (input: AssociateInput, dryRun: boolean) =>
    new AssociateAddressCommand({
      AllocationId: input.allocationId,
      InstanceId: input.instanceId,
      NetworkInterfaceId: input.networkInterfaceId,
      PrivateIpAddress: input.privateIpAddress,
      // EC2's default is true.
      AllowReassociation: input.allowReassociation,
      ...(dryRun && { DryRun: true }),
    });

  return {
    url,
    host,
    agent: url.protocol === "https:" ? agents.httpsAgent : agents.httpAgent,
    ...(proxy && { proxy }),

    describeAddresses: (filter, values) =>
      call(
        "DescribeAddresses",
        async (limits) => {
          // By filter, not by id: an unknown id is then a missing row, not an error.
          const command = new DescribeAddressesCommand({
            Filters: [{ Name: filter, Values: [...values] }],
          });
          return listed("DescribeAddresses", (await client.send(command, limits)).Addresses);
        },
        // A public IP is looked for with the one that it displaces.
        filter.startsWith("tag:") || values.length > 2 ? POOL_MAX_BYTES : ONE_MAX_BYTES,
      ),

    async describeInstances(filter, values) {
      const found: DescribedInstance[] = [];
      let next: string | undefined;
      let pages = 0;
      do {
        // EC2 requires the filter with every page.
        const page = await instances({
          Filters: [{ Name: filter, Values: [...values] }],
          ...(next !== undefined && { NextToken: next }),
        });
        found.push(...page.rows);
        next = page.next;
        if (++pages >= MAX_PAGES) throw foreignAnswer("ec2", "DescribeInstances", host);
      } while (next);
      return found;
    },

    // By id, not by filter: for a filter EC2 seems to scan all instances of the account, which takes seconds in a large one.
    async describeInstancesById(ids) {
      try {
        const { rows, next } = await instances({ InstanceIds: [...ids] });
        // EC2 does not page requests by id. If it did, missing instances would not be known to be missing.
        if (next) throw foreignAnswer("ec2", "DescribeInstances", host);
        return rows;
      } catch (error) {
        if (!(error instanceof Failure) || error.code !== AWS_CODE.unknownInstance) throw error;
        // EC2 returns nothing if it does not know one of the ids.
        const unknown: readonly string[] =
          error.details.serviceMessage?.match(/\bi-[0-9a-f]{8,32}\b/g) ?? [];
        const known = ids.filter((id) => !unknown.includes(id));
        if (known.length === ids.length) throw error;
        return known.length === 0 ? [] : this.describeInstancesById(known);
      }
    },

    describeNetworkInterfaces: (ids) =>
      call("DescribeNetworkInterfaces", async (limits) => {
        const command = new DescribeNetworkInterfacesCommand({ NetworkInterfaceIds: [...ids] });
        const { NetworkInterfaces } = await client.send(command, limits);
        return listed("DescribeNetworkInterfaces", NetworkInterfaces);
      }),

    associateAddress: (input) =>
      call("AssociateAddress", async (limits) => {
        const { AssociationId } = await client.send(association(input, false), limits);
        if (AssociationId === undefined) throw foreignAnswer("ec2", "AssociateAddress", host);
      }),

    tryDescribeAddresses: () =>
      dryRun("DescribeAddresses", (limits) =>
        client.send(new DescribeAddressesCommand({ DryRun: true }), limits),
      ),

    tryDescribeInstances: () =>
      dryRun("DescribeInstances", (limits) =>
        client.send(new DescribeInstancesCommand({ DryRun: true }), limits),
      ),

    tryDescribeInterfaces: () =>
      dryRun("DescribeNetworkInterfaces", (limits) =>
        client.send(new DescribeNetworkInterfacesCommand({ DryRun: true }), limits),
      ),

    tryAssociateAddress: (input) =>
      dryRun("AssociateAddress", (limits) => client.send(association(input, true), limits)),

    disassociateAddress: (associationId) =>
      call("DisassociateAddress", async (limits) => {
        const command = new DisassociateAddressCommand({ AssociationId: associationId });
        // The answer is otherwise empty. Without a request id it is not an answer of AWS.
        const { requestId } = (await client.send(command, limits)).$metadata;
        if (requestId === undefined) throw foreignAnswer("ec2", "DisassociateAddress", host);
      }),

    close() {
      client.destroy();
      agents.close();
    },
  };
}
