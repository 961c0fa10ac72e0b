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
import { partitionOf } from "../core/ids.ts";
import type { Ec2Api } from "./ec2.ts";
import { callsOf, clientConfig, type ConnectOptions, hostOf, noAnswer } from "./service.ts";

/** Opens a connection of its own; the first call connects. */
export function connectApi(options: ConnectOptions): Ec2Api {
  const { region } = options.self;
  const client = new EC2Client(clientConfig(options));
  const host = hostOf(options, client);
  const call = callsOf("ec2", client, host, options);

  /** An answer without the list that was asked for is a page of somebody else: EC2 sends an empty one. */
  function listed<T>(action: string, list: T[] | undefined): T[] {
    if (list !== undefined) return list;
    throw noAnswer("ec2", action, host);
  }

  return {
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

    associateAddress(input) {
      const resource = `arn:${partitionOf(region)}:ec2:${region}:*:elastic-ip/${input.allocationId}`;
      return call("AssociateAddress", resource, async (limits) => {
        await client.send(
          new AssociateAddressCommand({
            AllocationId: input.allocationId,
            InstanceId: input.instanceId,
            NetworkInterfaceId: input.networkInterfaceId,
            PrivateIpAddress: input.privateIpAddress,
            // Left out it means true.
            AllowReassociation: input.allowReassociation,
          }),
          limits,
        );
      });
    },

    disassociateAddress: (associationId) =>
      call("DisassociateAddress", "*", async (limits) => {
        await client.send(new DisassociateAddressCommand({ AssociationId: associationId }), limits);
      }),

    close: () => client.destroy(),
  };
}
