/**
 * The calls of the EC2 API, through the AWS SDK. One client is one connection; it is closed after it has
 * written, because the answer may have changed the very public address that the connection runs over.
 */
import {
  AssociateAddressCommand,
  DescribeAddressesCommand,
  DescribeInstancesCommand,
  DisassociateAddressCommand,
  EC2Client,
} from "@aws-sdk/client-ec2";
import { Failure } from "../model/failure.ts";
import { partitionOf } from "../model/ids.ts";
import type { Ec2Api } from "./ec2.ts";
import { callsOf, clientConfig, type ConnectOptions, noAnswer, urlOf } from "./service.ts";

/** The calls, and the question whether the role may make them, which changes nothing (`DryRun`). */
export interface ConnectedApi extends Ec2Api {
  readonly url: URL;
  tryDescribeAddresses(): Promise<void>;
  tryDescribeInstances(): Promise<void>;
  tryAssociateAddress(input: AssociateInput): Promise<void>;
}
type AssociateInput = Parameters<Ec2Api["associateAddress"]>[0];

/** Opens a connection of its own; the first call connects. */
export function connectApi(options: ConnectOptions): ConnectedApi {
  const { region } = options.self;
  const client = new EC2Client(clientConfig(options));
  const url = urlOf(options, client);
  const { host } = url;
  const call = callsOf("ec2", client, host, options);

  /** An answer without the list that was asked for is a page of somebody else: EC2 sends an empty one. */
  function listed<T>(action: string, list: T[] | undefined): T[] {
    if (list !== undefined) return list;
    throw noAnswer("ec2", action, host);
  }

  /** Asks whether this role may do it: EC2's yes is an error, DryRunOperation. */
  async function tryOut(
    action: string,
    resource: string,
    send: (limits: { abortSignal: AbortSignal }) => Promise<unknown>,
  ): Promise<void> {
    try {
      await call(action, resource, send);
    } catch (error) {
      if (error instanceof Failure && error.code === "DryRunOperation") return;
      throw error;
    }
    throw noAnswer("ec2", action, host);
  }

  const arnOf = (allocationId: string) =>
    `arn:${partitionOf(region)}:ec2:${region}:*:elastic-ip/${allocationId}`;
  const association = (input: AssociateInput, dryRun: boolean) =>
    new AssociateAddressCommand({
      AllocationId: input.allocationId,
      InstanceId: input.instanceId,
      NetworkInterfaceId: input.networkInterfaceId,
      PrivateIpAddress: input.privateIpAddress,
      // Left out it means true.
      AllowReassociation: input.allowReassociation,
      ...(dryRun && { DryRun: true }),
    });

  return {
    url,
    host,

    describeAddresses: (filter, values) =>
      call("DescribeAddresses", "*", async (limits) => {
        // By filter, not by id: an unknown id then is a missing row and not an error.
        const command = new DescribeAddressesCommand({
          Filters: [{ Name: filter, Values: [...values] }],
        });
        return listed("DescribeAddresses", (await client.send(command, limits)).Addresses);
      }),

    describeInstances: (filter, values) =>
      call("DescribeInstances", "*", async (limits) => {
        const command = new DescribeInstancesCommand({
          Filters: [{ Name: filter, Values: [...values] }],
        });
        const { Reservations } = await client.send(command, limits);
        return listed("DescribeInstances", Reservations).flatMap(({ Instances = [], OwnerId }) =>
          Instances.map((instance) => ({
            instance,
            ...(OwnerId !== undefined && { ownerId: OwnerId }),
          })),
        );
      }),

    associateAddress: (input) =>
      call("AssociateAddress", arnOf(input.allocationId), async (limits) => {
        await client.send(association(input, false), limits);
      }),

    tryDescribeAddresses: () =>
      tryOut("DescribeAddresses", "*", (limits) =>
        client.send(new DescribeAddressesCommand({ DryRun: true }), limits),
      ),

    tryDescribeInstances: () =>
      tryOut("DescribeInstances", "*", (limits) =>
        client.send(new DescribeInstancesCommand({ DryRun: true }), limits),
      ),

    tryAssociateAddress: (input) =>
      tryOut("AssociateAddress", arnOf(input.allocationId), (limits) =>
        client.send(association(input, true), limits),
      ),

    disassociateAddress: (associationId) =>
      call("DisassociateAddress", "*", async (limits) => {
        await client.send(new DisassociateAddressCommand({ AssociationId: associationId }), limits);
      }),

    close: () => client.destroy(),
  };
}
